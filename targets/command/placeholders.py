"""Placeholders: how a knob's value gets into an argument, an environment variable or a file.

`{name}` stands for the value of the knob of that name. All other braces are themselves, so that
a template in JSON or in nginx's syntax needs no escapes; `{{name}}` is the literal text `{name}`.
A value is put into the text it stands in and nowhere else: one argument stays one argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from targets.knobs import Value

_NAME = r"[A-Za-z_][A-Za-z0-9_.\-]*"
_PLACEHOLDER = re.compile(rf"\{{\{{(?P<literal>{_NAME})\}}\}}|\{{(?P<name>{_NAME})\}}")


@dataclass(frozen=True)
class Template:
    """A text with placeholders: literal texts and, between them, names.

    `literals` has one more item than `names`; the text is literal, value, literal, value, literal.

    >>> Template.parse("--cache={cache}MB").fill({"cache": "64"})
    '--cache=64MB'
    """

    literals: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Find the placeholders; every text is a template."""
        literals, names, end, literal = [], [], 0, ""
        for match in _PLACEHOLDER.finditer(text):
            literal += text[end : match.start()]
            end = match.end()
            if match["name"] is None:
                literal += "{" + match["literal"] + "}"
            else:
                literals.append(literal)
                names.append(match["name"])
                literal = ""
        return cls((*literals, literal + text[end:]), tuple(names))

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with the values in it. Raises KeyError for a name without a value."""
        parts = [self.literals[0]]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            parts += (values[name], literal)
        return "".join(parts)

    def __str__(self) -> str:
        """The text as its owner wrote it, but for doubled braces."""
        return self.fill({name: f"{{{name}}}" for name in self.names})

    @property
    def starts_with_value(self) -> str | None:
        """The name whose value the text begins with, if it does."""
        return self.names[0] if self.names and not self.literals[0] else None


@dataclass(frozen=True)
class BooleanWords:
    """How the target writes false and true."""

    false: str = "false"
    true: str = "true"


def format_value(value: Value, words: BooleanWords) -> str:
    """A value as the target reads it: numbers plainly, never with an exponent."""
    if isinstance(value, bool):
        return words.true if value else words.false
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(value)
