"""Peers that need an environment of their own: a child process, asked over JSON lines.

The child is one script that imports nothing of Lontra, run by the interpreter that its environment
has. It reads one JSON object a line and answers each by one; it ends when its input does.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tuner.benchmark.contestants import Brief
from tuner.benchmark.errors import PeerFailed
from tuner.benchmark.peers.base import Peer
from tuner.benchmark.tables import Point

PATIENCE_SECONDS = 10.0
"""How long a child may take to end by itself."""


class ChildPeer(Peer):
    """Speaks to the child. Subclasses say which script it runs."""

    script: ClassVar[Path]

    def __init__(self, brief: Brief, *, python: str) -> None:
        super().__init__(brief)
        self._cpu_seconds = 0.0
        try:
            self._child = subprocess.Popen(
                [python, "-I", str(self.script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except OSError as error:
            raise PeerFailed(f"peer interpreter {python}: {error.strerror}") from error
        try:
            self._say(
                {
                    "op": "start",
                    "seed": brief.seed,
                    "params": [
                        {
                            "name": one.name,
                            "type": str(one.type),
                            "levels": len(one.values),
                            "low": one.low,
                            "high": one.high,
                            "log": one.log,
                        }
                        for one in self.parameters
                    ],
                }
            )
        except BaseException:
            self.__exit__()
            raise

    def suggest(self) -> Point:
        return np.array(self._say({"op": "ask"})["point"], dtype=np.float64)

    def learn(self, point: Point, cost: float) -> None:
        self._say({"op": "tell", "point": [float(number) for number in point], "cost": cost})

    @property
    def seconds_elsewhere(self) -> float:
        return self._cpu_seconds

    def __exit__(self, *_: object) -> None:
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                stream.close()
        try:
            self._child.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _say(self, message: dict[str, Any]) -> dict[str, Any]:
        """One message and its answer.

        Raises:
            PeerFailed: the child says what went wrong, or is gone.
        """
        stdin, stdout = self._child.stdin, self._child.stdout
        if stdin is None or stdout is None:
            raise PeerFailed(f"{self.script.name}: its child has no pipes")
        try:
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()
            answer = json.loads(stdout.readline())
        except (OSError, ValueError) as error:
            raise PeerFailed(
                f"{self.script.name}: the child is gone or speaks nonsense: {error}"
            ) from error
        if "error" in answer:
            raise PeerFailed(f"{self.script.name}: {answer['error']}")
        self._cpu_seconds = answer["cpu_seconds"]
        return dict(answer)


class HeboPeer(ChildPeer):
    """HEBO, Cowen-Rivers et al., JAIR 2022."""

    script = Path(__file__).with_name("hebo_child.py")
