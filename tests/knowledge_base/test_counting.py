"""A run in which an engine was skipped silently does not pass."""

from __future__ import annotations

import pytest

from tests.knowledge_base.postgresql import WAIVER

pytest_plugins = ["pytester"]

ONE = "test_an_undescribed_target_has_no_session"

CONFTEST = """
from tests.knowledge_base.counting import ContractCount

def pytest_configure(config):
    config.addinivalue_line("markers", "postgresql: ...")
    config.pluginmanager.register(ContractCount())
"""

SUITE = """
import pytest
from knowledge_base import Store, upgrade
from knowledge_base.testing import StoreContract

class TestOnSqlite(StoreContract):
    @pytest.fixture
    def store(self, clock, tmp_path):
        upgrade(f"sqlite:///{tmp_path}/lontra.db")
        with Store.open(f"sqlite:///{tmp_path}/lontra.db", clock=clock) as store:
            yield store
"""

OTHER_ENGINE = """
@pytest.mark.postgresql
class TestOnPostgresql(TestOnSqlite):
    pass
"""

SKIPPED = """
@pytest.mark.postgresql
class TestOnPostgresql(StoreContract):
    @pytest.fixture
    def store(self):
        pytest.skip("no server")
"""


def run(pytester: pytest.Pytester, suite: str, *arguments: str) -> pytest.RunResult:
    """A run of a suite of its own."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_suite=suite)
    return pytester.runpytest_inprocess(*arguments)


def test_both_engines_are_counted(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WAIVER, raising=False)
    result = run(pytester, SUITE + OTHER_ENGINE, "-k", ONE)
    result.stdout.fnmatch_lines("knowledge base contract: 1 on sqlite, 1 on postgresql")
    assert result.ret == pytest.ExitCode.OK


def test_a_silent_skip_fails_the_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WAIVER, raising=False)
    result = run(pytester, SUITE + SKIPPED, "-k", ONE)
    result.stdout.fnmatch_lines("*contract: 1 tests were selected on postgresql, 0 ran")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("suite", [SUITE + SKIPPED, SUITE], ids=["skipped", "not there"])
def test_a_run_shared_among_processes_fails_as_well(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, suite: str
) -> None:
    monkeypatch.delenv(WAIVER, raising=False)
    result = run(pytester, suite, "-k", ONE, "-n", "2")
    result.stdout.fnmatch_lines("knowledge base contract: 1 on sqlite, 0 on postgresql")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_run_shared_among_processes_is_counted_whole(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WAIVER, raising=False)
    result = run(pytester, SUITE + OTHER_ENGINE, "-k", ONE, "-n", "2")
    result.stdout.fnmatch_lines("knowledge base contract: 1 on sqlite, 1 on postgresql")
    assert result.ret == pytest.ExitCode.OK


def test_an_engine_that_is_not_there_at_all_fails_the_run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(WAIVER, raising=False)
    result = run(pytester, SUITE, "-k", ONE)
    result.stdout.fnmatch_lines("*the suite was found for the engines unlike*")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_calling_postgresql_off_is_said_loudly(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WAIVER, "off")
    result = run(pytester, SUITE + SKIPPED, "-k", ONE)
    result.stdout.fnmatch_lines(
        ["knowledge base contract: 1 on sqlite, 0 on postgresql", "NOT TESTED ON POSTGRESQL*"]
    )
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    "arguments",
    [("-k", f"{ONE} and Sqlite"), (f"test_suite.py::TestOnSqlite::{ONE}",)],
    ids=["by keyword", "by name"],
)
def test_leaving_an_engine_out_by_hand_is_no_fault(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.delenv(WAIVER, raising=False)
    result = run(pytester, SUITE + SKIPPED, *arguments)
    result.stdout.fnmatch_lines("knowledge base contract: 1 on sqlite, 0 on postgresql")
    assert result.ret == pytest.ExitCode.OK
