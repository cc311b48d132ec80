"""`lontra token`: credentials of the API. A secret is shown once, when made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from lontra.home import Home


@click.group("token")
def token_command() -> None:
    """Create, list and revoke API tokens."""


@token_command.command("create")
@click.option(
    "--scope",
    required=True,
    type=click.Choice(["agent", "operator", "viewer"]),
    help="agent: one target's agent; operator: start and steer sessions; viewer: read.",
)
@click.option("--target", "target_name", help="The one target an agent's token is good for.")
@click.option("--label", default="", help="Who it is for; shown in lists and in the audit log.")
@click.option("--days", type=click.IntRange(1, 3650), help="Expires after so many days.")
@click.pass_obj
def create_command(
    home: Home, scope: str, target_name: str | None, label: str, days: int | None
) -> None:
    """Make a token and print its text, once; only its hash is kept.

    \b
    Example:
      lontra token create --scope agent --target orders-db > /etc/lontra/token
    """
    from knowledge_base import Store
    from knowledge_base.errors import NotFound
    from knowledge_base.records import Scope

    if (scope == "agent") != (target_name is not None):
        raise click.UsageError("--target goes with --scope agent, and an agent's token needs it")
    store = Store.open(home.database_url)
    try:
        target_id = None
        if target_name is not None:
            try:
                target_id = store.targets.by_name(target_name).id
            except NotFound:
                target_id = store.targets.describe(target_name, {}).id
        _, text = store.tokens.create(
            scope=Scope(scope),
            label=label or scope,
            target_id=target_id,
            expires_at=datetime.now(UTC) + timedelta(days=days) if days else None,
        )
    finally:
        store.close()
    click.echo(text)


@token_command.command("list")
@click.pass_obj
def list_command(home: Home) -> None:
    """List tokens without their secrets."""
    from knowledge_base import Store

    store = Store.open(home.database_url)
    try:
        for token in store.tokens.list():
            expired = token.expires_at is not None and token.expires_at <= datetime.now(UTC)
            state = "revoked" if token.revoked_at else "expired" if expired else "live"
            used = token.last_used_at.isoformat(timespec="minutes") if token.last_used_at else "-"
            click.echo(f"{token.id}  {token.scope:9}  {state:8}  last used {used}  {token.label}")
    finally:
        store.close()


@token_command.command("revoke")
@click.argument("token_id")
@click.pass_obj
def revoke_command(home: Home, token_id: str) -> None:
    """Refuse a token from now on."""
    from knowledge_base import Store

    store = Store.open(home.database_url)
    try:
        store.tokens.revoke(token_id)
    finally:
        store.close()
    click.echo(f"token {token_id} revoked")
