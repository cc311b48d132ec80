"""OpenAPI: flask-smorest told to speak problem+json, strict JSON and our own documentation page.

The only module that knows flask-smorest's classes; `web.api.operation` builds on `ApiBlueprint`.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import marshmallow as ma
from flask import Flask, Request
from flask_smorest import Api, Blueprint  # type: ignore[import-untyped] # it ships no types
from flask_smorest.utils import prepare_response  # type: ignore[import-untyped]
from webargs.core import missing
from webargs.flaskparser import FlaskParser
from werkzeug.routing import IntegerConverter

from web import strict_json
from web.errors import PROBLEM_JSON, PROBLEMS
from web.version import lontra_version

LARGEST_ID = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly."""

DESCRIPTION = """\
What agents, programs and people ask of a Lontra server.

Authenticate with `Authorization: Bearer lontra_...`. Every refusal is `application/problem+json`
(RFC 9457) with a stable `code`. Writes take an `Idempotency-Key`. Lists take `limit` and
`offset`. Times are ISO 8601 with a zone; durations are seconds."""


class ProblemSchema(ma.Schema):
    """A refusal (RFC 9457)."""

    type = ma.fields.String(required=True, metadata={"description": "where it is explained"})
    title = ma.fields.String(required=True)
    status = ma.fields.Integer(required=True)
    detail = ma.fields.String(required=True, metadata={"description": "what and why, for people"})
    code = ma.fields.String(required=True, validate=ma.validate.OneOf(list(PROBLEMS)))
    errors = ma.fields.Dict(metadata={"description": "field by field what is wrong"})
    oldest = ma.fields.Integer(metadata={"description": "the oldest protocol version served"})


PROBLEM_REFERENCE = {"$ref": "#/components/schemas/Problem"}
"""Each operation names its refusals; a reference saves describing the form hundreds of times."""


class IdConverter(IntegerConverter):
    """A row's number in a path."""

    def __init__(self, url_map: Any) -> None:
        super().__init__(url_map, min=1, max=LARGEST_ID)


class StrictParser(FlaskParser):
    """Reads bodies with `strict_json`; unknown query parameters are faults, as misspelt ones
    would otherwise be ignored."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012 # as its base declares it
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": ma.RAISE,
    }

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        body = req.get_data(cache=True)
        return strict_json.loads(body) if body else missing


class ApiBlueprint(Blueprint):  # type: ignore[misc] # untyped base
    """A blueprint whose bodies and queries are read strictly."""

    ARGUMENTS_PARSER = StrictParser()


class LontraApi(Api):  # type: ignore[misc] # untyped base
    """The API's description; errors are left to `web.errors`."""

    ERROR_SCHEMA = ProblemSchema
    # No catch-all: a status that an operation does not declare is a fault that tests must see.
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """The application has one handler for all errors already."""

    def _register_responses(self) -> None:
        for status in HTTPStatus:
            response: dict[str, Any] = {"description": status.phrase}
            if status >= HTTPStatus.BAD_REQUEST:
                response["schema"] = ProblemSchema
            prepare_response(response, self.spec, PROBLEM_JSON)
            self.spec.components.response(status.name, response, lazy=True)

    def _register_doc_blueprint(self) -> None:
        """`web.api.reference` serves the specification and its page."""

    def document(self) -> Mapping[str, Any]:
        """The specification."""
        specification: Mapping[str, Any] = self.spec.to_dict()
        return specification


def make_api(app: Flask) -> LontraApi:
    """The API of an application; blueprints are registered on it."""
    app.url_map.converters["id"] = IdConverter
    app.config.update(
        API_TITLE="Lontra",
        API_VERSION=lontra_version(),
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {"description": DESCRIPTION, "license": {"name": "Apache-2.0"}},
            "security": [{"token": []}],
        },
    )
    api = LontraApi(app)
    api.register_converter(IdConverter, _id_schema)
    api.spec.components.security_scheme(
        "token",
        {"type": "http", "scheme": "bearer", "description": "a token: lontra_<id>_<secret>"},
    )
    return api


def _id_schema(converter: IdConverter) -> dict[str, Any]:
    return {"type": "integer", "minimum": converter.min, "maximum": converter.max}
