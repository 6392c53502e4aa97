"""Which notebook, pipeline or script a run comes from, and the run collection that follows."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.dialects.sap.errors import TrackingError
from gateway.dialects.sap.source import PARTS, find_source
from schemas.runtime.settings import CLIENT_VARIABLES

ROOT = Path(__file__).parents[3]


def in_a_notebook(patch: pytest.MonkeyPatch, **names: Any) -> None:
    """Let this process look like one that a kernel of Jupyter runs."""
    shell = SimpleNamespace(kernel=object(), user_ns=names)
    patch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


@pytest.mark.parametrize(
    ("variables", "name", "parts"),
    [
        ({"NOTEBOOK": "abc"}, "abc", {"notebook": "abc"}),
        ({"PIPELINE": "p"}, "p", {"pipeline": "p"}),
        ({"PIPELINE": "p", "NOTEBOOK": "abc"}, "p", {"pipeline": "p", "notebook": "abc"}),
        ({"PIPELINE": "p", "EXECUTION": "e"}, "p", {"pipeline": "p", "execution": "e"}),
        ({"NOTEBOOK": "", "PIPELINE": "p"}, "p", {"pipeline": "p"}),
        ({"NOTEBOOK": "a/b.ipynb"}, "a/b.ipynb", {"notebook": "a/b.ipynb"}),  # an id is taken as it is
    ],
)
def test_variables_name_the_source(variables: dict[str, str], name: str, parts: dict[str, str]) -> None:
    source = find_source({f"GATEWAY_SAP_{variable}": value for variable, value in variables.items()})

    assert source == (name, {**parts, "scenario": "default"})


def test_variables_name_what_a_run_belongs_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/jobs/train.py"])
    source = find_source({"GATEWAY_SAP_SCENARIO": "s", "GATEWAY_SAP_SCENARIO_VERSION": "1.2"})

    assert source == ("train", {"scenario": "s", "scenario_version": "1.2"})


@pytest.mark.parametrize(
    ("variables", "names", "name"),
    [
        ({"JPY_SESSION_NAME": "/home/me/books/abc.ipynb"}, {}, "abc"),
        ({}, {"__vsc_ipynb_file__": "C:\\work\\abc.ipynb"}, "abc"),
        ({}, {"__vsc_ipynb_file__": 7}, "7"),
        ({}, {}, "notebook"),
    ],
)
def test_a_notebook_has_the_name_of_its_file(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], names: dict[str, Any], name: str
) -> None:
    in_a_notebook(monkeypatch, **names)

    assert find_source(variables) == (name, {"notebook": name, "scenario": "default"})
    assert find_source({**variables, "GATEWAY_SAP_NOTEBOOK": "mine"}).name == "mine"
    assert find_source({**variables, "GATEWAY_SAP_PIPELINE": "p"}) == ("p", {"pipeline": "p", "scenario": "default"})


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/jobs/train.py", "x"], "train"),
        (["train"], "train"),
        (["-c"], "python"),
        (["-m"], "python"),
        ([""], "python"),
        ([], "python"),
        (["a\x00b\ud800.py"], "ab?"),
        (["ü" * 3_000], "ü" * 256),
    ],
)
def test_a_script_is_a_source(monkeypatch: pytest.MonkeyPatch, argv: list[str], name: str) -> None:
    monkeypatch.setattr(sys, "argv", argv)

    assert find_source({}) == (name, {"scenario": "default"})


def test_ipython_at_a_terminal_or_broken_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["ipython"])
    for module in (SimpleNamespace(get_ipython=lambda: SimpleNamespace(user_ns={})), SimpleNamespace(), None):
        monkeypatch.setitem(sys.modules, "IPython", module)

        assert find_source({}).parts == {"scenario": "default"}


def test_a_variable_that_cannot_be_used_is_named() -> None:
    with pytest.raises(TrackingError, match="GATEWAY_SAP_SCENARIO has 2,000 characters"):
        find_source({"GATEWAY_SAP_SCENARIO": "x" * 2_000})


def test_every_variable_is_known_and_described() -> None:
    page = (ROOT / "docs" / "sap.md").read_text(encoding="utf-8")
    variables = {f"GATEWAY_SAP_{part.upper()}" for part in PARTS}

    assert variables == {name for name in CLIENT_VARIABLES if name.startswith("GATEWAY_SAP_")}
    assert [name for name in variables if f"| `{name}` |" not in page] == []
