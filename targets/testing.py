"""The contract suite that every adapter passes, ours and strangers' alike.

Subclass it in a test module, say how to make your adapter, and run pytest:

    class TestMyAdapter(AdapterContract):
        def make_adapter(self, workdir: Path) -> Adapter:
            return MyAdapter({"rows": 100}, workdir)

Needs pytest, which nothing else in the package imports.
"""

# ruff: noqa: S101 - asserts are what a suite is made of; its randomness must repeat

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from targets.accounting import unaccounted
from targets.adapter import Adapter, CancelToken, Description, Purpose, Snapshot
from targets.errors import Cancelled, InvalidSetting, Rejected
from targets.knobs import Configuration, Knob, KnobType, Risk, Scale, Value
from targets.metrics import MetricKind
from targets.space import KnobSpace

SEED = 20_260_101
SPECIAL_SHARE = 0.2
SAMPLING_TRIES = 10_000


class AdapterContract:
    """What holds for every adapter. Override `make_adapter`, and attributes where they apply.

    Every test gets an adapter of its own in an empty folder, so make it small: few rows, short
    windows. Where making it takes long, prepare a folder once and copy it in `make_adapter`.
    """

    configurations: ClassVar[int] = 3
    """How many random valid configurations are applied; fewer where applying is slow."""

    measures: ClassVar[bool] = True
    """False skips the tests that measure, where the part they need is not on this machine."""

    compares: ClassVar[bool] = True
    """False skips computing the reference lines, where that takes minutes."""

    opted_in: ClassVar[bool] = False
    """True when `make_adapter` opts in to knobs that risk durability."""

    def make_adapter(self, workdir: Path) -> Adapter:
        """A fresh adapter on `workdir`; called again with the same folder it finds the same
        target, as the watchdog would after a crash."""
        raise NotImplementedError("say how to make your adapter: override make_adapter")

    def sample(self, space: KnobSpace, rng: random.Random) -> dict[str, Value]:
        """A random valid configuration; override where constraints are too tight for chance."""
        for _ in range(SAMPLING_TRIES):
            configuration = {knob.name: random_value(knob, rng) for knob in space}
            if not space.broken(configuration):
                return configuration
        pytest.fail(f"no valid configuration in {SAMPLING_TRIES} random ones: override sample()")

    def another(
        self, space: KnobSpace, rng: random.Random, than: Configuration
    ) -> dict[str, Value]:
        """A random valid configuration that differs from `than`."""
        for _ in range(SAMPLING_TRIES):
            if (configuration := self.sample(space, rng)) != than:
                return configuration
        pytest.fail("all random configurations are alike: the space has but one")

    @pytest.fixture
    def adapter(self, tmp_path: Path) -> Iterator[Adapter]:
        """One adapter, closed at the end."""
        made = self.make_adapter(tmp_path)
        yield made
        made.close()

    # -- what it says of itself

    def test_describe_survives_json_and_is_stable(self, adapter: Adapter) -> None:
        description = adapter.describe()
        carried = json.loads(json.dumps(description.to_dict(), allow_nan=False))
        assert Description.from_dict(carried) == description
        assert Description.from_dict(carried).to_dict() == description.to_dict()
        assert adapter.describe() == description, "describe() changed within one run"

    def test_describe_is_complete(self, adapter: Adapter) -> None:
        description = adapter.describe()
        assert description.kind == adapter.kind
        assert description.version, "describe() needs a version"
        assert adapter.summary, "the class needs a summary: one line for `lontra targets`"
        assert description.workload.name, "the workload needs a name"
        assert description.window_seconds > 0
        assert len(description.space) > 0, "there is no knob to tune"
        for kind, items in (("objective", description.objectives), ("metric", description.metrics)):
            names = [item.name for item in items]
            assert len(names) == len(set(names)), f"an {kind} is declared twice: {names}"
        assert description.objectives, "there is no objective"
        for name, value in description.settings.items():
            assert adapter.settings.get(name) == value, f"describe() misreports setting {name}"

    def test_knobs_explain_themselves(self, adapter: Adapter) -> None:
        for knob in adapter.describe().space:
            assert knob.help, f"knob {knob.name} needs a help text"
            assert knob.source, f"knob {knob.name} needs a source: the manual that says so"

    def test_defaults_are_valid(self, adapter: Adapter) -> None:
        space = adapter.describe().space
        assert space.check(space.default()) == space.default()

    def test_only_safe_knobs_without_opt_in(self, adapter: Adapter) -> None:
        allowed = (Risk.SAFE, Risk.DURABILITY) if self.opted_in else (Risk.SAFE,)
        risky = [knob.name for knob in adapter.describe().space if knob.risk not in allowed]
        assert not risky, f"knobs that risk data are offered without being asked for: {risky}"

    # -- settings

    def test_settings_declare_valid_defaults(self, adapter: Adapter) -> None:
        for setting in adapter.settings_declared:
            assert setting.help, f"setting {setting.name} needs a help text"
            assert setting.parse(setting.default) == setting.default

    def test_unknown_setting_is_refused_by_name(self, adapter: Adapter, tmp_path: Path) -> None:
        with pytest.raises(InvalidSetting, match="no_such_setting"):
            type(adapter)({**adapter.settings, "no_such_setting": 1}, tmp_path)

    # -- read and apply

    def test_read_is_a_whole_valid_configuration(self, adapter: Adapter) -> None:
        in_force = adapter.read()
        assert adapter.describe().space.check(in_force) == in_force
        assert adapter.read() == in_force

    def test_apply_answers_what_is_in_force(self, adapter: Adapter) -> None:
        space, rng = adapter.describe().space, random.Random(SEED)
        default = space.default()
        asked = [default, *(self.another(space, rng, default) for _ in range(self.configurations))]
        seen = []
        for configuration in asked:
            applied = adapter.apply(configuration)
            assert adapter.read() == applied.in_force
            assert space.check(applied.in_force) == applied.in_force
            assert adapter.healthy() == ""
            seen.append(json.dumps(applied.in_force, sort_keys=True))
        assert len(set(seen)) > 1, "apply() changes nothing, whatever is asked for"

    def test_configuration_in_force_outlives_the_adapter(
        self, adapter: Adapter, tmp_path: Path
    ) -> None:
        space = adapter.describe().space
        other = self.another(space, random.Random(SEED), adapter.read())
        in_force = adapter.apply(other).in_force
        adapter.close()
        again = self.make_adapter(tmp_path)
        try:
            assert again.read() == in_force, "another instance reads another configuration"
        finally:
            again.close()

    def test_invalid_configuration_is_refused_whole(self, adapter: Adapter) -> None:
        space, rng = adapter.describe().space, random.Random(SEED)
        before = adapter.read()
        for fault, configuration in self._invalid(space, rng, before):
            with pytest.raises(Rejected):
                adapter.apply(configuration)
                pytest.fail(f"apply() took a configuration with {fault}")
            assert adapter.read() == before, f"with {fault}, apply() refused but changed something"

    def _invalid(
        self, space: KnobSpace, rng: random.Random, in_force: Configuration
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Valid configurations other than the one in force, each with one fault put in."""
        yield "an unknown knob", {**self.another(space, rng, in_force), "no_such_knob": 1}
        for knob in space:
            valid = self.another(space, rng, in_force)
            yield f"no {knob.name}", {name: valid[name] for name in valid if name != knob.name}
            for wrong in _outside(knob):
                yield f"{knob.name}={wrong!r}", {**valid, knob.name: wrong}
        for _ in range(SAMPLING_TRIES if space.constraints else 0):
            configuration = {knob.name: random_value(knob, rng) for knob in space}
            if broken := space.broken(configuration):
                yield broken[0], configuration
                return

    # -- observe and measure

    def test_observe_changes_nothing(self, adapter: Adapter) -> None:
        before = adapter.read()
        _check_metrics(adapter, adapter.observe())
        assert adapter.read() == before

    def test_measure_gives_every_objective(self, adapter: Adapter) -> None:
        self._needs_measuring()
        before = adapter.read()
        for purpose in Purpose:
            window = adapter.measure(purpose, seed=1)
            names = {objective.name for objective in adapter.describe().objectives}
            assert set(window.objectives) == names, "measure() must give all declared objectives"
            for name, value in window.objectives.items():
                assert math.isfinite(value) and value > 0, (
                    f"{name}={value}: positive, as ratios are"
                )
            assert math.isfinite(window.seconds) and window.seconds > 0
            _check_metrics(adapter, window.metrics)
            objectives = adapter.describe().objectives
            assert unaccounted(objectives, window.objectives, window.metrics) == ""
            json.dumps(dict(window.details), allow_nan=False)
        assert adapter.read() == before, "measure() changed the configuration in force"

    def test_deterministic_objectives_repeat(self, adapter: Adapter) -> None:
        self._needs_measuring()
        space = adapter.describe().space
        fixed = [o.name for o in adapter.describe().objectives if o.deterministic]
        if not fixed:
            pytest.skip("no objective is declared deterministic")
        adapter.apply(self.sample(space, random.Random(SEED)))
        one, other = adapter.measure(seed=7), adapter.measure(seed=7)
        for name in fixed:
            assert one.objectives[name] == other.objectives[name]

    def test_shorter_windows_take_less_time(self, adapter: Adapter) -> None:
        self._needs_measuring()
        least = adapter.describe().least_fidelity
        if least == 1.0:
            pytest.skip("least_fidelity is 1: windows cannot be shortened")
        full = adapter.measure(seed=1)
        # The quickest of three: something else may hold up a window so short.
        short = [adapter.measure(seed=1, fidelity=least) for _ in range(3)]
        assert min(window.seconds for window in short) < full.seconds
        for window in short:
            assert set(window.objectives) == set(full.objectives)
            assert all(math.isfinite(value) and value > 0 for value in window.objectives.values())

    def test_cancel_ends_the_window(self, adapter: Adapter) -> None:
        self._needs_measuring()
        before = adapter.read()
        cancel = CancelToken()
        cancel.cancel("the contract suite says so")
        with pytest.raises(Cancelled, match="the contract suite says so"):
            adapter.measure(cancel=cancel)
        assert adapter.read() == before
        assert adapter.healthy() == ""
        assert adapter.measure().objectives, "after a cancelled window the next one works"

    def test_read_works_beside_measure(self, adapter: Adapter) -> None:
        self._needs_measuring()
        if not adapter.concurrent_read:
            pytest.skip("concurrent_read is not declared")
        before = adapter.read()
        seen: list[object] = []
        done = threading.Event()

        def keep_reading() -> None:
            try:
                while not done.is_set() or not seen:
                    seen.append((adapter.read(), adapter.healthy()))
            except Exception as error:  # a thread's exceptions are lost if not kept
                seen.append(error)

        reader = threading.Thread(target=keep_reading)
        reader.start()
        try:
            adapter.measure()
        finally:
            done.set()
            reader.join()
        other = [item for item in seen if item != (before, "")]
        assert not other, f"read beside measure: {other}, where {before} is in force"

    def test_reference_lines_can_be_drawn(self, adapter: Adapter) -> None:
        if not self.compares:
            pytest.skip("reference lines take too long here")
        lines = adapter.reference_lines()
        assert len({line.name for line in lines}) == len(lines), "two lines share a name"
        for line in lines:
            assert math.isfinite(line.value) and line.value > 0, f"{line.name}={line.value}"

    # -- putting back

    def test_restore_works_on_a_fresh_instance(self, adapter: Adapter, tmp_path: Path) -> None:
        space, rng = adapter.describe().space, random.Random(SEED)
        safe = adapter.apply(self.sample(space, rng)).in_force
        snapshot = adapter.snapshot()
        carried = json.loads(
            json.dumps(
                {"configuration": dict(snapshot.configuration), "data": dict(snapshot.data)},
                allow_nan=False,
            )
        )
        adapter.apply(self.another(space, rng, safe))
        adapter.close()
        for _ in ("once", "again: restore is idempotent"):
            fresh = self.make_adapter(tmp_path)
            try:
                applied = fresh.restore(Snapshot(**carried))
                assert fresh.read() == applied.in_force == safe
            finally:
                fresh.close()

    def test_restore_twice_on_one_instance(self, adapter: Adapter) -> None:
        snapshot = adapter.snapshot()
        space = adapter.describe().space
        adapter.apply(self.another(space, random.Random(SEED), snapshot.configuration))
        for _ in range(2):
            adapter.restore(snapshot)
            assert adapter.read() == snapshot.configuration

    def test_uninstall_after_restore(self, adapter: Adapter) -> None:
        adapter.restore(adapter.snapshot())
        adapter.uninstall()

    def test_close_twice(self, adapter: Adapter) -> None:
        adapter.close()
        adapter.close()

    def _needs_measuring(self) -> None:
        if not self.measures:
            pytest.skip("measures = False: this adapter cannot measure here")


def random_value(knob: Knob, rng: random.Random) -> Value:
    """A value of the knob: uniform on its scale, now and then a special one."""
    if knob.special and rng.random() < SPECIAL_SHARE:
        return rng.choice(knob.special_values)
    if not knob.is_number:
        return rng.choice(knob.levels)
    assert knob.low is not None and knob.high is not None
    if knob.scale is Scale.LOG:
        value = math.exp(rng.uniform(math.log(knob.low), math.log(knob.high)))
    else:
        value = rng.uniform(knob.low, knob.high)
    value = min(max(value, knob.low), knob.high)
    return knob.check(round(value) if knob.type is KnobType.INTEGER else value)


def _outside(knob: Knob) -> Iterator[object]:
    """Values that the knob must refuse."""
    yield from (math.nan, math.inf, None, [1])
    yield "no such level"
    if knob.is_number:
        assert knob.low is not None and knob.high is not None
        wrong = [knob.low - max(1.0, abs(knob.low)), knob.high + max(1.0, abs(knob.high))]
        if knob.type is KnobType.INTEGER:
            wrong.append(knob.low + 0.5)
        yield from (value for value in wrong if value not in knob.special_values)


def _check_metrics(adapter: Adapter, metrics: Mapping[str, float]) -> None:
    declared = {metric.name: metric.kind for metric in adapter.describe().metrics}
    for name, value in metrics.items():
        histogram = declared.get(name.rpartition("_p")[0]) is MetricKind.HISTOGRAM
        assert name in declared or histogram, f"metric {name} is not declared in describe()"
        assert isinstance(value, int | float) and not isinstance(value, bool), f"{name}={value!r}"
        assert not math.isinf(value), f"metric {name} is infinite; NaN says that it is unknown"
