"""`lontra db`: the knowledge base's schema, and what is kept of its metrics."""

from __future__ import annotations

import click

from lontra.home import Home


@click.group("db")
def db_command() -> None:
    """Create, upgrade or thin out the knowledge base."""


@db_command.command("upgrade")
@click.pass_obj
def upgrade_command(home: Home) -> None:
    """Bring the knowledge base to this program's schema; makes a new one where there is none."""
    from knowledge_base import upgrade

    if home.database_url.startswith("sqlite"):
        home.prepare()
    upgrade(home.database_url)
    click.echo("knowledge base is up to date")


@db_command.command("retention")
@click.option(
    "--keep-days",
    required=True,
    type=click.IntRange(1, 36_500),
    help="Leave everything younger than so many days as it is.",
)
@click.pass_obj
def retention_command(home: Home, keep_days: int) -> None:
    """Thin out old metrics: agents' reports to hourly means, ended sessions' windows to one mean
    a trial. Objective values, trials and events are kept for ever."""
    from knowledge_base import Store

    with Store.open(home.database_url) as store:
        counts = store.retention.apply(keep_days=keep_days)
    for what, count in counts.items():
        click.echo(f"{what}: {count}")
