"""Which configuration is in force: asked from `[read]`, from the rendered files, or remembered."""

from __future__ import annotations

import json
from pathlib import Path

from targets.clock import Clock
from targets.command.definition import Definition
from targets.command.execution import Execution
from targets.command.files import replace_file
from targets.command.reading import knob_values, values_by_name
from targets.errors import HarnessFailed, TargetDown
from targets.knobs import Configuration, Value

_SETTLE_POLL_SECONDS = 0.1
_RECORD_MODE = 0o600


class InForce:
    """What `[read]` prints; without `[read]`, what the rendered files say, whoever wrote them.

    A knob that stands in neither is at what was applied last, which is remembered in `record`,
    and at its default until something was.
    """

    def __init__(
        self, definition: Definition, execution: Execution, record: Path, *, clock: Clock
    ) -> None:
        self._definition = definition
        self._execution = execution
        self._record = record
        self._clock = clock
        self._knobs = {knob.name: knob for knob in definition.space}

    def read(self) -> dict[str, Value]:
        """The configuration in force now.

        Raises:
            TargetDown: `[read]` fails.
            TimedOut: it takes too long.
            HarnessFailed: what it printed, or a rendered file, cannot be understood.
        """
        return self._remembered_and_files() if self._definition.read is None else self._asked()

    def settled(self, wanted: Configuration) -> dict[str, Value]:
        """What is in force, once it is what was wanted or the time to settle is over.

        A target that reloads in its own time, or restarts, does not answer rightly at once.
        Raises as `read`.
        """
        reading = self._definition.read
        deadline = self._clock.monotonic() + (reading.settle_seconds if reading else 0.0)
        while True:
            late = self._clock.monotonic() >= deadline
            try:
                in_force = self.read()
            except TargetDown:
                if late:
                    raise
            else:
                if late or in_force == wanted:
                    return in_force
            self._clock.sleep(_SETTLE_POLL_SECONDS)

    def remember(self, configuration: Configuration) -> None:
        """Keep what was just applied; raises HarnessFailed when that cannot be written."""
        text = json.dumps(dict(configuration), indent=1)
        try:
            self._record.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._record, text.encode(), mode=_RECORD_MODE)
        except OSError as error:
            raise HarnessFailed(f"{self._record}: {error}") from error

    def _asked(self) -> dict[str, Value]:
        reading = self._definition.read
        assert reading is not None  # noqa: S101 - `read` has looked
        output = self._execution.run(reading.command, {}, TargetDown)
        found = {name: source.find(output) for name, source in reading.sources.items()}
        if len(found) < len(self._knobs):
            found = {**values_by_name(output, reading.layout), **found}
        return knob_values(self._knobs, found, self._definition.words, where=str(output.command))

    def _remembered_and_files(self) -> dict[str, Value]:
        values = self._definition.space.default()
        remembered = self._remembered()
        values.update({name: remembered[name] for name in values if name in remembered})
        for file in self._definition.files:
            found = file.read_back()
            values |= knob_values(
                {name: self._knobs[name] for name in found},
                found,
                self._definition.words,
                where=f"rendered file {file.path}",
            )
        return values

    def _remembered(self) -> dict[str, Value]:
        try:
            remembered = json.loads(self._record.read_text(encoding="utf-8"))
            return dict(remembered)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            raise HarnessFailed(
                f"{self._record} does not hold a configuration: {error}; delete it to take the "
                "defaults for what is in force"
            ) from error
