"""SIGTERM ends the process, also where its default effect does not."""

from __future__ import annotations

from pathlib import Path

from tests.support.client_harness import train
from tests.support.left_journals import left_events


def test_sigterm_ends_a_process_on_which_the_default_effect_has_none(journal_home: Path) -> None:
    # Process 1 of a container ignores it; blocked in all threads, it has no effect either.
    done = train(
        """
        import signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        import gateway
        gateway.start_run(run_id="r")
        gateway.emit("loss", 1.0)
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)
        gateway.emit("loss", 2.0)
        """,
        {"GATEWAY_URL": "none:", "GATEWAY_CAPTURE": "none"},
    )

    assert done.returncode == 128 + 15, done.stderr
    events = left_events(journal_home)
    assert list(events) == ["r"]
    assert [event.kind for event in events["r"]] == ["run_started", "metrics", "run_killed", "producer_closed"]
