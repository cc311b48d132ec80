"""Counts the contract tests that ran on each engine, and fails the run on a silent skip."""

from __future__ import annotations

from typing import Any

import pytest

from knowledge_base.testing import StoreContract
from tests.knowledge_base.postgresql import WAIVER, waived

SQLITE, POSTGRESQL = "sqlite", "postgresql"
TOLD = "knowledge-base-contract"


class ContractCount:
    """A pytest plug-in: which contract tests were found, selected and run, by engine.

    A run that would pass fails when a selected test did not run, or when the suite was not found
    for both engines alike. Tests that a person left out (`-k`, `-m`, one named by `::`) are no
    fault. PostgreSQL's are left out of account when it was called off by hand.

    Where pytest-xdist shares the tests among processes, each of them tells what it found and
    selected, which is the same in all, and the one that started them counts what ran.
    """

    def __init__(self) -> None:
        self._found: dict[str, str] = {}
        self._selected: set[str] = set()
        self._ran: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._note(session.items)
        self._selected = {item.nodeid for item in session.items} & self._found.keys()

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self._note(items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and not report.skipped:
            self._ran.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A process of xdist's has ended."""
        told = getattr(node, "workeroutput", {}).get(TOLD)
        if told is not None:
            self._found, self._selected = told["found"], set(told["selected"])

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        told: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
        if told is not None:
            told[TOLD] = {"found": self._found, "selected": sorted(self._selected)}
        elif exitstatus == pytest.ExitCode.OK and self._fault(session.config):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
    ) -> None:
        if not self._selected or config.option.collectonly:
            return
        counts = ", ".join(f"{self._count(self._ran, e)} on {e}" for e in (SQLITE, POSTGRESQL))
        terminalreporter.section("knowledge base contract")
        terminalreporter.line(f"knowledge base contract: {counts}")
        if waived():
            terminalreporter.line(
                f"NOT TESTED ON POSTGRESQL: called off with {WAIVER}=off", yellow=True, bold=True
            )
        fault = self._fault(config)
        if fault:
            terminalreporter.line(f"knowledge base contract: {fault}", red=True, bold=True)

    def _note(self, items: list[pytest.Item]) -> None:
        for item in items:
            if isinstance(item, pytest.Function) and issubclass(item.cls or object, StoreContract):
                on_postgresql = item.get_closest_marker(POSTGRESQL) is not None
                self._found[item.nodeid] = POSTGRESQL if on_postgresql else SQLITE

    def _count(self, tests: set[str], engine: str) -> int:
        return sum(self._found.get(test) == engine for test in tests)

    def _fault(self, config: pytest.Config) -> str:
        """What is wrong with the counts, in words; empty when nothing is."""
        if config.option.collectonly:
            return ""
        found = {engine: self._count(set(self._found), engine) for engine in (SQLITE, POSTGRESQL)}
        by_name = any("::" in argument for argument in config.args)
        if not by_name and found[SQLITE] != found[POSTGRESQL]:
            return f"the suite was found for the engines unlike: {found}"
        for engine in (SQLITE,) if waived() else (SQLITE, POSTGRESQL):
            selected, ran = self._count(self._selected, engine), self._count(self._ran, engine)
            if ran != selected:
                return f"{selected} tests were selected on {engine}, {ran} ran"
        return ""
