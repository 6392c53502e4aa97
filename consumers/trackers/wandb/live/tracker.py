"""
The tracker `wandb-live`: runs at a W&B server, row by row while they train.

Exactly once: row n of a run is line n of its history, and the same envelopes always give the same rows. Before anything
is sent the server says how many lines it has (the SDK resumes there), only what is missing is sent, and `deliver`
returns once the server has counted it all. What a dead process may still have on its way takes the place of the very
same rows.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from consumers.trackers.edits import find_run_deletion
from consumers.trackers.files.append import AGAIN
from consumers.trackers.protocol import Capabilities, ReadBack, State, Tracker
from consumers.trackers.wandb.live import translate as terms
from consumers.trackers.wandb.live.backend import Held, WandbGraphql, Where
from consumers.trackers.wandb.live.sdk import Account, Refusal, Session, Shown, WandbSdk
from consumers.trackers.wandb.tracker import WandbTracker
from consumers.trackers.wandb.translate import Head
from schemas.errors import BadSettings, TrackerRefused, TrackerUnavailable
from schemas.facts import Point
from schemas.mapping.names import wandb_name
from schemas.runtime.settings import Settings
from schemas.statuses import ENDED
from schemas.wire import Envelope

CONFIRM_S = 5.0  # a server may count a moment later
FIRST_LOOK_S, LAST_LOOK_S = 0.05, 1.0
BEAT_S = 60.0  # W&B shows a run as crashed when nothing was heard of it for 5 minutes
MODES = ("online", "offline")
_ROW_FACTS = frozenset({"_step", "_timestamp", "_runtime", "_wandb", terms.STEP})
_NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_GONE = re.compile(r"(?<![:\d])409\b|previously created and deleted")  # 409 of a port is not meant


def is_gone(text: str) -> bool:
    """Tell whether W&B refuses the id of a run because a run of that id was deleted."""
    return _GONE.search(text) is not None


def wandb_live(
    *, mode: str = "online", url: str = "", entity: str = "", project: str = "", api_key: str = "", folder: str = ""
) -> Tracker:
    """
    Return the tracker of a mode: `online`, or `offline` for run files that `wandb sync` uploads.

    Offline is the file writer of the type `wandb`: the SDK flushes its own file every 15 s, and a SIGKILL loses those.
    """
    if mode not in MODES:
        raise BadSettings(f"tracker wandb-live: its mode is {mode!r}: choose one of {', '.join(MODES)}")
    if mode == "offline":
        made = WandbTracker(folder=folder, project=project)
        made.name = "wandb-live"
        return made
    return WandbLiveTracker(url=url, entity=entity, project=project, api_key=api_key)


class Gone(TrackerRefused):
    """The run was deleted at the server."""


class WandbLiveTracker:
    """Runs at a W&B server, by the ids that the file writer gives them."""

    name = "wandb-live"
    cannot_hold: Sequence[str] = (
        "console lines: W&B stamps them with the time of the upload",
        "start and end of named steps",
        "observations that are not numbers keep their value, but not their type",
        "the runtime of rows: W&B's SDK counts it from the upload",
        "deletes and renames of series, parameters and tags",
    )
    capabilities = Capabilities(keeps_artifacts=True, can_delete=True)
    call_bytes = 1024 * 1024  # 25,000 points or more: 6 s at 4,000 rows/s, half a minute where cores are shared

    def __init__(self, *, url: str = "", entity: str = "", project: str = "", api_key: str = "") -> None:
        self._url, self._entity, self._project, self._api_key = url, entity, project, api_key
        self._graphql = WandbGraphql("", "")
        self._sdk = WandbSdk(Account("", ""))
        self._heard: dict[str, float] = {}  # when a run was last opened, by run id
        self._is_doubted = True  # ask first: one plain question tells sooner than the SDK that the server is away

    def open(self, settings: Settings) -> None:
        """Take address and key, from the settings unless they were given. Raises BadSettings."""
        self._url = (self._url or settings.wandb_url).rstrip("/")
        if not self._url.startswith(("http://", "https://")) or "@" in self._url:
            raise BadSettings("the address of W&B must be http(s)://host[:port], without a key: set GATEWAY_WANDB_URL")
        key = self._api_key or settings.need("wandb_api_key")
        self._entity = self._entity or settings.wandb_entity
        self._project = self._project or settings.wandb_project
        self._graphql = WandbGraphql(self._url, key)
        self._sdk = WandbSdk(Account(self._url, key))

    def close(self) -> None:
        """Nothing is open between deliveries but W&B's own process, which ends with this one."""
        self._sdk.close()

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State, in_doubt: int = 0) -> State:
        """Bring envelopes of a run to the server. Raises TrackerUnavailable, TrackerRefused."""
        if state.get("deleted"):
            return state  # what a producer still sends of it is gone with it
        if find_run_deletion(envelopes) is not None:
            return self._delete(run_id, envelopes, state)
        wanted = terms.upload(run_id, envelopes, state, self._project)
        if wanted.is_nothing(state) and time.monotonic() - self._heard.get(run_id, float("-inf")) < BEAT_S:
            return state
        where = self._where(wanted.state)
        try:
            if self._is_doubted:
                self._graphql.run(where)
            self._bring(where, wanted, run_id)
            held = self._confirmed(where, wanted)
        except TrackerUnavailable:
            self._is_doubted = True
            raise
        except Gone:
            if in_doubt < len(envelopes):
                raise
            return {**state, "gone": True}  # a call that never ended may have deleted it: then the delete is to come
        self._is_doubted = False
        self._heard[run_id] = time.monotonic()
        if wanted.exit_code is not None:
            self._heard.pop(run_id, None)
        return wanted.state | {"entity": held.entity}

    def start_over(self, run_id: str, state: State) -> State:
        """Delete the run there; its id cannot be used again, so it gets another one. Raises TrackerUnavailable."""
        if "id" not in state:
            return state
        if (held := self._graphql.run(self._where(state))) is not None:
            self._graphql.delete(held)
        return {"again": state["again"] + 1}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read a run from the server. Raises TrackerUnavailable, TrackerRefused."""
        if state.get("deleted"):
            raise TrackerRefused("the run was deleted")
        if "id" not in state:
            raise TrackerRefused("nothing of it was delivered yet")
        where = self._where(state)
        held = self._graphql.run(where)
        if held is None:
            raise TrackerRefused(self._missing(where))
        ours = {key: value for key, value in held.config.items() if key.startswith("gw.")}
        params = {
            wandb_name(key): json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            for key, value in held.config.items()
            if key not in ours and key != "_wandb"
        }
        tags = {key.removeprefix("gw.tag."): str(value) for key, value in ours.items() if key.startswith("gw.tag.")}
        status = ours.get("gw.status", "running") if held.state in ENDED else "running"
        started, ended = (terms.microseconds(ours.get(f"gw.{name}_at")) for name in ("started", "ended"))
        return ReadBack(self._points(where, held), params, status, started, ended, tags)

    def _where(self, state: Mapping[str, Any]) -> Where:
        return Where(state["entity"] or self._entity, state["project"], state["id"])

    def _bring(self, where: Where, wanted: terms.Upload, run_id: str) -> None:
        head = Head(**wanted.state["head"])
        shown = Shown(head.name or run_id, head.group[: terms.MAX_GROUP], head.notes, head.shown_tags())
        try:
            with self._sdk.session(where, shown, wanted.config, wanted.exit_code) as session:
                self._refuse_other_lines(where, wanted, session)
                for number, row in enumerate(wanted.rows, wanted.first_row):
                    if number >= session.next_row:
                        session.log(number, terms.logged(row))
                session.summarise(wanted.summary)
        except Refusal as error:
            self._graphql.run(where)  # a server that is away, or asks for patience, says so itself
            if is_gone(str(error)):
                text = f"W&B refuses the id {where.name!r} of a run that was deleted there: it cannot be used again"
                raise Gone(f"{text} ({error})") from error
            raise TrackerUnavailable(f"W&B at {self._url} does not open run {where.name!r} ({error})") from error

    def _refuse_other_lines(self, where: Where, wanted: terms.Upload, session: Session) -> None:
        """Look again once the SDK has: rows that arrived in between would move ours to other lines."""
        held = self._graphql.run(where)
        lines = held.lines if held else 0
        if lines != session.next_row:
            text = f"run {where.name!r} has {lines} rows at W&B, and the last one says {session.next_row}"
            raise TrackerUnavailable(f"{text}: rows are still on their way, or somebody else writes to it")
        if lines < wanted.first_row:
            text = f"run {where.name!r} has {lines} rows at W&B, which had confirmed {wanted.first_row}"
            raise TrackerRefused(f"{text}: it was changed or deleted there; {AGAIN}")

    def _confirmed(self, where: Where, wanted: terms.Upload) -> Held:
        """Return what the server holds once that is everything. Raises TrackerUnavailable."""
        deadline, pause = time.monotonic() + CONFIRM_S, FIRST_LOOK_S
        while True:
            held = self._graphql.run(where)
            if held is not None and held.lines >= wanted.last_row and wanted.config.keys() <= held.config.keys():
                return held
            if time.monotonic() >= deadline:
                lines = held.lines if held else 0
                raise TrackerUnavailable(
                    f"W&B at {self._url} has {lines} of {wanted.last_row} rows of run {where.name!r}: they come again"
                )
            time.sleep(pause)
            pause = min(2 * pause, LAST_LOOK_S)

    def _delete(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        kept = state if "id" in state else terms.upload(run_id, envelopes[:1], state, self._project).state
        held = self._graphql.run(self._where(kept))
        if held is not None:
            self._graphql.delete(held)
        self._heard.pop(run_id, None)
        return {"deleted": True}

    def _points(self, where: Where, held: Held) -> Iterator[Point]:
        for row in self._graphql.history(where._replace(entity=held.entity), held.lines):
            step, instant = int(row[terms.STEP]), round(row["_timestamp"] * 1_000_000)
            for key, cell in row.items():
                if key not in _ROW_FACTS and (value := _number(cell)) is not None:
                    yield Point(wandb_name(key), step, instant // 1_000, value)

    def _missing(self, where: Where) -> str:
        return f"W&B at {self._url} has no run {where.name!r} in project {where.project!r}: deliver it again"


def _number(cell: Any) -> float | None:
    if isinstance(cell, str):
        return _NON_FINITE.get(cell)
    return float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else None
