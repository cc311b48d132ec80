"""gcc, with every result kept on disk: the same source on the same machine compiles once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from targets.child import run_child
from targets.clock import Clock
from targets.errors import ApplyFailed, TargetDown

logger = logging.getLogger(__name__)

COMPILE_SECONDS = 60.0
"""Far above the slowest schedule seen (1 s): what takes longer hangs or swaps."""

KERNELS_KEPT = 400
"""About 10 MB; ten sessions of 40 trials."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A compiled kernel: its shared object, and what it took to make it."""

    library: Path
    compile_seconds: float
    code_bytes: int

    def facts(self) -> str:
        """What is kept beside the shared object, as JSON."""
        return json.dumps({"compile_seconds": self.compile_seconds, "code_bytes": self.code_bytes})


class Compiler:
    """gcc for this very CPU, caching in `folder`.

    The key of an entry is the source, the flags, and what gcc says of itself and of
    `-march=native` here, so that a folder that moves to another CPU or meets a new gcc is no trap.

    Raises:
        TargetDown: there is no gcc; the text names the package.
    """

    FLAGS = ("-march=native", "-std=gnu17", "-shared", "-fPIC")

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        found = shutil.which("gcc")
        if found is None:
            raise TargetDown(
                "target matmul needs gcc, which is not on PATH: install it "
                "(Debian, Ubuntu: apt install gcc libc6-dev; Fedora: dnf install gcc)"
            )
        self._gcc = found
        self._folder = folder
        self._clock = clock
        # Verbose preprocessing of nothing names the version and every resolved target option.
        probe = run_child(
            [self._gcc, "-v", "-march=native", "-E", "-x", "c", os.devnull],
            what="asking gcc for its version",
            limit_seconds=COMPILE_SECONDS,
            clock=clock,
        )
        if probe.returncode != 0:
            raise TargetDown(f"{self._gcc} does not work: {probe.how}")
        self._identity = probe.errors
        self.version = next(
            (line for line in probe.errors.splitlines() if line.startswith("gcc version")), "gcc"
        )

    def compile(self, source: str, flags: tuple[str, ...]) -> Kernel:
        """The kernel of `source`, from the cache when it is there.

        Raises:
            ApplyFailed: gcc refuses the source; the text has its message.
            TimedOut: gcc took too long.
        """
        flags = (*flags, *self.FLAGS)
        key = hashlib.sha256("\0".join((source, *flags, self._identity)).encode()).hexdigest()[:32]
        library, facts = self._folder / f"{key}.so", self._folder / f"{key}.json"
        if facts.exists() and library.exists():
            os.utime(facts)
            return Kernel(library=library, **json.loads(facts.read_text(encoding="utf-8")))
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            kernel = self._run(source, flags, Path(scratch))
            # The facts go last: an entry without them does not count.
            (Path(scratch) / "kernel.c").replace(library.with_suffix(".c"))
            kernel = replace(kernel, library=kernel.library.replace(library))
            written = Path(scratch) / "facts.json"
            written.write_text(kernel.facts(), encoding="utf-8")
            written.replace(facts)
        self._forget_oldest()
        return kernel

    def _run(self, source: str, flags: tuple[str, ...], scratch: Path) -> Kernel:
        text, library = scratch / "kernel.c", scratch / "kernel.so"
        text.write_text(source, encoding="utf-8")
        started = self._clock.monotonic()
        finished = run_child(
            [self._gcc, *flags, "-o", library, text],
            what="compiling the kernel",
            limit_seconds=COMPILE_SECONDS,
            clock=self._clock,
        )
        seconds = self._clock.monotonic() - started
        if finished.returncode != 0:
            raise ApplyFailed(f"gcc {' '.join(flags)} refuses the kernel: {finished.how}")
        logger.info("kernel compiled seconds=%.2f flags=%s", seconds, " ".join(flags))
        return Kernel(library=library, compile_seconds=seconds, code_bytes=library.stat().st_size)

    def _forget_oldest(self) -> None:
        facts = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for path in facts[:-KERNELS_KEPT]:
            for suffix in (".json", ".so", ".c"):
                path.with_suffix(suffix).unlink(missing_ok=True)
