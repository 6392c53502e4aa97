"""Strategies for what training code may pass: values that arrive equal, odd ones of many libraries, hostile ones."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import math
import pathlib
import re
import types
from typing import Any

import attrs
import numpy
import pandas
from hypothesis import strategies as st
from omegaconf import OmegaConf
from pydantic import BaseModel, RootModel, SecretStr, field_serializer

from gateway.client.guards import safe_repr

WORDS = st.text(max_size=20)
TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20)

# Values that a reader of the log sees as they were given.
SCALARS = st.floats() | st.integers() | st.integers(-(10**4_299), 10**4_299) | st.booleans() | TEXT | st.none()
ZONES = st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)).map(dt.timezone)  # with seconds and µs
MOMENTS = st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 12, 31), timezones=ZONES | st.timezones())
GOOD = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)


class Hostile:
    """An object whose every method raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    __str__ = __bool__ = __float__ = __index__ = __len__ = __iter__ = item = tolist = __repr__
    __hash__ = object.__hash__


class Disguised(Hostile):
    @property  # type: ignore[misc]  # a property in place of an attribute
    def __class__(self) -> Any:
        raise RuntimeError("class")


class HostileType(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)


class Unnamed(metaclass=HostileType):
    pass


class HostileText(str):
    __slots__ = ()

    def encode(self, *_: Any) -> Any:
        raise RuntimeError("encode")

    isascii = __len__ = __str__ = __repr__ = encode


class HostileInt(int):
    def __int__(self) -> int:
        raise RuntimeError("int")

    __index__ = __repr__ = __abs__ = __neg__ = __int__  # type: ignore[assignment]
    __hash__ = int.__hash__


class HostileFloat(float):
    def __float__(self) -> float:
        raise RuntimeError("float")

    __repr__ = __abs__ = is_integer = __float__  # type: ignore[assignment]


class HostileDict(dict[Any, Any]):
    def items(self) -> Any:
        raise RuntimeError("items")

    keys = values = __iter__ = items


class HostileList(list[Any]):
    def __iter__(self) -> Any:
        raise RuntimeError("iter")

    __len__ = __repr__ = __iter__


class HostileZone(dt.tzinfo):
    def utcoffset(self, _: Any) -> Any:
        raise RuntimeError("utcoffset")

    tzname = dst = utcoffset


class Color(enum.Enum):
    RED = 1
    BLUE = "blue\x00"


class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Options:
    lr: Any = 0.1
    hidden: Any = dataclasses.field(default=None, repr=False)


@attrs.define
class Slotted:
    lr: Any = 0.1


class Model(BaseModel):
    lr: Any = 0.1
    key: SecretStr = SecretStr("x")


class ModelThatCannotBeDumped(BaseModel):
    lr: Any = 0.1

    @field_serializer("lr")
    def fail(self, _: Any) -> Any:
        raise RuntimeError("serializer")


Pair = collections.namedtuple("Pair", ["left", "right"])


def shared_lists() -> list[Any]:
    inner: list[Any] = [0.5]
    for _ in range(40):
        inner = [inner, inner]
    return inner


def tree_with_parents() -> dict[str, Any]:
    root: dict[str, Any] = {"name": "root", "children": {}}
    for number in range(5):
        root["children"][f"{number}"] = {"parent": root, "siblings": root["children"]}
    return root


def config(inner: Any) -> Any:
    return OmegaConf.create({"model": {"layers": [64, "???"], "text": inner}, "missing": "???", "bad": "${nowhere}"})


_ODD_SCALARS: list[Any] = [
    Hostile(), Disguised(), Unnamed(), HostileText("x\ud800"), HostileInt(3), HostileFloat(0.5), HostileDict(a=1),
    HostileList([1]), HostileText("lr"), dt.datetime(2026, 1, 1, tzinfo=HostileZone()), dt.datetime.min,
    dt.datetime.max, dt.datetime(1900, 1, 1), dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(hours=5))),
    dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=5, seconds=3))),
    pandas.NaT, pandas.NA, pandas.Timestamp("2026-01-01", tz="Europe/Paris"), pandas.Timestamp.max,
    pandas.Timestamp.min,
    pandas.Timedelta("1h"), pandas.Series([1.5]), pandas.Series({"a": 1, "b": 2}), pandas.DataFrame({"a": [1]}),
    pandas.Period("2026-01"), pandas.Series(pandas.to_datetime(["2026-01-01", None])),
    numpy.datetime64("NaT"), numpy.datetime64("2026-01-01T00:00:00.123456789"), numpy.datetime64(10**6, "Y"),
    numpy.timedelta64(90, "ns"), numpy.array(["2026-01-01", "NaT"], dtype="M8[ns]"), numpy.array([90], dtype="m8[s]"),
    numpy.ma.masked, numpy.ma.array([5.0], mask=[True]), numpy.ma.array([1.0, 2.0], mask=[False, True]),
    numpy.longdouble("0.1"), numpy.longdouble("1e400"), numpy.float16(0.1), numpy.uint64(2**64 - 1), numpy.bool_(True),
    numpy.complex64(1j), numpy.str_("x\x00"), numpy.void(b"abc"), numpy.array([object()]),
    numpy.zeros(2, dtype=[("a", "i4")]), numpy.array([]), numpy.arange(20_000), numpy.array(0.5),
    numpy.array([b"\xff"]),
    decimal.Decimal("sNaN"), decimal.Decimal("1e400"), decimal.Decimal("1e999999"), decimal.Decimal(2**60 + 1),
    fractions.Fraction(10**400, 3), 10**4_300, -(10**4_299), 1 << 40_000, 2**62, -(2**63), 2**70, 1_700_000_000_000,
    Color.RED, Color.BLUE, Level.LOW | Level.HIGH, pathlib.Path("/data/\udcff"), re.compile("a+"), print, Options, ...,
    range(3), math, b"\x00\xff" * 9, bytearray(b"x"), memoryview(b"ab"), "\x00", "\ud800", "a" * 140_000,
    "\x01" * 140_000, "é" * 3_000,
    math.nan, math.inf, -0.0, {"$float": "NaN"}, {1: "a", "1": "b"}, {None: 1, Hostile(): 2},
    tree_with_parents(), ["a" * 100_000] * 3, {"a": {"b": {}}},
    RootModel[list[int]]([1]), config(1), config(1).model.layers,
]  # fmt: skip
_ODD = (
    st.integers(0, len(_ODD_SCALARS) - 1).map(lambda at: _ODD_SCALARS[at])  # sampled_from() calls their repr()
    | GOOD
    | WORDS
    | MOMENTS
    | st.datetimes()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.decimals()
    | st.fractions()
    | st.complex_numbers()
    | st.binary(max_size=9)
    | st.floats(width=32).map(numpy.float32)
    | st.integers(-(2**63), 2**63 - 1).map(numpy.int64)
)
_KEYS = WORDS | st.integers() | st.none() | st.floats() | st.dates() | st.tuples(WORDS, st.integers())


class Given:
    """A value that a test passes on, with a repr() that Hypothesis may print."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return safe_repr(self.value, 500)


ANYTHING: st.SearchStrategy[Given] = st.recursive(
    _ODD,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(collections.deque),
        st.sets(_KEYS, max_size=3),
        st.dictionaries(_KEYS, inner, max_size=3),
        st.dictionaries(WORDS, inner, max_size=3).map(types.MappingProxyType),
        st.dictionaries(WORDS, inner, max_size=3).map(collections.UserDict),
        inner.map(lambda one: argparse.Namespace(lr=0.1, inner=one)),
        inner.map(lambda one: types.SimpleNamespace(inner=one)),
        inner.map(lambda one: Options(one, one)),
        inner.map(Slotted),
        inner.map(lambda one: Model.model_construct(lr=one)),
        inner.map(lambda one: ModelThatCannotBeDumped.model_construct(lr=one)),
        inner.map(lambda one: Pair(one, one)),
        TEXT.map(config),
    ),
    max_leaves=6,
).map(Given)
