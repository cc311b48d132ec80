"""Targets: the list, and one target with its knobs, metrics, agent, sessions and events."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from knowledge_base.records import Target
from tuner.learning import pruned_metrics
from web.pages.login import require_access
from web.pages.overview import agent_line, session_lines
from web.pages.paging import PageLinks, page_number
from web.services import services

blueprint = Blueprint("targets_page", __name__)
blueprint.before_request(require_access)

PAGE = 50
SHOWN_SESSIONS = 20
SHOWN_EVENTS = 30


@blueprint.get("/targets")
def list_targets() -> str:
    """All targets by name."""
    store = services().store
    number = page_number(request.args)
    page = store.targets.list(limit=PAGE, offset=PAGE * (number - 1))
    lines = [(target, _agent(target), _latest(target)) for target in page.items]
    return render_template(
        "targets.html", lines=lines, links=PageLinks.of(number, total=page.total, size=PAGE)
    )


@blueprint.get("/targets/<path:name>")
def show_target(name: str) -> str:
    """One target."""
    store = services().store
    target = store.targets.by_name(name)
    sessions = store.sessions.list(target_id=target.id, limit=SHOWN_SESSIONS)
    return render_template(
        "target.html",
        target=target,
        agent=_agent(target),
        sessions=session_lines(store, sessions.items),
        pruning=pruned_metrics(store, target.kind) if target.kind else None,
        events=store.events.list(target_id=target.id, limit=SHOWN_EVENTS, newest_first=True),
    )


def _agent(target: Target) -> object:
    agent = services().store.agents.of_target(target.id)
    return None if agent is None else agent_line(agent, target)


def _latest(target: Target) -> object:
    sessions = services().store.sessions.list(target_id=target.id, limit=1).items
    return sessions[0] if sessions else None
