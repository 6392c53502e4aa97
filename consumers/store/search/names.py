"""
What a name in a filter can mean: which series, which place inside a JSON parameter or label.

Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from consumers.store.search.filter_terms import MAX_STEP_SLASHES
from schemas.events import MAIN_STEP

MAX_PATHS = 4  # readings of a name as a path: params may have dots and slashes in their names too


def series_candidates(written: str) -> list[tuple[str, str, dict[str, str]]]:
    """Return step, name and labels of all series that a written name can mean."""
    forms: list[tuple[str, dict[str, str]]] = [(written, {})]
    if match := re.fullmatch(r"(.+)\{([^{}]+)\}", written):
        pairs = [pair.partition("=") for pair in match[2].split(",")]
        if all(sign for _, sign, _ in pairs):
            forms.append((match[1], {key: value for key, _, value in pairs}))
    return [
        series
        for name, labels in forms
        for series in ((MAIN_STEP, name, labels), *((step, rest, labels) for step, rest in _splits(name)))
    ]


def json_path(path: str) -> str:
    """Return SQL's path to values inside a label: rows/0, or tags/key=team/value, which looks through a list."""
    found = "$.value"
    for part in path.split("/") if path else ():
        name, sign, value = part.partition("=")
        if sign:
            found += f"[*] ? (@.{json.dumps(name)} == {json.dumps(value)})"
        else:
            found += f"[{int(part)}]" if re.fullmatch("[0-9]{1,9}", part) else f".{json.dumps(part)}"
    return found


def param_paths(name: str) -> list[tuple[str, list[str]]]:
    """Return the JSON parameters, and the paths inside, that a name such as model.layers.0 can mean."""
    splits = [match.start() for match in re.finditer("[./]", name)][:MAX_PATHS]
    paths = [(name[:at], re.split("[./]", name[at + 1 :])) for at in splits]
    return [(outer, path) for outer, path in paths if outer and all(path)]


def _splits(name: str) -> Iterable[tuple[str, str]]:
    slashes = [match.start() for match in re.finditer("/", name)]
    return [(name[:at], name[at + 1 :]) for at in slashes[:MAX_STEP_SLASHES] if at and name[at + 1 :]]
