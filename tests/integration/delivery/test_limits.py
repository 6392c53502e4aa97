"""A tracker that asks for a pause, and several trackers of which one is dead, hung or slow: counted, not timed."""

from __future__ import annotations

import asyncio
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.wire import Envelope
from tests.support.delivery_process import Place, delivery, until_caught_up
from tests.support.gateway_command import gateway_with
from tests.support.lines_tracker import Lines, wanted
from tests.support.log_author import Author, write
from tests.support.process_tree import until
from tests.support.recording_tracker import Recorder, identities

RUNS = 12
PAUSE_S = 3_000.0


def runs(*names: str, envelopes: int = 5) -> list[Envelope]:
    authors = [Author(name) for name in names]
    return [author.metrics("loss", [1.0], first_step=i) for i in range(envelopes) for author in authors]


async def test_one_429_stops_the_calls_for_all_runs(place: Place, lines: Lines) -> None:
    """The pause holds even when calls that were under way succeed after it began."""
    first, second = runs("limited", "slow"), runs(*(f"run-{number}" for number in range(RUNS)))
    # The call of "slow" is under way when that of "limited" gets the answer 429.
    lines.behave(before="limited", retry_after_s=PAUSE_S, runs=["limited"], slow_s=0.5)
    with delivery(place, "lines", lines.variables()) as running:
        await write(place.kafka, place.topic, first[1:2])
        running.until(lambda: lines.calls("slow") == 1, "a slow call is under way")
        await write(place.kafka, place.topic, first[:1])
        running.until(lambda: lines.calls("limited") == 1, "the other call gets the 429")
        await write(place.kafka, place.topic, second)
        running.until(lambda: lines.held() == wanted(first[1:2]), "the slow call ends")
        until(lambda: status_of(place, lines)["lag_records"] == len(second) + 1, "all others wait")
        calls = lines.calls()
        status = status_of(place, lines)

    with delivery(place, "lines", lines.variables()) as again:
        await write(place.kafka, place.topic, runs("later"))
        until(lambda: status_of(place, lines)["state"] == "circuit open", "the next process waits too")
        assert again.process.poll() is None
    assert lines.calls() == calls
    assert (calls, status["state"]) == (2, "circuit open")
    assert status["retry_at"] - status["circuit_since"] > 0.9 * PAUSE_S * 1e6
    assert status["last_error"] == "lines answers 429: slow down"


@pytest.mark.parametrize(("call_bytes", "largest"), [("1", 1), ("1000000", 20)])
async def test_a_tracker_limits_the_bytes_of_a_call(place: Place, lines: Lines, call_bytes: str, largest: int) -> None:
    envelopes = runs("one", envelopes=20)
    await write(place.kafka, place.topic, envelopes)
    with delivery(place, "lines", lines.variables() | {"LINES_CALL_BYTES": call_bytes}) as running:
        await until_caught_up(place, running, "lines")

    sizes = [int(line.split()[1]) for line in (lines.folder / "calls").read_text().splitlines()]
    assert (max(sizes) <= largest, sum(sizes)) == (True, 20)


def status_of(place: Place, lines: Lines) -> Any:
    given = place.variables() | lines.variables()
    listed = json.loads(gateway_with(given, "trackers", "list", "--json").stdout)["trackers"]
    (found,) = [one for one in listed if one["tracker"] == "lines"]
    return found


@contextmanager
def drip_server() -> Iterator[str]:
    """Yield the address of an HTTP server that answers each request byte by byte, and never completely."""
    over = threading.Event()

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with_header = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
            try:
                self.request.sendall(with_header)
                while not over.wait(0.2):
                    self.request.sendall(b" ")
            except OSError:
                return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.server_address[:2]
        try:
            yield f"http://{host!s}:{port}"
        finally:
            over.set()
            server.shutdown()


@pytest.mark.parametrize("trouble", ["dead", "hung", "slow"])
async def test_the_others_receive_everything_while_one_is_in_trouble(
    place: Place, lines: Lines, tmp_path: Path, trouble: str
) -> None:
    recorder, envelopes = Recorder(tmp_path), runs(*(f"run-{number}" for number in range(RUNS)), envelopes=20)
    with ExitStack() as stack:
        if trouble == "hung":
            lines.behave(before="hang")
        address = stack.enter_context(drip_server()) if trouble == "slow" else dead_address()
        bad = "lines" if trouble == "hung" else "mlflow"
        given = lines.variables() | recorder.variables()
        given |= {"PYTHONPATH": f"{lines.variables()['PYTHONPATH']}:{recorder.variables()['PYTHONPATH']}"}
        given |= {"GATEWAY_MLFLOW_URL": address, "GATEWAY_PARQUET_DIR": str(tmp_path / "parquet")}
        stack.enter_context(delivery(place, bad, given))
        good = {name: stack.enter_context(delivery(place, name, given)) for name in ("recorder", "parquet")}
        await write(place.kafka, place.topic, envelopes)
        for name, running in good.items():
            await until_caught_up(place, running, name)
        listed = await asyncio.to_thread(gateway_with, place.variables() | given, "trackers", "list", "--json")
        status = {one["tracker"]: one for one in json.loads(listed.stdout)["trackers"]}

    recorded = recorder.recorded()
    assert set(recorded.given) == identities(envelopes)
    assert set(recorded.given.values()) == {1}
    assert {name: status[name]["lag_records"] for name in (*good, bad)} == {
        "recorder": 0, "parquet": 0, bad: len(envelopes),
    }  # fmt: skip
    assert status[bad]["lag_seconds"] > 0


def dead_address() -> str:
    """Return an address at which no server answers."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"
