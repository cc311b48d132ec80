"""Reads the owner's TOML file. docs/targets/command.md is the reference of the format."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

from targets.catalogue import read_space
from targets.command.checks import check_definition
from targets.command.definition import CommandTable, Definition, ReadTable
from targets.command.files import FILE_BYTES, RenderedFile
from targets.command.placeholders import BooleanWords, Template
from targets.command.reading import OutputFormat, Source
from targets.command.table import Table
from targets.errors import InvalidSetting
from targets.machine import Machine
from targets.metrics import Direction, Metric, MetricKind, Objective
from targets.space import KnobSpace

PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""What the commands get of the agent's environment without being named by `inherit`."""

_HIGHEST_SECONDS = 86_400.0


def load_definition(file: Path, machine: Machine) -> Definition:
    """Read and check the whole file.

    Raises:
        InvalidSetting: it cannot be read, everybody may write to it, or a table breaks a rule.
        InvalidKnob: a knob or a constraint is declared wrongly.
    """
    document = _parse(file)
    root = Table(file, "the file", document)
    space = read_space(document, machine, file=str(file), source=f"declared in {file.name}")
    root.leave("knobs", "constraints")
    target = root.table("target")
    if target is None:
        raise root.wrong("[target]", "is missing: give at least its name")
    words = _boolean_words(target)
    measure = root.table("measure")
    if measure is None:
        raise root.wrong("[measure]", "is missing: give the argv that prints the objectives")
    window_seconds = measure.number("window_seconds", 10.0, high=_HIGHEST_SECONDS)
    shortest_seconds = measure.number("shortest_seconds", window_seconds, high=window_seconds)
    definition = Definition(
        file=file,
        name=target.text("name"),
        version=target.text("version", "unversioned"),
        workload=target.text("workload", "measure"),
        workdir=(file.parent / target.text("workdir", ".")).resolve(),
        environment=_environment(target),
        words=words,
        space=space,
        files=tuple(_rendered_file(table) for table in root.tables("render")),
        apply=_command(root.table("apply"), timeout_seconds=30.0),
        check=_command(root.table("check"), timeout_seconds=10.0),
        read=_read(root.table("read"), space),
        measure=_a_command(measure, timeout_seconds=10.0 * window_seconds),
        window_seconds=window_seconds,
        shortest_seconds=shortest_seconds,
        observe=_command(root.table("observe"), timeout_seconds=10.0),
        restore=_command(root.table("restore"), timeout_seconds=30.0),
        version_command=_command(root.table("version"), timeout_seconds=10.0),
        objectives=tuple(_objective(table) for table in root.tables("objectives")),
        metrics=tuple(_metric(table) for table in root.tables("metrics")),
    )
    target.done()
    root.done()
    check_definition(definition)
    return definition


def _parse(file: Path) -> dict[str, object]:
    try:
        if file.stat().st_mode & stat.S_IWOTH:
            raise InvalidSetting(
                f"{file} can be written by everybody, and says which programs the agent runs: "
                f"chmod o-w {file}"
            )
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidSetting(f"{file}: {error}") from error


def _boolean_words(target: Table) -> BooleanWords:
    words = target.texts("booleans", ("false", "true"))
    if len(set(words)) != 2:
        raise target.wrong("booleans", 'must be two words, for false and for true: ["off", "on"]')
    return BooleanWords(*words)


def _environment(target: Table) -> dict[str, str]:
    inherited = target.texts("inherit", ())
    missing = [name for name in inherited if name not in os.environ]
    if missing:
        raise target.wrong("inherit", f"names {', '.join(missing)}, not set for the agent: set it")
    passed = {name: os.environ[name] for name in (*PASSED_ON, *inherited) if name in os.environ}
    return {**passed, **_variables(target)}


def _variables(table: Table) -> dict[str, str]:
    variables = table.mapping("env")
    if wrong := [name for name in variables if not name or "=" in name or "\0" in name]:
        raise table.wrong("env", f"has {wrong[0]!r}, which is no name of a variable")
    return variables


def _rendered_file(table: Table) -> RenderedFile:
    path = (table.file.parent / table.text("path")).absolute()
    if table.has("text") == table.has("template"):
        raise table.wrong("template", "or text must be given, and not both")
    if table.has("text"):
        text = table.text("text")
    else:
        template = table.file.parent / table.text("template")
        try:
            text = template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise table.wrong("template", f"cannot be read: {error}") from error
    if len(text) > FILE_BYTES // 2:
        raise table.wrong("template", f"is longer than {FILE_BYTES // 2} characters")
    table.done()
    return RenderedFile(path, Template.parse(text))


def _command(table: Table | None, *, timeout_seconds: float) -> CommandTable | None:
    return None if table is None else _a_command(table, timeout_seconds=timeout_seconds)


def _a_command(table: Table, *, timeout_seconds: float) -> CommandTable:
    argv = table.texts("argv")
    if not argv or not argv[0]:
        raise table.wrong("argv", "must begin with the program to run")
    command = CommandTable(
        name=table.name,
        argv=tuple(Template.parse(argument) for argument in argv),
        env={name: Template.parse(text) for name, text in _variables(table).items()},
        timeout_seconds=table.number("timeout_seconds", timeout_seconds, high=_HIGHEST_SECONDS),
    )
    table.done()
    return command


def _read(table: Table | None, space: KnobSpace) -> ReadTable | None:
    if table is None:
        return None
    sources = {}
    for name, text in table.mapping("from").items():
        if name not in space:
            raise table.wrong("from", f"names {name}, which is no knob of the file")
        sources[name] = _source(table, "from", text)
        if sources[name].is_time:
            raise table.wrong("from", "exit-time is no value of a knob")
    layout = table.choice("format", OutputFormat, OutputFormat.JSON)
    settle_seconds = table.number("settle_seconds", 2.0, high=_HIGHEST_SECONDS)
    command = _a_command(table, timeout_seconds=10.0)
    return ReadTable(command=command, layout=layout, sources=sources, settle_seconds=settle_seconds)


def _objective(table: Table) -> tuple[Objective, Source]:
    objective = Objective(
        name=table.text("name"),
        direction=table.choice("direction", Direction),
        unit=table.text("unit", ""),
        deterministic=table.flag("deterministic", default=False),
        help=table.text("help", ""),
        accounted_by=table.text("accounted_by", ""),
    )
    source = _source(table, "from", table.text("from"))
    table.done()
    return objective, source


def _metric(table: Table) -> tuple[Metric, Source]:
    metric = Metric(
        name=table.text("name"),
        kind=table.choice("kind", MetricKind, MetricKind.GAUGE),
        unit=table.text("unit", ""),
        help=table.text("help", ""),
    )
    source = _source(table, "from", table.text("from"))
    table.done()
    return metric, source


def _source(table: Table, key: str, text: str) -> Source:
    try:
        return Source.parse(text)
    except ValueError as error:
        raise table.wrong(key, str(error)) from None
