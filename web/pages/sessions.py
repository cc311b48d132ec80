"""Sessions: the list, and one session live."""

from __future__ import annotations

from flask import Blueprint, Response, render_template, request

from knowledge_base.records import Session, SessionState
from web.pages.login import require_access
from web.pages.overview import session_lines
from web.pages.paging import PageLinks, page_number
from web.pages.polling import live, unchanged
from web.pages.session_view import fingerprint, session_page
from web.services import services

blueprint = Blueprint("sessions_page", __name__)
blueprint.before_request(require_access)

PAGE = 50


@blueprint.get("/sessions")
def list_sessions() -> str:
    """Sessions, newest first, all or those in one state."""
    store = services().store
    wanted = request.args.get("state", "")
    state = SessionState(wanted) if wanted in set(SessionState) else None
    number = page_number(request.args)
    page = store.sessions.list(state=state, limit=PAGE, offset=PAGE * (number - 1))
    return render_template(
        "sessions.html",
        lines=session_lines(store, page.items),
        state=state,
        states=list(SessionState),
        links=PageLinks.of(number, total=page.total, size=PAGE),
    )


@blueprint.get("/sessions/<id:session_id>")
def show_session(session_id: int) -> str:
    """One session, whole: readable without a script."""
    store = services().store
    session = store.sessions.get(session_id)
    page = session_page(store, services().sessions, session)
    return render_template("session.html", page=page, etag=_etag(session))


@blueprint.get("/sessions/<id:session_id>/live")
def session_live(session_id: int) -> Response:
    """The part of the page that changes while the session runs."""
    store = services().store
    session = store.sessions.get(session_id)
    etag = _etag(session)
    if same := unchanged(etag):
        return same
    page = session_page(store, services().sessions, session)
    return live("session_live.html", {"page": page, "etag": etag}, etag=etag)


def _etag(session: Session) -> str:
    return fingerprint(services().store, session, now=services().clock.now())
