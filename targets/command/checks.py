"""What must hold between the tables of the owner's file, once each of them is right by itself."""

from __future__ import annotations

import os
import shutil

from targets.accounting import check_accounts
from targets.command.definition import PURPOSE, PYTHON, SECONDS, SEED, Definition
from targets.command.placeholders import BooleanWords, format_value
from targets.errors import InvalidSetting
from targets.knobs import Knob, Value


def check_definition(definition: Definition) -> None:
    """Everything that can be known to be wrong before anything is run.

    Raises:
        InvalidSetting: names file, table, rule and remedy.
    """
    _check_names(definition)
    _check_accounts(definition)
    _check_placeholders(definition)
    _check_options(definition)
    _check_programs(definition)


def _check_names(definition: Definition) -> None:
    """There is something to improve, and no two things share a name or a path."""
    if not definition.objectives:
        raise InvalidSetting(
            f"{definition.file}: [[objectives]] is missing: say what to improve and where "
            "[measure] prints it"
        )
    named = {
        "[[objectives]] name": [objective.name for objective, _ in definition.objectives],
        "[[metrics]] name": [metric.name for metric, _ in definition.metrics],
        "[[render]] path": [str(file.path) for file in definition.files],
    }
    for key, names in named.items():
        if doubled := {name for name in names if names.count(name) > 1}:
            raise InvalidSetting(f"{definition.file}: {key}={doubled.pop()!r} is given twice")
    if not definition.workdir.is_dir():
        raise InvalidSetting(
            f"{definition.file}: [target] workdir={str(definition.workdir)!r} is no folder: make it"
        )


def _check_accounts(definition: Definition) -> None:
    """What is to bear an objective out is a counter, read before and after the window."""
    objectives = [objective for objective, _ in definition.objectives]
    try:
        check_accounts(objectives, [metric for metric, _ in definition.metrics])
    except ValueError as error:
        raise InvalidSetting(f"{definition.file}: {error}") from None
    if definition.observe is None and any(one.accounted_by for one in objectives):
        raise InvalidSetting(
            f"{definition.file}: [[objectives]] accounted_by wants a counter that the target "
            "itself tells before and after each window: add [observe]"
        )


def _check_placeholders(definition: Definition) -> None:
    """Every placeholder names something that is known there, and every knob reaches the target."""
    knobs = {knob.name for knob in definition.space}
    reaching: set[str] = set()
    places: list[tuple[str, set[str], set[str]]] = [
        (f"[[render]] {file.path.name}", set(file.template.names), knobs)
        for file in definition.files
    ]
    for command in definition.commands:
        allowed = {PYTHON}
        if command.name in ("[apply]", "[check]", "[measure]", "[restore]"):
            allowed |= knobs
        if command is definition.measure:
            allowed |= {SEED, PURPOSE, SECONDS}
        places.append((command.name, command.names, allowed))
    for where, names, allowed in places:
        for name in sorted(names - allowed):
            raise InvalidSetting(
                f"{definition.file}: {where}: {{{name}}} names nothing that is known there: "
                f"{', '.join(sorted(allowed)) or 'nothing is'}; write {{{{{name}}}}} for that text"
            )
        if where.startswith(("[[render]]", "[apply]", "[measure]")):
            reaching |= names
    shortens = definition.shortest_seconds < definition.window_seconds
    if shortens and SECONDS not in definition.measure.names:
        raise InvalidSetting(
            f"{definition.file}: [measure] shortest_seconds={definition.shortest_seconds:g} allows "
            f"shorter windows, and no argument says how long one is to be: write {{{SECONDS}}} "
            "where the command takes it, or leave shortest_seconds out"
        )
    for name in sorted(knobs - reaching):
        raise InvalidSetting(
            f"{definition.file}: knob {name} never reaches the target: write {{{name}}} into the "
            "argv or env of [apply] or [measure], or into a [[render]] template"
        )


def _check_options(definition: Definition) -> None:
    """No value of a knob can be the program to run, or be taken for an option of it.

    A value that begins with a dash is safe inside an argument (`--level={level}`), right after an
    option that takes it (`-l`, `{level}`), and after `--`.
    """
    for command in definition.commands:
        if command.argv[0].names and command.argv[0].names != (PYTHON,):
            raise InvalidSetting(
                f"{definition.file}: {command.name} argv: the program to run depends on a knob: "
                "name it, and pass the knob as an argument"
            )
        for position, argument in enumerate(command.argv[1:], 1):
            name = argument.starts_with_value
            if name not in definition.space or not _may_begin_with_dash(
                definition.space[str(name)], definition.words
            ):
                continue
            earlier = [text.literals[0] for text in command.argv[1:position]]
            if "--" not in earlier and not (earlier and earlier[-1].startswith("-")):
                raise InvalidSetting(
                    f"{definition.file}: {command.name} argv: a value of {name} begins with a dash "
                    f"and would be taken for an option: write it as --option={{{name}}}, or put "
                    '"--" before it'
                )


def _may_begin_with_dash(knob: Knob, words: BooleanWords) -> bool:
    values: list[Value] = [*knob.special_values, *knob.levels]
    if knob.low is not None:
        values.append(knob.low)
    return any(format_value(value, words).startswith("-") for value in values)


def _check_programs(definition: Definition) -> None:
    """Every program is there: better now than with the target half changed."""
    for command in definition.commands:
        if command.argv[0].names:
            continue
        program = command.argv[0].literals[0]
        search = definition.environment.get("PATH", os.defpath)
        here = str(definition.workdir / program) if "/" in program else program
        if shutil.which(here, path=search) is None:
            raise InvalidSetting(
                f"{definition.file}: {command.name} argv: {program!r} is no program, neither in "
                f"{definition.workdir} nor on PATH={search}: give its path, or set PATH in "
                "[target] env"
            )
