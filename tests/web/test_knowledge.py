"""What was learnt, through the API and on the pages: sessions that a real worker studied."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from knowledge_base.records import SessionState
from tuner.learning import EXPLANATION, MAPPING, RANKING, pruning_of
from tuner.studying import FIRST_RANKING
from web.pages.bars import PADDING, WIDTH, gain_bars, share_bars
from web.pages.wording import gain, gain_range, ordinal, share

FINISHED, RUNNING = 1, 2


@pytest.fixture(scope="session")
def database(studied_database: Path) -> Path:
    return studied_database


def text(response: Any) -> str:
    assert response.status_code == 200, response.data
    return html.unescape(response.get_data(as_text=True))


def section(page: str, name: str) -> str:
    """The part of a page under one heading, without its marks."""
    found = re.search(rf'<section aria-labelledby="{name}">.*?</section>', page, re.S)
    assert found, name
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


def test_a_sessions_knowledge_has_the_documented_form(viewer: Any, check_form: Any) -> None:
    for session in (FINISHED, RUNNING):
        known = viewer.get(f"sessions/{session}/knowledge").json
        check_form("SessionKnowledge", known)
        assert None not in known.values(), "every stage was carried out"
        check_form("Report", viewer.get(f"sessions/{session}/report").json)


def test_a_session_tells_its_lanes_knobs_workload_and_past(viewer: Any) -> None:
    known = viewer.get(f"sessions/{RUNNING}/knowledge").json
    trials = viewer.get(f"sessions/{RUNNING}/trials").json["items"]
    ended = sum(trial["state"] == "completed" for trial in trials)
    assert sum(lane["trials"] for lane in known["lanes"]) == ended - 1, "the baseline is no turn"
    knobs = {one["knob"] for one in known["ranking"]["knobs"]}
    assert knobs == set(trials[0]["configuration"])
    assert known["mapping"]["name"] == "mix on orders"
    assert [past["session"] for past in known["history"]] == [FINISHED]


def test_the_history_is_a_line_a_session_newest_first(viewer: Any, check_form: Any) -> None:
    page = viewer.get("history").json
    check_form("KnownTaskPage", page)
    assert [line["session"] for line in page["items"]] == [RUNNING, FINISHED]
    running, finished = page["items"]
    assert (running["gain"], finished["gain"]["verdict"]) == (None, "better")
    assert finished["trials"] == 17


def test_the_history_is_paged_and_narrowed_by_kind(viewer: Any) -> None:
    first = viewer.get("history?limit=1")
    assert first.headers["Link"] == '</api/v1/history?limit=1&offset=1>; rel="next"'
    assert viewer.get("history?kind=simulated").json["total"] == 2
    assert viewer.get("history?kind=sqlite").json["items"] == []
    for wrong in ("kind=", "limit=0", "limit=501", "sort=gain"):
        response = viewer.get(f"history?{wrong}")
        assert (response.status_code, response.json["code"]) == (422, "invalid"), wrong


def test_an_unknown_session_has_no_knowledge(viewer: Any) -> None:
    assert viewer.get("sessions/99/knowledge").status_code == 404


def test_a_session_may_be_started_without_history(server: Any, operator: Any) -> None:
    assert server.agent("third").register(incarnation="i", instance="i").status_code == 200
    wrong = operator.post("sessions", {"target": "third", "use_history": "no"})
    assert (wrong.status_code, list(wrong.json["errors"]["json"])) == (422, ["use_history"])
    started = operator.post("sessions", {"target": "third", "use_history": False}).json
    assert started["budget"]["use_history"] is False
    page = text(server.caller().get(f"/sessions/{started['id']}"))
    assert "Not used, as was asked" in section(page, "past")


# -- pages ---------------------------------------------------------------------------------------


def test_the_page_tells_what_was_learnt(server: Any, viewer: Any) -> None:
    page = text(server.caller().get(f"/sessions/{FINISHED}"))
    known = viewer.get(f"sessions/{FINISHED}/knowledge").json
    why, ranking = section(page, "why"), section(page, "ranking")
    for cause in known["explanation"]["contributions"]:
        assert re.search(rf"{cause['knob']} .*? {cause['certainty']} {cause['evidence']['varied']} "
                         "trials varied it", why)  # fmt: skip
    assert known["explanation"]["text"] in why
    for knob in known["ranking"]["knobs"]:
        assert re.search(rf"{knob['knob']} [^.]*{knob['verdict']}", ranking)
    assert "random 14 " in section(page, "lanes")


def test_the_page_tells_the_workload_and_the_past_sessions(server: Any, viewer: Any) -> None:
    page = text(server.caller().get(f"/sessions/{RUNNING}/live"))
    mapping = viewer.get(f"sessions/{RUNNING}/knowledge").json["mapping"]
    told = section(page, "workload")
    assert mapping["reason"] in told
    assert "none of them" in told
    past = re.search(r'<section aria-labelledby="past">.*?</section>', page, re.S)
    assert past
    assert f'href="/sessions/{FINISHED}"' in past[0]
    assert "17 of 17" in section(page, "past")


def test_bars_are_hidden_from_readers_of_the_text_beside_them(server: Any) -> None:
    page = text(server.caller().get(f"/sessions/{FINISHED}"))
    bars = re.findall(r'<svg class="bar[^>]*>', page)
    assert len(bars) > 9
    assert all('aria-hidden="true"' in bar for bar in bars)


def test_a_session_without_findings_says_what_will_come(server: Any) -> None:
    assert server.agent("third").register(incarnation="i", instance="i").status_code == 200
    session = server.start_session("third")
    page = text(server.caller().get(f"/sessions/{session.id}"))
    assert f"once {FIRST_RANKING} trials have ended" in section(page, "ranking")
    assert "together with the ranking" in section(page, "why")
    assert "once the baseline is measured" in section(page, "workload")
    assert "once the baseline is measured" in section(page, "past")
    assert "the baseline comes first" in section(page, "lanes")
    server.store.sessions.advance(
        session.id, revision=session.revision, state=SessionState.CANCELLED, reason="enough"
    )
    page = text(server.caller().get(f"/sessions/{session.id}"))
    for name in ("ranking", "why", "lanes"):
        assert "the session ended" in section(page, name).lower()


def test_gains_that_are_no_percentages_have_their_unit(server: Any) -> None:
    found = server.store.artefacts.latest(EXPLANATION, session_id=FINISHED).content
    first = found["contributions"][0]
    first["gain"] = {"value": -1234.5, "low": -2000.0, "high": 0.25}
    server.store.artefacts.put(EXPLANATION, {**found, "relative": False}, session_id=FINISHED)
    told = section(text(server.caller().get(f"/sessions/{FINISHED}")), "why")
    assert "-1,234 operations/s -2,000 to +0.2500 operations/s" in told


HOSTILE = "</td><script>alert(1)</script>\"'&"


@pytest.mark.parametrize("session", [RUNNING, None])
def test_a_page_that_is_polled_shows_what_was_learnt_since(
    server: Any, session: int | None
) -> None:
    caller, path = server.caller(), f"/sessions/{RUNNING}/live"
    tag = {"If-None-Match": caller.get(path).headers["ETag"]}
    assert caller.get(path, headers=tag).status_code == 304
    kind = RANKING if session else pruning_of("simulated")
    found = server.store.artefacts.latest(kind, session_id=session).content
    server.store.artefacts.put(RANKING, found, session_id=FINISHED)
    assert caller.get(path, headers=tag).status_code == 304, "another session's is not shown here"
    changed = {**found, "reason": "it is all otherwise"}
    server.store.artefacts.put(kind, changed, session_id=session)
    again = caller.get(path, headers=tag)
    assert again.status_code == 200
    if session:
        assert "It is all otherwise." in section(text(again), "ranking")


def test_a_targets_page_tells_which_metrics_stand_for_the_rest(server: Any, viewer: Any) -> None:
    pruning = viewer.get(f"sessions/{FINISHED}/knowledge").json["pruning"]
    told = section(text(server.caller().get("/targets/orders")), "telling")
    for cluster in pruning["clusters"]:
        others = sorted(set(cluster["members"]) - {cluster["representative"]})
        assert f"{cluster['representative']} {' , '.join(others) or 'itself alone'} " in told
    assert f"from {pruning['windows']} windows of " in told
    found = server.store.artefacts.latest(pruning_of("simulated")).content
    found["dropped"] = {HOSTILE: "constant at 16"}
    server.store.artefacts.put(pruning_of("simulated"), found)
    page = server.caller().get("/targets/billing").get_data(as_text=True)
    assert "<script>alert" not in page
    assert f"{HOSTILE} constant at 16" in html.unescape(section(page, "telling"))
    server.store.artefacts.put(pruning_of("simulated"), {"format": 99})
    told = section(text(server.caller().get("/targets/orders")), "telling")
    assert "Not known yet" in told


def test_hostile_names_in_findings_stay_text(server: Any) -> None:
    artefacts = server.store.artefacts
    ranking = artefacts.latest(RANKING, session_id=RUNNING).content
    ranking["knobs"][0] |= {"knob": HOSTILE, "share": {"value": 0.5, "low": 0.1, "high": 0.9}}
    ranking["reason"] = HOSTILE
    explanation = artefacts.latest(EXPLANATION, session_id=FINISHED).content
    for cause in explanation["contributions"]:
        cause.update(dict.fromkeys(("knob", "old", "new", "certainty"), HOSTILE))
    explanation["text"] = HOSTILE
    explanation["unused"] = [HOSTILE]
    mapping = artefacts.latest(MAPPING, session_id=RUNNING).content
    mapping["reason"] = mapping["matches"][0]["workload"] = HOSTILE
    mapping["known"][HOSTILE] = {"sessions": [1]}
    for kind, content in ((RANKING, ranking), (EXPLANATION, explanation), (MAPPING, mapping)):
        artefacts.put(kind, content, session_id=RUNNING)
    for path in (f"/sessions/{RUNNING}", "/history"):
        page = server.caller().get(path).get_data(as_text=True)
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page, "it is shown, as text"


def test_the_history_page_lists_narrows_and_is_linked(server: Any) -> None:
    caller = server.caller()
    assert 'href="/history"' in text(caller.get("/"))
    page = text(caller.get("/history"))
    assert '<a href="/history" aria-current="page">History</a>' in page
    assert 'href="/sessions/1"' in page
    assert 'href="/sessions/2"' in page
    assert '<strong class="good">' in page
    assert "no comparison yet" in page
    assert 'aria-current="true">simulated</a>' in text(caller.get("/history?kind=simulated"))
    assert "of kind <b>" in text(caller.get("/history?kind=<b>"))
    assert "&lt;b&gt;" in caller.get("/history?kind=<b>").get_data(as_text=True)
    for odd in ("page=0", "page=x", "page=99999999999", "kind="):
        text(caller.get(f"/history?{odd}"))


def test_the_history_page_asks_for_a_login_from_elsewhere(server: Any) -> None:
    answer = server.caller().get("/history", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/history")


# -- drawing and wording -------------------------------------------------------------------------


def test_bars_are_in_order_within_their_frame_and_to_one_scale() -> None:
    wide = {"value": 0.3, "low": -0.5, "high": 1.5}
    narrow = {"value": 0.3, "low": 0.3, "high": 0.3}
    first, second = gain_bars([wide, narrow])
    assert (first.low, first.low + first.length) == (PADDING, WIDTH - PADDING)
    assert first.low < first.zero < first.value < first.low + first.length
    assert (second.zero, second.value) == (first.zero, first.value)
    assert second.length > 0, "an interval of no length is still drawn"
    (worse,) = gain_bars([{"value": -2.0, "low": -3.0, "high": -1.0}])
    assert worse.zero == WIDTH - PADDING
    (nothing,) = gain_bars([{"value": 0.0, "low": 0.0, "high": 0.0}])
    assert nothing.zero == nothing.value
    (half,) = share_bars([{"value": 0.5, "low": 0.0, "high": 1.0}])
    assert (half.value, half.length) == (WIDTH / 2, WIDTH - 2 * PADDING)


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0, "0 %"), (0.004, "under 1 %"), (0.37, "37 %"), (0.996, "over 99 %"), (1.0, "100 %")],
)
def test_shares(value: float, written: str) -> None:
    assert share(value) == written


def test_gains() -> None:
    assert gain(0.365, relative=True) == "+44 %"
    assert gain(-0.0001, relative=True) == "+0 %"
    assert gain(3.2, relative=True) == "+2,353 %"
    assert gain(-0.5, relative=False, unit="ms") == "-0.5000 ms"
    assert gain(700.0, relative=True) == "+1.0e+306 %"
    ends = {"low": -0.26, "high": 0.45}
    assert gain_range(ends, relative=True) == "-23 to +57 %"
    assert gain_range(ends, relative=False, unit="ms") == "-0.2600 to +0.4500 ms"


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
    ]  # fmt: skip
