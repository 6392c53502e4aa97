"""
The contract suite: every tracker passes it, those of this project and those of plug-ins.

    from consumers.trackers.testing import Settings, Tracker, TrackerContract

    class TestMine(TrackerContract):
        def make_tracker(self, folder: Path) -> Tracker:
            tracker = MyTracker(folder=str(folder))
            tracker.open(Settings())
            return tracker

Run it with pytest. It does not test what the tracker declares that it cannot keep (`capabilities`); everything else is
read back and must be there exactly once.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from consumers.trackers.protocol import State, Tracker, can_start_over, capabilities_of
from consumers.trackers.testing.checks import assert_read_back, counted, deliver, statuses
from consumers.trackers.testing.runs import START, RunAuthor, edge_case_run, edited_run
from schemas import events as ev
from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.examples import EVENTS
from schemas.facts import Point
from schemas.wire import Envelope, ProducerId, RunId

MAX_GROWTH_BYTES = 1_000  # of the state, as JSON, over 3,000 points


class TrackerContract:
    """Subclass it, name the subclass `Test...`, and implement `make_tracker`."""

    def make_tracker(self, folder: Path) -> Tracker:
        """Return an opened tracker that stores its data in `folder`; a second one finds the data of the first."""
        raise NotImplementedError("return an opened tracker")

    def make_unavailable(self, folder: Path) -> Tracker:
        """Return an opened tracker that cannot reach its storage; by default, its folder would be inside a file."""
        (folder / "file").write_text("in the way")
        return self.make_tracker(folder / "file" / "folder")

    @pytest.fixture
    def tracker(self, tmp_path: Path) -> Iterator[Tracker]:
        """An opened tracker, closed at the end."""
        tracker = self.make_tracker(tmp_path)
        yield tracker
        tracker.close()

    @pytest.fixture
    def run_id(self) -> str:
        """A run for this test alone: one server may serve all tests."""
        return f"contract: é'\"😀?/{uuid.uuid4().hex}"

    @pytest.mark.parametrize("size", [1, 7, 1_000])
    def test_every_point_and_parameter_is_read_back(self, tracker: Tracker, run_id: str, size: int) -> None:
        """However the run is cut into calls; with NaN, infinities, decreasing and equal steps, and two attempts."""
        envelopes = edge_case_run(run_id)

        state = deliver(tracker, run_id, envelopes, {}, size=size)

        assert_read_back(tracker, run_id, state, envelopes)

    @pytest.mark.parametrize("size", [1, 1_000])
    @pytest.mark.parametrize("values", [(0.1, 0.2), (0.1, 0.2, 0.1), (0.1, 0.2, 0.1, 0.1, 0.3, 0.2)])
    @pytest.mark.parametrize("are_attempts", [False, True])
    def test_the_last_value_of_a_parameter_is_read_back(
        self, tracker: Tracker, run_id: str, values: Sequence[float], are_attempts: bool, size: int
    ) -> None:
        """A tracker may keep the earlier ones, too."""
        author = RunAuthor(run_id)
        sent = [author.params(number if are_attempts else 1, lr=value) for number, value in enumerate(values, 1)]

        state = deliver(tracker, run_id, [author.start(), *sent], {}, size=size)

        if capabilities_of(tracker).keeps_params:
            assert float(tracker.read_back(run_id, state).params["lr"]) == values[-1]

    def test_a_status_follows_the_log(self, tracker: Tracker, run_id: str) -> None:
        """A run that failed, was resumed and finished is running in between, and finished in the end."""
        author = RunAuthor(run_id)
        failed = [author.start(), author.envelope(ev.RunFailed(time=author.now(), message="odd"))]
        first = deliver(tracker, run_id, failed, {})
        then = statuses(tracker, run_id, first)
        second = deliver(tracker, run_id, [author.envelope(ev.RunResumed(time=author.now(), attempt=2))], first)
        between = statuses(tracker, run_id, second)
        third = deliver(tracker, run_id, [author.finish(attempt=2)], second)

        assert (then, between, statuses(tracker, run_id, third)) == (
            (["failed"], ["running"], ["finished"]) if capabilities_of(tracker).keeps_status else ([], [], [])
        )

    def test_a_late_end_does_not_hide_a_graver_or_a_newer_one(self, tracker: Tracker, run_id: str) -> None:
        """Processes of a run end in any order: the newest attempt wins, and in it killed over failed over finished."""
        author = RunAuthor(run_id)
        calls = [
            [author.start(), author.envelope(ev.RunResumed(time=author.now(), attempt=2))],
            [author.envelope(ev.RunFinished(time=author.now()))],
            [failed := author.envelope(ev.RunFailed(time=author.now(), attempt=2, message="odd"))],
            [author.envelope(ev.RunFinished(time=author.now(), attempt=2))],
        ]
        seen: list[str] = []
        state: State = {}
        for call in calls:
            state = deliver(tracker, run_id, call, state)
            seen += statuses(tracker, run_id, state)

        assert seen == (["running", "running", "failed", "failed"] if capabilities_of(tracker).keeps_status else [])
        if capabilities_of(tracker).keeps_status:
            assert (tracker.read_back(run_id, state).ended or 0) // 1_000 == failed.event.time // 1_000

    def test_a_run_has_its_own_start_and_end(self, tracker: Tracker, run_id: str) -> None:
        """Not those of the delivery; to the millisecond."""
        author = RunAuthor(run_id)
        envelopes = [author.start(), author.metrics("loss", [1.0]), author.finish()]

        found = tracker.read_back(run_id, deliver(tracker, run_id, envelopes, {}))

        expected = envelopes[0].event.time // 1_000, envelopes[-1].event.time // 1_000
        if capabilities_of(tracker).keeps_status:
            assert ((found.started or 0) // 1_000, (found.ended or 0) // 1_000) == expected

    @pytest.mark.parametrize("confirmed", [0, 1, 9, 40])
    @pytest.mark.parametrize("again", ["the same", "fewer first", "more", "twice"])
    def test_a_lost_checkpoint_changes_nothing(self, tracker: Tracker, run_id: str, confirmed: int, again: str) -> None:
        """The process died after the effect: the same events come again, cut into calls differently."""
        envelopes = edge_case_run(run_id)
        before = deliver(tracker, run_id, envelopes[:confirmed], {}, size=3)
        taken = len(envelopes) if again == "fewer first" else confirmed + 8
        once = deliver(tracker, run_id, envelopes[confirmed:taken], before)  # its state is lost
        assert once is not None
        in_doubt = taken - confirmed
        if again == "twice":
            deliver(tracker, run_id, envelopes[confirmed:taken], before, in_doubt=in_doubt)

        sizes = {"the same": in_doubt, "twice": in_doubt, "fewer first": 2, "more": 1_000}
        state = deliver(tracker, run_id, envelopes[confirmed:], before, size=sizes[again], in_doubt=in_doubt)

        assert_read_back(tracker, run_id, state, envelopes)

    def test_another_process_continues_where_one_ended(self, tmp_path: Path, run_id: str) -> None:
        """Only the state, as JSON, passes from one to the next."""
        envelopes = edge_case_run(run_id)
        state: State = {}
        for first in range(0, len(envelopes), 10):
            tracker = self.make_tracker(tmp_path)
            state = deliver(tracker, run_id, envelopes[first : first + 10], state)
            tracker.close()
        reader = self.make_tracker(tmp_path)

        assert_read_back(reader, run_id, state, envelopes)
        reader.close()

    def test_a_run_without_points(self, tracker: Tracker, run_id: str) -> None:
        """It has a status, and no points."""
        author = RunAuthor(run_id)

        state = deliver(tracker, run_id, [author.start(), author.finish()], {})

        assert_read_back(tracker, run_id, state, [])

    def test_a_run_whose_start_is_missing_or_late(self, tracker: Tracker, run_id: str) -> None:
        """Its producer began before the log, or its start is late: the points are kept nevertheless."""
        author = RunAuthor(run_id)
        envelopes = [author.metrics("loss", [1.0, 2.0]), author.start(name="late"), author.metrics("loss", [3.0], [2])]

        state = deliver(tracker, run_id, envelopes, {}, size=1)

        assert_read_back(tracker, run_id, state, envelopes)

    def test_points_after_the_end(self, tracker: Tracker, run_id: str) -> None:
        """They are kept, and the run stays finished."""
        author, late = RunAuthor(run_id), RunAuthor(run_id, "late", time=START + 100)
        envelopes = [author.start(), author.metrics("loss", [3.0, 2.0]), author.finish(), late.metrics("loss", [9.0])]

        state = deliver(tracker, run_id, envelopes, {}, size=2)
        more = [late.metrics("loss", [1.0], [7]), late.metrics("other", [5.0])]
        state = deliver(tracker, run_id, more, state)

        assert_read_back(tracker, run_id, state, envelopes + more)
        assert statuses(tracker, run_id, state) in (["finished"], [])

    def test_runs_do_not_mix(self, tracker: Tracker, run_id: str) -> None:
        """Their ids differ only in details that storages often ignore, and they arrive in parallel threads."""
        ids = [f"{run_id}/a", f"{run_id}_a", f"{run_id}/A", f"{run_id}%2Fa", f"{run_id}/" + "x" * 190, "." + run_id]
        ids += [f"{ids[4][:-1]}y", f"{run_id} a", f"{run_id}/a/", f"..{run_id}"]
        runs = {one: _small_run(one, index) for index, one in enumerate(ids)}

        with ThreadPoolExecutor(4) as threads:
            done = list(threads.map(lambda one: deliver(tracker, one, runs[one], {}, size=2), ids))

        for one, state in zip(ids, done, strict=True):
            assert_read_back(tracker, one, state, runs[one])

    def test_every_kind_of_event_is_accepted(self, tracker: Tracker, run_id: str) -> None:
        """A tracker omits what it cannot store, without an error."""
        events: list[Any] = [
            event.as_columns() if isinstance(event, ev.MetricRows) else event  # as a delivery hands it over
            for event in EVENTS
            if not isinstance(event, ev.Deleted | ev.Renamed)
        ]
        envelopes = [
            Envelope(RunId(run_id), ProducerId("p1"), seq, event.time, event) for seq, event in enumerate(events)
        ]

        state = deliver(tracker, run_id, envelopes, {}, size=3)

        assert_read_back(tracker, run_id, state, envelopes)

    def test_a_deleted_run(self, tracker: Tracker, run_id: str) -> None:
        """It is deleted if the tracker can do so; otherwise it stays, and the delete is not an error."""
        author = RunAuthor(run_id)
        envelopes = [author.start(), author.metrics("loss", [1.0])]
        state = deliver(tracker, run_id, envelopes, {})

        deletion = [author.envelope(ev.Deleted(time=author.now(), what="run"))]
        deliver(tracker, run_id, deletion, state)  # its checkpoint is lost

        state = deliver(tracker, run_id, deletion, state, in_doubt=1)

        if capabilities_of(tracker).can_delete:
            assert _points_left(tracker, run_id, state) == []
        else:
            assert_read_back(tracker, run_id, state, envelopes)

    @pytest.mark.parametrize("size", [1, 3, 1_000])
    def test_a_run_in_the_trash_loses_nothing(self, tracker: Tracker, run_id: str, size: int) -> None:
        """What is recorded into it even so is kept, also after a lost checkpoint; then it is restored."""
        author = RunAuthor(run_id)
        envelopes = [author.start(), author.metrics("loss", [1.0]), author.stage("deleted")]
        envelopes += [author.metrics("loss", [2.0], [1]), author.params(lr=0.1)]
        deliver(tracker, run_id, envelopes, {}, size=size)  # its checkpoint is lost
        state = deliver(tracker, run_id, envelopes, {}, size=size, in_doubt=len(envelopes))
        stage = tracker.read_back(run_id, state).contents.lifecycle_stage
        assert stage in ("deleted", None)
        assert_read_back(tracker, run_id, state, envelopes)

        rest = [author.metrics("loss", [3.0], [2]), author.stage("active"), author.finish()]
        deliver(tracker, run_id, rest[:2], state, size=size)  # its checkpoint is lost
        state = deliver(tracker, run_id, rest, state, size=size, in_doubt=2)

        assert tracker.read_back(run_id, state).contents.lifecycle_stage == (None if stage is None else "active")
        assert_read_back(tracker, run_id, state, envelopes + rest)

    def test_a_run_that_moves_to_another_experiment(self, tracker: Tracker, run_id: str) -> None:
        """It keeps everything; a tracker that shows runs by experiment shows it in the new one, or says so."""
        author = RunAuthor(run_id)
        envelopes = [author.start(tag="before"), author.metrics("loss", [1.0])]
        state = deliver(tracker, run_id, envelopes, {})
        more = [author.envelope(ev.Moved(time=author.now(), tag="after")), author.metrics("loss", [2.0], [1])]

        state = deliver(tracker, run_id, more, state, size=1)

        contents = tracker.read_back(run_id, state).contents
        assert (contents.tag, contents.misplaced) in (("after", ""), (None, ""))
        assert_read_back(tracker, run_id, state, envelopes + more)

    @pytest.mark.parametrize("size", [1, 2, 5, 1_000])
    def test_deletes_and_renames_take_effect(self, tracker: Tracker, run_id: str, size: int) -> None:
        """However the run is cut into calls. A tracker that cannot carry them out ignores them."""
        envelopes = edited_run(run_id)

        state = deliver(tracker, run_id, envelopes, {}, size=size)

        assert_read_back(tracker, run_id, state, envelopes)

    @pytest.mark.parametrize(("size", "then"), [(1, 3), (3, 1), (1_000, 2)])
    def test_deletes_and_renames_after_a_lost_checkpoint(
        self, tracker: Tracker, run_id: str, size: int, then: int
    ) -> None:
        """Everything after a checkpoint was delivered and comes again, cut differently: it takes effect once."""
        envelopes = edited_run(run_id)
        can = capabilities_of(tracker)
        every = 1 if can.can_edit_series or can.can_edit_params else 12  # deliveries to a server are slow

        for kept in range(0, len(envelopes), every):
            one = f"{run_id} {kept}"
            mine = [envelope._replace(run_id=RunId(one)) for envelope in envelopes]
            state = deliver(tracker, one, mine[:kept], {})
            deliver(tracker, one, mine[kept : kept + 12], state, size=size)  # its checkpoints are lost
            repeated = mine[kept:]
            state = deliver(tracker, one, repeated, state, size=then, in_doubt=len(mine[kept : kept + 12]))

            assert_read_back(tracker, one, state, mine)

    def test_a_series_renamed_onto_one_that_was_deleted(self, tracker: Tracker, run_id: str) -> None:
        """The name of the deleted one is free; later points under the new name continue the renamed series."""
        author = RunAuthor(run_id)
        envelopes = [
            author.start(),
            author.metrics("new", [1.0]),
            author.metrics("old", [2.0]),
            author.delete("series", "new"),
            author.rename("series", "old", "new"),
            author.metrics("new", [3.0], [1]),
            author.delete("series", "new"),
            author.metrics("old", [4.0], [2]),
        ]

        for size in (1, 3, 1_000):
            one = f"{run_id} {size}"
            mine = [envelope._replace(run_id=RunId(one)) for envelope in envelopes]
            assert_read_back(tracker, one, deliver(tracker, one, mine, {}, size=size), mine)

    def test_a_deleted_run_stays_deleted(self, tracker: Tracker, run_id: str) -> None:
        """Also if points are in flight, if it is resumed, and if its checkpoints are lost."""
        author = RunAuthor(run_id)
        envelopes = [
            *(author.start(), author.metrics("loss", [1.0]), author.delete("series", "loss")),
            *(author.metrics("loss", [2.0]), author.delete("run"), author.metrics("loss", [3.0])),
            *(author.start(attempt=2), author.finish()),
        ]
        for kept in (1, 4, 6):
            one = f"{run_id} {kept}"
            mine = [envelope._replace(run_id=RunId(one)) for envelope in envelopes]
            state = deliver(tracker, one, mine[:kept], {}, size=2)
            deliver(tracker, one, mine[kept:], state, size=3)  # its checkpoints are lost
            state = deliver(tracker, one, mine[kept:], state, size=1, in_doubt=len(mine) - kept)

            if capabilities_of(tracker).can_delete:
                assert _points_left(tracker, one, state) == []
            else:
                assert_read_back(tracker, one, state, mine)

    @pytest.mark.parametrize(("size", "then"), [(1, 1_000), (1_000, 3)])
    def test_a_run_that_starts_over_is_equal(self, tracker: Tracker, run_id: str, size: int, then: int) -> None:
        """Without `start_over`, `gateway verify --repair` cannot rewrite a run, and reports that."""
        if not can_start_over(tracker):
            return
        envelopes = edge_case_run(run_id)
        state = deliver(tracker, run_id, envelopes, {}, size=size)

        for _ in range(2):
            state = tracker.start_over(run_id, state)
        repaired = deliver(tracker, run_id, envelopes, state, size=then)

        assert_read_back(tracker, run_id, repaired, envelopes)

    def test_points_in_columns_are_the_points(self, tracker: Tracker, run_id: str) -> None:
        """A tracker may return columns, for speed."""
        state = deliver(tracker, run_id, edge_case_run(run_id), {})

        found = tracker.read_back(run_id, state)
        if found.columns is not None:
            points = [
                Point(name, *one)
                for name, steps, times_ms, values, _ in found.columns
                for one in zip(steps, times_ms, values, strict=True)
            ]
            assert counted(points) == counted(tracker.read_back(run_id, state).points)

    def test_the_state_stays_small(self, tracker: Tracker, run_id: str) -> None:
        """It is stored with every checkpoint, so it must not grow with the number of points."""
        author = RunAuthor(run_id)
        first = deliver(tracker, run_id, [author.start(), author.metrics("loss", [0.5] * 500)], {})

        then = deliver(tracker, run_id, [author.metrics("loss", [0.5] * 1_000) for _ in range(3)], first, size=1)

        assert len(json.dumps(then)) < len(json.dumps(first)) + MAX_GROWTH_BYTES

    def test_losses_are_listed(self, tracker: Tracker) -> None:
        """A tracker that does not keep every point also says so in words."""
        can = capabilities_of(tracker)
        is_lossless = can._replace(keeps_artifacts=True, can_delete=True) == type(can)(
            keeps_artifacts=True, can_delete=True
        )

        assert is_lossless or tracker.cannot_hold
        assert all("\n" not in line for line in tracker.cannot_hold)

    def test_closing_twice(self, tmp_path: Path, run_id: str) -> None:
        """It is not an error, even if the tracker was never used."""
        tracker = self.make_tracker(tmp_path)

        tracker.close()
        tracker.close()

    def test_an_unreachable_storage_is_an_outage(self, tmp_path: Path, run_id: str) -> None:
        """TrackerUnavailable makes the loop call again; any other error would park the run."""
        tracker = self.make_unavailable(tmp_path)

        with pytest.raises(TrackerUnavailable, match=r"\S"):
            deliver(tracker, run_id, [RunAuthor(run_id).start()], {})
        tracker.close()


def _small_run(run_id: str, index: int) -> list[Envelope]:
    author = RunAuthor(run_id)
    return [author.start(), author.params(lr=0.1), author.metrics("loss", [index, index + 0.5]), author.finish()]


def _points_left(tracker: Tracker, run_id: str, state: State) -> list[Point]:
    try:
        return list(tracker.read_back(run_id, state).points)
    except TrackerRefused:
        return []
