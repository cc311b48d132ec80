"""History: what is known, a line for every session."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, render_template, request

from tuner.learning import known_history
from web.pages.login import require_access
from web.pages.paging import PageLinks, page_number
from web.services import services

blueprint = Blueprint("history_page", __name__)
blueprint.before_request(require_access)

PAGE = 50


@blueprint.get("/history")
def show_history() -> str:
    """All sessions or those of one kind of target, newest first, with what came of each."""
    kind = request.args.get("kind") or None
    number = page_number(request.args)
    page = known_history(services().store, kind=kind, limit=PAGE, offset=PAGE * (number - 1))
    return render_template(
        "history.html",
        tasks=[(task, datetime.fromisoformat(task.created_at)) for task in page.items],
        kind=kind,
        links=PageLinks.of(number, total=page.total, size=PAGE),
    )
