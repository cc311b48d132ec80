"""Run the comparison with other people's optimizers, and write docs/benchmarks.md from it.

    python benchmarks/compare.py [PART ...] [--data DIR] [--folder DIR] [--page FILE]
        [--seeds N] [--recommenders auto,gp,parzen,forest] [--hebo-python PYTHON] [--jobs N]
    python benchmarks/compare.py --list        which parts there are, and their commands
    python benchmarks/compare.py --install     the peers' packages, each by itself

A part is one command; what it found is kept in a CSV file of its name in `--folder`, and a run that
is there is not made again: interrupt it whenever you like. Delete the folder to measure anew, as
after a change of a recommender. `all` stands for every part, `none` writes the page only. With no
`--data` the tables that come with Lontra are replayed.

A peer that is not installed is left out, and the page says so; so is a part that fails, whose other
results are kept. The exit status is 1 when one failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

from comparing.kept import Kept
from comparing.page import written
from comparing.parts import OURS, ROOT, Part, parts_of

from targets.errors import LontraError
from tuner.benchmark import RECORDED, load_tables
from tuner.benchmark.peers import EXTRA, missing

USUAL = ("cold", "slow", "hebo")
ALL, NONE = "all", "none"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    given = _parser().parse_args(arguments)
    if given.install:
        return install()
    folder = given.folder or ROOT / "bench" / (given.data.resolve().name if given.data else "own")
    page = given.page or (ROOT / "docs" if given.data else folder) / "benchmarks.md"
    tables = load_tables(given.data or RECORDED)
    parts = parts_of(
        tables, own=given.data is None, ours=given.recommenders.split(","), seeds=given.seeds
    )
    if given.list:
        print("\n\n".join(f"{name}:\n{part.shown}" for name, part in parts.items()))
        return 0
    wanted = [*parts] if ALL in given.parts else [name for name in given.parts if name != NONE]
    unknown = [name for name in wanted if name not in parts and name not in USUAL]
    if unknown:
        print(f"no part is named {', '.join(unknown)}: see --list", file=sys.stderr)
        return 2
    failed = [name for name in wanted if name in parts and not run(parts[name], folder, given)]
    kept = Kept(folder=folder, parts=parts, tables=tables)
    data = " REPLAY_DATA=DIR" if given.data else ""
    try:
        text = written(kept, remedy=f"make bench-all{data}")
    except LontraError as error:
        print(f"no page: {error}", file=sys.stderr)
        return 1
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")
    print(f"written: {page}")
    if failed:
        print(f"failed, see above: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run(part: Part, folder: Path, given: argparse.Namespace) -> bool:
    """One part's command, with the peers that can run; whether it went well."""
    hebo = given.hebo_python.absolute()
    lacking = {name: _lacking(name, hebo) for name in part.peers}
    for name, reason in lacking.items():
        if reason:
            print(f"{part.name}: peer {name} {reason}; left out", file=sys.stderr)
    peers = [name for name, reason in lacking.items() if not reason]
    if part.peers and not (peers or part.recommenders):
        return True
    data = given.data and given.data.resolve()
    command = part.command(folder.resolve(), data=data, hebo=str(hebo), peers=peers)
    if part.parallel:
        command += ["--jobs", str(given.jobs)]
    print(f"\n== {part.name}\n{' '.join(command)}", flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def _lacking(peer: str, hebo: Path) -> str:
    """What keeps a peer from running; empty where nothing does."""
    if peer == "hebo":
        return "" if hebo.is_file() else f"needs {hebo}"
    return missing(peer)


def install() -> int:
    """Install what peers need, each by itself, so that one that fails stops no other."""
    asked = [text for text in requires("lontra") or () if f'extra == "{EXTRA}"' in text]
    failed = []
    for wanted in (text.partition(";")[0].strip() for text in asked):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", wanted]
        if subprocess.run(pip, check=False).returncode:
            failed.append(wanted)
    if failed:
        print(f"not installed, to be left out: {', '.join(failed)}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=list(USUAL), metavar="PART",
                        help=f"what to run; {', '.join(USUAL)} if nothing is named")  # fmt: skip
    parser.add_argument("--data", type=Path, help="a folder of tables")
    parser.add_argument("--folder", type=Path,
                        help="where results are kept; bench/NAME-OF-DATA or bench/own")  # fmt: skip
    parser.add_argument("--page", type=Path,
                        help="the page that is written; docs/benchmarks.md, or without --data "
                        "benchmarks.md in the folder")  # fmt: skip
    parser.add_argument("--seeds", type=int, help="at most so many in every part")
    parser.add_argument("--recommenders", default=",".join(OURS),
                        help="ours in the part `cold`; %(default)s")  # fmt: skip
    parser.add_argument("--hebo-python", type=Path, default=ROOT / ".venv-hebo" / "bin" / "python",
                        help="HEBO's own interpreter; %(default)s")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--list", action="store_true", help="list the parts and end")
    parser.add_argument("--install", action="store_true", help="install the peers and end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
