"""What to try next: recommenders, estimates, and the sessions that use them.

The names below are what a recommender outside this house builds on; see
docs/writing-a-recommender.md. The contract suite is `tuner.testing.RecommenderContract`, imported
apart because it needs pytest.
"""

from tuner.estimate import Estimate, expected_further_gain, finalists, incumbent
from tuner.history import CostScale, History, Outcome
from tuner.optimizer import Optimizer
from tuner.params import space_from_params
from tuner.recommenders.base import (
    Expectation,
    Limit,
    Observation,
    PastTask,
    Problem,
    Recommender,
    Suggestion,
    SuggestionKind,
    suggestion_rng,
)
from tuner.recommenders.sequential import SequentialRecommender
from tuner.registry import RecommenderEntry, installed_recommenders, load_recommender
from tuner.space import Column, SpaceEncoder

__all__ = [
    "Column",
    "CostScale",
    "Estimate",
    "Expectation",
    "History",
    "Limit",
    "Observation",
    "Optimizer",
    "Outcome",
    "PastTask",
    "Problem",
    "Recommender",
    "RecommenderEntry",
    "SequentialRecommender",
    "SpaceEncoder",
    "Suggestion",
    "SuggestionKind",
    "expected_further_gain",
    "finalists",
    "incumbent",
    "installed_recommenders",
    "load_recommender",
    "space_from_params",
    "suggestion_rng",
]
