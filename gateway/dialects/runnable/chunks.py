"""
Take a run log of runnable apart, and put it together again. Pure.

    run log     as runnable writes it: steps contain branches, which contain steps
    chunk       the run log without branches, or one branch without the branches in it: the unit of a local file,
                because only one process at a time writes a branch. By name; that of the run log itself is ""
    part        what changes as one: facts of the run, its configuration, a job, a branch, a step
    label       a part as JSON text under a name of its own (event kind `labels`): so the log has the exact
                run log

`position` keeps the order of branches and steps. A part above PIECE characters is several labels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

Chunk = dict[str, Any]

ROOT = ""  # name of the chunk with the run log itself
PREFIX, PIECES = "runnable/", "runnable-pieces/"
PIECE = 100_000  # characters of a label; a text of an event has at most 131,072
MAX_KEY = 400  # characters of a label's name; the contract allows 1,024 bytes
_LAST = ("steps", "job", "parameters", "run_config")
_RUN, _CONFIG, _JOB, _BRANCHES, _STEPS = "run", "run_config", "job", "branches/", "steps/"


def split_run_log(run_log: Mapping[str, Any]) -> dict[str, Chunk]:
    """Return the chunks of a run log, by name; that of the run first."""
    chunks: dict[str, Chunk] = {}
    _split(ROOT, dict(run_log), chunks)
    return chunks


def _split(name: str, chunk: Chunk, chunks: dict[str, Chunk]) -> None:
    chunks[name] = chunk
    steps = chunk.get("steps") or {}
    chunk["steps"] = {key: {**step, "branches": {}} for key, step in steps.items()}
    for step in steps.values():
        for position, (branch_name, branch) in enumerate((step.get("branches") or {}).items()):
            _split(branch_name, {**branch, "position": position}, chunks)


def join_run_log(chunks: Mapping[str, Chunk]) -> dict[str, Any] | None:
    """Return the run log that these chunks make; None without that of the run."""
    if ROOT not in chunks:
        return None
    whole = {name: _copied(chunk) for name, chunk in chunks.items()}
    steps = {key: step for chunk in whole.values() for key, step in chunk["steps"].items()}
    branches = [(name, chunk) for name, chunk in whole.items() if name != ROOT]
    for name, branch in sorted(branches, key=lambda found: int(found[1].pop("position", 0))):
        parent = steps.get(name.rpartition(".")[0]) or _holder(name, steps)
        if parent is not None:
            parent["branches"][name] = branch
    return whole[ROOT]


def _holder(branch: str, steps: Mapping[str, Any]) -> Any:
    """Return the step around a branch with a dot in its own name, such as a value that a map node goes through."""
    return steps.get(max((key for key in steps if branch.startswith(f"{key}.")), key=len, default=""))


def _copied(chunk: Chunk) -> Chunk:
    steps = {key: {**step, "branches": {}} for key, step in (chunk.get("steps") or {}).items()}
    return {**chunk, "steps": steps}


def as_json(chunk: Mapping[str, Any]) -> Chunk:
    """Return a chunk as a file will hold it; what JSON has no form for, as its text."""
    found: Chunk = json.loads(json.dumps(chunk, default=str))
    return found


def parts_of(name: str, chunk: Chunk | None) -> dict[str, str]:
    """Return the parts of a chunk as JSON text, by the names of their labels; {} for none. NaN stays NaN."""
    if chunk is None:
        return {}
    own = {key: value for key, value in chunk.items() if key not in ("steps", "run_config", "job")}
    parts: dict[str, Any] = {_key(f"{_BRANCHES}{name}" if name else _RUN): own}
    if not name:
        parts[_key(_CONFIG)], parts[_key(_JOB)] = chunk.get("run_config") or {}, chunk.get("job")
    for position, (key, step) in enumerate((chunk.get("steps") or {}).items()):
        parts[_key(f"{_STEPS}{key}")] = {"branch": name, "position": position, "step": step}
    return {key: json.dumps(part, separators=(",", ":")) for key, part in parts.items()}


def _key(name: str) -> str:
    if len(name) > MAX_KEY or not name.isascii():
        name = f"{name[: MAX_KEY // 2]}~{blake2b(name.encode(errors='replace'), digest_size=12).hexdigest()}"
    return PREFIX + name


def to_labels(parts: Mapping[str, str]) -> dict[str, str]:
    """Return parts as labels; a long one is cut into pieces."""
    labels: dict[str, str] = {}
    for key, text in parts.items():
        pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
        if len(pieces) == 1:
            labels[key] = text
        else:
            labels |= {_piece_key(key, number): piece for number, piece in enumerate(pieces)}
            labels[key] = f"#{len(pieces)}"
    return labels


def _piece_key(key: str, number: int) -> str:
    return f"{PIECES}{key.removeprefix(PREFIX)}/{number}"


def from_labels(labels: Mapping[str, Any]) -> dict[str, Chunk]:
    """Return the chunks that labels of a run hold, by name; {} for a run that runnable did not write."""
    parts = {key.removeprefix(PREFIX): json.loads(_text_of(key, labels)) for key in labels if key.startswith(PREFIX)}
    if _RUN not in parts:
        return {}
    job, config = parts.get(_JOB), parts.get(_CONFIG) or {}
    chunks: dict[str, Chunk] = {ROOT: _ordered({**parts[_RUN], "steps": {}, "job": job, "run_config": config})}
    for key, part in parts.items():
        if key.startswith(_BRANCHES):
            chunks[part["internal_name"]] = _ordered({**part, "steps": {}})
    steps = [part for key, part in parts.items() if key.startswith(_STEPS)]
    for part in sorted(steps, key=lambda step: int(step["position"])):
        if part["branch"] in chunks:
            chunks[part["branch"]]["steps"][part["step"]["internal_name"]] = part["step"]
    return chunks


def _ordered(chunk: Chunk) -> Chunk:
    """Return a chunk with its fields in the order of runnable: those after the steps last."""
    return {key: value for key, value in chunk.items() if key not in _LAST} | {
        key: chunk[key] for key in _LAST if key in chunk
    }


def _text_of(key: str, labels: Mapping[str, Any]) -> str:
    text = str(labels[key])
    if not text.startswith("#"):
        return text
    return "".join(str(labels[_piece_key(key, number)]) for number in range(int(text[1:])))
