"""
The history of the benchmarks: a file with one JSON object a line, one for each run that was kept.

It names the commit and the kind of machine, but no host and no path: the file is public.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.history.figure import Figure, check

HISTORY = Path(__file__).parents[1] / "history.jsonl"
KINDS: dict[str, type] = {
    "time": str, "commit": str, "dirty": bool, "machine": dict, "command": str, "versions": list, "load": list,
    "figures": list,
}  # fmt: skip
MACHINE = ("cpu", "cores", "memory_gib", "system", "python")


class BadHistory(Exception):
    """The history cannot be read, or does not have what was asked for; the message says where, or what it has."""


class Entry(NamedTuple):
    """One run of one benchmark."""

    time: str  # of its end, ISO 8601, UTC
    commit: str  # 40 hexadecimal digits, or "unknown"
    dirty: bool  # the tree had changes that are not in the commit
    machine: Mapping[str, Any]  # the keys of MACHINE
    command: str  # that repeats the measurement, without options that say where results go
    versions: Sequence[str]  # of the other tools
    load: Sequence[float]  # average over one minute, before and after
    figures: Sequence[Figure]

    @property
    def label(self) -> str:
        """Return the short commit, with a + for changes that are not in it."""
        return self.commit[:8] + ("+" if self.dirty else "")


def read_history(path: Path) -> list[Entry]:
    """Return the entries in the order of their time; none if there is no file. Raises BadHistory."""
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                found.append(parse(line))
            except ValueError as error:
                raise BadHistory(f"{path.name}, line {number}: {error}: correct or remove the line") from error
    return sorted(found, key=lambda entry: entry.time)  # branches that were merged leave them in another order


def parse(line: str) -> Entry:
    """Return the entry of a line. Raises ValueError, which says what is wrong."""
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from None
    if not isinstance(found, dict):
        raise ValueError("not an object")
    _has(found, Entry._fields, "the entry")
    for name, kind in KINDS.items():
        if not isinstance(found[name], kind):
            raise ValueError(f"{name} is {found[name]!r}, not a {kind.__name__}")
    _has(found["machine"], MACHINE, "machine")
    if len(found["load"]) != 2 or not all(type(one) in (int, float) for one in found["load"]):
        raise ValueError(f"load is {found['load']!r}, not two numbers")
    return Entry(**{**found, "figures": [_figure(one) for one in found["figures"]]})


def _figure(found: Any) -> Figure:
    if not isinstance(found, dict):
        raise ValueError(f"the figure {found!r} is not an object")
    _has(found, Figure._fields, f"the figure {found.get('name', '')!r}")
    if not isinstance(found["ratios"], dict):
        raise ValueError(f"{found['name']}: ratios must be an object")
    figure = Figure(**found)
    check(figure)
    return figure


def _has(found: Mapping[str, Any], wanted: Sequence[str], what: str) -> None:
    if missing := [name for name in wanted if name not in found]:
        raise ValueError(f"{what} lacks {', '.join(missing)}")
    if unknown := sorted(set(found) - set(wanted)):
        raise ValueError(f"{what} has {', '.join(unknown)}, which this release does not know")


def line_of(entry: Entry) -> str:
    """Return an entry as a line. Raises ValueError for figures that cannot be kept."""
    for figure in entry.figures:
        check(figure)
    names = [figure.name for figure in entry.figures]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"more than one figure has the name {', '.join(twice)}")
    found = {**entry._asdict(), "figures": [_rounded(figure) for figure in entry.figures]}
    return json.dumps(found, ensure_ascii=False, allow_nan=False) + "\n"


def _rounded(figure: Figure) -> dict[str, Any]:
    """Return a figure with five digits: more would be noise."""
    ratios = {whom: float(f"{ratio:.5g}") for whom, ratio in figure.ratios.items()}
    return {**figure._asdict(), "value": float(f"{figure.value:.5g}"), "ratios": ratios}
