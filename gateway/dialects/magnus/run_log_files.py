"""
Read the run logs that the stores of Magnus 0.5 leave in a folder.

`file-system` writes one `<run id>.json` a run. `chunked-fs` writes a folder a run: `RunLog.json`, a `Parameter-*.json`
for each parameter, and a `StepLog-<internal name>-<ns>.json` or `BranchLog-…` for each step and branch; the number is
the time at which the step was added, and orders them.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path

from gateway.dialects.magnus.run_log_check import RunLogError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

STORE = ".run_log_store"  # the folder that Magnus writes to by default
HEAD = "RunLog.json"  # of a chunked run log
MAX_BYTES = 256 * 1024 * 1024  # of a file; parsing takes about eight times as much memory


def find_run_logs(place: Path) -> list[Path]:
    """
    Return the run logs at a place, sorted: files, and folders of the chunked store. Raises RunLogError.

    `place` is one of them, or the folder of a store; the folder in which Magnus ran stands for its `.run_log_store`.
    """
    if place.name == HEAD and _has_chunks(place.parent):
        return [place.parent]
    if not place.is_dir():
        return [place]
    if (place / HEAD).exists():
        return [place]
    try:
        inside = sorted(place.iterdir())
    except OSError as error:
        raise RunLogError(f"cannot be read ({error.strerror}): make it readable") from error
    found = [one for one in inside if one.suffix == ".json" or (one / HEAD).exists()]
    if not found and (place / STORE).is_dir():
        return find_run_logs(place / STORE)
    if not found:
        raise RunLogError(f"holds no run log: name a file that Magnus wrote, or its folder {STORE}")
    return found


def read_run_log(place: Path) -> Any:
    """Return the JSON document of a run log, that of the chunked store put together. Raises RunLogError."""
    if not place.is_dir():
        return _read(place)
    try:
        names = sorted(one.name for one in place.iterdir() if one.suffix == ".json")
    except OSError as error:
        raise RunLogError(f"cannot be read ({error.strerror}): make it readable") from error
    return join_chunks({name: _read(place / name, inside=True) for name in names})


def join_chunks(chunks: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the whole run log of the documents of one run, by file name. Pure. Raises RunLogError.

    As `ChunkedRunLogStore.get_run_log_by_id(full=True)` of Magnus 0.5.1: a step belongs to the branch that its
    internal name begins with, and that branch to the step before it.
    """
    for name, chunk in chunks.items():
        if not isinstance(chunk, dict):
            raise RunLogError(f"{name} holds no object: copy the folder again from where Magnus wrote it")
    if HEAD not in chunks:
        raise RunLogError(f"has no {HEAD}: copy the folder again from where Magnus wrote it")
    document = {**chunks[HEAD], "steps": {}}
    parameters = [chunk for name, chunk in chunks.items() if name.startswith("Parameter-")]
    document["parameters"] = {
        **(document.get("parameters") or {}),
        **{name: one[name] for one in parameters for name in one},
    }
    steps, branches = (_ordered(chunks, f"{kind}Log-") for kind in ("Step", "Branch"))
    for name, step in steps.items():
        branch_name, dot, _ = name.rpartition(".")
        if not dot:
            document["steps"][name] = step
            continue
        branch, holder = branches.get(branch_name), steps.get(branch_name.rpartition(".")[0])
        if branch is None or holder is None:
            raise RunLogError(f"lacks the branch or the step around {name!r:.100}: copy the folder again")
        holder["branches"][branch_name] = branch
        branch["steps"][name] = step
    return document


def _ordered(chunks: Mapping[str, Any], prefix: str) -> dict[str, dict[str, Any]]:
    """Return the steps or branches by internal name, in the order in which they were added, without what they hold."""
    names = sorted((name for name in chunks if name.startswith(prefix)), key=lambda one: (_added(one), one))
    hold = "branches" if prefix == "StepLog-" else "steps"
    found = {}
    for name in names:
        key = chunks[name].get("internal_name")
        if not isinstance(key, str):
            raise RunLogError(f"{name} has no internal_name: copy the folder again from where Magnus wrote it")
        found[key] = {**chunks[name], hold: {}}
    return found


def _added(name: str) -> int:
    number = name.removesuffix(".json").rpartition("-")[2]
    return int(number) if number.isascii() and number.isdecimal() and len(number) <= 20 else 0


def _read(path: Path, *, inside: bool = False) -> Any:
    where = f"{path.name}: " if inside else ""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise RunLogError(f"{where}is no file: name a file that Magnus wrote")
        if facts.st_size > MAX_BYTES:
            size, most = facts.st_size // 1_000_000, MAX_BYTES // 1_000_000
            raise RunLogError(f"{where}has {size:,} MB, at most {most} MB are read: this is no run log of Magnus")
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RunLogError(f"{where}does not exist: name a file that Magnus wrote, or its folder {STORE}") from error
    except OSError as error:
        raise RunLogError(f"{where}cannot be read ({error.strerror}): make it readable") from error
    except RecursionError as error:
        raise RunLogError(f"{where}is nested too deep for a run log: name a file that Magnus wrote") from error
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise RunLogError(f"{where}is no whole JSON ({at}): copy it again from where Magnus wrote it") from error
    except ValueError as error:  # no UTF-8, or a number of more digits than Python reads
        raise RunLogError(f"{where}cannot be read as JSON ({error!s:.200}): name a file that Magnus wrote") from error


def _has_chunks(folder: Path) -> bool:
    try:
        return any(one.name.startswith(("StepLog-", "Parameter-", "BranchLog-")) for one in folder.iterdir())
    except OSError:
        return False
