"""
Which runs the selectors of `get_runs` and `delete_runs` mean, as filters of the query API. Pure.

A selector is an id, ids separated by commas, an object with an `id`, or a list of these. Several selectors narrow the
choice: a run must fit each of them.
"""

from __future__ import annotations

from itertools import product

from gateway.client.guards import safe_repr, type_name
from gateway.dialects.sap.checks import read_text
from gateway.dialects.sap.errors import TrackingError
from gateway.dialects.sap.objects import Identified
from gateway.dialects.sap.source import tag_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    Chosen = Mapping[str, Sequence[str]]  # the ids of each selector that was given

NAMES = ("scenario", "scenario_version", "pipeline", "execution", "notebook", "run")
MAX_IDS = 1_200  # characters of the ids of a selector in one filter: the API takes filters of 10,000
MAX_OTHERS = 9_000  # ... that a filter leaves out


def read_selectors(function: str, given: Mapping[str, object], *, is_bulk_exclusive: bool) -> Chosen:
    """
    Return the ids of each selector, by name. Raises TrackingError for a choice that seed 003 does not allow.

    `is_bulk_exclusive`: several scenarios may not be combined with another selector.
    """
    named = [name for name in NAMES if given.get(name) is not None]
    if not named:
        raise TrackingError(f"{function} needs to know which runs: give one or more of {', '.join(NAMES)}")
    if "notebook" in named and not {"scenario", "run"} & set(named):
        raise TrackingError(f"{function}(notebook=…) needs scenario or run as well: give one of them")
    chosen = {name: list(dict.fromkeys(_ids(name, given[name]))) for name in named}
    if is_bulk_exclusive and len(chosen.get("scenario", ())) > 1 and len(named) > 1:
        others = ", ".join(name for name in named if name != "scenario")
        raise TrackingError(f"{function} of several scenarios takes no other selector: leave out {others}")
    return chosen


def filters(chosen: Chosen, tags: Mapping[str, str]) -> Iterator[str]:
    """Yield filters that together find each chosen run once: `run_id in ('a', 'b') and tags.`x` = 'y'`."""
    ends = [f"{_key(name)} = {_quote(value)}" for name, value in tags.items()]
    for parts in product(*(_pieces(name, ids) for name, ids in chosen.items())):
        yield " and ".join([*parts, *ends])


def others(part: str, known: Sequence[str]) -> tuple[str, bool]:
    """Return a filter for runs of other values of a part of their source, and whether it leaves out all known ones."""
    texts, size = list[str](), 0
    for one in known:
        size += len(_quote(one)) + 2
        if size > MAX_OTHERS:
            break
        texts.append(_quote(one))
    return f"{_key(tag_of(part))} not in ({', '.join(texts)})", len(texts) == len(known)


def _pieces(name: str, ids: Sequence[str]) -> list[str]:
    """Return conditions on one selector, each with as many ids as a filter can hold."""
    key = "run_id" if name == "run" else _key(tag_of(name))
    pieces: list[list[str]] = []
    size = MAX_IDS
    for one in ids:
        text = _quote(one)
        size += len(text)
        if size >= MAX_IDS:
            pieces.append([])
            size = len(text)
        pieces[-1].append(text)
    return [f"{key} in ({', '.join(piece)})" for piece in pieces]


def _key(tag: str) -> str:
    return f"tags.`{tag.replace('`', '``')}`"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _ids(name: str, given: Any, *, is_in_list: bool = False) -> Iterator[str]:
    kind = type(given)
    if issubclass(kind, str):
        found = [part.strip() for part in str.__str__(given).split(",") if part.strip()]
        if not found:
            raise TrackingError(f"{name} names no id: write '<id>' or '<id>,<id>'")
        for one in found:
            yield read_text(f"an id of {name}", one)
    elif issubclass(kind, list | tuple | set | frozenset) and not is_in_list:
        for one in given:
            yield from _ids(name, one, is_in_list=True)
    elif kind is int:
        yield str(given)  # the version of a scenario
    elif issubclass(kind, Identified):
        yield given.id
    else:
        raise TrackingError(
            f"{name} is an id, an object with an id or a list of them, not {type_name(given)} {safe_repr(given)}: "
            f"pass for example {name}='<id>'"
        )
