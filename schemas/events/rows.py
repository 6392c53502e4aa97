"""
Metric points of many series at the same steps: one row a step, one column a series.

A training that records a thousand statistics of its layers has one point of each series in a record. As one object a
series, each point costs its name, its step, its time and three arrays. Here they are written once for the whole record,
so what a reader spends on a point does not depend on how many series there are.
"""

from __future__ import annotations

from array import array
from functools import cached_property, lru_cache
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from schemas.bounds import MAX_NAME, check_name
from schemas.columns import NUMBER, FloatArray, IntArray, IntColumn, dump_floats, float_column, int_column
from schemas.events.base import Labels, Scoped
from schemas.events.data import Metrics, Series, SystemMetrics

MAX_NAMES = 10_000  # of an event; the training client writes at most 1,000
NAMES_KEPT = 256  # lists of names that were checked, the newest: a producer writes the same ones again and again


def _check_names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list | tuple):
        raise ValueError("the names of the series are a list")
    try:
        return _checked(tuple(names))
    except TypeError:  # not hashable
        raise ValueError("a name is text") from None


@lru_cache(maxsize=NAMES_KEPT)
def _checked(names: tuple[Any, ...]) -> tuple[str, ...]:
    if not 0 < len(names) <= MAX_NAMES:
        raise ValueError(f"there are {len(names):,} names, and may be 1 to {MAX_NAMES:,}")
    for name in names:
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
            raise ValueError(f"a name is text of 1 to {MAX_NAME:,} characters, not {name!r:.80}")
        check_name(name)
    if len(set(names)) < len(names):
        raise ValueError("a name is there twice")
    return names


def _rows(values: Any) -> list[FloatArray]:
    if not isinstance(values, list) or not values:
        raise ValueError("values are a list of rows")
    return [float_column(row) for row in values]


Names = Annotated[
    tuple[str, ...],
    PlainValidator(_check_names),
    PlainSerializer(list),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
            "minItems": 1,
            "maxItems": MAX_NAMES,
            "uniqueItems": True,
        }
    ),
]
Positions = Annotated[
    IntArray,
    PlainValidator(int_column),
    PlainSerializer(lambda column: column.tolist()),
    WithJsonSchema({"type": "array", "items": {"type": "integer", "minimum": 0}}),
]
Rows = Annotated[
    list[FloatArray],
    PlainValidator(_rows),
    PlainSerializer(lambda rows: [dump_floats(row) for row in rows]),
    WithJsonSchema({"type": "array", "items": {"type": "array", "items": NUMBER, "minItems": 1}, "minItems": 1}),
]


class MetricRows(Scoped):
    """Numeric points of many series at the same steps: `values` has one row for each step, one value for each name."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["metric_rows"] = "metric_rows"
    names: Names
    labels: Labels = Field(default_factory=dict, description="of each of the series")
    integers: Positions = Field(
        default_factory=lambda: array("q"), description="positions of the series of which all values here were ints"
    )
    steps: IntColumn
    times: IntColumn
    values: Rows

    @model_validator(mode="after")
    def _same_length(self) -> MetricRows:
        if not len(self.steps) == len(self.times) == len(self.values) > 0:
            raise ValueError(
                f"there are {len(self.steps)} steps, {len(self.times)} times and {len(self.values)} rows of values"
            )
        columns = len(self.names)
        for row in self.values:
            if len(row) != columns:
                raise ValueError(f"a row has {len(row)} values for {columns} names")
        if self.integers and not 0 <= min(self.integers) <= max(self.integers) < columns:
            raise ValueError("`integers` holds a position that has no name")
        return self

    @property
    def points(self) -> int:
        """How many points there are."""
        return len(self.names) * len(self.steps)

    @cached_property
    def series(self) -> list[Series]:
        """The points as columns of each series, as `metrics` has them; made when first asked for."""
        columns, integers = len(self.names), set(self.integers)
        cells = self.values[0] if len(self.values) == 1 else array("d", chain.from_iterable(self.values))
        return [
            Series.model_construct(
                name=name,
                labels=self.labels,
                integer=at in integers,
                steps=self.steps,
                times=self.times,
                values=cells[at::columns],
            )
            for at, name in enumerate(self.names)
        ]

    def as_columns(self) -> Metrics:
        """Return the same points as an event `metrics`, for readers that do not know rows."""
        return Metrics.model_construct(
            time=self.time, step_name=self.step_name, attempt=self.attempt, series=self.series
        )


Points = Metrics | SystemMetrics | MetricRows  # each has `series`
