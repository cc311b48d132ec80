"""Settings: texts from the command line and values from files give the same, or a named error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.errors import InvalidSetting
from targets.settings import Setting, parse_settings

ROWS = Setting(name="rows", default=1000, help="Rows.", low=1, high=10**19, unit="rows")
SHARE = Setting(name="share", default=0.5, help="Share.", low=0.0, high=1.0)
SYNC = Setting(name="sync", default=True, help="Sync.")
MODE = Setting(name="mode", default="wal", help="Mode.", choices=("wal", "delete"))
FREE = Setting(name="free", default=0.0, help="Any number.")
DECLARED = (ROWS, SHARE, SYNC, MODE, FREE)


@pytest.mark.parametrize(
    ("setting", "given_", "value"),
    [
        (ROWS, 5, 5),
        (ROWS, "5", 5),
        (ROWS, 5.0, 5),
        (ROWS, "1e6", 1_000_000),
        (ROWS, 2**63 - 1, 2**63 - 1),
        (ROWS, str(2**63 - 1), 2**63 - 1),
        (SHARE, 1, 1.0),
        (SHARE, "0.25", 0.25),
        (SYNC, "off", False),
        (SYNC, "Yes", True),
        (SYNC, False, False),
        (MODE, "delete", "delete"),
    ],
)
def test_values_take_the_defaults_type(setting: Setting, given_: object, value: object) -> None:
    parsed = setting.parse(given_)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("setting", "given_", "rule"),
    [
        (ROWS, "many", "must be a whole number"),
        (ROWS, 2.5, "must be a whole number"),
        (ROWS, True, "must be a whole number"),
        (ROWS, None, "must be a whole number"),
        (ROWS, float("inf"), "must be a whole number"),
        (ROWS, "nan", "must be a whole number"),
        (ROWS, "9" * 5000, "must be a whole number"),
        (ROWS, 0, r"outside 1..\d+ rows"),
        (SHARE, 1.5, "outside 0.0..1.0"),
        (SHARE, "nan", "must be a number"),
        (FREE, "inf", "must be a number"),
        (FREE, 10**400, "must be a number"),
        (SYNC, 1, "must be true or false"),
        (SYNC, "maybe", "must be true or false"),
        (MODE, 3, "must be a text"),
        (MODE, "off", "none of: wal, delete"),
    ],
)
def test_errors_name_setting_value_and_rule(setting: Setting, given_: object, rule: str) -> None:
    with pytest.raises(InvalidSetting, match=rule) as refused:
        setting.parse(given_)
    assert f"setting {setting.name}=" in str(refused.value)


def test_missing_ones_take_defaults_and_unknown_ones_are_named() -> None:
    parsed = parse_settings(DECLARED, {"rows": 3}, owner="target kettle")
    assert parsed == {"rows": 3, "share": 0.5, "sync": True, "mode": "wal", "free": 0.0}
    with pytest.raises(InvalidSetting, match="target kettle has no setting rwos; it has: rows"):
        parse_settings(DECLARED, {"rwos": 3}, owner="target kettle")


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())
)


@given(st.sampled_from(DECLARED), ANYTHING)
def test_any_value_parses_to_itself_or_is_refused(setting: Setting, given_: Any) -> None:
    try:
        parsed = setting.parse(given_)
    except InvalidSetting:
        return
    assert type(parsed) is type(setting.default)
    assert setting.parse(parsed) == parsed
    assert setting.parse(str(parsed)) == parsed, "the command line gives it as a text"
