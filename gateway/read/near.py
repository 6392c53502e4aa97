"""
Names of metrics, parameters, tags and labels that no run has: why a filter finds nothing, or a column is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from gateway.read.asking import column_key, column_name, order_keys, question

if TYPE_CHECKING:
    from gateway.client.query import Api

MAX_NAMES = 20  # that are looked up, each with a question of its own
MAX_LISTED = 10_000  # names among which near ones are sought
SHOWN_NAMES = 3


def unknown_names(
    api: Api, where: str = "", *, columns: Sequence[str] = (), order_by: str | Sequence[str] | None = None
) -> list[str]:
    """Return a line for each metric, parameter, tag or label that is named and that no run of any stage has."""
    named = [column_key(one) for one in columns] + [one["key"] for one in order_keys(order_by or []) or ()]
    if where:
        named += question(api, "/v1/filters/check", {"where": where}).get("keys", [])  # none of an older API
    names = dict.fromkeys((key[0], key[1]) for key in named if key[0] != "fact")
    return [_line(api, kind, name) for kind, name in list(names)[:MAX_NAMES] if not _has(api, kind, name)]


def _has(api: Api, kind: str, name: str) -> bool:
    asked = {
        "filter": {"key": [kind, name], "op": "is not null"}, "columns": [["fact", "run_id"]], "stage": "all",
        "limit": 1, "total": False,
    }  # fmt: skip
    return bool(question(api, "/v1/runs/table", asked)["run_ids"])


def _line(api: Api, kind: str, name: str) -> str:
    """Return what to say of an unknown name: the same name of another kind is nearest, then those that hold it."""
    found = question(api, "/v1/runs/columns", {"stage": "all", "limit": MAX_LISTED})["columns"]
    keys = [one["key"] for one in found if one["key"][0] != "fact"]
    same = [column_name(key) for key in keys if key[1].lower() == name.lower()]
    own = [key[1] for key in keys if key[0] == kind]
    holding = [one for one in own if name in one or name.startswith(f"{one}.")]  # `net.layers` is in JSON `net`
    near = did_you_mean(name, same or holding, own)
    return f"no run has {column_name((kind, name))}{f': {near}' if near else ''}"


def did_you_mean(name: str, matching: Iterable[str], names: Iterable[str]) -> str:
    """Return the question whether one of `matching`, else of the most similar names, was meant; "" without any."""
    found = list(matching)[:SHOWN_NAMES] or get_close_matches(name, list(names), SHOWN_NAMES, 0.7)
    return f"did you mean {' or '.join(map(repr, found))}?" if found else ""
