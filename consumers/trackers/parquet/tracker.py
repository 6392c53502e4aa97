"""
The tracker `parquet`: runs as Parquet files for DuckDB, pandas, Polars and Spark, without any server.

The files are `<folder>/<table>/run=<run id>/part-<number>.parquet` (see writer.py); `manifest.json` and `views.sql`
describe them.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from consumers.trackers.edits import edits_of, find_run_deletion, split_at_edits
from consumers.trackers.files.append import has_written
from consumers.trackers.files.atomic_edit import Edited, EditPlan, deleted
from consumers.trackers.files.durable import create_folder, replace_file
from consumers.trackers.parquet.edits import NAME_COLUMNS, NamesInUse, apply_edits
from consumers.trackers.parquet.translate import SCHEMAS, RunRow, fold_run_row, translate
from consumers.trackers.parquet.writer import TableFiles, write_table
from consumers.trackers.protocol import Capabilities, Contents, Line, Observed, ReadBack, State
from consumers.trackers.run_start import Opening, fold_opening
from consumers.trackers.run_status import RunStatus
from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.facts import Point
from schemas.params import replaces
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

FORMAT = 2  # format 1 has no step_name and name of points and observations


class ParquetTracker:
    """Tables `points`, `observations`, `params`, `tags`, `lines` and `runs`, partitioned by run."""

    name = "parquet"
    cannot_hold: Sequence[str] = (
        "heartbeats and the sequence numbers of events",
        "the trash: a run that can be restored stays, and table tags says so",
    )
    capabilities = Capabilities(
        keeps_artifacts=True,
        can_delete=True,
        can_edit_series=True,
        can_edit_params=True,
        can_edit_tags=True,
        keeps_param_attempts=True,
    )

    def __init__(self, *, folder: str = "") -> None:
        self._configured = folder
        self._folder = Path()
        self._files = TableFiles(self._folder)
        self._describing = threading.Lock()  # `deliver` runs in several threads

    def open(self, settings: Settings) -> None:
        """Take the folder, from the settings unless it was configured. Raises BadSettings if there is none."""
        self._folder = Path(self._configured or settings.need("parquet_dir")).absolute()
        self._files = TableFiles(self._folder)

    def close(self) -> None:
        """Do nothing: no file is open between deliveries."""

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        """Append events to the run's files. Raises TrackerUnavailable (disk), TrackerRefused (files are gone)."""
        plan = EditPlan(self._folder, run_id)
        state, envelopes = plan.resume(state, envelopes)
        if state.get("deleted") or not envelopes:
            return state  # events of a deleted run that producers still send are dropped
        deletion = find_run_deletion(envelopes)
        if deletion is not None:
            return plan.commit(deleted(state, self._files.folders(run_id)), deletion)
        kept = dict(state)
        try:
            with self._describing:
                self._describe()
            if not kept:
                self._files.delete(run_id)  # files of a process that died before its first checkpoint
            for are_edits, part in split_at_edits(envelopes):
                kept = self._edit(run_id, kept, part, plan) if are_edits and kept else self._append(run_id, kept, part)
        except OSError as error:
            raise TrackerUnavailable(
                f"{self._folder} cannot be written ({error}): check the disk and its permissions"
            ) from error
        return kept

    def _append(self, run_id: str, kept: dict[str, Any], envelopes: Sequence[Envelope]) -> dict[str, Any]:
        events = [envelope.event for envelope in envelopes]
        ends = {table: tuple(end) for table, end in kept.get("parts", {}).items()}
        head = RunRow(**(kept.get("head") or {}))
        # An earlier release stored the row only.
        stored = kept.get("opening") or (kept and [head.started, head.started, 1, head.name, head.tag])
        opening = fold_opening(Opening(*stored) if stored else None, events)
        status = RunStatus(*kept["end"]) if kept.get("end") else None
        row, status = fold_run_row(head, status, events)
        row = row._replace(started=opening.shown, name=opening.name, tag=opening.tag)
        for table, rows in translate(envelopes).items():
            ends[table] = self._files.append(table, run_id, ends.get(table, (0, 0)), rows)
        if row._asdict() != kept.get("head"):
            self._files.write_run(run_id, row)
        return kept | {
            "parts": {table: list(end) for table, end in ends.items()},
            "head": row._asdict(),
            "end": status and list(status),
            "opening": list(opening),
        }

    def _edit(self, run_id: str, kept: dict[str, Any], envelopes: Sequence[Envelope], plan: EditPlan) -> dict[str, Any]:
        """Rewrite the parts that some edits change."""
        names = NamesInUse()
        for table, columns in NAME_COLUMNS.items():
            for _, part in self._files.read(table, run_id, kept, columns):
                names.add(table, part)
        edits = names.find_edits(edits_of(envelopes))
        if not edits:
            return kept
        number, ends = kept.get("edits", 0) + 1, dict(kept["parts"])
        moves: dict[Path, Path] = {}
        for table in NAME_COLUMNS:
            for at, part in self._files.read(table, run_id, kept):
                edited = apply_edits(table, part, edits)
                if edited is None:
                    continue
                path = self._files.path(table, run_id, at)
                new_path = path.with_name(f"_edit-{number}-{path.name}.new")
                write_table(edited, new_path)
                moves[new_path] = path
                if at == ends[table][0]:
                    ends[table] = [at, edited.num_rows]
        now = kept | {"parts": ends, "edits": number}
        plan.commit(Edited(now, moves), envelopes[-1])
        return now

    def start_over(self, run_id: str, state: State) -> State:
        """Remove the run's files: the next delivery may write fewer and larger parts. Raises TrackerUnavailable."""
        self._files.delete(run_id)
        return {}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read the run's files. Raises TrackerRefused if one is missing or damaged."""
        if state.get("deleted"):
            found = [folder for folder in self._files.folders(run_id) if has_written(folder)]
            if not found:
                raise TrackerRefused("the run was deleted")
            return ReadBack(iter(()), {}, "running", None, None, contents=Contents(where=str(found[0])))
        self._files.refuse_surplus(run_id, state)
        params = self._params(run_id, state)
        named: dict[str, dict[str, str]] = {"tag": {}, "label": {}, "artifact": {}, "note": {}}
        for one in self._rows("tags", run_id, state):
            named.setdefault(one["kind"], {})[one["name"]] = one["value"]
        row = self._files.read_run(run_id)
        contents = Contents(
            name=row["name"] or run_id, tag=row["tag"], where=str(self._files.path("runs", run_id, 0)),
            note=named["note"].get("", ""), labels=named["label"], artifacts=named["artifact"],
            observations=self._observations(run_id, state), lines=self._lines(run_id, state),
        )  # fmt: skip
        return ReadBack(
            self._points(run_id, state), params, row["status"], row["started"], row["ended"], named["tag"],
            self._files.read_points(run_id, state), contents=contents,
        )  # fmt: skip

    def _params(self, run_id: str, state: State) -> dict[str, str]:
        params: dict[str, str] = {}
        attempts: dict[str, int] = {}
        for one in self._rows("params", run_id, state):  # in log order
            name, attempt = one["name"], one["attempt"]
            if replaces(attempt, attempts.get(name, attempt)):
                params[name], attempts[name] = one["value"], attempt
        return params

    def _observations(self, run_id: str, state: State) -> Iterator[Observed]:
        for row in self._rows("observations", run_id, state):
            yield Observed(row["series"], row["step"], row["time"], row["value"])

    def _lines(self, run_id: str, state: State) -> Iterator[Line]:
        for row in self._rows("lines", run_id, state):
            yield Line(row["stream"], row["time"], row["line"])

    def _rows(self, table: str, run_id: str, state: State) -> Iterator[dict[str, Any]]:
        for batch in self._files.read_batches(table, run_id, state):
            yield from batch.to_pylist()

    def _points(self, run_id: str, state: State) -> Iterator[Point]:
        for batch in self._files.read_batches("points", run_id, state):
            columns = (batch.column(name).to_pylist() for name in ("series", "step", "time", "value"))
            for series, step, time, value in zip(*columns, strict=True):
                yield Point(series, step, time // 1_000, value)

    def _describe(self) -> None:
        """Write the manifest and the views, once for each format."""
        manifest = self._folder / "manifest.json"
        if manifest.exists() and json.loads(manifest.read_text(encoding="utf-8")).get("format") == FORMAT:
            return
        create_folder(self._folder)
        for table, schema in SCHEMAS.items():  # DuckDB's patterns must match a file; other readers skip `_`
            self._files.write(self._folder / table / "_empty" / "none.parquet", schema.empty_table())
        _replace_file(self._folder / "views.sql", _views())
        _replace_file(manifest, json.dumps({"format": FORMAT, "tables": _table_descriptions()}, indent=2) + "\n")


def _table_descriptions() -> Mapping[str, Any]:
    return {
        table: {"files": f"{table}/*/*.parquet", "columns": {field.name: str(field.type) for field in schema}}
        for table, schema in SCHEMAS.items()
    }


def _views() -> str:
    return "".join(
        f"CREATE OR REPLACE VIEW {table} AS "
        f"SELECT * FROM read_parquet('{table}/*/*.parquet', hive_partitioning = false, union_by_name = true);\n"
        for table in SCHEMAS
    )


def _replace_file(path: Path, text: str) -> None:
    new_path = path.with_name(f"_{path.name}.{os.getpid()}.new")
    new_path.write_text(text, encoding="utf-8")
    replace_file(new_path, path)
