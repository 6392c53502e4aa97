"""
The tracker `trackio`: one project for each tag, in trackio's own SQLite files, with original times, steps and ids.

Set `TRACKIO_DIR` to the folder to look at it with `trackio show`, `trackio.Api` and its other commands. Each call is
one transaction. The id of a row of points names the event that it came from, so a repeated event changes nothing; of
other events, such as parameters and deletes, the project records which were applied. A run that is delivered from its
start is written again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from consumers.trackers.edits import find_run_deletion
from consumers.trackers.files.append import AGAIN
from consumers.trackers.protocol import Capabilities, Contents, Observed, ReadBack, State
from consumers.trackers.trackio import backend, ids
from consumers.trackers.trackio import config as configs
from consumers.trackers.trackio.backend import Projects
from consumers.trackers.trackio.edits import delete_series, rename_series
from consumers.trackers.trackio.translate import Change, SqlRows, dump, read_columns, read_observations, translate
from schemas import events as ev
from schemas.errors import TrackerRefused
from schemas.facts import Point, SeriesColumns
from schemas.mapping.names import trackio_project
from schemas.runtime.settings import Settings
from schemas.statuses import ENDED
from schemas.wire import Envelope


class TrackioTracker:
    """Projects `<folder>/<project>.db`, with a run in trackio for each run."""

    name = "trackio"
    cannot_hold: Sequence[str] = (
        "console lines, and start and end of named steps",
        "the trash: a run that can be restored stays",
        "what code says of metrics: goal, unit, x axis, alarm",
        "a parameter's values in earlier attempts: the config has the last one",
        "the type of observations that are neither numbers, booleans nor histograms: text",
        "steps of system metrics in the dashboard: it draws them by time; the ids of the rows hold them",
        "NaN and infinities in charts: trackio draws finite values; the rows hold them",
    )
    capabilities = Capabilities(
        keeps_artifacts=True, can_delete=True, can_edit_series=True, can_edit_params=True, can_edit_tags=True
    )

    def __init__(self, *, folder: str = "", project: str = "") -> None:
        self._configured = folder
        self._project = project
        self._projects = Projects(Path())

    def open(self, settings: Settings) -> None:
        """Take the folder, from the settings unless it was configured. Raises BadSettings if there is none."""
        self._projects = Projects(Path(self._configured or settings.need("trackio_dir")).absolute())
        self._project = self._project or settings.trackio_project

    def close(self) -> None:
        """Close the projects."""
        self._projects.close()

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        """Write events in one transaction. Raises TrackerUnavailable (disk, lock), TrackerRefused (file)."""
        if state.get("deleted"):
            return state  # events of a deleted run that producers still send are dropped
        events = [envelope.event for envelope in envelopes]
        before = configs.RunHead(**state) if state else None
        head = configs.fold_head(before, events, self._project, run_id)
        parts = list(translate(envelopes))  # before the project is locked, because other runs wait for the lock
        try:
            return self._write(run_id, envelopes, parts, before, head)
        except _RunGone:
            if before is None or not self._bring_back(run_id, trackio_project(before.project)):
                raise
        return self._write(run_id, envelopes, parts, before, head)

    def _write(
        self,
        run_id: str,
        envelopes: Sequence[Envelope],
        parts: Sequence[SqlRows | Change],
        before: configs.RunHead | None,
        head: configs.RunHead,
    ) -> State:
        with self._projects.transaction(trackio_project(head.project), create=before is None) as connection:
            if find_run_deletion(envelopes) is not None:
                backend.delete_run(connection, run_id, ids.start_id(run_id))
                return {"deleted": True}
            if before is not None and backend.is_deleted(connection, ids.start_id(run_id)):
                return {"deleted": True}  # by a call whose checkpoint was lost
            writer = _Writer(connection, run_id, head)
            writer.begin(before)
            for part in parts:
                writer.write(part)
            writer.end()
        if head.tag and head.tag != head.project:
            self._move(run_id, trackio_project(head.project), trackio_project(head.tag))
            head = head._replace(project=head.tag)
        return head._asdict()

    def _move(self, run_id: str, old: str, new: str) -> None:
        """Move a run to another project; a call that is repeated after a crash finds it in one of them, or in both."""
        if old != new:
            with self._projects.reader(old) as source, self._projects.transaction(new, create=True) as connection:
                backend.copy_run(source, connection, run_id)
            with self._projects.transaction(old, create=False) as connection:
                backend.remove_run(connection, run_id)
                backend.mark_moved(connection, ids.start_id(run_id), run_id, new)

    def _bring_back(self, run_id: str, project: str) -> bool:
        """
        Move a run back that a call whose checkpoint was lost has moved; return False if none has.

        Its repetition may have fewer events, not those that say where the run belongs.
        """
        with self._projects.reader(project) as connection:
            new = backend.moved_to(connection, ids.start_id(run_id))
        if not new or not self._projects.has(new):
            return False
        with self._projects.reader(new) as connection:
            _check_run(connection, run_id, new)
        self._move(run_id, new, project)
        return True

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read the run's rows and its config. Raises TrackerRefused if the project or the run is gone."""
        if state.get("deleted"):
            return self._deleted(run_id)
        project = trackio_project(state["project"])
        with self._projects.reader(project) as connection:
            _check_run(connection, run_id, state["project"])
            config = _config(connection, run_id)
            name = connection.execute("SELECT run_name FROM configs WHERE run_id = ?", (run_id,)).fetchone()
        status = config.get("gw.status", "running")
        started, ended = (
            ids.from_instant(config[key]) if key in config else None for key in ("gw.started_at", "gw.ended_at")
        )
        points = (
            Point(one.series, *point)
            for one in self._columns(project, run_id)
            for point in zip(one.steps, one.times_ms, one.values, strict=True)
        )
        ended = ended if status in ENDED else None
        params, tags = configs.params_of(config), configs.tags_of(config)
        contents = configs.contents_of(config, name and name[0], state["project"], self._project)._replace(
            where=f"project {project}", observations=self._observations(project, run_id)
        )
        columns = self._columns(project, run_id)
        return ReadBack(points, params, status, started, ended, tags, columns, contents=contents)

    def _deleted(self, run_id: str) -> ReadBack:
        """Look for a deleted run: a backup of a project may have brought it back. Raises TrackerRefused."""
        for project in self._projects.names():
            with self._projects.reader(project) as connection:
                query = "SELECT 1 FROM metrics WHERE run_id = ? AND log_id GLOB 'gw-*' LIMIT 1"
                if connection.execute(query, (run_id,)).fetchone() is not None:
                    contents = Contents(where=f"project {project}")
                    return ReadBack(iter(()), {}, "running", None, None, contents=contents)
        raise TrackerRefused("the run was deleted")

    def _observations(self, project: str, run_id: str) -> Iterator[Observed]:
        query = "SELECT timestamp, step, metrics, log_id FROM metrics WHERE run_id = ?"
        with self._projects.reader(project) as connection:
            yield from read_observations(connection.execute(query, (run_id,)))

    def start_over(self, run_id: str, state: State) -> State:
        """Remove the delivered rows of a run, if there are any. Raises TrackerUnavailable, TrackerRefused."""
        project = trackio_project(state["project"]) if "project" in state else ""
        if project and self._projects.has(project):
            with self._projects.transaction(project, create=False) as connection:
                backend.remove_run(connection, run_id)
        return {}

    def _columns(self, project: str, run_id: str) -> Iterator[SeriesColumns]:
        tables = "timestamp, step, metrics, log_id FROM metrics", "timestamp, 0, metrics, log_id FROM system_metrics"
        with self._projects.reader(project) as connection:
            for table in tables:
                yield from read_columns(connection.execute(f"SELECT {table} WHERE run_id = ?", (run_id,)))


class _RunGone(TrackerRefused):
    """A project does not have a run that was delivered to it."""


class _Writer:
    """One delivery of a run, inside its transaction."""

    def __init__(self, connection: sqlite3.Connection, run_id: str, head: configs.RunHead) -> None:
        self._connection, self._run_id, self._head = connection, run_id, head
        self._config: dict[str, Any] | None = None  # read if an event changes it

    def begin(self, before: configs.RunHead | None) -> None:
        """Create the run, or update its name and start. Raises TrackerRefused if it is gone."""
        head, start = self._head, ids.start_id(self._run_id)
        if before is None:
            backend.remove_run(self._connection, self._run_id)
            self._insert("metrics", (ids.to_instant(head.started), 0, "{}", start))
        else:
            _check_run(self._connection, self._run_id, head.project)
        if before is not None and head.name != before.name:
            backend.rename_run(self._connection, self._run_id, head.name)
        if before is not None and head.started != before.started:
            update = "UPDATE metrics SET timestamp = ? WHERE log_id = ?"
            self._connection.execute(update, (ids.to_instant(head.started), start))
        if before is None or head.started != before.started or head.name != before.name:
            self._config = _config(self._connection, self._run_id)

    def write(self, part: SqlRows | Change) -> None:
        """Write rows, or apply a change that has not been applied yet."""
        if isinstance(part, SqlRows):
            self._insert("metrics", part.metrics)
            self._insert("system_metrics", part.system)
        elif backend.mark_applied(self._connection, part.log_id, self._run_id):
            self._apply(part)

    def end(self) -> None:
        """Write the config if it changed."""
        if self._config is None:
            return
        configs.finish(self._config, self._run_id, self._head)
        row = self._run_id, self._head.name, dump(self._config), self._config["_Created"]
        self._connection.execute(
            "INSERT OR REPLACE INTO configs (run_id, run_name, config, created_at) VALUES (?, ?, ?, ?)", row
        )

    def _apply(self, change: Change) -> None:
        event = change.event
        if isinstance(event, ev.Deleted) and event.what == "series":
            return delete_series(self._connection, self._run_id, event.name)
        if isinstance(event, ev.Renamed) and event.what == "series":
            return rename_series(self._connection, self._run_id, change.log_id, event)
        if self._config is None:
            self._config = _config(self._connection, self._run_id)
        configs.apply(self._config, event)
        if (alert := configs.alert(event)) is not None:
            self._connection.execute(
                "INSERT OR IGNORE INTO alerts (run_id, timestamp, run_name, title, text, level, alert_id) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self._run_id, ids.to_instant(event.time), self._head.name, *alert, change.log_id),
            )

    def _insert(self, table: str, columns: Sequence[Any]) -> None:
        backend.insert(self._connection, table, self._run_id, self._head.name, columns)


def _config(connection: sqlite3.Connection, run_id: str) -> dict[str, Any]:
    found = connection.execute("SELECT config FROM configs WHERE run_id = ?", (run_id,)).fetchone()
    config: dict[str, Any] = orjson.loads(found[0]) if found else {}
    return config


def _check_run(connection: sqlite3.Connection, run_id: str, project: str) -> None:
    found = connection.execute("SELECT 1 FROM metrics WHERE log_id = ?", (ids.start_id(run_id),)).fetchone()
    if found is None:
        raise _RunGone(f"project {project!r} of trackio does not have the run any more: {AGAIN}")
