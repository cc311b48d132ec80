"""A whole history goes from engine to engine and comes back byte for byte."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from knowledge_base import Store, export_history, head, import_history
from knowledge_base.errors import ImportRefused
from knowledge_base.history_format import TABLES
from knowledge_base.records import Scope, SessionState
from knowledge_base.schema import Base
from knowledge_base.testing.events import new_event
from knowledge_base.testing.exactness import AWKWARD
from knowledge_base.testing.leasing import OTHER, RESTART
from knowledge_base.testing.scene import (
    LEASE_SECONDS,
    described,
    finished,
    leased,
    new_trial,
    new_window,
    registered,
    started,
    taken,
)
from targets.clock import ManualClock
from targets.metrics import MetricVector

DAY = 86_400.0
NAN = float("nan")


@pytest.fixture(scope="session")
def lived_in_file(migrated_file: Path) -> Path:
    """A knowledge base with a row of every kind, awkward values among them; to be copied."""
    path = migrated_file.with_name("lived-in.db")
    shutil.copyfile(migrated_file, path)
    clock = ManualClock()
    with Store.open(f"sqlite:///{path}", clock=clock) as store:
        live(store, clock)
    return path


@pytest.fixture(scope="session")
def history(lived_in_file: Path) -> str:
    """What is exported of it."""
    with Store.open(f"sqlite:///{lived_in_file}") as store:
        return exported(store)


@pytest.fixture
def lived_in(lived_in_file: Path, tmp_path: Path) -> Iterator[Store]:
    """A copy of it, the test's own."""
    shutil.copyfile(lived_in_file, tmp_path / "lived-in.db")
    with Store.open(f"sqlite:///{tmp_path}/lived-in.db", clock=ManualClock()) as store:
        yield store


def live(store: Store, clock: ManualClock) -> None:
    """Two sessions, one of them old and rolled up, with failures, late results and events."""
    target = described(store)
    agent = registered(store, target)
    old = started(store, target, budget=AWKWARD)
    for number in range(3):
        store.trials.add(new_trial(old, number, configuration={**AWKWARD, "n": number}))
    first = taken(store, target)
    vector = MetricVector.of({"reads": 5e-324, "lock_waits": NAN})
    finished(store, first, windows=[new_window(first, n, metrics=vector) for n in range(2)])
    second = taken(store, target)
    clock.advance(LEASE_SECONDS)
    store.trials.expire()
    again = taken(store, target)
    finished(store, second)
    finished(
        store, again, failure="guardrail", message="p99 above 10 ms \0 \ud83e\udda6", windows=[]
    )
    session = store.sessions.get(old.id)
    store.sessions.advance(
        old.id,
        revision=session.revision,
        state=SessionState.FINISHED,
        incumbent_trial_id=first.id,
        verdict={"ratio": 1.0000000000000002},
    )
    store.reports.add(agent.id, clock.now(), vector)
    clock.advance(40 * DAY)
    store.retention.apply(keep_days=30)
    store.reports.add(agent.id, clock.now(), MetricVector.of({}))
    registered(store, target, incarnation=RESTART)
    new = started(store, target)
    store.trials.add(new_trial(new, 0))
    in_hand = leased(store, target, incarnation=RESTART)
    assert in_hand is not None
    other = described(store, "ötter \U0001f9a6")
    registered(store, other, instance=OTHER)
    store.targets.describe("not yet described", {})
    store.artefacts.put("ranking", {"cache_size": 0.1}, session_id=old.id)
    store.artefacts.put("ranking", AWKWARD)
    store.events.add(new_event(session_id=new.id, target_id=target.id, details=AWKWARD))
    store.tokens.create(scope=Scope.OPERATOR, label="ada")
    store.replies.put("token", "key", request_digest="d", status=200, body={})


def exported(store: Store) -> str:
    """The store's history."""
    stream = io.StringIO()
    export_history(store, stream)
    return stream.getvalue()


def imported(url: str, text: str) -> Store:
    """A store made from a history."""
    store = Store.open(url, clock=ManualClock())
    import_history(store, io.StringIO(text))
    return store


def test_every_kind_of_row_is_in_the_history(lived_in: Store) -> None:
    stream = io.StringIO()
    counts = export_history(lived_in, stream)
    assert counts.keys() == Base.metadata.tables.keys() - {"tokens", "replies"}
    assert [name for name, count in counts.items() if not count] == []
    assert stream.getvalue().count("\n") == sum(counts.values()) + 2


@pytest.mark.postgresql
def test_a_history_goes_from_sqlite_to_postgresql_and_back_byte_for_byte(
    lived_in: Store, postgresql_url: str, sqlite_url: str
) -> None:
    first = exported(lived_in)
    with imported(postgresql_url, first) as on_postgresql:
        second = exported(on_postgresql)
        assert everything(on_postgresql) == everything(lived_in)
    with imported(sqlite_url, second) as back:
        assert exported(back) == second == first
        assert everything(back) == everything(lived_in)


def everything(store: Store) -> list[Any]:
    """What can be asked of a store; metric vectors packed, for NaN is not equal to itself."""
    sessions = store.sessions.list().items
    agents = store.agents.list().items
    return [
        store.targets.list(),
        sessions,
        agents,
        [store.trials.all(session.id) for session in sessions],
        [
            (window.id, window.metrics.names, window.metrics.pack(), window.rolled_up)
            for session in sessions
            for window in store.windows.of_session(session.id)
        ],
        [store.windows.units(session.id) for session in sessions],
        store.events.list(),
        [store.leases.get(f"{kind}:{n}") for kind in ("target", "trial") for n in range(1, 9)],
        [
            (report.at, report.samples, report.hourly, report.metrics.pack())
            for agent in agents
            for report in store.reports.of_agent(agent.id, agent.registered_at.replace(year=2000))
        ],
        store.artefacts.latest("ranking"),
    ]


@pytest.mark.postgresql
def test_life_goes_on_after_an_import_into_postgresql(
    history: str, postgresql_url: str, sqlite_url: str
) -> None:
    with imported(postgresql_url, history) as store:
        life_goes_on(store)
        grown = exported(store)  # PostgreSQL has moved the changed rows to the end
    with imported(sqlite_url, grown) as back:
        assert exported(back) == grown


def test_life_goes_on_after_an_import_into_sqlite(history: str, sqlite_url: str) -> None:
    with imported(sqlite_url, history) as store:
        life_goes_on(store)


def life_goes_on(store: Store) -> None:
    """New rows of every kind get numbers of their own; old ones can be changed."""
    last = store.events.list(newest_first=True)[0]
    assert store.events.add(new_event()).id == last.id + 1
    session = store.sessions.list().items[0]
    trial = store.trials.get(store.trials.all(session.id)[0].id)
    finished(store, trial)
    assert len(store.windows.of_trial(trial.id)) == 1
    fresh = started(store, described(store, "new"), workload={"name": "w", "parameters": {}})
    for number in range(2):
        store.trials.add(new_trial(fresh, number))
    store.artefacts.put("ranking", {}, session_id=fresh.id)
    agent = registered(store, store.targets.by_name("new"), instance="agent-9")
    granted = leased(store, store.targets.by_name("new"), instance="agent-9")
    assert granted is not None
    finished(store, granted, instance="agent-9")
    store.reports.add(agent.id, agent.last_seen_at, MetricVector.of({"new metric": 1.0}))


def test_secrets_stay_where_they_are(lived_in: Store) -> None:
    _, secret = lived_in.tokens.create(scope=Scope.VIEWER, label="visitor")
    text = exported(lived_in)
    assert "secret_sha256" not in text
    assert "visitor" not in text
    assert secret[16:] not in text


def test_a_store_with_history_is_not_imported_into(lived_in: Store) -> None:
    before = exported(lived_in)
    with pytest.raises(ImportRefused, match=r"has rows in table .* import into a new one"):
        import_history(lived_in, io.StringIO(before))
    assert exported(lived_in) == before


def test_tokens_do_not_stand_in_the_way(history: str, sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        _, secret = store.tokens.create(scope=Scope.OPERATOR, label="ada")
        import_history(store, io.StringIO(history))
        assert store.tokens.verify(secret) is not None


Damage = Callable[[list[str]], list[str]]


def change(table: str, **values: Any) -> Damage:
    """Other values in the first row of a table; a value `...` takes the column away."""

    def damage(lines: list[str]) -> list[str]:
        at = next(n for n, line in enumerate(lines) if f'"table":"{table}"' in line)
        line = json.loads(lines[at])
        line["row"] |= values
        line["row"] = {key: value for key, value in line["row"].items() if value is not ...}
        return [*lines[:at], json.dumps(line), *lines[at + 1 :]]

    return damage


def header(**values: Any) -> Damage:
    """Another first line."""
    return lambda lines: [json.dumps(json.loads(lines[0]) | values), *lines[1:]]


def line_of(table: str, lines: list[str]) -> int:
    """The number of the first line of a table."""
    return next(n for n, line in enumerate(lines, 1) if f'"table":"{table}"' in line)


@pytest.mark.parametrize(
    ("table", "damage", "why"),
    [
        ("targets", change("targets", name=...), r"missing \['name'\], unknown none"),
        ("targets", change("targets", colour="red"), r"missing none, unknown \['colour'\]"),
        ("targets", change("targets", name=None), "has no value for targets.name"),
        ("targets", change("targets", id="1"), "targets.id='1': str is of the wrong type"),
        ("targets", change("targets", id=True), "bool is of the wrong type"),
        ("targets", change("targets", created_at="yesterday"), "targets.created_at='yesterday'"),
        ("targets", change("targets", created_at="2026-01-01"), "a time needs a zone"),
        ("targets", change("targets", space_id=77), "does not fit the rows before it"),
        ("sessions", change("sessions", state="asleep"), "'asleep' is not a valid SessionState"),
        ("sessions", change("sessions", seed=2**70), "sessions.seed: .* does not fit 64 bits"),
        ("trials", change("trials", seconds="1"), "trials.seconds"),
        ("trials", change("trials", failure="timed-out"), "CHECK constraint failed"),
        ("metric_means", change("metric_means", packed="AAAA"), "has 3 bytes of metric values"),
        ("metric_means", change("metric_means", packed="*"), "metric_means.packed"),
        ("metric_means", change("metric_means", trial_id=77), "FOREIGN KEY constraint failed"),
        ("events", change("events", details=float("nan")), "is no JSON: NaN"),
    ],
)
def test_a_wrong_row_is_named_by_its_line_and_nothing_is_imported(
    history: str, sqlite_url: str, table: str, damage: Damage, why: str
) -> None:
    lines = history.splitlines()
    number = line_of(table, lines)
    assert_refused(sqlite_url, damage(lines), rf"^line {number} .*{why}.*nothing was imported$")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda lines: [], "^line 0 is the last, and no closing line: the file was cut off"),
        (lambda lines: lines[:-1], "is the last, and no closing line: the file was cut off"),
        (lambda lines: [*lines[:-2], lines[-1]], "^line .* closes .* rows, .* were read"),
        (lambda lines: [*lines, lines[1]], "^line .* comes after the closing line"),
        (lambda lines: lines[1:], "^line 1 is not the header"),
        (lambda lines: ["{" + lines[0], *lines[1:]], "^line 1 is no JSON: "),
        (lambda lines: [lines[0], "[]", *lines[1:]], "^line 2 is no JSON object"),
        (lambda lines: [lines[0], "", *lines[1:]], "^line 2 is no JSON: "),
        (lambda lines: [lines[0], "[" * 99_999, *lines[1:]], "^line 2 is nested too deeply"),
        (lambda lines: [lines[0], '{"table":"tokens","row":{}}'], "^line 2 is no row of a known"),
        (lambda lines: [lines[0], lines[1], *lines[1:]], "^line 3 .*UNIQUE constraint failed"),
        (header(format="gzip"), "^line 1 is not the header"),
        (header(version=2), "^line 1 names format version 2, this program reads version 1"),
        (header(schema="9999"), f"^line 1 names schema 9999, this program has schema {head()}"),
        (change("sessions", incumbent_trial_id=77), "session 1 names an incumbent trial that"),
    ],
)
def test_a_wrong_file_is_refused_and_nothing_is_imported(
    history: str, sqlite_url: str, damage: Damage, why: str
) -> None:
    assert_refused(sqlite_url, damage(history.splitlines()), why)


def assert_refused(url: str, lines: list[str], why: str) -> None:
    """Importing fails with these words, and leaves the store as empty as it was."""
    with Store.open(url) as store:
        empty = exported(store)
        with pytest.raises(ImportRefused, match=why):
            import_history(store, io.StringIO("".join(line + "\n" for line in lines)))
        assert exported(store) == empty


def test_rows_come_after_those_they_refer_to() -> None:
    seen: set[str] = set()
    for name, table in TABLES.items():
        for key in table.foreign_keys:
            if not key.constraint.deferrable:
                assert key.column.table.name in seen | {name}
        seen.add(name)
