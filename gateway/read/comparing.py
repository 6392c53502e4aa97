"""
Differences of runs: what was set and recorded otherwise, and the first step at which two runs diverge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gateway.client.errors import ClientError
from gateway.read.asking import WAIT_S, Freshness, OneRun, question, run_id, run_ids, table_of
from gateway.read.curves import offsets_text
from gateway.read.table import Table

if TYPE_CHECKING:
    from gateway.client.query import Api

MAX_COMPARED = 20
DIVERGED = ("series", "step", "a", "b", "compared", "only_a", "only_b")


class Divergence(Table):
    """
    The compared series, a row each: the first `step` at which they differ and their values `a` and `b` there.

    `first` is the earliest of these over all series, None if none differs. `compared` counts series; `only_a` and
    `only_b` have the names of those of one run alone.
    """

    first: dict[str, Any] | None
    compared: int
    only_a: list[str]
    only_b: list[str]


def diff(
    *runs: OneRun, changed_only: bool = True, sections: Sequence[str] | None = None, min_offsets: str | None = None,
    timeout_s: float = WAIT_S, api: Api | None = None,
) -> Table:  # fmt: skip
    """
    Return what differs between 2 to 20 runs: rows section, key, differs, and a column for each run.

    The sections are facts, params, tags, environment, code, metrics (last values), attempts and artifacts. With
    `changed_only=False` what is equal is there, too.
    """
    ids = run_ids(runs) if runs else []
    if not 2 <= len(ids) <= MAX_COMPARED:
        raise ClientError(f"{len(ids)} different runs are given: compare 2 to {MAX_COMPARED}")
    asked = {
        "runs": ids, "changed_only": changed_only, "sections": None if sections is None else list(sections),
        **Freshness(min_offsets, timeout_s).asked,
    }  # fmt: skip
    answer = question(api, "/v1/runs/diff", asked)
    rows = [
        {
            "section": section["name"],
            "key": row["key"],
            "differs": row["differs"],
            **dict(zip(ids, row["values"], strict=True)),
        }
        for section in answer["sections"]
        for row in section["rows"]
    ]
    cuts = [f"of {', '.join(answer['cut'])} only the first keys are here: ask for one section"] if answer["cut"] else []
    is_cut = any(row["cut"] for section in answer["sections"] for row in section["rows"])
    cuts += ["long values are cut"] if is_cut else []
    names = ["section", "key", "differs", *ids]
    return table_of(rows, names, exact=not cuts, as_of=offsets_text(answer["as_of"]), cut="; ".join(cuts))


def divergence(  # noqa: PLR0913 -- keywords of a question
    a: OneRun, b: OneRun, names: str | Sequence[str] | None = None, *, prefix: str | None = None,
    words: str | None = None, absolute: float = 0.0, relative: float = 0.0, min_offsets: str | None = None,
    timeout_s: float = WAIT_S, api: Api | None = None,
) -> Divergence:  # fmt: skip
    """
    Return where two runs diverge: the first step at which a series that both have differs by more than a tolerance.

    Values differ by more than the larger of `absolute` and `relative` * max(|a|, |b|); NaN equals NaN. `prefix` and
    `words` choose series by their names; by default all are compared but those of the system.
    """
    asked = {
        "a": run_id(a), "b": run_id(b),
        "names": [names] if isinstance(names, str) else None if names is None else list(names),
        "match": {"prefix": prefix or "", "words": words or ""}, "absolute": absolute, "relative": relative,
        **Freshness(min_offsets, timeout_s).asked,
    }  # fmt: skip
    answer = question(api, "/v1/runs/divergence", asked)
    rows = answer["series"]
    table = Divergence(
        {name: [row.get(name) for row in rows] for name in DIVERGED},
        exact=answer["exact"], as_of=offsets_text(answer.get("as_of")),
        cut="" if answer["exact"] else f"{len(answer['left'])} series were not compared: name some with `names`",
    )  # fmt: skip
    table.first, table.compared = answer["first"], answer["compared"]
    table.only_a, table.only_b = answer["only_a"], answer["only_b"]
    return table
