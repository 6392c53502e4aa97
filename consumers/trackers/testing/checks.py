"""
Deliver events to a tracker as the delivery loop does, and compare what it holds with them.
"""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from consumers.trackers.fidelity import expected_points
from consumers.trackers.protocol import ReadBack, State, Tracker, capabilities_of
from consumers.trackers.testing.runs import params_of, points_of, tags_of
from schemas.facts import Point
from schemas.wire import Envelope


def deliver(
    tracker: Tracker, run_id: str, envelopes: Sequence[Envelope], state: State, *, size: int = 1_000, in_doubt: int = 0
) -> State:
    """Deliver events as the delivery loop does, `size` in each call; return the state as PostgreSQL returns it."""
    call: Callable[..., State] = tracker.deliver
    takes_in_doubt = "in_doubt" in inspect.signature(call).parameters
    for first in range(0, len(envelopes), size):
        part = envelopes[first : first + size]
        more = {"in_doubt": max(0, min(in_doubt - first, len(part)))} if takes_in_doubt else {}
        state = json.loads(json.dumps(dict(call(run_id, part, state, **more)), allow_nan=False, sort_keys=True))
    return state


def assert_read_back(tracker: Tracker, run_id: str, state: State, envelopes: Sequence[Envelope]) -> None:
    """Read a run back, and assert that it equals what was delivered."""
    can = capabilities_of(tracker)
    run = tracker.read_back(run_id, state)
    points = points_of(envelopes, are_edited=can.can_edit_series)
    found, expected = counted(run.points), counted(expected_points(points, can))
    missing, extra = expected - found, found - expected

    assert (_shown(missing), _shown(extra)) == ([], []), "missing points, and points that are there too often"
    if can.keeps_params:
        assert set(run.params) == params_of(envelopes, are_edited=can.can_edit_params)
    if run.tags is not None:
        tags = tags_of(envelopes, are_edited=can.can_edit_tags)
        assert set(run.tags) == set(tags)
        assert {name: text[:20] for name, text in run.tags.items()} == {
            name: text[:20] for name, text in tags.items()
        }, "long texts may be cut"


def statuses(tracker: Tracker, run_id: str, state: State) -> list[str]:
    """Return the status of a run in a list, empty if the tracker does not keep it."""
    run: ReadBack = tracker.read_back(run_id, state)
    return [run.status] if capabilities_of(tracker).keeps_status else []


def counted(points: Iterable[Point]) -> Counter[tuple[str, int, int, str]]:
    """Return how often each point is there."""
    # As schemas/facts.py counts them: both zeros are equal, and all NaN are equal.
    return Counter((one.series, one.step, one.time_ms, repr(one.value + 0.0)) for one in points)


def _shown(points: Counter[tuple[str, int, int, str]]) -> list[tuple[str, int, int, str]]:
    return [(name[:40], step, time, value) for name, step, time, value in sorted(points.elements())[:8]]
