"""
One written name for each series, the same in the run log, in every tracker and in checksums.

`loss`, `loss{rank=3}`, `validate/loss{rank=3,subset=a}`: the named step comes first unless it is "main", then the
name, then its labels sorted by key. Attempts do not show: a restart goes on in the same series.
"""

from __future__ import annotations

from collections.abc import Mapping

from schemas.events import MAIN_STEP


def series_name(name: str, labels: Mapping[str, str] | None = None, step_name: str = MAIN_STEP) -> str:
    """Return the written name of a series."""
    prefix = "" if step_name == MAIN_STEP else f"{step_name}/"
    if not labels:
        return prefix + name
    inside = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return f"{prefix}{name}{{{inside}}}"
