"""Finds values in what a command printed: where to look, and how to take them for a knob's."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from targets.command.placeholders import BooleanWords, format_value
from targets.command.runner import OUTPUT_BYTES, Finished
from targets.errors import HarnessFailed
from targets.knobs import Knob, KnobType, Value

_STEP = re.compile(r"""\.(?P<key>[^.\[\]]+)|\[(?P<index>\d+)\]|\["(?P<quoted>[^"]+)"\]""")


class OutputFormat(StrEnum):
    """How a command prints values by name: one JSON object, or a line for each."""

    JSON = "json"
    LINES = "lines"


@dataclass(frozen=True)
class Source:
    """Where one value stands: `json:$.path[0].to`, `regex:...` or `exit-time`.

    `path` are a JSON path's steps, `pattern` is a compiled regex; with neither it is the time the
    command took, in seconds.
    """

    text: str
    path: tuple[str | int, ...] | None = None
    pattern: re.Pattern[str] | None = None

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read the form above.

        Raises:
            ValueError: it is none of the three, or its path or regex is wrong; says how.
        """
        kind, _, rest = text.partition(":")
        if text == "exit-time":
            return cls(text)
        if kind == "json":
            return cls(text, path=_json_path(rest))
        if kind != "regex":
            raise ValueError("must be json:$.path, regex:PATTERN or exit-time")
        try:
            pattern = re.compile(rest, re.MULTILINE)
        except re.error as error:
            raise ValueError(f"has a regex that does not compile: {error}") from None
        if pattern.groups != 1 and "value" not in pattern.groupindex:
            raise ValueError("needs one group (...), or one named (?P<value>...)")
        return cls(text, pattern=pattern)

    @property
    def is_time(self) -> bool:
        """Whether it is the time the command took."""
        return self.path is None and self.pattern is None

    def find(self, output: Finished) -> object:
        """The value, as JSON gives it or as text.

        Raises:
            HarnessFailed: it is not there.
        """
        if self.path is not None:
            return self._follow(parse_json(output), output)
        if self.pattern is None:
            return output.seconds
        match = self.pattern.search(output.stdout)
        if match is None:
            raise HarnessFailed(f"{output.command} printed nothing that {self.text} finds")
        return match["value"] if "value" in self.pattern.groupindex else match[1]

    def _follow(self, document: object, output: Finished) -> object:
        for step in self.path or ():
            inner: dict[str | int, object] = {}
            if isinstance(document, dict):
                inner = document
            elif isinstance(document, list):
                inner = dict(enumerate(document))
            if step not in inner:
                raise HarnessFailed(
                    f"{output.command} printed JSON without {self.text} (no {step!r} there)"
                )
            document = inner[step]
        return document


def _json_path(text: str) -> tuple[str | int, ...]:
    if not text.startswith("$"):
        raise ValueError("has a JSON path that does not begin with $, the whole document")
    steps: list[str | int] = []
    position = 1
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise ValueError(f'has a JSON path that ends making sense at {text[position:]!r}: '
                             'write $.key, $[0] or $["a key"]')  # fmt: skip
        steps.append(int(match["index"]) if match["index"] else match["key"] or match["quoted"])
        position = match.end()
    return tuple(steps)


def parse_json(output: Finished) -> object:
    """The JSON document a command printed.

    Raises:
        HarnessFailed: it is none, or longer than is kept.
    """
    if output.truncated:
        raise HarnessFailed(f"{output.command} printed more than {OUTPUT_BYTES} bytes of JSON")
    try:
        return json.loads(output.stdout)
    except (ValueError, RecursionError) as error:
        raise HarnessFailed(f"{output.command} printed no JSON: {error}") from error


def values_by_name(output: Finished, layout: OutputFormat) -> dict[str, object]:
    """Everything a command printed as name and value.

    A line is `name = value`, `name: value` or `name value`; other lines are passed over.

    Raises:
        HarnessFailed: JSON was agreed, and it is no object.
    """
    if layout is OutputFormat.LINES:
        lines = (re.split(r"\s*[=:]\s*|\s+", line.strip(), maxsplit=1)
                 for line in output.stdout.splitlines())  # fmt: skip
        return {parts[0]: parts[1] for parts in lines if len(parts) == 2}
    document = parse_json(output)
    if not isinstance(document, dict):
        raise HarnessFailed(f"{output.command} printed JSON that is no object by name")
    return document


def read_number(name: str, source: Source, output: Finished) -> float:
    """A number the output must hold; it may be NaN or infinite, which is for the caller to judge.

    Raises:
        HarnessFailed: it is not there, or no number.
    """
    found = source.find(output)
    number = _number(found)
    if number is None:
        raise HarnessFailed(
            f"{name}: {source.text} of {output.command} is {found!r}, which is no number"
        )
    return number


def _number(found: object) -> float | None:
    """The number that a JSON value or a text stands for; None when it stands for none."""
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        return float(found)
    except (ValueError, OverflowError):
        return None


def knob_values(
    knobs: Mapping[str, Knob], found: Mapping[str, object], words: BooleanWords, *, where: str
) -> dict[str, Value]:
    """What was found, as the knobs' values; every knob must be there.

    A value outside a knob's domain is kept as it is: it is what the target runs with.

    Raises:
        HarnessFailed: a knob is missing, or its value cannot be one of its type.
    """
    missing = [name for name in knobs if name not in found]
    if missing:
        raise HarnessFailed(f"{where} does not say: {', '.join(missing)}")
    return {
        name: _knob_value(knob, found[name], words, where=where) for name, knob in knobs.items()
    }


def _knob_value(knob: Knob, found: object, words: BooleanWords, *, where: str) -> Value:
    if isinstance(found, bool | int | float | str):
        text = format_value(found, words)
        for known in (*knob.special_values, *knob.levels):
            if format_value(known, words) == text:
                return known
        number = _number(found)
        if knob.is_number and number is not None and math.isfinite(number):
            whole = knob.type is KnobType.INTEGER and number == int(number)
            return int(number) if whole else number
        if knob.type in (KnobType.CATEGORICAL, KnobType.ORDINAL):
            return found
    raise HarnessFailed(f"{where}: knob {knob.name} reads {found!r}, which is no {knob.type} value")
