"""Readers of the log see each value as docs/client.md describes it."""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import numpy
import pytest

import gateway
from schemas import events as ev
from tests.support.any_values import shared_lists
from tests.support.client_harness import Memory, new_run, shipping

PAGE = Path(__file__).parents[3] / "docs/client.md"
ROW = re.compile(r"^\| `(?P<call>.+?)` \| (?P<seen>.+?) \| .*\|$", re.M)
SECTION = PAGE.read_text(encoding="utf-8").split("\n## ")[1]
ROWS = [(row["call"], row["seen"].strip("`")) for row in ROW.finditer(SECTION)]


LIBRARIES = {
    "math": math, "numpy": numpy, "Decimal": Decimal, "UUID": UUID, "PurePosixPath": PurePosixPath, "Enum": Enum,
}  # fmt: skip


@dataclass
class Options:
    lr: float = 0.1
    password: str = field(default="secret", repr=False)


class Opaque:
    def __repr__(self) -> str:
        return "<Opaque>"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no attribute")

    def item(self) -> float:
        raise RuntimeError("no item")


def seen_by_readers(call: str) -> str:
    """Return the content of the log after a call, in the words of the table."""
    endless: list[Any] = []
    endless.append(endless)
    memory = Memory()
    with shipping(memory) as shipper:
        run = new_run(shipper)
        names = {"emit": run.emit, "endless": endless, "Opaque": Opaque, "Broken": Broken, "gateway": gateway}
        eval(call, {**vars(datetime), **names, **LIBRARIES, "shared": shared_lists(), "Options": Options})
        report = run.finish()
    events = memory.events()
    series = [one for event in events if isinstance(event, ev.Points) for one in event.series]
    if len(series) > 10:
        return f"{sum(len(one.values) for one in series):,} points of {len({one.name for one in series}):,} series"
    found = [
        f"{label(one, step)} = {int(value) if one.integer else value!r}"
        for one in series
        for step, value in zip(one.steps, one.values, strict=True)
    ]
    found += [
        f"{label(one, one.step)}: {shown(one.value)}"
        for event in events
        if isinstance(event, ev.Values)
        for one in event.values
    ]
    dropped = [f"{report.dropped} counted as dropped"] if report.dropped else []
    return "; ".join(found + dropped) or "nothing"


def label(one: ev.Series | ev.Observation, step: int) -> str:
    name = one.name if len(one.name) < 100 else f"(name of {len(one.name):,} characters)"
    labels = "{" + ",".join(f"{name}={text}" for name, text in one.labels.items()) + "}" if one.labels else ""
    return f"{name}{labels}[{step}]"


def shown(typed: Any) -> str:
    value = typed.value
    if typed.type == "histogram":
        return f"histogram {list(value.counts)} {list(value.edges)}"
    if typed.type == "datetime":
        return f"datetime {value.isoformat()}"
    if len(repr(value)) <= 60:
        return f"{typed.type} {value!r}"
    text = value if isinstance(value, str) else repr(value)
    ending = f", ending {text[text.rindex('…') :]!r}" if "…" in text else ""
    return f"{typed.type} of {len(text):,} characters{ending}"


def test_the_table_has_all_its_rows() -> None:
    assert len(ROWS) >= 45


@pytest.mark.parametrize(("call", "expected"), ROWS, ids=[call for call, _ in ROWS])
def test_readers_see_each_value_as_the_page_describes_it(call: str, expected: str) -> None:
    assert seen_by_readers(call) == expected
