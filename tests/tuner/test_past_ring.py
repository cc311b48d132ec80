"""The whole ring on one machine: a second session begins from what the first one found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def lontra(home: Path, *arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "lontra.cli", "--home", str(home), *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def tuned(home: Path, name: str, *arguments: str) -> dict[str, Any]:
    """One session of a simulated target: its report."""
    file = home / f"{name}.json"
    lontra(home, "tune", "simulated", "--name", name, "--set", "window_seconds=0.001",
           "--confirm-pairs", "12", "--json", str(file), *arguments)  # fmt: skip
    report: dict[str, Any] = json.loads(file.read_text())
    return report


def test_a_second_session_begins_where_the_first_one_ended(tmp_path: Path) -> None:
    first = tuned(tmp_path, "one", "--trials", "12", "--recommender", "random", "--seed", "1")
    second = tuned(tmp_path, "two", "--trials", "4", "--seed", "2")
    begun = second["trials"][1]
    assert (begun["kind"], begun["lane"]) == ("warm-start", "transfer")
    assert "session 1 of one" in begun["reason"]
    assert begun["value"] > 0.9 * max(trial["value"] for trial in first["trials"])
    [told] = second["knowledge"]["history"]
    assert (told["session"], told["target"], told["used"]) == (1, "one", 13)
    assert second["knowledge"]["mapping"]["name"] == "mix on one"
    assert "4 of 4" in lontra(tmp_path, "sessions", "replay", "2")
