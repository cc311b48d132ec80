"""The contract suite itself: each promise an adapter can break makes one of its tests fail."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from targets.adapter import Adapter
from targets.errors import TrialFailure
from targets.testing import AdapterContract

FAULTS = {
    "apply does nothing": (
        "test_apply_answers_what_is_in_force",
        "def apply(self, c): self.space.check(c); return Applied(in_force=self.read())",
    ),
    "apply answers what was asked": (
        "test_apply_answers_what_is_in_force",
        "def apply(self, c): super().apply({**c, 'buffer': 3}); return Applied(in_force=dict(c))",
    ),
    "apply takes anything": (
        "test_invalid_configuration_is_refused_whole",
        "def apply(self, c): return super().apply({**self.read(), **{\n"
        "    k: v for k, v in c.items() if k in self.space}})",
    ),
    "apply sets some of it before it refuses": (
        "test_invalid_configuration_is_refused_whole",
        "def apply(self, c):\n"
        "    v = c.get('buffer')\n"
        "    if isinstance(v, int) and 0 <= v <= 90:\n"
        "        super().apply({**self.read(), 'cache': 0, 'buffer': v})\n"
        "    return super().apply(c)",
    ),
    "apply answers another error": (
        "test_invalid_configuration_is_refused_whole",
        "def apply(self, c):\n"
        "    try: return super().apply(c)\n"
        "    except Rejected as e: raise ApplyFailed(str(e)) from e",
    ),
    "configuration lives in memory": (
        "test_configuration_in_force_outlives_the_adapter",
        "mine = None\n"
        "def apply(self, c):\n"
        "    self.mine = self.space.check(c); return Applied(in_force=self.read())\n"
        "def read(self): return self.mine or self.space.default()",
    ),
    "restore needs the instance that took the snapshot": (
        "test_restore_works_on_a_fresh_instance",
        "def snapshot(self): self.kept = self.read(); return Snapshot(configuration={})\n"
        "def restore(self, s): return self.apply(self.kept)",
    ),
    "restore works once": (
        "test_restore_twice_on_one_instance",
        "def restore(self, s):\n"
        "    if hasattr(self, 'done'): raise ApplyFailed('twice')\n"
        "    self.done = True; return super().restore(s)",
    ),
    "snapshot is no JSON": (
        "test_restore_works_on_a_fresh_instance",
        "def snapshot(self): return Snapshot(configuration=self.read(), data={'x': {1, 2}})",
    ),
    "an objective is missing": (
        "test_measure_gives_every_objective",
        "def measure(self, *a, **k):\n"
        "    w = super().measure(*a, **k); return replace(w, objectives={'throughput': 1.0})",
    ),
    "an objective is not finite": (
        "test_measure_gives_every_objective",
        "def measure(self, *a, **k):\n"
        "    w = super().measure(*a, **k)\n"
        "    return replace(w, objectives={**w.objectives, 'latency': float('inf')})",
    ),
    "a metric is not declared": (
        "test_measure_gives_every_objective",
        "def measure(self, *a, **k):\n"
        "    w = super().measure(*a, **k); return replace(w, metrics={'secret': 1.0})",
    ),
    "measure changes the configuration": (
        "test_measure_gives_every_objective",
        "def measure(self, *a, **k):\n"
        "    w = super().measure(*a, **k); self.apply({**self.read(), 'buffer': 9}); return w",
    ),
    "deterministic objective varies": (
        "test_deterministic_objectives_repeat",
        "calls = 0\n"
        "def measure(self, *a, **k):\n"
        "    self.calls += 1; w = super().measure(*a, **k)\n"
        "    return replace(w, objectives={**w.objectives, 'latency': float(self.calls)})",
    ),
    "cancel is not heard": (
        "test_cancel_ends_the_window",
        "def measure(self, p=Purpose.SEARCH, *, seed=0, cancel=None): return super().measure(p)",
    ),
    "observe tunes": (
        "test_observe_changes_nothing",
        "def observe(self): self.apply({**self.read(), 'buffer': 9}); return super().observe()",
    ),
    "description changes": (
        "test_describe_survives_json_and_is_stable",
        "calls = 0\n"
        "def describe(self):\n"
        "    self.calls += 1; return replace(super().describe(), version=str(self.calls))",
    ),
    "description is no JSON": (
        "test_describe_survives_json_and_is_stable",
        "def describe(self): return replace(super().describe(), hardware={'x': (1, 2)})",
    ),
    "risky knobs by default": (
        "test_only_safe_knobs_without_opt_in",
        "def __init__(self, s, w, **k): super().__init__({**s, 'durability': True}, w, **k)",
    ),
    "knob without help": (
        "test_knobs_explain_themselves",
        "def describe(self):\n"
        "    d = super().describe()\n"
        "    return replace(d, space=KnobSpace(tuple(replace(k, help='') for k in d.space)))",
    ),
    "settings are not checked": (
        "test_unknown_setting_is_refused_by_name",
        "def __init__(self, s, w, **k):\n"
        "    super().__init__({n: v for n, v in s.items() if n != 'no_such_setting'}, w, **k)",
    ),
    "read gives half": (
        "test_read_is_a_whole_valid_configuration",
        "def read(self): c = super().read(); c.popitem(); return c",
    ),
    "read fails beside measure": (
        "test_read_works_beside_measure",
        "busy = False\n"
        "def measure(self, *a, **k):\n"
        "    self.busy = True\n"
        "    try: return super().measure(*a, **k)\n"
        "    finally: self.busy = False\n"
        "def healthy(self):\n"
        "    if self.busy and threading.current_thread() is not threading.main_thread():\n"
        "        raise RuntimeError('busy')\n"
        "    return super().healthy()",
    ),
    "close twice fails": (
        "test_close_twice",
        "def close(self):\n"
        "    if hasattr(self, 'closed'): raise OSError('closed')\n"
        "    self.closed = True",
    ),
    "reference line is not a number": (
        "test_reference_lines_can_be_drawn",
        "def reference_lines(self, p=Purpose.CONFIRM):\n"
        "    return (ReferenceLine(name='x', value=float('nan')),)",
    ),
}

HARMLESS = "test_settings_declare_valid_defaults"
"""A test that no fault touches: it fails where the faulty class itself does not work."""

MODULE = """
import threading
from dataclasses import replace
from targets.adapter import Applied, Purpose, ReferenceLine, Snapshot
from targets.errors import ApplyFailed, Rejected
from targets.simulated.adapter import SimulatedAdapter
from targets.space import KnobSpace
from targets.testing import AdapterContract

SETTINGS = {{"noise": 0, "window_seconds": 0.05}}

{classes}
"""
ONE = """
class Faulty{number}(SimulatedAdapter):
    {code}

class TestFaulty{number}(AdapterContract):
    def make_adapter(self, workdir):
        return Faulty{number}(SETTINGS, workdir)
"""


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, set[str]]:
    """Which tests failed for each faulty adapter: the one meant to, and one meant not to."""
    folder = tmp_path_factory.mktemp("faults")
    classes = "".join(
        ONE.format(number=number, code=code.replace("\n", "\n    "))
        for number, (_, code) in enumerate(FAULTS.values())
    )
    (folder / "test_faulty.py").write_text(MODULE.format(classes=classes))
    wanted = [
        f"{folder}/test_faulty.py::TestFaulty{number}::{name}"
        for number, (meant, _) in enumerate(FAULTS.values())
        for name in (meant, HARMLESS)
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)
    found: dict[int, set[str]] = {}
    for number, name in re.findall(r"FAILED .*::TestFaulty(\d+)::(\w+)", done.stdout):
        found.setdefault(int(number), set()).add(name)
    assert found, done.stdout + done.stderr
    return found


@pytest.mark.parametrize(("number", "fault"), list(enumerate(FAULTS)))
def test_fault_is_caught(failed: dict[int, set[str]], number: int, fault: str) -> None:
    names = failed.get(number, set())
    assert FAULTS[fault][0] in names
    assert HARMLESS not in names, "the class itself is broken"


def test_guide_names_every_method_attribute_and_failure() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "writing-an-adapter.md").read_text()
    failures = {kind.__name__ for kind in TrialFailure.__subclasses__()} - {"GuardrailBroken"}
    methods = {name for name in vars(Adapter) if callable(vars(Adapter)[name])} - {"__init__"}
    attributes = {"configurations", "measures", "compares", "opted_in", "sample"}
    assert attributes <= set(vars(AdapterContract))
    for name in failures | {name for name in methods if name[0] != "_"} | attributes:
        assert re.search(rf"`{name}\b", guide), f"the guide does not name {name}"
