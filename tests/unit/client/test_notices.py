"""Warnings never raise, whatever a program has made of its stderr."""

from __future__ import annotations

import sys

import pytest

from gateway.client import notices
from gateway.client.run.run import Run


class WithoutFlush:
    """What some libraries for logging put in place of stderr."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


class Broken:
    def write(self, text: str) -> None:
        raise RuntimeError("the stream is gone")

    def flush(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("stream", [WithoutFlush(), Broken(), object(), None])
def test_no_stderr_makes_a_call_raise(run: Run, monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    run.emit("x", 1.0, step="odd")  # type: ignore[arg-type]  # a mistake that people make
    run.log_artifact(7)  # type: ignore[arg-type]  # here too
    run.finish()

    assert notices.counts == {"step": 1, "log_artifact": 1}
    assert "not an integer" in getattr(stream, "text", "not an integer")
