"""
`gateway artifacts list | download | log | delete`: files of runs, through gateway/artifacts.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Annotated, Any

import typer

from gateway.cli.runs import RunArgument, api_of
from gateway.console import HomeOption, JsonOption, console, print_json, print_notice
from schemas.errors import BadSettings
from schemas.runtime.text import escape_unprintable

SHOWN_BARS = 8

app = typer.Typer(no_args_is_help=True, help="List, download, log and delete artifacts of runs.")


def _complete_path(ctx: Any, incomplete: str) -> list[str]:
    """Complete the path of an artifact, folder by folder."""
    from gateway import artifacts
    from gateway.client.errors import ClientError
    from schemas.errors import TrackingError

    folder = incomplete.rpartition("/")[0]
    try:
        found = artifacts.list(ctx.params.get("run") or "", folder, api=api_of(ctx.params.get("home")))
    except (TrackingError, ClientError):
        return []  # completion must not print errors into the command line
    return [one.path + "/" * one.is_dir for one in found if one.path.startswith(incomplete)]


PathArgument = Annotated[
    str,
    typer.Argument(
        help="Path of a file or folder in the run; all of the run without one.",
        show_default=False,
        autocompletion=_complete_path,
        metavar="[PATH]",
    ),
]
TimeoutOption = Annotated[float, typer.Option("--timeout-s", min=0.1, help="Seconds to wait until the log has it.")]


@app.command("list")
def list_artifacts(
    run: RunArgument,
    path: PathArgument = "",
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Every file below the folder.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    List the artifacts of a run: the files and folders in a folder, with sizes.

    Examples: `gateway artifacts list RUN`, `gateway artifacts list RUN model --recursive --json`
    """
    from gateway import artifacts

    base = api_of(home)
    with _known(base, run):
        found = artifacts.list(run, path, recursive=recursive, api=base)
    if as_json:
        print_json({"run_id": run, "path": path, "artifacts": [one._asdict() for one in found]})
    elif not found:
        print_notice(f"run {run} has no artifacts{' in ' + path if path else ''}")
    else:
        from rich.table import Table

        table = Table("path", "bytes", "what", box=None, pad_edge=False, header_style="bold")
        table.columns[1].justify = "right"
        for one in found:
            what = f"folder of {one.files:,}" if one.is_dir else one.media_type if one.stored else f"at {one.uri}"
            size = "" if one.size is None else f"{one.size:,}"
            table.add_row(*map(escape_unprintable, (one.path + "/" * one.is_dir, size, what)))
        console().print(table)


@app.command()
def download(
    run: RunArgument,
    path: PathArgument = "",
    to: Annotated[Path, typer.Option("--to", help="Folder to write to; it is made if it is absent.")] = Path(),
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Download a file or a folder of a run to its path below a folder, and check its SHA-256.

    What is there already is left, and a download that was interrupted continues. Bytes come from the store that
    GATEWAY_ARTIFACTS names, else through the API.

    Examples: `gateway artifacts download RUN model/weights.pt --to /tmp`,
    `gateway artifacts download RUN --to runs/RUN --json`
    """
    from gateway import artifacts

    base = api_of(home)
    try:
        with _known(base, run), _Bars(is_shown=not as_json) as bars:
            place = artifacts.download(run, path, to, progress=bars.move, api=base, home=str(home or ""))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise BadSettings(f"{to} cannot be written ({why}): name another folder with --to, or make room") from error
    if as_json:
        print_json({"run_id": run, "path": path, "to": place})
    else:
        typer.echo(place)


@app.command()
def log(
    run: RunArgument,
    file: Annotated[Path, typer.Argument(help="File or folder of this machine.", show_default=False, metavar="FILE")],
    name: Annotated[
        str | None, typer.Option("--name", help="Path in the run; of a folder, where its files go. Default: its name.")
    ] = None,
    timeout_s: TimeoutOption = 20.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Log a file, or each file below a folder, as artifacts of a run that exists; the store gets their bytes.

    Examples: `gateway artifacts log RUN report.pdf`, `gateway artifacts log RUN ./plots --name plots`
    """
    from gateway import artifacts

    try:
        with _known(api_of(home), run):
            names = artifacts.log(run, file, name, timeout_s=timeout_s, home=str(home or ""))
    except OSError as error:
        raise BadSettings(f"{file} cannot be read ({error.strerror}): name a file or a folder") from error
    if as_json:
        print_json({"run_id": run, "logged": names})
    else:
        for one in names:
            typer.echo(f"logged {escape_unprintable(one)}")


@app.command()
def delete(
    run: RunArgument,
    path: Annotated[
        str,
        typer.Argument(
            help="Path of a file or folder.", show_default=False, autocompletion=_complete_path, metavar="PATH"
        ),
    ],
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    timeout_s: TimeoutOption = 20.0,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Delete an artifact of a run, or all in a folder. Bytes in the store stay, because runs share them.

    Examples: `gateway artifacts delete RUN model/old.pt`, `gateway artifacts delete RUN plots --yes --json`
    """
    from gateway import artifacts

    base = api_of(home)
    if not yes and not sys.stdin.isatty():
        raise BadSettings("confirmation is needed, and stdin is not a terminal: add --yes")
    with _known(base, run):
        if not yes:
            count = len(artifacts.list(run, path, recursive=True, api=base))
            typer.confirm(f"Delete {path!r} of run {run} ({count:,} artifacts)?", err=True, abort=True)
        names = artifacts.delete(run, path, timeout_s=timeout_s, api=base, home=str(home or ""))
    if as_json:
        print_json({"run_id": run, "deleted": names})
    else:
        for one in names:
            typer.echo(f"deleted {escape_unprintable(one)}")


@contextmanager
def _known(base: str, run: str) -> Iterator[None]:
    """Raise Refused, with near ids, for a run that the API does not know; the block asks about it."""
    from gateway.cli.lookup import find_run
    from gateway.client.query import ApiRefused

    try:
        yield
    except ApiRefused:
        find_run(base, run)
        raise


class _Bars:
    """A progress bar for each file at a terminal, nothing elsewhere."""

    def __init__(self, *, is_shown: bool) -> None:
        self._console = console(stderr=True)
        self._is_shown = is_shown and self._console.is_terminal
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._lock = Lock()

    def __enter__(self) -> _Bars:
        if self._is_shown:
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn()
            self._bars = Progress(*columns, TransferSpeedColumn(), console=self._console)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def move(self, artifact: Any, count: int) -> None:
        """Show how many bytes of an artifact are there; only the newest few keep their bars."""
        if self._bars is None:
            return
        with self._lock:  # several threads download
            if artifact.path not in self._tasks:
                if len(self._tasks) >= SHOWN_BARS:
                    self._bars.remove_task(self._tasks.pop(next(iter(self._tasks))))
                self._tasks[artifact.path] = self._bars.add_task(escape_unprintable(artifact.path), total=artifact.size)
            self._bars.update(self._tasks[artifact.path], completed=count)
