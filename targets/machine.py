"""The machine that a target may use: its CPUs and memory within this process's limits.

Sizes taken from the host instead of the container are the commonest sizing fault of tuners, so
the smallest of hardware, CPU affinity and every control group on the way up counts.

Sources: Linux `Documentation/admin-guide/cgroup-v1` and `cgroup-v2.rst`, `proc_pid_mountinfo(5)`,
`cgroups(7)`.
"""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Machine:
    """CPUs (fractional under a quota) and bytes of memory that this process may use.

    `limited_by` names the files that set either below the hardware, empty when none does.
    """

    cpus: float
    memory_bytes: int
    host: str
    architecture: str
    kernel: str
    limited_by: str

    @classmethod
    def detect(cls, root: Path = Path("/")) -> Machine:
        """Look at `/proc` and `/sys` under `root`; a file that is absent sets no limit."""
        hardware_cpus = _online_cpus(root)
        hardware_memory = _memory_total(root)
        cpus, cpus_by = min([(hardware_cpus, ""), *_cpu_limits(root)])
        memory, memory_by = min([(hardware_memory, ""), *_memory_limits(root)])
        return cls(
            cpus=cpus,
            memory_bytes=int(memory),
            host=platform.node(),
            architecture=platform.machine(),
            kernel=f"{platform.system()} {platform.release()}",
            limited_by=", ".join(name for name in (cpus_by, memory_by) if name),
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return asdict(self)


def host_identity(root: Path = Path("/")) -> str:
    """A text equal for all processes on one running kernel, in whichever containers.

    It is the kernel's boot id: containers on one kernel have host names of their own. Where
    there is no boot id it is the host name.
    """
    return _read(root / "proc/sys/kernel/random/boot_id") or platform.node()


def _online_cpus(root: Path) -> float:
    listed = _count_list(_read(root / "sys/devices/system/cpu/online"))
    return float(listed or os.cpu_count() or 1)


def _memory_total(root: Path) -> float:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return float(int(line.split()[1]) * 1024)
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _cpu_limits(root: Path) -> Iterator[tuple[float, str]]:
    for line in _read(root / "proc/self/status").splitlines():
        if line.startswith("Cpus_allowed_list:"):
            yield from _limit(_count_list, line.partition(":")[2], "CPU affinity")
    for group in _groups(root, "cpuset"):
        # v1's cpuset.cpus is what was asked for; the other two are what is granted.
        for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
            yield from _limit(_count_list, _read(group / name), _shown(group / name, root))
    for group in _groups(root, "cpu"):
        v2, v1 = group / "cpu.max", group / "cpu.cfs_quota_us"
        yield from _limit(_quota, _read(v2), _shown(v2, root))
        if quota := _read(v1):
            period = _read(group / "cpu.cfs_period_us")
            yield from _limit(_quota, f"{quota} {period}", _shown(v1, root))


def _memory_limits(root: Path) -> Iterator[tuple[float, str]]:
    for group in _groups(root, "memory"):
        # Above memory.high the kernel throttles: no size to tune towards either. v1 writes "no
        # limit" as a number near 2^63, which is above any machine's memory and so never the least.
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            yield from _limit(float, _read(group / name), _shown(group / name, root))


def _limit(parse: Callable[[str], float], text: str, name: str) -> Iterator[tuple[float, str]]:
    """The limit that a file's text sets, if it sets one."""
    if not text.strip() or text.lstrip().startswith("max"):
        return
    try:
        value = parse(text)
    except ValueError:
        logger.warning("limit file not understood file=%s text=%r", name, text)
        return
    if value > 0:
        yield value, name


def _quota(text: str) -> float:
    """CPUs from `cpu.max`'s form, quota and period in microseconds; 0 where there is no quota."""
    quota, *period = (float(part) for part in text.split())
    return max(0.0, quota) / (period[0] if period and period[0] > 0 else 100_000)


def _count_list(text: str) -> int:
    """How many numbers a kernel list such as `0-3,8` holds."""
    ranges = [part.partition("-") for part in text.strip().split(",") if part]
    return sum(int(last or first) - int(first) + 1 for first, _, last in ranges)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's control group for a controller, and of all above it."""
    paths = _group_paths(root)
    for line in _read(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        if len(fields) < 5 or len(tail) < 3 or tail[0] not in ("cgroup", "cgroup2"):
            continue
        v2 = tail[0] == "cgroup2"
        path = paths.get("" if v2 else controller)
        if path is None or not (v2 or controller in tail[2].split(",")):
            continue
        top = root / _unescape(fields[4]).lstrip("/")
        group = top / _within(path, _unescape(fields[3]))
        while True:
            yield group
            if group == top:
                break
            group = group.parent


def _group_paths(root: Path) -> dict[str, str]:
    """Controller -> this process's group; v2's single tree has the empty name."""
    paths: dict[str, str] = {}
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _within(path: str, mounted: str) -> PurePosixPath:
    """Where a group lies below the mount of `mounted`; the mount itself where it lies outside.

    Without a cgroup namespace a container sees its host's paths (`/docker/ID`) while only its own
    group is mounted; with one it may see `/../other` for a group it was moved out of.
    """
    group, top = PurePosixPath(path), PurePosixPath(mounted)
    if ".." in group.parts or not group.is_relative_to(top):
        return PurePosixPath()
    return group.relative_to(top)


def _unescape(text: str) -> str:
    """mountinfo's octal escapes undone: the kernel writes blank, tab, newline, backslash so."""
    for code, character in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        text = text.replace(code, character)
    return text


def _shown(path: Path, root: Path) -> str:
    return f"/{path.relative_to(root)}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
