"""
`gateway sync [DIR]`: send the journals of processes that ended, or were offline, and store their artifacts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.console import HomeOption, JsonOption, console, print_json, print_notice
from schemas.errors import BadSettings, LogUnavailable

Folder = Annotated[
    Path | None,
    typer.Argument(
        readable=False,  # checked by `_check`, whose errors are one line
        help="Folder of journals, or a copy of one. Default: GATEWAY_JOURNAL_DIR, or `journal` in the home.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(sync)


def sync(
    folder: Folder = None,
    url: Annotated[str, typer.Option(help="Address to send to. Default: where training code sends.")] = "",
    timeout_s: Annotated[float, typer.Option(help="Seconds without an acknowledgement before giving up.")] = 60.0,
    other_hosts: Annotated[
        bool, typer.Option("--other-hosts", help="Send journals of other hosts too. Their processes must have ended.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Send the journals of killed or offline processes, with their original times, and store their artifacts.

    Journals of living processes are skipped, because those processes send them. What the log has acknowledged is
    deleted here; running this twice, or killing it, does no harm. On a file system that several hosts share, journals
    of another host are left to that host: its locks may not be visible here.

    Examples: `gateway sync`, `gateway sync /media/stick/journal`
    """
    from gateway.client.artifacts.orphans import OrphanedUploads
    from gateway.client.journal.folder import journal_home
    from gateway.client.shipping.shipper import Shipper
    from gateway.client.shipping.sync import sync as ship
    from gateway.client.stack_file import NoHome

    try:
        journals = folder or Path(journal_home())
    except NoHome as error:
        raise BadSettings(f"{error}: set GATEWAY_JOURNAL_DIR, or GATEWAY_HOME, or name the folder") from error
    _check(journals, is_named=folder is not None)
    address, is_own = address_of(url, home), folder is None
    shipper = Shipper(address, adopts=False)  # `ship` adopts each journal itself, and counts it
    try:
        with SyncBar(is_shown=not as_json) as bar:
            done = ship(str(journals), shipper, timeout_s=timeout_s, progress=bar.move, other_hosts=other_hosts)
    finally:
        shipper.stop()
    uploads = OrphanedUploads(str(journals), address, is_own=is_own, other_hosts=other_hosts).upload()
    facts = {**done.to_json(), **uploads.to_json()}
    if as_json:
        print_json(facts)
    else:
        _print(facts)
    for what, waiting in (("journals could be sent", done.unsent), ("artifacts could be stored", uploads.waiting)):
        if waiting:
            raise LogUnavailable(f"not all {what} ({waiting[0]}): they stay; mend that, then run `gateway sync` again")


def _check(folder: Path, *, is_named: bool) -> None:
    """Raise BadSettings for a folder that cannot hold journals. The default one may not exist yet: it has none."""
    try:
        with os.scandir(folder):
            return
    except FileNotFoundError as error:
        if is_named:
            raise BadSettings(f"{folder} does not exist: name the folder of journals, or a copy of it") from error
    except NotADirectoryError as error:
        raise BadSettings(f"{folder} is not a folder: name the folder of journals, or a copy of it") from error
    except OSError as error:
        raise BadSettings(
            f"{folder} cannot be read ({error.strerror}): run this as the user who trained, or make it readable"
        ) from error


def address_of(url: str, home: Path | None) -> Any:
    """Return `url`, or the address that training code finds. Raises BadSettings when neither keeps events."""
    from gateway.client.address import find_address
    from gateway.client.errors import ClientError

    environ = {**os.environ, **({"GATEWAY_HOME": str(home)} if home else {})}
    try:
        address = find_address(url or None, environ)
    except ClientError as error:
        raise BadSettings(str(error)) from error
    if not address.keeps:
        raise BadSettings("no address to send to: start the local stack with `gateway up`, or set GATEWAY_URL")
    return address


def _print(facts: dict[str, Any]) -> None:
    out = console()
    runs = len(facts["runs"])
    if not any(facts[name] for name in ("journals", "held", "unsent", *(one for one in facts if "artifacts" in one))):
        out.print(f"no journals in {facts['folder']}: nothing waits there", markup=False, soft_wrap=True)
        return
    out.print(f"{facts['journals']:,} journals of {runs:,} runs sent: {facts['points']:,} points and values")
    if facts["damaged_records"]:
        out.print(f"{facts['damaged_records']:,} damaged records were skipped")
    if facts["held"]:
        out.print(f"{len(facts['held']):,} journals skipped: a living process writes or sends each of them")
    for line in facts["unsent"]:
        print_notice(f"not sent: {line}")
    if facts["artifacts"]:
        out.print(f"{facts['artifacts']:,} artifacts stored")
    if facts["artifacts_held"]:
        out.print(f"artifacts in {len(facts['artifacts_held']):,} folders skipped: a living process stores them")
    for line in facts["artifacts_waiting"]:
        print_notice(f"not stored: {line}")
    for line in facts["artifacts_lost"]:
        print_notice(f"bytes are gone, the artifact is a reference: {line}")


class SyncBar:
    """A progress bar at a terminal, nothing elsewhere."""

    def __init__(self, *, is_shown: bool) -> None:
        self._console = console(stderr=True)
        self._is_shown = is_shown and self._console.is_terminal
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> SyncBar:
        if self._is_shown:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bars = Progress(
                TextColumn("{task.description}", markup=False),  # a run id may hold any text
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def move(self, run_id: str, sent: int, total: int) -> None:
        """Show how far a run is."""
        if self._bars is None:
            return
        if run_id not in self._tasks:
            self._tasks[run_id] = self._bars.add_task(run_id, total=total)
        self._bars.update(self._tasks[run_id], completed=sent)
