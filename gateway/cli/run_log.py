"""
Print a run log for people: the run, its outcome, parameters, steps with their attempts and metrics, and completeness.
"""

from __future__ import annotations

import json
from typing import Any

from gateway.cli.lookup import all_steps
from gateway.console import console
from schemas.runtime.text import escape_unprintable

SHOWN_METRICS = 40
SHOWN_PRODUCERS = 20
SHOWN_RANGES = 8


def print_run_log(document: dict[str, Any]) -> None:
    """Print a run-log document (schemas/runlog.py) for people."""
    for name, value in _head(document):
        _line(f"{name:<10} {value}")
    if document["parameters"]:
        _title("parameters")
        for name, value in document["parameters"].items():
            _line(f"  {name} = {_text(value)}")
    for name, step in all_steps(document):
        title = step["name"] if name in document["steps"] else name
        _title(f"step {title}  {step['status']}  {step['message']}".rstrip())
        for attempt in step["attempts"]:
            _line(_attempt(attempt))
        _print_metrics(step["user_defined_metrics"])
    _print_completeness(document.get("completeness", []))


def _title(text: str) -> None:
    """Print a heading after an empty line."""
    console().print()
    console().print(escape_unprintable(text), style="bold")


def _line(text: str) -> None:
    """Print one line, and only one, whatever names and values hold."""
    console().print(escape_unprintable(text))


def _head(document: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("run", document["run_id"]),
        ("name", document.get("name", "")),
        ("group", document.get("group", "")),
        ("tag", document["tag"]),
        ("experiment", _experiment(document)),
        ("stage", "in the trash: `gateway runs restore` takes it out" if _is_in_trash(document) else ""),
        ("status", f"{document['status']} ({document['state']})" if document.get("state") else document["status"]),
        ("message", document.get("message", "")),
        ("started", _utc(document.get("start_time"))),
        ("ended", _utc(document.get("end_time"))),
        ("tags", ", ".join(f"{name}={value}" for name, value in document.get("tags", {}).items())),
        ("note", document.get("note", "")),
        ("points", _dropped(document.get("points_dropped"))),
    ]
    return [(name, value) for name, value in rows if value]


def _experiment(document: dict[str, Any]) -> str:
    name = document.get("experiment", "")
    return "" if name == document["tag"] else name


def _is_in_trash(document: dict[str, Any]) -> bool:
    return document.get("lifecycle_stage") == "deleted"


def _utc(time: str | None) -> str:
    return f"{time} UTC" if time else ""


def _dropped(time: str | None) -> str:
    return f"dropped from PostgreSQL by retention at {time} UTC: the last value of each series stays" if time else ""


def _attempt(attempt: dict[str, Any]) -> str:
    parts = [
        f"  attempt {attempt['attempt_number']}",
        attempt["status"],
        _utc(attempt["start_time"]),
        attempt["message"],
    ]
    if attempt["duration"]:
        parts.insert(3, f"took {attempt['duration']}")
    return "  ".join(part for part in parts if part)


def _print_metrics(metrics: dict[str, Any]) -> None:
    for name, value in list(metrics.items())[:SHOWN_METRICS]:
        _line(f"  {name}: {_metric(value)}")
    if len(metrics) > SHOWN_METRICS:
        _line(f"  … and {len(metrics) - SHOWN_METRICS} more: see them with --json")


def _metric(value: Any) -> str:
    if not isinstance(value, dict) or not value:
        return _text(value)
    last = list(value)[-1]
    return f"{_text(value[last])} at {last} ({len(value)} values)"


def _print_completeness(producers: list[dict[str, Any]]) -> None:
    """Print how many of the sent records arrived: one line for the run, and one for each producer."""
    if not producers:
        return
    _title(summarise_completeness(producers))
    for producer in producers[:SHOWN_PRODUCERS]:
        _line(f"  producer {producer['producer']}: {_received(producer)}")
    if len(producers) > SHOWN_PRODUCERS:
        _line(f"  … and {len(producers) - SHOWN_PRODUCERS} more: see them with --json")


def summarise_completeness(producers: list[dict[str, Any]]) -> str:
    """Return in one line whether every record that was sent has arrived."""
    received = sum(one["received"] for one in producers)
    expected = sum(_expected(one) for one in producers)
    dropped = sum(one["dropped_points"] for one in producers)
    still_open = sum(one["expected"] is None for one in producers)
    word = (
        "incomplete" if received < expected else "points dropped" if dropped else "open" if still_open else "complete"
    )
    parts = [
        f"{received:,} of {expected:,} records received",
        f"{expected - received:,} missing",
        f"{sum(one['refused_duplicates'] for one in producers):,} duplicates refused",
        f"{dropped:,} points dropped before they were sent",
    ]
    parts += (
        [f"{still_open:,} of {len(producers):,} producers have not reported how many they sent"] if still_open else []
    )
    return f"{word}: {', '.join(parts)}"


def _expected(producer: dict[str, Any]) -> int:
    """Return how many records there must be: as the producer declared, or as the highest number implies."""
    seen = producer["received"] + sum(end - first for first, end in producer["missing"])
    return max(int(seen), int(producer["expected"] or 0))


def _received(producer: dict[str, Any]) -> str:
    expected, missing = _expected(producer), list(producer["missing"])
    seen = producer["received"] + sum(end - first for first, end in missing)
    missing += [(seen, expected)] if seen < expected else []
    parts = [f"{producer['received']:,} of {expected:,}"]
    if missing:
        ranges = [f"{first}" if end == first + 1 else f"{first} to {end - 1}" for first, end in missing[:SHOWN_RANGES]]
        parts.append(f"missing {', '.join(ranges)}{', …' if len(missing) > SHOWN_RANGES else ''}")
    if producer["refused_duplicates"]:
        parts.append(f"{producer['refused_duplicates']:,} duplicates refused")
    if producer["dropped_points"]:
        parts.append(f"{producer['dropped_points']:,} points dropped by it")
    if producer["expected"] is None:
        parts.append("still open")
    if producer.get("author"):  # an API of an older release does not say it
        parts.append(f"by {producer['author']}")
    return ", ".join(parts)


def _text(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else text[:199] + "…"
