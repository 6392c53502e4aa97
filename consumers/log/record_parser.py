"""
Read records whose header names are not UTF-8, and report the offset at which the log is damaged.

Kafka's header names are UTF-8 by convention only: librdkafka writes any bytes and brokers accept them, but aiokafka
raises UnicodeDecodeError for the whole fetch, again after every start. Only a batch in which that happens is read a
second time, by a parser that keeps such bytes as surrogate escapes (PEP 383); schemas/wire.py decides whether the
record is an event. A batch that cannot be parsed at all (wrong checksum, truncated record) is fetched once more,
because the network may be to blame, and then raises LogDamaged: to continue after it would lose records silently.

aiokafka does not accept a parser as an argument, so `read_any_header_name` replaces classes of its fetcher, for the
whole process. Undamaged batches cost nothing more: the calls for each batch and each record are the same.
"""

from __future__ import annotations

import logging
import struct
from typing import Any, NoReturn

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

from schemas.errors import LogDamaged

# baseOffset, batchLength, partitionLeaderEpoch, magic, crc, attributes, lastOffsetDelta:
# https://kafka.apache.org/documentation/#recordbatch
_HEAD = struct.Struct(">qiibIhi")
_BEFORE_LENGTH_COUNTS = 12  # bytes of baseOffset and batchLength

log = logging.getLogger(__name__)
_damaged: dict[Any, int] = {}  # by topic and partition: offset of the last batch that could not be read


def read_any_header_name() -> None:
    """Make all consumers of this process use the parser of this module. Calling it again has no effect."""
    fetcher.MemoryRecords = _KeptRecords
    fetcher.PartitionRecords = _AnyRecords


class _KeptRecords(MemoryRecords):  # type: ignore[misc]  # aiokafka has no types
    """The records of one partition in one fetch, with their bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data
        self.position = 0  # batches that begin before it are read


class _Resumed:
    """One batch for the tolerant parser, followed by the rest of the fetch."""

    def __init__(self, batch: _TolerantBatch, rest: _KeptRecords) -> None:
        self.rest = rest
        self.is_tolerant = True
        self._batch: _TolerantBatch | None = batch

    def has_next(self) -> bool:
        return self._batch is not None or bool(self.rest.has_next())

    def next_batch(self) -> Any:
        batch, self._batch = self._batch, None
        self.is_tolerant = batch is not None
        return batch if batch is not None else self.rest.next_batch()


class _AnyRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one partition in one fetch, with any header names."""

    _records: Any
    _records_iterator: Any

    def __init__(self, part: Any, records: Any, aborted: Any, start: int, *how: Any) -> None:
        super().__init__(part, records, aborted, start, *how)
        self._start = start

    def __next__(self) -> Any:
        try:
            return next(self._records_iterator)
        except StopIteration:
            self._records_iterator = None  # aiokafka does this too: it breaks a reference cycle
            raise
        except Exception as error:  # noqa: BLE001  # damaged bytes may make the parser raise anything
            return self._after(error)

    def _after(self, error: Exception) -> Any:
        """Return the record at which parsing failed; for a damaged batch, end the iteration or raise LogDamaged."""
        batch = self._failed_batch() if _is_about_text(error) else None
        if batch is None:
            self._give_up(error)
        records = self._records
        self._records = _Resumed(batch, records.rest if isinstance(records, _Resumed) else records)
        self._records_iterator = self._unpack_records()  # continues at next_fetch_offset
        return next(self)

    def _failed_batch(self) -> _TolerantBatch | None:
        """Return the batch that was being read, None if the tolerant parser was reading it already."""
        kept = self._records
        if isinstance(kept, _Resumed):
            if kept.is_tolerant:
                return None
            kept = kept.rest
        while kept.position + _HEAD.size <= len(kept.data):
            base, length, _, _, _, _, last_delta = _HEAD.unpack_from(kept.data, kept.position)
            start, kept.position = kept.position, kept.position + _BEFORE_LENGTH_COUNTS + length
            if base + last_delta >= self.next_fetch_offset:
                return _TolerantBatch(memoryview(kept.data)[start : kept.position])
        return None

    def _give_up(self, error: Exception) -> NoReturn:
        """
        Raise StopIteration, so that aiokafka fetches from here again; the second time raise LogDamaged.

        Never raise LogDamaged after records of the same fetch: the caller would not receive them.
        """
        part, offset = self._tp, self.next_fetch_offset
        self._records_iterator = iter(())
        if offset == self._start and _damaged.get(part) == offset:
            raise LogDamaged(
                f"{part.topic}, partition {part.partition}: the log is damaged at offset {offset} "
                f"({_cause(error)}): restore this partition from another broker or a backup of it; "
                "everything before it has been read, and nothing after it",
                part.partition,
            ) from error
        _damaged[part] = offset
        log.warning(
            "%s, partition %s: records from offset %s on cannot be read (%s): fetching them again",
            *(part.topic, part.partition, offset, _cause(error)),
        )
        raise StopIteration


def _is_about_text(error: Exception) -> bool:
    # Without its compiled parser, aiokafka wraps the error.
    return isinstance(error, UnicodeDecodeError) or isinstance(error.__cause__, UnicodeDecodeError)


def _cause(error: Exception) -> str:
    text = str(error.args[0] if error.args else "")
    return "its checksum is wrong" if text.startswith("Invalid CRC") else f"{type(error).__name__}: {text}"


class _TolerantBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """A batch whose header names may be any bytes."""

    _pos: int

    def _read_msg(self) -> _DefaultRecordPy:  # layout: see the URL at _HEAD
        buffer = self._buffer
        _, pos = decode_varint(buffer, self._pos)  # length
        _, pos = decode_varint(buffer, pos)  # attributes
        time_delta, pos = decode_varint(buffer, pos)
        offset_delta, pos = decode_varint(buffer, pos)
        key, pos = _sized(buffer, pos)
        value, pos = _sized(buffer, pos)
        count, pos = decode_varint(buffer, pos)
        headers = []
        for _ in range(count):
            name, pos = _sized(buffer, pos)
            content, pos = _sized(buffer, pos)
            headers.append(((name or b"").decode(errors="surrogateescape"), content))
        self._pos = pos
        by_broker = self.timestamp_type == self.LOG_APPEND_TIME
        time_ms = self.max_timestamp if by_broker else self.first_timestamp + time_delta
        return _DefaultRecordPy(self.base_offset + offset_delta, time_ms, self.timestamp_type, key, value, headers)


def _sized(buffer: bytearray, pos: int) -> tuple[bytes | None, int]:
    """Return the bytes that follow their length (None for a negative length), and the position after them."""
    length, pos = decode_varint(buffer, pos)
    if length < 0:
        return None, pos
    return bytes(buffer[pos : pos + length]), pos + length
