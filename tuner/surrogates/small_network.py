"""Small neural networks on numpy: one hidden layer, several networks trained side by side.

For a few hundred examples of some dozen numbers, where a deep-learning library would take longer to
import than these take to train.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ADAM = (0.9, 0.999, 1e-8)
"""Decay of the two moments, and the least divisor (Kingma and Ba, ICLR 2015)."""


@dataclass(frozen=True)
class Networks:
    """k networks from n_inputs to n_outputs numbers, with a hidden layer of tanh units.

    `weights`: of the hidden layer (k, n_inputs, n_hidden) and (k, 1, n_hidden), and of the output
    (k, n_hidden, n_outputs) and (k, 1, n_outputs).
    """

    weights: tuple[Array, Array, Array, Array]

    @classmethod
    def drawn(
        cls, count: int, n_inputs: int, n_hidden: int, n_outputs: int, rng: np.random.Generator
    ) -> Networks:
        """Untrained ones: each hidden unit's input, and each output, has a variance of about 1
        (Glorot and Bengio, AISTATS 2010)."""
        hidden = rng.standard_normal((count, n_inputs, n_hidden)) / np.sqrt(max(1, n_inputs))
        output = rng.standard_normal((count, n_hidden, n_outputs)) / np.sqrt(n_hidden)
        offset = rng.standard_normal((count, 1, n_hidden))
        return cls((hidden, offset, output, np.zeros((count, 1, n_outputs))))

    def forward(self, inputs: Array) -> tuple[Array, Array]:
        """Outputs (k, n, n_outputs) and hidden units (k, n, n_hidden), at inputs (n, n_inputs) or
        (k, n, n_inputs)."""
        w1, b1, w2, b2 = self.weights
        hidden = np.tanh(inputs @ w1 + b1)
        return hidden @ w2 + b2, hidden

    def backward(self, inputs: Array, hidden: Array, slope: Array) -> tuple[Sequence[Array], Array]:
        """How a loss changes with the weights, and with the inputs (k, n, n_inputs).

        Args:
            slope: (k, n, n_outputs) how it changes with the outputs.
        """
        w1, _, w2, _ = self.weights
        before = (slope @ w2.swapaxes(1, 2)) * (1.0 - hidden**2)
        gradients = (
            inputs.swapaxes(-1, -2) @ before,
            before.sum(axis=1, keepdims=True),
            hidden.swapaxes(1, 2) @ slope,
            slope.sum(axis=1, keepdims=True),
        )
        return gradients, before @ w1.swapaxes(1, 2)


class Adam:
    """Adam (Kingma and Ba, ICLR 2015), with weights decayed apart from the gradient (AdamW,
    Loshchilov and Hutter, ICLR 2019).

    Args:
        weights: arrays that `step` changes in place.
    """

    def __init__(self, weights: Sequence[Array], *, rate: float, decay: float = 0.0) -> None:
        self._weights = weights
        self._rate, self._decay = rate, decay
        self._first = [np.zeros_like(one) for one in weights]
        self._second = [np.zeros_like(one) for one in weights]
        self._steps = 0

    def step(self, gradients: Sequence[Array]) -> None:
        """Move the weights against the gradients."""
        self._steps += 1
        slow, slower, least = ADAM
        for place, gradient in enumerate(gradients):
            first, second, weight = self._first[place], self._second[place], self._weights[place]
            first += (1.0 - slow) * (gradient - first)
            second += (1.0 - slower) * (gradient**2 - second)
            size = np.sqrt(second / (1.0 - slower**self._steps)) + least
            weight -= self._rate * (first / (1.0 - slow**self._steps) / size + self._decay * weight)
