"""The command adapter's file: every fault is named with file, table, key, rule and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from targets.command.adapter import CommandAdapter
from targets.command.placeholders import BooleanWords, Template, format_value
from targets.errors import InvalidKnob, InvalidSetting

GOOD = """
[target]
name = "t"

[knobs.n]
type = "integer"
low = 1
high = 9
default = 1
help = "n"

[apply]
argv = ["true", "{n}"]

[measure]
argv = ["true"]

"""

OBJECTIVE = """
[[objectives]]
name = "speed"
direction = "max"
from = "json:$.speed"
"""

GOOD += OBJECTIVE

RENDER = '[[render]]\npath = "conf"\n'


def open_target(folder: Path, toml: str) -> CommandAdapter:
    file = folder / "target.toml"
    file.write_text(toml)
    return CommandAdapter({"file": str(file)}, folder / "work")


def test_good_file_is_taken(tmp_path: Path) -> None:
    assert open_target(tmp_path, GOOD).read() == {"n": 1}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "t"', 'name = "t"\nnmae = 1', r"\[target\] has no key nmae; it may have: .*name"),
        ("[apply]", "[aply]", r"the file has no key aply"),
        ('name = "t"', "", r"\[target\] name is missing"),
        ('name = "t"', "name = 3", r"\[target\] name=3 must be a text"),
        ('name = "t"', 'name = "t"\nworkdir = "gone"', r"workdir=.*gone' is no folder"),
        ('name = "t"', 'name = "t"\nbooleans = ["on"]', r"booleans=\['on'\] must be two words"),
        ('name = "t"', 'name = "t"\ninherit = ["UNSET"]', r"inherit=.* names UNSET, not set"),
        ('name = "t"', 'name = "t"\nenv = {"A=B" = "1"}', r"env=.* has 'A=B', which is no name"),
        ('["true", "{n}"]', "[]", r"\[apply\] argv=\[\] must begin with the program"),
        ('["true", "{n}"]', '"true {n}"', r"\[apply\] argv='true \{n\}' must be a list of texts"),
        ('["true", "{n}"]', '["true"]', r"knob n never reaches the target: write \{n\}"),
        ('["true", "{n}"]', '["true", "{m}", "{n}"]', r"\[apply\]: \{m\} names nothing.*\{\{m\}\}"),
        ('["true", "{n}"]', '["{n}"]', r"\[apply\] argv: the program to run depends on a knob"),
        ('["true", "{n}"]', '["no-such-x", "{n}"]', r"'no-such-x' is no program.*PATH"),
        ('["true", "{n}"]', '["./gone", "{n}"]', r"'./gone' is no program"),
        ('"{n}"]', '"{n}", "{lontra.seed}"]', r"\[apply\]: \{lontra.seed\} names nothing"),
        ('"{n}"]', '"{n}"]\ntimeout_seconds = 0', r"timeout_seconds=0 must be a number above 0"),
        ("low = 1", "low = -1", r"a value of n begins with a dash.*--option=\{n\}"),
        ("[measure]", "[measure]\nwindow_seconds = true", r"window_seconds=True must be a number"),
        (OBJECTIVE, "", r"\[\[objectives\]\] is missing"),
        (OBJECTIVE, OBJECTIVE * 2, r"\[\[objectives\]\] name='speed' is given twice"),
        ('"max"', '"more"', r"\[\[objectives\]\] 1 direction='more' must be one of: min, max"),
        ("json:$.speed", "speed", r"from='speed' must be json:\$.path, regex:PATTERN or exit"),
        ("json:$.speed", "json:speed", r"does not begin with \$"),
        ("json:$.speed", "json:$.speed..", r"ends making sense at '\.\.'"),
        ("json:$.speed", "regex:a", r"needs one group"),
        ("json:$.speed", "regex:(a", r"does not compile"),
        ("[measure]", RENDER + "[measure]", r"\[\[render\]\] 1 template or text must be given"),
        ("[measure]", RENDER + 'template = "gone"\n[measure]', r"template='gone' cannot be read"),
        ("[measure]", RENDER + 'text = "{m}"\n[measure]', r"\[\[render\]\] conf: \{m\} names"),
        ("[measure]", '[read]\nargv = ["true"]\nfrom = {m = "json:$"}\n[measure]', r"names m,"),
    ],
)
def test_fault_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(InvalidSetting, match=rf"target\.toml: .*({told})"):
        open_target(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize("argv", ['["true", "--n={n}"]', '["true", "-n", "{n}"]',
                                  '["true", "--", "{n}"]'])  # fmt: skip
def test_value_with_a_dash_is_fine_where_it_is_no_option(tmp_path: Path, argv: str) -> None:
    toml = GOOD.replace("low = 1", "low = -1").replace('["true", "{n}"]', argv)
    open_target(tmp_path, toml).apply({"n": -1})


def test_knobs_are_a_catalogues(tmp_path: Path) -> None:
    with pytest.raises(InvalidKnob, match=r"target\.toml.*knob n.*hihg.*did you mean high"):
        open_target(tmp_path, GOOD.replace("high", "hihg"))


def test_syntax_error_gives_the_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"target\.toml: .*line 2"):
        open_target(tmp_path, "\n[target\n")


def test_file_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="setting file of target command is missing"):
        CommandAdapter({}, tmp_path)
    with pytest.raises(InvalidSetting, match="No such file"):
        CommandAdapter({"file": str(tmp_path / "gone.toml")}, tmp_path)


def test_file_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    """Whoever writes it has their programs run by the agent."""
    file = tmp_path / "target.toml"
    file.write_text(GOOD)
    file.chmod(0o666)
    with pytest.raises(InvalidSetting, match=r"chmod o-w .*target\.toml"):
        CommandAdapter({"file": str(file)}, tmp_path / "work")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("{a}{b}", "12"),
        ('{"a": {a}}', '{"a": 1}'),
        ("{{a}} { a } {} {1}", "{a} { a } {} {1}"),
        ("{vm.swappiness}", "60"),
    ],
)
def test_placeholders(text: str, filled: str) -> None:
    template = Template.parse(text)
    assert template.fill({"a": "1", "b": "2", "vm.swappiness": "60"}) == filled


def test_a_value_is_never_a_placeholder() -> None:
    assert Template.parse("{a} {b}").fill({"a": "{b}", "b": "2"}) == "{b} 2"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-7, "0.0000001"), (1.5e20, "150000000000000000000"), (3.0, "3.0"), (7, "7"),
     (True, "yes"), (False, "no"), ("a b", "a b")],
)  # fmt: skip
def test_values_are_written_plainly(value: bool | float | str, text: str) -> None:
    assert format_value(value, BooleanWords("no", "yes")) == text
