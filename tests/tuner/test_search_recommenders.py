"""What the searching recommenders make of what they know, each by its own method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from targets.errors import FailureKind
from targets.knobs import Configuration, Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tuner.axes import OrderedAxis
from tuner.history import History
from tuner.recommenders import optuna_tpe
from tuner.recommenders.base import (
    Limit,
    Observation,
    Problem,
    Recommender,
    Suggestion,
    SuggestionKind,
    suggestion_rng,
)
from tuner.recommenders.boosted_rank import BoostedRankRecommender, anneal, newness
from tuner.recommenders.evolution import EvolutionRecommender, leap, mutated
from tuner.recommenders.forest import ForestRecommender
from tuner.recommenders.grid import Grid, GridRecommender, values_of
from tuner.recommenders.local import LocalRecommender, Progress
from tuner.recommenders.optuna_cmaes import CovarianceRecommender, _Coordinates
from tuner.recommenders.optuna_nsga2 import NondominatedSortingRecommender
from tuner.recommenders.random import RandomRecommender
from tuner.recommenders.skopt_model import fit_skopt
from tuner.recommenders.steps import Steps, distance
from tuner.rehearsal import conditional, mixed
from tuner.sampling import sample
from tuner.space import SpaceEncoder
from tuner.surrogates.boosting import RankBoost, pair_weights
from tuner.surrogates.regression_forest import RegressionForest

COST = Objective(name="cost", direction=Direction.MINIMISE, unit="ms", deterministic=True)
SIZE = Objective(name="size", direction=Direction.MINIMISE, unit="bytes", deterministic=True)

BOWL = Problem(
    space=KnobSpace(
        (
            Knob(name="mode", type=KnobType.CATEGORICAL, levels=tuple("abc"), default="a"),
            Knob(name="sync", type=KnobType.BOOLEAN, default=True),
            Knob(name="page", type=KnobType.ORDINAL, levels=(1, 2, 4, 8, 16, 32), default=1),
            *(
                Knob(name=name, type=KnobType.REAL, low=0.0, high=1.0, default=0.0)
                for name in ("x", "y", "z")
            ),
        )
    ),
    objectives=(COST,),
    budget=40,
)

Answer = Callable[[Configuration], dict[str, float]]


def bowl(configuration: Configuration) -> dict[str, float]:
    """Two steps, a bowl in the other knobs; 1 at the best."""
    steps = 1.0 * (configuration["mode"] != "c") + 0.5 * configuration["sync"]
    squares = sum((float(configuration[name]) - 0.7) ** 2 for name in "xyz")
    return {"cost": 1.0 + steps + 3.0 * squares + 0.1 * abs(configuration["page"] - 8)}


def observed(configuration: Configuration, values: Mapping[str, float], number: int) -> Observation:
    return Observation(
        configuration=configuration,
        values={name: (value,) for name, value in values.items()},
        number=number,
    )


def play(
    recommender: Recommender,
    problem: Problem,
    answer: Answer,
    trials: int,
    *,
    seed: int = 0,
    told: Sequence[Observation] = (),
) -> list[tuple[Suggestion, Observation, dict[str, Any]]]:
    """A session, with each suggestion, what it gave, and the state it left."""
    played: list[tuple[Suggestion, Observation, dict[str, Any]]] = []
    state: dict[str, Any] = {}
    for turn in range(trials):
        known = [*told, *(one for _, one, _ in played)]
        [suggestion], state = recommender.suggest(
            problem, known, (), state, suggestion_rng(seed, turn)
        )
        configuration = suggestion.configuration
        one = observed(configuration, answer(configuration), len(known))
        played.append((suggestion, one, state))
    return played


def best_of(recommender: Recommender, seed: int) -> float:
    return min(one.values["cost"][0] for _, one, _ in play(recommender, BOWL, bowl, 40, seed=seed))


CHANCE = float(np.mean([best_of(RandomRecommender(), seed) for seed in range(12)]))


@pytest.mark.parametrize(
    ("recommender", "share"),
    [
        (BoostedRankRecommender(), 0.8),
        (EvolutionRecommender(), 0.5),
        (ForestRecommender(), 0.5),
        (LocalRecommender(), 0.3),
        (optuna_tpe.TreeParzenRecommender(), 0.9),
        (NondominatedSortingRecommender(), 0.8),
    ],
    ids=lambda one: one.name if isinstance(one, Recommender) else "",
)
def test_learning_beats_chance(recommender: Recommender, share: float) -> None:
    learnt = np.mean([best_of(recommender, seed) for seed in range(5)])
    assert learnt - 1.0 < share * (CHANCE - 1.0)


def random_history(count: int, *, seed: int = 0, problem: Problem = BOWL) -> History:
    rng = np.random.default_rng(seed)
    drawn = sample(SpaceEncoder(problem.space, problem.pins), count, rng)
    return History.of(
        problem, [observed(one, bowl(one), number) for number, one in enumerate(drawn)]
    )


class TestGrid:
    SPACE = KnobSpace(
        (
            Knob(name="mode", type=KnobType.CATEGORICAL, levels=("a", "b", "c"), default="a"),
            Knob(name="sync", type=KnobType.BOOLEAN, default=True),
            Knob(name="size", type=KnobType.INTEGER, low=0, high=20, default=0),
            Knob(name="share", type=KnobType.REAL, low=0.0, high=1.0, default=0.5),
        )
    )

    def test_a_stage_has_every_combination_once(self) -> None:
        encoder = SpaceEncoder(self.SPACE)
        for stage, size in enumerate([3 * 2 * 3 * 3, 3 * 2 * 5 * 5]):
            grid = Grid(encoder, stage, seed=7)
            points = {encoder.key(encoder.decode(grid.row(at))) for at in range(grid.size)}
            assert len(points) == grid.size == size

    def test_coarse_values_come_first_and_are_kept(self) -> None:
        size = SpaceEncoder(self.SPACE).axes["size"]
        stages = [set(values_of(size, stage)) for stage in range(5)]
        assert stages[0] == {0, 10, 20}
        assert all(coarse <= fine for coarse, fine in pairwise(stages))
        assert stages[-1] == set(range(21))

    def test_special_values_are_on_the_first_grid(self) -> None:
        cache = SpaceEncoder(mixed().space).axes["cache"]
        assert isinstance(cache, OrderedAxis)
        assert {0, -1} <= set(values_of(cache, 0))

    def test_early_points_move_every_knob(self) -> None:
        problem = Problem(space=self.SPACE, objectives=(COST,))
        early = [
            one.configuration
            for _, one, _ in play(GridRecommender(), problem, lambda _: {"cost": 1.0}, 9)
        ]
        seen = {name: {one[name] for one in early} for name in ("mode", "sync", "size", "share")}
        assert seen == {
            "mode": {"a", "b", "c"},
            "sync": {False, True},
            "size": {0, 10, 20},
            "share": {0.0, 0.5, 1.0},
        }

    def test_it_refines_once_a_stage_is_walked(self) -> None:
        problem = Problem(
            space=KnobSpace((Knob(name="n", type=KnobType.INTEGER, low=0, high=8, default=0),)),
            objectives=(COST,),
        )
        played = play(GridRecommender(), problem, lambda _: {"cost": 1.0}, 9)
        values = [one.configuration["n"] for _, one, _ in played]
        assert set(values[:3]) == {0, 4, 8}
        assert set(values[3:5]) == {2, 6}
        assert sorted(values) == list(range(9))


class TestLocal:
    def test_it_begins_at_the_default(self) -> None:
        for options in ({}, {"trust_region": True}):
            [(first, _, _)] = play(LocalRecommender(options), BOWL, bowl, 1)
            assert first.configuration == BOWL.space.default()

    def test_it_steps_from_the_best_by_one_knob(self) -> None:
        history = random_history(20)
        assert history.best is not None
        told = [
            observed(one.configuration, {"cost": one.values[0]}, one.numbers[0])
            for one in history.outcomes
        ]
        gained = observed({**history.best.configuration, "page": 32}, {"cost": 0.5}, 20)
        [suggestion], _ = LocalRecommender().suggest(
            BOWL, [*told, gained], (), {}, suggestion_rng(0, 0)
        )
        changed = BOWL.space.differences(gained.configuration, suggestion.configuration)
        assert len(changed) == 1

    def test_what_a_step_did_elsewhere_is_remembered(self) -> None:
        """A knob that always costs is left alone; one that always gains is moved."""
        knobs = tuple(Knob(name=f"k{n}", type=KnobType.BOOLEAN, default=False) for n in range(8))
        problem = Problem(space=KnobSpace(knobs), objectives=(COST,))
        default = problem.space.default()

        def cost(configuration: Configuration) -> dict[str, float]:
            return {"cost": 100.0 + 30.0 * configuration["k0"] - 2.0 * configuration["k1"]}

        tried = [default]
        for name in ("k2", "k3", "k4"):
            base = {**default, name: True}
            tried += [base, {**base, "k0": True}]
        told = [observed(one, cost(one), number) for number, one in enumerate(tried)]
        told.append(observed({**default, "k5": True}, {"cost": 90.0}, len(told)))
        history = History.of(problem, told)
        chosen = [
            LocalRecommender().search(history, np.random.default_rng(seed)).configuration
            for seed in range(40)
        ]
        assert sum(bool(one["k0"]) for one in chosen) <= 2

    def test_steps_grow_with_success_and_shrink_without(self) -> None:
        told = [observed({**BOWL.space.default(), "x": 0.01 * n}, {"cost": 100.0 - n}, n)
                for n in range(3)]  # fmt: skip
        gaining = Progress.of(History.of(BOWL, told))
        idle = [observed({**BOWL.space.default(), "y": 0.01 * n}, {"cost": 200.0}, n)
                for n in range(3, 20)]  # fmt: skip
        stuck = Progress.of(History.of(BOWL, [*told, *idle]))
        assert gaining.since == 0
        assert stuck.step < gaining.step / 3
        assert stuck.rounds > 2

    def test_it_keeps_away_from_what_fails(self) -> None:
        history = random_history(40)
        told: list[Observation] = [
            observed(one.configuration, {"cost": one.values[0]}, one.numbers[0])
            if one.configuration["x"] < 0.5
            else Observation(configuration=one.configuration, failure=FailureKind.TIMED_OUT)
            for one in history.outcomes
        ]
        known = History.of(BOWL, told)
        assert known.best is not None
        origin = {**known.best.configuration, "x": 0.4}
        steps = Steps.from_origin(known, origin, np.random.default_rng(0), step=0.3)
        reached = [float(one["x"]) for one in steps.moves]
        assert max(reached) < 0.6
        assert min(reached) < 0.2


class TestTrustRegion:
    NOISY = replace(BOWL, objectives=(replace(COST, deterministic=False),))

    def proven(self, told: Sequence[Observation]) -> Configuration:
        return min(told, key=lambda one: one.values["cost"][0]).configuration

    def test_steps_stay_within_the_bound(self) -> None:
        encoder = SpaceEncoder(BOWL.space)
        recommender = LocalRecommender({"trust_region": True, "radius": 0.1})
        baseline = observed(BOWL.space.default(), bowl(BOWL.space.default()), 0)
        told, beyond = [baseline], 0
        for suggestion, one, state in play(recommender, BOWL, bowl, 40, told=[baseline]):
            step = distance(encoder, dict(self.proven(told)), dict(suggestion.configuration))
            nothing_left = "nothing new is left" in suggestion.reason
            assert step <= state["radius"] + 1e-9 or nothing_left
            beyond += nothing_left
            told.append(one)
        assert beyond < 5
        assert min(one.values["cost"][0] for one in told) < baseline.values["cost"][0]

    def test_the_bound_widens_on_success_and_shrinks_on_failure(self) -> None:
        recommender = LocalRecommender({"trust_region": True})
        default = BOWL.space.default()
        told = [observed(default, {"cost": 10.0}, 0)]
        [first], state = recommender.suggest(BOWL, told, (), {}, suggestion_rng(0, 0))
        worse = [*told, observed(first.configuration, {"cost": 12.0}, 1)]
        better = [*told, observed(first.configuration, {"cost": 8.0}, 1)]
        _, shrunk = recommender.suggest(BOWL, worse, (), state, suggestion_rng(0, 1))
        _, grown = recommender.suggest(BOWL, better, (), state, suggestion_rng(0, 1))
        assert shrunk["radius"] < state["radius"] < grown["radius"]

    def test_what_only_looks_better_is_measured_again(self) -> None:
        recommender = LocalRecommender({"trust_region": True})
        default = self.NOISY.space.default()
        told = [
            Observation(configuration=default, values={"cost": (10.0, 10.1, 9.9, 10.0)}, number=0),
            observed({**default, "x": 0.1}, {"cost": 9.7}, 1),
        ]
        [again], state = recommender.suggest(self.NOISY, told, (), {}, suggestion_rng(0, 0))
        assert again.kind is SuggestionKind.RE_MEASURE
        assert again.configuration["x"] == 0.1
        confirmed = [*told, replace(told[1], values={"cost": (8.0, 8.1, 8.0, 8.1)}, number=2)]
        [step], after = recommender.suggest(self.NOISY, confirmed, (), state, suggestion_rng(0, 1))
        assert step.kind is SuggestionKind.EXPLOIT
        assert after["radius"] > state["radius"], "proof widens the bound"


class TestEvolution:
    def test_only_the_acceptable_breed_and_the_old_die(self) -> None:
        problem = replace(
            BOWL, limits=(Limit(name="memory", direction=Direction.MINIMISE, bound=1.0),)
        )
        drawn = sample(SpaceEncoder(problem.space), 30, np.random.default_rng(0))
        told = [
            replace(observed(one, {"cost": 1.0 + number}, number), metrics={"memory": number % 3})
            for number, one in enumerate(drawn)
        ]
        history = History.of(problem, told)
        able = EvolutionRecommender({"population": 5}).population(history)
        assert [one.numbers[0] for one in able] == [0, 1, 3, 4, 6]
        assert len(EvolutionRecommender({"population": 30}).population(history)) == 20
        young = EvolutionRecommender({"population": 5, "lifetime": 10}).population(history)
        assert [one.numbers[0] for one in young] == [21, 22, 24, 25, 27]

    def test_most_children_differ_from_their_parents_in_few_knobs(self) -> None:
        rng = np.random.default_rng(0)
        sizes = [leap(40, rng) for _ in range(500)]
        assert np.median(sizes) <= 3
        assert max(sizes) > 15

    def test_mutation_changes_levels_and_stays_on_the_axis(self) -> None:
        rng = np.random.default_rng(0)
        axes = SpaceEncoder(BOWL.space).axes
        assert "c" not in {mutated(axes["mode"], "c", rng) for _ in range(50)}
        moved = [float(mutated(axes["x"], 0.95, rng)) for _ in range(200)]
        assert min(moved) >= 0.0
        assert max(moved) <= 1.0
        assert len(set(moved)) > 150


class TestBoostedRank:
    def test_the_model_learns_an_order(self) -> None:
        history, unknown = random_history(80), random_history(100, seed=1)
        model = RankBoost.fit(history.encoder, history.rows, history.costs, seed=0)
        assert spearmanr(model.score(unknown.rows), -unknown.costs).statistic > 0.8

    def test_only_the_order_counts(self) -> None:
        history = random_history(40)
        plain, bent = (
            RankBoost.fit(history.encoder, history.rows, costs, seed=0).score(history.rows)
            for costs in (history.costs, np.exp(5.0 * history.costs))
        )
        np.testing.assert_array_equal(plain, bent)

    def test_order_among_the_best_weighs_most(self) -> None:
        weights = pair_weights(np.arange(10.0))
        assert weights[0, 1] > 3 * weights[8, 9] > 0.0
        assert weights[1, 0] == 0.0
        assert not pair_weights(np.ones(5)).any()

    def test_annealing_climbs_the_model(self) -> None:
        knobs = tuple(Knob(name=f"k{n}", type=KnobType.BOOLEAN, default=False) for n in range(24))
        encoder = SpaceEncoder(KnobSpace(knobs))
        drawn = sample(encoder, 60, np.random.default_rng(0))
        told = [
            observed(one, {"cost": 100.0 - sum(map(bool, one.values()))}, number)
            for number, one in enumerate(drawn)
        ]
        problem = Problem(space=encoder.space, objectives=(COST,))
        history = History.of(problem, told)
        model = RankBoost.fit(encoder, history.rows, history.costs, seed=0)
        worst = sorted(told, key=lambda one: -one.values["cost"][0])[:30]
        met = anneal(History.of(problem, worst), model, np.random.default_rng(0))
        scores = model.score(met)
        anywhere = encoder.from_unit(np.random.default_rng(1).random((len(met), 24)))
        drawn_scores = np.sort(model.score(anywhere))[::-1]
        assert (np.diff(scores) <= 0.0).all()
        assert scores[:50].mean() > drawn_scores[:50].mean() + 1.5

    def test_new_values_are_counted_against_the_batch(self) -> None:
        encoder = SpaceEncoder(BOWL.space)
        one = {**BOWL.space.default(), "x": 0.5}
        others = [one, {**one, "mode": "b"}, {**one, "mode": "b", "x": 0.9, "sync": False}]
        rows = encoder.encode_many(others)
        assert newness(encoder, rows, rows[:1]).tolist() == [0.0, 1 / 6, 3 / 6]

    def test_diversity_and_chance_are_options(self) -> None:
        history = random_history(30)
        told = [
            observed(one.configuration, {"cost": one.values[0]}, one.numbers[0])
            for one in history.outcomes
        ]

        def spread(options: Mapping[str, object]) -> float:
            """In how many knobs two of a batch differ, on an ordered one by an eighth."""
            suggestions, _ = BoostedRankRecommender({"epsilon": 0.0, **options}).suggest(
                BOWL, told, (), {}, suggestion_rng(0, 0), count=6
            )
            rows = history.encoder.encode_many([one.configuration for one in suggestions])
            bins = np.where(history.encoder.levels > 0, rows, np.floor(8 * rows))
            return float((bins[:, None, :] != bins[None, :, :]).sum(axis=2).mean())

        assert spread({"diversity": 10.0}) > 1.3 * spread({"diversity": 0.0})
        [random], _ = BoostedRankRecommender({"epsilon": 1.0}).suggest(
            BOWL, told, (), {}, suggestion_rng(0, 0)
        )
        assert random.lane == "random"


@pytest.mark.parametrize("estimator", ["GP", "ET", "RF"])
def test_models_of_scikit_optimize_learn_costs(estimator: str) -> None:
    history, unknown = random_history(50), random_history(60, seed=1)
    model = fit_skopt(history, estimator, recommender="any", largest=100, seed=0)
    mean, sd = model.predict(unknown.rows)
    assert spearmanr(mean, unknown.costs).statistic > 0.5
    assert (sd > 0.0).all()


class TestForest:
    def test_it_is_surer_where_trees_and_leaves_agree(self) -> None:
        space = KnobSpace((Knob(name="x", type=KnobType.REAL, low=0.0, high=1.0, default=0.0),))
        rng = np.random.default_rng(0)
        rows = rng.random((80, 1))
        steady = rows[:, 0] < 0.5
        targets = np.where(steady, 0.0, rng.standard_normal(80))
        forest = RegressionForest.fit(
            SpaceEncoder(space), rows, targets, counts=np.ones(80), rng=rng
        )
        _, sd = forest.predict(np.array([[0.2], [0.8]]))
        assert sd[0] < 0.1 < 0.3 < sd[1]

    def test_random_configurations_are_interleaved(self) -> None:
        history = random_history(20)
        told = [
            observed(one.configuration, {"cost": one.values[0]}, one.numbers[0])
            for one in history.outcomes
        ]
        lanes = {
            share: [
                ForestRecommender({"interleaved": share})
                .suggest(BOWL, told, (), {}, suggestion_rng(seed, 0))[0][0]
                .lane
                for seed in range(12)
            ]
            for share in (0.0, 0.5, 1.0)
        }
        assert set(lanes[0.0]) == {"forest"}
        assert set(lanes[1.0]) == {"random"}
        assert set(lanes[0.5]) == {"forest", "random"}


class TestOptuna:
    def test_coordinates_mean_the_configuration_they_came_from(self) -> None:
        for problem in (BOWL, mixed(), conditional()):
            encoder = SpaceEncoder(problem.space)
            drawn = sample(encoder, 40, np.random.default_rng(0))
            told = [observed(one, {"cost": 1.0}, n) for n, one in enumerate(drawn)]
            history = History.of(replace(problem, objectives=(COST,)), told)
            coordinates = _Coordinates(encoder)
            for one in history.outcomes:
                assert coordinates.ask(_Fixed(coordinates.of(one))) == one.configuration

    def test_the_gaussian_walks_to_where_the_better_ones_are(self) -> None:
        knobs = tuple(
            Knob(name=name, type=KnobType.REAL, low=0.0, high=1.0, default=0.5) for name in "abcd"
        )
        problem = Problem(space=KnobSpace(knobs), objectives=(COST,), budget=100)

        def cost(configuration: Configuration) -> dict[str, float]:
            return {
                "cost": 1.0 + sum((float(value) - 0.9) ** 2 for value in configuration.values())
            }

        played = play(CovarianceRecommender(), problem, cost, 56)
        costs = [one.values["cost"][0] for _, one, _ in played]
        assert np.mean(costs[-16:]) < 1.0 + 0.4 * (np.mean(costs[:8]) - 1.0)

    def test_nsga2_finds_the_front_of_two_objectives(self) -> None:
        problem = replace(BOWL, objectives=(COST, SIZE), budget=40)

        def both(configuration: Configuration) -> dict[str, float]:
            size = sum((float(configuration[name]) - 0.2) ** 2 for name in "xyz")
            return {**bowl(configuration), "size": 1.0 + size}

        def volume(recommender: Recommender, seed: int) -> float:
            points = [
                (one.values["cost"][0], one.values["size"][0])
                for _, one, _ in play(recommender, problem, both, 40, seed=seed)
            ]
            return hypervolume(points, (5.0, 2.0))

        ours = np.mean([volume(NondominatedSortingRecommender(), seed) for seed in range(3)])
        chance = np.mean([volume(RandomRecommender(), seed) for seed in range(6)])
        assert ours > 1.05 * chance

    def test_nsga2_improves_whichever_objective_can_be(self) -> None:
        for flat in (0, 1):
            objectives = (COST, SIZE) if flat == 1 else (SIZE, COST)
            problem = replace(BOWL, objectives=objectives, budget=40)
            played = play(
                NondominatedSortingRecommender(),
                problem,
                lambda configuration: {**bowl(configuration), "size": 1.0},
                40,
            )
            costs = [one.values["cost"][0] for _, one, _ in played]
            assert np.mean(costs[-12:]) < 0.75 * np.mean(costs[:8])

    def test_nsga2_breeds_from_what_keeps_the_limits(self) -> None:
        limit = Limit(name="memory", direction=Direction.MINIMISE, bound=0.5)
        problem = replace(BOWL, limits=(limit,))
        drawn = sample(SpaceEncoder(problem.space), 60, np.random.default_rng(0))
        # The less x, the better; but below 0.5 the limit is broken.
        told = [
            replace(
                observed(one, {"cost": 1.0 + float(one["x"])}, number),
                metrics={"memory": 1.0 - float(one["x"])},
            )
            for number, one in enumerate(drawn)
        ]
        suggestions, _ = NondominatedSortingRecommender().suggest(
            problem, told, (), {}, suggestion_rng(0, 0), count=20
        )
        kept = [float(one.configuration["x"]) >= 0.45 for one in suggestions]
        assert np.mean(kept) > 0.8


class _Fixed:
    """A trial that gives the coordinates it was made with."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self._values = values

    def suggest_float(self, name: str, low: float, high: float) -> float:
        assert low <= self._values[name] <= high
        return self._values[name]


def hypervolume(points: Sequence[tuple[float, float]], reference: tuple[float, float]) -> float:
    """The area that points dominate, both coordinates minimised."""
    area, ceiling = 0.0, reference[1]
    for x, y in sorted(points):
        if x < reference[0] and y < ceiling:
            area += (reference[0] - x) * (ceiling - y)
            ceiling = y
    return area
