"""What the tuner makes of history: OtterTune's pipeline as stages that can be run by themselves.

Pure mathematics: metrics and observations in, frozen dataclasses out, each with a JSON-able
`to_dict` that `from_dict` reads back. See docs/pipeline.md.
"""

from tuner.pipeline.attribution import Evidence
from tuner.pipeline.effects import Effects, Estimated
from tuner.pipeline.explanation import (
    Certainty,
    Contribution,
    Explanation,
    explain,
    explanation_of,
)
from tuner.pipeline.fingerprint import Fingerprint, Yardstick
from tuner.pipeline.mapping import KnownWorkloads, Match, WorkloadMapping, map_workload
from tuner.pipeline.pruning import Cluster, Pruning, prune, prune_windows
from tuner.pipeline.ranking import KnobImportance, Ranking, Verdict, rank_knobs, ranking_of

__all__ = [
    "Certainty",
    "Cluster",
    "Contribution",
    "Effects",
    "Estimated",
    "Evidence",
    "Explanation",
    "Fingerprint",
    "KnobImportance",
    "KnownWorkloads",
    "Match",
    "Pruning",
    "Ranking",
    "Verdict",
    "WorkloadMapping",
    "Yardstick",
    "explain",
    "explanation_of",
    "map_workload",
    "prune",
    "prune_windows",
    "rank_knobs",
    "ranking_of",
]
