"""A kind of target from outside the house: installed by pip, listed, contract-tested and tuned."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "lontra-lzma"

Python = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example installed by pip into a folder of its own: its code and its metadata."""
    folder = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source") / "lontra-lzma"
    shutil.copytree(EXAMPLE, source)  # the build leaves files beside the source
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--target", folder, source]
    done = subprocess.run([*pip, *offline], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def python(installed: Path, tmp_path: Path) -> Python:
    """Run Python where the example is installed."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(installed), str(REPOSITORY)])
        environment = {**os.environ, "PYTHONPATH": path, "LONTRA_HOME": str(tmp_path / "home")}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_registry_finds_it_with_its_catalogue(python: Python) -> None:
    program = (
        "import json, pathlib; from targets import installed_adapters, load_adapter;"
        "entry = next(e for e in installed_adapters() if e.name == 'lzma');"
        "adapter = load_adapter('lzma')({'corpus_bytes': 2048}, pathlib.Path('work'));"
        "print(json.dumps([entry.distribution, entry.error, len(adapter.describe().space)]))"
    )
    done = python("-c", program)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["lontra-lzma", None, 8]


def test_its_contract_suite_passes(python: Python) -> None:
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", EXAMPLE / "tests")
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert " failed" not in done.stdout


def test_command_line_lists_it(python: Python) -> None:
    done = python("-m", "lontra.cli", "targets")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "lzma" in line.split())
    assert "smallest size within a time limit" in line


def test_command_line_tunes_it(python: Python, tmp_path: Path) -> None:
    settings = ["--set", "corpus_bytes=16384", "--seed", "1"]
    done = python(
        "-m", "lontra.cli", "tune", "lzma", *settings, "--trials", "5", "--json", "report.json"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["target"] == "lzma"
    objective = {"name": "compressed_size", "direction": "min", "unit": "bytes"}
    assert report["objective"].items() >= objective.items()
    searched = [trial for trial in report["trials"] if trial["state"] == "completed"]
    assert len(searched) >= 5
    assert report["incumbent"]["value"] <= report["baseline"]["value"]
    assert "xz -9e" in [line["name"] for line in report["reference_lines"]]
