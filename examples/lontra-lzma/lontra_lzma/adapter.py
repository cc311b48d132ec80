"""Tunes LZMA on one file: the smallest result that is ready within a time limit."""

from __future__ import annotations

import hashlib
import lzma
import random
import struct
from importlib.resources import files
from pathlib import Path
from typing import Any

import targets
from targets.errors import InvalidSetting, TimedOut, WorkloadFailed

BLOCK_BYTES = 64 * 1024  # compressed between two looks at the clock
MODES = {"fast": lzma.MODE_FAST, "normal": lzma.MODE_NORMAL}
MATCH_FINDERS = {
    "hc3": lzma.MF_HC3,
    "hc4": lzma.MF_HC4,
    "bt2": lzma.MF_BT2,
    "bt3": lzma.MF_BT3,
    "bt4": lzma.MF_BT4,
}


class LzmaAdapter(targets.Adapter):
    """The "target" is the encoder's configuration for one file, kept in the workdir."""

    kind = "lzma"
    embedded = True
    summary = "LZMA compression of one file: smallest size within a time limit."
    settings_declared = (
        targets.Setting(name="path", default="", help="The file; empty generates a corpus."),
        targets.Setting(
            name="corpus_bytes", default=256 * 1024, low=1024, unit="bytes", help="Its size then."
        ),
        targets.Setting(
            name="limit_seconds", default=10.0, low=0.0, unit="s", help="Time limit of a window."
        ),
    )

    def __init__(
        self,
        settings: dict[str, object],
        workdir: Path,
        *,
        clock: targets.Clock | None = None,
    ) -> None:
        super().__init__(settings, workdir, clock=clock)
        self.space = targets.load_catalogue(files(__package__) / "knobs.toml", self.machine)
        self._state = targets.StateFile(workdir / "configuration.json", self.space)
        self._content = self._load()

    def describe(self) -> targets.Description:
        return targets.Description(
            kind=self.kind,
            version="0.1.0",
            hardware=self.machine.to_dict(),
            space=self.space,
            metrics=(
                targets.Metric(name="compress_seconds", kind=targets.MetricKind.GAUGE, unit="s"),
                targets.Metric(name="file_bytes", kind=targets.MetricKind.GAUGE, unit="bytes"),
            ),
            objectives=(
                targets.Objective(
                    name="compressed_size",
                    direction=targets.Direction.MINIMISE,
                    unit="bytes",
                    deterministic=True,
                    help="Size of the file, compressed.",
                ),
            ),
            workload=targets.Workload(
                name="compress", parameters={"sha256": hashlib.sha256(self._content).hexdigest()}
            ),
            window_seconds=1.0,
            settings=self.settings,
        )

    def read(self) -> dict[str, targets.Value]:
        return self._state.read()

    def observe(self) -> dict[str, float]:
        return {"file_bytes": float(len(self._content))}

    def apply(self, configuration: targets.Configuration) -> targets.Applied:
        self._state.write(self.space.check(configuration))
        return targets.Applied(in_force=self.read())

    def measure(
        self,
        purpose: targets.Purpose = targets.Purpose.SEARCH,
        *,
        seed: int = 0,
        cancel: targets.CancelToken | None = None,
    ) -> targets.Measurement:
        configuration = dict(self.read())
        configuration["mode"] = MODES[str(configuration["mode"])]
        configuration["mf"] = MATCH_FINDERS[str(configuration["mf"])]
        started = self.clock.monotonic()
        compressed = self._compress([{"id": lzma.FILTER_LZMA2, **configuration}], cancel)
        seconds = self.clock.monotonic() - started
        if lzma.decompress(compressed) != self._content:
            raise WorkloadFailed("the compressed file does not decompress to what it was made of")
        return targets.Measurement(
            objectives={"compressed_size": float(len(compressed))},
            seconds=seconds,
            metrics={"compress_seconds": seconds, **self.observe()},
        )

    def reference_lines(
        self, purpose: targets.Purpose = targets.Purpose.CONFIRM
    ) -> tuple[targets.ReferenceLine, ...]:
        size = len(lzma.compress(self._content, preset=9 | lzma.PRESET_EXTREME))
        return (targets.ReferenceLine(name="xz -9e", value=float(size), note="no time limit"),)

    def _compress(self, filters: list[dict[str, Any]], cancel: targets.CancelToken | None) -> bytes:
        limit = float(self.settings["limit_seconds"])
        deadline = self.clock.monotonic() + limit
        compressor = lzma.LZMACompressor(filters=filters)
        parts = []
        for start in range(0, len(self._content), BLOCK_BYTES):
            if cancel is not None:
                cancel.check()
            parts.append(compressor.compress(self._content[start : start + BLOCK_BYTES]))
            if self.clock.monotonic() > deadline:
                raise TimedOut(
                    f"compressed {start + BLOCK_BYTES} of {len(self._content)} bytes in "
                    f"limit_seconds={limit:g}: raise the limit or try a faster configuration"
                )
        return b"".join([*parts, compressor.flush()])

    def _load(self) -> bytes:
        if not self.settings["path"]:
            return corpus(int(self.settings["corpus_bytes"]))
        path = Path(str(self.settings["path"]))
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InvalidSetting(f"setting path={path}: {error.strerror}") from error
        if not content:
            raise InvalidSetting(f"setting path={path}: the file is empty")
        return content


def corpus(size: int) -> bytes:
    """Sensor records of 16 bytes (time, level, state, unit, temperature); always the same."""
    rng = random.Random(1)
    level, records = 20_000, []
    for tick in range(size // 16 + 1):
        level += rng.choice((-3, -1, 0, 0, 1, 3))
        temperature = 20 + rng.gauss(0, 0.01)
        records.append(
            struct.pack("<IiHHf", 1_700_000_000 + tick, level, rng.randrange(9), 7, temperature)
        )
    return b"".join(records)[:size]
