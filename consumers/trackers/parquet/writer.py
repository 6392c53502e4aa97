"""
The files of a run: parts of tables, each written beside its place and renamed into it, so readers see whole files only.

The last part of a table grows until it has PART_ROWS rows. How many of its rows are vouched for is said by the kept
state, so that what a dead process wrote beyond is dropped before anything is appended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from consumers.trackers.files.append import AGAIN, remove_folder
from consumers.trackers.parquet import translate
from consumers.trackers.parquet.arrow import SCHEMAS, arrow, integer_times, write_table
from consumers.trackers.protocol import State
from schemas.errors import TrackerRefused
from schemas.events import MAIN_STEP
from schemas.mapping.names import folder_name

PART_ROWS = 8_192  # a part is full with so many rows: a live call writes them anew, which takes 3 ms of processor


class Parts:
    """Parts of all runs below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(
        self, table: str, run_id: str, state: State, columns: Sequence[str] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield the vouched rows of each part of a table, with its number."""
        last, count = state["parts"].get(table, (0, 0))
        for number in range(last + bool(count)):
            found = self._load(self.path(table, run_id, number), SCHEMAS[table], columns)
            yield number, found.slice(0, count if number == last else None)

    def grow(self, table: str, run_id: str, place: tuple[int, int], columns: translate.Columns) -> tuple[int, int]:
        """Write the rows behind the vouched ones of the last part; return the place after them."""
        number, count = place
        path = self.path(table, run_id, number)
        new = arrow(columns, SCHEMAS[table])
        if new.num_rows:
            found = [self._load(path, SCHEMAS[table]).slice(0, count)] if count else []
            if found and found[0].num_rows < count:
                raise TrackerRefused(f"{path} has fewer than {count} rows: {AGAIN}")
            self.write(path, pa.concat_tables([*found, new]))
            count += new.num_rows
        number, count = (number + 1, 0) if count >= PART_ROWS else (number, count)
        self._cut(table, run_id, number + bool(count))
        return number, count

    def _cut(self, table: str, run_id: str, number: int) -> None:
        """Remove the parts from this number on: a dead process wrote them before its checkpoint, the last one last."""
        beyond = []
        while (path := self.path(table, run_id, number)).exists():
            beyond.append(path)
            number += 1
        for path in reversed(beyond):
            path.unlink()

    def _load(self, path: Path, schema: Any, columns: Sequence[str] | None = None) -> Any:
        """Return a part; columns that its release did not write are empty."""
        try:
            found = pq.ParquetFile(path).read(columns)  # not read_table: it would add the partition's column
        except FileNotFoundError:
            raise TrackerRefused(f"{path} is gone: put it back, or {AGAIN}") from None
        except pa.ArrowException as error:
            raise TrackerRefused(f"{path} is damaged ({error}): {AGAIN}") from error
        for name in schema.names if columns is None else columns:
            if name not in found.column_names:
                empty = MAIN_STEP if name == "step_name" else ""
                found = found.append_column(schema.field(name), pa.array([empty] * found.num_rows, pa.string()))
        return found

    def write(self, path: Path, table: Any) -> None:
        """Put a table where readers see it, whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"_{path.name}.new")  # readers pass over names that begin with _
        write_table(table, beside)
        beside.replace(path)

    def write_head(self, run_id: str, head: translate.Head) -> None:
        """Put the run's row of `runs` where readers see it."""
        self.write(self.path("runs", run_id, 0), pa.table(translate.head_row(run_id, head), SCHEMAS["runs"]))

    def head(self, run_id: str) -> dict[str, Any]:
        """Return the run's row of `runs`, times in µs. Raises TrackerRefused."""
        found = self._load(self.path("runs", run_id, 0), SCHEMAS["runs"]).cast(integer_times("runs"))
        (row,) = found.to_pylist()
        return dict(row)

    def path(self, table: str, run_id: str, number: int) -> Path:
        """Return where a part is."""
        return self._folder / table / f"run={folder_name(run_id)}" / f"part-{number:05d}.parquet"

    def delete(self, run_id: str) -> None:
        """Remove all files of a run. Raises TrackerUnavailable."""
        for folder in self.folders(run_id):
            remove_folder(folder)

    def folders(self, run_id: str) -> list[Path]:
        """Return the folders of a run, one a table."""
        return [self.path(table, run_id, 0).parent for table in translate.TABLES]
