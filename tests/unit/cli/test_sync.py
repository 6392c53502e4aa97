"""The progress bar of `gateway sync`."""

from __future__ import annotations

import pytest

from gateway.cli.sync import SyncBar


def test_a_run_id_is_shown_as_it_is_whatever_it_contains(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")

    with SyncBar(is_shown=True) as bar:
        bar.move("lr=[/x]", 1, 2)  # to rich's markup a closing tag without an opening one
        bar.move("a[red]b", 1, 2)

    shown = capsys.readouterr().err
    assert "lr=[/x]" in shown
    assert "a[red]b" in shown
