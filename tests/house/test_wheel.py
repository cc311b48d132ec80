"""What is installed holds all that runs: built as a wheel, not taken from the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLOORS = ("targets/", "knowledge_base/", "tuner/", "web/", "lontra/")


def test_the_wheel_holds_every_file_of_the_house(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    copy = tmp_path / "checkout"
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", str(tmp_path), str(copy)],
        check=True, cwd=tmp_path,
    )  # fmt: skip
    held = set(zipfile.ZipFile(next(tmp_path.glob("lontra-*.whl"))).namelist())
    ours = [name for name in listed if name.startswith(FLOORS)]
    assert len(ours) > 200
    assert [name for name in ours if name not in held] == []
