"""
The tracker `wandb-live`: runs at a W&B server, row by row while they train.

Each row arrives exactly once: row n of a run is line n of its history, and the same events always give the same rows.
The tracker first asks the server how many lines it has (the SDK resumes there) and sends only those that are missing;
`deliver` returns once the server has counted them all. A request that a dead process left on its way writes the very
same rows to the very same lines.
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
from consumers.trackers.wandb.live.backend import RunPath, ServerRun, WandbServer
from consumers.trackers.wandb.live.sdk import Account, DisplayFields, Session, SessionRefused, WandbSdk
from consumers.trackers.wandb.live.translate import MAX_GROUP, Upload, sdk_row, translate
from consumers.trackers.wandb.tracker import WandbTracker
from consumers.trackers.wandb.translate import STEP_KEY, RunHeader, from_instant
from schemas.errors import BadSettings, TrackerRefused, TrackerUnavailable
from schemas.facts import Point
from schemas.mapping.names import wandb_name
from schemas.runtime.settings import Settings
from schemas.statuses import ENDED
from schemas.wire import Envelope

CONFIRM_S = 5.0  # the server may count rows a moment later
FIRST_LOOK_S, LAST_LOOK_S = 0.05, 1.0
BEAT_S = 60.0  # W&B shows a run as crashed if it heard nothing of it for 5 minutes
MODES = ("online", "offline")
_ROW_KEYS = frozenset({"_step", "_timestamp", "_runtime", "_wandb", STEP_KEY})
_NON_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_DELETED = re.compile(r"(?<![:\d])409\b|previously created and deleted")  # not the 409 of a port


def is_deleted_id(text: str) -> bool:
    """Return True if W&B refuses the id of a run because a run with that id was deleted."""
    return _DELETED.search(text) is not None


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
        offline = WandbTracker(folder=folder, project=project)
        offline.name = "wandb-live"
        return offline
    return WandbLiveTracker(url=url, entity=entity, project=project, api_key=api_key)


class RunIdDeleted(TrackerRefused):
    """The run was deleted at the server."""


class WandbLiveTracker:
    """Runs at a W&B server, under the same ids that the file writer gives them."""

    name = "wandb-live"
    cannot_hold: Sequence[str] = (
        "console lines: W&B stamps them with the time of the upload",
        "start and end of named steps",
        "observations that are not numbers keep their value, but not their type",
        "the runtime of rows: W&B's SDK counts it from the upload",
        "deletes and renames of series, parameters and tags",
        "the trash: a run that can be restored stays",
        "units, charts and alarms of metrics, and definitions by patterns with * before their end",
        "the project of a run that moves to another experiment: its config has the new one",
    )
    capabilities = Capabilities(keeps_artifacts=True, can_delete=True)
    call_bytes = 1024 * 1024  # 25,000 points or more: 6 s at 4,000 rows/s, half a minute if cores are shared

    def __init__(self, *, url: str = "", entity: str = "", project: str = "", api_key: str = "") -> None:
        self._url, self._entity, self._project, self._api_key = url, entity, project, api_key
        self._server = WandbServer("", "")
        self._sdk = WandbSdk(Account("", ""))
        self._last_opened: dict[str, float] = {}  # by run id: when a session of it was last opened
        self._is_suspect = True  # query first: one plain query reports an outage sooner than the SDK

    def open(self, settings: Settings) -> None:
        """Take address and key, from the settings unless they were configured. Raises BadSettings."""
        self._url = (self._url or settings.wandb_url).rstrip("/")
        if not self._url.startswith(("http://", "https://")) or "@" in self._url:
            raise BadSettings("the address of W&B must be http(s)://host[:port], without a key: set GATEWAY_WANDB_URL")
        key = self._api_key or settings.need("wandb_api_key")
        self._entity = self._entity or settings.wandb_entity
        self._project = self._project or settings.wandb_project
        self._server = WandbServer(self._url, key)
        self._sdk = WandbSdk(Account(self._url, key))

    def close(self) -> None:
        """Remove the SDK's files; only W&B's own process is open between deliveries, and it ends with this one."""
        self._sdk.close()

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State, in_doubt: int = 0) -> State:
        """Write events of a run to the server. Raises TrackerUnavailable, TrackerRefused."""
        if state.get("deleted"):
            return state  # events of a deleted run that producers still send are dropped
        if find_run_deletion(envelopes) is not None:
            return self._delete(run_id, envelopes, state)
        upload = translate(run_id, envelopes, state, self._project)
        if upload.is_empty(state) and time.monotonic() - self._last_opened.get(run_id, float("-inf")) < BEAT_S:
            return state
        path = self._path(upload.state)
        try:
            if self._is_suspect:
                self._server.get_run(path)
            self._send(path, upload, run_id)
            run = self._confirmed(path, upload)
        except TrackerUnavailable:
            self._is_suspect = True
            raise
        except RunIdDeleted:
            if in_doubt < len(envelopes):
                raise
            return {**state, "gone": True}  # an unfinished call may have deleted it: then the delete is still to come
        self._is_suspect = False
        self._last_opened[run_id] = time.monotonic()
        if upload.exit_code is not None:
            self._last_opened.pop(run_id, None)
        return upload.state | {"entity": run.entity}

    def start_over(self, run_id: str, state: State) -> State:
        """Delete the run there; its id cannot be used again, so it gets another one. Raises TrackerUnavailable."""
        if "id" not in state:
            return state
        if (run := self._server.get_run(self._path(state))) is not None:
            self._server.delete_run(run)
        return {"again": state["again"] + 1}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read a run from the server. Raises TrackerUnavailable, TrackerRefused."""
        if state.get("deleted"):
            raise TrackerRefused("the run was deleted")
        if "id" not in state:
            raise TrackerRefused("nothing of it was delivered yet")
        path = self._path(state)
        run = self._server.get_run(path)
        if run is None:
            raise TrackerRefused(
                f"W&B at {self._url} has no run {path.name!r} in project {path.project!r}: deliver it again"
            )
        ours = {key: value for key, value in run.config.items() if key.startswith("gw.")}
        params = {
            wandb_name(key): json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            for key, value in run.config.items()
            if key not in ours and key != "_wandb"
        }
        tags = {key.removeprefix("gw.tag."): str(value) for key, value in ours.items() if key.startswith("gw.tag.")}
        status = ours.get("gw.status", "running") if run.state in ENDED else "running"
        started, ended = (from_instant(ours.get(f"gw.{name}_at")) for name in ("started", "ended"))
        return ReadBack(self._points(path, run), params, status, started, ended, tags)

    def _path(self, state: Mapping[str, Any]) -> RunPath:
        return RunPath(state["entity"] or self._entity, state["project"], state["id"])

    def _send(self, path: RunPath, upload: Upload, run_id: str) -> None:
        header = RunHeader(**upload.state["head"])
        display = DisplayFields(header.name or run_id, header.group[:MAX_GROUP], header.notes, header.shown_tags())
        try:
            with self._sdk.session(path, display, upload.config, upload.exit_code, upload.definitions) as session:
                self._check_lines(path, upload, session)
                for number, row in enumerate(upload.rows, upload.first_row):
                    if number >= session.next_row:
                        session.log(number, sdk_row(row))
                session.update_summary(upload.summary)
        except SessionRefused as error:
            self._server.get_run(path)  # raises if the server is unreachable or sends Retry-After
            if is_deleted_id(str(error)):
                text = f"W&B refuses the id {path.name!r} of a run that was deleted there: it cannot be used again"
                raise RunIdDeleted(f"{text} ({error})") from error
            raise TrackerUnavailable(f"W&B at {self._url} does not open run {path.name!r} ({error})") from error

    def _check_lines(self, path: RunPath, upload: Upload, session: Session) -> None:
        """
        Compare the server's number of lines with what the session and the stored state expect.

        The query follows the SDK's own: rows that arrived in between would move ours to other lines.
        """
        run = self._server.get_run(path)
        lines = run.lines if run else 0
        if lines != session.next_row:
            text = f"run {path.name!r} has {lines} rows at W&B, and the SDK would continue with row {session.next_row}"
            raise TrackerUnavailable(f"{text}: rows are still on their way, or another writer adds rows")
        if lines < upload.first_row:
            text = f"run {path.name!r} has {lines} rows at W&B, which had confirmed {upload.first_row}"
            raise TrackerRefused(f"{text}: it was changed or deleted there; {AGAIN}")

    def _confirmed(self, path: RunPath, upload: Upload) -> ServerRun:
        """Return the run once the server shows all of the upload. Raises TrackerUnavailable."""
        deadline, pause = time.monotonic() + CONFIRM_S, FIRST_LOOK_S
        while True:
            run = self._server.get_run(path)
            if run is not None and run.lines >= upload.row_count and upload.config.keys() <= run.config.keys():
                return run
            if time.monotonic() >= deadline:
                lines = run.lines if run else 0
                text = f"W&B at {self._url} has {lines} of {upload.row_count} rows of run {path.name!r}"
                raise TrackerUnavailable(f"{text}: the rows are sent again")
            time.sleep(pause)
            pause = min(2 * pause, LAST_LOOK_S)

    def _delete(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        kept = state if "id" in state else translate(run_id, envelopes[:1], state, self._project).state
        run = self._server.get_run(self._path(kept))
        if run is not None:
            self._server.delete_run(run)
        self._last_opened.pop(run_id, None)
        return {"deleted": True}

    def _points(self, path: RunPath, run: ServerRun) -> Iterator[Point]:
        for row in self._server.history(path._replace(entity=run.entity), run.lines):
            step, instant = int(row[STEP_KEY]), round(row["_timestamp"] * 1_000_000)
            for key, cell in row.items():
                if key not in _ROW_KEYS and (value := _number(cell)) is not None:
                    yield Point(wandb_name(key), step, instant // 1_000, value)


def _number(cell: Any) -> float | None:
    if isinstance(cell, str):
        return _NON_FINITE.get(cell)
    return float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else None
