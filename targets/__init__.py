"""What is tuned: knobs, metrics, adapters, catalogues, and the agent that drives them.

The names below are what an adapter outside this house builds on; see docs/writing-an-adapter.md.
The contract suite is `targets.testing.AdapterContract`, imported apart because it needs pytest.
"""

from targets.adapter import (
    Adapter,
    Applied,
    CancelToken,
    Description,
    Measurement,
    Purpose,
    ReferenceLine,
    Snapshot,
    Workload,
)
from targets.catalogue import load_catalogue
from targets.clock import Clock, ManualClock, SystemClock
from targets.knobs import (
    Configuration,
    Effect,
    Knob,
    KnobType,
    Risk,
    Scale,
    Scope,
    Special,
    Value,
)
from targets.machine import Machine, host_identity
from targets.metrics import Direction, Metric, MetricKind, MetricVector, Objective
from targets.registry import AdapterEntry, installed_adapters, load_adapter
from targets.settings import Setting
from targets.space import Constraint, KnobSpace
from targets.statefile import StateFile

__all__ = [
    "Adapter",
    "AdapterEntry",
    "Applied",
    "CancelToken",
    "Clock",
    "Configuration",
    "Constraint",
    "Description",
    "Direction",
    "Effect",
    "Knob",
    "KnobSpace",
    "KnobType",
    "Machine",
    "ManualClock",
    "Measurement",
    "Metric",
    "MetricKind",
    "MetricVector",
    "Objective",
    "Purpose",
    "ReferenceLine",
    "Risk",
    "Scale",
    "Scope",
    "Setting",
    "Snapshot",
    "Special",
    "StateFile",
    "SystemClock",
    "Value",
    "Workload",
    "host_identity",
    "installed_adapters",
    "load_adapter",
    "load_catalogue",
]
