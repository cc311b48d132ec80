"""`lontra history`: what is known, as a reader of a terminal and a program meet it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lontra.cli import main
from lontra.estimates import DRAWN_WIDTH, drawn, gain_text, share_text


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--home", str(home), *arguments])


def tune(home: Path, *arguments: str) -> str:
    """A session in a process of its own; what it printed."""
    command = [sys.executable, "-m", "lontra.cli", "--home", str(home), "tune", "simulated"]
    done = subprocess.run(
        [*command, "--trials", "12", "--confirm-pairs", "12", "--recommender", "random",
         "--quiet", *arguments],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    return {}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, told: dict[str, str]) -> Path:
    """Two sessions: one that wants to learn from no other, and one that learns from it."""
    folder = tmp_path_factory.mktemp("home")
    told["cold"] = tune(folder, "--seed", "1", "--no-history")
    told["learning"] = tune(folder, "--seed", "2")
    return folder


def test_the_report_says_why_what_matters_and_what_was_learnt_from(
    home: Path, told: dict[str, str]
) -> None:
    report = json.loads(run(home, "report", "2", "--json").output)
    explanation = report["knowledge"]["explanation"]
    for change in report["incumbent"]["changes"]:
        [cause] = [c for c in explanation["contributions"] if c["knob"] == change["knob"]]
        line = rf"  {change['knob']} .*{re.escape(gain_text(cause['gain'], relative=True))}, "
        assert re.search(line + cause["certainty"], told["learning"]), change
    assert "Knobs that matter" in told["learning"]
    assert "Learnt from 13 trials of 1 past session: 1 (simulated)." in told["learning"]
    assert "`lontra history 2`" in told["learning"]
    assert "Learnt from no past session: it was started without." in told["cold"]


def test_history_lists_sessions_newest_first(home: Path) -> None:
    lines = run(home, "history").output.splitlines()
    assert lines[0].split()[:4] == ["#", "target", "kind", "workload"]
    assert [line.split()[0] for line in lines[1:]] == ["2", "1"]
    assert re.search(r"13 +\d\.\d\dx \(\d\.\d\d to \d\.\d\d\) \w+", lines[1])
    limited = run(home, "history", "--limit", "1").output
    assert "and 1 more (--limit)" in limited
    listed = json.loads(run(home, "history", "--json", "--kind", "simulated").output)
    assert (listed["total"], [one["session"] for one in listed["items"]]) == (2, [2, 1])


def test_history_of_one_session_is_told_whole(home: Path) -> None:
    known = json.loads(run(home, "history", "2", "--json").output)
    text = run(home, "history", "2").output
    for knob in known["ranking"]["knobs"]:
        drawing = drawn(knob["share"], left=0.0, right=1.0)
        line = rf"  {knob['knob']} +{re.escape(drawing)}  {re.escape(share_text(knob['share']))}"
        assert re.search(rf"{line} +{knob['verdict']}", text), knob
    for cause in known["explanation"]["contributions"]:
        told = rf"  {cause['knob']} .* {cause['certainty']}\n +{cause['evidence']['varied']} trials"
        assert re.search(told, text), cause
    words = " ".join(text.split())
    for said in (known["mapping"]["reason"], known["pruning"]["reason"],
                 known["explanation"]["text"], known["ranking"]["reason"]):  # fmt: skip
        assert said in words
    for metric in known["pruning"]["representatives"]:
        assert metric in text
    assert re.search(r"  random +10 +\d", text)
    assert "session 1 of simulated, workload mix: 13 of its 13 trials" in text


def test_a_session_without_findings_says_what_comes(home: Path) -> None:
    from knowledge_base import Store
    from lontra.home import Home
    from tuner.service import SessionRequest, SessionService

    with Store.open(Home.find(home).database_url) as store:
        service = SessionService(store)
        session = service.start(SessionRequest(target="simulated", use_history=False))
        text = run(home, "history", str(session.id)).output
        assert text.count("none yet") == 4
        assert "once 10 trials have ended" in text
        service.cancel(session.id, actor="test")
        assert (
            run(home, "history", str(session.id)).output.count("the session ended with nothing")
            == 4
        )


def test_an_empty_history_says_how_to_begin(tmp_path: Path) -> None:
    assert run(tmp_path, "db", "upgrade").exit_code == 0
    nothing = run(tmp_path, "history")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "lontra tune" in nothing.stderr
    of_kind = run(tmp_path, "history", "--kind", "sqlit")
    assert "sqlit:" in of_kind.stderr and "lontra targets" in of_kind.stderr


def test_what_cannot_be_told_is_refused_with_the_remedy(tmp_path: Path) -> None:
    assert run(tmp_path, "db", "upgrade").exit_code == 0
    unknown = run(tmp_path, "history", "7")
    assert unknown.exit_code == 1 and "session 7" in unknown.output
    for option in (("--kind", "sqlite"), ("--limit", "3")):
        both = run(tmp_path, "history", "7", *option)
        assert both.exit_code == 2 and option[0] in both.output and "leave it out" in both.output
    missing = run(tmp_path / "nowhere", "history")
    assert missing.exit_code == 1 and "lontra db upgrade" in missing.output


def test_an_interval_is_drawn_to_scale() -> None:
    line = drawn({"value": 0.5, "low": 0.25, "high": 0.75}, left=0.0, right=1.0)
    assert len(line) == DRAWN_WIDTH and line[0] == "|"
    assert (line.index("-"), line.index("o"), line.rindex("-")) == (8, 16, 23)
    whole = drawn({"value": 0.0, "low": -1.0, "high": 1.0}, left=-1.0, right=1.0)
    assert set(whole) == {"-", "o"}
    point = drawn({"value": 0.0, "low": 0.0, "high": 0.0}, left=0.0, right=0.0)
    assert point.count("o") == 1


def test_estimates_are_said_with_their_interval() -> None:
    assert share_text({"value": 0.372, "low": 0.049, "high": 0.84}) == "37 % (5 to 84 %)"
    assert share_text({"value": 0.37, "low": 0.004, "high": 1.0}) == "37 % (<1 to 100 %)"
    huge = {"value": 690.0, "low": -700.0, "high": 700.0}
    assert gain_text(huge, relative=True) == "+4.6e+301 % (-100 to +1.0e+306 %)"
    gain = {"value": 0.365, "low": -0.0001, "high": 0.688}
    assert gain_text(gain, relative=True) == "+44 % (+0 to +99 %)"
    assert (
        gain_text({**gain, "low": -0.5}, relative=False, unit="ms")
        == "+0.365 ms (-0.5 to +0.688 ms)"
    )
