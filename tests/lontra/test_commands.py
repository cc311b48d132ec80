"""The other commands of the front door."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lontra.cli import main


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert run(tmp_path, "db", "upgrade").exit_code == 0
    return tmp_path


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--home", str(home), *arguments])


def test_help_teaches() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "Examples" in result.output
    for command in ("tune", "serve", "worker", "agent", "targets", "sessions", "report", "export"):
        assert command in result.output


def test_targets_lists_kinds_and_their_settings(tmp_path: Path) -> None:
    listed = run(tmp_path, "targets").output
    assert "sqlite" in listed and "matmul" in listed and "BROKEN" not in listed
    settings = run(tmp_path, "targets", "sqlite").output
    assert "durability" in settings and "window_seconds" in settings


def test_recommenders_are_listed_with_their_source(tmp_path: Path) -> None:
    assert "auto" in run(tmp_path, "recommenders").output
    assert "Source" in run(tmp_path, "recommenders", "tpe").output


def test_a_token_is_shown_once_and_can_be_revoked(home: Path) -> None:
    text = run(home, "token", "create", "--scope", "agent", "--target", "db-1").output.strip()
    assert text.startswith("lontra_")
    token_id = text.split("_")[1]
    listed = run(home, "token", "list").output
    assert token_id in listed and text not in listed and "live" in listed
    assert run(home, "token", "revoke", token_id).exit_code == 0
    assert "revoked" in run(home, "token", "list").output


def test_an_agents_token_needs_its_target(home: Path) -> None:
    result = run(home, "token", "create", "--scope", "agent")
    assert result.exit_code == 2 and "--target" in result.output


def test_a_knowledge_base_that_is_not_there_names_the_command(tmp_path: Path) -> None:
    result = run(tmp_path, "sessions", "list")
    assert result.exit_code == 1 and "lontra db upgrade" in result.output


def test_an_unknown_session_is_named(home: Path) -> None:
    result = run(home, "report", "12")
    assert result.exit_code == 1 and "12" in result.output


def test_many_workers_need_postgresql(home: Path) -> None:
    result = run(home, "serve", "--workers", "2")
    assert result.exit_code == 2 and "PostgreSQL" in result.output


def test_the_agents_own_help_is_reached() -> None:
    result = CliRunner().invoke(main, ["agent", "--help"])
    assert result.exit_code == 0 and "--check" in result.output and "uninstall" in result.output
