"""A model in which most knobs do nothing: which ones do, and how much, by sampling.

The objective is a sum of functions of single knobs and of pairs (`tuner.pipeline.basis`), and
noise. Every knob is in the model or out of it; a Gibbs sampler walks over both what is in and what
it does (stochastic search variable selection: George and McCulloch, JASA 1993, with the functions
of one knob taken together), so that a draw says what may be true given the trials. That few knobs
matter is the usual finding (Kanellis et al., HotStorage 2020); the sampler learns how few.

Many chains walk at once, most of them with a fifth of the trials kept from them: these tell how
well the model predicts what it has not seen.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from tuner.pipeline.arrays import Array, Mask
from tuner.pipeline.basis import Basis
from tuner.pipeline.draws import Fitted, Trials
from tuner.pipeline.linear import LinearDraws, Pairs, Terms
from tuner.space import SpaceEncoder

CHAINS = 12
"""Chains for each set of trials, from different starts."""

WARM_SWEEPS, SCREEN_SWEEPS, PAIR_SWEEPS, KEPT_SWEEPS = 80, 30, 60, 60
"""Sweeps over single knobs alone, of which the latter choose the pairs; then with pairs."""

WIDE = 80
"""Spaces of more knobs get fewer sweeps in proportion: a second must do."""

PAIRED = 7
"""Pairs are formed of so many knobs that do most alone."""

PULLING = 7
"""And of at most so many more pairs, for knobs that do nothing alone."""

PULLING_ERROR = 0.05
"""How often such a pair may be formed where there is none."""

EXPECTED_KNOBS, EXPECTED_PAIRS = 5.0, 1.0
"""How many of them are expected to matter; the belief weighs two of them."""

SLAB, SLAB_DEGREES = 0.1, 3.0
"""A knob that matters accounts for about a tenth of the variance; with the tails of a t, for it
may be a hundredth or nearly all."""

NOISE_DEGREES = 2.0
"""Weight of the noise that is known from repeats: little, for what the model cannot follow adds
to it."""

WORDS = "a model in which few knobs, alone or in pairs, do anything"


def fit_sparse(encoder: SpaceEncoder, trials: Trials, rng: np.random.Generator) -> Fitted:
    """Draws given all trials, and predictions of each trial by chains that lack it."""
    kept = np.vstack([np.ones(len(trials.targets), bool), *trials.training_sets()])
    alone = Terms(Basis.of(encoder))
    pace = min(1.0, WIDE / encoder.n_columns)
    warm, screen, pair, keep = (
        math.ceil(pace * sweeps)
        for sweeps in (WARM_SWEEPS, SCREEN_SWEEPS, PAIR_SWEEPS, KEPT_SWEEPS)
    )
    chains = _Chains(alone, trials, kept, rng)
    chains.walk(warm)
    sizes = np.sum([chains.walk(1).sizes() for _ in range(screen)], axis=0)
    left = trials.targets - chains.fitted(alone.features(trials.rows))
    terms = Terms(alone.basis, _pairs(sizes, _pulls(alone, trials, left)))
    chains = _Chains(terms, trials, kept, rng, start=chains)
    chains.walk(pair)
    walked = [chains.walk(1).coefficients() for _ in range(keep)]
    intercepts, coefficients = (np.concatenate(part, axis=1) for part in zip(*walked, strict=True))
    unseen = np.zeros(len(trials.targets))
    features = terms.features(trials.rows)
    for place, training in enumerate(kept[1:], start=1):
        mean = intercepts[place].mean() + features @ coefficients[place].mean(axis=0)
        unseen[~training] = mean[~training]
    draws = LinearDraws("sparse", WORDS, terms, intercepts[0], coefficients[0])
    return Fitted(draws, unseen)


def _pairs(sizes: Array, pulls: Array) -> Pairs:
    """All pairs of the columns that do most alone, and those that surely pull at what is left.

    Args:
        sizes: (n_columns,) how much each does alone.
        pulls: (n_columns, n_columns) as `_pulls` gives.
    """
    strongest = np.argsort(-sizes, kind="stable")[:PAIRED].tolist()
    chosen = list(itertools.combinations(sorted(strongest), 2))
    upper = np.triu(pulls, 1)
    count = len(sizes) * (len(sizes) - 1) / 2
    # Sure among all pairs (Bonferroni), for what is chosen by chance would seem to predict.
    sure = np.argwhere(upper > norm.isf(PULLING_ERROR / 2.0 / max(count, 1.0)))
    by_pull = sorted(map(tuple, sure.tolist()), key=lambda pair: -upper[pair])
    return (*chosen, *[pair for pair in by_pull if pair not in chosen][:PULLING])


def _pulls(alone: Terms, trials: Trials, left: Array) -> Array:
    """(n_columns, n_columns): by how many standard errors the product of two columns' smoothest
    functions goes with what single knobs leave, (n,); knobs that act only together show here."""
    smoothest = np.column_stack([one[:, 0] for one in alone.basis.single(trials.rows)])
    weighted = trials.weights * (left - np.average(left, weights=trials.weights))
    error = np.sqrt((smoothest**2).T @ (smoothest**2 * (weighted**2)[:, None]))
    pull = np.abs(smoothest.T @ (smoothest * weighted[:, None]))
    return np.asarray(np.divide(pull, error, out=np.zeros_like(pull), where=error > 0.0))


class _Chains:
    """Gibbs samplers side by side: `CHAINS` for each set of trials.

    Within each part of the model the functions are rotated so that its block of the Gram matrix is
    diagonal and their prior variances are equal; then a part is drawn at once, without solving.
    Arrays are (n_sets, CHAINS, ...).
    """

    def __init__(
        self,
        terms: Terms,
        trials: Trials,
        kept: Mask,
        rng: np.random.Generator,
        *,
        start: _Chains | None = None,
    ) -> None:
        self._rng = rng
        self._parts = [part for _, part in terms.parts()]
        self._sizes = np.array([part.stop - part.start for part in self._parts])
        self._alone = len(terms.basis.columns)
        self._noise_variance = trials.noise_variance
        self._read(terms, trials, kept)
        shape = (len(kept), CHAINS)
        self._inside = np.zeros((*shape, len(self._parts)), bool)
        self._betas = np.zeros((*shape, self._centres.shape[1]))
        self._slabs = np.full((*shape, len(self._parts)), SLAB)
        self._noises: Array = np.full(shape, 0.5)
        if start:
            # Single knobs come first and are rotated alike with and without pairs.
            self._inside[:, :, : self._alone] = start._inside
            self._betas[:, :, : start._betas.shape[2]] = start._betas
            self._slabs[:, :, : self._alone] = start._slabs
            self._noises = start._noises
        else:
            self._inside[:] = rng.random(self._inside.shape) < 0.5 * rng.random((*shape, 1))

    def _read(self, terms: Terms, trials: Trials, kept: Mask) -> None:
        """The sufficient statistics of each set of trials."""
        features = terms.features(trials.rows)
        scales = np.sqrt(np.concatenate([np.zeros(0), *terms.weights()]))
        weights = trials.weights * kept
        self._counts = kept.sum(axis=1)
        shares = weights / weights.sum(axis=1, keepdims=True)
        self._centres = shares @ features
        self._middles = shares @ trials.targets
        functions = features.shape[1]
        self._grams = np.zeros((len(kept), functions, functions))
        self._turns = np.zeros_like(self._grams)
        self._crosses = np.zeros((len(kept), functions))
        self._totals = np.zeros(len(kept))
        for place, weight in enumerate(weights):
            scaled = (features - self._centres[place]) * scales
            targets = trials.targets - self._middles[place]
            gram = (scaled * weight[:, None]).T @ scaled
            turn = np.zeros_like(gram)
            for part in self._parts:
                turn[part, part] = np.linalg.eigh(gram[part, part])[1]
            self._grams[place] = turn.T @ gram @ turn
            self._crosses[place] = turn.T @ (scaled.T @ (weight * targets))
            self._totals[place] = weight @ targets**2
            self._turns[place] = scales[:, None] * turn
        self._diagonals = np.maximum(np.diagonal(self._grams, axis1=1, axis2=2), 0.0)
        self._blocks = [np.ascontiguousarray(self._grams[:, :, part]) for part in self._parts]

    def walk(self, sweeps: int) -> _Chains:
        """Draw everything anew, `sweeps` times; gives itself."""
        for _ in range(sweeps):
            self._sweep()
        return self

    def sizes(self) -> Array:
        """(n_columns,): how much each column does alone, given all trials."""
        return np.array(
            [(self._betas[0][:, part] ** 2).sum() for part in self._parts[: self._alone]]
        )

    def fitted(self, features: Array) -> Array:
        """(n,): the targets as the mean of the chains that saw all trials has them."""
        intercepts, coefficients = self.coefficients()
        return np.asarray(intercepts[0].mean() + features @ coefficients[0].mean(axis=0))

    def coefficients(self) -> tuple[Array, Array]:
        """(n_sets, CHAINS) intercepts and (n_sets, CHAINS, n_functions) coefficients."""
        coefficients = self._betas @ self._turns.transpose(0, 2, 1)
        lowered = (coefficients @ self._centres[:, :, None])[:, :, 0]
        return self._middles[:, None] - lowered, coefficients

    def _sweep(self) -> None:
        rng, shape = self._rng, self._noises.shape
        odds = self._draw_odds()
        uniform = rng.random((len(self._parts), *shape))
        normal = np.asarray(rng.standard_normal(self._betas.shape))
        heavy = rng.chisquare(SLAB_DEGREES, (len(self._parts), *shape))
        precision = 1.0 / self._noises[:, :, None]
        for place in rng.permutation(len(self._parts)):
            part = self._parts[place]
            old = self._betas[:, :, part]
            diagonal = self._diagonals[:, None, part]
            slab = self._slabs[:, :, place, None]
            cross = self._crosses[:, None, part] - self._betas @ self._blocks[place]
            certainty = diagonal * precision + 1.0 / slab
            mean = (cross + diagonal * old) * precision / certainty
            evidence = 0.5 * (mean**2 * certainty - np.log(certainty * slab)).sum(axis=2)
            chance = expit(odds[int(place >= self._alone)] + evidence)
            inside = np.asarray(uniform[place] < chance)
            new = inside[:, :, None] * (mean + normal[:, :, part] / np.sqrt(certainty))
            self._betas[:, :, part] = new
            self._inside[:, :, place] = inside
            freedom = heavy[place] + inside * rng.chisquare(self._sizes[place], shape)
            self._slabs[:, :, place] = (SLAB_DEGREES * SLAB + (new**2).sum(axis=2)) / freedom
        fitted = ((self._betas @ self._grams - 2.0 * self._crosses[:, None]) * self._betas).sum(2)
        squares = np.maximum(self._totals[:, None] + fitted, 0.0)
        degrees = self._counts[:, None] - 1.0 + NOISE_DEGREES
        known = NOISE_DEGREES * self._noise_variance
        self._noises = np.maximum((known + squares) / rng.chisquare(degrees, shape), 1e-9)

    def _draw_odds(self) -> tuple[Array, Array]:
        """Log odds, by chain, that a knob alone and that a pair is in the model."""
        result = []
        for start, stop, expected in (
            (0, self._alone, EXPECTED_KNOBS),
            (self._alone, len(self._parts), EXPECTED_PAIRS),
        ):
            count = stop - start
            share = min(expected / max(count, 1), 0.5)
            inside = self._inside[:, :, start:stop].sum(axis=2)
            chance = self._rng.beta(2.0 * share + inside, 2.0 * (1.0 - share) + count - inside)
            chance = np.clip(chance, 1e-6, 1.0 - 1e-6)
            result.append(np.log(chance) - np.log1p(-chance))
        return result[0], result[1]
