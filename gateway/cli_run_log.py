"""
A run log, readable: what it is, how it went, its parameters, its steps with their attempts and metrics.
"""

from __future__ import annotations

import json
from typing import Any

from gateway.cli_output import console

SHOWN_METRICS = 40


def print_run_log(document: dict[str, Any]) -> None:
    """Print a run-log document (schemas/runlog.py) for people."""
    out = console()
    for name, value in _head(document):
        out.print(f"{name:<10} {value}", markup=False)
    if document["parameters"]:
        out.print("\nparameters", style="bold")
        for name, value in document["parameters"].items():
            out.print(f"  {name} = {_text(value)}", markup=False)
    for step in document["steps"].values():
        out.print(f"\nstep {step['name']}  {step['status']}  {step['message']}".rstrip(), style="bold", markup=False)
        for attempt in step["attempts"]:
            out.print(_attempt(attempt), markup=False)
        _print_metrics(step["user_defined_metrics"])
    for producer in document.get("completeness", []):
        out.print(_completeness(producer), markup=False)


def _head(document: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("run", document["run_id"]),
        ("name", document.get("name", "")),
        ("group", document.get("group", "")),
        ("tag", document["tag"]),
        ("status", f"{document['status']} ({document['state']})" if document.get("state") else document["status"]),
        ("message", document.get("message", "")),
        ("started", document.get("start_time") or ""),
        ("ended", document.get("end_time") or ""),
        ("tags", ", ".join(f"{name}={value}" for name, value in document.get("tags", {}).items())),
        ("note", document.get("note", "")),
    ]
    return [(name, value) for name, value in rows if value]


def _attempt(attempt: dict[str, Any]) -> str:
    parts = [
        f"  attempt {attempt['attempt_number']}",
        attempt["status"],
        attempt["start_time"] or "",
        attempt["message"],
    ]
    if attempt["duration"]:
        parts.insert(3, f"took {attempt['duration']}")
    return "  ".join(part for part in parts if part)


def _print_metrics(metrics: dict[str, Any]) -> None:
    out = console()
    for name, value in list(metrics.items())[:SHOWN_METRICS]:
        out.print(f"  {name}: {_metric(value)}", markup=False)
    if len(metrics) > SHOWN_METRICS:
        out.print(f"  … and {len(metrics) - SHOWN_METRICS} more: see them with --json")


def _metric(value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return _text(value)
    last = list(value)[-1]
    return f"{_text(value[last])} at {last} ({len(value)} values)"


def _completeness(producer: dict[str, Any]) -> str:
    expected = producer["expected"]
    of = f" of {expected}" if expected is not None else ", still open"
    missing = sum(end - first for first, end in producer["missing"])
    twice = producer["refused_duplicates"]
    dropped = f", {producer['dropped_points']} points dropped by it" if producer["dropped_points"] else ""
    received = f"{producer['received']}{of} received, {missing} missing, {twice} refused twice{dropped}"
    return f"\nproducer {producer['producer']}: {received}"


def _text(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else text[:199] + "…"
