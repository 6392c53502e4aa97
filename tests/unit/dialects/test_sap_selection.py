"""Selectors of runs become filters that the query API understands, whatever the ids hold."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.store.search.filter import parse_filter
from consumers.store.search.filter_terms import All, Compare
from consumers.store.search.filter_tokens import MAX_TEXT
from gateway.dialects.sap import Scenario
from gateway.dialects.sap.errors import TrackingError
from gateway.dialects.sap.selection import filters, others, read_selectors
from gateway.dialects.sap.tracking import Notebook, Run


def chosen(**given: Any) -> dict[str, Any]:
    return dict(read_selectors("get_runs", given, is_bulk_exclusive=False))


def comparisons(text: str) -> list[Compare]:
    """The comparisons of a filter that joins them by `and`."""
    tree = parse_filter(text)
    return [part for part in (tree.parts if isinstance(tree, All) else [tree]) if isinstance(part, Compare)]


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ("a", ["a"]),
        ("a, b,a,", ["a", "b"]),
        (Run(id="a,b"), ["a,b"]),  # the id of an object is not separated
        ([Run(id="a"), "b,c", Scenario("d")], ["a", "b", "c", "d"]),
        ({"a"}, ["a"]),
        (2, ["2"]),
        ([], []),
    ],
)
def test_a_selector_is_an_id_several_or_objects(given: Any, ids: list[str]) -> None:
    assert chosen(scenario=given) == {"scenario": ids}


@pytest.mark.parametrize(
    "given", ["", ",", 1.5, True, b"a", {"id": "a"}, object(), [None], [["a"]], "a\x00b", "x" * 1_025]
)
def test_anything_else_is_one_clear_error(given: Any) -> None:
    with pytest.raises(TrackingError, match=r"id"):
        chosen(run=given)


def test_filters_are_of_the_language_of_the_api() -> None:
    odd = 'o\'clock "a" `b` and 1=1 -- \n 🦆'
    selectors = chosen(run=Run(id=odd), notebook=Notebook(id=odd), scenario_version=3)
    (text,) = filters(selectors, {odd: odd, "empty": ""})

    assert text.startswith("tags.`sapdi.scenario_version` in ('3') and ")
    (version, notebook, run, tag, empty) = comparisons(text)
    assert (version.key.name, version.values[0].text) == ("sapdi.scenario_version", "3")
    assert (notebook.key.name, notebook.values[0].text) == ("sapdi.notebook", odd)
    assert (run.key.name, run.values[0].text) == ("run_id", odd)
    assert (tag.key.name, tag.values[0].text, empty.values[0].text) == (odd, odd, "")


def test_many_ids_are_several_filters_of_which_each_run_fits_one() -> None:
    runs, scenarios = [f"run-{at:04}" for at in range(300)], [f"{at:036}" for at in range(50)]
    found = list(filters(chosen(run=runs, scenario=scenarios), {}))

    assert len(found) >= 4
    assert max(map(len, found)) < MAX_TEXT
    pairs = [
        (scenario.text, run.text)
        for text in found
        for scenario in comparisons(text)[0].values
        for run in comparisons(text)[1].values
    ]
    assert sorted(pairs) == sorted((scenario, run) for scenario in scenarios for run in runs)


def test_an_empty_list_chooses_nothing() -> None:
    assert list(filters(chosen(scenario=[]), {})) == []


def test_what_the_document_forbids_is_refused() -> None:
    bulk = {"scenario": "a,b", "pipeline": "p"}

    assert list(chosen(**bulk)) == ["scenario", "pipeline"]
    with pytest.raises(TrackingError, match=r"delete_runs of several scenarios takes no other selector: leave out pip"):
        read_selectors("delete_runs", bulk, is_bulk_exclusive=True)
    with pytest.raises(TrackingError, match=r"get_runs needs to know which runs: give one or more of scenario, scen"):
        chosen()
    with pytest.raises(TrackingError, match=r"get_runs\(notebook=…\) needs scenario or run"):
        chosen(notebook="n", execution="e")


def test_a_filter_leaves_out_as_many_ids_as_it_can_hold() -> None:
    for known, is_whole in (["a"], True), ([f"{at:036}" for at in range(1_000)], False), (["'" * 1_024] * 9, False):
        text, is_all = others("scenario", known)
        (found,) = comparisons(text)

        assert (is_all, found.op, found.key.name, len(text) < MAX_TEXT) == (is_whole, "not in", "sapdi.scenario", True)
        assert [value.text for value in found.values] == known[: len(found.values)]
