"""Turns a command of the file, and the values to put into it, into a process that ran."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from targets.adapter import CancelToken
from targets.command.definition import PYTHON, CommandTable, Definition
from targets.command.placeholders import format_value
from targets.command.runner import Command, CommandRunner, Finished
from targets.errors import TrialFailure
from targets.knobs import Configuration


class Execution:
    """Runs a definition's commands."""

    def __init__(self, definition: Definition, runner: CommandRunner) -> None:
        self._definition = definition
        self._runner = runner

    def texts(self, configuration: Configuration) -> dict[str, str]:
        """The values as the target reads them."""
        words = self._definition.words
        return {name: format_value(value, words) for name, value in configuration.items()}

    def run(
        self,
        table: CommandTable,
        configuration: Configuration,
        failure: Callable[[str], TrialFailure],
        *,
        extra: Mapping[str, str] | None = None,
        cancel: CancelToken | None = None,
    ) -> Finished:
        """Run a command with the configuration's values, and `extra` ones, in its placeholders.

        Raises:
            failure: it ended with another exit status than 0.
            TimedOut, Cancelled, HarnessFailed: as `CommandRunner.run` does.
        """
        values = {**self.texts(configuration), PYTHON: sys.executable, **(extra or {})}
        command = Command(
            title=table.name,
            argv=tuple(argument.fill(values) for argument in table.argv),
            env={
                **self._definition.environment,
                **{name: text.fill(values) for name, text in table.env.items()},
            },
            cwd=self._definition.workdir,
            timeout_seconds=table.timeout_seconds,
        )
        output = self._runner.run(command, cancel=cancel)
        if output.fault:
            raise failure(output.fault)
        return output

    def end_orphans(self) -> None:
        """End what the commands of a killed agent left running, lest it change the target again.

        Raises:
            HarnessFailed: something does not die.
        """
        self._runner.end_orphans()
