"""
A few events about runs straight into the log, for what a person does at a prompt: no journal, no thread.

Whoever asks waits, and is told the truth: the log has all of it, has nothing of it, or nobody knows. What waited in a
journal instead could come hours later, and a delete takes with it all that the log has before it.

The events of a run and the end of their producer are one group of records of one key, sent together; what is sent again
within a call has the same identity and bytes, so the log's readers take it once.
"""

from __future__ import annotations

import asyncio
from time import monotonic

from gateway.client.encoding.values import now
from gateway.client.encoding.wire import encode, source_of
from gateway.client.errors import ClientError, InDoubt, Unsent
from gateway.client.ids import uuid7
from gateway.client.transports.factory import make_transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from gateway.client.address import Address
    from gateway.client.encoding.wire import Record
    from gateway.client.transports.transport import Transport

AGAIN_S = 0.5  # between two tries
CLOSE_TIMEOUT_S = 5.0


def send_now(address: Address, events: Mapping[str, Sequence[dict[str, Any]]], *, timeout_s: float) -> str:
    """
    Return the id of the producer of these events, by run, when the log has acknowledged all of them.

    An event is the JSON of the contract without its time, which is now. Raises Unsent when the log has none of them,
    InDoubt when it may have some, and ClientError when it will never take one.
    """
    producer = uuid7()
    records = [record for run_id, bodies in events.items() for record in _records(run_id, producer, bodies)]
    asyncio.run(_send(address, records, monotonic() + timeout_s))
    return producer


def _records(run_id: str, producer: str, bodies: Sequence[dict[str, Any]]) -> list[Record]:
    """Return the records of one run; the last says that there are no more."""
    time, source = now(), source_of(run_id, producer)
    end = {"kind": "producer_closed", "batches": len(bodies) + 1, "points": 0, "dropped": 0}
    stamped = [{"kind": body["kind"], "time": time, **body} for body in (*bodies, end)]
    return [encode(run_id, source, seq, time, body) for seq, body in enumerate(stamped)]


async def _send(address: Address, records: Sequence[Record], end: float) -> None:
    failure, is_in_doubt = Unsent("no answer in time"), False
    while (left := end - monotonic()) > 0:
        transport, is_sending = make_transport(address), False
        try:
            async with asyncio.timeout(left):
                await transport.open()
                is_sending = True
                refusals = await transport.send(records)
        except Unsent as error:
            failure, is_in_doubt = error, is_in_doubt or (is_sending and not error.took_nothing)
        except TimeoutError:
            is_in_doubt = is_in_doubt or is_sending
            break
        else:
            if refusals:
                raise ClientError(f"{address.label} will never take this: {refusals[0].reason}")
            return
        finally:
            await _close(transport)
        await asyncio.sleep(min(AGAIN_S, max(0.0, end - monotonic())))
    kind = InDoubt if is_in_doubt else Unsent
    raise kind(failure.why, what=failure.what, step=failure.step)


async def _close(transport: Transport) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await transport.close()
    except Exception:  # noqa: BLE001 -- a stranger's library; what it was asked for is acknowledged or said to fail
        return
