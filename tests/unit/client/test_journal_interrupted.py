"""Ctrl-C at every moment in which CPython may raise it inside the journal; training continues afterwards."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from gateway.client import notices
from gateway.client.journal import journal as journals
from gateway.client.journal import segment as segments
from gateway.client.journal.format import POINT, scan
from gateway.client.journal.journal import Journal

MAIN = ("main", 1, ())
JOURNAL = str(Path(journals.__file__).parent)


def interrupted(journal: Journal, steps: range, moment: int) -> int | None:
    """Put points until Ctrl-C comes at this moment; return the step of the interrupted point, None if it never came."""
    seen, step = 0, 0

    def interrupt(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal seen
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(JOURNAL):
            seen += 1
            if seen == moment:
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(interrupt)
    try:
        for step in steps:
            journal.put("loss", float(step), step, MAIN)
    except KeyboardInterrupt:
        return step
    finally:
        sys.setprofile(None)
    return None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # `open` of CPython, interrupted
@pytest.mark.parametrize("before", [0, 85], ids=["first segment", "next segment"])
def test_ctrl_c_while_a_segment_is_made_costs_one_point_at_most(
    journal_home: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr(segments, "SIZES", (4_096, 8_192))
    moment, step = 0, 0
    while step is not None:
        moment += 1
        notices.reset()
        journal = Journal(f"r{moment}")
        for number in range(before):
            journal.put("loss", float(number), number, MAIN)
        # The first segment holds 90 points.
        step = interrupted(journal, range(before, before + 10), moment)  # type: ignore[assignment]  # None ends the loop
        for number in range(before + 10 if step is None else step + 1, 250):
            journal.put("loss", float(number), number, MAIN)

        ends = {number: one.end for number, one in journal.segments.items()} | {
            max(journal.segments): journal.tail()[1]
        }
        found = Counter(
            record.row[1]
            for number, one in journal.segments.items()
            for record in scan(memoryview(one.map), one.first, ends[number])
            if record.kind == POINT
        )
        assert set(range(250)) - set(found) <= {step}, moment
        assert max(found.values()) == 1, moment
        assert (journal.dropped, notices.counts) == (0, {}), moment
        assert journal.points - found.total() in (0, 1), moment
        assert Path(journal.folder).is_dir(), moment
        journal.remove()
