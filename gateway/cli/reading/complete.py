"""
Completion of what a filter, a column or a series is called. It asks the API, and completes nothing when that is away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gateway.cli.runs import api_of

SHOWN = 200


def complete_series(ctx: Any, incomplete: str) -> list[str]:
    """Complete the written name of a series of the first run that the command has."""
    given = ctx.params.get("runs") or ctx.params.get("run") or ()
    run = given if isinstance(given, str) else next(iter(given), "")

    def names() -> Iterable[str]:
        from gateway import read

        return read.index(run, prefix=incomplete, api=api_of(ctx.params.get("home"))).columns["series"]

    return _matching(names, incomplete) if run else []


def complete_column(ctx: Any, incomplete: str) -> list[str]:
    """Complete a column: a fact, or a parameter, metric or tag that runs have."""

    def names() -> Iterable[str]:
        from gateway.read.asking import column_name, question
        from gateway.read.finding import FACTS

        found = question(api_of(ctx.params.get("home")), "/v1/runs/columns", {"limit": 2_000})
        return [*FACTS, *(column_name(one["key"]) for one in found["columns"] if one["key"][0] != "fact")]

    return _matching(names, incomplete)


def _matching(names: Callable[[], Iterable[str]], incomplete: str) -> list[str]:
    from gateway.client.errors import ClientError
    from schemas.errors import TrackingError

    try:
        return [name for name in names() if name.startswith(incomplete)][:SHOWN]
    except (TrackingError, ClientError):
        return []  # completion must not print errors into the command line
