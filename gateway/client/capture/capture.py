"""
Capture facts about a run in addition to what training code logs, each with a switch.

    command   command line, working directory, with secrets masked      environment event   on
    host      host, platform, Python, processors, process id            environment event   on
    packages  installed distributions and their versions                environment event   on
    code      git commit, whether it is clean, digest of the changes    code event          on
    console   lines written to sys.stdout and sys.stderr                text events         off
    system    processor, memory, disk, network, GPUs                    system_metrics      off

Environment variables are never captured: they hold secrets. The background thread of the run gathers everything; a
capture that fails is reported once and left out. GATEWAY_CAPTURE names the switches that are on where the program does
not say: `all`, `none` or a list like `command,code`.
"""

from __future__ import annotations

import os

from gateway.client.encoding.typed import typed
from gateway.client.encoding.values import now
from gateway.client.errors import ClientError
from gateway.client.guards import safe_repr, warn_lost
from gateway.client.journal.series import MAIN
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.client.recording.recorder import Recorder

VARIABLE = "GATEWAY_CAPTURE"
DEFAULTS = frozenset({"command", "host", "packages", "code"})
SWITCHES = DEFAULTS | {"console", "system"}


def read_switches(given: bool | Mapping[str, bool] | None) -> frozenset[str]:
    """Return the names of the switches that are on. Raises ClientError for an unknown switch."""
    if given is True:
        return SWITCHES
    if given is False:
        return frozenset()
    on = _from_environment()
    if given is None:
        return on
    try:
        wanted = {str(name): bool(is_on) for name, is_on in dict(given).items()}
    except (TypeError, ValueError) as error:
        raise ClientError(f"capture={safe_repr(given)} is neither true, false nor a dict of switches") from error
    unknown = sorted(set(wanted) - SWITCHES)
    if unknown:
        raise ClientError(f"capture has no switch {', '.join(unknown)}: it has {', '.join(sorted(SWITCHES))}")
    return frozenset(name for name in SWITCHES if wanted.get(name, name in on))


def _from_environment() -> frozenset[str]:
    text = os.environ.get(VARIABLE, "").strip().lower()
    if not text:
        return DEFAULTS
    if text in ("all", "none"):
        return SWITCHES if text == "all" else frozenset()
    names = {name.strip() for name in text.split(",")}
    unknown = sorted(names - SWITCHES)
    if unknown:
        warn_once("capture-setting", f"{VARIABLE} names {', '.join(unknown)}, which is no switch: it is ignored")
    return SWITCHES & names


def start_capture(recorder: Recorder, on: frozenset[str]) -> None:
    """Start to capture what the switches in `on` stand for. Never raises."""
    try:
        _start(recorder, on)
    except Exception as error:  # noqa: BLE001 -- capture cannot start on this host: this is reported, training continues
        warn_lost("capture", "host, code, output and system metrics cannot be captured", error)


def _start(recorder: Recorder, on: frozenset[str]) -> None:
    background, folder = recorder.background(), _working_directory()
    if "command" in on:
        from gateway.client.capture.host import describe_command

        values = describe_command(folder)  # in this thread and now: the program may change both
        background.submit(lambda: _environment(recorder, values))
    if "host" in on:
        background.submit(lambda: _host(recorder))
    if "code" in on:
        background.submit(lambda: _code(recorder, folder))
    if "packages" in on:
        background.submit(lambda: _packages(recorder))
    if "console" in on:
        from gateway.client.capture.console import Console

        console = Console(recorder)
        background.every(console.every_s, console.flush, last=console.stop)
    if "system" in on:
        from gateway.client.capture.system import System

        system = System(recorder)
        background.every(system.every_s, system.sample, last=system.stop)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""  # it was deleted


def _environment(recorder: Recorder, values: dict[str, object]) -> None:
    recorder.record_at("environment", now(), values={name: typed(value) for name, value in values.items()})


def _host(recorder: Recorder) -> None:
    from gateway.client.capture.host import describe_host

    _environment(recorder, describe_host())


def _packages(recorder: Recorder) -> None:
    from gateway.client.capture.host import installed_packages

    _environment(recorder, {"packages": installed_packages()})


def _code(recorder: Recorder, folder: str) -> None:
    from gateway.client.capture.git import describe_code

    found = describe_code(folder)
    if found is not None:
        recorder.record_at("code", now(), step_name=MAIN, attempt=recorder.attempt, **found)
