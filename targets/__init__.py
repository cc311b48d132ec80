"""What is tuned: knobs, metrics, adapters, catalogues, and the agent that drives them.

The names below are what an adapter outside this house builds on; see docs/writing-an-adapter.md.
They load when first used: the agent's watchdog imports this package too and must stay small.
The contract suite is `targets.testing.AdapterContract`, imported apart because it needs pytest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "Adapter": "targets.adapter",
    "AdapterEntry": "targets.registry",
    "Applied": "targets.adapter",
    "CancelToken": "targets.adapter",
    "Clock": "targets.clock",
    "Configuration": "targets.knobs",
    "Constraint": "targets.space",
    "Description": "targets.adapter",
    "Direction": "targets.metrics",
    "Effect": "targets.knobs",
    "Knob": "targets.knobs",
    "KnobSpace": "targets.space",
    "KnobType": "targets.knobs",
    "Machine": "targets.machine",
    "ManualClock": "targets.clock",
    "Measurement": "targets.adapter",
    "Metric": "targets.metrics",
    "MetricKind": "targets.metrics",
    "MetricVector": "targets.metrics",
    "Objective": "targets.metrics",
    "Purpose": "targets.adapter",
    "ReferenceLine": "targets.adapter",
    "Risk": "targets.knobs",
    "Scale": "targets.knobs",
    "Scope": "targets.knobs",
    "Setting": "targets.settings",
    "Snapshot": "targets.adapter",
    "Special": "targets.knobs",
    "StateFile": "targets.statefile",
    "SystemClock": "targets.clock",
    "Value": "targets.knobs",
    "Workload": "targets.adapter",
    "host_identity": "targets.machine",
    "installed_adapters": "targets.registry",
    "load_adapter": "targets.registry",
    "load_catalogue": "targets.catalogue",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
