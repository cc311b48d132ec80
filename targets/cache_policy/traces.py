"""Which trace is replayed: one made to order, or a file in a format that libcachesim reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from targets.adapter import Purpose
from targets.cache_policy.generators import GENERATORS, REVISION
from targets.errors import InvalidSetting
from targets.knobs import Value

FORMATS = {
    "oracleGeneral": "ORACLE_GENERAL_TRACE",
    "csv": "CSV_TRACE",
    "txt": "PLAIN_TXT_TRACE",
    "vscsi": "VSCSI_TRACE",
    "twr": "TWR_TRACE",
}
"""Setting -> libcachesim's TraceType. These are the formats that the tests write and read back."""

GENERATED_REQUESTS = 400_000
"""Long enough for slow policies to settle: what is best in the searched part of a generated trace
is then within 1 % of the best in the unseen part. A window takes 0.2 s."""


WARM_SHARE = 1 / 3
"""Of the searched part, this much fills the cache before a search's windows count."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """How a trace of `requests` is used; every part is replayed from the trace's beginning.

    A cache in use is warm, so both purposes fill it first with what comes before: a search counts
    from `warm` to `searched`, a confirmation replays all that was searched and counts what
    follows, which no search has seen.
    """

    warm: int
    searched: int
    requests: int

    @classmethod
    def of(cls, requests: int, *, unseen_share: float) -> Parts:
        """The parts of a trace of which the last `unseen_share` is kept from the search."""
        searched = round(requests * (1 - unseen_share))
        return cls(warm=round(searched * WARM_SHARE), searched=searched, requests=requests)

    def replayed(self, purpose: Purpose, fidelity: float = 1.0) -> tuple[int, int]:
        """How many requests fill the cache, and how many are then counted: of each a share."""
        if purpose is Purpose.CONFIRM:
            warm, counted = self.searched, self.requests - self.searched
        else:
            warm, counted = self.warm, self.searched - self.warm
        return round(fidelity * warm), math.ceil(fidelity * counted)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A trace as the worker needs it; fields of a CSV count from 1, and 0 means there is none.

    `requests` is how many are used; 0 means all of the file. `generator` is empty for a file that
    somebody else made; else the file is made on first use, from `seed`.
    """

    path: str
    format: str
    requests: int
    generator: str
    seed: int
    object_sizes: bool
    csv_delimiter: str
    csv_header: bool
    csv_numeric: bool
    csv_time_field: int
    csv_object_field: int
    csv_size_field: int


def trace_of(settings: Mapping[str, Value], workdir: Path) -> Trace:
    """The trace that the settings name.

    Raises:
        InvalidSetting: neither a generator nor a file, or a file of unknown format.
    """
    name, requests, seed = (
        str(settings["trace"]),
        int(settings["requests"]),
        int(settings["seed"]),
    )
    generated = name in GENERATORS
    if generated:
        requests = requests or GENERATED_REQUESTS
        file = f"{name}-{requests}-{seed}-r{REVISION}.oracleGeneral"
        path, format_ = workdir / "traces" / file, "oracleGeneral"
    else:
        path = Path(name).expanduser().absolute()
        format_ = _format(path, str(settings["trace_format"]))
    return Trace(
        path=str(path),
        format=format_,
        requests=requests,
        generator=name if generated else "",
        seed=seed,
        object_sizes=bool(settings["object_sizes"]) and not generated,
        csv_delimiter=str(settings["csv_delimiter"]),
        csv_header=bool(settings["csv_header"]),
        csv_numeric=bool(settings["csv_numeric"]),
        csv_time_field=int(settings["csv_time_field"]),
        csv_object_field=int(settings["csv_object_field"]),
        csv_size_field=int(settings["csv_size_field"]),
    )


def _format(path: Path, given: str) -> str:
    """The format of a trace file: as given, or by its name."""
    if not path.is_file():
        raise InvalidSetting(
            f"setting trace={path} is neither a file nor one of the generators: "
            f"{', '.join(GENERATORS)}"
        )
    if path.suffix in (".zst", ".gz", ".xz", ".bz2"):
        # libcachesim 0.3.5 reads .zst, but cannot start in its middle: the unseen part would
        # count no request at all.
        raise InvalidSetting(f"setting trace={path} is compressed: decompress it first")
    if given != "auto":
        return given
    for format_ in FORMATS:
        if f".{format_.lower()}" in (suffix.lower() for suffix in path.suffixes):
            return format_
    raise InvalidSetting(
        f"setting trace={path}: its name does not tell the format; set trace_format to one of "
        f"{', '.join(FORMATS)}"
    )
