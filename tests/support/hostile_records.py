"""
Records that a broken or hostile writer may produce: events of every kind, changed anywhere into anything.

Each record is a good one with up to three of its parts replaced by values that JSON, Python, orjson or PostgreSQL treat
specially. Some of them fit the contract; nothing here decides which.
"""

from __future__ import annotations

import copy
import json
import random
import string
from collections.abc import Callable
from typing import Any

from schemas import examples
from schemas.wire import EncodedRecord, encode_json

_EVENTS: list[dict[str, Any]] = [json.loads(record.value) for record in examples.records().values()]
_TIME = 1_700_000_000_000_000  # µs
_DEPTHS = (1, 2, 31, 32, 33, 98, 99, 100, 101, 128, 253, 254, 255, 256, 500, 999, 1_000, 1_023, 1_024, 1_025, 3_000)
_INTS = (
    0, -1, 1, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 2**62, 2**62 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1,
    2**64 - 1, 2**64, 10**30, 10**308, 10**309, 10**400,
)  # fmt: skip
_TEXTS = (
    "", " ", "NaN", "-Infinity", "$float", "--5", "-", "²", "٣", "0x10", "1_000", "true", "main",
    "2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00:01", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00", "\x00", "a\x00b", "\x7f", "\ud800", "a\udfffb", "\uffff", "\U0001f600",
    "ü" * 512, "ü" * 513, "語" * 341, "語" * 342, "\U0001f600" * 256, "\U0001f600" * 1_024, "x" * 1_024, "x" * 1_025,
    "\\u0000", "'; DROP TABLE runs; --", "9" * 4_300, "-" + "9" * 4_300, "9" * 4_301, "\u202e", "\r\n\t", "a" * 70_000,
    "".join(random.Random(1).choices(string.ascii_letters, k=6_000)),  # which no index can compress
)  # fmt: skip
_RAW = (  # not what a JSON library writes
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0", "-0.0", "1e16", "1e20", "1e308", "5e-324",
    "1.7976931348623157e308", "0123", "+1", "1.", '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\\\u0000"',
    '{"a":1,"a":2}', '{"\\u0000":1}', '{"":{"":{}}}', "[1,]", "nul", "'x'", '{"$float":"NaN"}',
    '{"$float":{"$float":[]}}',
    '"' + "\x01" + '"', "9" * 5_000, '{"type":"json","value":1e20}', '{"type":"int","value":"--5"}',
    '{"type":"datetime","value":1e300}', '{"type":"datetime","value":-1}', '{"type":"float","value":"Infinity"}',
    '{"type":"histogram","value":{"counts":[],"edges":["NaN"]}}', '{"type":"bool","value":1}', '{"type":[]}',
)  # fmt: skip


def hostile_record(dice: random.Random, number: int, run_id: str) -> EncodedRecord:
    """Return a record of this run with this sequence number."""
    event = copy.deepcopy(dice.choice(_EVENTS))
    raw: dict[str, str] = {}
    for _ in range(dice.randrange(4)):
        _change(dice, event, raw)
    return _record(run_id, number, event, raw)


def hostile_param(dice: random.Random, number: int, run_id: str) -> EncodedRecord:
    """Return a record that sets the parameter `p<number>` to a typed value of any kind."""
    raw: dict[str, str] = {}
    kind = dice.choice(("float", "int", "bool", "string", "datetime", "json", "json", "json", "histogram", "?"))
    value = {"type": kind, "value": _value(dice, raw)}
    return _record(run_id, number, {"kind": "params", "time": _TIME, "params": {f"p{number}": value}}, raw)


def _record(run_id: str, number: int, event: dict[str, Any], raw: dict[str, str]) -> EncodedRecord:
    text = json.dumps(event)
    for mark, json_text in raw.items():
        text = text.replace(f'"{mark}"', json_text)
    kind = event.get("kind")
    return encode_json(run_id, "p", number, _TIME + number, kind if isinstance(kind, str) else "note", text.encode())


def _change(dice: random.Random, event: dict[str, Any], raw: dict[str, str]) -> None:
    """Replace, remove or add something in one container of an event."""
    container = dice.choice(_containers(event))
    if isinstance(container, dict):
        name = dice.choice([*(key for key in container if key != "kind"), "extra", dice.choice(_TEXTS)[:2_000]])
        if dice.random() < 0.1:
            container.pop(name, None)
        else:
            container[_utf8(name)] = _value(dice, raw)
    elif dice.random() < 0.5:
        container.append(_value(dice, raw))
    else:
        container[dice.randrange(len(container)) :] = [_value(dice, raw)]


def _containers(value: Any) -> list[Any]:
    found = [value] if value else []
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            found += _containers(item)
    return found


def _value(dice: random.Random, raw: dict[str, str]) -> Any:
    makers: tuple[Callable[[], Any], ...] = (
        lambda: dice.choice(_INTS),
        lambda: dice.choice(_TEXTS),
        lambda: dice.choice((None, True, False, [], {}, [[]], [None], 0.5, 1e16, 1e300)),
        lambda: {dice.choice(_TEXTS)[:50]: _value(dice, raw) for _ in range(dice.randrange(3))},
        lambda: [_value(dice, raw) for _ in range(dice.randrange(3))],
        lambda: _mark(raw, dice.choice(_RAW)),
        lambda: _mark(raw, _nested(dice)),
    )
    return dice.choice(makers)()


def _mark(raw: dict[str, str], text: str) -> str:
    """Return a string that stands for JSON text which no library writes."""
    mark = f"@{len(raw)}@"
    raw[mark] = text
    return mark


def _nested(dice: random.Random) -> str:
    depth, leaf = dice.choice(_DEPTHS), dice.choice(("1", '"\\u0000"', '"\\\\u0000"', "1e20", "{}", "[]"))
    before, after = dice.choice((("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")))
    return before * depth + leaf + after * depth


def _utf8(name: str) -> str:
    return name or "empty"
