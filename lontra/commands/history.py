"""`lontra history`: what is known, of all sessions or of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lontra.home import Home

if TYPE_CHECKING:
    from knowledge_base import Store

LISTED = 20


@click.command("history")
@click.argument("session", type=int, required=False)
@click.option("--kind", help="Only sessions of this kind of target (see `lontra targets`).")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    help=f"How many sessions to list, {LISTED} by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_obj
def history_command(
    home: Home, session: int | None, kind: str | None, limit: int | None, as_json: bool
) -> None:
    """Show what is known: a line for every session, the newest first; with SESSION, what was
    learnt in it.

    A line says what was tuned and for what, how many trials it took, what the confirmation found
    against the baseline, and which knobs came out foremost.

    \b
    Of one session (SESSION is its number) it says:
      which knobs matter, and how sure that is
      what each changed knob is expected to give, and from how much evidence
      which lanes, the ways of choosing a configuration, had how many turns and won
      which known workload it ran under, or none of them
      which metrics stand for the rest, and which were left out and why
      which past sessions it learns from

    A new session learns from those of the same kind of target; `lontra tune --no-history` does
    without.

    \b
    Examples:
      lontra history
      lontra history --kind sqlite --limit 5
      lontra history 3
      lontra history 3 --json > learnt.json
    """
    from knowledge_base import Store

    if session is not None and (kind is not None or limit is not None):
        given = "--kind" if kind is not None else "--limit"
        raise click.UsageError(
            f"{given} chooses among all sessions: leave it out, or leave out SESSION ({session})"
        )
    with Store.open(home.database_url) as store:
        if session is not None:
            _show(store, session, as_json=as_json)
        else:
            _list(store, kind, limit=limit or LISTED, as_json=as_json)


def _show(store: Store, session_id: int, *, as_json: bool) -> None:
    from lontra.knowledge_text import knowledge_text
    from tuner.learning import knowledge_of

    known = knowledge_of(store, session_id).to_dict()
    if as_json:
        _print_json(known)
        return
    session = store.sessions.get(session_id)
    target, _ = store.targets.names([session.target_id])[session.target_id]
    click.echo(knowledge_text(known, session, target=target))


def _list(store: Store, kind: str | None, *, limit: int, as_json: bool) -> None:
    from lontra.knowledge_text import history_text
    from tuner.learning import known_history

    page = known_history(store, kind=kind, limit=limit)
    tasks = [task.to_dict() for task in page.items]
    if as_json:
        _print_json({"items": tasks, "total": page.total})
    elif tasks:
        click.echo(history_text(tasks, page.total))
    elif kind is not None:
        click.echo(f"no session of kind {kind}: `lontra targets` lists the kinds", err=True)
    else:
        click.echo("nothing is known yet: `lontra tune TARGET` starts a session", err=True)


def _print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2))
