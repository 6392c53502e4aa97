"""
Translate a filter into SQL. Everything that people typed reaches PostgreSQL as a parameter, never as text.

Pure: the tree of filter.py in, a statement and its parameters out. Statements are assembled from the parts in
sql/search.sql and from the operators and columns named here; nothing else is ever written into one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from consumers.store.search.conditions import SIGNS, condition_of, has_word, has_words
from consumers.store.search.filter_terms import STAGES, Compare, Key, Node, Order, Value
from consumers.store.search.names import json_path, param_paths, series_candidates
from consumers.store.search.page_token import SORTED_TEXT, PagePosition
from consumers.store.statements import sql

COLUMNS = {
    "run_id": "r.run_id", "name": "r.name", "group": "r.group_name", "tag": "r.tag", "message": "r.message",
    "parent_run_id": "r.parent_run_id", "note": "r.note", "points": "r.points", "attempt": "r.attempt",
    "created": "r.created", "started": "r.started", "ended": "r.ended", "updated": "r.updated", "state": "r.state",
    "lifecycle_stage": "r.lifecycle_stage",
    "began": "coalesce(r.started, r.created)",
    "duration": "(coalesce(r.ended, r.updated)::float8 - coalesce(r.started, r.created))",
    "experiment": "(SELECT x.experiment FROM run_experiments x WHERE x.run_id = r.run_id)",
    "experiment_id": "(SELECT x.experiment_id FROM run_experiments x WHERE x.run_id = r.run_id)",
}  # fmt: skip
OF_EXPERIMENTS = ("experiment", "experiment_id")  # facts that the view run_experiments has
_STATS = {
    "last": "s.last_value", "step": "s.last_step::float8", "min": "min(s.min_value)", "max": "max(s.max_value)",
    "count": "sum(s.points)::float8", "non_finite": "sum(s.non_finite)::float8",
}  # fmt: skip
_OF_ONE_ATTEMPT = {
    "min": "s.min_value", "max": "s.max_value", "count": "s.points::float8", "non_finite": "s.non_finite::float8",
}  # fmt: skip
_ANYWHERE = ("r.name", "r.run_id", "r.group_name", "r.tag", "r.message", "r.note")
OF_PARTS = ("metric", "param", "param_text", "tag")  # kinds of keys whose values are in other tables
MAY_BE_NULL = ("started", "ended")
HEAD = SORTED_TEXT  # leading characters of a parameter or tag that an index holds


class Query(NamedTuple):
    """A statement and its parameters."""

    statement: str
    parameters: list[Any]


class Search:
    """One search; each method returns one of its queries."""

    def __init__(self, filter: Node, order: Order | None, *, lost_after_s: float) -> None:
        self._filter, self._order, self._lost_after_s = filter, order, lost_after_s

    @property
    def may_lack_key(self) -> bool:
        """Whether runs without a value of the order's key may exist, which `runs_without_key` finds."""
        if self._order is None:
            return False
        return self._order.key.kind in OF_PARTS or self._order.key.name in MAY_BE_NULL

    def runs(self, *, limit: int, after: PagePosition | None = None) -> Query:
        """Return the query for ids and sort values in order, after `after`; only runs that have the order's key."""
        builder = StatementBuilder(self._lost_after_s)
        condition = builder.node(self._filter)
        if self._order is None:
            following = builder.after("r.created", after, descending=True, kind="bigint")
            return builder.query("search", condition=condition, behind=following, limit=limit)
        key, descending = self._order
        direction = "DESC" if descending else "ASC"
        kind = sorted_type(key)
        if key.kind not in OF_PARTS and key.name not in OF_EXPERIMENTS:
            column = sorted_column(key)
            following = builder.after(column, after, descending=descending, kind=kind)
            return builder.query(
                "search_by_fact", condition=condition, column=column, behind=following, direction=direction, limit=limit
            )
        keys = builder.keys(key)
        following = builder.after("o.sort_value", after, descending=descending, kind=kind)
        return builder.query(
            "search_ordered", condition=condition, keys=keys, behind=following, direction=direction, limit=limit
        )

    def runs_without_key(self, *, limit: int, after: PagePosition | None = None) -> Query:
        """Return the query for runs without the order's key: ids and creation times, newest first, after `after`."""
        assert self._order is not None
        key = self._order.key
        builder = StatementBuilder(self._lost_after_s)
        condition = builder.node(self._filter)
        if key.kind in OF_PARTS:
            lacks = filled(sql("without_key"), {"keys": builder.keys(key)})
        else:
            lacks = f"{COLUMNS[key.name]} IS NULL"
        following = builder.after("r.created", after, descending=True, kind="bigint")
        return builder.query("search", condition=f"{condition} AND {lacks}", behind=following, limit=limit)


class StatementBuilder:
    """Builds one statement and collects its parameters."""

    def __init__(self, lost_after_s: float) -> None:
        self._parameters: list[Any] = []
        self._lost_after_s = lost_after_s

    def query(self, name: str, /, *, limit: int | None = None, **parts: str) -> Query:
        """Return the named statement with its parts filled in."""
        if limit is not None:
            parts["limit"] = self.add(limit, "bigint")
        return Query(filled(sql(name), parts), self._parameters)

    def after(self, column: str, after: PagePosition | None, *, descending: bool, kind: str) -> str:
        """Return a condition that holds for runs after `after` in an order by `column`."""
        if after is None:
            return "true"
        sign = "<" if descending else ">"
        parts = {"column": column, "after": sign, "at_or_after": f"{sign}="}
        parts |= {"value": self.add(after.value, kind), "run_id": self.add(after.run_id, "text")}
        return filled(sql("behind"), parts)

    def node(self, node: Node) -> str:
        """Return `node` as a condition on `r`, a row of runs."""
        return condition_of(node, self._compare)

    def keys(self, key: Key, *, nan: bool = False) -> str:
        """Return a SELECT of run ids and sort values, one row per run; `nan`: also of metrics that are NaN."""
        if key.kind == "metric":
            return self._keys_of_series(key, nan=nan)
        if key.name in OF_EXPERIMENTS:
            return filled(sql("keys_experiment"), {"column": f"x.{key.name}"})
        if key.kind == "param":
            parts = {"number": _param_number("p"), "name": self.add(key.name, "text")}
            return filled(sql("keys_param_number"), parts)
        if key.kind == "param_text":
            return filled(sql("keys_param_text"), {"name": self.add(key.name, "text")})
        return filled(sql("keys_tag"), {"name": self.add(key.name, "text")})

    def _keys_of_series(self, key: Key, *, nan: bool) -> str:
        branches = [self._values_of_series(key.stat, series, joined=True) for series in self._series(key.name)]
        found = branches[0]
        if len(branches) > 1:
            found = filled(sql("lowest_of_places"), {"values": " UNION ALL ".join(branches)})
        return found if nan else filled(sql("comparable_keys"), {"values": found})

    def _values_of_series(self, stat: str, series: dict[str, str], *, joined: bool = False) -> str:
        """Return a SELECT of run ids and a value of a series, one row per run; in SQL NULL where there is none."""
        if stat == "first":
            return filled(sql("first_of_series"), series)
        parts = {**series, "value": _STATS[stat]}
        if stat in ("last", "step"):
            return filled(sql("newest_of_series"), parts)
        if joined:
            return filled(sql("keys_of_series"), {**parts, "single": _OF_ONE_ATTEMPT[stat]})
        return filled(sql("all_of_series"), parts)

    def _metric(self, one: Compare) -> str:
        """Return a SELECT of the runs that have such a series."""
        if one.key.stat == "last":
            test = "true" if not one.values else self._number_test("s.last_value", one, not_nan=True)
            branches = [filled(sql("where_metric"), {**series, "test": test}) for series in self._series(one.key.name)]
            return " UNION ALL ".join(branches)
        test = "v.value IS NOT NULL" if not one.values else self._number_test("v.value", one, not_nan=True)
        values = " UNION ALL ".join(self._values_of_series(one.key.stat, each) for each in self._series(one.key.name))
        return filled(sql("where_value"), {"values": values, "test": test})

    def _compare(self, one: Compare) -> str:
        kind, name, _ = one.key
        lacks = one.op == "is null"
        if kind == "metric":
            found = self._metric(one)
        elif kind == "param":
            found = " UNION ALL ".join(self._param_branches(one))
        elif kind == "param_text":
            test = self._exact_text_test("p.value ->> 'value'", one)
            found = filled(sql("where_param"), {"name": self.add(name, "text"), "test": test})
        elif kind == "label":
            found = self._label(one)
        elif kind == "joined":
            return self._joined(one)
        elif kind == "anywhere":
            return self._anywhere(one)
        elif kind == "tag":
            test = self._text_test("t.value", one, head=_head("t.value"))
            found = filled(sql("where_tag"), {"name": self.add(name, "text"), "test": test})
        else:
            return self._fact(one)
        return f"(r.run_id {'NOT IN' if lacks else 'IN'} ({found}))"

    def _fact(self, one: Compare) -> str:
        column = fact_column(one.key.name)
        if not one.values:
            is_text = one.key.kind in ("text", "state", "stage")  # a text that was never set is empty
            empty = f"{column} = ''" if is_text else f"{column} IS NULL"
            return f"({empty})" if one.op == "is null" else f"(NOT {empty})"
        if one.key.kind == "state":
            return self._state(one)
        if one.key.kind == "stage":
            return self._stage(one)
        if one.key.name in OF_EXPERIMENTS:
            return self._experiment(one)
        if one.key.kind == "text":
            return f"({self._text_test(column, one)})"
        return f"({self._number_test(column, one)})"

    def _texts(self, one: Compare) -> str:
        return self.add([value.text for value in one.values], "text[]")

    def _experiment(self, one: Compare) -> str:
        fact = one.key.name
        if one.op == "in":
            parts = {"wanted": self._texts(one)}
            return filled(sql(f"of_{fact}"), {**parts, "named": filled(sql(f"tags_of_{fact}"), parts)})
        if fact == "experiment":
            tests = {"test_of_name": self._text_test("e.name", one), "test_of_tag": self._text_test("r.tag", one)}
        else:
            columns = {"test_of_id": "r.experiment_id", "test_of_names_id": "n.experiment_id", "test_of_none": "''"}
            tests = {name: self._text_test(column, one) for name, column in columns.items()}
        return filled(sql(f"{fact}_like"), tests)

    def _stage(self, one: Compare) -> str:
        stages = {value.text for value in one.values}
        wanted = stages if one.op == "in" else set(STAGES) - stages
        if len(wanted) != 1:
            return "true" if wanted else "false"
        return f"({'' if wanted == {'active'} else 'NOT '}{sql('is_active')})"

    def _anywhere(self, one: Compare) -> str:
        """Return a condition that each word is in one of the texts of a run."""
        words = [self.add(word, "text") for word in one.values[0].text.split()]
        columns = [[has_word(column, word) for column in _ANYWHERE] for word in words]
        tests = [f"{has_word('t.value', word)} OR {has_word('t.name', word)}" for word in words]
        tags = [f"r.run_id IN ({filled(sql('where_any_tag'), {'test': test})})" for test in tests]
        each = [f"({' OR '.join([*some, tag])})" for some, tag in zip(columns, tags, strict=True)]
        return f"({'NOT ' if one.op == 'not has' else ''}({' AND '.join(each)}))"

    def _state(self, one: Compare) -> str:
        """Return a condition on the state. A lost run is a running one that is silent; no row records that."""
        states = {value.text for value in one.values}
        parts = [f"r.state = ANY ({self.add(sorted(states - {'running', 'lost'}), 'text[]')})"]
        tests = {"running": "NOT r.heartbeats OR r.updated >=", "lost": "r.heartbeats AND r.updated <"}
        for state in (one for one in tests if one in states):
            silent = f"(extract(epoch FROM now())::float8 - {self.add(self._lost_after_s, 'float8')}) * 1e6"
            parts.append(f"(r.state = 'running' AND ({tests[state]} {silent}))")
        return f"({'NOT ' if one.op == 'not in' else ''}({' OR '.join(parts)}))"

    def _number_test(self, column: str, one: Compare, *, not_nan: bool = False) -> str:
        numbers = [value.number for value in one.values if value.number is not None]
        if one.op in ("in", "not in"):
            test = f"{column} = ANY ({self.add(numbers, 'float8[]')})"
            return test if one.op == "in" else f"NOT {test}"
        test = f"{column} {SIGNS[one.op]} {self.add(numbers[0], 'float8')}"
        # In PostgreSQL, NaN is greater than every number.
        return f"{test} AND {column} < 'NaN'" if not_nan and not math.isnan(numbers[0]) else test

    def _text_test(self, column: str, one: Compare, *, head: str = "") -> str:
        if not one.values:
            return "true"
        texts = [value.text for value in one.values]
        if one.op == "in":
            return self._same_text(column, texts, head)
        if one.op == "not in":
            return f"NOT {column} = ANY ({self.add(texts, 'text[]')})"
        if one.op in ("has", "not has"):
            return has_words(column, one, self.add)
        test = f"{column} {SIGNS[one.op]} {self.add(texts[0], 'text')}"
        begin = re.split(r"[%_\\\\]", texts[0])[0][:HEAD]
        if head and begin and one.op == "like":
            return f"{head} LIKE {self.add(begin + '%', 'text')} AND {test}"
        return test

    def _same_text(self, column: str, texts: list[str], head: str) -> str:
        """Return a test whether a text is one of these; `head` is its beginning as an index holds it."""
        wanted = self.add(texts, "text[]")
        if not head:
            return f"{column} = ANY ({wanted})"
        if all(len(text) < HEAD for text in texts):  # the whole text, and the planner estimates one test well
            return f"{head} = ANY ({wanted})"
        heads = self.add([text[:HEAD] for text in texts], "text[]")
        return f"({head} = ANY ({heads}) AND {column} = ANY ({wanted}))"

    def _exact_text_test(self, text: str, one: Compare) -> str:
        """Return a test of a parameter as text; clients of MLflow write booleans as Python does."""
        test = self._text_test(text, one, head=_head(text))
        booleans = [value.text.lower() for value in one.values if value.text in ("True", "False")]
        if not booleans or one.op not in ("in", "not in"):
            return test
        as_stored = filled(sql("is_boolean"), {"text": text, "wanted": self.add(booleans, "text[]")})
        return f"({test} OR {as_stored})" if one.op == "in" else f"({test} AND NOT {as_stored})"

    def _label(self, one: Compare) -> str:
        prefix, star, path = one.key.name.partition("*")
        name = self.add(prefix, "text")
        if star:
            test = self._text_test("(found.item #>> '{}')", one)
            parts = {"name": name, "path": self.add(json_path(path), "jsonpath"), "test": test}
            return filled(sql("where_inside_labels"), parts)
        return filled(sql("where_label"), {"name": name, "test": self._text_test("(l.value ->> 'value')", one)})

    def _joined(self, one: Compare) -> str:
        """Return a condition on a text that is put together from facts, each of which is named in braces."""
        pieces = re.split(r"\{(\w+)\}", one.key.name)
        text = " || ".join(COLUMNS[piece] if at % 2 else self.add(piece, "text") for at, piece in enumerate(pieces))
        return f"({self._text_test(f'({text})', one)})"

    def _param_branches(self, one: Compare) -> list[str]:
        """Return SELECTs of the runs whose parameter of this name, or of this path inside a JSON value, fits."""
        text = "p.value ->> 'value'"
        test = self._param_test(one, _param_number("p"), text, _head(text))
        branches = [filled(sql("where_param"), {"name": self.add(one.key.name, "text"), "test": test})]
        for name, path in param_paths(one.key.name):
            value = f"(p.value #> {self.add(['value', *path], 'text[]')})"
            test = self._param_test(one, filled(sql("inside_number"), {"value": value}), f"({value} #>> '{{}}')", "")
            parts = {"name": self.add(name, "text"), "value": value, "test": test}
            branches.append(filled(sql("where_param_inside"), parts))
        return branches

    def _param_test(self, one: Compare, number: str, text: str, head: str) -> str:
        """Return a test of a parameter: numbers as numbers; text in quotes as text, and as a number if it is one."""
        if not one.values:
            return "true"
        if one.op in ("<", "<=", ">", ">="):
            return self._number_test(number, one)
        if one.op not in ("in", "not in"):
            return self._text_test(text, one, head=head)
        numbers = [found for value in one.values if (found := _read_number(value)) is not None]
        texts = sorted({form for value in one.values if value.number is None for form in _forms(value.text)})
        tests = []
        if numbers:
            tests.append(f"{number} = ANY ({self.add(numbers, 'float8[]')})")
        if texts:
            tests.append(self._same_text(text, texts, head))
        either = " OR ".join(tests)
        # The number of a text is NULL unless it is a number, and NOT NULL is neither true nor false.
        return f"({either})" if one.op == "in" else f"NOT coalesce({either}, false)"

    def _series(self, written: str) -> list[dict[str, str]]:
        """Return the parameters of all series that may have this written name, see schemas/names.py."""
        return [
            {
                "step": self.add(step, "text"),
                "name": self.add(name, "text"),
                "labels": self.add(labels, "jsonb"),
            }
            for step, name, labels in series_candidates(written)
        ]

    def add(self, value: Any, kind: str) -> str:
        """Add a parameter, and return how the statement names it."""
        self._parameters.append(value)
        return f"${len(self._parameters)}::{kind}"


def _head(column: str) -> str:
    """Return the beginning of a text as the indexes params_by_text and tags_by_text hold it."""
    return f'(left({column}, {HEAD}) COLLATE "C")'


def _param_number(row: str) -> str:
    return filled(sql("param_number"), {"row": row})


def fact_column(name: str) -> str:
    """Return the expression of a fact."""
    return f"({sql('stage_with_experiment')})" if name == "stage" else COLUMNS[name]


def sorted_column(key: Key) -> str:
    """Return the column of a fact, or of a text its beginning, by which runs are sorted."""
    column = fact_column(key.name)
    return f'(left({column}, {SORTED_TEXT}) COLLATE "C")' if sorted_type(key) == "text" else column


def sorted_type(key: Key) -> str:
    """Return PostgreSQL's type of what runs are sorted by."""
    if key.kind in ("number", "time"):
        return "bigint"
    return "float8" if key.kind in ("metric", "param", "duration") else "text"


def _read_number(value: Value) -> float | None:
    if value.number is not None:
        return value.number
    try:
        return float(value.text) if re.fullmatch(r"[+-]?[\d.]+(?:[eE][+-]?\d+)?", value.text) else None
    except ValueError:
        return None


def _forms(text: str) -> Sequence[str]:
    """Return the forms of a text; MLflow's clients write booleans as Python does."""
    return (text, text.lower()) if text in ("True", "False") else (text,)


def filled(statement: str, parts: dict[str, str]) -> str:
    """Return a statement with these parts in place of its `:names`."""
    return re.sub(r"(?<!:):(\w+)", lambda found: parts[found[1]], statement.rstrip().rstrip(";"))
