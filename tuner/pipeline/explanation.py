"""Why a configuration is expected to do what it does: knob by knob, from which evidence, how sure.

Contributions (`tuner.pipeline.attribution`) are worked out for every draw of what may be true
(`tuner.pipeline.effects`), so that each has an interval. A knob is named as a cause only where its
contribution's sign is sure, and the ranking says for itself that the knob matters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from targets.knobs import Configuration, Value
from tuner.history import LARGEST, CostScale, History
from tuner.pipeline.arrays import Array
from tuner.pipeline.attribution import Evidence, evidence_of, shapley_gains
from tuner.pipeline.effects import Effects, Estimated
from tuner.pipeline.ranking import Ranking, Verdict, ranking_of
from tuner.recommenders.base import Observation, Problem
from tuner.space import SpaceEncoder

NO_DIFFERENCE = 0.02
"""A contribution that is within 2 % either way with 95 % probability makes no difference."""

SURE, LIKELY = 0.975, 0.8
"""Probabilities of a contribution's sign from which it is told as sure and as likely."""

_SPREAD = 0.05  # the same of an objective without percentages, in standard deviations of trials
_MOST = 700.0  # of a logarithm, whose 100 times exp() is still a float


class Certainty(StrEnum):
    """How sure it is that a changed knob contributes."""

    SURE = "sure"
    LIKELY = "likely"
    UNCLEAR = "unclear"
    NO_DIFFERENCE = "no difference"


_WORDS = {
    Certainty.SURE: "for sure because of",
    Certainty.LIKELY: "likely because of",
    Certainty.UNCLEAR: "unclear whether because of",
    Certainty.NO_DIFFERENCE: "changed without making a difference",
}


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """What changing one knob is expected to give.

    `gain` is positive for the better: a share of the objective's logarithm (0.1 is about 10 %), or
    in the objective's unit where it is not always positive.
    """

    knob: str
    old: Value
    new: Value
    gain: Estimated
    certainty: Certainty
    evidence: Evidence
    text: str

    @property
    def is_cause(self) -> bool:
        """Whether the knob is named as a cause with confidence."""
        return self.certainty is Certainty.SURE

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            **vars(self),
            "gain": self.gain.to_dict(),
            "certainty": str(self.certainty),
            "evidence": dict(vars(self.evidence)),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Contribution:
        """Read `to_dict`'s form."""
        gain, evidence = Estimated.from_dict(data["gain"]), Evidence(**data["evidence"])
        certainty = Certainty(data["certainty"])
        return cls(**{**data, "gain": gain, "certainty": certainty, "evidence": evidence})


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a configuration is expected to be better than the baseline, or not.

    Attributes:
        relative: whether gains are of the logarithm; else in the objective's unit.
        expected: the whole gain by the model.
        measured: the gain between measurements of the two; None where either was not measured.
        contributions: changed knobs, the largest contribution first.
        unused: changed knobs that make no difference: candidates to be set back.
        simplified: the configuration with these set back as far as constraints allow; None where
            there is none to set back.
    """

    relative: bool
    expected: Estimated
    measured: Estimated | None
    contributions: tuple[Contribution, ...]
    unused: tuple[str, ...]
    simplified: Configuration | None
    text: str

    @property
    def causes(self) -> tuple[str, ...]:
        """The knobs named as causes with confidence, the largest contribution first."""
        return tuple(one.knob for one in self.contributions if one.is_cause)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            **vars(self),
            "expected": self.expected.to_dict(),
            "measured": self.measured.to_dict() if self.measured else None,
            "contributions": [one.to_dict() for one in self.contributions],
            "unused": list(self.unused),
            "simplified": dict(self.simplified) if self.simplified else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Explanation:
        """Read `to_dict`'s form."""
        return cls(
            relative=data["relative"],
            expected=Estimated.from_dict(data["expected"]),
            measured=Estimated.from_dict(data["measured"]) if data["measured"] else None,
            contributions=tuple(map(Contribution.from_dict, data["contributions"])),
            unused=tuple(data["unused"]),
            simplified=data["simplified"],
            text=data["text"],
        )


def explain(
    problem: Problem,
    observations: Sequence[Observation],
    configuration: Configuration,
    baseline: Configuration,
    *,
    seed: int = 0,
) -> Explanation:
    """Why `configuration` is expected to do better than `baseline`, by all that was measured.

    >>> from tuner import Optimizer, space_from_params
    >>> optimizer = Optimizer(space_from_params([
    ...     {"name": "cache", "type": "int", "low": 1, "high": 1024, "log": True},
    ...     {"name": "idle", "type": "float", "low": 0.0, "high": 1.0},
    ... ]), "sobol")
    >>> for one in optimizer.ask_many(24):
    ...     optimizer.tell(one, 90.0 / one["cache"] ** 0.2)
    >>> best, baseline = {"cache": 1024, "idle": 0.5}, {"cache": 32, "idle": 0.1}
    >>> explanation = explain(optimizer.problem, optimizer.observations, best, baseline)
    >>> explanation.causes, explanation.unused
    (('cache',), ('idle',))
    >>> f"{explanation.expected.value:.1f}"  # of the logarithm: 0.2 * log(1024 / 32)
    '0.7'

    Raises:
        ValueError: an observed value is not finite.
        InvalidKnob: a configuration's value is none of its knob's levels.
    """
    effects = Effects.fit(problem, observations, seed=seed)
    return explanation_of(
        effects, ranking_of(effects, seed=seed), configuration, baseline, seed=seed
    )


def explanation_of(
    effects: Effects,
    ranking: Ranking,
    configuration: Configuration,
    baseline: Configuration,
    *,
    seed: int = 0,
) -> Explanation:
    """The same for effects and a ranking that were worked out before."""
    encoder = effects.encoder
    old, new = encoder.pinned(baseline), encoder.pinned(configuration)
    rows = encoder.encode_many([old, new])
    changed = np.flatnonzero(rows[0] != rows[1])
    gains = shapley_gains(effects, rows, changed, np.random.default_rng(seed))
    relative = effects.history.scale.logarithmic
    contributions = []
    for place, column in enumerate(changed.tolist()):
        knob = encoder.columns[column].knob
        matters = effects.can_tell and ranking[knob].verdict is Verdict.MATTERS
        gain = _estimated(effects, gains[:, place], may_be_none=not matters)
        certainty = _certainty(effects, gains[:, place], gain, matters=matters)
        gain = _in_unit(gain, effects.history.scale)
        evidence = evidence_of(effects, rows, column)
        told = f"{_told(gain, relative=relative)}, {certainty} ({evidence})"
        contributions.append(
            Contribution(
                knob=knob,
                old=old[knob],
                new=new[knob],
                gain=gain,
                certainty=certainty,
                evidence=evidence,
                text=f"{knob}: {old[knob]} -> {new[knob]}: {told}",
            )
        )
    contributions.sort(key=lambda one: -abs(one.gain.value))
    expected = _estimated(effects, gains.sum(axis=1), may_be_none=not effects.can_tell)
    expected = _in_unit(expected, effects.history.scale)
    measured = _measured(effects.history, old, new)
    unused = tuple(one.knob for one in contributions if one.certainty is Certainty.NO_DIFFERENCE)
    return Explanation(
        relative=relative,
        expected=expected,
        measured=measured,
        contributions=tuple(contributions),
        unused=unused,
        simplified=_simplified(encoder, old, new, unused),
        text=_text(effects, expected, measured, contributions),
    )


def _estimated(effects: Effects, gains: Array, *, may_be_none: bool) -> Estimated:
    """A gain's interval; of what is not known to matter at all it may not exclude 0."""
    gain = Estimated.of(gains)
    # What the model misses of the objective's spread may be this knob's doing.
    slack = math.sqrt(effects.missed) * effects.trials.scale
    low, high = gain.low - slack, gain.high + slack
    if may_be_none:
        low, high = min(low, 0.0), max(high, 0.0)
    return Estimated(value=gain.value, low=low, high=high)


def _in_unit(gain: Estimated, scale: CostScale) -> Estimated:
    """A gain in costs as one in the objective's unit, cut off where readers could not go on: the
    exponential of a share, and the difference of two gains, are floats still."""
    most = _MOST if scale.logarithmic else LARGEST / 4.0
    value, low, high = (
        max(-most, min(part * scale.unit, most)) for part in (gain.value, gain.low, gain.high)
    )
    return Estimated(value=value, low=low, high=high)


def _certainty(effects: Effects, gains: Array, gain: Estimated, *, matters: bool) -> Certainty:
    margin = NO_DIFFERENCE if effects.history.scale.logarithmic else _SPREAD * effects.trials.scale
    if effects.can_tell and -margin < gain.low and gain.high < margin:
        return Certainty.NO_DIFFERENCE
    sign = max(float((gains > 0).mean()), float((gains < 0).mean()))
    if matters and sign >= SURE and not gain.low <= 0.0 <= gain.high:
        return Certainty.SURE
    return Certainty.LIKELY if effects.can_tell and sign >= LIKELY else Certainty.UNCLEAR


def _measured(history: History, old: Configuration, new: Configuration) -> Estimated | None:
    """The gain between what was measured of the two."""
    found = {one.key: one for one in history.measured}
    pair = [found.get(history.encoder.key(one)) for one in (old, new)]
    if pair[0] is None or pair[1] is None:
        return None
    before, after = (history.costs_of(one) for one in pair if one)
    gain = float(before.mean() - after.mean())
    margin = 1.96 * history.noise.sd * math.sqrt(1.0 / len(before) + 1.0 / len(after))
    return _in_unit(Estimated(value=gain, low=gain - margin, high=gain + margin), history.scale)


def _simplified(
    encoder: SpaceEncoder, old: Configuration, new: Configuration, unused: Sequence[str]
) -> dict[str, Value] | None:
    """The new configuration with unused changes undone, each where no constraint forbids it."""
    result = dict(new)
    for knob in unused:
        simpler = encoder.pinned({**result, knob: old[knob]})
        if not encoder.broken(simpler):
            result = simpler
    return result if result != dict(new) else None


def _told(gain: Estimated, *, relative: bool) -> str:
    if not relative:
        return f"{gain.value:+.3g} ({gain.low:+.3g} to {gain.high:+.3g})"
    value, low, high = (100.0 * math.expm1(part) for part in (gain.value, gain.low, gain.high))
    form = "+.0f" if abs(high) < 1e4 else "+.3g"
    return f"{value:{form}} % ({low:{form}} to {high:{form}} %)"


def _text(
    effects: Effects,
    expected: Estimated,
    measured: Estimated | None,
    contributions: Sequence[Contribution],
) -> str:
    if not contributions:
        return "the configuration is the baseline's: nothing is changed"
    relative = effects.history.scale.logarithmic
    parts = []
    if measured:
        parts.append(f"measured against the baseline: {_told(measured, relative=relative)}")
    if effects.can_tell:
        parts.append(f"expected by the model: {_told(expected, relative=relative)}")
    else:
        parts.append("no model predicts unseen trials yet, so that no cause can be named")
    for certainty, words in _WORDS.items():
        named = [
            f"{one.knob} {_told(one.gain, relative=relative)}"
            if certainty in (Certainty.SURE, Certainty.LIKELY)
            else one.knob
            for one in contributions
            if one.certainty is certainty
        ]
        if named:
            parts.append(f"{words}: {', '.join(named)}")
    return "; ".join(parts)
