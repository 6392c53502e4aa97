"""Limits on dead letters: the count depends only on the log, and a decision resets it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumers.deadletters.limits import NO_LIMITS, Counted, Limits, Ordinal, Tally, count_letters
from consumers.log.record import Record

KEYS = [b"a", b"b", None]
# partition, key, and True if the record can never be folded
RECORDS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(KEYS), st.booleans()), max_size=60)
Sent = list[tuple[int, bytes | None, bool]]


def record(partition: int, key: bytes | None, offset: int) -> Record:
    return Record("log", partition, offset, key, b"", (), 0)


def count(sent: Sent, limits: Limits, tally: Tally | None = None, first: int = 0) -> Counted:
    records = [record(partition, key, first + at) for at, (partition, key, _) in enumerate(sent)]
    return count_letters(tally or Tally(), limits, records, ["why" if bad else None for _, _, bad in sent])


@given(RECORDS, st.integers(0, 60), st.integers(1, 5), st.integers(1, 5))
def test_it_stops_at_the_same_record_however_the_log_is_cut(sent: Sent, cut: int, in_row: int, per_run: int) -> None:
    limits = Limits(in_row, per_run)
    whole = count(sent, limits)

    first = count(sent[:cut], limits)
    both = first.ordinals
    excess = first.excess
    if first.excess is None:
        second = count(sent[cut:], limits, first.tally.copy(), first=min(cut, len(sent)))
        both, excess = both + second.ordinals, second.excess

    assert (both, str(excess)) == (whole.ordinals, str(whole.excess))


@given(RECORDS)
def test_without_limits_every_bad_record_is_counted(sent: Sent) -> None:
    counted = count(sent, NO_LIMITS)

    assert counted.excess is None
    assert [one is not None for one in counted.ordinals] == [bad for _, _, bad in sent]
    for key in (b"a", b"b"):
        for partition in (0, 1):
            mine = [
                one.of_run
                for one, (p, k, _) in zip(counted.ordinals, sent, strict=True)
                if one and (p, k) == (partition, key)
            ]
            assert mine == list(range(1, len(mine) + 1))


def test_a_good_record_ends_a_row_in_its_own_partition_only() -> None:
    counted = count([(0, b"a", True), (1, b"a", True), (1, b"a", False), (0, b"a", True), (1, b"a", True)], NO_LIMITS)

    assert counted.ordinals == [Ordinal(1, 1), Ordinal(1, 1), None, Ordinal(2, 2), Ordinal(1, 2)]


def test_records_without_a_key_belong_to_no_run() -> None:
    counted = count([(0, None, True)] * 9, Limits(in_row=9, per_run=1))

    assert counted.excess is None
    assert counted.ordinals[-1] == Ordinal(9, 0)


def test_the_message_names_offset_reason_setting_and_next_step_without_control_characters() -> None:
    records = [record(3, b"\x1b[31m\xff", 41), record(3, b"\x1b[31m\xff", 42)]
    counted = count_letters(Tally(), Limits(9, 1), records, ["first", "not \x07 " + "x" * 9_000])
    text = str(counted.excess)

    assert len(counted.ordinals) == 1
    assert text.startswith("log/3 is folded up to offset 42: 1 records of run \\u001b[31m\\xff could not be folded")
    assert "not \\u0007 xxx" in text
    assert (
        "continue after them with `gateway dead-letters discard --run RUN` (their bytes stay) and `gateway up`" in text
    )
    assert text.endswith("GATEWAY_DEAD_LETTERS_PER_RUN is the limit")
    assert text.isprintable()
    assert len(text) < 700


@given(RECORDS, st.integers(0, 59), st.integers(1, 5))
def test_limits_count_again_from_the_last_dead_letter_decided_about(sent: Sent, cut: int, limit: int) -> None:
    tally = count(sent[:cut], NO_LIMITS).tally
    tally.decided_in_row, tally.decided_of_run = dict(tally.in_row), dict(tally.of_run)

    resumed = count(sent[cut:], Limits(limit, limit), tally.copy(), first=cut)
    fresh = count(sent[cut:], Limits(limit, limit), first=cut)

    assert len(resumed.ordinals) == len(fresh.ordinals)
    assert (resumed.excess is None) == (fresh.excess is None)


def test_a_good_record_ends_what_was_decided_about_a_row() -> None:
    tally = Tally({0: 3}, decided_in_row={0: 3})
    counted = count([(0, None, False), (0, None, True), (0, None, True)], Limits(1, 9), tally)

    assert len(counted.ordinals) == 2
    assert counted.excess is not None
