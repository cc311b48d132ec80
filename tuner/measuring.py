"""How a session's confirmation is measured: how many pairs, when they are looked at, which count.

All of it follows from what is stored, so that whoever asks, and whenever, hears the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from knowledge_base.records import Trial, TrialState
from tuner.confirmation import MINIMUM_PAIRS, PAIRS_PER_BLOCK
from tuner.contamination import disturbances
from tuner.looks import Looks
from tuner.noise_study import MOST_PAIRS, NoiseStudy
from tuner.view import SessionView

AGAIN_SHARE = 0.25
"""At most so many more blocks than planned are measured because others were disturbed."""


def noise_study(view: SessionView) -> NoiseStudy | None:
    """What the baseline's windows say; None before they are measured."""
    trial = view.baseline_trial
    if trial is None:
        return None
    return NoiseStudy.of(view.objective, view.values(trial), window_seconds=view.window_seconds)


def planned_pairs(view: SessionView) -> int:
    """The most pairs that the confirmation may take, in whole blocks: as many as were asked for,
    else as the noise study calls for."""
    asked = view.session.budget.get("confirm_pairs")
    if asked is None:
        study = noise_study(view)
        asked = MOST_PAIRS if study is None else study.planned_pairs()
    return -(-int(asked) // PAIRS_PER_BLOCK) * PAIRS_PER_BLOCK


def planned_looks(view: SessionView) -> Looks:
    """When the pairs are looked at."""
    return Looks.plan(planned_pairs(view), least=MINIMUM_PAIRS, step=PAIRS_PER_BLOCK)


@dataclass(frozen=True)
class Blocks:
    """The completed blocks of one confirmation: those that count, and by their trial's number why
    others were measured again."""

    counted: tuple[Trial, ...]
    again: Mapping[int, str] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What was set aside, for the verdict; empty where nothing was."""
        if not self.again:
            return ""
        last = list(self.again.values())[-1]
        blocks = "One block was" if len(self.again) == 1 else f"{len(self.again)} blocks were"
        return f"{blocks} measured again ({last})."


def blocks_of(view: SessionView, trials: Sequence[Trial]) -> Blocks:
    """Which of a confirmation's trials count: the completed ones, but for those that were
    disturbed, as far as the plan allows for measuring again."""
    done = [trial for trial in trials if trial.state is TrialState.COMPLETED]
    windows = [window for trial in done for window in view.windows_of(trial)]
    disturbed = disturbances(windows, cores=view.cores)
    allowed = int(AGAIN_SHARE * planned_pairs(view) / PAIRS_PER_BLOCK)
    again: dict[int, str] = {}
    for trial in done:
        what = [disturbed[one.id] for one in view.windows_of(trial) if one.id in disturbed]
        if what and len(again) < allowed:
            again[trial.number] = what[0]
    return Blocks(tuple(trial for trial in done if trial.number not in again), again)
