"""Intents, circuit breaker and orders: real deliveries to a tracker that fails on command, and `gateway trackers`."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from consumers.delivery.flow.circuit_breaker import FAILURES
from schemas.wire import Envelope
from tests.support.delivery_process import Place, Watch, delivery, progress, until_caught_up
from tests.support.gateway_command import environment, gateway_with
from tests.support.lines_tracker import Lines, wanted
from tests.support.log_author import Author, write

DEADLINE_S = 150.0


def runs(*names: str, envelopes: int = 5) -> list[Envelope]:
    authors = [Author(name) for name in names]
    return [author.metrics("loss", [1.0, 2.0], first_step=2 * i) for i in range(envelopes) for author in authors]


def run_command(place: Place, lines: Lines, *arguments: str) -> tuple[int, str, str]:
    found = gateway_with(place.variables() | lines.variables(), *arguments)
    return found.returncode, found.stdout, found.stderr


async def command(place: Place, lines: Lines, *arguments: str, status: int = 0) -> Any:
    """Run `gateway trackers ... --json` and return its facts."""
    code, out, err = await asyncio.to_thread(run_command, place, lines, "trackers", *arguments, "--json")
    assert code == status, out + err
    return json.loads(out)


async def status_of(place: Place, lines: Lines) -> dict[str, Any]:
    found = await command(place, lines, "list")
    (one,) = [one for one in found["trackers"] if one["tracker"] == "lines"]
    assert isinstance(one, dict)
    return one


async def status_field(place: Place, lines: Lines, fact: str) -> object:
    return (await status_of(place, lines))[fact]


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not await condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        await asyncio.sleep(0.05)


async def test_a_call_that_took_effect_but_was_not_answered_leaves_nothing_twice(place: Place, lines: Lines) -> None:
    envelopes = runs("a", "b")
    lines.behave(after="unavailable")
    await write(place.kafka, place.topic, envelopes)
    with delivery(place, "lines", lines.variables()) as running:
        running.until(lambda: len(lines.held()) == 2 and lines.calls() >= 4, "calls without an answer")
        lines.behave()
        await until_caught_up(place, running, "lines")

    assert lines.held() == wanted(envelopes)
    assert lines.redelivered() > 0


async def test_after_a_kill_during_a_call_the_next_process_knows_what_is_in_doubt(place: Place, lines: Lines) -> None:
    envelopes = runs("a", envelopes=30)
    lines.behave(slow_s=0.05)
    await write(place.kafka, place.topic, envelopes)
    with delivery(place, "lines", lines.variables()) as running:
        running.until(lambda: sum(lines.held().get("a", {}).values()) >= 3, "some lines of the first call")
        running.kill(signal.SIGKILL)
    kept = (await progress(place, "lines"))["a"]
    lines.behave()
    with delivery(place, "lines", lines.variables()) as running:
        await until_caught_up(place, running, "lines")

    assert (kept.next_offset, kept.attempt) == (0, 1)
    assert lines.held() == wanted(envelopes)
    assert lines.is_ordered()
    assert lines.redelivered() > 0
    assert (await progress(place, "lines"))["a"][6:] == (0, 0, False, 0, {})


async def test_a_tracker_that_does_not_answer_is_probed_with_one_call_at_a_time(place: Place, lines: Lines) -> None:
    envelopes = runs(*(f"run-{number}" for number in range(8)))
    lines.behave(before="unavailable")
    await write(place.kafka, place.topic, envelopes)
    with delivery(place, "lines", lines.variables()) as running:

        async def is_open() -> bool:
            return await status_field(place, lines, "state") == "circuit open"

        await until(is_open, "an open circuit")
        status = await status_of(place, lines)
        lines.behave()
        await until_caught_up(place, running, "lines")

        async def is_closed() -> bool:
            return await status_field(place, lines, "state") == "running"

        await until(is_closed, "a closed circuit")

    assert status["last_error"] == "lines is away: start it"
    assert status["lag_records"] > 0
    assert lines.calls() >= FAILURES
    assert lines.held() == wanted(envelopes)


async def test_a_tracker_that_asks_for_a_pause_is_not_called(place: Place, lines: Lines) -> None:
    lines.behave(before="limited", retry_after_s=3_000)
    await write(place.kafka, place.topic, runs("a"))
    with delivery(place, "lines", lines.variables()) as running:
        running.until(lambda: lines.calls() == 1, "the first call")

        async def is_open() -> bool:
            return await status_field(place, lines, "state") == "circuit open"

        await until(is_open, "an open circuit")
        await write(place.kafka, place.topic, runs("b", "c"))
        async with Watch(place, "lines") as watch:

            async def has_waited() -> bool:
                return (await watch.status("a")) == "waiting"

            await watch.until(has_waited, running, "a run that waits")

        assert lines.calls() == 1
        assert running.kill(signal.SIGTERM) == 0


async def test_one_run_that_always_fails_blocks_no_other(place: Place, lines: Lines) -> None:
    lines.behave(before="unavailable", runs=["bad"])
    await write(place.kafka, place.topic, runs("bad"))
    with delivery(place, "lines", lines.variables()) as running:
        running.until(lambda: lines.calls("bad") >= FAILURES, "failures in a row")
        good = runs("good-1", "good-2")
        await write(place.kafka, place.topic, good)
        running.until(lambda: lines.held() == wanted(good), "the other runs")


async def test_a_parked_run_continues_exactly_where_it_stopped(place: Place, lines: Lines) -> None:
    first, second, third = (list[Envelope](), list[Envelope](), list[Envelope]())
    for name in ("bad", "good"):
        author = Author(name)
        for part in (first, second, third):
            part.extend(author.metrics("loss", [1.0], first_step=i) for i in range(20))
    with delivery(place, "lines", lines.variables()) as running:
        await write(place.kafka, place.topic, first)
        await until_caught_up(place, running, "lines")
        lines.behave(before="refused", runs=["bad"])
        await write(place.kafka, place.topic, second)
        await until_caught_up(place, running, "lines")
        parked = await status_of(place, lines)
        lines.behave()
        retried = await command(place, lines, "retry", "lines", "bad", "good", status=1)
        await write(place.kafka, place.topic, third)
        running.until(lambda: lines.held() == wanted([*first, *second, *third]), "all of both runs")

        async def has_caught_up() -> bool:
            return await status_field(place, lines, "behind") == 0

        await until(has_caught_up, "a run that has caught up")

    assert (parked["parked"], parked["last_error"]) == (1, "lines does not want this run: ask why")
    assert (retried["retried"], retried["not_parked"]) == (["bad"], ["good"])
    assert lines.is_ordered()
    assert (await progress(place, "lines"))["bad"].status == "delivering"


async def test_an_order_without_a_running_delivery_is_followed_by_the_next_one(place: Place, lines: Lines) -> None:
    envelopes = runs("bad", "good", envelopes=20)
    lines.behave(before="refused", runs=["bad"])
    await write(place.kafka, place.topic, envelopes)
    with delivery(place, "lines", lines.variables()) as running:
        await until_caught_up(place, running, "lines")
    lines.behave()

    assert (await status_of(place, lines))["state"] == "stopped"
    assert (await command(place, lines, "retry", "lines", "--all"))["retried"] == ["bad"]
    with delivery(place, "lines", lines.variables()) as running:
        running.until(lambda: lines.held() == wanted(envelopes), "all of both runs")


async def test_a_paused_tracker_is_not_called_not_even_by_the_next_process(place: Place, lines: Lines) -> None:
    first, second = runs("a"), runs("b")
    with delivery(place, "lines", lines.variables()) as running:
        await write(place.kafka, place.topic, first)
        await until_caught_up(place, running, "lines")
        await command(place, lines, "pause", "lines")

        async def is_paused() -> bool:
            return await status_field(place, lines, "state") == "paused"

        await until(is_paused, "it is paused")
    with delivery(place, "lines", lines.variables()) as running:
        await write(place.kafka, place.topic, second)
        status = await status_of(place, lines)
        calls = lines.calls()
        async with Watch(place, "lines") as watch:
            assert not await watch.is_caught_up()
        await command(place, lines, "resume", "lines")
        await until_caught_up(place, running, "lines")

    assert (status["state"], status["paused"]) == ("paused", True)
    assert calls == 1
    assert lines.held() == wanted([*first, *second])


async def test_removing_forgets_the_tracker_and_names_what_stays(place: Place, lines: Lines) -> None:
    envelopes = runs("a", "b")
    await write(place.kafka, place.topic, envelopes)
    with delivery(place, "lines", lines.variables()) as running:
        await until_caught_up(place, running, "lines")
        code, _, refused = await asyncio.to_thread(run_command, place, lines, "trackers", "remove", "lines", "--yes")
    asked = await asyncio.to_thread(run_command, place, lines, "trackers", "remove", "lines")
    removed = await command(place, lines, "remove", "lines", "--yes")

    assert (code, "a process delivers to lines now" in refused) == (2, True)
    assert (asked[0], asked[2]) == (2, "gateway: confirmation is needed, and stdin is not a terminal: add --yes\n")
    assert (removed["forgotten_runs"], "stay there" in removed["stays"]) == (2, True)
    assert await progress(place, "lines") == {}
    assert lines.held() == wanted(envelopes)


async def test_show_prints_a_run_and_what_cannot_be_held(place: Place, lines: Lines) -> None:
    await write(place.kafka, place.topic, runs("a"))
    with delivery(place, "lines", lines.variables()) as running:
        await until_caught_up(place, running, "lines")
    shown = await command(place, lines, "show", "lines")
    one = await command(place, lines, "show", "lines", "a")
    unknown = await asyncio.to_thread(run_command, place, lines, "trackers", "show", "lines", "absent")
    nothing = await asyncio.to_thread(run_command, place, lines, "trackers", "pause", "linse")

    assert shown["cannot_hold"] == ["anything but the numbers of batches and their points"]
    assert (one["shown"][0]["state"], one["shown"][0]["status"]) == ({"batches": 5}, "delivering")
    assert unknown[2].startswith("gateway: tracker lines does not know run absent: ")
    assert nothing[2].startswith("gateway: there is no tracker 'linse': choose one of lines, ")


def test_arguments_of_plug_in_commands_are_completed(tmp_path: Path, lines: Lines) -> None:
    def completed(words: str, index: int) -> Sequence[str]:
        asked = {"_GATEWAY_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(index)}
        variables = environment(**lines.variables(), **asked, GATEWAY_HOME=str(tmp_path))
        script = Path(sys.executable).with_name("gateway")
        return subprocess.run([script], env=variables, capture_output=True, text=True, check=False).stdout.split()

    assert {"list", "show", "retry", "pause", "resume", "remove"} <= {*completed("gateway trackers ", 2)}
    assert completed("gateway trackers pause li", 3) == ["lines"]
    assert completed("gateway replay --to li", 3) == ["lines"]
