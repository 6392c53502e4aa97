"""Records are appended over one connection, and a log that is away is an error that may be repeated."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence

import pytest

from consumers.live.edits import appender
from consumers.live.edits.appender import Appender
from consumers.log.record import Record
from consumers.log.writer import LogWriter, default_partition
from gateway.local.ports import free_ports
from schemas.errors import LogUnavailable
from schemas.wire import EncodedRecord


async def nowhere(records: Sequence[Record]) -> Mapping[str, int]:
    return {}


async def test_each_request_tries_again_while_the_log_is_away() -> None:
    (port,) = free_ports(1)
    opened = list[LogWriter]()

    def open_writer() -> LogWriter:
        opened.append(LogWriter(f"127.0.0.1:{port}", "log"))
        return opened[-1]

    several = Appender(open_writer, nowhere)
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await several.append([EncodedRecord(b"r", b"{}", [])])
    await several.close()

    assert len(opened) == 2


async def test_a_request_does_not_wait_for_all_before_it_while_the_log_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(appender, "TURN_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        port = silent.getsockname()[1]
        several = Appender(lambda: LogWriter(f"127.0.0.1:{port}", "log"), nowhere)
        first = asyncio.create_task(several.append([EncodedRecord(b"r", b"{}", [])]))
        await asyncio.sleep(0)  # it has its turn
        try:
            with pytest.raises(LogUnavailable, match="waits"):
                await several.append([EncodedRecord(b"r", b"{}", [])])
            assert not first.done()
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await several.close()


def test_the_partition_of_a_key_is_that_of_every_producer() -> None:
    # murmur2 as Kafka's Java client computes it (org.apache.kafka.common.utils.UtilsTest)
    assert [default_partition(key, 1_000_003) for key in (b"21", b"foobar", b"a-little-bit-long-string")] == [
        (number & 0x7FFFFFFF) % 1_000_003 for number in (-973932308, -790332482, -985981536)
    ]
