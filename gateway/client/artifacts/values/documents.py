"""
Write text, and JSON or YAML of dicts, lists and objects of fields. Imports PyYAML for .yaml and .yml only.
"""

from __future__ import annotations

import json
import os

from gateway.client.encoding.objects import elements_of, fields_of, is_missing, moment_text, readable
from gateway.client.encoding.values import float_to_json, scalar, text_of
from gateway.client.guards import Refused, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 100  # of nested containers, as schemas/bounds.py has it for values
YAML = (".yaml", ".yml")


def write_text(text: object, path: str) -> None:
    """Write text in UTF-8; a lone surrogate becomes a question mark, as UTF-8 has none."""
    with open(path, "w", encoding="utf-8", errors="replace", newline="") as file:
        file.write(text if type(text) is str else text_of(text))


def write_dict(value: object, path: str) -> None:
    """Write a dict, a list or an object of fields as YAML (.yaml, .yml), otherwise as JSON. Raises Refused."""
    if os.path.splitext(path)[1].lower() in YAML:
        write_text(_yaml(plain(value, for_json=False)), path)
    else:
        write_text(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


def plain(value: Any, *, for_json: bool = True, depth: int = 0) -> Any:
    """
    Return a value as dicts, lists, numbers, texts, booleans and None. Raises Refused for what is nested too deeply.

    Names of a dict become text. JSON has no NaN and infinities: there they are the texts "NaN", "Infinity" and
    "-Infinity", as everywhere in this system (schemas/columns.py).
    """
    if depth > MAX_DEPTH:
        raise Refused("deep", f"a {type_name(value)} is nested deeper than {MAX_DEPTH} levels, or holds itself")
    value = scalar(value)
    if type(value) in (bool, int, str):
        return value
    if is_missing(value):
        return None
    if type(value) is float:
        return float_to_json(value) if for_json else value
    if isinstance(value, str):
        return str.__str__(value)
    fields = fields_of(value)
    if fields is not None:
        return {text_of(name): plain(item, for_json=for_json, depth=depth + 1) for name, item in fields}
    text = moment_text(value) or readable(value)
    if text is not None:
        return text
    elements = _elements(value)
    if elements is None:
        return text_of(value)
    return [plain(item, for_json=for_json, depth=depth + 1) for item in elements]


def _elements(value: Any) -> Any:
    """Return the elements of an array or column of any size, or of another sequence; None for anything else."""
    for method in ("tolist", "to_list"):  # of numpy, pandas, PyTorch; of polars
        if hasattr(value, method):
            return getattr(value, method)()
    return elements_of(value)


def _yaml(value: Any) -> str:
    try:
        import yaml
    except ImportError:
        raise Refused("yaml", "PyYAML is not installed: install pyyaml, or give a name that ends in .json") from None
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
