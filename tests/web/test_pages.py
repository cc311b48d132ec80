"""The pages as HTML: what they say, who may see them, and that hostile text stays text."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest

from knowledge_base.records import Scope, SessionPhase, SessionState
from targets.machine import Machine
from tuner.confirmation import MINIMUM_PAIRS, confirm
from tuner.looks import Looks
from web import WebSettings

LOOKS = Looks.plan(16, least=MINIMUM_PAIRS)

ELSEWHERE = {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}


def text(response: Any) -> str:
    assert response.status_code == 200, response.data
    assert response.content_type == "text/html; charset=utf-8"
    return response.get_data(as_text=True)


def tried(server: Any, agent: Any, window: Any, number: int, value: float, **changes: Any) -> Any:
    """A trial measured at `value`, or failed when the result says so."""
    session = server.store.sessions.list().items[0]
    result = changes.pop("result", {"windows": [window(objectives={"throughput": value})]})
    server.add_trial(session, number, **changes)
    leased = agent.work().json
    agent.result(leased["trial"], leased["epoch"], **result)
    return server.store.trials.get(leased["trial"])


@pytest.fixture
def running(server: Any, agent: Any, window: Any) -> Any:
    """A session with a baseline, a better trial and a failed one."""
    session = server.start_session()
    better = {**session.baseline, "cache": 9}
    tried(server, agent, window, 0, 100.0)
    tried(
        server, agent, window, 1, 250.0,
        configuration=better,
        suggestion={"kind": "explore", "lane": "start", "reason": "a dart thrown well"},
        result={
            "windows": [window(objectives={"throughput": 250.0})],
            "in_force": {**better, "cache": 8},
        },
    )  # fmt: skip
    tried(
        server, agent, window, 2, 0.0,
        suggestion={"kind": "exploit", "lane": "model", "reason": "r"},
        result={"state": "failed", "failure": "guardrail", "message": "p99 9 ms", "windows": []},
    )  # fmt: skip
    return server.store.sessions.get(session.id)


def test_an_empty_house_says_how_to_begin(server: Any) -> None:
    page = text(server.caller().get("/"))
    assert "lontra tune sqlite" in page


def test_the_overview_shows_what_runs_and_who_is_there(server: Any, running: Any) -> None:
    page = text(server.caller().get("/"))
    assert f'href="/sessions/{running.id}"' in page
    assert "2 of 40 trials" in page
    assert f"on {Machine.detect().host}, heard" in page
    server.clock.advance(120)
    assert "silent since" in text(server.caller().get("/"))


def test_a_running_session_shows_values_reasons_and_failures(server: Any, running: Any) -> None:
    page = text(server.caller().get(f"/sessions/{running.id}"))
    assert "a dart thrown well" in page
    assert "2.50×" in page
    assert "p99 9 ms" in page
    assert 'data-state="failed">guardrail' in page
    assert "cache: asked 9, in force 8" in page
    assert "Only paired windows will tell" in page
    assert 'hx-trigger="every 2s"' in page
    assert '<noscript><meta http-equiv="refresh"' in page


def test_the_chart_and_the_table_hold_the_same_numbers(server: Any, running: Any) -> None:
    page = text(server.caller().get(f"/sessions/{running.id}"))
    data = re.search(r'<script type="application/json" id="chart-data">(.*?)</script>', page, re.S)
    assert data
    chart = json.loads(data[1])
    assert [(s["number"], s["value"], s["best"], s["failure"]) for s in chart["steps"]] == [
        (0, 100.0, 100.0, None),
        (1, 250.0, 250.0, None),
        (2, None, 250.0, "guardrail"),
    ]
    assert chart["baseline"] == 100.0
    rows = re.findall(r'<th scope="row" class="num">(\d+)</th>\s*<td class="num">([\d.]+)<', page)
    assert rows == [("1", "250.0"), ("0", "100.0")]


def test_a_finished_session_tells_its_verdict_in_words_and_stops_asking(
    server: Any, running: Any
) -> None:
    incumbent = server.store.trials.all(running.id)[1]
    verdict = confirm([2.0, 2.1] * 8, looks=LOOKS, margin=0.02)
    server.store.sessions.advance(
        running.id,
        revision=running.revision,
        state=SessionState.FINISHED,
        phase=SessionPhase.DONE,
        incumbent_trial_id=incumbent.id,
        verdict=verdict.to_dict(),
        reason=verdict.words,
    )
    page = text(server.caller().get(f"/sessions/{running.id}"))
    assert verdict.words in page
    assert page.count(verdict.words) == 1, "said once"
    assert '<p class="ratio">2.05×</p>' in page
    assert 'aria-label="95 % interval' in page
    assert "hx-trigger" not in page
    assert "http-equiv" not in page


def test_the_live_part_is_304_until_something_changes(
    server: Any, agent: Any, running: Any, window: Any
) -> None:
    caller = server.caller()
    path = f"/sessions/{running.id}/live"
    first = caller.get(path)
    tag = first.headers["ETag"]
    assert tag.strip('"') in first.get_data(as_text=True), "the fragment carries its own version"
    same = caller.get(path, headers={"If-None-Match": tag})
    assert (same.status_code, same.data) == (304, b"")
    tried(server, agent, window, 3, 300.0, suggestion={"kind": "explore", "reason": "again"})
    assert caller.get(path, headers={"If-None-Match": tag}).status_code == 200
    overview = caller.get("/live")
    again = caller.get("/live", headers={"If-None-Match": overview.headers["ETag"]})
    assert again.status_code == 304


HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>\"'&"


def test_hostile_names_and_messages_stay_text(server: Any, window: Any) -> None:
    agent = server.agent(HOSTILE)
    assert agent.register(host=HOSTILE, agent_version=HOSTILE[:60]).status_code == 200
    session = server.start_session(HOSTILE)
    suggestion = {"kind": "baseline", "lane": HOSTILE, "reason": HOSTILE}
    tried(
        server, agent, window, 0, 0.0,
        suggestion=suggestion,
        result={"state": "failed", "failure": "guardrail", "message": HOSTILE, "windows": []},
    )  # fmt: skip
    agent.event("restored", message=HOSTILE, session=session.id)
    caller = server.caller()
    found = text(caller.get("/targets"))
    link = re.search(r'href="(/targets/[^"]+)"', found)
    assert link
    target = html.unescape(link[1])
    pages = [found] + [
        text(caller.get(path)) for path in ("/", "/sessions", f"/sessions/{session.id}", target)
    ]
    for page in pages:
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "onerror=alert(1)&gt;" in page, "it is shown, as text"


def test_pages_load_nothing_from_elsewhere_and_run_nothing_inline(
    server: Any, running: Any
) -> None:
    for path in ("/", "/sessions", f"/sessions/{running.id}", "/targets", "/targets/orders",
                 "/login", "/api/v1/docs"):  # fmt: skip
        page = text(server.caller().get(path))
        assert not re.search(r"""(src|href|action)=["'](https?:)?//""", page), path
        for tag in re.findall(r"<script[^>]*>", page):
            assert "src=" in tag or "application/json" in tag, tag
        assert "<style" not in page
        assert not re.search(r"<[^>]+\sstyle=", page)
        assert not re.search(r"<[^>]+\son[a-z]+=", page)


def test_lists_are_filtered_and_paged(server: Any, running: Any) -> None:
    caller = server.caller()
    assert "#1" in text(caller.get("/sessions?state=running"))
    assert "No session is stood down" in text(caller.get("/sessions?state=stood-down"))
    for odd in ("page=0", "page=x", "page=99999999999", "state=odd"):
        text(caller.get(f"/sessions?{odd}"))


def test_a_target_shows_its_knobs_and_what_is_in_force(server: Any, agent: Any) -> None:
    server.clock.advance(1)
    defaults = server.store.agents.by_instance("instance-1").in_force
    agent.heartbeat(in_force={**defaults, "cache": 7})
    page = text(server.caller().get("/targets/orders"))
    assert "1 … 65,536, log scale" in page
    assert 'title="not the safe value"' in page


def test_unknown_things_are_a_page_and_not_json(server: Any) -> None:
    response = server.caller().get("/sessions/99")
    assert (response.status_code, response.mimetype) == (404, "text/html")
    assert "there is no session 99" in response.get_data(as_text=True)


# -- access --------------------------------------------------------------------------------------


def form_key(page: str) -> str:
    found = re.search(r'name="form_key" value="([^"]+)"', page)
    assert found
    return found[1]


def log_in(caller: Any, token: str, **form: str) -> Any:
    page = text(caller.get("/login", **ELSEWHERE))
    data = {"form_key": form_key(page), "token": token, "next": "/sessions", **form}
    return caller.send("POST", "/login", data=data, **ELSEWHERE)


@pytest.mark.parametrize(
    "request_",
    [
        ELSEWHERE,
        {"headers": {"X-Forwarded-For": "192.0.2.7"}},
        {"headers": {"Via": "1.1 proxy"}},
        {"headers": {"Forwarded": "for=192.0.2.7"}},
    ],
)
def test_from_elsewhere_the_pages_ask_for_a_login(server: Any, request_: dict[str, Any]) -> None:
    caller = server.caller()
    assert caller.get("/").status_code == 200
    response = caller.get("/sessions?state=running", **request_)
    assert response.status_code == 303
    assert response.headers["Location"] == "/login?next=/sessions?state%3Drunning"
    assert caller.get("/live", **request_).status_code == 401


def test_a_token_opens_the_pages_until_it_is_revoked(server: Any) -> None:
    token, secret = server.store.tokens.create(scope=Scope.VIEWER, label="ann")
    caller = server.caller()
    response = log_in(caller, secret)
    assert (response.status_code, response.headers["Location"]) == (303, "/sessions")
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert secret.split("_", 2)[2] not in cookie
    assert "ann" in text(caller.get("/sessions", **ELSEWHERE))
    server.store.tokens.revoke(token.id)
    assert caller.get("/sessions", **ELSEWHERE).status_code == 303


def test_a_login_ends_by_itself_and_by_hand(server: Any) -> None:
    _, secret = server.store.tokens.create(scope=Scope.VIEWER, label="ann")
    caller = server.caller()
    log_in(caller, secret)
    server.clock.advance(12 * 3600 + 1)
    assert caller.get("/", **ELSEWHERE).status_code == 303
    log_in(caller, secret)
    key = form_key(text(caller.get("/", **ELSEWHERE)))
    assert caller.send("POST", "/logout", data={}, **ELSEWHERE).status_code == 403
    assert caller.send("POST", "/logout", data={"form_key": key}, **ELSEWHERE).status_code == 303
    assert caller.get("/", **ELSEWHERE).status_code == 303


def test_wrong_tokens_scopes_and_forged_forms_do_not_log_in(server: Any) -> None:
    _, viewer = server.store.tokens.create(scope=Scope.VIEWER, label="ann")
    caller = server.caller()
    assert log_in(caller, "lontra_abcdefgh_" + "a" * 43).status_code == 401
    assert log_in(caller, server.agent().token).status_code == 403
    assert log_in(caller, viewer, form_key="forged").status_code == 403
    assert caller.get("/", **ELSEWHERE).status_code == 303


@pytest.mark.parametrize("wanted", ["//evil.example", "https://evil.example", "/\\evil", "/a\nb"])
def test_a_login_leads_nowhere_else(server: Any, wanted: str) -> None:
    _, viewer = server.store.tokens.create(scope=Scope.VIEWER, label="ann")
    assert log_in(server.caller(), viewer, next=wanted).headers["Location"] == "/"


class TestBehindAProxy:
    """`trusted_proxies` counts the proxies whose word on the client is taken."""

    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(trusted_proxies=1)

    def test_nobody_is_local_and_failures_count_by_the_real_client(self, server: Any) -> None:
        caller = server.caller()
        assert caller.get("/").status_code == 303
        wrong = {"Authorization": "Bearer lontra_abcdefgh_" + "a" * 43}
        for _ in range(10):
            caller.get("targets", headers={**wrong, "X-Forwarded-For": "192.0.2.7"})
        refused = caller.get("targets", headers={**wrong, "X-Forwarded-For": "192.0.2.7"})
        other = caller.get("targets", headers={**wrong, "X-Forwarded-For": "192.0.2.8"})
        assert (refused.status_code, other.status_code) == (429, 401)


class TestClosedOnLoopback:
    @pytest.fixture
    def settings(self) -> WebSettings:
        return WebSettings(open_on_loopback=False, secret_key="k" * 32, secure_cookie=True)

    def test_even_this_machine_logs_in(self, server: Any) -> None:
        caller = server.caller()
        assert caller.get("/").status_code == 303
        assert caller.get("/metrics").status_code == 401
        cookie = caller.get("/login").headers["Set-Cookie"]
        assert "Secure" in cookie
        assert "max-age" in caller.get("/login").headers["Strict-Transport-Security"]


@pytest.mark.parametrize(
    "wrong", [{"secret_key": "short"}, {"heartbeat_seconds": 20.0}, {"trusted_hosts": ()}]
)
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        WebSettings(**wrong)
