"""JSON as the API speaks it: nothing that a database or another language could not carry.

Refused on the way in: NaN and infinities (also as 1e999), whole numbers beyond 64 bits, NUL
characters and lone surrogates (PostgreSQL stores neither), texts and nesting without measure.
On the way out a float that is not finite becomes null.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from flask.json.provider import DefaultJSONProvider

MAXIMUM_DEPTH = 32
MAXIMUM_TEXT = 65_536
# Signed and unsigned 64-bit numbers both occur as knob values.
MAXIMUM_WHOLE = 2**64 - 1
# No 64-bit number has more digits; int() of a very long text takes quadratic time.
_MAXIMUM_DIGITS = 20
# Possessive, and satisfied by a text that never ends: no input makes it look twice at anything.
_BRACKET_OR_TEXT = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*+"?', re.DOTALL)


class MalformedJson(ValueError):
    """The text is no JSON that the API accepts; says what and where as far as it can."""


def loads(text: str | bytes) -> Any:
    """Read JSON strictly.

    Raises:
        MalformedJson: it is not UTF-8, not JSON, or carries something refused (see above).
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedJson(f"the body is not UTF-8: {error}") from error
    _check_depth(text)
    try:
        value = json.loads(
            text, parse_constant=_refuse, parse_float=_read_real, parse_int=_read_whole
        )
    except json.JSONDecodeError as error:
        raise MalformedJson(f"the body is not JSON: {error}") from error
    _check_texts(value)
    return value


def finite(value: Any) -> Any:
    """The same data with null for every float that JSON cannot carry."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


class StrictJSONProvider(DefaultJSONProvider):
    """Flask's JSON with the rules above."""

    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return loads(s)

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return super().dumps(finite(obj), allow_nan=False, **kwargs)


def _check_depth(text: str) -> None:
    """Before parsing, as the parser would recurse; brackets inside texts do not count."""
    depth = 0
    for token in _BRACKET_OR_TEXT.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
            if depth > MAXIMUM_DEPTH:
                raise MalformedJson(f"the JSON is nested deeper than {MAXIMUM_DEPTH}")
        elif first in "]}":
            depth -= 1


def _check_texts(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_texts(item)
    elif isinstance(value, list):
        for item in value:
            _check_texts(item)


def _check_text(text: str) -> None:
    if len(text) > MAXIMUM_TEXT:
        raise MalformedJson(f"a text of {len(text)} characters: at most {MAXIMUM_TEXT} are read")
    if "\0" in text:
        raise MalformedJson("a text holds a NUL character, which cannot be stored")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise MalformedJson("a text holds half of a surrogate pair, which is no character")


def _refuse(name: str) -> None:
    raise MalformedJson(f"{name} is no JSON number: send null for a value that is not there")


def _read_real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise MalformedJson(f"the number {text[:40]} is beyond a 64-bit float")
    return value


def _read_whole(text: str) -> int:
    if len(text) > _MAXIMUM_DIGITS + 1 or abs(int(text)) > MAXIMUM_WHOLE:
        raise MalformedJson(f"the number {text[:40]} is beyond 64 bits")
    return int(text)
