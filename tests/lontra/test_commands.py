"""The other commands of the front door."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from knowledge_base import Store
from knowledge_base.records import Scope
from lontra.actor import current_user
from lontra.cli import main
from lontra.home import Home

HEAVY = ("sqlalchemy", "alembic", "flask", "numpy", "scipy", "sklearn", "optuna")


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
    assert "Source" in run(tmp_path, "recommenders", "optuna-tpe").output


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


def modules_after(*arguments: str, without: str = "") -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, which says at last which heavy modules it imported."""
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({without!r}.split()))\n"
        "from lontra.cli import main\n"
        "try:\n"
        f"    main({list(arguments)!r}, prog_name='lontra')\n"
        "finally:\n"
        f"    print('HEAVY', *(n for n in {HEAVY!r} if sys.modules.get(n)))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("targets",), ("agent", "--help"), ("agent", "--check"), ("report", "--help")],
    ids=" ".join,
)
def test_what_needs_no_server_loads_none_of_it(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("lontra_abcdefgh_" + "s" * 43)
    token.chmod(0o600)
    for key, value in {
        "SERVER__URL": "http://127.0.0.1:9",
        "SERVER__TOKEN_FILE": str(token),
        "TARGET__NAME": "t",
        "TARGET__ADAPTER": "simulated",
        "AGENT__STATE_DIR": str(tmp_path / "state"),
    }.items():
        monkeypatch.setenv(f"LONTRA_AGENT__{key}", value)
    run = modules_after(*arguments)
    assert run.stdout.splitlines()[-1] == "HEAVY", run.stdout + run.stderr
    assert "Traceback" not in run.stderr


def test_a_core_without_the_servers_packages_names_the_extra() -> None:
    for arguments in (("sessions", "list"), ("tune", "simulated"), ("recommenders",)):
        run = modules_after(*arguments, without="sqlalchemy numpy")
        assert run.returncode == 1
        assert "pip install 'lontra[server]'" in run.stderr and "Traceback" not in run.stderr


def test_a_reader_that_left_is_no_traceback(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [sys.executable, "-m", "lontra.cli", "--home", str(tmp_path), "targets"]
        piped = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False
        )
    finally:
        os.close(writer)
    assert (piped.returncode, piped.stderr) == (1, b"")


def test_an_expired_token_is_not_called_live(home: Path) -> None:
    with Store.open(Home.find(home).database_url) as store:
        past = datetime.now(UTC) - timedelta(days=1)
        store.tokens.create(scope=Scope.VIEWER, label="old", expires_at=past)
    listed = run(home, "token", "list").output
    assert "expired" in listed and "live" not in listed


@pytest.mark.parametrize("command", [("db", "upgrade"), ("tune", "simulated")])
def test_a_home_that_cannot_be_made_is_named(command: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    result = run(file / "home", *command)
    assert result.exit_code == 1 and str(file / "home") in result.output


def test_a_home_that_no_database_url_can_name_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path / "why?", "db", "upgrade")
    assert result.exit_code == 1 and "question mark" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "garbage",
        "mysql://u:s3cret@h/x",
        "postgresql://u:s3cret@127.0.0.1:1/x",
        "sqlite:///:memory:",
    ],
)
@pytest.mark.parametrize("command", [("sessions", "list"), ("db", "upgrade")])
def test_a_database_that_cannot_be_used_is_explained_without_its_password(
    tmp_path: Path, url: str, command: tuple[str, ...]
) -> None:
    result = run(tmp_path, "--database", url, "--log-level", "debug", *command)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "Error: " in result.output and "s3cret" not in result.output


def test_a_shown_command_holds_no_password(tmp_path: Path) -> None:
    home = Home.find(tmp_path, "postgresql://u:s3cret@h/x")
    assert str(tmp_path) in home.options and "--database" in home.options
    assert "s3cret" not in home.options
    assert Home.find(None, None).options == ""


def test_a_history_that_is_no_text_is_refused(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "history"
    file.write_bytes(b"\x00\xba\xff")
    result = run(home, "import", str(file))
    assert result.exit_code == 1 and "UTF-8" in result.output and str(file) in result.output


def test_a_user_without_a_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert current_user() == f"uid {os.getuid()}"


def test_retention_says_what_it_thinned_out(home: Path) -> None:
    result = run(home, "db", "retention", "--keep-days", "30")
    assert result.exit_code == 0 and ": 0" in result.output


def test_an_address_of_ipv6_stands_in_brackets() -> None:
    from lontra.commands.serve import _bracketed

    assert (_bracketed("::1"), _bracketed("127.0.0.1")) == ("[::1]", "127.0.0.1")
