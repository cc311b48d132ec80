"""The API's description, as OpenAPI JSON and as a page to read. Both open to anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, jsonify, render_template

from web.errors import PROBLEMS
from web.openapi import LontraApi

OPENAPI_PATH = "/api/v1/openapi.json"
DOCS_PATH = "/api/v1/docs"


@dataclass(frozen=True)
class Reading:
    """One operation, arranged for the page."""

    method: str
    path: str
    operation: Mapping[str, Any]

    @property
    def anchor(self) -> str:
        """A fragment to link to."""
        words = self.path.removeprefix("/api/v1/").replace("{", "").replace("}", "")
        return f"{self.method}-{words.replace('/', '-')}"

    @property
    def body(self) -> Mapping[str, Any] | None:
        """The schema of what is sent."""
        content = self.operation.get("requestBody", {}).get("content", {})
        schema: Mapping[str, Any] | None = content.get("application/json", {}).get("schema")
        return schema


def register(api: LontraApi) -> None:
    """Serve the description of `api`, as it is once all resources are registered."""
    app: Flask = api._app
    document = api.document()

    @app.get(OPENAPI_PATH)
    def openapi_json() -> Response:
        return jsonify(document)

    @app.get(DOCS_PATH)
    def api_docs() -> str:
        return render_template(
            "api.html", document=document, resources=_by_resource(document), problems=PROBLEMS
        )


def _by_resource(document: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], list[Reading]]]:
    """Tags in order, each with its operations."""
    readings = [
        Reading(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "responses" in operation
    ]
    return [
        (tag, [r for r in readings if tag["name"] in r.operation["tags"]])
        for tag in document["tags"]
    ]
