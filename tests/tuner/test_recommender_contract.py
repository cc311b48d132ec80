"""The shipped contract suite on every built-in recommender."""

from __future__ import annotations

from collections.abc import Mapping

from tuner.recommenders.auto import AutoRecommender
from tuner.recommenders.base import Recommender
from tuner.recommenders.forest import ForestRecommender
from tuner.recommenders.gp import GaussianProcessRecommender
from tuner.recommenders.random import RandomRecommender
from tuner.recommenders.sobol import SobolRecommender
from tuner.recommenders.tpe import TreeParzenRecommender
from tuner.testing import RecommenderContract


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


class TestTreeParzen(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        return TreeParzenRecommender(options)
