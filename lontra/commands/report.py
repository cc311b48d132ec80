"""`lontra report`: the report of a session, as text or JSON."""

from __future__ import annotations

import json

import click

from lontra.home import Home


@click.command("report")
@click.argument("session", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_obj
def report_command(home: Home, session: int, as_json: bool) -> None:
    """Print the report of SESSION (its number; see `lontra sessions list`).

    \b
    Examples:
      lontra report 3
      lontra report 3 --json > report.json
    """
    from knowledge_base import Store
    from lontra.text import report_text
    from tuner.service import SessionService

    store = Store.open(home.database_url)
    try:
        report = SessionService(store).report(session)
    finally:
        store.close()
    click.echo(json.dumps(report, indent=2) if as_json else report_text(report))
