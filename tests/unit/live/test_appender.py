"""Records are appended over one connection, and a log that is away is an error that may be repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

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

    appender = Appender(open_writer, nowhere)
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            await appender.append([EncodedRecord(b"r", b"{}", [])])
    await appender.close()

    assert len(opened) == 2


def test_the_partition_of_a_key_is_that_of_every_producer() -> None:
    # murmur2 as Kafka's Java client computes it (org.apache.kafka.common.utils.UtilsTest)
    assert [default_partition(key, 1_000_003) for key in (b"21", b"foobar", b"a-little-bit-long-string")] == [
        (number & 0x7FFFFFFF) % 1_000_003 for number in (-973932308, -790332482, -985981536)
    ]
