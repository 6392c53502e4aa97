"""What a forked child records does not touch what its parent records, whatever state a run is in at the fork."""

from __future__ import annotations

from pathlib import Path

from tests.support.client_harness import points, train
from tests.support.left_journals import left_events


def test_parent_and_child_never_share_a_journal(journal_home: Path) -> None:
    done = train(
        """
        import gateway, os
        runs = [gateway.start_run(run_id=state) for state in ("late again", "late", "finished", "open")]
        again, late, finished, _ = runs
        for run in runs[:3]:
            run.finish()
        again.emit("x", 0.0)
        again.finish()
        for run in (again, late):
            run.emit("x", 1.0)  # opens a producer of its own
        to_child, to_parent = os.pipe(), os.pipe()
        if not os.fork():
            for run in runs:
                run.emit("x", 666.0)
            os.write(to_parent[1], b"1")
            os.read(to_child[0], 1)
            for run in runs:
                run.emit("x", 667.0)
            os._exit(0)
        os.read(to_parent[0], 1)
        for run in runs:
            for value in (2.0, 3.0):
                run.emit("x", value)
        os.write(to_child[1], b"1")
        os.wait()
        """,
        {"GATEWAY_URL": "none:", "GATEWAY_CAPTURE": "none"},
    )

    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    seen = {run_id: sorted(one.value for one in points(events)) for run_id, events in left_events(journal_home).items()}
    both = [2.0, 3.0, 666.0, 667.0]
    assert seen == {"late again": [0.0, 1.0, *both], "late": [1.0, *both], "finished": both, "open": both}


def test_a_child_that_has_recorded_nothing_ends_in_silence() -> None:
    done = train(
        """
        import gateway, os
        run = gateway.start_run()
        if not os.fork():
            run.finish()
            os._exit(0)
        os.wait()
        """,
        {"GATEWAY_URL": "none:", "GATEWAY_CAPTURE": "none"},
    )

    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if "events are kept in" not in line] == []
