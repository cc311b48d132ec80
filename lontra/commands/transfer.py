"""`lontra export` and `lontra import`: a whole history as JSON Lines, loss-free."""

from __future__ import annotations

from typing import TextIO

import click

from lontra.home import Home


@click.command("export")
@click.argument("file", type=click.File("w", encoding="utf-8", atomic=True), default="-")
@click.pass_obj
def export_command(home: Home, file: TextIO) -> None:
    """Write the whole history to FILE (`-` is standard output). Tokens are never written.

    \b
    Example:
      lontra export history.jsonl
    """
    from knowledge_base import Store, export_history

    store = Store.open(home.database_url)
    try:
        export_history(store, file)
    finally:
        store.close()


@click.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@click.pass_obj
def import_command(home: Home, file: TextIO) -> None:
    """Read a history written by `lontra export` into an empty knowledge base.

    \b
    Example:
      lontra --database postgresql+psycopg://lontra@/lontra db upgrade
      lontra --database postgresql+psycopg://lontra@/lontra import history.jsonl
    """
    from knowledge_base import Store, import_history

    store = Store.open(home.database_url)
    try:
        import_history(store, file)
    except UnicodeDecodeError as error:
        raise click.ClickException(
            f"{file.name} is no history of `lontra export`: it is not UTF-8 text ({error.reason} "
            f"at byte {error.start})"
        ) from error
    finally:
        store.close()
    click.echo("history imported")
