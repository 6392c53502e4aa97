"""A tracker whose calls do not end: they are reported, end with their process, and are harmless to other runs."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from consumers.delivery.flow.quarantine import ALONE, HOPELESS
from consumers.delivery.plugins.watchdog import EXIT_RESTART
from consumers.delivery.service import PARALLEL_RUNS
from consumers.store.delivery.checkpoints import Deliveries, Intent
from consumers.store.delivery.orders import CircuitReport, Trackers
from consumers.store.fencing import Fenced
from consumers.store.migrations import migrate
from consumers.store.pool import open_database
from schemas.wire import Envelope
from tests.support.delivery_process import Delivery, Place, Watch, delivery, progress, until_caught_up
from tests.support.gateway_command import gateway_with
from tests.support.lines_tracker import Lines, wanted
from tests.support.log_author import Author, write
from tests.support.machine import allowed
from tests.support.materialiser_process import materialiser, until_folded
from tests.support.materialiser_process import until as until_true
from tests.support.process_tree import until
from tests.support.tcp_proxy import proxy_to

DEADLINE_S = 150.0


def short(lines: Lines, seconds: float = 1.0) -> dict[str, str]:
    """Return settings with this timeout of a call."""
    return lines.variables() | {"GATEWAY_TRACKER_CALL_S": str(seconds)}


def facts(place: Place, lines: Lines, *arguments: str) -> Any:
    done = gateway_with(place.variables() | lines.variables(), "trackers", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def hanging_runs(lines: Lines) -> list[Envelope]:
    """Let the calls of one run per thread hang; return an envelope of each of these runs."""
    lines.behave(before="hang", runs=[f"bad-{number}" for number in range(PARALLEL_RUNS)])
    return [Author(f"bad-{number}").metrics("loss", [1.0]) for number in range(PARALLEL_RUNS)]


async def until_given_up(place: Place, lines: Lines, envelopes: list[Envelope]) -> tuple[int, str]:
    """Deliver runs that hang until the process ends; return its exit status and its last line."""
    await write(place.kafka, place.topic, envelopes)
    with delivery(place, "lines", short(lines)) as running:
        status = await asyncio.to_thread(running.process.wait, DEADLINE_S)
    return status, running.text().splitlines()[-1]


async def until_so(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not await condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.05)


async def test_a_call_that_exceeds_its_timeout_is_reported_and_delays_no_other_run(place: Place, lines: Lines) -> None:
    bad, good = Author("bad"), [Author(f"good-{number}") for number in range(12)]
    hangs = [bad.metrics("loss", [1.0])]
    others = [author.metrics("loss", [float(i)]) for i in range(5) for author in good]
    lines.behave(before="hang", runs=["bad"])
    await write(place.kafka, place.topic, hangs)
    with delivery(place, "lines", short(lines, 3.0)) as running:
        running.until(lambda: "deliver of run bad hangs since" in running.text(), "the call is reported")
        await write(place.kafka, place.topic, others)
        running.until(lambda: lines.held() == wanted(others), "all of the other runs")
        shown = await asyncio.to_thread(facts, place, lines, "show", "lines")
        lines.behave()
        lines.wake()
        await until_caught_up(place, running, "lines")

    assert shown["last_error"].startswith("deliver of run bad hangs since ")
    assert (shown["waiting"], shown["shown"][0]["run_id"]) == (1, "bad")
    assert lines.held() == wanted([*hangs, *others])
    kept = (await progress(place, "lines"))["bad"]
    assert (kept.status, kept.error, kept.unanswered) == ("delivering", "", 0)


async def test_when_all_threads_hang_the_process_ends_with_the_reason(place: Place, lines: Lines) -> None:
    bad, good = hanging_runs(lines), Author("good").metrics("loss", [1.0])
    status, last = await until_given_up(place, lines, bad)
    await write(place.kafka, place.topic, [good])
    with delivery(place, "lines", short(lines)) as running:
        running.until(lambda: lines.held() == wanted([good]), "a run that comes later")
    lines.behave()
    with delivery(place, "lines", short(lines)) as running:
        await until_caught_up(place, running, "lines")

    assert status == EXIT_RESTART
    assert last.startswith("gateway: delivery lines: deliver of run bad-")
    assert last.endswith(": start it again (`gateway up` does so by itself)")
    assert lines.held() == wanted([*bad, good])


async def test_after_a_hang_a_tracker_is_probed_with_a_run_that_did_not_hang(place: Place, lines: Lines) -> None:
    bad, good = hanging_runs(lines), Author("good").metrics("loss", [1.0])
    await until_given_up(place, lines, bad)
    calls = lines.calls()
    await write(place.kafka, place.topic, [good])
    await open_circuit(place, "lines", allowed(6.0))  # in that time the log is read
    with delivery(place, "lines", short(lines)) as running:
        until(lambda: lines.calls() > calls, "the tracker is tried")
        running.until(lambda: lines.held() == wanted([good]), "the run that did not hang")

    assert (lines.folder / "calls").read_text().splitlines()[calls].split()[0] == "good"


async def open_circuit(place: Place, tracker: str, seconds: float) -> None:
    """Write what a delivery leaves that ended while it waited: the next one probes after `seconds`."""
    now = datetime.now(UTC)
    db = await open_database(place.database)
    try:
        report = CircuitReport("open", now, now + timedelta(seconds=seconds), "it hangs")
        await Trackers(db).report(tracker, report)
    finally:
        await db.close()


async def test_a_run_that_always_hangs_is_parked_and_continues_after_a_retry(place: Place, lines: Lines) -> None:
    bad, good = Author("bad"), Author("good")
    hangs = [bad.metrics("loss", [1.0])]
    others = []
    lines.behave(before="hang", runs=["bad"])
    await write(place.kafka, place.topic, hangs)
    for turn in range(1, ALONE + 1):
        with delivery(place, "lines", short(lines, 2.0)) as running:
            await until_so(partial(called, lines, "bad", turn), f"call {turn} of the run that hangs")
            others.append(good.metrics("loss", [1.0]))
            await write(place.kafka, place.topic, others[-1:])
            running.until(lambda: lines.held() == wanted(others), "the run that does not hang")
            running.until(lambda: "deliver of run bad hangs since" in running.text(), "the call is reported")
            await until_so(lambda: waits_or_is_parked(place), "that is recorded")
            if turn == ALONE:
                running.until(lambda: "is parked for lines" in running.text(), "the run is parked")
                parked = await asyncio.to_thread(facts, place, lines, "show", "lines")
                await asyncio.to_thread(facts, place, lines, "retry", "lines", "bad")
                # Its thread may wake up: so another process must try the run again.
                status = await asyncio.to_thread(running.process.wait, DEADLINE_S)
    calls = lines.calls("bad")
    lines.behave()
    with delivery(place, "lines", short(lines)) as running:
        running.until(lambda: lines.held() == wanted([*hangs, *others]), "all of both runs")

    assert (parked["parked"], calls, status) == (1, ALONE, EXIT_RESTART)
    assert f"{ALONE} times in a row" in parked["last_error"]


async def waits_or_is_parked(place: Place) -> bool:
    return (await progress(place, "lines"))["bad"].status in ("waiting", "parked")


async def called(lines: Lines, run_id: str, times: int) -> bool:
    return lines.calls(run_id) >= times


async def test_a_call_that_hangs_does_not_delay_the_end(place: Place, lines: Lines) -> None:
    lines.behave(before="hang")
    await write(place.kafka, place.topic, [Author("bad").metrics("loss", [1.0])])
    with delivery(place, "lines", short(lines, 0.5)) as running:
        running.until(lambda: "hangs since" in running.text(), "the call is reported")

        assert running.kill(signal.SIGTERM) == 0


async def test_a_replay_whose_calls_hang_ends_with_the_reason(place: Place, lines: Lines) -> None:
    envelopes = [Author(f"bad-{number}").metrics("loss", [1.0]) for number in range(PARALLEL_RUNS)]
    await write(place.kafka, place.topic, envelopes)
    lines.behave(before="hang")
    variables = place.variables() | short(lines)
    hung = await asyncio.to_thread(gateway_with, variables, "replay", "--to", "lines", "--all", "--json")
    lines.behave()
    done = await asyncio.to_thread(gateway_with, variables, "replay", "--to", "lines", "--all", "--json")

    assert (hung.returncode, hung.stdout) == (EXIT_RESTART, "")
    assert "hangs since" in hung.stderr.splitlines()[-1]
    assert (done.returncode, json.loads(done.stdout)["complete"]) == (0, True)
    assert lines.held() == wanted(envelopes)


async def test_a_run_that_ends_the_process_is_identified_and_parked_and_the_others_continue(
    place: Place, lines: Lines
) -> None:
    bad = Author("bad").metrics("loss", [1.0])
    good = [Author(f"good-{number}").metrics("loss", [1.0]) for number in range(20)]
    lines.behave(before="exit", runs=["bad"])
    await write(place.kafka, place.topic, [bad, *good])
    for turn in range(HOPELESS):
        one = Delivery(place, "lines", short(lines, 1.0))
        assert await asyncio.to_thread(one.process.wait, DEADLINE_S) == 3, (turn, one.text())
    with delivery(place, "lines", short(lines, 1.0)) as running:
        await until_caught_up(place, running, "lines")
        shown = await asyncio.to_thread(facts, place, lines, "show", "lines")
        lines.behave()
        await asyncio.to_thread(facts, place, lines, "retry", "lines", "bad")
        running.until(lambda: lines.held() == wanted([bad, *good]), "all of all runs")

    assert (shown["parked"], shown["shown"][0]["run_id"]) == (1, "bad")
    assert f"the process ended {HOPELESS} times in a call for this run" in shown["last_error"]


async def test_a_process_that_was_stopped_while_another_took_over_calls_nothing(place: Place, lines: Lines) -> None:
    author = Author("a")
    first, second, third = ([author.metrics("loss", [1.0], first_step=i)] for i in range(3))
    named = lines.variables() | {"GATEWAY_POSTGRES": f"{place.database}?application_name=zombie"}
    with delivery(place, "lines", named) as zombie:
        await write(place.kafka, place.topic, first)
        await until_caught_up(place, zombie, "lines")
        zombie.process.send_signal(signal.SIGSTOP)
        await write(place.kafka, place.topic, second)
        other = Delivery(place, "lines", lines.variables())
        try:
            other.until(lambda: "another process delivers to lines" in other.text(), "it waits for the lease")
            await end_lease(place.database)
            other.until_ready()
            await until_caught_up(place, other, "lines")
            calls = lines.calls()
            other.process.send_signal(signal.SIGSTOP)  # only the process that was stopped may act now
            await write(place.kafka, place.topic, third)
            zombie.process.send_signal(signal.SIGCONT)
            until(
                lambda: "waiting" in zombie.text() or zombie.process.poll() is not None,
                "it notices the lost lease",
            )
            async with Watch(place, "lines") as watch:
                records = await watch.records()
            assert (lines.calls(), records) == (calls, 2)
            other.process.send_signal(signal.SIGCONT)
            await until_caught_up(place, other, "lines")
        finally:
            other.process.send_signal(signal.SIGCONT)
            other.kill()

    assert lines.held() == wanted([*first, *second, *third])


async def test_without_the_lease_no_call_begins(place: Place) -> None:
    db = await open_database(place.database)
    intent = Intent("a", 0, 5)
    first, second = (Deliveries(db, "lines", place.topic) for _ in range(2))
    try:
        await migrate(db)
        async with first.lease(print):
            await first.begin([intent])
        async with second.lease(print):
            with pytest.raises(Fenced, match="another process delivers to lines now"):
                await first.begin([intent])
            kept = (await second.load())["a"]
            unanswered = await second.unanswered()
    finally:
        await db.close()

    assert (kept.attempt, unanswered) == (1, {"a": 1})


async def test_a_lease_whose_connection_broke_is_lost_and_raises_nothing(place: Place) -> None:
    parts = urlsplit(place.database)
    with proxy_to(parts.port or 5432) as proxy:
        db = await open_database(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{proxy.address}").geturl())
        try:
            await migrate(db)
            async with Deliveries(db, "lines", place.topic).lease(print) as lease:
                before = lease.is_lost()
                proxy.cut()  # as a killed server does: without a last message

                async def is_lost() -> bool:
                    return lease.is_lost()

                await until_true(is_lost, "the lease is lost")
        finally:
            db.terminate()

    assert not before


async def end_lease(database: str) -> None:
    """End the connection that holds the tracker's lease, as an interrupted network would."""
    import asyncpg

    admin = await asyncpg.connect(database)
    try:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity JOIN pg_locks USING (pid) "
            "WHERE locktype = 'advisory' AND granted AND application_name = 'zombie'"
        )
    finally:
        await admin.close()


async def test_a_tracker_that_holds_the_interpreter_lock_ends_its_process_and_is_named(
    place: Place, lines: Lines
) -> None:
    envelopes = [Author("bad").metrics("loss", [1.0])]
    lines.behave(before="spin", runs=["bad"])
    await write(place.kafka, place.topic, envelopes)
    one = Delivery(place, "lines", short(lines))
    status = await asyncio.to_thread(one.process.wait, DEADLINE_S)
    lines.behave(slow_s=0.5)
    with delivery(place, "lines", short(lines, 20.0)) as running:
        shown = await asyncio.to_thread(facts, place, lines, "show", "lines", "bad")
        await until_caught_up(place, running, "lines")

    assert (status, "lines_tracker.py" in one.text()) == (1, True)
    assert shown["last_error"] in ("the process ended in the middle of a call for run bad", "")
    assert lines.held() == wanted(envelopes)


async def test_verify_names_what_cannot_be_read_and_continues(place: Place, lines: Lines) -> None:
    envelopes = [Author(name).metrics("loss", [1.0]) for name in ("a", "b")]
    await write(place.kafka, place.topic, envelopes)
    with delivery(place, "lines", lines.variables()) as running:
        await until_caught_up(place, running, "lines")
    with materialiser(place.folder, place.variables()):
        await until_folded(place.database, place.topic, len(envelopes))
    lines.behave(read_back="hang")
    variables = place.variables() | short(lines, 0.2)
    done = await asyncio.to_thread(gateway_with, variables, "verify", "--to", "lines", "--json")
    found = json.loads(done.stdout)

    assert done.returncode == 1, done.stderr
    assert "read_back of run a hangs since" in done.stdout
    assert found["places"]["postgresql"]["runs"] == 2


async def test_a_tracker_too_slow_for_full_calls_gets_smaller_ones_and_all_records(place: Place, lines: Lines) -> None:
    envelopes = [envelope for number in range(PARALLEL_RUNS) for envelope in long_run(f"run-{number}", 32)]
    lines.behave(slow_s=0.05)
    await write(place.kafka, place.topic, envelopes)
    starts = 0
    while lines.held() != wanted(envelopes):
        starts += 1
        one = Delivery(place, "lines", short(lines, 1.0))
        until(partial(is_over, one, lines, envelopes), "it ends or is done")
        one.kill()
        assert starts < 12

    assert lines.is_ordered()


def is_over(one: Delivery, lines: Lines, envelopes: list[Envelope]) -> bool:
    return lines.held() == wanted(envelopes) or one.process.poll() is not None


def long_run(run_id: str, count: int) -> list[Envelope]:
    author = Author(run_id)
    return [author.metrics("loss", [1.0], first_step=number) for number in range(count)]
