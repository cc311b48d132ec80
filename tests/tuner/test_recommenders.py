"""What the recommenders make of what they know: better than chance, away from failures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from targets.errors import FailureKind
from targets.knobs import Configuration, Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner.history import History
from tuner.optimizer import Optimizer
from tuner.recommenders.auto import AutoRecommender, default_lanes, digest, wins
from tuner.recommenders.base import Observation, Problem, Recommender, suggestion_rng
from tuner.recommenders.forest import ForestRecommender
from tuner.recommenders.gp import GaussianProcessRecommender
from tuner.recommenders.lanes import by_gaussian_process
from tuner.recommenders.optuna_tpe import TreeParzenRecommender
from tuner.recommenders.search import suggest_by
from tuner.recommenders.start import start_size
from tuner.recommenders.wording import changes, worded
from tuner.rehearsal import conditional, mixed, rehearse, wide
from tuner.sampling import sample
from tuner.space import SpaceEncoder
from tuner.surrogates.acceptability import Acceptability
from tuner.surrogates.fitting import LARGEST_FIT, best_and_latest, fit_gaussian_process

COST = Objective(name="cost", direction=Direction.MINIMISE, unit="ms")


def session(problem: Problem, recommender: str, trials: int, seed: int) -> Optimizer:
    optimizer = Optimizer.of(replace(problem, budget=trials), recommender, seed=seed)
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        answer = rehearse(problem, optimizer.ask(), rng)
        optimizer.tell(
            answer.configuration, answer.values, failure=answer.failure, metrics=answer.metrics
        )
    return optimizer


BOWL = Problem(
    space=KnobSpace(
        (
            Knob(name="mode", type=KnobType.CATEGORICAL, levels=tuple("abcde"), default="a"),
            Knob(name="sync", type=KnobType.BOOLEAN, default=True),
            Knob(name="page", type=KnobType.ORDINAL, levels=(1, 2, 4, 8, 16, 32), default=1),
            *(
                Knob(name=name, type=KnobType.REAL, low=0.0, high=1.0, default=0.0)
                for name in ("x", "y", "z")
            ),
        )
    ),
    objectives=(replace(COST, deterministic=True),),
    budget=25,
)


def bowl(configuration: Configuration) -> float:
    """Two dominant steps, a bowl in the other knobs; 1 at the best."""
    steps = 2.0 * (configuration["mode"] != "c") + 1.0 * configuration["sync"]
    squares = sum((float(configuration[name]) - 0.7) ** 2 for name in "xyz")
    return 1.0 + steps + 3.0 * squares + 0.1 * abs(configuration["page"] - 8)


def best_cost(recommender: str, seed: int) -> float:
    optimizer = Optimizer.of(BOWL, recommender, seed=seed)
    for _ in range(BOWL.budget):
        configuration = optimizer.ask()
        optimizer.tell(configuration, {"cost": bowl(configuration)})
    best = optimizer.recommend()
    assert best is not None
    return best.value


@pytest.mark.parametrize(
    ("name", "seeds"), [("auto", 4), ("gp", 4), ("optuna-tpe", 8), ("forest", 12)], ids=str
)
def test_learning_beats_chance(name: str, seeds: int) -> None:
    learnt = np.mean([best_cost(name, seed) for seed in range(seeds)])
    chance = np.mean([best_cost("random", seed) for seed in range(20)])
    assert learnt - 1.0 < 0.75 * (chance - 1.0)


def seen(problem: Problem, count: int, seed: int = 0) -> list[Observation]:
    rng = np.random.default_rng(seed)
    encoder = SpaceEncoder(problem.space, problem.pins)
    drawn = sample(encoder, count, rng)
    return [rehearse(problem, one, rng, number=place) for place, one in enumerate(drawn)]


class TestStart:
    def test_it_fits_the_budget(self) -> None:
        assert [start_size(budget) for budget in (0, 5, 12, 30, 500)] == [6, 3, 4, 6, 6]

    def test_it_counts_its_points_and_covers_every_level(self) -> None:
        optimizer = session(mixed(), "forest", 24, seed=1)
        start = optimizer.observations[:6]
        assert {one.configuration["mode"] for one in start} == {"a", "b", "c"}
        fresh = Optimizer.of(replace(mixed(), budget=24), "forest", seed=1)
        fresh.ask()
        assert fresh.last_suggestion is not None
        assert "point 1 of 6" in fresh.last_suggestion.reason

    def test_it_goes_on_while_nothing_can_be_measured(self) -> None:
        optimizer = Optimizer.of(mixed(), "optuna-tpe")
        for _ in range(6):
            configuration = optimizer.ask()
            optimizer.tell(configuration, failure=FailureKind.APPLY_FAILED)
        optimizer.ask()
        assert optimizer.last_suggestion is not None
        assert "0 configurations could be measured" in optimizer.last_suggestion.reason


class TestFailures:
    SPACE = KnobSpace(
        (
            Knob(name="size", type=KnobType.INTEGER, low=0, high=1000, default=0),
            Knob(name="other", type=KnobType.REAL, low=0.0, high=1.0, default=0.5),
        )
    )

    def told(self) -> tuple[Problem, list[Observation]]:
        """The larger the better, up to the cliff at 700 where everything fails."""
        problem = Problem(space=self.SPACE, objectives=(COST,))
        rng = np.random.default_rng(0)
        told = []
        for size in range(0, 1000, 40):
            configuration = {"size": size, "other": round(float(rng.random()), 3)}
            if size > 700:
                told.append(Observation(configuration=configuration, failure=FailureKind.TIMED_OUT))
            else:
                values = {"cost": (1000.0 - size,)}
                told.append(Observation(configuration=configuration, values=values))
        return problem, told

    def test_the_chance_to_work_is_learnt(self) -> None:
        problem, told = self.told()
        history = History.of(problem, told)
        rows = history.encoder.encode_many([{"size": s, "other": 0.5} for s in (100, 950)])
        works, fails = Acceptability.fit(history, seed=0).chance(rows)
        assert works > 0.8
        assert 0.0 < fails < 0.2

    @pytest.mark.parametrize(
        "recommender", [ForestRecommender(), GaussianProcessRecommender(), AutoRecommender()]
    )
    def test_they_are_kept_away_from(self, recommender: Recommender) -> None:
        problem, told = self.told()
        suggestions, _ = recommender.suggest(problem, told, (), {}, suggestion_rng(0, 0), count=4)
        beyond = [one for one in suggestions if one.configuration["size"] > 780]
        assert len(beyond) <= 1

    def test_harness_faults_do_not_count_against_a_configuration(self) -> None:
        problem, told = self.told()
        spared = [replace(one, failure=one.failure and FailureKind.HARNESS_FAILED) for one in told]
        assert History.of(problem, spared).failed == ()
        assert len(History.of(problem, told).failed) == 7


class TestReasons:
    def test_a_model_says_what_it_expects_and_changes(self) -> None:
        problem = mixed()
        history = History.of(problem, seen(problem, 12))
        suggestion = by_gaussian_process(history, np.random.default_rng(0))
        assert history.best is not None and suggestion.expected is not None
        assert "95 % interval" in suggestion.reason
        assert f"best so far (trial {history.best.numbers[0]})" in suggestion.reason
        moved = problem.space.differences(history.best.configuration, suggestion.configuration)
        assert any(f"{name} " in suggestion.reason for name in moved)
        assert suggestion.expected.low < suggestion.expected.value < suggestion.expected.high

    def test_expectations_are_in_the_objectives_unit(self) -> None:
        problem = mixed()
        history = History.of(problem, seen(problem, 20))
        model = fit_gaussian_process(history)
        suggestion = suggest_by(
            history, model, np.random.default_rng(0), lane="model", by="Gaussian process"
        )
        values = [value for one in history.measured for value in one.values]
        assert suggestion.expected is not None
        assert min(values) / 3 < suggestion.expected.value < 3 * max(values)

    def test_values_are_worded_for_people(self) -> None:
        space = mixed().space
        old, new = space.default(), {**space.default(), "cache": 1 << 28, "sync": False}
        assert changes(space, old, new) == "cache 2 MiB -> 256 MiB, sync on -> off"
        assert changes(space, old, old) == "nothing that acts"
        assert worded(space["cache"], -1) == "-1"
        everything = {**new, "ratio": 0.5, "mode": "b", "page": 512}
        assert changes(space, old, everything).endswith("and 1 more knob")

    def test_knobs_that_do_not_act_are_not_named(self) -> None:
        space = conditional().space
        old = {"policy": "s3", "small": 0.5, "ghost": True, "ghosts": 9, "buckets": 9}
        new = {**space.default(), "buckets": 9}
        assert changes(space, old, new) == "policy s3 -> lru"


class TestAuto:
    def told(self) -> tuple[Problem, list[Observation]]:
        problem = replace(mixed(), limits=())
        drawn = sample(SpaceEncoder(problem.space), 6, np.random.default_rng(0))
        values = [100.0, 90.0, 120.0, 80.0, 130.0, 125.0]
        told = [
            Observation(configuration=one, values={"throughput": (value,)}, number=place)
            for place, (one, value) in enumerate(zip(drawn, values, strict=True))
        ]
        return problem, told

    def test_a_turn_is_won_by_beating_all_before_it(self) -> None:
        problem, told = self.told()
        history = History.of(problem, told)
        lanes = ["start", "model", "trees", "model", "model", "trees"]
        turns = [(digest(one.key), lane) for one, lane in zip(history.outcomes, lanes, strict=True)]
        assert wins(history, turns) == {"start": (1, 1), "model": (1, 3), "trees": (1, 2)}

    def test_the_lane_that_wins_here_gets_most_turns(self) -> None:
        recommender = AutoRecommender()
        rng = np.random.default_rng(0)
        record = {"trees": (9, 10), "model": (0, 12), "parzen": (0, 6), "neighbour": (1, 6)}
        drawn = Counter(recommender.pick(record, rng).name for _ in range(300))
        assert drawn["trees"] > 200
        assert len(drawn) >= 3, "no lane is given up for good"

    def test_every_lane_is_told_in_the_suggestion(self) -> None:
        optimizer = session(mixed(), "auto", 24, seed=3)
        optimizer.ask()
        suggestion = optimizer.last_suggestion
        assert suggestion is not None
        assert suggestion.lane in {lane.name for lane in default_lanes()}
        assert suggestion.reason.startswith(f"Lane {suggestion.lane} (won ")


def test_parzen_estimators_tell_conditional_knobs_only_where_they_act() -> None:
    problem = conditional()
    told = [one for one in seen(problem, 30) if one.values]
    suggestions, _ = TreeParzenRecommender().suggest(
        problem, told, (), {}, suggestion_rng(0, 0), count=8
    )
    encoder = SpaceEncoder(problem.space)
    for one in suggestions:
        assert one.configuration == encoder.canonical(one.configuration)


def test_long_histories_are_cut_to_the_best_and_the_latest() -> None:
    problem = replace(wide(), objectives=(COST,))
    drawn = sample(SpaceEncoder(problem.space), LARGEST_FIT + 50, np.random.default_rng(0))
    told = [
        Observation(configuration=one, values={"cost": (10.0 + place % 97,)}, number=place)
        for place, one in enumerate(drawn)
    ]
    history = History.of(problem, told)
    kept = best_and_latest(history, LARGEST_FIT)
    assert len(set(kept.tolist())) == LARGEST_FIT
    assert set(history.ranking[:20].tolist()) <= set(kept.tolist())
    assert len(told) - 1 in kept


@pytest.mark.parametrize("name", ["optuna-tpe", "forest"])
def test_another_process_gives_the_same_suggestion(name: str) -> None:
    # Texts hash differently there; nothing may hang on the order of a set of them.
    code = (
        "from tuner.optimizer import Optimizer; from tuner.rehearsal import conditional, rehearse;"
        "import numpy as np; rng = np.random.default_rng(0);"
        f"optimizer = Optimizer.of(conditional(), {name!r}, seed=4)\n"
        "for _ in range(8):\n"
        "    answer = rehearse(conditional(), optimizer.ask(), rng)\n"
        "    optimizer.tell(answer.configuration, answer.values, failure=answer.failure)\n"
        "print(optimizer.ask())"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        for seed in ("1", "2")
    ]
    assert answers[0].stdout == answers[1].stdout != ""
    # Here no earlier test can have caught a library's chatter.
    assert answers[0].stderr == ""
