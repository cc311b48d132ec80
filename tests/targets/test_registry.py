"""Entry points: found on the path as pip leaves them, broken ones told and harmless."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import targets
from targets.errors import BrokenAdapter, UnknownAdapter
from targets.registry import installed_adapters, load_adapter
from targets.simulated.adapter import SimulatedAdapter

ALIASES = {"Configuration", "Value"}

GOOD = """
from targets.simulated.adapter import SimulatedAdapter
class Adapter(SimulatedAdapter):
    kind = {kind!r}
    summary = "A stranger's target."
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a distribution on the path: its metadata and one module."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(distribution: str, name: str, module: str, code: str) -> None:
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0")
        (info / "entry_points.txt").write_text(f"[lontra.targets]\n{name} = {module}:Adapter\n")

    return install


def entry(name: str):
    return next(entry for entry in installed_adapters() if entry.name == name)


def test_stranger_is_listed_and_loaded_like_a_built_in(install) -> None:
    install("stranger-one", "kettle", "lontra_kettle_a", GOOD.format(kind="kettle"))
    assert load_adapter("kettle").summary == "A stranger's target."
    assert entry("kettle").distribution == "stranger-one"
    assert entry("kettle").summary == "A stranger's target."
    assert entry("kettle").error is None
    assert load_adapter("simulated") is SimulatedAdapter


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import no_such_module_at_all", "no_such_module_at_all"),
        ("Other = 1", "Adapter"),
        ("class Adapter: kind = 'kettle'", "no subclass"),
        ("def Adapter(): pass", "no subclass"),
        (GOOD.format(kind="teapot"), "'teapot'"),
        (GOOD.format(kind="kettle").replace("A stranger's target.", ""), "summary"),
        ("this is no Python", "SyntaxError"),
    ],
)
def test_broken_one_is_told_by_name_and_hurts_no_other(install, request, code, why) -> None:
    module = f"lontra_kettle_{request.node.callspec.indices['code']}"
    install("stranger-broken", "kettle", module, code)
    broken = entry("kettle")
    assert broken.summary is None
    assert why in broken.error
    assert "kettle" in broken.error
    assert "stranger-broken" in broken.error
    assert entry("simulated").error is None
    with pytest.raises(BrokenAdapter, match="kettle"):
        load_adapter("kettle")


def test_two_distributions_with_one_name_are_refused_by_name(install) -> None:
    install("stranger-one", "kettle", "lontra_kettle_b", GOOD.format(kind="kettle"))
    install("stranger-two", "kettle", "lontra_kettle_c", GOOD.format(kind="kettle"))
    with pytest.raises(BrokenAdapter, match="uninstall all but one") as refused:
        load_adapter("kettle")
    assert "stranger-one" in str(refused.value)
    assert "stranger-two" in str(refused.value)
    assert "stranger-two" in entry("kettle").error


def test_one_distribution_seen_twice_on_the_path_counts_once(install, tmp_path, monkeypatch):
    install("stranger-one", "kettle", "lontra_kettle_d", GOOD.format(kind="kettle"))
    second = tmp_path / "again"
    second.mkdir()
    (tmp_path / "stranger_one-1.0.dist-info").rename(second / "stranger_one-1.0.dist-info")
    install("stranger-one", "kettle", "lontra_kettle_d", GOOD.format(kind="kettle"))
    monkeypatch.syspath_prepend(second)
    assert load_adapter("kettle").kind == "kettle"


def test_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UnknownAdapter, match=r"did you mean simulated\?.*sqlite"):
        load_adapter("simulatd")


def test_loading_one_imports_no_other() -> None:
    program = (
        "import sys; from targets.registry import load_adapter; load_adapter('simulated');"
        "print([m for m in sys.modules if m.startswith(('targets.sqlite', 'targets.matmul',"
        "'targets.command', 'targets.cache_policy'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_public_names_load_from_their_homes_and_no_others_exist() -> None:
    assert sorted(targets.__all__) == sorted(targets._HOMES) == dir(targets)
    for name in targets.__all__:
        assert getattr(targets, name).__module__ == targets._HOMES[name] or name in ALIASES
    with pytest.raises(AttributeError, match="Adaptor"):
        targets.Adaptor  # noqa: B018
