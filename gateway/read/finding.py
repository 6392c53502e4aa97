"""
Runs as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.query import in_experiment
from gateway.read.asking import WAIT_S, Freshness, Progress, column_key, column_name, order_keys, question
from gateway.read.table import Table
from schemas.columns import NON_FINITE

if TYPE_CHECKING:
    from gateway.client.query import Api
    from gateway.client.registry.results import Experiment

PAGE_RUNS = 1_000
MAX_COLUMNS = 190  # of a table whose columns are not chosen
FACTS = ("run_id", "name", "state", "experiment", "created", "started", "ended")


def runs(  # noqa: PLR0913 -- keywords of a question
    where: str = "",
    *,
    columns: Sequence[str] | None = None,
    order_by: str | Sequence[str] | None = None,
    experiment: str | Experiment | None = None,
    stage: str = "active",
    limit: int | None = 1_000,
    page_token: str | None = None,
    offset: int | None = None,
    min_offsets: str | None = None,
    timeout_s: float = WAIT_S,
    api: Api | None = None,
) -> Table:
    """
    Return the runs that match a filter, a row each: `runs("metrics.loss < 0.3", columns=["name", "params.lr"])`.

    `columns` are facts, `params.NAME`, `tags.NAME`, `metrics.NAME` (the last value), or `min(metrics.NAME)`, likewise
    max, first, last and count; by default facts and all that the runs have. `run_id` is always there. Newest first
    without `order_by`, one key or several: `["metrics.loss", "created desc"]`. `limit=None` reads all. `offset` skips
    as many runs, `page_token` continues after those of an earlier table.
    """
    chosen_where = in_experiment(where, experiment)
    is_whole, cuts = True, list[str]()
    if columns is None:
        columns, is_whole = _all_columns(api, chosen_where, stage)
        cuts += [] if is_whole else [f"only {MAX_COLUMNS} of the columns are here: choose them with `columns`"]
    names = list(dict.fromkeys(["run_id", *columns]))
    keys = [column_key(name) for name in names]
    asked = {
        "where": chosen_where, "columns": keys, "order": order_keys(order_by), "stage": stage,
        **Freshness(min_offsets, timeout_s).asked,
    }  # fmt: skip
    found = _pages(api, asked, limit, page_token, offset)
    if found.token is not None:
        cuts.append("more runs match: raise the limit (None: all), or continue with next_page_token")
    if found.is_cut:
        cuts.append("values longer than 1,000 characters are cut: gateway.query.get_run has them whole")
    cells = {name: _numbers(key, column) for name, key, column in zip(names, keys, found.columns, strict=True)}
    return Table(
        cells, exact=is_whole and not found.is_cut, count=found.total, as_of=found.as_of, cut="; ".join(cuts),
        next_page_token=found.token,
    )  # fmt: skip


class _Found(NamedTuple):
    columns: list[list[Any]]
    total: int
    as_of: str
    token: str | None
    is_cut: bool


def _pages(
    api: Api | None, asked: dict[str, Any], limit: int | None, page_token: str | None, offset: int | None
) -> _Found:
    """Return up to `limit` runs from a page token or an offset on, page by page."""
    cells: list[list[Any]] = [[] for _ in asked["columns"]]
    total, as_of, is_cut = None, "", False
    with Progress("runs", total=limit) as bar:
        while True:
            count = PAGE_RUNS if limit is None else min(PAGE_RUNS, limit - len(cells[0]))
            place = {"offset": offset, "page_token": page_token, "total": total is None}
            page = question(api, "/v1/runs/table", {**asked, **place, "limit": count})
            offset = None
            for column, more in zip(cells, page["columns"], strict=True):
                column.extend(more)
            total = page["total"] if total is None else total
            as_of, page_token, is_cut = as_of or page["as_of"], page["next_page_token"], is_cut or bool(page["cut"])
            bar.move(len(cells[0]), "runs")
            if page_token is None or (limit is not None and len(cells[0]) >= limit):
                return _Found(cells, total, as_of, page_token, is_cut)


def _numbers(key: Sequence[str], cells: list[Any]) -> list[Any]:
    """Return the cells of a column; those of a metric as floats: NaN and infinities come as text."""
    if key[0] != "metric":
        return cells
    return [NON_FINITE.get(one, one) if isinstance(one, str) else one for one in cells]


def _all_columns(api: Api | None, where: str, stage: str) -> tuple[list[str], bool]:
    """Return facts and the parameters, series and tags that the runs of a filter have, and whether these are all."""
    asked = {"where": where, "stage": stage, "limit": MAX_COLUMNS + 50}  # facts are among them
    found = question(api, "/v1/runs/columns", asked)
    keys = [one["key"] for one in found["columns"] if one["key"][0] in ("param", "metric", "tag")]
    is_whole = found["is_complete"] and len(keys) <= MAX_COLUMNS
    return [*FACTS, *(column_name(key) for key in keys[:MAX_COLUMNS])], is_whole
