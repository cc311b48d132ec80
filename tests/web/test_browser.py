"""The session page in a real browser: drawn, alive, silent, and asking nobody else."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from knowledge_base import Store
from knowledge_base.records import SessionPhase, SessionState
from targets.clock import ManualClock
from web import create_app

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = os.environ.get("LONTRA_CHROMIUM") or shutil.which("chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: set LONTRA_CHROMIUM to its path"),
]


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        return


@dataclass
class Site:
    """The server on a port of its own, its session, and whoever adds trials to it."""

    url: str
    server: Any
    agent: Any
    window: Any
    session: Any

    def try_one(self, number: int, value: float | None, **changes: Any) -> None:
        suggestion = {"kind": "explore", "lane": "start", "reason": f"reason {number}"}
        self.server.add_trial(self.session, number, suggestion=suggestion, **changes)
        leased = self.agent.work().json
        result: dict[str, Any] = (
            {"state": "failed", "failure": "timed-out", "message": "too slow", "windows": []}
            if value is None
            else {"windows": [self.window(objectives={"throughput": value})]}
        )
        self.agent.result(leased["trial"], leased["epoch"], **result)


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The application on a port of its own; its address."""
    listener = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.port}"
    finally:
        listener.shutdown()
        thread.join()


@pytest.fixture
def site(server: Any, agent: Any, window: Any) -> Iterator[Site]:
    session = server.start_session()
    with serving(server.app) as url:
        made = Site(url, server, agent, window, session)
        server.add_trial(session, 0)
        leased = agent.work().json
        baseline = window(objectives={"throughput": 100})
        agent.result(leased["trial"], leased["epoch"], windows=[baseline])
        made.try_one(1, 180.0, configuration={**session.baseline, "cache": 9})
        made.try_one(2, None)
        made.try_one(3, 150.0)
        yield made


@pytest.fixture
def studied_url(studied_database: Path, tmp_path: Path, clock: ManualClock) -> Iterator[str]:
    """A server whose session 1 has ended and was studied, and whose session 2 learns from it."""
    path = tmp_path / "studied.db"
    shutil.copy(studied_database, path)
    with (
        Store.open(f"sqlite:///{path}", clock=clock) as store,
        serving(create_app(store, clock=clock)) as url,
    ):
        yield url


@dataclass
class Watched:
    """A page whose requests and complaints are all recorded."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def hosts(self) -> set[str]:
        return {urlsplit(url).netloc for url in self.requests if not url.startswith("data:")}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def watched(browser: Any) -> Iterator[Any]:
    contexts = []

    def watch(**options: Any) -> Watched:
        context = browser.new_context(viewport={"width": 1200, "height": 900}, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        seen = Watched(context.new_page())
        context.on("request", lambda request: seen.requests.append(request.url))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on(
            "console",
            lambda told: (
                seen.complaints.append(told.text) if told.type in ("error", "warning") else None
            ),
        )
        return seen

    yield watch
    for context in contexts:
        context.close()


def test_what_was_measured_in_shorter_windows_is_drawn_hollow(site: Site, watched: Any) -> None:
    page = watched().page
    page.goto(f"{site.url}/sessions/{site.session.id}")
    page.wait_for_selector("#chart svg path", state="attached")
    dotted = page.locator("#chart svg path[stroke-dasharray][fill]:not([fill='none'])")
    assert dotted.count() == 0
    page.evaluate(
        """() => {
            const place = document.getElementById("chart-data");
            const data = JSON.parse(place.textContent);
            data.steps.at(-1).fidelity = 1 / 3;
            place.textContent = JSON.stringify(data);
            document.dispatchEvent(new Event("htmx:afterSettle"));
        }"""
    )
    surface = page.evaluate(
        "() => getComputedStyle(document.documentElement).getPropertyValue('--surface').trim()"
    )
    assert [one.get_attribute("fill") for one in dotted.all()] == [surface]
    assert "1 measured in shorter windows" in page.locator("#chart").get_attribute("aria-label")


def test_the_chart_is_drawn_and_follows_the_session(
    site: Site, watched: Any, tmp_path: Path
) -> None:
    seen = watched()
    page = seen.page
    page.goto(f"{site.url}/sessions/{site.session.id}")
    page.wait_for_selector("#chart svg path", state="attached")
    drawn = page.locator("#chart svg path").count()
    assert drawn >= 5, "a best-so-far line, trials, a failure, levels"
    assert "Best so far 180" in page.locator("#chart").get_attribute("aria-label")
    chart = page.locator("#chart svg").element_handle()

    page.locator("#trials").scroll_into_view_if_needed()
    site.try_one(4, 240.0)
    page.wait_for_selector("table.trials tr.record >> text=240.0")
    page.wait_for_function(
        "() => document.querySelector('#chart').getAttribute('aria-label').includes('far 240')"
    )
    assert page.locator("#chart svg path").count() > drawn
    assert chart.evaluate("svg => svg.isConnected"), "updated in place, not drawn anew"
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1

    page.screenshot(path=tmp_path / "session.png", full_page=True)
    assert (tmp_path / "session.png").stat().st_size > 20_000
    assert seen.complaints == []
    assert seen.hosts() == {urlsplit(site.url).netloc}


def test_polling_costs_nothing_new_while_nothing_changes_and_ends_with_the_session(
    site: Site, watched: Any
) -> None:
    seen = watched()
    statuses: list[int] = []
    seen.page.on(
        "response",
        lambda answer: statuses.append(answer.status) if answer.url.endswith("/live") else None,
    )
    seen.page.goto(f"{site.url}/sessions/{site.session.id}")
    seen.page.wait_for_event("response", lambda answer: answer.url.endswith("/live"))
    assert statuses == [304]

    revision = site.server.store.sessions.get(site.session.id).revision
    site.server.store.sessions.advance(
        site.session.id,
        revision=revision,
        state=SessionState.FINISHED,
        phase=SessionPhase.DONE,
        reason="the budget is spent",
    )
    seen.page.wait_for_selector("#live:not([hx-trigger])")
    assert seen.page.locator(".standing").inner_text().endswith("the budget is spent")
    assert seen.complaints == []


def test_what_the_reader_opened_stays_open(site: Site, watched: Any) -> None:
    site.server.add_trial(
        site.session, 4, task="confirm", sequence=("baseline", "candidate"), block=0
    )
    leased = site.agent.work().json
    both = [
        site.window(arm=arm, position=place, objectives={"throughput": 100.0 + place})
        for place, arm in enumerate(("baseline", "candidate"))
    ]
    site.agent.result(leased["trial"], leased["epoch"], windows=both)
    seen = watched()
    seen.page.goto(f"{site.url}/sessions/{site.session.id}")
    seen.page.locator("#blocks summary").click()
    site.try_one(5, 99.0)
    seen.page.wait_for_selector("table.trials >> text=reason 5")
    assert seen.page.locator("#blocks").get_attribute("open") is not None


def test_the_page_reads_whole_without_a_script(site: Site, watched: Any) -> None:
    seen = watched(java_script_enabled=False)
    seen.page.goto(f"{site.url}/sessions/{site.session.id}")
    rows = seen.page.locator("table.trials tbody tr")
    assert rows.count() == 4
    assert "180.0" in rows.nth(2).inner_text()
    assert seen.page.locator("text=too slow").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_every_page_fits_its_window_in_both_schemes(
    site: Site, watched: Any, scheme: str, width: int
) -> None:
    seen = watched(color_scheme=scheme)
    seen.page.set_viewport_size({"width": width, "height": 800})
    paper = {"light": "rgb(248, 247, 243)", "dark": "rgb(16, 21, 20)"}[scheme]
    for path in ("/", "/sessions", f"/sessions/{site.session.id}", "/targets", "/targets/orders",
                 "/history", "/login", "/api/v1/docs"):  # fmt: skip
        seen.page.goto(site.url + path)
        page_width = seen.page.evaluate("document.documentElement.scrollWidth")
        assert page_width <= width, path
        ground = "getComputedStyle(document.documentElement).backgroundColor"
        assert seen.page.evaluate(ground) == paper
    assert seen.complaints == []
    assert seen.hosts() == {urlsplit(site.url).netloc}


CONTRAST = """() => {
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(Number)
      .map((part) => part / 255)
      .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
  };
  return [...document.querySelectorAll('body *')]
    .filter((element) => !element.closest('svg, .visually-hidden, .skip') &&
      [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()) &&
      element.checkVisibility())
    .map((element) => {
      const [one, other] = [getComputedStyle(element).color, ground(element)].map(luminance);
      const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      return [element.outerHTML.slice(0, 90), Math.round(ratio * 100) / 100];
    })
    .filter(([, ratio]) => ratio < 4.5);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(site: Site, watched: Any, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    seen = watched(color_scheme=scheme)
    for path in (f"/sessions/{site.session.id}", "/", "/targets/orders", "/api/v1/docs"):
        seen.page.goto(site.url + path)
        assert seen.page.evaluate(CONTRAST) == [], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_was_learnt_fits_and_reads_in_both_schemes(
    studied_url: str, watched: Any, scheme: str
) -> None:
    seen = watched(color_scheme=scheme)
    for width in (1200, 390):
        seen.page.set_viewport_size({"width": width, "height": 800})
        for path in ("/sessions/1", "/sessions/2", "/history"):
            seen.page.goto(studied_url + path)
            assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert seen.page.evaluate(CONTRAST) == [], path
    assert seen.complaints == []
    assert seen.hosts() == {urlsplit(studied_url).netloc}


def test_intervals_are_drawn_as_the_figures_beside_them_say(studied_url: str, watched: Any) -> None:
    page = watched().page
    page.goto(f"{studied_url}/sessions/1")
    rows = page.locator("table.ranking tbody tr")
    assert rows.count() == 9
    for place in range(rows.count()):
        row = rows.nth(place)
        axis, drawn, point = (
            row.locator(f".bar .{part}").bounding_box() for part in ("axis", "range", "point")
        )
        high = float(row.locator("td.num .note").first.inner_text().split()[-2])
        drawn_to = (drawn["x"] + drawn["width"] - axis["x"]) / axis["width"]
        assert drawn_to == pytest.approx(high / 100, abs=0.05)
        middle = point["x"] + point["width"] / 2
        assert drawn["x"] - 1 <= middle <= drawn["x"] + drawn["width"] + 1


def test_the_keyboard_reaches_everything(site: Site, watched: Any) -> None:
    page = watched().page
    page.goto(f"{site.url}/sessions/{site.session.id}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_url("**#main")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('a, button, input, [tabindex]')]"
        ".filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length))"
        ".map((e) => e.outerHTML)"
    )
    assert unnamed == []
    headings = page.evaluate("[...document.querySelectorAll('h1')].length")
    assert headings == 1
