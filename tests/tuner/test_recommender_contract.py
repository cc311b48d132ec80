"""The shipped contract suite on every built-in recommender."""

from __future__ import annotations

from collections.abc import Mapping

from tuner.recommenders.actor_critic import ActorCriticRecommender
from tuner.recommenders.auto import AutoRecommender
from tuner.recommenders.bandit import BanditRecommender
from tuner.recommenders.base import Recommender
from tuner.recommenders.boosted_rank import BoostedRankRecommender
from tuner.recommenders.contextual_bandit import ContextualBanditRecommender
from tuner.recommenders.evolution import EvolutionRecommender
from tuner.recommenders.forest import ForestRecommender
from tuner.recommenders.gp import GaussianProcessRecommender
from tuner.recommenders.grid import GridRecommender
from tuner.recommenders.hyperband import HyperbandRecommender
from tuner.recommenders.local import LocalRecommender
from tuner.recommenders.optuna_cmaes import CovarianceRecommender
from tuner.recommenders.optuna_nsga2 import NondominatedSortingRecommender
from tuner.recommenders.optuna_tpe import TreeParzenRecommender
from tuner.recommenders.parzen import ParzenRecommender
from tuner.recommenders.random import RandomRecommender
from tuner.recommenders.skopt_forest import SkoptForestRecommender
from tuner.recommenders.skopt_gp import SkoptGaussianProcessRecommender
from tuner.recommenders.sobol import SobolRecommender
from tuner.testing import RecommenderContract


class TestActorCritic(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return ActorCriticRecommender(options)


class TestAuto(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return AutoRecommender(options)


class TestForest(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return ForestRecommender(options)


class TestGaussianProcess(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return GaussianProcessRecommender(options)


class TestRandom(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return RandomRecommender(options)


class TestSobol(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return SobolRecommender(options)


class TestParzen(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return ParzenRecommender(options)


class TestTreeParzen(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return TreeParzenRecommender(options)


class TestBandit(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return BanditRecommender(options)


class TestHyperband(RecommenderContract):
    trials = 12

    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return HyperbandRecommender(options)


class TestBoostedRank(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return BoostedRankRecommender(options)


class TestContextualBandit(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return ContextualBanditRecommender(options)


class TestEvolution(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return EvolutionRecommender(options)


class TestGrid(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return GridRecommender(options)


class TestLocal(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return LocalRecommender(options)


class TestOptunaCmaes(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return CovarianceRecommender(options)


class TestOptunaNsga2(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return NondominatedSortingRecommender(options)


class TestSkoptForest(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return SkoptForestRecommender(options)


class TestSkoptGaussianProcess(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return SkoptGaussianProcessRecommender(options)


class TestTrustRegion(RecommenderContract):
    """The online half of `local` keeps the contract as well."""

    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return LocalRecommender({"trust_region": True, **options})

    def test_options_are_declared(self, recommender: Recommender) -> None:
        assert recommender.options["trust_region"] is True
