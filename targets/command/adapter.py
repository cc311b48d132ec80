"""`command`: tunes anything that programs can set and measure, by a TOML file of its owner's."""

from __future__ import annotations

import logging
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from targets.adapter import (
    Adapter,
    Applied,
    CancelToken,
    Description,
    Measurement,
    Purpose,
    Snapshot,
    Workload,
)
from targets.clock import Clock
from targets.command.definition import PURPOSE, SECONDS, SEED, CommandTable
from targets.command.execution import Execution
from targets.command.files import FileState
from targets.command.in_force import InForce
from targets.command.loading import load_definition
from targets.command.placeholders import format_value
from targets.command.reading import read_number
from targets.command.runner import CommandRunner, Finished
from targets.errors import (
    ApplyFailed,
    HarnessFailed,
    InvalidSetting,
    TargetDown,
    TrialFailure,
    WorkloadFailed,
)
from targets.knobs import Configuration, Effect, Value
from targets.metrics import rates
from targets.settings import Setting

logger = logging.getLogger(__name__)


class CommandAdapter(Adapter):
    """Sets knobs by arguments, environment variables and rendered files; runs what it is told.

    What it is told stands in a file on the agent's machine, named by the setting `file`. Settings
    come from `agent.toml` or the local command line alone; no server can set them.
    """

    kind = "command"
    summary = "Anything that programs can set and measure, described by a TOML file of yours"
    settings_declared = (
        Setting(
            name="file",
            default="",
            help="The TOML file that gives the knobs, the commands and where to read objectives",
        ),
    )
    concurrent_read: ClassVar[bool] = True

    def __init__(
        self, settings: Mapping[str, object], workdir: Path, *, clock: Clock | None = None
    ) -> None:
        super().__init__(settings, workdir, clock=clock)
        if not self.settings["file"]:
            raise InvalidSetting(
                "setting file of target command is missing: give the path of a TOML file, "
                "e.g. --set file=daemon.toml"
            )
        self._definition = load_definition(
            Path(str(self.settings["file"])).absolute(), self.machine
        )
        self._execution = Execution(
            self._definition, CommandRunner(workdir / "running", clock=self.clock)
        )
        self._in_force = InForce(
            self._definition, self._execution, workdir / "in-force.json", clock=self.clock
        )
        self._description: Description | None = None

    def describe(self) -> Description:
        """What the file says; raises TargetDown when its `[version]` command fails."""
        if self._description is None:
            given = self._definition
            argv = shlex.join(str(argument) for argument in given.measure.argv)
            self._description = Description(
                kind=self.kind,
                version=f"{given.name} {self._version()}",
                hardware=self.machine.to_dict(),
                space=given.space,
                metrics=tuple(metric for metric, _ in given.metrics),
                objectives=tuple(objective for objective, _ in given.objectives),
                workload=Workload(name=given.workload, parameters={"measure": argv}),
                window_seconds=given.window_seconds,
                settings=dict(self.settings),
                least_fidelity=given.shortest_seconds / given.window_seconds,
            )
        return self._description

    def read(self) -> dict[str, Value]:
        """See `InForce`, also for what it raises."""
        return self._in_force.read()

    def observe(self) -> dict[str, float]:
        """What `[observe]` prints of the declared metrics; nothing without it."""
        command = self._definition.observe
        return (
            {} if command is None else self._metrics(self._execution.run(command, {}, TargetDown))
        )

    def apply(self, configuration: Configuration) -> Applied:
        """Render the files, run `[apply]`, wait for `[read]` to agree, run `[check]`.

        When `[apply]` fails, the rendered files are put back before the error is raised.
        """
        given = self._definition
        wanted = given.space.check(configuration)
        self._execution.end_orphans()
        before = self._read_if_up()
        files = self._capture()
        texts = self._execution.texts(wanted)
        try:
            for file in given.files:
                rendered = files[file.path].with_content(file.render(texts))
                if rendered != files[file.path]:
                    rendered.put(file.path)
            if given.apply is not None:
                self._execution.run(given.apply, wanted, ApplyFailed)
        except TrialFailure:
            for path, state in files.items():
                state.put(path)
            raise
        self._in_force.remember(wanted)
        in_force = self._in_force.settled(wanted)
        self._check(in_force)
        heavy = (Effect.RESTART, Effect.REBUILD)
        changed = given.space.differences(before, in_force)
        restarted = any(given.space[name].effect in heavy for name in changed)
        return Applied(in_force=in_force, restarted=restarted)

    def measure(
        self,
        purpose: Purpose = Purpose.SEARCH,
        *,
        seed: int = 0,
        cancel: CancelToken | None = None,
        fidelity: float = 1.0,
    ) -> Measurement:
        """Run `[measure]` once and read the objectives from what it prints. How long it is to take
        it is told by `{lontra.window_seconds}`.

        An objective that is no finite number above 0 is a wrong result of the workload; one that
        was not printed at all is the file's or the command's fault, not the configuration's.
        """
        cancel = cancel or CancelToken()
        cancel.check()
        given = self._definition
        in_force = self._needed_by(given.measure)
        seconds = format_value(fidelity * given.window_seconds, given.words)
        before = self.observe()
        output = self._execution.run(
            given.measure,
            in_force,
            WorkloadFailed,
            extra={SEED: str(seed), PURPOSE: str(purpose), SECONDS: seconds},
            cancel=cancel,
        )
        objectives = {
            objective.name: read_number(f"objective {objective.name}", source, output)
            for objective, source in given.objectives
        }
        for name, value in objectives.items():
            if not (math.isfinite(value) and value > 0):
                raise WorkloadFailed(
                    f"objective {name}={value} of {output.command}: must be finite and above 0"
                )
        if given.observe is None:
            metrics = self._metrics(output)
        else:
            declared = [metric for metric, _ in given.metrics]
            metrics = rates(declared, before, self.observe(), seconds=output.seconds)
        return Measurement(objectives=objectives, seconds=output.seconds, metrics=metrics)

    def snapshot(self) -> Snapshot:
        """The configuration in force and every rendered file's bytes and permission bits."""
        files = {str(path): state.to_dict() for path, state in self._capture().items()}
        return Snapshot(configuration=self.read(), data={"files": files})

    def restore(self, snapshot: Snapshot) -> Applied:
        """Put the files' exact bytes back, run `[restore]` or else `[apply]`, and make sure."""
        given = self._definition
        self._execution.end_orphans()
        known = {str(file.path): file.path for file in given.files}
        for name, data in snapshot.data.get("files", {}).items():
            if name not in known:
                raise ApplyFailed(
                    f"snapshot holds the file {name}, which {given.file} does not render (any "
                    "more): declare it again, or put the file back by hand"
                )
            FileState.from_dict(data).put(known[name])
        wanted = dict(snapshot.configuration)
        command = given.restore or given.apply
        if command is not None:
            self._execution.run(command, wanted, ApplyFailed)
        self._in_force.remember(wanted)
        in_force = self._in_force.settled(wanted)
        if wrong := given.space.differences(wanted, in_force):
            raise ApplyFailed(f"restored, and yet (wanted, in force) differ: {wrong}")
        self._check(in_force)
        return Applied(in_force=in_force)

    def healthy(self) -> str:
        """Whether `[check]` ends with exit status 0; always, without `[check]`."""
        command = self._definition.check
        try:
            if command is not None:
                self._check(self._needed_by(command))
        except TrialFailure as error:
            return str(error)
        return ""

    def _check(self, in_force: Configuration) -> None:
        command = self._definition.check
        if command is not None:
            self._execution.run(command, in_force, TargetDown)

    def _needed_by(self, command: CommandTable) -> dict[str, Value]:
        """The configuration in force, where the command's placeholders ask for it."""
        return self.read() if any(name in self._definition.space for name in command.names) else {}

    def _read_if_up(self) -> dict[str, Value]:
        """The configuration in force; nothing for a target that is down, which `[apply]` may
        be the one to bring up."""
        try:
            return self.read()
        except TargetDown as error:
            logger.info("target does not answer before being set error=%s", error)
            return {}

    def _capture(self) -> dict[Path, FileState]:
        return {file.path: FileState.of(file.path) for file in self._definition.files}

    def _metrics(self, output: Finished) -> dict[str, float]:
        """The declared metrics; NaN for one that could not be read, told in the log."""
        values = {}
        for metric, source in self._definition.metrics:
            try:
                value = read_number(f"metric {metric.name}", source, output)
            except HarnessFailed as error:
                logger.warning("metric not read name=%s error=%s", metric.name, error)
                value = math.nan
            values[metric.name] = value if math.isfinite(value) else math.nan
        return values

    def _version(self) -> str:
        command = self._definition.version_command
        if command is None:
            return self._definition.version
        output = self._execution.run(command, {}, TargetDown)
        if not output.stdout.strip():
            raise TargetDown(f"{output.command} printed no version")
        return output.stdout.strip().splitlines()[0]
