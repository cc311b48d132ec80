"""Packed metric vectors: one value a metric, beside a dictionary of names, kinds and units.

A window of 400 metrics is one row of 3.2 kB. The dictionary is stored once for all the windows
that share it, with the units that the target gave when the window was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from knowledge_base.digests import digest_of, stored_once
from knowledge_base.schema import MetricDictionaryRow
from targets.metrics import MetricVector

EMPTY = MetricVector((), ())


class VectorWriter:
    """Packs vectors within one write transaction.

    Args:
        session: the transaction.
        described: metrics with `name`, `kind` and `unit`, as in `Description.to_dict()`; a metric
            that is not among them is kept without kind and unit.
    """

    def __init__(self, session: Session, described: Iterable[Mapping[str, Any]]) -> None:
        self._session = session
        self._described = {metric["name"]: metric for metric in described}
        self._ids: dict[tuple[str, ...], int] = {}

    def pack(self, vector: MetricVector) -> tuple[int, bytes] | tuple[None, None]:
        """The id of the vector's dictionary and its packed values; both None when it is empty."""
        return self.pack_some(vector) if vector.names else (None, None)

    def pack_some(self, vector: MetricVector) -> tuple[int, bytes]:
        """As `pack`, of a vector that is known not to be empty."""
        if vector.names not in self._ids:
            metrics = [self._entry(name) for name in vector.names]
            self._ids[vector.names] = stored_once(
                self._session, MetricDictionaryRow, digest_of(metrics), metrics=metrics
            )
        return self._ids[vector.names], vector.pack()

    def _entry(self, name: str) -> dict[str, str]:
        described = self._described.get(name, {})
        return {
            "name": name,
            "kind": str(described.get("kind", "")),
            "unit": str(described.get("unit", "")),
        }


class VectorReader:
    """Unpacks vectors within one transaction; loads the dictionaries they need at once."""

    def __init__(self, session: Session, dictionary_ids: Iterable[int | None]) -> None:
        wanted = {key for key in dictionary_ids if key is not None}
        rows = session.scalars(
            select(MetricDictionaryRow)
            .where(MetricDictionaryRow.id.in_(wanted))
            .order_by(MetricDictionaryRow.id)
        ).all()
        self._names = {row.id: tuple(metric["name"] for metric in row.metrics) for row in rows}
        self.described: list[Mapping[str, Any]] = [m for row in rows for m in row.metrics]
        """The metrics of all these dictionaries, as `VectorWriter` takes them."""

    def unpack(self, dictionary_id: int | None, packed: bytes | None) -> MetricVector:
        """The vector; empty where there is none."""
        if dictionary_id is None or packed is None:
            return EMPTY
        return MetricVector.unpack(self._names[dictionary_id], packed)


def mean(vectors: Sequence[tuple[MetricVector, int]]) -> MetricVector:
    """Metric by metric the mean of the vectors, each of the given weight.

    Values that are not finite do not count; where none is left the mean is NaN. A vector that
    lacks a metric does not count for it.
    """
    values: dict[str, list[tuple[float, int]]] = {}
    for vector, weight in vectors:
        for name, value in zip(vector.names, vector.values, strict=True):
            kept = values.setdefault(name, [])
            if math.isfinite(value):
                kept.append((value, weight))
    return MetricVector.of({name: _mean(kept) for name, kept in values.items()})


def _mean(weighted: Sequence[tuple[float, int]]) -> float:
    total = sum(weight for _, weight in weighted)
    if not total:
        return math.nan
    # Divided before they are added: the sum of values near the largest float would overflow.
    return math.fsum(value * (weight / total) for value, weight in weighted)
