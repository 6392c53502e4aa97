"""
Requests that MLflow's servers refuse, or accept although they look odd, as tables: one `Target` for each route.

`cases(target)` makes the requests of a route: each field missing and with each wrong value of its kind, bodies of
another form, and those that the table names for this route alone. Texts that start with `$` stand for ids of things
that exist on both servers: `substituted` puts them in.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

API, PAGES, FILES = "/api/2.0/mlflow/", "/ajax-api/2.0/mlflow/", "/api/2.0/mlflow-artifacts/"
NAN, INFINITY = float("nan"), float("inf")

# Values of a field, by its kind: wrong ones, and right ones in an unusual form.
TEXT = [5, True, ["x"], {"x": 1}, None, "", " ", "a\0b", "\ud800", "ü漢🙂", "x" * 10_001]
NAME = [5, ["x"], None, "", "unknown", "a\0b", "\ud800", "../x", "a/b", "a:b", "x" * 501]
ID = [5_000_000_007, True, ["x"], None, "", "unknown", "..", "9" * 18, "9" * 30, "a\0b", "\ud800", "../x", "x" * 500]
WHOLE = ["x", 1.5, 7.0, True, [], {}, None, "", "7", "7.5", -1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, NAN, INFINITY]
NUMBER = ["x", True, [], {}, None, "", "7", "NaN", "-Infinity", "inf", NAN, -INFINITY, 1e308, 10**400, 2**70]
PAGE = ["x", 1.5, None, "", "2", 0, -1, 50_001, 2**31, 2**63, NAN]
TOKEN = [5, None, "", "x", "eyJ9", "bm8=", "%%%", "ü", "x" * 5_000]
CHOICE = ["x", 0, 99, -1, "finished", "1", 1.5, True, None, [], ""]
TRUTH = ["x", 0, 1, "true", None, []]
TEXTS = ["x", 5, {}, None, [5], [None], [[]], [""], []]
PAIRS = ["x", 5, {}, None, ["x"], [None], [[]], [{}], [{"key": 5, "value": "v"}], [{"key": "k"}], [{"value": "v"}],
         [{"key": "k", "value": None}], [{"key": "k", "value": ["v"]}], [{"key": "k", "value": "v", "more": 1}],
         [{"key": "", "value": "v"}], [{"key": "a\0b", "value": "v"}], [{"key": "k" * 251, "value": "v"}]]  # fmt: skip
FILTER = [5, None, ["x"], "", "x", "name", "name =", "name = 5", "= 'x'", "metrics.a > 'x'", "metrics.a",
      "params.a > 1",
          "tags.a = 'x' OR tags.b = 'y'", "(name = 'x')", "nonsense.a = 'x'", "name = 'x", "name = 'x' AND",
          "';DROP TABLE",
          "name LIKE '%' AND name ILIKE '%'", "name IN ('a','b')", "name IN ()", "a = b = c", "\0", "name = '\ud800'",
          "name = '\U0001f642'", "name = 'a''b'", "attributes.nothing = 'x'", "name != 'x'", "name RLIKE 'x'",
          "AND " * 50 + "name = 'x'", " AND ".join(["name = 'x'"] * 40)]  # fmt: skip
ORDER = ["x", 5, None, [5], [""], ["name"], ["name ASC"], ["name DESC"], ["name UP"], ["name ASC, x"], ["nonsense.a"],
         ["metrics.a"], ["; DROP TABLE runs"], ["name", "name"], ["params.`a b` DESC"], ["\0"]]  # fmt: skip
PATH = [None, "", "..", "../..", "/etc/passwd", "a/../../b", "a\\..\\b", "%2e%2e/x", "..%2f..", "a\0b", "C:/x",
      "file:///x",
        "unknown", "ü", "x" * 300, ".", "a//b"]  # fmt: skip


class Case(NamedTuple):
    """A request. `body` is JSON unless it is bytes; None sends none."""

    name: str
    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = {}


class Target(NamedTuple):
    """A route: its valid request, the kinds of its fields, and the requests that only it has."""

    method: str
    path: str
    valid: Mapping[str, Any]
    kinds: Mapping[str, Sequence[Any]] = {}
    more: Mapping[str, Mapping[str, Any]] = {}  # a name, and the fields that it has instead

    @property
    def name(self) -> str:
        """What a test calls it."""
        return f"{self.method} {self.path}"


def cases(target: Target) -> Iterator[Case]:
    """Yield the requests of a route."""
    yield _request(target, "valid", target.valid)
    for name in target.valid:
        yield _request(target, f"no {name}", {key: one for key, one in target.valid.items() if key != name})
    for name, kind in target.kinds.items():
        for value in kind:
            shown = _shown(value)
            yield _request(target, f"{name}={shown}", {**target.valid, name: value})
    for what, fields in target.more.items():
        yield _request(target, what, {**target.valid, **fields})
    if target.method != "GET":
        for what, body in BODIES.items():
            yield Case(what, target.method, target.path, body)
        twice = json.dumps(json.dumps(dict(target.valid))).encode()
        yield Case("JSON in a JSON text", target.method, target.path, twice)
        yield _request(target, "a field that is unknown", {**target.valid, "nonsense": {"a": [1]}})


BODIES: Mapping[str, bytes | None] = {
    "no body": None, "empty": b"", "half": b'{"a', "null": b"null", "a list": b"[]", "a number": b"5",
    "a text": b'"x"', "true": b"true", "no UTF-8": b'{"run_id": "\xff"}', "two objects": b"{}{}",
}  # fmt: skip


def _request(target: Target, name: str, fields: Mapping[str, Any]) -> Case:
    fields = dict(fields)
    path = re.sub(r"{(\w+)}", lambda found: _quoted(fields.pop(found[1], "")), target.path)
    if target.method == "GET":
        pairs = [(key, one) for key, value in fields.items() for one in (value if isinstance(value, list) else [value])]
        query = "&".join(f"{key}={_quoted(value)}" for key, value in pairs if value is not None)
        return Case(name, target.method, f"{path}?{query}" if query else path)
    return Case(name, target.method, path, fields)


def _quoted(value: Any) -> str:
    """Return a value as a part of a URL; `%` in it stays, so that a case may hold any encoding."""
    text = value if isinstance(value, str) else json.dumps(value)
    kept = b"$-._~%/"
    data = text.encode("utf-8", "surrogatepass")
    return "".join(chr(one) if (chr(one).isalnum() and one < 128) or one in kept else f"%{one:02X}" for one in data)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) and value.isascii() and value.isprintable() else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:20]}... ({len(text)})"


def substituted(case: Case, ids: Mapping[str, str]) -> tuple[str, bytes | None, dict[str, str]]:
    """Return path, body and headers with the ids of a server; `$new` is a name that nothing has."""
    ids = {**ids, "new": f"new-{uuid.uuid4().hex}"}

    def put(text: str) -> str:
        return re.sub(r"\$(\w+)", lambda found: ids.get(found[1], found[0]), text)

    body = case.body
    if body is not None:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        body = put(body.decode("latin-1")).encode("latin-1") if b"$" in body else body
    headers = {"Content-Type": "application/json", **case.headers} if body is not None else dict(case.headers)
    return put(case.path), body, headers
