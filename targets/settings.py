"""Options declared once: command line, API schema, docs and forms all come from a `Setting`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from targets.errors import InvalidSetting
from targets.knobs import Value


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One option of an adapter or a recommender; its type is the default's type.

    Numbers lie in `low`..`high` where given; `choices` lists the allowed values where closed.
    """

    name: str
    default: Value
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[Value, ...] = ()

    def parse(self, given: object) -> Value:
        """The value in the default's type; texts are read as the command line gives them.

        Raises:
            InvalidSetting: of the wrong type, out of range or none of the choices.
        """
        value = self._convert(given)
        if self.choices and value not in self.choices:
            raise InvalidSetting(
                f"setting {self.name}={given!r} is none of: {', '.join(map(str, self.choices))}"
            )
        if isinstance(value, int | float) and not isinstance(value, bool):
            low = -math.inf if self.low is None else self.low
            high = math.inf if self.high is None else self.high
            if not low <= value <= high:
                unit = f" {self.unit}" if self.unit else ""
                raise InvalidSetting(f"setting {self.name}={given} is outside {low}..{high}{unit}")
        return value

    def _convert(self, given: object) -> Value:
        kind = type(self.default)
        wrong = InvalidSetting(
            f"setting {self.name}={given!r} must be {_TYPE_NAMES[kind]}, as {self.default!r} is"
        )
        if kind is bool:
            if isinstance(given, bool):
                return given
            if isinstance(given, str) and given.lower() in _BOOLEANS:
                return _BOOLEANS[given.lower()]
            raise wrong
        if kind is str:
            if not isinstance(given, str):
                raise wrong
            return given
        if isinstance(given, bool) or not isinstance(given, int | float | str):
            raise wrong
        try:
            number = _exact(given) if kind is int else float(given)
        except (ValueError, OverflowError):
            raise wrong from None
        if not math.isfinite(number):
            raise wrong
        return number


def _exact(given: int | float | str) -> int:
    """A whole number, all its digits kept (a seed has more than a float can hold).

    Raises:
        ValueError, OverflowError: it is none.
    """
    if isinstance(given, str):
        try:
            return int(given)
        except ValueError:
            given = float(given)  # "1e6"
    if given != int(given):
        raise ValueError(f"{given} is no whole number")
    return int(given)


def parse_settings(
    declared: Iterable[Setting], given: Mapping[str, object], *, owner: str
) -> dict[str, Value]:
    """Every declared setting with its given or default value.

    Raises:
        InvalidSetting: a name is not declared (the text lists those that are), or a value is wrong.
    """
    known = {setting.name: setting for setting in declared}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InvalidSetting(
            f"{owner} has no setting {', '.join(unknown)}; it has: {', '.join(known) or 'none'}"
        )
    return {
        name: setting.parse(given[name]) if name in given else setting.default
        for name, setting in known.items()
    }


_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True,
             "false": False, "no": False, "off": False, "0": False}  # fmt: skip
