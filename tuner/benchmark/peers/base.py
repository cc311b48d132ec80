"""What peers share: costs to minimise, and what is done about failures.

Most peers know nothing of failures. They are told what their users tell them then: the worst cost
measured so far. A failure before anything was measured waits until something was.
"""

from __future__ import annotations

from abc import abstractmethod

from targets.metrics import Direction
from tuner.benchmark.contestants import Asked, Brief, Contestant
from tuner.benchmark.tables import Point


class Peer(Contestant):
    """A contestant that minimises a cost. Subclasses suggest and learn."""

    def __init__(self, brief: Brief) -> None:
        self.brief = brief
        self.parameters = brief.table.parameters
        self._sign = 1.0 if brief.table.direction is Direction.MINIMISE else -1.0
        self._best: tuple[float, Point] | None = None
        self._worst: float | None = None
        self._failed: list[Point] = []

    @abstractmethod
    def suggest(self) -> Point:
        """The next point to evaluate."""

    @abstractmethod
    def learn(self, point: Point, cost: float) -> None:
        """What the last suggested point, or an earlier one, cost: less is better."""

    def ask(self) -> Asked:
        return Asked(point=self.suggest())

    def tell(self, asked: Asked, value: float | None) -> None:
        if value is None:
            self._failed.append(asked.point)
        else:
            cost = self.cost(value)
            self.learn(asked.point, cost)
            self._worst = cost if self._worst is None else max(self._worst, cost)
            if self._best is None or cost < self._best[0]:
                self._best = cost, asked.point
        if self._worst is not None:
            for point in self._failed:
                self.learn(point, self._worst)
            self._failed.clear()

    def cost(self, value: float) -> float:
        """A value of the table as a cost."""
        return self._sign * value

    def named(self) -> Point | None:
        """The point with the best value seen; peers with a better answer of their own give it."""
        return None if self._best is None else self._best[1]
