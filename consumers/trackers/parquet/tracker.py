"""
The tracker `parquet`: runs as Parquet files for DuckDB, pandas, Polars and Spark, without any server.

`<folder>/<table>/run=<run id>/part-<number>.parquet` (parts.py); `manifest.json` and `views.sql` say what there is.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from consumers.trackers.edits import edits_of, find_run_deletion, split_at_edits
from consumers.trackers.files.atomic_edit import Edited, EditPlan, deleted
from consumers.trackers.parquet import translate
from consumers.trackers.parquet.arrow import SCHEMAS, counted, integer_times, numbers, write_table
from consumers.trackers.parquet.edits import NAMED, Present
from consumers.trackers.parquet.writer import Parts
from consumers.trackers.protocol import Capabilities, ReadBack, State
from consumers.trackers.run_status import RunStatus
from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.facts import Point, SeriesColumns
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

FORMAT = 2  # 1: without step_name and name of points and observations
READ_ROWS = 16_384


class ParquetTracker:
    """Tables `points`, `observations`, `params`, `tags`, `lines` and `runs`, partitioned by run."""

    name = "parquet"
    cannot_hold: Sequence[str] = ("heartbeats and the numbers of batches",)
    capabilities = Capabilities(
        keeps_artifacts=True, can_delete=True, can_edit_series=True, can_edit_params=True, can_edit_tags=True
    )

    def __init__(self, *, folder: str = "") -> None:
        self._given = folder
        self._folder = Path()
        self._parts = Parts(self._folder)
        self._describing = threading.Lock()  # runs are delivered from several threads

    def open(self, settings: Settings) -> None:
        """Take the folder, from the settings unless it was given. Raises BadSettings when there is none."""
        self._folder = Path(self._given or settings.need("parquet_dir")).absolute()
        self._parts = Parts(self._folder)

    def close(self) -> None:
        """Nothing is held open between deliveries."""

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        """Write these envelopes to the run's files. Raises TrackerUnavailable (disk), TrackerRefused (files gone)."""
        plan = EditPlan(self._folder, run_id)
        state, envelopes = plan.resume(state, envelopes)
        if state.get("deleted") or not envelopes:
            return state  # what a producer still sends of a deleted run is gone with it
        gone = find_run_deletion(envelopes)
        if gone is not None:
            return plan.commit(deleted(state, self._parts.folders(run_id)), gone)
        kept = dict(state)
        try:
            with self._describing:
                self._describe()
            if not kept:
                self._parts.delete(run_id)  # what a process wrote that died before its first checkpoint
            for are_edits, piece in split_at_edits(envelopes):
                kept = (
                    self._edit(run_id, kept, piece, plan) if are_edits and kept else self._append(run_id, kept, piece)
                )
        except OSError as error:
            raise TrackerUnavailable(
                f"{self._folder} cannot be written ({error}): check the disk and its permissions"
            ) from error
        return kept

    def _append(self, run_id: str, kept: dict[str, Any], envelopes: Sequence[Envelope]) -> dict[str, Any]:
        events = [envelope.event for envelope in envelopes]
        parts = {table: tuple(place) for table, place in kept.get("parts", {}).items()}
        known = dict(kept.get("head") or {"started": min(event.time for event in events)})
        opened = any(event.kind in ("run_started", "run_created") for event in events)
        if opened and not kept.get("opened"):
            known["started"] = None  # the start was only guessed before
        end = RunStatus(*kept["end"]) if kept.get("end") else None
        head, end = translate.fold(translate.Head(**known), end, events)
        for table, columns in translate.rows(envelopes).items():
            parts[table] = self._parts.grow(table, run_id, parts.get(table, (0, 0)), columns)
        if head._asdict() != kept.get("head"):
            self._parts.write_head(run_id, head)
        return kept | {
            "parts": {table: list(place) for table, place in parts.items()},
            "head": head._asdict(),
            "end": end and list(end),
            "opened": opened or bool(kept.get("opened")),
        }

    def _edit(self, run_id: str, kept: dict[str, Any], envelopes: Sequence[Envelope], plan: EditPlan) -> dict[str, Any]:
        """Write the parts anew that some edits change."""
        present = Present()
        for table, columns in NAMED.items():
            for _, part in self._parts.read(table, run_id, kept, columns):
                present.add(table, part)
        changes = present.edit(edits_of(envelopes))
        if not changes:
            return kept
        number, places = kept.get("edits", 0) + 1, dict(kept["parts"])
        moves: dict[Path, Path] = {}
        for table in NAMED:
            for at, part in self._parts.read(table, run_id, kept):
                edited = changes.apply(table, part)
                if edited is None:
                    continue
                path = self._parts.path(table, run_id, at)
                beside = path.with_name(f"_edit-{number}-{path.name}.new")
                write_table(edited, beside)
                moves[beside] = path
                if at == places[table][0]:
                    places[table] = [at, edited.num_rows]
        now = kept | {"parts": places, "edits": number}
        plan.commit(Edited(now, moves), envelopes[-1])
        return now

    def start_over(self, run_id: str, state: State) -> State:
        """Remove the run's files: it may come in fewer and larger parts. Raises TrackerUnavailable."""
        self._parts.delete(run_id)
        return {}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read the run's files. Raises TrackerRefused when one is missing or damaged."""
        if state.get("deleted"):
            raise TrackerRefused("the run was deleted")
        params = {
            row["name"]: row["value"]
            for envelope in self._read("params", run_id, state)
            for row in envelope.to_pylist()
        }
        tags = {
            row["name"]: row["value"]
            for envelope in self._read("tags", run_id, state)
            for row in envelope.to_pylist()
            if row["kind"] == "tag"
        }
        row = self._parts.head(run_id)
        return ReadBack(
            self._points(run_id, state), params, row["status"], row["started"], row["ended"], tags,
            self._columns(run_id, state),
        )  # fmt: skip

    def _columns(self, run_id: str, state: State) -> Iterator[SeriesColumns]:
        for envelope in self._read("points", run_id, state):
            table = pa.Table.from_batches([envelope]).select(["series", "step", "time", "value"])
            ordered = table.take(pc.sort_indices(table, [("series", "ascending")])).combine_chunks()
            at = 0
            for series, count in zip(*counted(ordered["series"]), strict=True):
                of_series = ordered.slice(at, count)
                steps, times, values = (numbers(of_series[name]) for name in ("step", "time", "value"))
                yield SeriesColumns(series, steps, [time // 1_000 for time in times], values)
                at += count

    def _points(self, run_id: str, state: State) -> Iterator[Point]:
        for envelope in self._read("points", run_id, state):
            columns = (envelope.column(name).to_pylist() for name in ("series", "step", "time", "value"))
            for series, step, time, value in zip(*columns, strict=True):
                yield Point(series, step, time // 1_000, value)

    def _read(self, table: str, run_id: str, state: State) -> Iterator[Any]:
        for _, part in self._parts.read(table, run_id, state):
            yield from part.cast(integer_times(table)).to_batches(max_chunksize=READ_ROWS)

    def _describe(self) -> None:
        """Write the manifest and the views, once a format."""
        manifest = self._folder / "manifest.json"
        if manifest.exists() and json.loads(manifest.read_text(encoding="utf-8")).get("format") == FORMAT:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for table, schema in SCHEMAS.items():  # so that DuckDB's patterns find a file; the others pass over `_`
            self._parts.write(self._folder / table / "_empty" / "none.parquet", schema.empty_table())
        _replace(self._folder / "views.sql", _views())
        _replace(manifest, json.dumps({"format": FORMAT, "tables": _described()}, indent=2) + "\n")


def _described() -> Mapping[str, Any]:
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


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f"_{path.name}.{os.getpid()}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
