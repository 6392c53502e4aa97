"""
Tokens that are limited to experiments, at the servers that write: which runs they may write about.

The experiment of a run is asked of the query API, as of the end of the log, and remembered for KEPT_S: so a decision
about a run costs one question, and a run that is moved elsewhere is closed to the token that long after. A run that is
not there yet belongs to the experiment that its first event names. While the query API is away nothing can be decided:
the sender tries again, and its events wait where they are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from time import monotonic
from typing import Any
from urllib.parse import quote

from gateway.server.mlflow.reading import NotThere, Reader
from schemas.events import ExperimentCreated, Moved
from schemas.runtime.access.identity import Identity
from schemas.wire import Envelope, RegistryEnvelope

KEPT_S = 60.0
MAX_KEPT = 100_000  # runs


class NotTheirs(Exception):
    """A run or an experiment that a token is not for."""


class ExperimentLimits:
    """Which runs the tokens of a server may write about."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._kept: OrderedDict[tuple[str, str], float] = OrderedDict()  # by token and run: until when it is theirs

    async def require_run(self, who: Identity, run_id: str) -> None:
        """Raise NotTheirs for a run of another experiment, and for one that is unknown. Raises Refused."""
        if who.experiments is None or self._keeps(who, run_id):
            return
        if not _is_theirs(who, await self._experiment_of(run_id)):
            raise _not_theirs(who, run_id)
        self._keep(who, run_id)

    async def require_events(self, who: Identity, envelopes: Iterable[Envelope | RegistryEnvelope]) -> None:
        """Raise NotTheirs if a token may not write one of these events. Raises Refused while the API is away."""
        for one in envelopes:
            if isinstance(one, Envelope):
                await self._require_event(who, one)
            elif isinstance(one.event, ExperimentCreated):
                require_name(who, one.event.name)
            elif who.experiments is not None:
                raise NotTheirs(f"{who.name!r:.100} is limited to experiments, and a {one.event.kind} is about all")

    async def _require_event(self, who: Identity, one: Envelope) -> None:
        target = await self._named_by(one.event)
        if target is not None:
            require_name(who, target)
        if self._keeps(who, one.run_id):
            return
        experiment = await self._experiment_of(one.run_id)
        if not _is_theirs(who, target if experiment is None else experiment):
            raise _not_theirs(who, one.run_id)
        self._keep(who, one.run_id)

    async def _named_by(self, event: Any) -> str | None:
        """Return the name of the experiment into which an event puts its run; None for an event that does not."""
        experiment_id, tag = getattr(event, "experiment_id", ""), getattr(event, "tag", "")
        if experiment_id:
            try:
                found = await self._reader.get(f"/v1/experiments/{quote(experiment_id, safe='')}", min_offsets="end")
            except NotThere:
                return tag if isinstance(tag, str) else ""
            return str(found["name"])
        if tag:
            page = await self._reader.get("/v1/experiments", state="all", name=tag, limit=1, min_offsets="end")
            return str(page["experiments"][0]["name"]) if page["experiments"] else str(tag)
        return "" if isinstance(event, Moved) else None

    async def _experiment_of(self, run_id: str) -> str | None:
        asked = {"run_ids": [run_id], "min_offsets": "end"}
        found = (await self._reader.post("/v1/runs/documents", asked))["runs"]
        return str(found[0]["experiment"]) if found else None

    def _keeps(self, who: Identity, run_id: str) -> bool:
        return self._kept.get((who.token_id, run_id), 0.0) > monotonic()

    def _keep(self, who: Identity, run_id: str) -> None:
        self._kept[who.token_id, run_id] = monotonic() + KEPT_S
        self._kept.move_to_end((who.token_id, run_id))
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)


def require_name(who: Identity, experiment: str) -> None:
    """Raise NotTheirs for the name of another experiment than those of a token. It does not say that name."""
    if not _is_theirs(who, experiment):
        raise NotTheirs(f"{who.name!r:.100} may write about runs of {_names(who)} only")


def _is_theirs(who: Identity, experiment: str | None) -> bool:
    return who.experiments is None or experiment in who.experiments


def _not_theirs(who: Identity, run_id: str) -> NotTheirs:
    """Return the same words for a run of another experiment and for one that is not known."""
    what = "or it is not known and its first event names no experiment"
    return NotTheirs(f"{who.name!r:.100} may write about runs of {_names(who)} only: {run_id!r:.100} is none, {what}")


def _names(who: Identity) -> str:
    return ", ".join(map(repr, sorted(who.experiments or ())))[:200]
