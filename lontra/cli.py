"""`lontra`: the command line. Each command lives in its own module and is loaded when called,
so that `lontra agent` stays as small as the agent is."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from lontra.home import Home
from targets.errors import LontraError, MissingExtra

INTERRUPTED = 130
_HOUSE = ("lontra", "web", "tuner", "knowledge_base", "targets")
_COMMANDS = {
    "tune": ("lontra.commands.tune", "Tune a target on this machine, from start to report."),
    "report": ("lontra.commands.report", "Print the report of a session."),
    "sessions": ("lontra.commands.sessions", "List, pause, resume, cancel, replay sessions."),
    "history": ("lontra.commands.history", "What is known, of all sessions or of one."),
    "targets": ("lontra.commands.targets", "What can be tuned, and each target's settings."),
    "recommenders": ("lontra.commands.recommenders", "The algorithms that choose configurations."),
    "bench": ("lontra.commands.bench", "Compare optimizers on recorded systems."),
    "serve": ("lontra.commands.serve", "Run the REST API and the dashboard."),
    "worker": ("lontra.commands.worker", "Run the worker that plans sessions."),
    "agent": ("lontra.commands.agent", "Run, check or remove the agent beside a target."),
    "token": ("lontra.commands.token", "Create, list and revoke API tokens."),
    "db": ("lontra.commands.db", "Create, upgrade or thin out the knowledge base."),
    "export": ("lontra.commands.transfer", "Write the whole history as JSON Lines."),
    "import": ("lontra.commands.transfer", "Read a history written by export."),
}


class LazyGroup(click.Group):
    """Lists its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command = getattr(module, f"{cmd_name}_command")
        assert isinstance(command, click.Command)  # noqa: S101 - our own modules
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever a user can mend is said in one line, without a traceback."""
        try:
            return super().invoke(ctx)
        except LontraError as error:
            raise click.ClickException(str(error)) from error
        except ModuleNotFoundError as error:
            module = (error.name or "").partition(".")[0]
            if module in _HOUSE:
                raise
            command = f"lontra {ctx.invoked_subcommand}"
            raise click.ClickException(str(MissingExtra(command, module, "server"))) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # click ends quietly when nobody reads on
            subject = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{subject}{error.strerror or error}") from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lontra")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where Lontra keeps its data [default: $LONTRA_HOME or ~/.local/share/lontra].",
)
@click.option(
    "--database",
    "database_url",
    help="The knowledge base: sqlite:///FILE or postgresql+psycopg://...  "
    "[default: $LONTRA_DATABASE_URL or lontra.db in the home folder]. A password belongs in the "
    "variable: other users of the machine can read a command line.",
)
@click.option(
    "--log-level",
    default="warning",
    help="How much to log to standard error.",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
)
@click.pass_context
def main(ctx: click.Context, home: Path | None, database_url: str | None, log_level: str) -> None:
    """Lontra tunes systems and proves it: measured gains with intervals, safe by construction.

    \b
    Examples:
      lontra tune sqlite                      tune the embedded SQLite target
      lontra tune matmul --trials 40          a compute kernel's schedule
      lontra tune command --set file=my.toml  your own system, by one TOML file
      lontra serve                            dashboard and API on http://127.0.0.1:8642
    """
    logging.basicConfig(
        level=log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    ctx.obj = Home.find(home, database_url)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    main(prog_name="lontra")
