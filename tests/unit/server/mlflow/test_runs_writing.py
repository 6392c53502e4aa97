"""What the door writes about runs: events, their numbers, what is repeated, and sending until the log has it."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from gateway.client.encoding.wire import MAX_RECORD, Record
from gateway.server.ingest.bodies import Budget
from gateway.server.log_writer import LogWriter, RecordRefused
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.protobuf import message_class, read_message
from gateway.server.mlflow.reading import Reader
from gateway.server.mlflow.routing import Call
from gateway.server.mlflow.runs import events, known, outbox, writer
from gateway.server.mlflow.runs.entries import log_batch
from gateway.server.mlflow.runs.events import Row
from gateway.server.mlflow.runs.known import KnownRun
from gateway.server.mlflow.runs.lifecycle import create_run
from gateway.server.mlflow.runs.outbox import Outbox, Sending
from gateway.server.mlflow.runs.producer import RunProducer
from gateway.server.mlflow.runs.recent import RecentRows
from gateway.server.mlflow.runs.stored import stored_rows
from gateway.server.mlflow.runs.writer import RunWriter
from schemas import events as ev
from schemas.errors import LogUnavailable
from schemas.runtime.settings import Settings
from schemas.wire import Envelope, decode_run

TIME = 1_700_000_000_000_000  # µs
AWAY = [LogUnavailable("away")] * 1_000


def decoded(records: list[Record]) -> list[Envelope]:
    return [decode_run(one.key, one.value, one.headers) for one in records]


def test_rows_become_columns_by_series() -> None:
    rows = [Row("a", 1, 5, 0.5), Row("b", 1, 5, None), Row("a", 2, 6, math.inf)]
    producer = RunProducer("r")
    (envelope,) = decoded(producer.number(events.encoded(events.metrics(rows, TIME)), TIME))
    assert isinstance(envelope.event, ev.Metrics)
    one, other = envelope.event.series
    assert (list(one.steps), list(one.times), list(one.values)) == ([1, 2], [5_000, 6_000], [0.5, math.inf])
    assert math.isnan(other.values[0])
    assert producer.points == 3


@pytest.mark.parametrize(
    "body",
    [
        events.metrics([Row("é" * 240 + str(n), 0, 1, 0.0) for n in range(3_000)], TIME),
        events.params({f"p{n}": "😀" * 6_000 for n in range(100)}, TIME),
        events.tags({f"t{n}": "😀" * 8_000 for n in range(100)}, TIME),
    ],
)
def test_a_batch_that_is_larger_than_a_record_becomes_several(body: dict[str, Any]) -> None:
    records = RunProducer("r").number(events.encoded(body), TIME)
    assert len(records) > 1
    assert all(len(one.value) <= MAX_RECORD for one in records)
    parts = [one.event for one in decoded(records)]
    names: list[str] = []
    for part in parts:
        if isinstance(part, ev.Metrics):
            names += [series.name for series in part.series]
        else:
            assert isinstance(part, ev.Params | ev.Tags)
            names += part.params if isinstance(part, ev.Params) else part.tags
    given = body.get("series") or body.get("params") or body.get("tags")
    assert names == [one["name"] if isinstance(one, dict) else one for one in given or ()]


def test_an_entry_that_no_record_holds_is_refused() -> None:
    with pytest.raises(Refused, match="in one entry"):
        list(events.encoded(events.labels({"profile": "x" * MAX_RECORD}, TIME)))


def test_the_last_records_of_a_producer_say_how_much_it_wrote() -> None:
    producer = RunProducer("r")
    records = producer.number(events.encoded(events.metrics([Row("a", 1, 5, 0.5)], TIME)), TIME)
    records += producer.number(events.encoded({"kind": "run_finished", "time": TIME}), TIME)
    records.append(producer.close(TIME))
    _, end, closed = decoded(records)
    assert isinstance(end.event, ev.RunFinished)
    assert isinstance(closed.event, ev.ProducerClosed)
    assert [one.seq for one in decoded(records)] == [0, 1, 2]
    assert (end.event.batches, closed.event.batches, closed.event.points) == (2, 3, 1)


@pytest.mark.parametrize("ms", [-1, 2**62])
def test_a_time_that_no_event_can_have_is_refused(ms: int) -> None:
    with pytest.raises(Refused, match="start_time"):
        events.time_of(ms, "start_time")


async def test_a_row_is_new_once() -> None:
    forgotten: list[tuple[str, Row]] = []
    recent = RecentRows(lambda run_id, row: forgotten.append((run_id, row)), limit=2)
    one, other = Row("a", 1, 5, 0.5), Row("a", 1, 5, None)
    sending: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    assert recent.split("r", [one, other, one]) == ([one, other], [])
    recent.add("r", [one, other], sending)
    assert recent.split("r", [one, other]) == ([], [sending, sending]), "its sending is waited for"
    recent.settle("r", [one, other], is_written=True)
    assert recent.split("r", [one]) == ([], [])
    assert recent.split("another", [one]) == ([one], [])
    recent.add("r", [Row("b", 1, 9, 1.0)], sending)
    assert forgotten == [("r", one)]
    assert recent.split("r", [one, other]) == ([one], [])


class History(Reader):
    """A query API with points of one series, that counts how often it is asked."""

    def __init__(self, *points: tuple[int, int, float]) -> None:
        super().__init__(Settings(kafka="127.0.0.1:1"), {})
        self.points, self.asked = points, 0

    async def get(self, path: str, /, **parameters: Any) -> dict[str, Any]:
        self.asked += 1
        steps, times, values = map(list, zip(*self.points, strict=True))
        return {"runs": [{"steps": steps, "times_ms": times, "values": values}], "next_page_token": None}


async def test_rows_that_are_no_longer_in_memory_are_known_after_one_read_of_the_log() -> None:
    reader = History((1, 5, 0.5))
    run = KnownRun({"run_id": "r"}, {}, known.NEVER)
    rows = [Row("a", step, 5, 0.5) for step in range(1, 5)]
    for row in rows[:2]:  # the first one is forgotten before anything is read, the second one later
        run.forget_row(row)
        assert await stored_rows(reader, run, rows) == set(rows[: row.step])
    assert reader.asked == 1
    assert await stored_rows(reader, run, [Row("a", 1, 6, 0.5)]) == set(), "nothing so late was forgotten"


async def test_rows_whose_numbers_have_one_hash_are_not_taken_for_each_other() -> None:
    stored, other = Row("a", -1, 5, -1.0), [Row("a", -2, 5, -1.0), Row("a", -1, 5, -2.0)]
    assert hash(stored) == hash(other[0]) == hash(other[1]), "in CPython"
    run = KnownRun({"run_id": "r"}, {}, 10)

    assert await stored_rows(History((-1, 5, -1.0)), run, [stored, *other]) == {stored}


async def test_a_row_that_the_log_refused_is_new_again() -> None:
    recent = RecentRows(lambda run_id, row: None)
    sending: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    recent.add("r", [Row("a", 1, 5, 0.5)], sending)
    recent.settle("r", [Row("a", 1, 5, 0.5)], is_written=False)
    assert recent.split("r", [Row("a", 1, 5, 0.5)])[0]


class ScriptedLog(LogWriter):
    """A writer whose next answers are given; afterwards it takes everything."""

    def __init__(self, *answers: Exception) -> None:
        super().__init__(Settings(kafka="127.0.0.1:1"))
        self.answers, self.taken = list(answers), []  # type: ignore[var-annotated]

    async def write(self, records: Any) -> None:
        if self.answers:
            raise self.answers.pop(0)
        self.taken += records


def sending_of(producer: RunProducer, settled: list[str], text: str = "b") -> Sending:
    records = producer.number(events.encoded(events.tags({"a": text}, TIME)), TIME)
    return Sending(records, producer.substitute, settled.append)


async def test_the_same_bytes_are_sent_until_the_log_has_them() -> None:
    settled: list[str] = []
    log = ScriptedLog(LogUnavailable("away"), LogUnavailable("away"))
    sending = sending_of(RunProducer("r"), settled)
    expected = list(sending.records)
    await Outbox(log).send(sending)
    assert (log.taken, settled) == (expected, [""])


async def test_a_call_that_waits_too_long_is_refused_and_its_records_sent_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "WAIT_S", 0.01)
    settled: list[str] = []
    log = ScriptedLog(LogUnavailable("away"), LogUnavailable("away"))
    sent = Outbox(log)
    with pytest.raises(Refused) as refused:
        await sent.send(sending_of(RunProducer("r"), settled))
    assert refused.value.code == "TEMPORARILY_UNAVAILABLE"
    assert not settled
    await sent.close(10.0)
    assert (len(log.taken), settled) == (1, [""])


async def test_what_is_written_after_the_log_was_away_comes_after_what_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "WAIT_S", 0.01)
    log, producer = ScriptedLog(*AWAY), RunProducer("r")
    sent = Outbox(log)
    first, second = sending_of(producer, [], "1"), sending_of(producer, [], "2")
    with pytest.raises(Refused):  # its caller learns that it is not there yet
        await sent.send(first)
    monkeypatch.setattr(outbox, "WAIT_S", 60.0)
    log.answers.clear()
    other = sending_of(RunProducer("another run"), [])
    await asyncio.gather(sent.send(second), sent.send(other))
    assert [one.run_id for one in decoded(log.taken)] == ["another run", "r", "r"], "no run waits for another one"
    assert log.taken[1:] == [*first.records, *second.records]


async def test_of_what_waits_together_each_call_learns_what_became_of_its_own() -> None:
    settled: tuple[list[str], list[str]] = ([], [])
    log = ScriptedLog(LogUnavailable("away"), LogUnavailable("away"), RecordRefused(1, "too large"))
    sent, producer = Outbox(log), RunProducer("r")
    one, other = [sent.send(sending_of(producer, found)) for found in settled]
    results = await asyncio.gather(one, other, return_exceptions=True)
    assert results[0] is None
    assert isinstance(results[1], Refused)
    assert settled == ([""], ["too large"])
    assert [(one.seq, one.event.kind) for one in decoded(log.taken)] == [(0, "tags"), (1, "heartbeat")]


async def test_another_record_takes_the_number_of_one_that_kafka_refuses() -> None:
    settled: list[str] = []
    log = ScriptedLog(RecordRefused(0, "too large"))
    with pytest.raises(Refused, match="too large") as refused:
        await Outbox(log).send(sending_of(RunProducer("r"), settled))
    assert refused.value.code == "INVALID_PARAMETER_VALUE"
    (envelope,) = decoded(log.taken)
    assert (envelope.seq, envelope.event.kind, settled) == (0, "heartbeat", ["too large"])


async def test_beyond_its_memory_a_call_is_refused_before_it_gets_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MAX_WAITING", 100)
    sent = Outbox(ScriptedLog(*AWAY))
    sent.check()
    sent.send_later(sending_of(RunProducer("r"), []))
    with pytest.raises(Refused, match="too many calls wait"):
        sent.check()
    await sent.close(0.0)
    sent.check()


def door_on(log: LogWriter) -> Door:
    settings = Settings(kafka="127.0.0.1:1")
    reader = Reader(settings, {})
    return Door(
        settings=settings, writer=log, reader=reader, runs=RunWriter(log, reader), storage=None, budget=Budget(1)
    )


async def test_a_run_whose_creation_was_not_acknowledged_in_time_is_not_created_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "WAIT_S", 0.01)
    log = ScriptedLog(*AWAY)
    door = door_on(log)
    door.experiments.keep({"experiment_id": "0", "name": "Default", "artifact_location": "mlflow-artifacts:/0"})
    message = read_message({"experiment_id": "0", "start_time": 5}, message_class("CreateRun")(), {})
    call = Call(message, {}, {})
    for _ in range(3):  # however often its client repeats the call
        with pytest.raises(Refused) as refused:
            await create_run(door, call)
        assert refused.value.code == "TEMPORARILY_UNAVAILABLE"
    monkeypatch.setattr(outbox, "WAIT_S", 60.0)
    log.answers.clear()
    again = await create_run(door, call)
    another = await create_run(door, call)
    started = [one.run_id for one in decoded(log.taken) if one.event.kind == "run_started"]
    assert started == [found["run"]["info"]["run_id"] for found in (again, another)]


async def test_of_two_batches_that_are_checked_at_once_one_sets_a_param(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = asyncio.Event()

    async def stored_rows(*given: Any) -> set[Row]:  # as long as it takes to read which rows the log has
        await reading.wait()
        return set()

    monkeypatch.setattr(writer, "stored_rows", stored_rows)
    log = ScriptedLog()
    door = door_on(log)
    run = KnownRun({"run_id": "r", "lifecycle_stage": "active"}, {}, written_before=10)
    door.runs.known.add(run)
    given = [
        {
            "run_id": "r",
            "metrics": [{"key": "m", "value": n, "timestamp": 5}],
            "params": [{"key": "p", "value": str(n)}],
        }
        for n in range(2)
    ]
    calls = [Call(read_message(one, message_class("LogBatch")(), {}), {}, {}) for one in given]
    batches = asyncio.gather(*(log_batch(door, call) for call in calls), return_exceptions=True)
    await asyncio.sleep(0)
    reading.set()
    first, second = await batches
    assert first == {}
    assert isinstance(second, Refused)
    assert "'old_value': '0', 'new_value': '1'" in str(second)
    params = [one.event.params for one in decoded(log.taken) if isinstance(one.event, ev.Params)]
    assert [{name: one.value for name, one in found.items()} for found in params] == [{"p": "0"}]
