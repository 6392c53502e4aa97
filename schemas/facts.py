"""
What a place holds, in numbers that can be compared: runs, points, parameters and one checksum.

The checksum is the sum modulo 2**128 of BLAKE2b-128 over each point (run, series, step, time in ms, value). A sum does
not depend on order and needs no memory, and unlike XOR it sees a point that is there twice. Time counts in
milliseconds because that is what MLflow keeps. Floats enter by their 64 bits, but every NaN is one NaN and both zeros
are one zero: SQLite, which many MLflow servers keep their rows in, has no negative zero.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

_PACK = struct.Struct("<qqd")
_MODULUS = 1 << 128
NAN = struct.unpack("<d", b"\x00\x00\x00\x00\x00\x00\xf8\x7f")[0]


class Point(NamedTuple):
    """One metric point, as every place can hold it."""

    series: str  # written name, see schemas/names.py
    step: int
    time_ms: int  # since 1970-01-01 UTC
    value: float


@dataclass
class Facts:
    """Running totals of one place. Add runs, compare with `==`."""

    runs: int = 0
    points: int = 0
    params: int = 0
    _sum: int = field(default=0, repr=False)

    @property
    def checksum(self) -> str:
        """32 hex digits over every point added."""
        return f"{self._sum:032x}"

    def add_run(self, run_id: str, points: Iterable[Point], params: int) -> None:
        """Count one run with its points and its number of parameters."""
        self.runs += 1
        self.params += params
        for point in points:
            self.add_point(run_id, point)

    def add_point(self, run_id: str, point: Point) -> None:
        """Count one point of a run that is counted already."""
        self.points += 1
        value = NAN if math.isnan(point.value) else point.value + 0.0  # -0.0 + 0.0 is 0.0
        digest = blake2b(_PACK.pack(point.step, point.time_ms, value), digest_size=16)
        digest.update(f"{len(run_id)}:{run_id}{point.series}".encode())
        self._sum = (self._sum + int.from_bytes(digest.digest(), "little")) % _MODULUS

    def add(self, other: Facts) -> None:
        """Count what another place, or another process, counted."""
        self.runs += other.runs
        self.points += other.points
        self.params += other.params
        self._sum = (self._sum + other._sum) % _MODULUS

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Facts:
        """Return the facts that `to_json` wrote."""
        return cls(facts["runs"], facts["points"], facts["params"], int(facts["checksum"], 16))

    def to_json(self) -> dict[str, int | str]:
        """Return the facts as `--json` prints them."""
        return {"runs": self.runs, "points": self.points, "params": self.params, "checksum": self.checksum}
