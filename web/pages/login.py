"""Logging in to the pages with a token, and out again."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from web.access import check_form_key, log_in, log_out, may_see_pages
from web.errors import Problem

blueprint = Blueprint("login", __name__)


@blueprint.get("/login")
def show_form() -> str:
    """The form."""
    return render_template("login.html", next=_local(request.args.get("next")))


@blueprint.post("/login")
def submit() -> BaseResponse:
    """Log in and go on to where the browser wanted to be."""
    wanted = _local(request.form.get("next"))
    try:
        check_form_key(request.form.get("form_key", ""))
        log_in(request.form.get("token", "").strip())
    except Problem as problem:
        page = render_template("login.html", next=wanted, problem=problem)
        return Response(page, status=problem.status, headers=problem.headers)
    return redirect(wanted, 303)


@blueprint.post("/logout")
def leave() -> BaseResponse:
    """Log out."""
    check_form_key(request.form.get("form_key", ""))
    log_out()
    return redirect(url_for("login.show_form"), 303)


def require_access() -> BaseResponse | None:
    """Send whoever may not see a page to the login."""
    if may_see_pages():
        return None
    if request.path.endswith("/live"):
        return Response(status=401, headers={"HX-Refresh": "true"})
    return redirect(url_for("login.show_form", next=request.full_path.rstrip("?")), 303)


def _local(path: str | None) -> str:
    """A path on this server; the first page for anything that could lead elsewhere."""
    if not path or not path.startswith("/") or path.startswith("//") or "\\" in path:
        return url_for("overview.overview")
    return path if path.isprintable() else url_for("overview.overview")
