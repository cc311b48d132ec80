"""The registry of recommenders: lazy, by name, broken ones told and harmless."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

import tuner.registry
from tuner.errors import BrokenRecommender, UnknownRecommender
from tuner.recommenders.random import RandomRecommender
from tuner.registry import GROUP, installed_recommenders, load_recommender

BUILT_IN = {
    "auto", "boosted-rank", "evolution", "forest", "gp", "grid", "local", "optuna-cmaes",
    "optuna-nsga2", "optuna-tpe", "random", "skopt-forest", "skopt-gp", "sobol",
}  # fmt: skip


def install(monkeypatch: pytest.MonkeyPatch, *claims: tuple[str, str]) -> None:
    points = [EntryPoint(name=name, value=value, group=GROUP) for name, value in claims]
    monkeypatch.setattr(tuner.registry, "entry_points", lambda *, group: points)


def test_the_built_in_ones_come_by_entry_points() -> None:
    entries = {entry.name: entry for entry in installed_recommenders()}
    assert entries.keys() >= BUILT_IN
    assert all(entries[name].summary and entries[name].error is None for name in BUILT_IN)
    assert load_recommender("random") is RandomRecommender


def test_an_unknown_name_gets_the_list_and_a_guess() -> None:
    with pytest.raises(UnknownRecommender, match=r"did you mean random\?.*installed: .*auto"):
        load_recommender("randm")


def test_a_broken_one_is_named_and_hurts_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        monkeypatch,
        ("random", "tuner.recommenders.random:RandomRecommender"),
        ("gone", "no_such_package:Recommender"),
        ("number", "math:pi"),
        ("misnamed", "tuner.recommenders.sobol:SobolRecommender"),
        ("nameless", "tuner.recommenders.base:Recommender"),
    )
    errors = {entry.name: entry.error for entry in installed_recommenders()}
    assert errors["random"] is None
    assert "no_such_package" in (errors["gone"] or "")
    assert "no subclass" in (errors["number"] or "")
    assert "'sobol'" in (errors["misnamed"] or "")
    assert "has no name" in (errors["nameless"] or "")
    with pytest.raises(BrokenRecommender, match="recommender gone of"):
        load_recommender("gone")
    assert load_recommender("random") is RandomRecommender


def test_two_claims_to_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        monkeypatch,
        ("random", "tuner.recommenders.random:RandomRecommender"),
        ("random", "tuner.recommenders.sobol:SobolRecommender"),
    )
    with pytest.raises(BrokenRecommender, match="claimed by 2"):
        load_recommender("random")


def test_asking_for_one_loads_no_other() -> None:
    code = (
        "import sys; from tuner.registry import load_recommender; load_recommender('random');"
        "assert not {'optuna', 'skopt', 'sklearn'} & sys.modules.keys(), 'heavy imports'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
