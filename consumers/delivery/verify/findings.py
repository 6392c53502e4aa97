"""
What a comparison finds: differences, and what a tracker cannot hold or is not asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Difference(NamedTuple):
    """One thing that a tracker holds differently from PostgreSQL."""

    place: str
    run_id: str
    what: str  # "run", "name", "tag", "experiment", "status", "started", "points", "params", ...: see docs/verify.md
    name: str  # of the series; "" for the whole run
    expected: Any  # in PostgreSQL
    found: Any
    reason: str = ""

    def __str__(self) -> str:
        """Return the difference in words, with place and run."""
        origin = f"{self.place}, run {self.run_id}"
        return f"{origin}, {self.describe()}" if self.name else f"{origin}: {self.describe()}"

    def describe(self) -> str:
        """Return the difference in words, without place and run."""
        series = f"series {self.name}: " if self.name else ""
        text = f"{series}{self.what} {self.found}, and {self.expected} in PostgreSQL"
        return f"{text} ({self.reason})" if self.reason else text

    def to_json(self) -> dict[str, Any]:
        """Return the difference as `--json` prints it."""
        return self._asdict()


class Loss(NamedTuple):
    """Something of a run that a tracker cannot hold by design, or does not return: not a failure of the delivery."""

    place: str
    run_id: str
    what: str  # "points", "params", "tags", "observations", "lines", "status", "series", "run", "shown", ...
    name: str  # of the series, the parameter or the tag; "" for the whole run
    amount: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the loss as `--json` prints it."""
        return self._asdict()


Finding = Difference | Loss


class Subject(NamedTuple):
    """The place and the run that findings are about."""

    place: str
    run_id: str

    def difference(self, what: str, expected: Any, found: Any, reason: str = "", *, name: str = "") -> Difference:
        """Return a difference."""
        return Difference(self.place, self.run_id, what, name, expected, found, reason)

    def loss(self, what: str, amount: int, reason: str, *, name: str = "") -> Loss:
        """Return a loss."""
        return Loss(self.place, self.run_id, what, name, amount, reason)
