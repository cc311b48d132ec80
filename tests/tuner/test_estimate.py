"""Who the incumbent is, who is worth measuring again, and what is left to gain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from targets.errors import FailureKind
from targets.knobs import Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import Constraint, KnobSpace
from tuner.estimate import expected_further_gain, finalists, front, incumbent
from tuner.noise import PRIOR_SD, estimate_noise
from tuner.optimizer import Optimizer
from tuner.recommenders.base import Limit, Observation, Problem
from tuner.rehearsal import mixed, rehearse, tiny
from tuner.sampling import sample
from tuner.space import SpaceEncoder

SPACE = KnobSpace((Knob(name="n", type=KnobType.INTEGER, low=0, high=100, default=0),))
OPS = Objective(name="ops", direction=Direction.MAXIMISE, unit="ops/s")


def problem(direction: Direction = Direction.MAXIMISE, **fields: object) -> Problem:
    return Problem(space=SPACE, objectives=(replace(OPS, direction=direction),), **fields)


def seen(
    n: int, *values: float, number: int = -1, p99: tuple[float, ...] = (), **fields: object
) -> Observation:
    told = {name: windows for name, windows in (("ops", values), ("p99", p99)) if windows}
    return Observation(configuration={"n": n}, values=told, number=number, **fields)


CROWD = [seen(n, 100.0 + n % 3, number=n) for n in range(1, 9)]


def test_nothing_measured_names_nobody() -> None:
    told = [seen(1, failure=FailureKind.TIMED_OUT)]
    assert incumbent(problem(), []) is None
    assert incumbent(problem(), told) is None
    assert finalists(problem(), told, 3) == []
    assert expected_further_gain(problem(), told) is None


@pytest.mark.parametrize("direction", list(Direction))
def test_one_lucky_window_loses_to_five_good_ones(direction: Direction) -> None:
    better = 1.0 if direction is Direction.MAXIMISE else -1.0
    told = [
        *CROWD,
        seen(50, 100 * 1.45**better, number=50),
        *(seen(60, 100 * factor**better, number=60 + k) for k, factor in enumerate(FIVE_GOOD)),
    ]
    best = incumbent(problem(direction), told)
    assert best is not None
    assert best.configuration == {"n": 60}
    assert best.windows == 5
    assert best.numbers == (60, 61, 62, 63, 64)
    # The bound is on the pessimistic side of the value, and the reason tells both.
    assert OPS.better(best.value, best.bound) is (direction is Direction.MAXIMISE)
    assert f"{best.bound:.4g}" in best.reason and "5 windows" in best.reason
    # But the lucky one is worth another look.
    assert {"n": 50} in [one.configuration for one in finalists(problem(direction), told, 2)]


FIVE_GOOD = (1.38, 1.40, 1.44, 1.36, 1.42)


def test_without_noise_the_best_value_is_the_incumbent() -> None:
    exact = replace(problem(), objectives=(replace(OPS, deterministic=True),))
    best = incumbent(exact, [*CROWD, seen(50, 102.5), seen(60, 102.4)])
    assert best is not None
    assert best.configuration == {"n": 50}
    assert best.value == best.bound == pytest.approx(102.5)


def test_windows_of_repeated_trials_are_pooled() -> None:
    told = [*CROWD, seen(50, 150.0, 150.0, number=50), seen(50, 150.0, number=51)]
    best = incumbent(problem(), told)
    assert best is not None
    assert (best.windows, best.numbers) == (3, (50, 51))


def test_a_win_is_told_smaller_the_noisier_the_repeats() -> None:
    spread = [seen(n, 60.0 + 8.0 * n) for n in range(1, 9)]
    quiet = [*spread, seen(20, 100.0, 101.0, 99.0), seen(50, 130.0)]
    noisy = [*spread, seen(20, 80.0, 125.0, 95.0), seen(50, 130.0)]
    [at_quiet], [at_noisy] = (finalists(problem(), told, 1) for told in (quiet, noisy))
    assert at_quiet.configuration == at_noisy.configuration == {"n": 50}
    assert at_noisy.value < at_quiet.value < 130.0


def test_what_failed_or_broke_a_limit_is_not_named() -> None:
    limits = (Limit(name="p99", direction=Direction.MINIMISE, bound=10.0),)
    told = [
        seen(1, 100.0, metrics={"p99": 9.0}),
        seen(2, 200.0, metrics={"p99": 11.0}),
        seen(3, 300.0),
        seen(3, failure=FailureKind.GUARDRAIL),
        seen(4, 150.0, metrics={"p99": 10.0}),
        seen(4, failure=FailureKind.HARNESS_FAILED),
    ]
    best = incumbent(problem(limits=limits), told)
    assert best is not None
    assert best.configuration == {"n": 4}


def test_pins_constraints_and_exclusions_are_kept() -> None:
    space = KnobSpace(
        (*SPACE.knobs, Knob(name="b", type=KnobType.BOOLEAN, default=False)),
        (Constraint(expression="n <= 90"),),
    )
    given = Problem(space=space, objectives=(OPS,), pins={"b": True})
    told = [
        Observation(configuration={"n": n, "b": b}, values={"ops": (value,)})
        for n, b, value in [
            (1, False, 500.0),
            (95, True, 400.0),
            (2, True, 300.0),
            (3, True, 200.0),
        ]
    ]
    named = [one.configuration["n"] for one in finalists(given, told, 9)]
    assert named == [2, 3]
    left_out = {space.key({"n": 2, "b": True})}
    best = incumbent(given, told, exclude=left_out)
    assert best is not None
    assert best.configuration["n"] == 3


@pytest.mark.parametrize("values", [(-5.0, -3.0, 0.0, 4.0), (0.0, 0.0, 0.0, 1e-9)])
def test_values_that_are_not_positive_are_compared_as_they_are(values: tuple[float, ...]) -> None:
    told = [seen(n, value) for n, value in enumerate(values)]
    best = incumbent(problem(), told)
    assert best is not None
    assert best.configuration == {"n": 3}


def test_noise_leans_on_its_assumption_until_repeats_speak() -> None:
    rng = np.random.default_rng(0)
    nothing = estimate_noise([np.array([1.0])], deterministic=False)
    few = estimate_noise([rng.normal(0, 0.4, 3)], deterministic=False)
    many = estimate_noise([rng.normal(i, 0.4, 5) for i in range(30)], deterministic=False)
    assert nothing.sd == pytest.approx(PRIOR_SD) and "assumed" in nothing.source
    assert PRIOR_SD < few.sd < 0.4
    assert many.sd == pytest.approx(0.4, rel=0.15)


class TestFurtherGain:
    """On simulated landscapes whose best is known."""

    def told(self, given: Problem, count: int, seed: int) -> list[Observation]:
        rng = np.random.default_rng(seed)
        encoder = SpaceEncoder(given.space, given.pins)
        drawn = sample(encoder, count, rng)
        return [rehearse(given, one, rng, number=place) for place, one in enumerate(drawn)]

    def test_it_falls_as_a_search_closes_in(self) -> None:
        given = replace(mixed(), budget=40)
        optimizer, rng = Optimizer.of(given, seed=0), np.random.default_rng(0)
        gains: dict[int, float | None] = {}
        for trials in range(1, 41):
            answer = rehearse(given, optimizer.ask(), rng)
            optimizer.tell(
                answer.configuration, answer.values, failure=answer.failure, metrics=answer.metrics
            )
            if trials in (12, 40):
                gains[trials] = expected_further_gain(given, optimizer.observations)
        early, late = gains[12], gains[40]
        assert early is not None and late is not None
        # The best known is then within 5 % of the optimum.
        assert late < 0.06 < early

    def test_it_is_the_same_when_asked_again(self) -> None:
        told = self.told(mixed(), 10, seed=4)
        assert expected_further_gain(mixed(), told) == expected_further_gain(mixed(), told)

    def test_an_exhausted_space_has_nothing_left(self) -> None:
        given = tiny()
        told = [
            Observation(configuration=one, values={"latency": (1.0 + place,)})
            for place, one in enumerate(SpaceEncoder(given.space).listed)
        ]
        assert expected_further_gain(given, told) == 0.0
        assert expected_further_gain(given, told[:4]) is None

    def test_what_is_flat_promises_little(self) -> None:
        told = [seen(n, 100.0 + 0.01 * (n % 2)) for n in range(0, 100, 9)]
        gain = expected_further_gain(problem(), told)
        assert gain is not None
        assert 0.0 <= gain < 0.001


P99 = Limit(name="p99", direction=Direction.MINIMISE, bound=100.0)
SLOW = (  # repeats scatter by about 5 %
    seen(1, 90.0, 90.0, 90.0, number=1, p99=(80.0, 84.0, 88.0)),
    seen(2, 91.0, 91.0, 91.0, number=2, p99=(76.0, 80.0, 84.0)),
)


def test_what_keeps_a_limit_surely_is_named_before_what_does_so_by_a_hair() -> None:
    limited = problem(limits=(P99,))
    hair = seen(5, 150.0, number=5, p99=(99.0,))
    named = incumbent(limited, [*SLOW, hair])
    assert named is not None and named.configuration != {"n": 5}
    assert {"n": 5} not in [one.configuration for one in front(limited, [*SLOW, hair])]
    # It is worth another look all the same; and is named where nothing keeps the limit surely.
    assert finalists(limited, [*SLOW, hair], 1)[0].configuration == {"n": 5}
    over = [replace(one, values={**one.values, "p99": (120.0, 125.0, 130.0)}) for one in SLOW]
    alone = incumbent(limited, [*over, hair])
    assert alone is not None and alone.configuration == {"n": 5}
    # Measured again and again, a mean that near is sure enough.
    often = seen(5, *[150.0] * 60, number=5, p99=tuple([98.0, 99.0, 97.0] * 20))
    settled = incumbent(limited, [*SLOW, often])
    assert settled is not None and settled.configuration == {"n": 5}


def test_without_repeats_the_mean_is_all_there_is_to_keep_a_limit_by() -> None:
    limited = problem(limits=(P99,))
    best = incumbent(limited, [seen(1, 90.0, p99=(50.0,)), seen(5, 150.0, p99=(99.0,))])
    assert best is not None and best.configuration == {"n": 5}


def test_what_was_not_measured_keeps_no_limit_surely() -> None:
    limited = problem(limits=(P99,))
    best = incumbent(limited, [seen(1, 90.0, p99=(50.0,)), seen(5, 150.0)])
    assert best is not None and best.configuration == {"n": 1}
