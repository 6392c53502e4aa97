"""
Check that a JSON document is a run log of Magnus 0.5 before anything of it is written. Pure: no clock, no I/O.

The form is that of seeds 000 and 001, and of `magnus.datastore.RunLog` 0.5.1, which writes null where it has no text.
What an event could not hold unchanged is refused here, so that a file is imported whole or not at all.
"""

from __future__ import annotations

from gateway.client.encoding.values import MAX_NAME
from gateway.client.process.inheritance import MAX_RUN_ID, MAX_RUN_ID_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

MAX_DEPTH = 100  # of nested containers, as schemas/bounds.py has it for one JSON value
ENDS = {"SUCCESS": "success", "FAIL": "fail"}  # a status of Magnus that is an end, as our events write it
STATUSES = ("CREATED", "TRIGGERED", "PROCESSING", *ENDS)
STAGES = ("put", "get")

# By field of each part: what it holds, and "!" where a run log always has it.
RUN = {
    "run_id": "text!", "dag_hash": "text", "use_cached": "bool", "tag": "text", "original_run_id": "text",
    "status": "status!", "steps": "object!", "parameters": "names", "run_config": "object",
}  # fmt: skip
STEP = {
    "name": "text!", "internal_name": "name!", "status": "status!", "step_type": "text", "message": "text",
    "mock": "bool", "code_identities": "list", "attempts": "list", "user_defined_metrics": "names",
    "branches": "object", "data_catalog": "list",
}  # fmt: skip
ATTEMPT = {
    "attempt_number": "number", "start_time": "text", "end_time": "text", "duration": "text", "status": "status!",
    "message": "text", "parameters": "names",
}  # fmt: skip
CODE = {
    "code_identifier": "short", "code_identifier_type": "text", "code_identifier_dependable": "bool",
    "code_identifier_url": "text", "code_identifier_message": "text",
}  # fmt: skip
CATALOG = {
    "name": "name!", "data_hash": "text", "catalog_relative_path": "text", "catalog_handler_location": "text",
    "stage": "stage",
}  # fmt: skip
BRANCH = {"internal_name": "text!", "status": "status!", "steps": "object!"}
_KINDS: Mapping[str, tuple[type, str]] = {
    "text": (str, "text"), "name": (str, "text"), "short": (str, "text"), "status": (str, "text"),
    "stage": (str, "text"), "bool": (bool, "true or false"), "number": (int, "a whole number"),
    "object": (dict, "an object"), "names": (dict, "an object"), "list": (list, "a list"),
}  # fmt: skip


class RunLogError(Exception):
    """A file or document cannot be imported; the message is one line: what is wrong, and the next step."""


def check_run_log(document: Any, *, ignore_unknown: bool = False) -> None:
    """Raise RunLogError unless `document` is a whole run log of Magnus, with nothing that an event cannot hold."""
    if not isinstance(document, dict) or not {"run_id", "steps"} <= document.keys():
        raise RunLogError("this is no run log: name a file that Magnus' run-log store wrote")
    if "job" in document:
        raise RunLogError("this is a run log of runnable, not of Magnus: import files of Magnus 0.5")
    _check_texts(document)
    _check_part("", document, RUN, ignore_unknown)
    run_id = document["run_id"]
    if not 1 <= len(run_id) <= MAX_RUN_ID or len(run_id.encode()) > MAX_RUN_ID_BYTES:
        raise RunLogError(f"run_id has {len(run_id):,} characters: an id has 1 to {MAX_RUN_ID}")
    seen: set[str] = set()
    for where, step in _check_steps("steps", document["steps"], ignore_unknown):
        if step["internal_name"] in seen:
            raise RunLogError(f"{where}: there is another step {step['internal_name']!r:.100}: their names must differ")
        seen.add(step["internal_name"])


def _check_steps(where: str, steps: Mapping[str, Any], ignore_unknown: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, step in steps.items():
        here = f"{where}.{key}"
        _check_part(here, step, STEP, ignore_unknown)
        yield here, step
        for field, fields in (("attempts", ATTEMPT), ("code_identities", CODE), ("data_catalog", CATALOG)):
            for index, part in enumerate(step.get(field) or ()):
                _check_part(f"{here}.{field}[{index}]", part, fields, ignore_unknown)
        numbers = [attempt.get("attempt_number") for attempt in step.get("attempts") or ()]
        if len(set(numbers)) < len(numbers):
            raise RunLogError(f"{here}.attempts: two have the same attempt_number: correct the file")
        for name, branch in (step.get("branches") or {}).items():
            _check_part(f"{here}.branches.{name}", branch, BRANCH, ignore_unknown)
            yield from _check_steps(f"{here}.branches.{name}.steps", branch["steps"], ignore_unknown)


def _check_part(where: str, part: Any, fields: Mapping[str, str], ignore_unknown: bool) -> None:
    if not isinstance(part, dict):
        raise RunLogError(f"{where:.300} is {_kind(part)}, not an object: this is no run log of Magnus")
    at = f"{where:.300}." if where else ""
    if (unknown := sorted(part.keys() - fields.keys())) and not ignore_unknown:
        names = ", ".join(f"{at}{name:.100}" for name in unknown[:3])
        raise RunLogError(f"unknown field {names}: leave such fields out with --ignore-unknown, or correct the file")
    for field, text in fields.items():
        kind, is_required = text.rstrip("!"), text.endswith("!")
        value = part.get(field)
        if value is None:
            if is_required:
                raise RunLogError(f"{at}{field} is missing: this is no whole run log of Magnus")
            continue
        expected, words = _KINDS[kind]
        if type(value) is not expected:
            raise RunLogError(f"{at}{field} is {_kind(value)}, not {words}: this is no run log of Magnus")
        _check_value(f"{at}{field}", kind, value)


def _check_value(where: str, kind: str, value: Any) -> None:
    if kind == "status" and value not in STATUSES:
        raise RunLogError(f"{where} is {value!r:.100}: a status of Magnus is one of {', '.join(STATUSES)}")
    if kind == "stage" and value and value not in STAGES:
        raise RunLogError(f"{where} is {value!r:.100}: a stage is put or get")
    if kind == "number" and not 1 <= value <= 2**31 - 1:
        raise RunLogError(f"{where} is {value}: attempts are counted from 1")
    if kind == "short" and len(value.encode()) > MAX_NAME:
        raise RunLogError(f"{where} has {len(value.encode()):,} bytes, at most {MAX_NAME:,} can be kept: shorten it")
    for name in (value,) if kind == "name" else value if kind == "names" else ():
        if not 1 <= len(name) <= MAX_NAME or len(name.encode()) > MAX_NAME:
            raise RunLogError(f"{where}: a name has 1 to {MAX_NAME:,} bytes, not {len(name.encode()):,}: {name!r:.60}")


def _check_texts(document: dict[str, Any]) -> None:
    """Raise RunLogError for text that UTF-8 or PostgreSQL cannot hold, and for what is nested too deep."""
    level: list[tuple[str, Any]] = [("", document)]
    for _ in range(MAX_DEPTH + 1):
        inner: list[tuple[str, Any]] = []
        for where, container in level:
            for here, name, value in _entries(where, container):
                if _is_hostile(name):
                    raise RunLogError(_hostile("a name in " + (where or "the run log"), name))
                if isinstance(value, str) and _is_hostile(value):
                    raise RunLogError(_hostile(here, value))
                if isinstance(value, dict | list):
                    inner.append((here, value))
        if not inner:
            return
        level = inner
    raise RunLogError(f"more than {MAX_DEPTH} values are nested in each other ({level[0][0]:.60}…): correct the file")


def _entries(where: str, container: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield the place, name and value of each entry; those of a list have no name."""
    if isinstance(container, dict):
        yield from ((f"{where}.{name}" if where else name, name, value) for name, value in container.items())
    else:
        yield from ((f"{where}[{index}]", "", value) for index, value in enumerate(container))


def _is_hostile(text: str) -> bool:
    return "\x00" in text or (not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text))


def _hostile(where: str, text: str) -> str:
    what = "the character U+0000" if "\x00" in text else "half of a surrogate pair"
    return f"{where:.300} contains {what}, which no reader could store: correct the file"


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", dict: "an object", list: "a list"}
    return names.get(type(value), "null")
