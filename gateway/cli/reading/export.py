"""
`gateway runs export`: exact data into a file, with a bar. A file that is there is whole: it gets its name at the end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from gateway.cli.lookup import near_ids
from gateway.cli.reading.complete import complete_column, complete_series
from gateway.cli.reading.tables import print_unknown
from gateway.cli.runs import api_of, complete_run
from gateway.console import HomeOption, JsonOption, print_json, print_notice
from schemas.errors import BadSettings

if TYPE_CHECKING:
    from gateway.client.query import Api

PIECE_BYTES = 256 * 1024
FORMATS = ("csv", "parquet", "arrow")


def register(app: typer.Typer) -> None:
    """Add the command to `gateway runs`."""
    app.command()(export)


def export(  # noqa: PLR0913, PLR0917 -- Typer reads options from the signature
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Ids of runs: their points.", autocompletion=complete_run, metavar="[RUN...]"),
    ] = None,
    where: Annotated[
        str | None, typer.Option("-w", "--where", help="Instead: a row for each run that matches; '' for all.")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="File to write; - for stdout.")] = None,
    parquet: Annotated[Path | None, typer.Option("--parquet", help="The same as Parquet.")] = None,
    arrow: Annotated[Path | None, typer.Option("--arrow", help="The same as an Arrow stream.")] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("-n", "--name", help="Only this series; repeat for more.", autocompletion=complete_series),
    ] = None,
    superseded: Annotated[bool, typer.Option("--superseded", help="Also points that later attempts replaced.")] = False,
    column: Annotated[
        list[str] | None,
        typer.Option("-c", "--column", help="Of runs: only this column; repeat.", autocompletion=complete_column),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Write every point of runs, or a row for each run, to a file: exact, of any size, from one instant.

    Points have the columns run_id, series, attempt, step, time (µs) and value. In CSV, text that a spreadsheet would
    take for a formula has a ' in front.

    Examples: `gateway runs export RUN --csv points.csv`, `gateway runs export A B --name loss --parquet loss.parquet`,
    `gateway runs export --where "state = 'finished'" -c params.lr -c metrics.loss --csv -`
    """
    format, file = _only_file(csv, parquet, arrow)
    if bool(runs) == (where is not None):
        raise BadSettings("give ids of runs for their points, or --where FILTER for a row a run: one of the two")
    if as_json and str(file) == "-":
        raise BadSettings("--json prints to stdout, where the data would go: name a file")
    of_points: dict[str, Any] = {"run_id": runs, "name": name or None, "superseded": superseded or None}
    asked = {"format": format, **(of_points if runs else {"where": where, "column": column or None})}
    api = api_of(home)
    with near_ids(api, *(runs or ())):
        _refuse_unknown(api, runs or [], name or [])
        size, as_of = _write(api, f"/v1/export/{'points' if runs else 'runs'}", asked, file)
    if as_json:
        print_json({"file": str(file), "format": format, "bytes": size, "as_of": as_of})
    elif str(file) != "-":
        print_notice(f"{file}: {size:,} bytes, as of offset {as_of}")
    _say_what_is_empty(api, where, column or [])


def _say_what_is_empty(api: Api, where: str | None, columns: list[str]) -> None:
    """Say on stderr, of an export of runs, where none matches, and which names no run has."""
    from gateway import read

    if where is None:
        return
    none = not len(read.runs(where, columns=["run_id"], limit=1, api=api))
    if none:
        print_notice("no runs match: the file has no rows")
    print_unknown(api, where if none else "", columns=columns)


def _refuse_unknown(api: Api, runs: list[str], names: list[str]) -> None:
    """Raise BadSettings for a series that none of the runs has: its file would be empty."""
    from gateway import read

    for name in names if runs else ():
        if name not in read.index(runs, prefix=name, api=api).columns["series"]:
            raise BadSettings(f"no series {name!r:.200} in these runs: `gateway runs series RUN` shows what a run has")


def _only_file(*files: Path | None) -> tuple[str, Path]:
    """Return the format and the file that are asked for. Raises BadSettings for none and for several."""
    chosen = [(format, file) for format, file in zip(FORMATS, files, strict=True) if file is not None]
    if len(chosen) != 1:
        raise BadSettings("name one file: --csv FILE, --parquet FILE or --arrow FILE")
    return chosen[0]


def _write(api: Api, path: str, asked: Mapping[str, Any], file: Path) -> tuple[int, str]:
    """Write an export to a file and return its size and offsets."""
    if str(file) == "-":
        return _copy(api, path, asked, sys.stdout.buffer)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("wb") as to:
                found = _copy(api, path, asked, to)
            part.replace(file)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise BadSettings(f"{file} cannot be written ({why}): name another file, or make room") from error
    return found


def _copy(api: Api, path: str, asked: Mapping[str, Any], to: BinaryIO) -> tuple[int, str]:
    from gateway.client.query import open_bytes
    from gateway.read.asking import Progress

    size = 0
    with open_bytes(api, path, 0, **asked) as data, Progress("exporting") as bar:
        while piece := data.read(PIECE_BYTES):
            to.write(piece)
            size += len(piece)
            bar.move(size, "bytes")
        return size, data.header("X-Folded")
