"""`gateway.chart` says what is wrong: with arguments at once, and with the API in the chart."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.client.query import Api
from gateway.notebook import widget
from gateway.notebook.reading import window_of
from schemas.errors import BadSettings

AWAY = Api("http://127.0.0.1:9")


@pytest.mark.parametrize(
    "asked",
    [{"x": "epoch"}, {"y_scale": "sqrt"}, {"smoothing": 1.0}, {"height": 3}, {"names": "a", "regex": "b"}],
    ids=str,
)
def test_a_wrong_argument_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(gateway.ClientError):
        gateway.chart("r", **{"api": AWAY, **asked})
    with pytest.raises(gateway.ClientError, match="no runs"):
        gateway.chart([], api=AWAY)


def test_without_anywidget_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(BadSettings, match=r"tracking-gateway\[notebook\]"):
        gateway.chart("r", api=AWAY)


def test_without_its_javascript_the_error_names_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(widget, "STATIC", tmp_path)
    with pytest.raises(BadSettings, match="SKIP_UI=1"):
        gateway.chart("r", api=AWAY)


def test_without_the_api_the_chart_says_so() -> None:
    chart = gateway.chart("r", "loss", api=AWAY)
    assert "cannot be reached" in chart.problem
    assert "gateway up" in chart.problem
    assert chart.state == b""
    chart.close()


def test_a_page_asks_for_ranges_only() -> None:
    whole = {"axis": "step", "from": 1, "to": 2}
    assert window_of({"kind": "window", **whole}) == whole
    wrong = ({"axis": "epoch"}, {"from": "1"}, {"to": None}, {"from": True}, {"to": 1.5})
    assert [window_of({**whole, **one}) for one in wrong] == [None] * 5
