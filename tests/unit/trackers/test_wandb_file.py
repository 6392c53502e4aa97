from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.trackers.wandb.file import BLOCK, HEADER, DamagedRunFile, frame, read

# Lengths near the ends of blocks: a header that just fits, one that does not fit, and records over several blocks.
LENGTHS = st.one_of(
    st.integers(0, 40), st.integers(BLOCK - 60, BLOCK + 10), st.integers(2 * BLOCK - 30, 2 * BLOCK + 30)
)
RECORDS = st.lists(LENGTHS, max_size=8).map(lambda lengths: [bytes([i % 251]) * n for i, n in enumerate(lengths)])
ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


@ONE_FOLDER
@given(RECORDS)
def test_framed_records_are_read_back(tmp_path: Path, records: list[bytes]) -> None:
    file = tmp_path / "run.wandb"
    file.write_bytes(frame(records, 0))

    assert list(read(file)) == records


@ONE_FOLDER
@given(RECORDS, st.integers(0, 8))
def test_appending_in_parts_gives_the_same_bytes(records: list[bytes], cut: int) -> None:
    head = frame(records[:cut], 0)

    assert head + frame(records[cut:], len(head)) == frame(records, 0)


@ONE_FOLDER
@given(RECORDS.filter(len), st.data())
def test_a_flipped_bit_is_found(tmp_path: Path, records: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(frame(records, 0))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    file = tmp_path / "run.wandb"
    file.write_bytes(whole)

    with pytest.raises(DamagedRunFile):
        list(read(file))


def test_a_torn_tail_is_found(tmp_path: Path) -> None:
    file = tmp_path / "run.wandb"
    file.write_bytes(frame([b"whole", b"torn off"], 0)[:-3])

    with pytest.raises(DamagedRunFile, match=f"byte {len(HEADER) + 12}"):
        list(read(file))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.wandb"
    file.write_bytes(b"PK\x03\x04 something else")

    with pytest.raises(DamagedRunFile, match="does not begin with the header"):
        list(read(file))
