"""
Write and read the files of a run: each is written under another name and renamed, so readers see whole files only.

A table consists of parts; the last one grows until it has PART_ROWS rows. The stored state says how many of its rows
are confirmed; rows that a dead process wrote after them are dropped before the next append.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from consumers.trackers.files.append import AGAIN, remove_folder
from consumers.trackers.files.durable import create_folder, replace_file
from consumers.trackers.parquet.translate import GROWING, SCHEMAS, TABLES, RunRow, integer_times, run_table
from consumers.trackers.protocol import State
from schemas.errors import TrackerRefused
from schemas.events import MAIN_STEP
from schemas.facts import SeriesColumns
from schemas.mapping.names import folder_name

PART_ROWS = 8_192  # of a full part: each live call rewrites the last part, which takes 3 ms of processor time
READ_ROWS = 16_384


class TableFiles:
    """The tables of all runs below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(
        self, table: str, run_id: str, state: State, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield the number and the confirmed rows of each part of a table."""
        last, count = state["parts"].get(table, (0, 0))
        for number in range(last + bool(count)):
            found = self._load(self.path(table, run_id, number), SCHEMAS[table], columns)
            yield number, found.slice(0, count if number == last else None)

    def read_batches(self, table: str, run_id: str, state: State) -> Iterator[Any]:
        """Yield the confirmed rows of a table in batches of at most READ_ROWS, with times in µs as integers."""
        for _, part in self.read(table, run_id, state):
            yield from part.cast(integer_times(table)).to_batches(max_chunksize=READ_ROWS)

    def read_points(self, run_id: str, state: State) -> Iterator[SeriesColumns]:
        """Yield the points of a run as columns, one series of a batch at a time."""
        for batch in self.read_batches("points", run_id, state):
            table = pa.Table.from_batches([batch]).select(["series", "step", "time", "value"])
            ordered = table.take(pc.sort_indices(table, [("series", "ascending")])).combine_chunks()
            at = 0
            for series, count in zip(*_value_counts(ordered["series"]), strict=True):
                of_series = ordered.slice(at, count)
                steps, times, values = (_numbers(of_series[name]) for name in ("step", "time", "value"))
                yield SeriesColumns(series, steps, [time // 1_000 for time in times], values, times)
                at += count

    def refuse_surplus(self, run_id: str, state: State) -> None:
        """Raise TrackerRefused if a table has rows after the confirmed ones: readers of the files see them too."""
        for table in GROWING:
            last, count = state["parts"].get(table, (0, 0))
            part, surplus = self.path(table, run_id, last), self.path(table, run_id, last + 1)
            if part.exists() and self._load(part, SCHEMAS[table], ["run_id"]).num_rows > count:
                surplus = part
            if surplus.exists():
                raise TrackerRefused(
                    f"{surplus} has rows after those delivered: a call for this run has not ended, or another program "
                    f"wrote them; {AGAIN}"
                )

    def append(self, table: str, run_id: str, end: tuple[int, int], rows: pa.Table) -> tuple[int, int]:
        """Write rows after the confirmed end of a table (part, rows in it); return the new end."""
        number, count = end
        path = self.path(table, run_id, number)
        if rows.num_rows:
            found = [self._load(path, SCHEMAS[table]).slice(0, count)] if count else []
            if found and found[0].num_rows < count:
                raise TrackerRefused(f"{path} has fewer than {count} rows: {AGAIN}")
            self.write(path, pa.concat_tables([*found, rows]))
            count += rows.num_rows
        number, count = (number + 1, 0) if count >= PART_ROWS else (number, count)
        self._remove_from(table, run_id, number + bool(count))
        return number, count

    def write(self, path: Path, table: pa.Table) -> None:
        """Replace a file, so that readers see either the old or the new one."""
        create_folder(path.parent)
        new_path = path.with_name(f"_{path.name}.new")  # readers skip names that begin with _
        write_table(table, new_path)
        replace_file(new_path, path)

    def write_run(self, run_id: str, row: RunRow) -> None:
        """Replace the row of a run in `runs`."""
        self.write(self.path("runs", run_id, 0), run_table(run_id, row))

    def read_run(self, run_id: str) -> dict[str, Any]:
        """Return the row of a run in `runs`, with times in µs. Raises TrackerRefused."""
        found = self._load(self.path("runs", run_id, 0), SCHEMAS["runs"]).cast(integer_times("runs"))
        (row,) = found.to_pylist()
        return dict(row)

    def path(self, table: str, run_id: str, number: int) -> Path:
        """Return the path of a part."""
        return self._folder / table / f"run={folder_name(run_id)}" / f"part-{number:05d}.parquet"

    def delete(self, run_id: str) -> None:
        """Remove all files of a run. Raises TrackerUnavailable."""
        for folder in self.folders(run_id):
            remove_folder(folder)

    def folders(self, run_id: str) -> list[Path]:
        """Return the folders of a run, one for each table."""
        return [self.path(table, run_id, 0).parent for table in TABLES]

    def _load(self, path: Path, schema: Any, columns: Sequence[str] | None = None) -> Any:
        """Return a part; columns that its release did not write yet are empty."""
        try:
            found = pq.ParquetFile(path).read(columns)  # not read_table: it would add the column of the partition
        except FileNotFoundError:
            raise TrackerRefused(f"{path} is gone: put it back, or {AGAIN}") from None
        except pa.ArrowException as error:
            raise TrackerRefused(f"{path} is damaged ({error}): {AGAIN}") from error
        for name in schema.names if columns is None else columns:
            if name not in found.column_names:
                empty = MAIN_STEP if name == "step_name" else ""
                found = found.append_column(schema.field(name), pa.array([empty] * found.num_rows, pa.string()))
        return found

    def _remove_from(self, table: str, run_id: str, number: int) -> None:
        """Remove the parts from this number on, last one first: a dead process wrote them before its checkpoint."""
        unconfirmed = []
        while (path := self.path(table, run_id, number)).exists():
            unconfirmed.append(path)
            number += 1
        for path in reversed(unconfirmed):
            path.unlink()


def write_table(table: pa.Table, path: Path) -> None:
    """Write a file in place."""
    texts = [field.name for field in table.schema if field.type == pa.string()]
    pq.write_table(table, path, compression="zstd", use_dictionary=texts, store_schema=False)


def _value_counts(names: Any) -> tuple[list[str], list[int]]:
    """Return each value of a sorted column once, and its number of rows."""
    runs = pc.run_end_encode(names.combine_chunks())
    ends = runs.run_ends.to_pylist()
    return runs.values.to_pylist(), [end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def _numbers(column: Any) -> array[Any]:
    """Return a column of 64-bit numbers without nulls, copied from Arrow's memory."""
    (chunk,) = column.chunks
    kind = "d" if pa.types.is_floating(chunk.type) else "q"
    at = 8 * chunk.offset
    return array(kind, bytes(memoryview(chunk.buffers()[1])[at : at + 8 * len(chunk)]))
