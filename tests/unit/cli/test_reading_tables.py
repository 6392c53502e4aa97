"""Tables of `gateway runs search | series | …`: 80 columns are enough, ids stay whole, curves are drawn."""

from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.reading.tables import BARS, document, exactly, print_table, short, spark
from gateway.read.table import Table

RUN = "0198f1c2-7d3e-7000-8000-0123456789ab"
WIDE = Table(
    {
        "run_id": [RUN, RUN], "name": ["a name that is much longer than any table has room for", "b\x1b[31m\n"],
        "params.learning_rate": [0.1, math.nan], "metrics.validation/accuracy": [0.123456789, None],
        "created": [1_700_000_000_000_000, None], "points": [12_345_678, 0],
    },
    count=9, exact=False, cut="more runs match",
)  # fmt: skip


def test_a_table_fits_80_columns_and_keeps_ids_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")

    print_table(WIDE)

    out, err = capsys.readouterr()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()
    assert [len(line) <= 80 for line in lines] == [True] * len(lines)
    assert sum(RUN in line for line in lines) == 2
    assert err == "more runs match\n"


def test_the_document_of_a_table_is_json_with_what_the_table_is() -> None:
    found = json.loads(json.dumps(document(WIDE), allow_nan=False))

    assert (found["exact"], found["count"], found["cut"]) == (False, 9, "more runs match")
    assert found["rows"][1]["params.learning_rate"] == "NaN"


@given(st.lists(st.floats(), max_size=60), st.integers(1, 20))
def test_a_curve_has_a_bar_for_each_share_and_the_extremes_are_the_lowest_and_the_highest(
    values: list[float], width: int
) -> None:
    drawn = spark(values, width)

    assert len(drawn) == min(width, len(values))
    assert set(drawn) <= {*BARS, "·"}
    if len(values) <= width:
        finite = [value for value in values if math.isfinite(value)]
        for value, bar in zip(values, drawn, strict=True):
            assert (bar == "·") == (not math.isfinite(value))
            if finite and value == min(finite):
                assert bar == BARS[0]
            elif finite and value == max(finite) and value / 2 > min(finite) / 2:
                assert bar == BARS[-1]


def test_a_curve_shows_a_spike_and_a_dip_wherever_they_are() -> None:
    flat = [1.0] * 100
    up, down = [*flat[:33], 9.0, *flat[34:]], [*flat[:33], 0.0, *flat[34:]]

    assert spark(up, 10) == "▁▁▁█▁▁▁▁▁▁"
    assert spark(down, 10) == "███▁██████"


@pytest.mark.parametrize(
    ("duration_us", "text"), [(0, "0 s"), (8_226_365, "8.23 s"), (59_999_999, "60 s"), (725_400_000, "12m 05s"),
                              (3_725_000_000, "1h 02m 05s"), (-2_000_000, "-2 s")],
)  # fmt: skip
def test_durations_have_a_unit(duration_us: int, text: str) -> None:
    assert short("duration", duration_us) == short("main/1.duration", duration_us) == text


def test_values_that_look_alike_are_told_apart() -> None:
    assert exactly("created", 1_700_000_000_000_001) == "2023-11-14 22:13:20.000001"
    assert exactly("loss.last", 0.1234567891) == "0.1234567891"
    assert exactly("duration", 8_226_365) == "8,226,365 µs"
