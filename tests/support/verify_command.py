"""`gateway verify` as a process, on the log, database and trackers of one test."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.support.delivery_process import Place
from tests.support.python_process import PythonProcess

TIMEOUT_S = 200


class CommandResult(NamedTuple):
    """Exit status and output of a command."""

    status: int
    out: str
    err: str

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.out)
        return facts

    def different(self) -> dict[str, set[str]]:
        """Return the runs that differ, by tracker."""
        found: dict[str, set[str]] = {}
        for one in self.facts["differences"]:
            found.setdefault(one["place"], set()).add(one["run_id"])
        return found


def start_command(place: Place, *arguments: str, variables: Mapping[str, str] | None = None) -> PythonProcess:
    """Start `gateway ...` and return the process."""
    command = [sys.executable, "-m", "gateway.cli", *arguments]
    environment = place.variables() | dict(variables or {})
    return PythonProcess(command, env=environment)


async def gateway(place: Place, *arguments: str, variables: Mapping[str, str] | None = None) -> CommandResult:
    """Run `gateway ...` to its end."""
    process = start_command(place, *arguments, variables=variables)
    try:
        out, err = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    return CommandResult(process.returncode, out, err)


async def verify(place: Place, *arguments: str, variables: Mapping[str, str] | None = None) -> CommandResult:
    """Run `gateway verify --json ...` to its end."""
    return await gateway(place, "verify", "--json", *arguments, variables=variables)
