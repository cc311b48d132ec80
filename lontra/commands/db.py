"""`lontra db`: the knowledge base's schema."""

from __future__ import annotations

import click

from lontra.home import Home


@click.group("db")
def db_command() -> None:
    """Create or upgrade the knowledge base."""


@db_command.command("upgrade")
@click.pass_obj
def upgrade_command(home: Home) -> None:
    """Bring the knowledge base to this program's schema; makes a new one where there is none."""
    from knowledge_base import upgrade

    if home.database_url.startswith("sqlite"):
        home.prepare()
    upgrade(home.database_url)
    click.echo("knowledge base is up to date")
