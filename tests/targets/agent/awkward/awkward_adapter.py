"""An adapter that misbehaves as the file `mood`, beside the state directory, says."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from targets.adapter import Applied, Measurement, Purpose, Snapshot
from targets.errors import ApplyFailed, Rejected
from targets.simulated.adapter import SimulatedAdapter


class AwkwardAdapter(SimulatedAdapter):
    kind = "awkward"
    summary = "Misbehaves in every way an adapter can."
    concurrent_read = False

    @property
    def mood(self) -> str:
        file = self.workdir.parent.parent / "mood"
        return file.read_text() if file.exists() else ""

    def apply(self, configuration: Any) -> Applied:
        if self.mood == "refuse-mixtures" and configuration["buffer"] == 77:
            raise Rejected("buffer=77 goes with nothing else")
        if self.mood == "apply-fails-half-way":
            super().apply({**configuration, "policy": "clock"})
            raise ApplyFailed("the target fell over half-way")
        applied = super().apply(configuration)
        if self.mood == "apply-hangs":
            while True:
                time.sleep(0.05)
        return applied

    def restore(self, snapshot: Snapshot) -> Applied:
        with (self.workdir / "restores").open("a") as file:
            file.write("restore\n")
        if self.mood == "restore-fails":
            raise ApplyFailed("the target does not come back")
        if self.mood == "restore-does-nothing":
            return Applied(in_force=snapshot.configuration)
        return SimulatedAdapter.apply(self, snapshot.configuration)

    def healthy(self) -> str:
        return "the target coughs" if self.mood == "ill" else super().healthy()

    def measure(self, purpose: Purpose = Purpose.SEARCH, **arguments: Any) -> Measurement:
        (self.workdir / "measuring").touch()
        if self.mood == "measure-raises":
            raise ZeroDivisionError("a bug in a stranger's adapter")
        if self.mood == "measure-hangs":
            while True:
                time.sleep(0.05)
        measured = super().measure(purpose, **arguments)
        if self.mood == "not-finite":
            wrong = {**measured.objectives, "throughput": float("nan")}
            return replace(measured, objectives=wrong)
        if self.mood == "no-objective":
            return Measurement(objectives={"latency": 1.0}, seconds=1)
        if self.mood == "no-json":
            return Measurement(
                objectives=measured.objectives,
                seconds=1,
                metrics=measured.metrics,
                details={"path": Path("/")},
            )
        if self.mood == "unaccounted":
            return replace(measured, metrics={**measured.metrics, "operations_total": 3.0})
        if self.mood == "uncounted":
            return replace(measured, metrics={})
        return measured

    def uninstall(self) -> None:
        (self.workdir.parent.parent / "uninstalled").write_text(str(self.read()["buffer"]))
