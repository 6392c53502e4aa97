"""
Carry out decisions about dead letters: replay them into the log, or discard them for good.

A replay appends the record to its partition, byte for byte, so that folding the log again gives the same rows. The
record was never applied, so its sequence number is still missing from its producer and the copy is admitted, once. A
second copy, from a replay that was interrupted before it was recorded, is refused as a duplicate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, NamedTuple

from consumers.log.record import Record
from consumers.log.writer import LogWriter, RecordTooLarge
from consumers.store.dead_letters import DeadLetter, DeadLetterFilter, DeadLetterId, DeadLetters
from schemas.errors import BadRecord, BadSettings
from schemas.wire import decode

PAGE = 1_000  # ids read at once
ROUND_RECORDS, ROUND_BYTES = 200, 1024 * 1024  # written at once


class Outcome(NamedTuple):
    """Result of a decision about one dead letter."""

    id: DeadLetterId
    result: Literal["done", "already", "refused"]
    why: str = ""


def parse_id(text: str) -> DeadLetterId:
    """Parse an id as `gateway dead-letters list` prints it. Raises BadSettings."""
    topic, _, rest = text.partition(":")
    partition, _, offset = rest.partition(":")
    if not (topic and partition.isdecimal() and offset.isdecimal() and len(partition) < 10 and len(offset) < 19):
        raise BadSettings(f"{text!r:.200} is not an id: copy TOPIC:PARTITION:OFFSET from `gateway dead-letters list`")
    return DeadLetterId(topic, int(partition), int(offset))


async def choose(letters: DeadLetters, wanted: DeadLetterFilter, limit: int | None) -> list[DeadLetterId]:
    """
    Return the ids of the dead letters that are undecided now, in log order, at most `limit`.

    A replayed record that is parked again later is not among them.
    """
    found: list[DeadLetterId] = []
    while limit is None or len(found) < limit:
        size = PAGE if limit is None else min(PAGE, limit - len(found))
        page = await letters.undecided(wanted, found[-1] if found else None, size)
        found += page
        if len(page) < size:
            break
    return found


async def plan_replay(
    letters: DeadLetters, ids: Sequence[DeadLetterId], topic: str, *, anyway: bool
) -> AsyncIterator[tuple[Outcome, DeadLetter | None]]:
    """Yield for each id what a replay would do, and the letter if it would be written."""
    for one in ids:
        letter = await letters.get(one)
        if letter is None:
            yield Outcome(one, "refused", "nothing is parked there"), None
        elif letter.state == "replayed":
            yield Outcome(one, "already", "it was replayed before"), None
        elif one.topic != topic:
            yield Outcome(one, "refused", f"it came from another log than {topic} (GATEWAY_TOPIC)"), None
        elif not anyway and (why := refusal(letter.record)):
            yield Outcome(one, "refused", f"it would be parked again ({why}); --anyway replays it even so"), None
        else:
            yield Outcome(one, "done"), letter


async def replay(
    letters: DeadLetters,
    writer: LogWriter,
    planned: AsyncIterator[tuple[Outcome, DeadLetter | None]],
    report: Callable[[Outcome], object],
) -> None:
    """
    Write records to the log again and record the decision; calls `report` with each outcome once it is certain.

    Raises LogUnavailable and StoreUnavailable: reported outcomes are done, and another call continues with the rest.
    """
    width = await writer.open()  # partitions
    held: list[DeadLetter] = []  # of one partition
    async for outcome, letter in planned:
        if letter is None:
            report(outcome)
            continue
        if letter.id.partition >= width:
            report(Outcome(letter.id, "refused", f"{writer.topic} has only {width} partitions now"))
            continue
        if held and (letter.id.partition != held[0].id.partition or _is_full(held)):
            await _replay_round(letters, writer, held, report)
            held = []
        held.append(letter)
    if held:
        await _replay_round(letters, writer, held, report)


def _is_full(held: Sequence[DeadLetter]) -> bool:
    return len(held) >= ROUND_RECORDS or sum(len(one.record.value or b"") for one in held) >= ROUND_BYTES


async def _replay_round(
    letters: DeadLetters, writer: LogWriter, held: Sequence[DeadLetter], report: Callable[[Outcome], object]
) -> None:
    ids = [letter.id for letter in held]
    try:
        await writer.write(ids[0].partition, [letter.record for letter in held])
    except RecordTooLarge as error:
        if len(held) == 1:
            report(Outcome(ids[0], "refused", str(error)))
            return
        for letter in held:  # records that were already written are written again, and refused as duplicates
            await _replay_round(letters, writer, [letter], report)
        return
    await letters.record_decision(ids, "replayed")
    for one in ids:
        report(Outcome(one, "done"))


async def discard(
    letters: DeadLetters, ids: Sequence[DeadLetterId], because: str, *, dry_run: bool
) -> AsyncIterator[Outcome]:
    """Mark dead letters as discarded and yield each outcome. Their bytes stay."""
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        states = await letters.states(page)
        new = [one for one in page if states.get(one) == "parked"]
        if new and not dry_run:
            await letters.record_decision(new, "discarded", because)
        for one in page:
            yield _discarded(one, states.get(one))


def _discarded(one: DeadLetterId, state: str | None) -> Outcome:
    if state is None:
        return Outcome(one, "refused", "nothing is parked there")
    if state == "replayed":
        return Outcome(one, "refused", "it was replayed, and is in the log again")
    return Outcome(one, "already", "it was discarded before") if state == "discarded" else Outcome(one, "done")


def refusal(record: Record) -> str:
    """Return why this release cannot fold a record, '' when it can."""
    try:
        decode(record.key, record.value, record.headers)
    except BadRecord as error:
        return str(error)
    return ""
