"""Arbitrary records become printable text for people, and lossless JSON for programs."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.cli.dead_letters.format import (
    escape_bytes,
    hexdump,
    instant,
    is_text,
    letter_document,
    value_lines,
)
from consumers.deadletters.resolution import parse_id
from consumers.log.record import Record
from consumers.store.dead_letters import DeadLetter, DeadLetterId
from schemas.errors import BadSettings
from schemas.runtime.text import escape_unprintable


@given(st.binary(max_size=300), st.integers(1, 300))
def test_whatever_the_bytes_only_printable_characters_are_shown(value: bytes, limit: int) -> None:
    shown = [*value_lines(value, limit), escape_bytes(value, limit)]

    assert [line for line in shown if not line.isprintable()] == []


@given(st.text())
def test_text_is_shown_on_one_line_without_characters_that_steer_a_terminal(text: str) -> None:
    assert escape_unprintable(text).isprintable()


@given(st.binary(max_size=100))
def test_a_hexdump_holds_every_byte(value: bytes) -> None:
    numbers = "".join(line[10:57].replace(" ", "") for line in hexdump(value))

    assert bytes.fromhex(numbers) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'{"loss": [1, 2]}\n', True),
        ("[red]µ[/red] 日".encode(), True),
        ("日".encode()[:-1], True),  # cut within a character, as --bytes does
        (b"\xff\xfe", False),
        (b"\x00", False),
        (b"\x1b[2J", False),
        ("\u202egnp.exe".encode(), False),
    ],
)
def test_text_and_bytes_are_distinguished(value: bytes, text: bool) -> None:
    assert is_text(value) is text


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_the_document_holds_every_byte_and_is_ascii_json(key: bytes, value: bytes) -> None:
    record = Record("log", 1, 7, key, value, (("a", key), ("a", value)), 5)
    letter = DeadLetter(
        DeadLetterId("log", 1, 7), "NotAnEvent", "why", record, "discarded", "", datetime(2026, 1, 1, tzinfo=UTC)
    )

    found = json.loads(json.dumps(letter_document(letter)))

    assert base64.b64decode(found["key"]["base64"]) == key
    assert base64.b64decode(found["value"]["base64"]) == value
    assert [base64.b64decode(header["value"]["base64"]) for header in found["headers"]] == [key, value]
    assert found["identity"] is None
    assert found["refusal"]


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_time_of_a_broker_can_be_shown(time_ms: int) -> None:
    assert instant(time_ms)


def test_an_id_is_read_as_it_is_written() -> None:
    assert parse_id("tracking.events:3:1234") == DeadLetterId("tracking.events", 3, 1234)
    assert str(DeadLetterId("a", 0, 1)) == "a:0:1"


@pytest.mark.parametrize("text", ["", "a", "a:1", "a:b:c", ":1:2", "a:1:-2", "a:1:2:3", "a:1:99999999999999999999"])
def test_what_is_not_an_id_is_refused_with_the_next_step(text: str) -> None:
    with pytest.raises(BadSettings, match="gateway dead-letters list"):
        parse_id(text)
