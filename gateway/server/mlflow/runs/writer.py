"""
The writer of all runs of the door.

Each process is one producer a run, until the run ends or is idle. Nothing is locked: a call decides without a pause
what it writes and which numbers its events get, so calls may be on their way at once and in any order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.client.encoding.values import now
from gateway.client.encoding.wire import Record
from gateway.server.log_writer import LogWriter
from gateway.server.mlflow.errors import invalid
from gateway.server.mlflow.reading import Reader
from gateway.server.mlflow.runs import events
from gateway.server.mlflow.runs.events import Body, Row
from gateway.server.mlflow.runs.known import KnownRun, KnownRuns
from gateway.server.mlflow.runs.outbox import Outbox, Sending, Settle, wait
from gateway.server.mlflow.runs.producer import RunProducer
from gateway.server.mlflow.runs.recent import RecentRows
from gateway.server.mlflow.runs.stored import stored_rows
from gateway.server.mlflow.unanswered import Unanswered
from schemas.errors import BadRecord
from schemas.wire import decode

MAX_UNANSWERED = 1_000
CLOSE_S = 10.0  # at the end of the process: for calls that wait for Kafka, and for the totals of its producers


def _ignore(reason: str) -> None:
    """Settle events that no other call waits for."""


class RunWriter:
    """Writes events about runs, each answered when Kafka has it."""

    def __init__(self, writer: LogWriter, reader: Reader) -> None:
        self.reader = reader
        self.known = KnownRuns(reader, self._close_producer)
        # New runs that the log does not have yet: the document of each, and its writing.
        self.unanswered: Unanswered[bytes, tuple[dict[str, Any], asyncio.Future[str]]] = Unanswered(MAX_UNANSWERED)
        self.recent = RecentRows(self._forget_row)
        self._outbox = Outbox(writer)

    async def find(self, run_id: str) -> KnownRun:
        """Return a run that may be written to. Raises Refused: RESOURCE_DOES_NOT_EXIST, or that it is deleted."""
        run = await self.known.find(run_id)
        run.check_active()
        return run

    async def write(self, run_id: str, bodies: Sequence[Body]) -> None:
        """
        Write events about a run that exists and is not in the trash: `await door.runs.write(run_id, [body])`.

        Raises Refused: RESOURCE_DOES_NOT_EXIST; INVALID_PARAMETER_VALUE for a deleted run and for what no event can
        hold; TEMPORARILY_UNAVAILABLE when Kafka does not acknowledge in time.
        """
        await self.append(await self.find(run_id), bodies)

    async def append(self, run: KnownRun, bodies: Iterable[Body]) -> None:
        """Write events about a known run. Raises what `write` raises."""
        await self.send(self.number(run, bodies))

    async def log(
        self, run: KnownRun, rows: Iterable[Row], params: Mapping[str, str] | None = None, others: Iterable[Body] = ()
    ) -> None:
        """
        Write params, metric rows and other events, in this order, in one append.

        Rows and params that the run has already are left out; those that another call is writing are waited for.
        Raises what `write` raises, and what `KnownRun.check_params` does.
        """
        given, values = list(rows), params or {}
        if any(row.time_ms <= run.written_before for row in given):
            stored = await stored_rows(self.reader, run, given)
            given = [row for row in given if row not in stored]
        run.check_params(values)  # also what another call has set since the caller looked
        new, earlier = self.recent.split(run.run_id, given)
        new_params = {key: text for key, text in values.items() if key not in run.params}
        earlier += [run.sending_params[key] for key in values if key in run.sending_params]
        bodies = [*others]
        if new:
            bodies.insert(0, events.metrics(new, now()))
        if new_params:
            bodies.insert(0, events.params(new_params, now()))
        if bodies:
            written: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            def settle(reason: str) -> None:
                self.recent.settle(run.run_id, new, is_written=not reason)
                run.settle_params(new_params, is_written=not reason)
                written.set_result(reason)

            sending = self.number(run, bodies, settle)
            self.recent.add(run.run_id, new, written)
            run.add_params(new_params, written)
            await self.send(sending)
        for other in dict.fromkeys(earlier):
            await wait(other)

    def number(
        self, run: KnownRun, bodies: Iterable[Body], settle: Settle = _ignore, *, is_last: bool = False
    ) -> Sending:
        """
        Give events their numbers, and return them for `send`, after which `settle` is called once.

        After the last events of a run its producer reports its totals; whatever follows belongs to another producer.
        Raises Refused, with nothing numbered, for what no event can hold and while too much waits for the log.
        """
        self._outbox.check()
        encoded = [one for body in bodies for one in events.encoded(events.of_attempt(body, run.attempt))]
        time, producer = now(), run.producer
        if producer is None or producer.is_closed:
            producer = RunProducer(run.run_id)
        for kind, text, _ in encoded:
            if kind != "metrics":  # rows are checked, and they are the most
                _check(producer.preview(kind, text, time))
        run.producer = producer
        records = producer.number(encoded, time)
        if is_last:
            records.append(producer.close(time))
        return Sending(records, producer.substitute, settle)

    async def send(self, sending: Sending) -> None:
        """Return when the log has the events. Raises Refused as `write` does; they are then sent further."""
        await self._outbox.send(sending)

    async def close(self) -> None:
        """Report the totals of all producers, and end what is still to be sent, after at most CLOSE_S."""
        await self._outbox.close(CLOSE_S / 2)
        for run in self.known.all():
            self._close_producer(run)
        await self._outbox.close(CLOSE_S / 2)

    def _close_producer(self, run: KnownRun) -> None:
        producer, run.producer = run.producer, None
        if producer is not None and not producer.is_closed:
            self._outbox.send_later(Sending([producer.close(now())], producer.substitute, _ignore))

    def _forget_row(self, run_id: str, row: Row) -> None:
        run = self.known.get(run_id)
        if run is not None:
            run.forget_row(row)


def _check(record: Record) -> None:
    """Raise Refused for a record that no reader of the log can decode."""
    try:
        decode(record.key, record.value, record.headers)
    except BadRecord as error:
        raise invalid(str(error)) from None
