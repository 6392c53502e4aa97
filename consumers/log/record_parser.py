"""
Read records whose header names are no text, and name the place where the log is damaged.

Kafka's header names are UTF-8 by convention only: librdkafka writes whatever it is given and brokers take it, while
aiokafka raises UnicodeDecodeError for the whole fetch, again after every start. So a batch in which that happens, and
no other, is read a second time by a parser that keeps such bytes as surrogate escapes (PEP 383); whether the record
is an event is for schemas/wire.py to say. A batch that nobody can read (a wrong checksum, a cut record) is fetched
once more, because the wire may be to blame, and is then a LogDamaged: going on behind it would lose records silently.

aiokafka has no place to hand in a parser, so `read_any_header_name` puts ours into its fetcher, for the whole process.
Reading what is in order costs nothing more: the same calls are made for each batch and each record.
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
_damaged: dict[Any, int] = {}  # by topic and partition, the offset where a batch could not be read last


def read_any_header_name() -> None:
    """Make every consumer that this process starts read batches as this module says; calling it again is harmless."""
    fetcher.MemoryRecords = _KeptRecords
    fetcher.PartitionRecords = _AnyRecords


class _KeptRecords(MemoryRecords):  # type: ignore[misc]  # aiokafka has no types
    """What one fetch brought of a partition; its bytes stay at hand."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data
        self.place = 0  # batches that begin before it are read


class _Resumed:
    """One batch for the patient parser, and then the others of the fetch."""

    def __init__(self, batch: _PatientBatch, rest: _KeptRecords) -> None:
        self.rest = rest
        self.is_patient = True
        self._batch: _PatientBatch | None = batch

    def has_next(self) -> bool:
        return self._batch is not None or bool(self.rest.has_next())

    def next_batch(self) -> Any:
        batch, self._batch = self._batch, None
        self.is_patient = batch is not None
        return batch if batch is not None else self.rest.next_batch()


class _AnyRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one partition that one fetch brought, whatever their header names."""

    _records: Any
    _records_iterator: Any

    def __init__(self, place: Any, records: Any, aborted: Any, start: int, *how: Any) -> None:
        super().__init__(place, records, aborted, start, *how)
        self._start = start

    def __next__(self) -> Any:
        try:
            return next(self._records_iterator)
        except StopIteration:
            self._records_iterator = None  # as aiokafka does: it breaks a reference cycle
            raise
        except Exception as error:  # noqa: BLE001  # of whatever kind the parser's end with damaged bytes is
            return self._after(error)

    def _after(self, error: Exception) -> Any:
        """Return the record at which reading ended; at a damaged batch end the iteration, or raise LogDamaged."""
        batch = self._failed_batch() if _is_about_text(error) else None
        if batch is None:
            self._give_up(error)
        records = self._records
        self._records = _Resumed(batch, records.rest if isinstance(records, _Resumed) else records)
        self._records_iterator = self._unpack_records()  # goes on at next_fetch_offset
        return next(self)

    def _failed_batch(self) -> _PatientBatch | None:
        """Return the batch that was being read, unless the patient parser was reading it already."""
        kept = self._records
        if isinstance(kept, _Resumed):
            if kept.is_patient:
                return None
            kept = kept.rest
        while kept.place + _HEAD.size <= len(kept.data):
            base, length, _, _, _, _, last_delta = _HEAD.unpack_from(kept.data, kept.place)
            start, kept.place = kept.place, kept.place + _BEFORE_LENGTH_COUNTS + length
            if base + last_delta >= self.next_fetch_offset:
                return _PatientBatch(memoryview(kept.data)[start : kept.place])
        return None

    def _give_up(self, error: Exception) -> NoReturn:
        """
        Raise StopIteration, after which aiokafka fetches from here again; the second time raise LogDamaged.

        Never behind records of the same fetch: they would be lost to who asked for them.
        """
        place, offset = self._tp, self.next_fetch_offset
        self._records_iterator = iter(())
        if offset == self._start and _damaged.get(place) == offset:
            raise LogDamaged(
                f"{place.topic}, partition {place.partition}: the log is damaged at offset {offset} "
                f"({_cause(error)}): restore this partition from another broker or a backup of it; "
                "everything before it is read, and nothing behind it"
            ) from error
        _damaged[place] = offset
        log.warning(
            "%s, partition %s: what came from offset %s on cannot be read (%s): fetching it again",
            *(place.topic, place.partition, offset, _cause(error)),
        )
        raise StopIteration


def _is_about_text(error: Exception) -> bool:
    # aiokafka without its compiled parser wraps it.
    return isinstance(error, UnicodeDecodeError) or isinstance(error.__cause__, UnicodeDecodeError)


def _cause(error: Exception) -> str:
    said = str(error.args[0] if error.args else "")
    return "its checksum is wrong" if said.startswith("Invalid CRC") else f"{type(error).__name__}: {said}"


class _PatientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """A batch in which a header name may be any bytes."""

    _pos: int

    def _read_msg(self) -> _DefaultRecordPy:  # the layout is at _HEAD's address
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
    """Return the bytes that follow their length, None for a negative one, and the place behind them."""
    length, pos = decode_varint(buffer, pos)
    if length < 0:
        return None, pos
    return bytes(buffer[pos : pos + length]), pos + length
