"""
Carry out what people decide about dead letters: write them to the log again, or leave them for good.

A replay puts the record at the end of its partition, byte for byte, so that folding the log again gives the same rows.
It never was applied, so its producer's number is still missing and the copy is admitted, once: a copy more, from a
replay that was cut off before it was remembered, is refused as a duplicate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, NamedTuple

from consumers.log.record import Record
from consumers.log.writer import LogWriter, RecordTooLarge
from consumers.store.dead_letters import DeadLetter, DeadLetterFilter, DeadLetterId, DeadLetters
from schemas.errors import BadRecord, BadSettings
from schemas.wire import decode

PAGE = 1_000  # ids asked for at once
ROUND_RECORDS, ROUND_BYTES = 200, 1024 * 1024  # written at once


class Outcome(NamedTuple):
    """What became of a decision about one dead letter."""

    id: DeadLetterId
    result: Literal["done", "already", "refused"]
    why: str = ""


def parse_id(text: str) -> DeadLetterId:
    """Return the id that `list` prints. Raises BadSettings."""
    topic, _, rest = text.partition(":")
    partition, _, offset = rest.partition(":")
    if not (topic and partition.isdecimal() and offset.isdecimal() and len(partition) < 10 and len(offset) < 19):
        raise BadSettings(f"{text!r:.200} is no id: copy TOPIC:PARTITION:OFFSET from `gateway dead-letters list`")
    return DeadLetterId(topic, int(partition), int(offset))


async def choose(letters: DeadLetters, wanted: DeadLetterFilter, limit: int | None) -> list[DeadLetterId]:
    """Return all undecided ones of now, in log order: a replay that is parked again is not among them."""
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
    """Give for each id what a replay would do, with its record where it would write it."""
    for one in ids:
        letter = await letters.get(one)
        if letter is None:
            yield Outcome(one, "refused", "nothing is parked there"), None
        elif letter.state == "replayed":
            yield Outcome(one, "already", "it was replayed before"), None
        elif one.topic != topic:
            yield Outcome(one, "refused", f"the log is {topic} now (GATEWAY_TOPIC), and it came from another"), None
        elif not anyway and (why := refusal(letter.record)):
            yield Outcome(one, "refused", f"it would be parked again ({why}); --anyway replays it all the same"), None
        else:
            yield Outcome(one, "done"), letter


async def replay(
    letters: DeadLetters,
    writer: LogWriter,
    planned: AsyncIterator[tuple[Outcome, DeadLetter | None]],
    said: Callable[[Outcome], object],
) -> None:
    """
    Write records to the log again and remember it; tells each outcome as soon as it is certain.

    Raises LogUnavailable and StoreUnavailable: what was told is done, and calling again goes on with the rest.
    """
    width = await writer.open()
    held: list[DeadLetter] = []
    async for outcome, letter in planned:
        if letter is None:
            said(outcome)
            continue
        if letter.id.partition >= width:
            said(Outcome(letter.id, "refused", f"{writer.topic} has only {width} partitions now"))
            continue
        if held and (letter.id.partition != held[0].id.partition or _is_full(held)):
            await _replay_round(letters, writer, held, said)
            held = []
        held.append(letter)
    if held:
        await _replay_round(letters, writer, held, said)


def _is_full(held: Sequence[DeadLetter]) -> bool:
    return len(held) >= ROUND_RECORDS or sum(len(one.record.value or b"") for one in held) >= ROUND_BYTES


async def _replay_round(
    letters: DeadLetters, writer: LogWriter, held: Sequence[DeadLetter], said: Callable[[Outcome], object]
) -> None:
    ids = [letter.id for letter in held]
    try:
        await writer.write(ids[0].partition, [letter.record for letter in held])
    except RecordTooLarge as error:
        if len(held) == 1:
            said(Outcome(ids[0], "refused", str(error)))
            return
        for letter in held:  # what was written already comes again, and is refused as a duplicate
            await _replay_round(letters, writer, [letter], said)
        return
    await letters.record_decision(ids, "replayed")
    for one in ids:
        said(Outcome(one, "done"))


async def discard(
    letters: DeadLetters, ids: Sequence[DeadLetterId], because: str, *, dry_run: bool
) -> AsyncIterator[Outcome]:
    """Mark dead letters as left for good; gives each outcome. Their bytes stay."""
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
