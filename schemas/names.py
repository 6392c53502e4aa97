"""
The written name of a series, the same in the run log, in every tracker and in checksums.

`loss`, `loss{rank=3}`, `validate/loss{rank=3,subset=a}`: first the named step unless it is "main", then the name, then
its labels sorted by key. Attempts are not part of the name: a restart continues the same series.
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
