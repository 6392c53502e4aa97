"""
Searches of runs in the order of several keys, within experiments, and of what their labels have.

Pure, as sql_builder.py. Runs without a value of a key come after those with one, in both directions, as in MLflow;
those whose value is NaN come between. The id of a run decides last, so a position is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from consumers.store.search.filter_terms import All, Node, Order
from consumers.store.search.names import json_path
from consumers.store.search.page_token import SORTED_TEXT, KeysPosition
from consumers.store.search.sql_builder import (
    COLUMNS,
    MAY_BE_NULL,
    OF_EXPERIMENTS,
    OF_PARTS,
    Query,
    StatementBuilder,
    filled,
    sorted_column,
    sorted_type,
)
from consumers.store.statements import sql


class InExperiments(NamedTuple):
    """Experiments whose runs are searched."""

    ids: Sequence[str]  # "": runs of no registered experiment
    names: Sequence[str]  # that these experiments have or had: the tags of runs may name them


class InStage(NamedTuple):
    """The stage of the runs that are searched."""

    stage: str  # active, deleted
    deleted: Sequence[str]  # experiments whose runs are deleted with them; constants, so that their number is estimated


class _SortKey(NamedTuple):
    column: str
    descending: bool
    rank: str | None  # None: every run has a value
    kind: str  # PostgreSQL's type


class OrderedSearch:
    """One page of a search. `query` returns its statement, whose rows `position` reads."""

    def __init__(
        self, filter: Node, stage: InStage | None, experiments: InExperiments | None, orders: Sequence[Order]
    ) -> None:
        self._filter, self._stage, self._experiments, self._orders = filter, stage, experiments, orders

    @property
    def is_broad(self) -> bool:
        """Whether it finds all runs but those in the trash, or those that are not."""
        return self._experiments is None and not _asks(self._filter)

    @property
    def stages(self) -> int:
        """How many parts of the search an index has in order: runs with the first key, then others with the second."""
        kinds = [order.key.kind for order in self._orders[:2]]
        return 2 if kinds == ["param", "param_text"] else int(kinds[:1] != [] and kinds[0] in OF_PARTS)

    def query(
        self,
        *,
        limit: int,
        after: KeysPosition | None,
        lost_after_s: float,
        offset: int = 0,
        lacking: int | None = None,
    ) -> Query:
        """
        Return the query for the runs after a position, without the first `offset` of them.

        With `lacking` only those that lack so many of the first keys and have the next one: an index has them in order.
        """
        builder = StatementBuilder(lost_after_s)
        conditions = [self.condition(builder)]
        places, joined, keys = "", list[str](), dict[int, _SortKey]()  # by the number of the order
        for at, order in enumerate(self._orders):
            is_text = self._is_text_of_number(at)
            if lacking is not None and (at < lacking or (is_text and at == lacking + 1)):
                if at < lacking:
                    conditions.append(filled(sql("without_key"), {"keys": builder.keys(order.key, nan=True)}))
                places += f", 2 AS rank{at}, NULL AS value{at}"
                continue
            is_there = at == lacking
            if order.key.kind in OF_PARTS or order.key.name in OF_EXPERIMENTS:
                parts = {"keys": builder.keys(order.key, nan=not is_there), "alias": f"o{at}"}
                joined.append(filled(sql("join_there" if is_there else "join_keys"), parts))
            column = f"o{at}.sort_value"
            if is_text and not is_there:
                column = f"(CASE WHEN o{at - 1}.sort_value IS NULL THEN {column} END)"
            key = _sort_key(order, column)
            keys[at] = key._replace(rank=None) if is_there else key
            places += f", {keys[at].rank or 0} AS rank{at}, {key.column} AS value{at}"
        behind = after and after._replace(places=tuple(after.places[at] for at in keys))
        return builder.query(
            "search_by_keys",
            places=places,
            joined=" ".join(joined),
            condition=" AND ".join(conditions),
            behind="true" if behind is None else _behind(list(keys.values()), behind, builder),
            order=", ".join([*map(_direction, keys.values()), "r.run_id"]),
            limit=limit,
            offset=builder.add(offset, "bigint"),
        )

    def _is_text_of_number(self, at: int) -> bool:
        """Return whether this key is the text of a parameter by whose number runs are ordered before."""
        if not at:
            return False
        before, key = self._orders[at - 1].key, self._orders[at].key
        return (before.kind, key.kind) == ("param", "param_text") and before.name == key.name

    def condition(self, builder: StatementBuilder) -> str:
        """Return the condition on `r`, a row of runs, that it is found."""
        conditions = [builder.node(self._filter)]
        if self._stage is not None:
            conditions.append(_in_stage(self._stage, builder))
        if self._experiments is not None:
            conditions.append(_within(self._experiments, builder))
        return " AND ".join(conditions)

    def position(self, row: Any) -> KeysPosition:
        """Return the position of a row."""
        ranks = range(len(self._orders))
        places = [(row[f"rank{at}"], None if row[f"rank{at}"] else row[f"value{at}"]) for at in ranks]
        return KeysPosition(tuple(places), row["run_id"])


def _asks(node: Node) -> bool:
    """Return whether a filter compares anything."""
    return not isinstance(node, All) or any(_asks(part) for part in node.parts)


def label_values(
    experiments: InExperiments, prefix: str, paths: Sequence[str], *, limit: int, lost_after_s: float
) -> Query:
    """Return the query for the different values at paths inside labels whose name begins so."""
    builder = StatementBuilder(lost_after_s)
    parts = {"experiment_id": COLUMNS["experiment_id"], "condition": _within(experiments, builder)}
    parts["paths"] = builder.add([json_path(path) for path in paths], "text[]")
    return builder.query("label_values", prefix=builder.add(prefix, "text"), limit=limit, **parts)


def _sort_key(order: Order, joined_column: str) -> _SortKey:
    key, kind = order.key, sorted_type(order.key)
    if key.kind in OF_PARTS:
        is_nan = f"{joined_column} = 'NaN'" if key.kind == "metric" else "false"
        rank = filled(sql("rank_of_key"), {"column": joined_column, "is_nan": is_nan})
        return _SortKey(joined_column, order.descending, rank, kind)
    if key.name in OF_EXPERIMENTS:
        return _SortKey(joined_column, order.descending, None, kind)
    column = sorted_column(key)
    may_be_null = key.name in MAY_BE_NULL
    null_rank = filled(sql("rank_of_key"), {"column": column, "is_nan": "false"}) if may_be_null else None
    return _SortKey(column, order.descending, null_rank, kind)


def _direction(key: _SortKey) -> str:
    direction = f"{key.column} {'DESC' if key.descending else 'ASC'}"
    return f"{key.rank}, {direction}" if key.rank else direction


def _behind(keys: Sequence[_SortKey], after: KeysPosition, builder: StatementBuilder) -> str:
    """Return the condition that a run comes after a position: the first keys are equal, the next one is after it."""
    equal, either = list[str](), list[str]()
    for key, (rank, value) in zip(keys, after.places, strict=True):
        same_rank = f"{key.rank} = {rank:d}"
        if rank:
            either.append(" AND ".join([*equal, f"{key.rank} > {rank:d}"]))
            equal.append(same_rank)
            continue
        wanted = builder.add(value, key.kind)
        following = f"{key.column} {'<' if key.descending else '>'} {wanted}"
        if key.rank:
            following = f"({key.rank} > 0 OR ({same_rank} AND {following}))"
        either.append(" AND ".join([*equal, following]))
        equal.append(f"{key.column} = {wanted}")
    either.append(" AND ".join([*equal, f"r.run_id > {builder.add(after.run_id, 'text')}"]))
    condition = f"({' OR '.join(f'({one})' for one in either)})"
    if not keys or keys[0].rank:
        return condition
    first, (_, value) = keys[0], after.places[0]
    # For an index, at which PostgreSQL begins at the value.
    return f"{first.column} {'<=' if first.descending else '>='} {builder.add(value, first.kind)} AND {condition}"


def _in_stage(stage: InStage, builder: StatementBuilder) -> str:
    stored = filled(sql("in_stage"), {"stage": builder.add(stage.stage, "text")})
    if not stage.deleted:
        return stored
    deleted = filled(sql("in_experiments"), {"wanted": builder.add(list(stage.deleted), "text[]")})
    return f"({stored} OR {deleted})" if stage.stage == "deleted" else f"({stored} AND NOT {deleted})"


def _within(experiments: InExperiments, builder: StatementBuilder) -> str:
    ids, names = [one for one in experiments.ids if one], list(experiments.names)
    found = []
    if len(ids) == 1:
        found.append(filled(sql("in_experiment"), {"wanted": builder.add(ids[0], "text")}))
    elif ids:
        found.append(filled(sql("in_experiments"), {"wanted": builder.add(ids, "text[]")}))
    if names:
        heads = builder.add([name[:SORTED_TEXT] for name in names], "text[]")
        parts = {"heads": heads, "names": builder.add(names, "text[]")}
        found.append(filled(sql("tag_names_experiment"), parts))
    if "" in experiments.ids:
        found.append(filled(sql("in_no_experiment"), {}))
    return f"({' OR '.join(found)})" if found else "false"
