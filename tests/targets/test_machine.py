"""Limits of containers, read from fixture trees of /proc and /sys as real kernels write them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from targets.machine import Machine, host_identity

GIB = 1024**3
UNLIMITED_V1 = "9223372036854771712"


def tree(root: Path, files: dict[str, str]) -> Path:
    """A machine of 16 CPUs and 64 GiB, with these files besides (or instead)."""
    for name, text in {
        "sys/devices/system/cpu/online": "0-15",
        "proc/meminfo": f"MemTotal:       {64 * GIB // 1024} kB\nMemFree:  1 kB\n",
        "proc/self/status": "Name:\tlontra\nCpus_allowed_list:\t0-15\n",
        **files,
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def v2(path: str = "/", mounted: str = "/") -> dict[str, str]:
    return {
        "proc/self/cgroup": f"0::{path}",
        "proc/self/mountinfo": (
            "22 1 0:21 / /proc rw - proc proc rw\n"
            f"31 23 0:28 {mounted} /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate"
        ),
    }


def v1(path: str, mounted: str) -> dict[str, str]:
    return {
        "proc/self/cgroup": f"5:memory:{path}\n4:cpu,cpuacct:{path}\n3:cpuset:{path}\n0::/",
        "proc/self/mountinfo": "\n".join(
            f"{n} 31 0:{n} {mounted} /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}"
            for n, name in ((33, "memory"), (34, "cpu,cpuacct"), (35, "cpuset"))
        ),
    }


def test_no_control_group_means_the_hardware(tmp_path: Path) -> None:
    machine = Machine.detect(tree(tmp_path, {}))
    assert (machine.cpus, machine.memory_bytes, machine.limited_by) == (16, 64 * GIB, "")


def test_v2_limits_of_a_container(tmp_path: Path) -> None:
    files = {
        **v2(),
        "sys/fs/cgroup/memory.max": str(2 * GIB),
        "sys/fs/cgroup/cpu.max": "150000 100000",
    }
    machine = Machine.detect(tree(tmp_path, files))
    assert (machine.cpus, machine.memory_bytes) == (1.5, 2 * GIB)
    assert machine.limited_by == "/sys/fs/cgroup/cpu.max, /sys/fs/cgroup/memory.max"


def test_v2_max_is_no_limit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {
        **v2(),
        "sys/fs/cgroup/memory.max": "max",
        "sys/fs/cgroup/memory.high": "max",
        "sys/fs/cgroup/cpu.max": "max 100000",
    }
    machine = Machine.detect(tree(tmp_path, files))
    assert (machine.cpus, machine.memory_bytes, machine.limited_by) == (16, 64 * GIB, "")
    assert caplog.records == [], "it is a limit file that was understood"


def test_v2_the_least_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    files = {
        **v2("/db.slice/postgres.service"),
        "sys/fs/cgroup/db.slice/memory.max": str(4 * GIB),
        "sys/fs/cgroup/db.slice/cpu.max": "max 100000",
        "sys/fs/cgroup/db.slice/postgres.service/memory.max": str(8 * GIB),
        "sys/fs/cgroup/db.slice/postgres.service/cpu.max": "50000 25000",
    }
    machine = Machine.detect(tree(tmp_path, files))
    assert (machine.cpus, machine.memory_bytes) == (2, 4 * GIB)
    assert "/sys/fs/cgroup/db.slice/memory.max" in machine.limited_by


def test_v2_throttling_limit_counts_too(tmp_path: Path) -> None:
    files = {
        **v2(),
        "sys/fs/cgroup/memory.max": str(8 * GIB),
        "sys/fs/cgroup/memory.high": str(6 * GIB),
    }
    assert Machine.detect(tree(tmp_path, files)).memory_bytes == 6 * GIB


@pytest.mark.parametrize(
    ("path", "mounted"),
    [
        ("/", "/kube/pod7"),
        ("/../other.slice", "/kube/pod7"),
        ("/elsewhere/entirely", "/kube/pod7"),
        ("/../other.slice", "/"),
    ],
)
def test_namespaced_paths_fall_back_to_what_is_mounted(
    tmp_path: Path, path: str, mounted: str
) -> None:
    files = {**v2(path, mounted), "sys/fs/cgroup/memory.max": str(3 * GIB)}
    assert Machine.detect(tree(tmp_path, files)).memory_bytes == 3 * GIB


def test_v1_limits_and_its_number_for_unlimited(tmp_path: Path) -> None:
    here, top = "sys/fs/cgroup/memory/app", "sys/fs/cgroup/memory"
    cpu = "sys/fs/cgroup/cpu,cpuacct"
    files = {
        **v1("/app", mounted="/"),
        f"{top}/memory.limit_in_bytes": UNLIMITED_V1,
        f"{here}/memory.limit_in_bytes": str(5 * GIB),
        f"{cpu}/app/cpu.cfs_quota_us": "250000",
        f"{cpu}/app/cpu.cfs_period_us": "100000",
        f"{cpu}/cpu.cfs_quota_us": "-1",
        f"{cpu}/cpu.cfs_period_us": "100000",
    }
    machine = Machine.detect(tree(tmp_path, files))
    assert (machine.cpus, machine.memory_bytes) == (2.5, 5 * GIB)


def test_v1_unlimited_everywhere(tmp_path: Path) -> None:
    files = {
        **v1("/", mounted="/"),
        "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED_V1,
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
    }
    machine = Machine.detect(tree(tmp_path, files))
    assert (machine.cpus, machine.memory_bytes, machine.limited_by) == (16, 64 * GIB, "")


def test_v1_host_paths_inside_docker(tmp_path: Path) -> None:
    files = {
        **v1("/docker/abc", mounted="/docker/abc"),
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(1 * GIB),
        "sys/fs/cgroup/cpuset/cpuset.effective_cpus": "0,2-4",
    }
    machine = Machine.detect(tree(tmp_path, files))
    assert (machine.cpus, machine.memory_bytes) == (4, GIB)


def test_cpu_affinity_counts(tmp_path: Path) -> None:
    machine = Machine.detect(tree(tmp_path, {"proc/self/status": "Cpus_allowed_list:\t1,3-4"}))
    assert (machine.cpus, machine.limited_by) == (3, "CPU affinity")


def test_mount_point_with_a_blank(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/",
        "proc/self/mountinfo": r"31 23 0:28 / /mnt/my\040groups rw - cgroup2 cgroup2 rw",
        "mnt/my groups/memory.max": str(GIB),
    }
    assert Machine.detect(tree(tmp_path, files)).memory_bytes == GIB


@pytest.mark.parametrize("text", ["", "nonsense", "-5", "0"])
def test_unreadable_limit_is_no_limit(tmp_path: Path, text: str) -> None:
    files = {**v2(), "sys/fs/cgroup/memory.max": text, "sys/fs/cgroup/cpu.max": text}
    machine = Machine.detect(tree(tmp_path, files))
    assert (machine.cpus, machine.memory_bytes) == (16, 64 * GIB)


def test_absent_files_leave_what_the_system_calls_say(tmp_path: Path) -> None:
    machine = Machine.detect(tmp_path)
    assert machine.cpus == os.cpu_count()
    assert machine.memory_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_this_machine(tmp_path: Path) -> None:
    machine = Machine.detect()
    assert 0 < machine.cpus <= len(os.sched_getaffinity(0))
    assert 2**26 < machine.memory_bytes <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert json.loads(json.dumps(machine.to_dict()))["kernel"] == machine.kernel


def test_host_identity_is_the_kernels(tmp_path: Path) -> None:
    boot = tmp_path / "proc/sys/kernel/random/boot_id"
    boot.parent.mkdir(parents=True)
    boot.write_text("11111111-2222-3333-4444-555555555555\n")
    assert host_identity(tmp_path) == "11111111-2222-3333-4444-555555555555"
    assert host_identity(tmp_path / "none") == os.uname().nodename
    assert host_identity() == host_identity()


def test_a_group_outside_the_namespace_is_not_looked_for_beside_the_mount(tmp_path: Path) -> None:
    files = {**v2("/../other.slice"), "sys/fs/other.slice/memory.max": str(GIB)}
    assert Machine.detect(tree(tmp_path, files)).memory_bytes == 64 * GIB
