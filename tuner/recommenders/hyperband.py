"""Short windows first: configurations that do well in them are measured again in longer ones.

Hyperband (Li et al., JMLR 18(185), 2018), asynchronous as ASHA (Li et al., MLSys 2020): whenever a
configuration is among the best of its rung, one in `eta`, it moves up to windows `eta` times as
long; else a new one begins, at a rung drawn in Hyperband's proportions. Nothing waits for a rung to
fill, so one trial at a time, several at once and trials in flight all work alike.

Two new ones in three come from a model, as in BOHB (Falkner, Klein and Hutter, ICML 2018); it is
fitted to windows of all lengths and asked for full ones (`surrogates.lengths`), so that it is led
by short windows as far as they agree with long ones here. A rung that ranks configurations the
other way round is not listened to at all: how well its model ranks what was measured in full tells,
as in Hyper-Tune (Li et al., VLDB 2022), for those that moved up are too alike to tell by.

An answer is read off full windows alone. So the very first configuration is measured in one, and
the end of a known budget goes to nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.stats import kendalltau

from targets.settings import Setting
from tuner.errors import SpaceExhausted
from tuner.history import History, Outcome
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.brackets import Ladder
from tuner.recommenders.search import expected_improvement, suggest_by
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.sampling import sample
from tuner.surrogates.fitting import fit_gaussian_process
from tuner.surrogates.lengths import LengthModel

RANDOM_SHARE = 1 / 3
"""Of the new configurations, drawn at random whatever the model says (BOHB's rho)."""

LAST_SHARE = 1 / 4
"""The part of a known budget, at its end, in which nothing but full windows is measured."""

LEAST_MEASURED = 3
"""Configurations of a rung before the model looks around the best of them."""

LEAST_TAUGHT = 6
"""Measured configurations, on all rungs together, before there is a model."""

LEAST_COMPARED = 4
"""Configurations of a rung, and in full windows, before the two are compared; and as how many that
tell nothing the doubt about so few counts."""

CONTRARY = -0.15
"""A rung that agrees less is not listened to. Over 20 simulated systems whose short windows rank
the wrong way round (`benchmarks/fidelity.py`) the regret fell from 0.57 to 0.47 by it; where they
are merely noisy 0.27 became 0.29, within what seeds differ by."""

LADDER, MODEL, RANDOM = "ladder", "model", "random"


@dataclass(frozen=True)
class Climb:
    """What was seen, rung by rung; `judged`: whether rungs are held against full windows."""

    history: History
    ladder: Ladder
    rungs: tuple[History, ...]
    judged: bool

    @classmethod
    def of(cls, history: History, ladder: Ladder, *, judged: bool) -> Climb:
        """The history seen from each rung."""
        rungs = tuple(history.at(fidelity) for fidelity in ladder.rungs)
        return cls(history, ladder, rungs, judged)

    @cached_property
    def heard(self) -> tuple[bool, ...]:
        """Of each rung, whether it is listened to; full windows always are."""
        *lower, full = self.rungs
        return (*(not self.judged or agreement(seen, full) > CONTRARY for seen in lower), True)

    @cached_property
    def seen_longest(self) -> History:
        """The highest rung of which there is something to see; the lowest while there is none."""
        enough = (one for one in reversed(self.rungs) if len(one.measured) >= LEAST_MEASURED)
        return next(enough, self.rungs[0])

    def model(self, fitted: Sequence[float] | None) -> LengthModel | None:
        """Of all rungs heard that tell costs on one scale; None while too little was measured.

        Args:
            fitted: the parameters of the last fit.
        """
        scale = self.seen_longest.scale
        taught = {
            fidelity: seen
            for fidelity, seen, heard in zip(self.ladder.rungs, self.rungs, self.heard, strict=True)
            if heard and seen.measured and seen.scale == scale
        }
        if len(self.seen_longest.measured) < LEAST_MEASURED:
            return None
        if sum(len(seen.measured) for seen in taught.values()) < LEAST_TAUGHT:
            return None
        return LengthModel.fit(taught, start=np.array(fitted, float) if fitted else None)

    def due(self) -> Suggestion | None:
        """The best that is due to move up, from the highest rung that has one."""
        for rung in reversed(range(len(self.rungs) - 1)):
            best = len(self.rungs[rung].measured) // self.ladder.eta
            rank, one = next(self.waiting(rung), (best, None))
            if one is not None and rank < best and self.heard[rung]:
                return self.move_up(rung, rank, one, to=rung + 1)
        return None

    def waiting_for_full(self) -> list[Suggestion]:
        """All that can move up, due or not, straight to full windows, from the highest rung on."""
        last = len(self.rungs) - 1
        return [
            self.move_up(rung, rank, one, to=last)
            for rung in reversed(range(last))
            for rank, one in self.waiting(rung)
        ]

    def waiting(self, rung: int) -> Iterator[tuple[int, Outcome]]:
        """A rung's configurations that went no higher and may, the best first, with their ranks."""
        seen = self.rungs[rung]
        longest = {one.key: one.fidelity for one in self.history.outcomes}
        for rank, place in enumerate(seen.ranking.tolist()):
            one = seen.measured[place]
            stays = longest[one.key] > self.ladder.rungs[rung] or one.key in seen.in_flight
            if one.acceptable and seen.repeatable[place] and not stays:
                yield rank, one

    def move_up(self, rung: int, rank: int, one: Outcome, *, to: int) -> Suggestion:
        """A configuration into the windows of a higher rung, with the reason."""
        count = len(self.rungs[rung].measured)
        return Suggestion(
            configuration=one.configuration,
            kind=SuggestionKind.LENGTHEN,
            lane=LADDER,
            reason=f"Number {rank + 1} of the {count} that were measured in "
            f"{length(self.ladder.rungs[rung])}: now in {length(self.ladder.rungs[to])}, to see "
            "whether that holds.",
            fidelity=self.ladder.rungs[to],
        )


class HyperbandRecommender(SequentialRecommender):
    """`Suggestion.fidelity` says how long the window of each configuration is to be."""

    name = "hyperband"
    summary = "short windows first; what does well in them is measured in longer ones"
    source = (
        "Li et al., JMLR 2018; asynchronous as Li et al., MLSys 2020; with a model as Falkner, "
        "Klein and Hutter, ICML 2018; rungs judged as Li et al., VLDB 2022"
    )
    heeds_limits = True
    settings_declared = (
        Setting(
            name="eta",
            default=3,
            low=2,
            high=10,
            help="how many times longer each rung's windows are; one in so many moves up",
        ),
        Setting(
            name="least_fidelity",
            default=0.11,
            low=0.001,
            high=1.0,
            help="the shortest windows, as a share of full ones",
        ),
        Setting(
            name="model",
            default=True,
            help="take two in three new configurations from a model, not all at random",
        ),
    )

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        least = max(float(self.options["least_fidelity"]), history.problem.least_fidelity)
        modelled = bool(self.options["model"])
        ladder = Ladder.of(int(self.options["eta"]), least=least)
        climb = Climb.of(history, ladder, judged=modelled)
        spent = float(state.get("spent", 0.0))
        ends = 0 < (1 - LAST_SHARE) * history.problem.budget <= spent
        suggestion = None if ends else climb.due()
        if suggestion is None:
            model = None
            if modelled and (ends or rng.random() >= RANDOM_SHARE):
                model = climb.model(state.get("process"))
            if model is not None:
                state = {**state, "process": model.process.parameters.tolist()}
            suggestion = _last(climb, model, rng) if ends else _new_or_left(climb, model, rng)
        return suggestion, {**state, "spent": spent + suggestion.fidelity}


def _new_or_left(climb: Climb, model: LengthModel | None, rng: np.random.Generator) -> Suggestion:
    """A new configuration; where there is none left, what waits on the rungs.

    Raises:
        SpaceExhausted: neither is left.
    """
    rungs, rung = climb.ladder.rungs, -1
    if climb.history.seen:
        shares = climb.ladder.beginning * climb.heard
        rung = rng.choice(len(rungs), p=shares / shares.sum())
    try:
        return _new(climb, model, rng, fidelity=rungs[rung])
    except SpaceExhausted:
        left = climb.waiting_for_full()
        if not left:
            raise
        return left[0]


def _last(climb: Climb, model: LengthModel | None, rng: np.random.Generator) -> Suggestion:
    """What promises most in a full window, be it waiting on the rungs or new.

    Raises:
        SpaceExhausted: neither is left.
    """
    options = climb.waiting_for_full()
    try:
        options.append(_new(climb, model, rng, fidelity=1.0))
    except SpaceExhausted:
        if not options:
            raise
    if model is None:
        return options[0]
    history = climb.history
    rows = history.encoder.encode_many([dict(one.configuration) for one in options])
    mean, sd = model.predict(rows)
    if not history.acceptable.any():
        return options[int(mean.argmin())]
    best = float(model.predict(history.rows[history.acceptable])[0].min())
    return options[int(expected_improvement(mean, sd, best).argmax())]


def _new(
    climb: Climb, model: LengthModel | None, rng: np.random.Generator, *, fidelity: float
) -> Suggestion:
    """A configuration nobody measured, in windows of that length.

    Raises:
        SpaceExhausted: there is none left.
    """
    begins = f"Begins in {length(fidelity)}."
    if model is None:
        [configuration] = sample(climb.history.encoder, 1, rng, avoid=climb.history.seen)
        return Suggestion(
            configuration=configuration,
            kind=SuggestionKind.EXPLORE,
            lane=RANDOM,
            reason=f"Drawn at random from the whole space. {begins}",
            fidelity=fidelity,
        )
    by = "Gaussian process over windows of all lengths"
    found = suggest_by(climb.seen_longest, model, rng, lane=MODEL, by=by)
    # What the model expects is what a full window would show.
    expected = found.expected if fidelity == 1.0 else None
    return replace(found, fidelity=fidelity, expected=expected, reason=f"{found.reason} {begins}")


def agreement(seen: History, full: History) -> float:
    """How alike a rung and full windows rank: Kendall's tau of what the rung's own model expects of
    the configurations that were measured in full, towards 0 the fewer these are."""
    compared = len(full.measured)
    if min(len(seen.measured), compared) < LEAST_COMPARED:
        return 0.0
    expected, _ = fit_gaussian_process(seen).predict(full.rows)
    if np.ptp(expected) == 0.0 or np.ptp(full.costs) == 0.0:
        return 0.0
    tau = float(kendalltau(expected, full.costs).statistic)
    return tau * compared / (compared + LEAST_COMPARED)


def length(fidelity: float) -> str:
    """Windows of a length, in words."""
    return "full windows" if fidelity == 1.0 else f"windows of {fidelity:.0%} of the length"
