"""
Statements for the columns that runs have, and for the values of one column.

Pure, as consumers/store/search/sql_builder.py: what people typed is always a parameter.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumers.store.search.filter_terms import RUN_FACTS, Key
from consumers.store.search.ordered_search import OrderedSearch
from consumers.store.search.sql_builder import OF_EXPERIMENTS, Query, StatementBuilder, fact_column, filled
from consumers.store.statements import sql

KINDS = ("param", "metric", "tag", "label")  # of columns that differ between runs
FACTS = {name: kind for kind, name in dict.fromkeys(RUN_FACTS.values()) if kind != "anywhere"}
_OF_PARTS = {"param": "p", "tag": "t", "label": "l", "metric": "s"}  # the alias of the table
TYPES = ("string", "float", "int", "bool", "datetime", "json", "histogram")  # as the bits of types_of_value
_FACT_TYPES = {"number": "int", "time": "time", "duration": "duration"}


def fact_type(name: str) -> str:
    """Return the type of a fact: string, int, time or duration (µs)."""
    return _FACT_TYPES.get(FACTS[name], "string")


def types_of(bits: int) -> list[str]:
    """Return the types of values in a row of `columns_query`."""
    return sorted(name for place, name in enumerate(TYPES) if bits >> place & 1)


def count_query(search: OrderedSearch, lost_after_s: float) -> Query:
    """Return the query for how many runs a search finds."""
    builder = StatementBuilder(lost_after_s)
    runs = filled(sql("found_runs"), {"condition": search.condition(builder)})
    return builder.query("count_found_runs", runs=runs)


def columns_query(
    search: OrderedSearch, kinds: Sequence[str], prefix: str, *, limit: int, lost_after_s: float
) -> Query:
    """Return the query for the columns of these kinds whose name begins so, of the runs that a search finds."""
    builder = StatementBuilder(lost_after_s)
    wanted = builder.add(prefix, "text")
    parts = []
    for kind in kinds:
        alias = _OF_PARTS[kind]
        types = filled(sql("types_of_value"), {"value": f"{alias}.value"})
        among = _among(search, builder, alias)
        parts.append(filled(sql(f"{kind}_columns"), {"among": among, "prefix": wanted, "types": types}))
    return builder.query("columns_found", columns=" UNION ALL ".join(f"({part})" for part in parts), limit=limit)


def values_query(search: OrderedSearch, key: Key, prefix: str, *, limit: int, lost_after_s: float) -> Query:
    """Return the query for the values of a parameter, tag, label or fact that is text, the most frequent first."""
    builder = StatementBuilder(lost_after_s)
    wanted = builder.add(prefix, "text")
    if key.kind in _OF_PARTS:
        name = "label_values_of_name" if key.kind == "label" else f"{key.kind}_values"
        among = _among(search, builder, _OF_PARTS[key.kind])
        return builder.query(name, name=builder.add(key.name, "text"), prefix=wanted, among=among, limit=limit)
    if key.kind == "state":
        column = filled(sql("shown_state"), {"lost": builder.add(lost_after_s, "float8")})
    else:
        column = f"x.{key.name}" if key.name in OF_EXPERIMENTS else fact_column(key.name)
    return builder.query("fact_values", column=column, condition=search.condition(builder), prefix=wanted, limit=limit)


def _among(search: OrderedSearch, builder: StatementBuilder, alias: str) -> str:
    name = "among_all_but" if search.is_broad else "among_found"
    return filled(sql(name), {"condition": search.condition(builder), "alias": alias})
