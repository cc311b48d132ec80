"""Catalogues: domains relative to the machine, and errors that say where to look."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from targets.catalogue import load_catalogue, read_space
from targets.errors import InvalidKnob
from targets.knobs import Effect, Knob, KnobType, Risk, Scale, Scope, Special
from targets.machine import Machine
from targets.space import Constraint, KnobSpace
from targets.units import SIZES, TIMES, resolve

HEAD = '[catalogue]\nkind = "kettle"\nversion = "1"\nsource = "the manual"\n'


def machine(cpus: float = 4, memory_gib: float = 8) -> Machine:
    return Machine(cpus, int(memory_gib * 1024**3), "h", "x86_64", "Linux", "")


def load(tmp_path: Path, text: str, on: Machine | None = None) -> KnobSpace:
    path = tmp_path / "kettle.toml"
    path.write_text(HEAD + text)
    return load_catalogue(path, on or machine())


def test_everything_a_knob_can_declare(tmp_path: Path) -> None:
    space = load(
        tmp_path,
        """
        [knobs.cache]
        type = "integer"
        low = "1 MiB"
        high = "25 % of memory"
        scale = "log"
        unit = "KiB"
        default = 2000
        special = [{ value = 0, meaning = "off" }]
        effect = "restart"
        scope = "host"
        risk = "durability"
        help = "Memory for pages."
        source = "chapter 3"

        [knobs.workers]
        type = "integer"
        low = 1
        high = "2 * cpus, at most 64"
        default = "cpus"
        active_when = "cache > 0"

        [[constraints]]
        expression = "cache >= workers"
        reason = "a page each"
        """,
    )
    cache, workers = space
    assert (cache.type, cache.low, cache.high) == (KnobType.INTEGER, 1024, 2 * 1024**2)
    assert (cache.scale, cache.unit, cache.default) == (Scale.LOG, "KiB", 2000)
    assert cache.special == (Special(value=0, meaning="off"),)
    assert (cache.effect, cache.scope, cache.risk) == (Effect.RESTART, Scope.HOST, Risk.DURABILITY)
    assert (cache.help, cache.source) == ("Memory for pages.", "chapter 3")
    assert (workers.high, workers.default, workers.active_when) == (8, 4, "cache > 0")
    assert workers.source == "the manual", "the catalogue's source is a knob's when it names none"
    assert space.constraints[0].reason == "a page each"


def test_the_same_catalogue_in_a_small_container(tmp_path: Path) -> None:
    text = """
    [knobs.cache]
    type = "integer"
    low = 1
    high = "25 % of memory"
    unit = "MiB"
    default = "1 % of memory, at least 1 MiB"
    [knobs.workers]
    type = "integer"
    low = 1
    high = "2 * cpus, at least 4"
    default = 1
    """
    space = load(tmp_path, text, machine(cpus=0.5, memory_gib=0.0625))
    assert (space["cache"].high, space["cache"].default) == (16, 1)
    assert space["workers"].high == 4


@pytest.mark.parametrize(
    ("amount", "unit", "value"),
    [
        (7, "KiB", 7),
        ("7", "KiB", 7),
        ("1.5 MiB", "KiB", 1536),
        ("8 KiB", "pages of 4 KiB", 2),
        ("1GiB", "8 KiB", 131072),
        ("25 % of memory", "bytes", 2 * 1024**3),
        ("12.5% of memory", "GiB", 1),
        ("memory", "GiB", 8),
        ("0.5 * memory", "GiB", 4),
        ("250 ms", "s", 0.25),
        ("2 min", "ms", 120000),
        ("30 rows", "rows", 30),
        ("cpus", "threads", 4),
        ("2 * cpus", "", 8),
        ("50 % of cpus", "", 2),
        ("3 * cpus, at most 10", "", 10),
        ("cpus, at least 6, at most 5", "", 5),
        ("memory, at most 64 MiB", "KiB", 65536),
    ],
)
def test_amounts(amount: object, unit: str, value: float) -> None:
    assert resolve(amount, unit, machine()) == pytest.approx(value)


@pytest.mark.parametrize(("cpus", "whole"), [(0.1, 1), (1.0, 1), (1.5, 2), (64.0, 64)])
def test_cpus_are_whole_ones(cpus: float, whole: int) -> None:
    assert resolve("cpus", "", machine(cpus=cpus)) == whole


@pytest.mark.parametrize(
    ("amount", "unit", "why"),
    [
        ("25 % of disk", "bytes", "is no amount"),
        ("lots", "bytes", "is no amount"),
        ("-1 MiB", "bytes", "is no amount"),
        ("1 MiB, at least", "bytes", "is no amount"),
        ("1 MB", "bytes", "MB is no unit; use bytes"),
        ("1 MiB", "ms", "does not fit the knob's unit 'ms'"),
        ("25 % of memory", "", "does not fit the knob's unit ''"),
        ("1 s", "KiB", "does not fit"),
        ("1 rows", "pages", "rows is no unit"),
        (True, "bytes", "neither a number nor an amount"),
        ([1], "bytes", "neither a number nor an amount"),
    ],
)
def test_wrong_amounts_say_what_would_be_right(amount: object, unit: str, why: str) -> None:
    with pytest.raises(InvalidKnob, match=re.escape(why)):
        resolve(amount, unit, machine())


GOOD = 'type = "integer"\nlow = 1\nhigh = 10\ndefault = 5\n'


@pytest.mark.parametrize(
    ("text", "where", "rule"),
    [
        ("[knobs.heat]\n" + GOOD + "hihg = 3", "knob heat", "did you mean high?"),
        ("[knobs.heat]\n" + GOOD.replace("integer", "intger"), "knob heat", "integer?"),
        ("[knobs.heat]\n" + GOOD + 'effect = "reboot"', "knob heat", "online, reload, restart"),
        ("[knobs.heat]\n" + GOOD + "scale = 3", "knob heat", "scale=3"),
        ("[knobs.heat]\n" + GOOD + "help = 3", "knob heat", "help must be a text"),
        ("[knobs.heat]\n" + GOOD + "special = 0", "knob heat", "special must be a list"),
        ("[knobs.heat]\n" + GOOD + "special = [0]", "knob heat", "must be a table"),
        ("[knobs.heat]\n" + GOOD + "special = [{value=0}]", "knob heat", "meaning"),
        ("[knobs.heat]\n" + GOOD + "special = [{vlaue=0}]", "knob heat", "did you mean value?"),
        ("[knobs.heat]\n" + GOOD.replace("default = 5", ""), "knob heat", "default is missing"),
        ("[knobs.heat]\n" + GOOD.replace("low = 1", ""), "knob heat", "needs numbers low and high"),
        ("[knobs.heat]\n" + GOOD.replace("low = 1", "low = true"), "knob heat", "needs numbers"),
        ("[knobs.heat]\n" + GOOD.replace("low = 1", "low = 20"), "knob heat", "is above high"),
        (
            "[knobs.heat]\n" + GOOD.replace("low = 1", "low = 0.5"),
            "knob heat",
            "low=0.5 and high=10 must be whole",
        ),
        ("[knobs.heat]\n" + GOOD.replace("high = 10", "high = inf"), "knob heat", "needs numbers"),
        ("[knobs.heat]\n" + GOOD.replace("= 5", "= 50"), "knob heat", "outside 1..10"),
        ("[knobs.heat]\n" + GOOD.replace("= 5", "= 1979-05-27"), "knob heat", "a value is"),
        ("[knobs.heat]\n" + GOOD.replace("low = 1", 'low = "1 MiB"'), "knob heat", "does not fit"),
        (
            '[knobs.heat]\ntype = "integer"\nlow = "1 MiB"\nhigh = "1 % of memory"\nunit = "GiB"\n'
            "default = 1",
            "knob heat",
            "is above high=0",
        ),
        (
            "[knobs.heat]\n" + GOOD.replace("low = 1", "low = 0") + 'scale = "log"',
            "knob heat",
            "log scale",
        ),
        ("[knobs.heat]\n" + GOOD + 'levels = ["a"]', "knob heat", "no levels"),
        ('[knobs.heat]\ntype = "boolean"\ndefault = 1', "knob heat", "none of its levels"),
        ('[knobs.heat]\ntype = "boolean"\ndefault = true\nhigh = 3', "knob heat", "no low, high"),
        ('[knobs.heat]\ntype = "ordinal"\ndefault = 1', "knob heat", "needs distinct levels"),
        (
            '[knobs.heat]\ntype = "categorical"\nlevels = ["a", "a"]\ndefault = "a"',
            "knob heat",
            "distinct",
        ),
        (
            '[knobs.heat]\ntype = "categorical"\nlevels = [[1]]\ndefault = 1',
            "knob heat",
            "no finite value",
        ),
        ("[knobs.heat]\n" + GOOD + 'active_when = "haet"', "knob heat: active_when", "heat?"),
        ("[knobs.heat]\n" + GOOD + 'active_when = "heat +"', "knob heat: active_when", "parse"),
        (
            "[knobs.heat]\n" + GOOD + '[[constraints]]\nexpression = "heat < water"',
            "constraint 1",
            "water, which is no knob",
        ),
        (
            "[knobs.heat]\n" + GOOD + '[[constraints]]\nexpression = "heat < 3"',
            "kettle.toml",
            "the defaults break a constraint: heat < 3",
        ),
        (
            "[knobs.heat]\n" + GOOD + "[[constraints]]\nexpression = \"heat < 'a'\"",
            "kettle.toml",
            "the defaults break",
        ),
        ("[knobs.heat]\n" + GOOD + "[[constraints]]\nreason = 'x'", "constraint 1", "expression"),
        (
            "[knobs.heat]\n" + GOOD + "[[constraints]]\nexpresion = 'x'",
            "constraint 1",
            "did you mean expression?",
        ),
        ("[knobs.heat]\n" + GOOD + "[constraints]", "kettle.toml", "tables [[constraints]]"),
        ("[knobs]\nheat = 3", "knob heat", "must be a table"),
        ("[knobs]", "kettle.toml", "no knob is declared"),
        ("", "[knobs]", "is missing"),
        ('[knobs."heat "]\n' + GOOD, "'heat '", "no blank at either end"),
        ("[knob.heat]\n" + GOOD, "kettle.toml", "did you mean knobs?"),
        ("[knobs.heat", "kettle.toml", ""),
    ],
)
def test_errors_name_file_knob_and_rule(tmp_path: Path, text: str, where: str, rule: str) -> None:
    with pytest.raises(InvalidKnob) as refused:
        load(tmp_path, text)
    message = str(refused.value)
    assert message.startswith(str(tmp_path / "kettle.toml") + ":")
    assert where in message
    assert rule in message


@pytest.mark.parametrize(
    ("head", "rule"),
    [
        ("", "[catalogue]: is missing"),
        ("[catalogue]\nkind = 'kettle'", "version must be a text"),
        ("[catalogue]\nkind = 'kettle'\nversion = 1", "version must be a text"),
        ("[catalogue]\nkind = 'k'\nversion = '1'\nsource = 3", "source must be a text"),
        ("[catalogue]\nkind = 'k'\nversion = '1'\nkindd = ''", "did you mean kind?"),
    ],
)
def test_head_is_checked(tmp_path: Path, head: str, rule: str) -> None:
    path = tmp_path / "kettle.toml"
    path.write_text(f"{head}\n[knobs.heat]\n{GOOD}")
    with pytest.raises(InvalidKnob) as refused:
        load_catalogue(path, machine())
    assert rule in str(refused.value)


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidKnob, match=r"absent\.toml"):
        load_catalogue(tmp_path / "absent.toml", machine())
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidKnob, match=r"binary\.toml"):
        load_catalogue(tmp_path / "binary.toml", machine())


def test_space_within_a_document_of_other_things() -> None:
    knob = {"type": "boolean", "default": True}
    document = {"knobs": {"heat": knob}, "apply": {"command": ["boil"]}}
    assert read_space(document, machine(), file="agent.toml").default() == {"heat": True}


DOCS = Path(__file__).parents[2] / "docs"


def test_reference_names_every_key_word_and_unit() -> None:
    text = re.sub(r"```.*?```", "", (DOCS / "catalogue.md").read_text(), flags=re.DOTALL)
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
    keys = {field.name for kind in (Knob, Constraint, Special) for field in fields(kind)}
    words = {str(word) for enum in (KnobType, Scale, Effect, Scope, Risk) for word in enum}
    assert (keys - {"name"} | words | {*SIZES, *TIMES}) - named == set()


@pytest.mark.parametrize("memory_gib", [1, 8, 512])
def test_references_example_loads(tmp_path: Path, memory_gib: float) -> None:
    example = (DOCS / "catalogue.md").read_text().split("```toml\n")[1].split("```")[0]
    path = tmp_path / "kettle.toml"
    path.write_text(example)
    space = load_catalogue(path, machine(memory_gib=memory_gib))
    assert space["cache_size"].high == memory_gib * 1024**2 / 4
    assert {knob.type for knob in space} == set(KnobType)
