"""
What filters and orders are made of: keys, comparisons, and trees of them; facts of runs by their names.

Plain values. filter.py reads them from text, filter_tree.py from JSON; sql_builder.py makes SQL of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

Kind = Literal[
    "metric", "param", "param_text", "tag", "label", "joined",
    "text", "number", "time", "duration", "state", "stage", "anywhere",
]  # fmt: skip
Op = Literal[
    "in", "not in", "<", "<=", ">", ">=", "like", "not like", "ilike", "not ilike", "has", "not has",
    "is null", "is not null",
]  # fmt: skip

MAX_COMPARISONS = 100
MAX_DEPTH = 50  # of parentheses and `not`
MAX_SERIES = 200  # that the metrics of a filter can mean, all together: each costs a part of the statement
MAX_STEP_SLASHES = 8  # a named step ends at one of the first slashes of a written name
STATES = ("created", "running", "finished", "failed", "killed", "lost")

Facts = Mapping[str, tuple[Kind, str]]  # by name in a filter: kind and name of a key
RUN_FACTS: Facts = {
    **{name: ("text", name) for name in ("run_id", "name", "group", "tag", "parent_run_id", "message", "note")},
    **{name: ("text", name) for name in ("experiment", "experiment_id")},
    **{name: ("number", name) for name in ("points", "attempt")},
    **{name: ("time", name) for name in ("created", "started", "began", "ended", "updated")},
    "duration": ("duration", "duration"),
    "state": ("state", "state"),
    "stage": ("stage", "stage"),
    "text": ("anywhere", "text"),
    # MLflow's names.
    "status": ("state", "state"),
    "run_name": ("text", "name"),
    "start_time": ("time", "started"),
    "end_time": ("time", "ended"),
    "lifecycle_stage": ("stage", "stage"),
}
NUMBERS: tuple[Kind, ...] = ("metric", "number", "time", "duration")  # times and durations in µs
CHOICES: tuple[Kind, ...] = ("state", "stage")
STAGES = ("active", "deleted")
STATS = ("last", "min", "max", "first", "count", "non_finite", "step")  # of a series
MAX_WORDS = 20  # of `has`


class Key(NamedTuple):
    """The left side of a comparison."""

    kind: Kind
    name: str
    stat: str = "last"  # of a metric: one of STATS


class Value(NamedTuple):
    """A literal as text, and as a number if it is one."""

    number: float | None
    text: str


class Compare(NamedTuple):
    """One comparison. `in` and `not in` have one or more values, `is null` and `is not null` none, the others one."""

    key: Key
    op: Op
    values: tuple[Value, ...]


class Not(NamedTuple):
    """Negation."""

    part: Node


class All(NamedTuple):
    """Conjunction; without parts it is always true."""

    parts: tuple[Node, ...]


class Either(NamedTuple):
    """Disjunction."""

    parts: tuple[Node, ...]


Node = Compare | Not | All | Either


def keys_of(node: Node) -> Iterator[Key]:
    """Yield the key of each comparison of a tree, in its order."""
    match node:
        case Compare(key=key):
            yield key
        case Not(part=part):
            yield from keys_of(part)
        case All(parts=parts) | Either(parts=parts):
            for part in parts:
                yield from keys_of(part)


class Order(NamedTuple):
    """Sort order of runs."""

    key: Key
    descending: bool


def meanings(metric: str) -> int:
    """Return how many series a written name can mean, at most: its step and its labels are part of it."""
    return (1 + min(metric.count("/"), MAX_STEP_SLASHES)) * (2 if metric.endswith("}") else 1)
