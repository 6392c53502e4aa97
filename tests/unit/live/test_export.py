"""Blocks of an export as CSV, Parquet and Arrow: the same cells, and no formula."""

from __future__ import annotations

import csv
import io
from array import array
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from consumers.live.api.export.arrow_form import ArrowForm
from consumers.live.api.export.csv_form import CsvForm
from consumers.live.api.export.response import joined
from consumers.store.export.blocks import Block, Column, Same
from consumers.store.export.runs import Chosen, read_column
from schemas.columns import float_from_json

COLUMNS = (Column("=name", "text"), Column("n", "int"), Column("x", "float"), Column("b", "bool"))
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=5)
ANY_TEXT = TEXT | st.sampled_from(["=1+1", "@x", "-2", "+3", "\t=1", "\r=1", "'=1", "''", 'a,"b"\r\nc', "\n"])


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    rows = draw(st.integers(1, 4))
    constant = draw(st.booleans())
    text: Any = Same(draw(ANY_TEXT), rows) if constant else draw(st.lists(ANY_TEXT, min_size=rows, max_size=rows))
    ints = array("q", draw(st.lists(INT64, min_size=rows, max_size=rows)))
    floats: Any = draw(st.lists(st.floats(), min_size=rows, max_size=rows))
    if draw(st.booleans()):
        floats = array("d", floats)
    return Block(rows, [text, ints, floats, draw(st.lists(st.booleans(), min_size=rows, max_size=rows))])


def written(form: Any, some: list[Block]) -> bytes:
    return b"".join([form.begin(), *map(form.block, some), form.end()])


def rows_of(some: list[Block]) -> list[tuple[str, int, str, bool]]:
    return [(a, b, repr(c), d) for block in some for a, b, c, d in zip(*block.cells, strict=True)]


@given(st.lists(blocks(), min_size=1, max_size=4))
def test_csv_gives_the_same_cells_back_and_no_text_is_a_formula(some: list[Block]) -> None:
    head, *rows = csv.reader(io.StringIO(written(CsvForm(COLUMNS), [joined(some)]).decode(), newline=""))

    assert head == ["'=name", "n", "x", "b"]
    assert [
        (a.removeprefix("'"), int(b), repr(float_from_json(c) if c[-1] in "yN" else float(c)), d == "true")
        for a, b, c, d in rows
    ] == rows_of(some)
    assert [row[0] for row in rows if row[0].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))] == []


@given(st.lists(blocks(), min_size=1, max_size=3))
def test_arrow_and_parquet_give_the_same_cells_back(some: list[Block]) -> None:
    stream = pa.ipc.open_stream(written(ArrowForm(COLUMNS, parquet=False), some)).read_all()
    file = pq.read_table(io.BytesIO(written(ArrowForm(COLUMNS, parquet=True), some)))

    for table in (stream, file):
        columns = [column.to_pylist() for column in table.columns]
        assert [(a, b, repr(c), d) for a, b, c, d in zip(*columns, strict=True)] == rows_of(some)


def test_a_cell_without_a_value_is_empty() -> None:
    some = [Block(1, [[None], [None], [None], [None]])]

    assert written(CsvForm(COLUMNS), some) == b"'=name,n,x,b\r\n,,,\r\n"
    assert pa.ipc.open_stream(written(ArrowForm(COLUMNS, parquet=False), some)).read_all().to_pylist() == [
        {"=name": None, "n": None, "x": None, "b": None}
    ]


def test_columns_are_written_as_in_filters() -> None:
    texts = ["run_id", "lifecycle_stage", "params.lr", "metrics.`val/loss{rank=3}`", "tags.team", "min(metrics.loss)"]

    assert [read_column(text) for text in texts] == [
        Chosen("run_id"), Chosen("lifecycle_stage"), Chosen("params", "lr"), Chosen("metrics", "val/loss{rank=3}"),
        Chosen("tags", "team"), Chosen("metrics", "loss", "min"),
    ]  # fmt: skip
