"""
The tracker `parquet`: runs as Parquet files for DuckDB, pandas, Polars and Spark, without any server.

The only file that knows Arrow. `<folder>/<table>/run=<run id>/part-<number>.parquet`; `manifest.json` and `views.sql`
say what there is. A part is written beside its place and renamed into it, so a reader sees whole files only. The last
part grows with each delivery until it has PART_ROWS rows; the kept state says how many of its rows are vouched for, so
that what a dead process wrote beyond is dropped before anything is appended.
"""

from __future__ import annotations

import json
import os
import threading
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from consumers.delivery.tracker import Capabilities, ReadBack, State
from consumers.trackers.edit_plan import Edited, EditPlan, deleted
from consumers.trackers.editing import edits_of, is_delete_of_run, pieces
from consumers.trackers.ending import Ending
from consumers.trackers.mangling import folder_name
from consumers.trackers.parquet import rows
from consumers.trackers.parquet.edits import NAMED, Present
from consumers.trackers.run_file import remove_folder
from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.events import MAIN_STEP
from schemas.facts import Columns, Point
from schemas.settings import Settings
from schemas.wire import Batch

FORMAT = 2  # 1: without step_name and name of points and observations
PART_ROWS = 8_192  # a part is full with so many rows: a live call writes them anew, which takes 3 ms of processor
READ_ROWS = 16_384
_TYPES = {"s": pa.string(), "i": pa.int64(), "f": pa.float64(), "t": pa.timestamp("us", tz="UTC")}
_SCHEMAS = {
    table: pa.schema([pa.field(name, _TYPES[kind]) for name, kind in columns.items()])
    for table, columns in rows.TABLES.items()
}


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
        self._describing = threading.Lock()  # runs are delivered from several threads

    def open(self, settings: Settings) -> None:
        """Take the folder, from the settings unless it was given. Raises BadSettings when there is none."""
        self._folder = Path(self._given or settings.need("parquet_dir")).absolute()

    def close(self) -> None:
        """Nothing is held open between deliveries."""

    def deliver(self, run_id: str, batches: Sequence[Batch], state: State) -> State:
        """Bring these batches to the run's files. Raises TrackerUnavailable (disk), TrackerRefused (files are gone)."""
        plan = EditPlan(self._folder, run_id)
        state, batches = plan.resume(state, batches)
        if state.get("deleted") or not batches:
            return state  # what a producer still sends of a deleted run is gone with it
        gone = next((batch for batch in batches if is_delete_of_run(batch.event)), None)
        if gone is not None:
            return plan.commit(deleted(state, self._folders(run_id)), gone)
        kept = dict(state)
        try:
            with self._describing:
                self._describe()
            if not kept:
                self._delete(run_id)  # what a process wrote that died before its first checkpoint
            for are_edits, piece in pieces(batches):
                kept = (
                    self._edit(run_id, kept, piece, plan) if are_edits and kept else self._append(run_id, kept, piece)
                )
        except OSError as error:
            raise TrackerUnavailable(
                f"{self._folder} cannot be written ({error}): check the disk and its permissions"
            ) from error
        return kept

    def _append(self, run_id: str, kept: dict[str, Any], batches: Sequence[Batch]) -> dict[str, Any]:
        events = [batch.event for batch in batches]
        parts = {table: tuple(place) for table, place in kept.get("parts", {}).items()}
        known = dict(kept.get("head") or {"started": min(event.time for event in events)})
        opened = any(event.kind in ("run_started", "run_created") for event in events)
        if opened and not kept.get("opened"):
            known["started"] = None  # the start was only guessed before
        end = Ending(*kept["end"]) if kept.get("end") else None
        head, end = rows.fold(rows.Head(**known), end, events)
        for table, columns in rows.rows(batches).items():
            parts[table] = self._grow(table, run_id, parts.get(table, (0, 0)), columns)
        if head._asdict() != kept.get("head"):
            self._write(self._part("runs", run_id, 0), pa.table(rows.head_row(run_id, head), _SCHEMAS["runs"]))
        return kept | {
            "parts": {table: list(place) for table, place in parts.items()},
            "head": head._asdict(),
            "end": end and list(end),
            "opened": opened or bool(kept.get("opened")),
        }

    def _edit(self, run_id: str, kept: dict[str, Any], batches: Sequence[Batch], plan: EditPlan) -> dict[str, Any]:
        """Write the parts anew that some edits change."""
        present = Present()
        for table, columns in NAMED.items():
            for _, part in self._parts(table, run_id, kept, columns):
                present.add(table, part)
        changes = present.edit(edits_of(batches))
        if not changes:
            return kept
        number, places = kept.get("edits", 0) + 1, dict(kept["parts"])
        moves: dict[Path, Path] = {}
        for table in NAMED:
            for at, part in self._parts(table, run_id, kept):
                edited = changes.apply(table, part)
                if edited is None:
                    continue
                path = self._part(table, run_id, at)
                beside = path.with_name(f"_edit-{number}-{path.name}.new")
                _write_table(edited, beside)
                moves[beside] = path
                if at == places[table][0]:
                    places[table] = [at, edited.num_rows]
        now = kept | {"parts": places, "edits": number}
        plan.commit(Edited(now, moves), batches[-1])
        return now

    def start_over(self, run_id: str, state: State) -> State:
        """Remove the run's files: it may come in fewer and larger parts. Raises TrackerUnavailable."""
        self._delete(run_id)
        return {}

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Read the run's files. Raises TrackerRefused when one is missing or damaged."""
        if state.get("deleted"):
            raise TrackerRefused("the run was deleted")
        params = {
            row["name"]: row["value"] for batch in self._read("params", run_id, state) for row in batch.to_pylist()
        }
        tags = {
            row["name"]: row["value"]
            for batch in self._read("tags", run_id, state)
            for row in batch.to_pylist()
            if row["kind"] == "tag"
        }
        (row,) = self._table(self._part("runs", run_id, 0), _SCHEMAS["runs"]).cast(_integer_times("runs")).to_pylist()
        return ReadBack(
            self._points(run_id, state), params, row["status"], row["started"], row["ended"], tags,
            self._columns(run_id, state),
        )  # fmt: skip

    def _columns(self, run_id: str, state: State) -> Iterator[Columns]:
        for batch in self._read("points", run_id, state):
            table = pa.Table.from_batches([batch]).select(["series", "step", "time", "value"])
            ordered = table.take(pc.sort_indices(table, [("series", "ascending")])).combine_chunks()
            at = 0
            for series, count in zip(*_counted(ordered["series"]), strict=True):
                of_series = ordered.slice(at, count)
                steps, times, values = (_numbers(of_series[name]) for name in ("step", "time", "value"))
                yield Columns(series, steps, [time // 1_000 for time in times], values)
                at += count

    def _points(self, run_id: str, state: State) -> Iterator[Point]:
        for batch in self._read("points", run_id, state):
            columns = (batch.column(name).to_pylist() for name in ("series", "step", "time", "value"))
            for series, step, time, value in zip(*columns, strict=True):
                yield Point(series, step, time // 1_000, value)

    def _read(self, table: str, run_id: str, state: State) -> Iterator[Any]:
        for _, part in self._parts(table, run_id, state):
            yield from part.cast(_integer_times(table)).to_batches(max_chunksize=READ_ROWS)

    def _parts(
        self, table: str, run_id: str, state: State, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield the vouched rows of each part of a table, with its number."""
        last, count = state["parts"].get(table, (0, 0))
        for number in range(last + bool(count)):
            found = self._table(self._part(table, run_id, number), _SCHEMAS[table], columns)
            yield number, found.slice(0, count if number == last else None)

    def _grow(self, table: str, run_id: str, place: tuple[int, int], columns: rows.Columns) -> tuple[int, int]:
        """Write the rows behind the vouched ones of the last part; return the place after them."""
        number, count = place
        path = self._part(table, run_id, number)
        new = _arrow(columns, _SCHEMAS[table])
        if new.num_rows:
            found = [self._table(path, _SCHEMAS[table]).slice(0, count)] if count else []
            if found and found[0].num_rows < count:
                raise TrackerRefused(f"{path} has fewer than {count} rows: deliver the run again from the start")
            self._write(path, pa.concat_tables([*found, new]))
            count += new.num_rows
        number, count = (number + 1, 0) if count >= PART_ROWS else (number, count)
        self._cut(table, run_id, number + bool(count))
        return number, count

    def _cut(self, table: str, run_id: str, number: int) -> None:
        """Remove the parts from this number on: a dead process wrote them before its checkpoint, the last one last."""
        beyond = []
        while (path := self._part(table, run_id, number)).exists():
            beyond.append(path)
            number += 1
        for path in reversed(beyond):
            path.unlink()

    def _table(self, path: Path, schema: Any, columns: Sequence[str] | None = None) -> Any:
        """Return a part; columns that its release did not write are empty."""
        try:
            found = pq.ParquetFile(path).read(columns)  # not read_table: it would add the partition's column
        except FileNotFoundError:
            raise TrackerRefused(f"{path} is gone: put it back, or deliver the run again from the start") from None
        except pa.ArrowException as error:
            raise TrackerRefused(f"{path} is damaged ({error}): deliver the run again from the start") from error
        for name in schema.names if columns is None else columns:
            if name not in found.column_names:
                empty = MAIN_STEP if name == "step_name" else ""
                found = found.append_column(schema.field(name), pa.array([empty] * found.num_rows, pa.string()))
        return found

    def _write(self, path: Path, table: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"_{path.name}.new")  # readers pass over names that begin with _
        _write_table(table, beside)
        beside.replace(path)

    def _part(self, table: str, run_id: str, number: int) -> Path:
        return self._folder / table / f"run={folder_name(run_id)}" / f"part-{number:05d}.parquet"

    def _delete(self, run_id: str) -> None:
        for folder in self._folders(run_id):
            remove_folder(folder)

    def _folders(self, run_id: str) -> list[Path]:
        return [self._part(table, run_id, 0).parent for table in rows.TABLES]

    def _describe(self) -> None:
        """Write the manifest and the views, once a format."""
        manifest = self._folder / "manifest.json"
        if manifest.exists() and json.loads(manifest.read_text(encoding="utf-8")).get("format") == FORMAT:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for table, schema in _SCHEMAS.items():  # so that DuckDB's patterns find a file; the others pass over `_`
            self._write(self._folder / table / "_empty" / "none.parquet", schema.empty_table())
        _replace(self._folder / "views.sql", _views())
        _replace(manifest, json.dumps({"format": FORMAT, "tables": _described()}, indent=2) + "\n")


def _arrow(columns: rows.Columns, schema: Any) -> Any:
    """Return columns as an Arrow table; numbers are not copied, and repeated values are written out by Arrow."""
    return pa.table([_column(columns[field.name], field.type) for field in schema], schema=schema)


def _column(column: Any, kind: Any) -> Any:
    if isinstance(column, array):
        return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(column)])
    if isinstance(column, rows.Repeated):
        if not column.values:
            return pa.array([], kind)
        ends = pa.array(column.ends, pa.int64())
        return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(ends, pa.array(column.values, kind)))
    return pa.array(column, kind)


def _counted(names: Any) -> tuple[list[str], list[int]]:
    """Return each name of a sorted column once, and how often it is there."""
    runs = pc.run_end_encode(names.combine_chunks())
    ends = runs.run_ends.to_pylist()
    return runs.values.to_pylist(), [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def _numbers(column: Any) -> array[Any]:
    """Return a column of 64-bit numbers without nulls, copied from Arrow's memory."""
    (chunk,) = column.chunks
    kind = "d" if pa.types.is_floating(chunk.type) else "q"
    at = 8 * chunk.offset
    return array(kind, bytes(memoryview(chunk.buffers()[1])[at : at + 8 * len(chunk)]))


def _described() -> Mapping[str, Any]:
    return {
        table: {"files": f"{table}/*/*.parquet", "columns": {field.name: str(field.type) for field in schema}}
        for table, schema in _SCHEMAS.items()
    }


def _views() -> str:
    return "".join(
        f"CREATE OR REPLACE VIEW {table} AS "
        f"SELECT * FROM read_parquet('{table}/*/*.parquet', hive_partitioning = false, union_by_name = true);\n"
        for table in _SCHEMAS
    )


def _write_table(table: Any, path: Path) -> None:
    pq.write_table(table, path, compression="zstd", use_dictionary=_dictionary(table), store_schema=False)


def _dictionary(table: Any) -> list[str]:
    return [field.name for field in table.schema if field.type == pa.string()]


def _integer_times(table: str) -> Any:
    plain = [pa.field(one.name, pa.int64() if pa.types.is_timestamp(one.type) else one.type) for one in _SCHEMAS[table]]
    return pa.schema(plain)


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f"_{path.name}.{os.getpid()}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
