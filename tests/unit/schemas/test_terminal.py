"""What commands print: nothing that controls a terminal, and nothing that ends a command for want of a character."""

from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from schemas.runtime.terminal import accept_any_text, json_text, make_console

HOSTILE = "a\x1b[31mred\x07\r\x9b2J\u202eright to left\x7f"
TEXTS = st.text(st.sampled_from([*HOSTILE, "é", "日", "🦆", " "]), max_size=20)


def printed(text: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", out := io.StringIO())
        console = make_console()
        console.print(text)
        table = Table(text, box=None)
        table.add_row(text)
        console.print(table)
    return out.getvalue()


@given(TEXTS)
def test_text_and_tables_print_nothing_unprintable(text: str) -> None:
    assert printed(text).replace("\n", "").isprintable()


def test_lines_of_text_are_kept_and_escapes_are_shown() -> None:
    assert printed("one\ntwo\x1b").startswith("one\ntwo\\x1b\n")


@given(TEXTS)
def test_json_is_ascii_and_means_the_same(text: str) -> None:
    document = json_text({text: [text]})

    assert document.isascii()
    assert json.loads(document) == {text: [text]}


def test_styles_and_progress_still_control_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())
    make_console().print("bold", style="bold")

    assert "\x1b[1m" in out.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk"])
def test_a_stream_of_any_encoding_takes_any_text(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    accept_any_text()
    make_console().print("дом 🦆 …")
    sys.stdout.flush()

    assert raw.getvalue().rstrip().decode(encoding)
