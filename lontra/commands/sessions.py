"""`lontra sessions`: look at sessions and steer them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from lontra.actor import current_user
from lontra.home import Home

if TYPE_CHECKING:
    from knowledge_base import Store


@contextmanager
def _opened(home: Home) -> Iterator[Store]:
    from knowledge_base import Store

    store = Store.open(home.database_url)
    try:
        yield store
    finally:
        store.close()


@click.group("sessions")
def sessions_command() -> None:
    """List, pause, resume, cancel and replay sessions (`lontra report` shows one)."""


@sessions_command.command("list")
@click.option("--target", "target_name", help="Only this target's.")
@click.option(
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="How many to list.",
)
@click.pass_obj
def list_command(home: Home, target_name: str | None, limit: int) -> None:
    """List sessions, the newest first."""
    with _opened(home) as store:
        target_id = store.targets.by_name(target_name).id if target_name else None
        page = store.sessions.list(target_id=target_id, limit=limit)
        if not page.items:
            click.echo("no sessions yet: `lontra tune TARGET` starts one", err=True)
        names = {id_: store.targets.get(id_).name for id_ in {s.target_id for s in page.items}}
        for session in page.items:
            state = str(session.state)
            if not session.state.ended:
                state += f" ({session.phase})"
            click.echo(
                f"{session.id:>5}  {session.created_at:%Y-%m-%d %H:%M}  "
                f"{names[session.target_id]:16} {session.objective['name']:16} {state:20} "
                f"{session.verdict.get('verdict', '')}"
            )


@sessions_command.command("pause")
@click.argument("session", type=int)
@click.option("--reason", default="", help="Kept in the audit log.")
@click.pass_obj
def pause_command(home: Home, session: int, reason: str) -> None:
    """Hand out no more trials until resumed."""
    from tuner.service import SessionService

    with _opened(home) as store:
        SessionService(store).pause(session, actor=current_user(), reason=reason)
    click.echo(f"session {session} paused")


@sessions_command.command("resume")
@click.argument("session", type=int)
@click.option("--reason", default="", help="Kept in the audit log.")
@click.pass_obj
def resume_command(home: Home, session: int, reason: str) -> None:
    """Go on with a paused session."""
    from tuner.service import SessionService

    with _opened(home) as store:
        SessionService(store).resume(session, actor=current_user(), reason=reason)
    click.echo(f"session {session} runs again")


@sessions_command.command("cancel")
@click.argument("session", type=int)
@click.option("--reason", default="", help="Kept in the audit log.")
@click.pass_obj
def cancel_command(home: Home, session: int, reason: str) -> None:
    """End a session; its agent puts the safe configuration back."""
    from tuner.service import SessionService

    with _opened(home) as store:
        SessionService(store).cancel(session, actor=current_user(), reason=reason)
    click.echo(f"session {session} cancelled")


@sessions_command.command("replay")
@click.argument("session", type=int)
@click.pass_obj
def replay_command(home: Home, session: int) -> None:
    """Compute every suggestion of SESSION again from its record and compare.

    Exit status 1 when one differs.
    """
    from tuner.replay import replay

    with _opened(home) as store:
        results = replay(store, store.sessions.get(session))
    for result in results:
        if not result.same:
            click.echo(f"trial {result.number}: stored {result.stored}, computed {result.computed}")
    same = sum(result.same for result in results)
    click.echo(f"{same} of {len(results)} suggestions are the same")
    if same != len(results):
        raise click.exceptions.Exit(1)
