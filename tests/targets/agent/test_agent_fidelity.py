"""Shorter windows, as the server asks for them and the target can measure them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from targets.adapter import Measurement, Purpose
from targets.agent import Agent
from targets.protocol import Assignment
from targets.simulated.adapter import SimulatedAdapter

MakeAgent = Callable[..., Agent]
SETTINGS = {"window_seconds": 0.2, "noise": 0.0}


def test_a_short_window_is_as_short_as_asked_for(make_agent: MakeAgent, server: Any) -> None:
    agent = make_agent(settings=SETTINGS)
    told = server.registrations[0]
    assert told.description["least_fidelity"] == pytest.approx(0.005)
    server.assign(told.safe)
    server.assign(told.safe, trial=2, fidelity=0.1)
    agent.step()
    agent.step()
    [full], [short] = (result.windows for _, result in server.results)
    assert full.seconds >= 0.2
    assert 0.02 <= short.seconds < 0.2


def test_an_adapter_that_cannot_shorten_is_never_given_a_fidelity(
    make_agent: MakeAgent, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = SimulatedAdapter.measure

    def only_full(
        self: SimulatedAdapter, purpose: Purpose = Purpose.SEARCH, *, seed: int = 0, cancel: Any
    ) -> Measurement:
        return measure(self, purpose, seed=seed, cancel=cancel)

    monkeypatch.setattr(SimulatedAdapter, "measure", only_full)
    # A window as short as the setting may be cannot be cut.
    agent = make_agent(settings={**SETTINGS, "window_seconds": 0.001})
    told = server.registrations[0]
    assert told.description["least_fidelity"] == 1.0
    server.assign(told.safe)
    agent.step()
    assert server.results[0][1].state == "completed", server.results[0][1].message


@pytest.mark.parametrize("fidelity", [0.001, 0.0, -1.0, 1.5])
def test_a_length_that_cannot_be_measured_is_no_fault_of_the_configuration(
    make_agent: MakeAgent, server: Any, target: Any, fidelity: float
) -> None:
    agent = make_agent(settings=SETTINGS)
    server.assign({**server.registrations[0].safe, "buffer": 30}, fidelity=fidelity)
    agent.step()
    [(_, result)] = server.results
    assert (result.state, result.failure) == ("failed", "harness-failed")
    assert f"fidelity={fidelity:g}" in result.message
    assert not target.path.exists(), "it was applied before it was looked at"


def test_a_server_that_knows_nothing_of_lengths_asks_for_full_windows(server: Any) -> None:
    told = server.assign({}).to_json()
    del told["fidelity"]
    assert Assignment.from_json(told).fidelity == 1.0
