"""The docs say all there is: commands, settings, knobs, recommenders, paths and variables."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from lontra.cli import main
from lontra.reference import command_line_page
from targets.registry import installed_adapters, load_adapter
from tuner.registry import installed_recommenders, load_recommender

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BUILT_IN = ("cache-policy", "command", "matmul", "simulated", "sqlite")


def text(name: str) -> str:
    return (DOCS / name).read_text()


def test_the_command_line_page_is_what_the_commands_say() -> None:
    assert text("command-line.md") == command_line_page(), (
        "run: python -m lontra.reference > docs/command-line.md"
    )


def options(command: click.Command) -> list[click.Option]:
    found = [p for p in command.params if isinstance(p, click.Option)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found += options(command.get_command(context, name) or click.Command(name))
    return found


def test_every_option_says_what_it_does() -> None:
    assert [option.opts[0] for option in options(main) if not option.help] == []


@pytest.mark.parametrize("kind", [k for k in BUILT_IN if k != "simulated"])
def test_every_setting_of_a_target_is_on_its_page(kind: str) -> None:
    page = text(f"targets/{kind}.md")
    missing = [
        setting.name
        for setting in load_adapter(kind).settings_declared
        if not re.search(rf"`{re.escape(setting.name)}`", page)
    ]
    assert missing == []


def test_every_built_in_adapter_is_installed_and_sound() -> None:
    entries = {entry.name: entry.error for entry in installed_adapters()}
    assert {name: entries.get(name, "missing") for name in BUILT_IN} == dict.fromkeys(BUILT_IN)


def test_every_recommender_and_option_is_documented() -> None:
    page = text("recommenders.md")
    for entry in installed_recommenders():
        assert entry.error is None
        assert f"`{entry.name}`" in page
        for setting in load_recommender(entry.name).settings_declared:
            assert f"`{setting.name}`" in page, f"{entry.name}.{setting.name}"


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)} -> {target}"
        for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
