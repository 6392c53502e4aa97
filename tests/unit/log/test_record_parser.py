"""Batches with changed bytes, as a consumer reads them, without a broker."""

from __future__ import annotations

import struct
import uuid

import pytest
from aiokafka.consumer import fetcher
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from consumers.log.record_parser import read_any_header_name
from schemas.errors import LogDamaged
from schemas.wire import encode
from tests.support.log_author import Author
from tests.support.raw_log import CODECS, batch_of, with_bad_header_name

CHECKED = 17  # bytes of a batch before its checksum, which covers what follows it
EACH = 3  # records per batch


def batches(codec: str, *, odd: bool) -> list[bytes]:
    """Return three batches of a partition, as a broker serves them; `odd`: a header name in the second is not UTF-8."""
    author = Author("run")
    records = [encode(author.metrics("loss", [1.0], first_step=step)) for step in range(3 * EACH)]
    if odd:
        records[EACH + 1] = with_bad_header_name(records[EACH + 1])
    made = [batch_of(records[start : start + EACH], codec) for start in range(0, 3 * EACH, EACH)]
    return [struct.pack(">q", number * EACH) + batch[8:] for number, batch in enumerate(made)]


def fetched(data: bytes, part: TopicPartition, offset: int) -> list[int]:
    """Return the offsets of the records of one answer to a fetch from `offset`."""
    read_any_header_name()
    records = fetcher.PartitionRecords(part, fetcher.MemoryRecords(data), None, offset, None, None, True, 0)
    return [record.offset for record in records]


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("codec", CODECS)
def test_undamaged_batches_are_read(codec: str, odd: bool) -> None:
    assert fetched(b"".join(batches(codec, odd=odd)), TopicPartition("whole", 0), 0) == list(range(3 * EACH))


@given(st.sampled_from(list(CODECS)), st.booleans(), st.integers(0, 10_000), st.integers(0, 7))
def test_one_wrong_bit_ends_reading_before_its_batch_and_is_an_error_when_fetched_again(
    codec: str, odd: bool, byte: int, bit: int
) -> None:
    first, second, third = batches(codec, odd=odd)
    at = CHECKED + byte % (len(second) - CHECKED)
    damaged = second[:at] + bytes([second[at] ^ 1 << bit]) + second[at + 1 :]
    part = TopicPartition(uuid.uuid4().hex, 0)

    assert fetched(first + damaged + third, part, 0) == list(range(EACH))
    assert fetched(first + damaged + third, part, 0) == list(range(EACH)), "also for another reader"
    with pytest.raises(LogDamaged, match=f"partition 0: the log is damaged at offset {EACH} .its checksum is wrong"):
        fetched(damaged + third, part, EACH)


def test_an_impossible_length_is_an_error_too() -> None:
    first, second, third = batches("none", odd=False)
    cut = second[:8] + struct.pack(">i", 3) + second[12:]
    part = TopicPartition(uuid.uuid4().hex, 0)

    assert fetched(first + cut + third, part, 0) == list(range(EACH))
    with pytest.raises(LogDamaged, match=f"damaged at offset {EACH} .CorruptRecordException: Record size is less"):
        fetched(cut + third, part, EACH)
