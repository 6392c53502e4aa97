"""
Write tables: data frames of pandas and polars, a dict of columns, or a list of rows. Imports pandas for .parquet only.
"""

from __future__ import annotations

import csv
import json
import os

from gateway.client.artifacts.values.documents import plain, write_text
from gateway.client.encoding.objects import fields_of
from gateway.client.guards import Refused, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Rows = list[list[Any]]


def write_table(table: Any, path: str) -> None:
    """
    Write a table as .json (`{"columns": [...], "data": [[...]]}`, as MLflow does), .csv or .parquet. Raises Refused.

    Rows of a list may have different columns; what a row lacks is null. The index of a data frame is left out.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".parquet":
        _write_parquet(table, path)
        return
    columns, rows = read_table(table)
    if suffix == ".json":
        text = json.dumps({"columns": columns, "data": rows}, ensure_ascii=False, allow_nan=False)
        write_text(text + "\n", path)
    elif suffix == ".csv":
        with open(path, "w", encoding="utf-8", errors="replace", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([_cell(item) for item in row] for row in rows)
    else:
        raise Refused("table", f"a table is not written as {suffix}: give a name that ends in .json, .csv or .parquet")


def read_table(table: Any) -> tuple[list[str], Rows]:
    """Return the names of the columns of a table, and its rows. Raises Refused for what is no table."""
    if _is_frame(table):
        names = [str(name) for name in table.columns]
        # By position: a data frame may have two columns of one name.
        values = [_list(table.iloc[:, at] if hasattr(table, "iloc") else table[name]) for at, name in enumerate(names)]
        return names, _rows(values)
    fields = fields_of(table)
    if fields is not None:
        return [str(name) for name, _ in fields], _rows([_list(column) for _, column in fields])
    if not isinstance(table, list | tuple):
        raise Refused(
            "table", f"a {type_name(table)} is no table: give a data frame, a dict of lists or a list of dicts"
        )
    found = []
    for row in table:
        row_fields = fields_of(row)
        if row_fields is None:
            raise Refused("table", f"a row is a {type_name(row)}: give each row as a dict of columns")
        found.append({str(name): plain(item) for name, item in row_fields})
    columns = list(dict.fromkeys(name for row in found for name in row))
    return columns, [[row.get(name) for name in columns] for row in found]


def _is_frame(table: Any) -> bool:
    return hasattr(table, "columns") and hasattr(table, "dtypes")


def _list(column: Any) -> list[Any]:
    """Return the items of a column as JSON has them; a column that is one value is a list of it."""
    items = plain(column)
    return items if isinstance(items, list) else [items]


def _rows(columns: Rows) -> Rows:
    if len({len(column) for column in columns}) > 1:
        raise Refused(
            "table", f"columns have {sorted({len(column) for column in columns})} values: give as many in each"
        )
    return [list(row) for row in zip(*columns, strict=True)]


def _cell(item: Any) -> Any:
    return json.dumps(item, ensure_ascii=False) if isinstance(item, list | dict) else item


def _write_parquet(table: Any, path: str) -> None:
    if hasattr(table, "write_parquet"):  # polars
        table.write_parquet(path)
        return
    try:
        if not hasattr(table, "to_parquet"):
            import pandas

            columns, rows = read_table(table)
            table = pandas.DataFrame(rows, columns=columns)
        table.to_parquet(path, index=False)
    except ImportError:
        step = "install pandas and pyarrow, or give a name that ends in .csv or .json"
        raise Refused("table", f".parquet needs pandas and pyarrow, which are not installed: {step}") from None
