"""Peers: other people's optimizers, run as their users run them. One file a peer.

None of them is needed to use Lontra; each is loaded when a benchmark asks for it, and says what to
install where it is missing: `pip install 'lontra[bench]'`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from targets.errors import MissingExtra
from tuner.benchmark.contestants import Brief, Contestant
from tuner.benchmark.errors import UnknownName

EXTRA = "bench"


@dataclass(frozen=True, kw_only=True)
class PeerEntry:
    """One peer: where its class is, and which package it needs."""

    summary: str
    module: str
    make: str
    package: str = ""
    own_environment: bool = False
    """It runs as a child process, under the interpreter that is named for it."""


PEERS: dict[str, PeerEntry] = {
    "random": PeerEntry(
        summary="uniform random search, repeats and all",
        module="random_search",
        make="RandomPeer",
    ),
    "optuna-tpe": PeerEntry(
        summary="Optuna's TPESampler(multivariate=False)",
        module="optuna_tpe",
        make="TreeParzenPeer",
        package="optuna",
    ),
    "optuna-tpe-mv": PeerEntry(
        summary="Optuna's TPESampler(multivariate=True, group=True): the reference",
        module="optuna_tpe",
        make="MultivariateTreeParzenPeer",
        package="optuna",
    ),
    "warm-tpe": PeerEntry(
        summary="the three best rows known of each source, then optuna-tpe-mv",
        module="optuna_tpe",
        make="WarmTreeParzenPeer",
        package="optuna",
    ),
    "skopt-gp": PeerEntry(
        summary="scikit-optimize's Gaussian process",
        module="scikit_optimize",
        make="GaussianProcessPeer",
        package="skopt",
    ),
    "skopt-et": PeerEntry(
        summary="scikit-optimize's extremely randomised trees",
        module="scikit_optimize",
        make="ExtraTreesPeer",
        package="skopt",
    ),
    "smac": PeerEntry(
        summary="SMAC3's HyperparameterOptimizationFacade",
        module="smac3",
        make="SmacPeer",
        package="smac",
    ),
    "nevergrad": PeerEntry(
        summary="Nevergrad's NGOpt, which picks an algorithm for the space and the budget",
        module="nevergrad_portfolio",
        make="AutomaticPeer",
        package="nevergrad",
    ),
    "nevergrad-portfolio": PeerEntry(
        summary="Nevergrad's PortfolioDiscreteOnePlusOne",
        module="nevergrad_portfolio",
        make="PortfolioPeer",
        package="nevergrad",
    ),
    "flaml-cfo": PeerEntry(
        summary="FLAML's CFO, a coordinate-wise local search",
        module="flaml_cfo",
        make="CfoPeer",
        package="flaml",
    ),
    "hebo": PeerEntry(
        summary="HEBO, a warped Gaussian process; needs an environment of its own",
        module="child",
        make="HeboPeer",
        own_environment=True,
    ),
}


def enter_peer(name: str, brief: Brief, *, python: str = "") -> Contestant:
    """Make a peer for one run.

    Args:
        python: the interpreter of a peer that has an environment of its own.

    Raises:
        As `check_peer`.
    """
    check_peer(name, python=python)
    entry = PEERS[name]
    module = importlib.import_module(f"{__name__}.{entry.module}")
    make: Callable[..., Contestant] = getattr(module, entry.make)
    return make(brief, python=python) if entry.own_environment else make(brief)


def check_peer(name: str, *, python: str = "") -> None:
    """See that a peer can run, before hours are spent on the others.

    Raises:
        UnknownName: no such peer, or one without the interpreter it needs.
        MissingExtra: its package is not installed.
    """
    entry = PEERS.get(name)
    if entry is None:
        raise UnknownName(f"peer {name!r} is none of {', '.join(PEERS)}")
    if entry.own_environment and not python:
        raise UnknownName(
            f"peer {name} runs in an environment of its own: name its interpreter by "
            f"--peer-python {name}=/path/to/python (docs/replay-benchmark.md says how to make one)"
        )
    if python and not entry.own_environment:
        raise UnknownName(
            f"peer {name} runs in Lontra's own environment: leave its --peer-python out"
        )
    if not _installed(entry):
        raise MissingExtra(f"peer {name}", entry.package, EXTRA)


def missing(name: str) -> str:
    """What keeps a peer from running; empty where nothing does."""
    entry = PEERS[name]
    if entry.own_environment:
        return "needs --peer-python"
    return "" if _installed(entry) else f"needs {entry.package}: pip install 'lontra[{EXTRA}]'"


def _installed(entry: PeerEntry) -> bool:
    return not entry.package or importlib.util.find_spec(entry.package) is not None
