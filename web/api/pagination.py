"""Lists in pages: `limit` and `offset` in, `items` and `total` out, neighbours as `Link`."""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import urlencode

import marshmallow as ma
from flask import request
from marshmallow import fields

from knowledge_base.records import Page
from web.api.fields import StrictSchema, Whole
from web.api.operation import Answer

LARGEST_PAGE = 500
T = TypeVar("T")


class PageQuery(StrictSchema):
    """Which part of a list."""

    limit = Whole(low=1, high=LARGEST_PAGE, load_default=100)
    offset = Whole(load_default=0)

    @ma.pre_load
    def _numbers(self, data: Any, **_: Any) -> dict[str, Any]:
        return whole_parameters(data)


def page_answer(item: type[ma.Schema]) -> Answer:
    """The answer of an operation that returns `paged`."""
    name = item.__name__.removesuffix("Schema")
    schema = type(
        f"{name}Page",
        (ma.Schema,),
        {
            "items": fields.List(fields.Nested(item), required=True),
            "total": fields.Integer(required=True),
            "limit": fields.Integer(required=True),
            "offset": fields.Integer(required=True),
        },
    )
    return Answer(schema, headers={"Link": "the next and previous page (RFC 8288)"})


def paged(page: Page[Any], query: dict[str, int]) -> tuple[dict[str, Any], dict[str, str]]:
    """A page as an answer's body and headers."""
    limit, offset = query["limit"], query["offset"]
    links = []
    if offset + limit < page.total:
        links.append(_link("next", limit, offset + limit))
    if offset > 0:
        links.append(_link("prev", limit, max(0, offset - limit)))
    body = {"items": page.items, "total": page.total, "limit": limit, "offset": offset}
    return body, {"Link": ", ".join(links)} if links else {}


def _link(relation: str, limit: int, offset: int) -> str:
    query = {**request.args.to_dict(), "limit": limit, "offset": offset}
    return f'<{request.path}?{urlencode(query)}>; rel="{relation}"'


def whole_parameters(data: Any) -> dict[str, Any]:
    """Query parameters are texts: those that are whole numbers become such."""
    return {name: _whole(text) for name, text in data.items()}


def _whole(text: Any) -> Any:
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    return text
