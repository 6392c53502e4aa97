"""
Take a run log of runnable apart, and put it together again. Pure.

    run log     as runnable writes it: steps contain branches, which contain steps
    chunk       the run log without branches, or one branch without the branches in it: the unit of a local file,
                because only one process at a time writes a branch. By name; that of the run log itself is ""
    part        what changes as one: facts of the run, its configuration, a job, a branch, a step
    label       a part as a time (µs) and JSON text, under a name of its own (event kind `labels`): so the log has the
                exact run log. Each process has its own names, because the journal of one that was killed may reach
                the log after what another wrote later; of one part, the label with the latest time counts

`position` keeps the order of branches and steps. The chunk of the run log has, in `lost`, how many attempts of each
step a killed process began, which runnable forgets. A part above PIECE characters is several labels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

Chunk = dict[str, Any]

ROOT = ""  # name of the chunk with the run log itself
LOST = "lost"
ENDED = ("SUCCESS", "FAIL")  # states in which a step is not executed now
PREFIX = "runnable/"
PIECE = 100_000  # characters of a label; a text of an event has at most 131,072
_LABEL = re.compile("runnable(?P<writer>@[0-9a-f]+)?/(?P<name>.*)", re.DOTALL)
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
    whole[ROOT].pop(LOST, None)
    return whole[ROOT]


def fail_unfinished(chunks: Mapping[str, Chunk]) -> dict[str, Chunk]:
    """Return the chunks that change if the process that wrote them was killed: its attempts of steps are lost."""
    changed: dict[str, Chunk] = {}
    lost = dict(chunks[ROOT].get(LOST) or {}) if ROOT in chunks else {}
    for name, chunk in chunks.items():
        steps = {key: {**step, "status": "FAIL"} for key, step in chunk["steps"].items() if step["status"] not in ENDED}
        if steps:
            changed[name] = {**chunk, "steps": {**chunk["steps"], **steps}}
            lost |= {key: lost.get(key, 0) + 1 for key in steps}
    return {**changed, ROOT: {**changed.get(ROOT, chunks[ROOT]), LOST: lost}} if changed else {}


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


def to_labels(parts: Mapping[str, str], time: int, writer: str = "") -> dict[str, str]:
    """Return parts as the labels of a process (`writer`, hex) at a time (µs); a long one is cut into pieces."""
    labels: dict[str, str] = {}
    mark = f"@{writer}" if writer else ""
    for key, text in parts.items():
        name = key.removeprefix(PREFIX)
        pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
        if len(pieces) > 1:
            labels |= {_piece_key(mark, name, number): piece for number, piece in enumerate(pieces)}
        kept = text if len(pieces) == 1 else f"#{len(pieces)}"
        labels[f"runnable{mark}/{name}"] = f"{time} {kept}"
    return labels


def _piece_key(mark: str, name: str, number: int) -> str:
    return f"runnable-pieces{mark}/{name}/{number}"


def from_labels(labels: Mapping[str, Any]) -> dict[str, Chunk]:
    """Return the chunks that labels of a run hold, by name; {} for a run that runnable did not write."""
    latest = _latest(labels)
    if _RUN not in latest:
        return {}
    parts = {name: json.loads(_text_of(name, mark, text, labels)) for name, (_, mark, text) in latest.items()}
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


def _latest(labels: Mapping[str, Any]) -> dict[str, tuple[int, str, str]]:
    """Return time, mark of the writer and text of the latest label of each part, by the name of the part."""
    latest: dict[str, tuple[int, str, str]] = {}
    for key, value in labels.items():
        found, (time, _, text) = _LABEL.fullmatch(key), str(value).partition(" ")
        if found and time.isdecimal() and (found["name"] not in latest or latest[found["name"]][0] < int(time)):
            latest[found["name"]] = int(time), found["writer"] or "", text
    return latest


def _text_of(name: str, mark: str, text: str, labels: Mapping[str, Any]) -> str:
    if not text.startswith("#"):
        return text
    return "".join(str(labels[_piece_key(mark, name, number)]) for number in range(int(text[1:])))
