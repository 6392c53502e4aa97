"""
Import the run logs of Magnus into the log: read each, compare it with what the log has of its run, send the rest.

Each run log is sent whole or not at all: what cannot be read or would mix with other data is an outcome with an error,
and the others go on. Several are sent together, because opening a connection takes longer than sending one.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic

from gateway.client.errors import ClientError
from gateway.client.query import ask, get, run_path
from gateway.client.run.barrier import BarrierTimeout, wait_until_folded
from gateway.client.shipping.immediate import send_records
from gateway.dialects.magnus.run_log import MAIN_STEP, PRODUCER, ImportedRunLog, import_run_log, producer_of
from gateway.dialects.magnus.run_log_check import ENDS, RunLogError, check_run_log
from gateway.dialects.magnus.run_log_files import read_run_log
from gateway.dialects.magnus.steplog import steps_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import tzinfo
    from pathlib import Path
    from typing import Any

    from gateway.client.address import Address

    Progress = Callable[[str, int, int], None]

TOGETHER = 100  # run logs in one send
TOGETHER_BYTES = 16_000_000  # ... or as many as have this size
API_TIMEOUT_S = 20.0


@dataclass(slots=True)
class Outcome:
    """What became of one file or folder."""

    file: str
    state: str = "failed"  # imported, unchanged, updated, failed; of a dry run: read
    run_id: str = ""
    producer: str = ""
    events: int = 0  # in its records, whether sent now or before
    points: int = 0
    error: str = ""  # what is wrong, and the next step


@dataclass(frozen=True)
class Target:
    """Where an import writes and reads; `api` is None for a dry run, which does neither."""

    address: Address | None = None
    api: str | None = None
    timeout_s: float = 60.0


class Import:
    """One import of many run logs. `zone`: of their times, None for the local one."""

    def __init__(self, target: Target, zone: tzinfo | None, *, ignore_unknown: bool = False) -> None:
        self._target, self._zone, self._ignore_unknown = target, zone, ignore_unknown
        self._waiting: list[tuple[Outcome, ImportedRunLog]] = []
        self._sent: dict[str, dict[str, bool]] = {}  # by run: the producers that this import has sent
        self._ended: dict[str, set[str]] = {}  # by run: the steps that have ended in what it has sent
        self.outcomes: list[Outcome] = []

    def run(self, places: Sequence[Path], progress: Progress) -> list[Outcome]:
        """
        Import each run log and return what became of each, in their order.

        Raises Unsent and InDoubt when the log does not take them, and ApiUnavailable; doing it again is safe.
        """
        for number, place in enumerate(places, 1):
            self._add(place)
            size = sum(len(record) for _, imported in self._waiting for record in imported.records)
            if len(self._waiting) >= TOGETHER or size >= TOGETHER_BYTES or number == len(places):
                self._send(self._waiting)
                self._waiting = []
            progress("run logs", number, len(places))
        return self.outcomes

    def wait(self) -> str:
        """Wait until readers see all that was sent. Returns "", or why this is not known."""
        end = monotonic() + self._target.timeout_s
        done = {(one.run_id, one.producer): one.events for one in self.outcomes if one.state in ("imported", "updated")}
        try:
            for (run_id, producer), events in done.items():
                wait_until_folded(self._target.api or "", run_id, producer, events, end)
        except (BarrierTimeout, ClientError) as error:
            return str(error)
        return ""

    def _add(self, place: Path) -> None:
        outcome = Outcome(str(place))
        self.outcomes.append(outcome)
        try:
            document = read_run_log(place)
            check_run_log(document, ignore_unknown=self._ignore_unknown)
            outcome.run_id = document["run_id"]
            known, ended = self._known(outcome.run_id)
            replaces = replaces_earlier(document, known)
            if replaces and ended - ended_steps(document):
                outcome.state = "unchanged"  # an earlier state than that in the log, which has more
                return
            imported = import_run_log(document, self._zone, replaces=replaces)
        except RunLogError as error:
            outcome.error = str(error)
            return
        outcome.producer, outcome.events, outcome.points = imported.producer, len(imported.records), imported.points
        if self._target.address is None:
            outcome.state = "read"
        elif known.get(imported.producer):
            outcome.state = "unchanged"
        else:
            outcome.state = "updated" if replaces else "imported"
            self._sent.setdefault(outcome.run_id, {})[imported.producer] = True
            self._ended.setdefault(outcome.run_id, set()).update(ended_steps(document))
            self._waiting.append((outcome, imported))

    def _known(self, run_id: str) -> tuple[dict[str, bool], set[str]]:
        """Return the producers of a run, with whether all their records are there, and the steps that have ended."""
        if self._target.api is None:
            return {}, set()
        producers, ended = known_of(self._target.api, run_id)
        return producers | self._sent.get(run_id, {}), ended | self._ended.get(run_id, set())

    def _send(self, several: Sequence[tuple[Outcome, ImportedRunLog]]) -> None:
        """Send run logs together; if one is refused, each alone, so that the others arrive and the error names it."""
        if not several or self._target.address is None:
            return
        records = [record for _, imported in several for record in imported.records]
        try:
            send_records(self._target.address, records, timeout_s=self._target.timeout_s)
        except ClientError as error:
            if len(several) == 1:
                outcome = several[0][0]
                outcome.state, outcome.error = "failed", str(error)
                return
            for one in several:
                self._send([one])


def replaces_earlier(document: Mapping[str, Any], known: Mapping[str, bool]) -> bool:
    """
    Return whether this run log is a later state of one that was imported before. Raises RunLogError. Pure.

    `known`: the producers of its run in the log. A run that others than an import have written is refused, because its
    values would be there twice.
    """
    for replaces in (False, True):
        if producer_of(document, replaces=replaces) in known:
            return replaces
    if known and not any(name.startswith(PRODUCER) for name in known):
        raise RunLogError(
            f"run {document['run_id']} is in the log already, written while it ran: compare with "
            f"`gateway runs show {document['run_id']}`, or change the run_id in a copy of the file"
        )
    return bool(known)


def ended_steps(document: Mapping[str, Any]) -> set[str]:
    """Return the internal names of the steps of a run log that have ended, but for `main`. Pure."""
    return {one["internal_name"] for one in steps_of(document) if one["status"] in ENDS} - {MAIN_STEP}


def known_of(api: str, run_id: str) -> tuple[dict[str, bool], set[str]]:
    """
    Return the producers of a run, with whether all their records are folded, and the steps of it that have ended.

    Raises RunLogError for a run that is deleted, ApiUnavailable and ApiRefused.
    """
    status, progress = ask(api, run_path(run_id, "progress"), API_TIMEOUT_S)
    if status == 404:
        return {}, set()
    if status == 200 and progress.get("is_deleted"):
        raise RunLogError(f"run {run_id} was deleted, and stays deleted: change the run_id in a copy of the file")
    found = get(api, run_path(run_id, "log"), max_points=1)
    return {one["producer"]: one["received"] == one["expected"] for one in found["completeness"]}, ended_steps(found)
