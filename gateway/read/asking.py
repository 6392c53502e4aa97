"""
Questions to the API, what their errors mean, and progress of long ones.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from gateway.client.errors import ClientError
from gateway.client.query import ApiRefused, find_api, get, post, run_path
from gateway.query import PointsDropped, RunNotFound
from gateway.read.table import Table

if TYPE_CHECKING:
    from gateway.client.query import Api

WAIT_S = 10.0  # the longest that the API waits for `min_offsets`
MAX_RUNS = 1_000  # in one question
SHOWN_AFTER_S = 1.0  # a short read shows no bar


class HasId(Protocol):
    """The run that this process has open, or one that `gateway.query` returned."""

    @property
    def id(self) -> str:
        """The id of the run."""


OneRun = str | Mapping[str, Any] | HasId  # an id, a row with a `run_id`, or a run
Runs = OneRun | Iterable[OneRun]  # also a Table of runs

_STAT = re.compile(r"(min|max|last|first|count|non_finite|step)\(")
FACTS = frozenset((
    "attempt", "began", "created", "duration", "end_time", "ended", "experiment", "experiment_id", "group",
    "lifecycle_stage", "message", "name", "note", "parent_run_id", "points", "run_id", "run_name", "stage",
    "start_time", "started", "state", "status", "tag", "text", "updated",
))  # fmt: skip
_KINDS = {"params": "param", "metrics": "metric", "tags": "tag", "labels": "label"}


class Freshness:
    """How new an answer must be: everything below `min_offsets`, for which the API waits up to `timeout_s`."""

    def __init__(self, min_offsets: str | None, timeout_s: float) -> None:
        self.asked = {} if min_offsets is None else {"min_offsets": min_offsets, "timeout_s": timeout_s}


def run_ids(runs: Runs) -> list[str]:
    """
    Return the ids of runs, each once: of one or of several, given as ids, as rows of a table, or as runs.

    What this process has emitted to an open run is readable first. Raises ClientError, and BarrierTimeout.
    """
    if isinstance(runs, str | Mapping) or not isinstance(runs, Iterable):
        return [run_id(runs)]
    found = [run_id(one) for one in runs]
    if not found:
        raise ClientError("no runs are given: name at least one id, or a table of gateway.read.runs that has rows")
    return list(dict.fromkeys(found))


def run_id(run: OneRun) -> str:
    """Return the id of a run, as `run_ids` does."""
    if isinstance(run, str):
        return run
    found = run.get("run_id") if isinstance(run, Mapping) else getattr(run, "id", None)
    if not isinstance(found, str):
        raise ClientError(f"{run!r:.100} is no run: give an id, a run, or a row that has run_id")
    if barrier := getattr(run, "barrier", None):
        barrier(WAIT_S)
    return found


def question(api: Api | None, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a question with a body; its fields that are None are left out. Raises RunNotFound."""
    with known():
        return dict(post(api or find_api(), path, {name: one for name, one in asked.items() if one is not None}))


def document(api: Api | None, run_id: str, part: str, /, **parameters: Any) -> dict[str, Any]:
    """Return a document of a run. Raises RunNotFound."""
    if not run_id:
        raise ClientError("the id of a run is empty: write one that `gateway runs list` shows")
    with known():
        return dict(get(api or find_api(), run_path(run_id, part), **parameters))


@contextmanager
def known() -> Iterator[None]:
    """Raise RunNotFound for what the API does not know, and PointsDropped for what retention dropped."""
    try:
        yield
    except ApiRefused as error:
        if error.status == 404:
            raise RunNotFound(str(error)) from None
        if error.status == 410:
            raise PointsDropped(str(error)) from None
        raise


def pages(api: Api | None, path: str, asked: Mapping[str, Any], *, what: str) -> Iterator[dict[str, Any]]:
    """Yield each page of an answer, with a bar at a terminal when it takes long."""
    with Progress(what) as bar:
        token: str | None = asked.get("page_token")
        done = 0
        while True:
            page = question(api, path, {**asked, "page_token": token})
            done += 1
            bar.move(done, "pages")
            yield page
            token = page.get("next_page_token")
            if token is None:
                return


def column_key(text: str) -> list[str]:
    """
    Return the key of a column: `params.lr` is ["param", "lr"], `min(metrics.loss)` is ["metric", "loss", "min"].

    Other names are facts; backticks around a name are left out. Raises ClientError.
    """
    column, stat = text.strip(), []
    if found := _STAT.match(column):
        stat = [found[1]]
        column = column[found.end() : -1] if column.endswith(")") else ""
    kind, dot, name = column.partition(".")
    if not (dot and name and kind in _KINDS):
        kind, name = "", column
    if not name or (stat and kind != "metrics") or (not kind and name not in FACTS):
        raise ClientError(
            f"{text!r:.200} is no column: write params.NAME, metrics.NAME, min(metrics.NAME), tags.NAME, labels.NAME "
            f"or a fact, one of {', '.join(sorted(FACTS))}"
        )
    if len(name) > 1 and name[0] == name[-1] == "`":
        name = name[1:-1].replace("``", "`")
    return [_KINDS.get(kind, "fact"), name, *stat]


def column_name(key: Sequence[str]) -> str:
    """Return a key as `column_key` reads it."""
    kind, name, *how = key
    if name.startswith("`"):
        name = f"`{name.replace('`', '``')}`"
    written = name if kind == "fact" else f"{kind}s.{name}"
    return f"{how[0]}({written})" if how else written


def order_keys(order_by: str | Sequence[str] | None) -> list[dict[str, Any]] | None:
    """Return the keys of an order such as `metrics.loss desc`, or of several."""
    if order_by is None:
        return None
    keys = []
    for text in [order_by] if isinstance(order_by, str) else order_by:
        found = re.fullmatch(r"\s*(.+?)(?:\s+(asc|desc))?\s*", text, re.IGNORECASE | re.DOTALL)
        if found is None:
            raise ClientError("order_by is empty: write for example metrics.loss desc")
        keys.append({"key": column_key(found[1]), "descending": (found[2] or "").lower() == "desc"})
    return keys


def table_of(rows: Iterable[Mapping[str, Any]], names: Sequence[str], **facts: Any) -> Table:
    """Return rows as a table with these columns."""
    some = list(rows)
    return Table({name: [row.get(name) for row in some] for name in names}, **facts)


class Progress:
    """A bar on stderr, at a terminal only, once reading has taken a second. Moving it never fails."""

    def __init__(self, what: str, total: int | None = None, *, is_shown: bool = True) -> None:
        self._what, self._total = what, total
        self._started = monotonic()
        self._is_shown = is_shown and bool(getattr(sys.stderr, "isatty", bool)())
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def move(self, done: int, unit: str) -> None:
        """Show how much is done."""
        if not self._is_shown or monotonic() - self._started < SHOWN_AFTER_S:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            text = TextColumn("{task.description}", markup=False)
            count = TextColumn("{task.completed:,} {task.fields[unit]}", markup=False)
            console = Console(stderr=True, highlight=False, markup=False)
            self._bar = Progress(text, BarColumn(), count, TimeElapsedColumn(), console=console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total, unit=unit)
        self._bar.update(self._task, completed=done, unit=unit)
