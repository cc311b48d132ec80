"""The command line's page in the docs, written from the commands themselves.

`python -m lontra.reference > docs/command-line.md` writes it; a test compares the two.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

_HEAD = """# Command line

Written from the commands themselves (`python -m lontra.reference`). `lontra COMMAND --help` says the same.

Exit status: 0 done; 1 failed, with a message that names what to do; 2 wrong usage; 130 interrupted by Ctrl-C.

| variable | what |
|---|---|
| `LONTRA_HOME` | where data lies, as `--home` |
| `LONTRA_DATABASE_URL` | the knowledge base, as `--database` |
| `LONTRA_SECRET_KEY` | signs the dashboard's login cookies; the same for all servers of one address |
| `LONTRA_AGENT__...` | every key of `agent.toml`: see [the agent](agent.md) |
"""  # noqa: E501 - a page's paragraphs are lines


def command_line_page() -> str:
    """The page as Markdown."""
    from lontra.cli import main

    sections = [_HEAD, *_section("lontra", main, level=2)]
    return "\n".join(sections).rstrip() + "\n"


def _section(path: str, command: click.Command, *, level: int) -> Iterator[str]:
    arguments = " ".join(
        parameter.make_metavar(click.Context(command))
        for parameter in command.params
        if isinstance(parameter, click.Argument)
    )
    yield f"{'#' * level} `{' '.join(filter(None, [path, arguments]))}`\n"
    yield _prose(command.help or "")
    options = [p for p in command.params if isinstance(p, click.Option)]
    if options:
        yield "| option | default | what |\n|---|---|---|"
        yield "\n".join(_row(option) for option in options) + "\n"
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _section(f"{path} {name}", inner, level=min(level + 1, 4))


def _prose(text: str) -> str:
    """Help text as Markdown: click's preformatted blocks become code blocks."""
    blocks = []
    for block in inspect.cleandoc(text).split("\n\n"):
        if block.startswith("\b\n"):
            title, *lines = block[2:].split("\n")
            blocks.append(f"{title}\n\n```\n" + inspect.cleandoc("\n".join(lines)) + "\n```")
        else:
            blocks.append(block)
    return "\n\n".join(blocks) + "\n"


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    kind = "" if option.is_flag else f" {option.make_metavar(click.Context(click.Command('x')))}"
    shown = option.default if isinstance(option.default, int | float | str) else None
    default = "" if shown is None or option.is_flag else f"{shown}"
    return f"| {names}{_code(kind)} | {default} | {option.help or ''} |"


def _code(text: str) -> str:
    text = text.strip().replace("|", "\\|")
    return f" `{text}`" if text else ""


if __name__ == "__main__":
    print(command_line_page(), end="")
