"""`lontra agent`: hands everything on to the agent's own command line."""

from __future__ import annotations

import sys

import click


@click.command(
    "agent",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def agent_command(arguments: tuple[str, ...]) -> None:
    """Run, check or remove the agent beside a target (`lontra agent --help`)."""
    from targets.agent.cli import main

    sys.exit(main(list(arguments)))
