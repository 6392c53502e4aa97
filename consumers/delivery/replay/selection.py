"""
Choose the runs of a replay: by id, by a filter, by start time, or all runs.
"""

from __future__ import annotations

from typing import NamedTuple

from consumers.store.pool import Database
from consumers.store.read.reader import StoreReader
from consumers.store.search.filter import parse_filter
from consumers.store.search.filter_terms import All, Node
from consumers.store.search.filter_tokens import FilterError
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings


class RunSelection(NamedTuple):
    """The runs to replay, as options of the command; `everything` excludes all other fields."""

    run_ids: tuple[str, ...] = ()
    where: str = ""
    since: str = ""
    until: str = ""
    everything: bool = False

    @property
    def is_narrow(self) -> bool:
        """Whether runs are chosen, and not the log as a whole."""
        return not self.everything

    def check(self) -> Node:
        """Return the filter. Raises BadSettings for fields that contradict each other, or cannot be parsed."""
        has_choice = bool(self.run_ids or self.where or self.since or self.until)
        if has_choice == self.everything:
            raise BadSettings("choose runs with --run, --where, --since and --until, or everything with --all")
        if self.run_ids and (self.where or self.since or self.until):
            raise BadSettings("--run names runs: leave out --where, --since and --until, or --run")
        parts = [_parsed("--where", self.where)] if self.where else []
        for option, sign, time in (("--since", ">=", self.since), ("--until", "<", self.until)):
            if time:
                parts.append(_parsed(option, "created {} '{}'".format(sign, time.replace("'", "''"))))
        return All(tuple(parts))


async def chosen_runs(settings: Settings, database: Database, choice: RunSelection) -> list[str]:
    """Return the ids of the chosen runs. Raises StoreUnavailable, and BadSettings for an id that does not exist."""
    chosen = choice.check()
    reading = StoreReader(database, lost_after_s=settings.lost_after_s)
    if not choice.run_ids:
        async with reading.snapshot() as now:
            return await now.ids_matching(chosen)
    known = {*await reading.run_ids()}
    named = list(dict.fromkeys(choice.run_ids))
    if unknown := [run for run in named if run not in known]:
        raise BadSettings(f"there is no run {unknown[0]!r}: see the ids with `gateway runs list`")
    return named


def _parsed(option: str, text: str) -> Node:
    try:
        return parse_filter(text)
    except FilterError as error:
        raise BadSettings(f"{option} cannot be understood: {error}") from error
