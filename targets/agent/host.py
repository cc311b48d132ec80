"""What the host did beside the target: with each heartbeat, and during each window.

A window's contamination, all over the window's wall time:

- `foreign_cpu` (cores): (busy - own) / wall. Busy is the host's user, nice, system, irq and softirq
  time; own is user and system time of the agent's process tree, with children already reaped. A
  target outside that tree (a database service) counts as foreign, and so does its own load.
- `steal`, `iowait` (cores): those times over wall.
- `cpu_pressure`, `memory_pressure`, `io_pressure` (0 to 1): the share of wall time in which at
  least one task waited for it (`some total` of /proc/pressure, Documentation/accounting/psi.rst);
  absent where the kernel keeps no such account.
- `memory_available_bytes`: at the end.
- `disk_read_bytes_per_second`, `disk_write_bytes_per_second`: of all disks.

Shares of less than `LEAST_SECONDS` are None: the kernel counts in ticks of some 10 ms.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

PRESSURES = ("cpu", "memory", "io")
LEAST_SECONDS = 0.2


@dataclass(frozen=True)
class Sight:
    """The host's counters at one moment; `elapsed` is a monotonic reading, times are seconds."""

    elapsed: float
    busy: float
    own: float
    steal: float
    iowait: float
    pressure: dict[str, float]
    disk_read: float
    disk_write: float


class Host:
    """Looks at the host from the agent's process."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._last = self.look()

    def look(self) -> Sight:
        """The counters now."""
        cpu = psutil.cpu_times()
        disk = _disk()
        return Sight(
            elapsed=time.monotonic(),
            busy=cpu.user + cpu.nice + cpu.system + cpu.irq + cpu.softirq,
            own=self._own_seconds(),
            steal=cpu.steal,
            iowait=cpu.iowait,
            pressure=_pressure(),
            disk_read=disk[0],
            disk_write=disk[1],
        )

    def contamination(self, before: Sight) -> dict[str, float | None]:
        """What the host did since `before`; the formulas are in the module's text."""
        return _between(before, self.look())

    def metrics(self) -> dict[str, float | None]:
        """For a heartbeat: the same since the last one, with load and total memory."""
        before, self._last = self._last, self.look()
        return {
            **_between(before, self._last),
            "load_1m": psutil.getloadavg()[0],
            "memory_total_bytes": float(psutil.virtual_memory().total),
        }

    def _own_seconds(self) -> float:
        """CPU time of this process and all below it, those that were reaped included."""
        total = 0.0
        for process in (self._own, *self._own.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total


def _between(before: Sight, after: Sight) -> dict[str, float | None]:
    wall = max(after.elapsed - before.elapsed, 1e-3)
    result: dict[str, float | None] = {
        # Ticks are rounded, so a quiet host may come out a little below zero.
        "foreign_cpu": max(0.0, (after.busy - before.busy) - (after.own - before.own)) / wall,
        "steal": (after.steal - before.steal) / wall,
        "iowait": (after.iowait - before.iowait) / wall,
        "memory_available_bytes": float(psutil.virtual_memory().available),
        "disk_read_bytes_per_second": (after.disk_read - before.disk_read) / wall,
        "disk_write_bytes_per_second": (after.disk_write - before.disk_write) / wall,
    }
    for name, total in after.pressure.items():
        result[f"{name}_pressure"] = (total - before.pressure.get(name, total)) / wall
    if wall < LEAST_SECONDS:
        shares = ("foreign_cpu", "steal", "iowait", *(f"{name}_pressure" for name in PRESSURES))
        result |= dict.fromkeys(result.keys() & set(shares))
    return result


def _disk() -> tuple[float, float]:
    """Bytes read and written so far by all disks; zeros where this container shows none."""
    try:
        counters = psutil.disk_io_counters()
    except (NotImplementedError, OSError):
        counters = None
    return (counters.read_bytes, counters.write_bytes) if counters else (0.0, 0.0)


def _pressure() -> dict[str, float]:
    """Seconds so far in which some task waited, by resource."""
    result = {}
    for name in PRESSURES:
        with contextlib.suppress(OSError, ValueError, IndexError):
            first = Path(f"/proc/pressure/{name}").read_text().splitlines()[0]
            result[name] = float(first.rpartition("total=")[2]) / 1e6
    return result
