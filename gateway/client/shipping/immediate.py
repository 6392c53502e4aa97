"""
Send a few events about runs straight to the log, for commands a person runs: without a journal and without a thread.

The caller blocks and gets one of three answers: acknowledged, not written, or in doubt. Events that waited in a journal
instead could arrive hours later, and a delete removes everything that the log has before it.

The events of a run and the end of their producer are one group of records with one key, sent together. A record that
is sent again within a call has the same identity and bytes, so readers of the log take it once.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
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

RETRY_S = 0.5  # between two attempts
CLOSE_TIMEOUT_S = 5.0


def send_now(address: Address, events: Mapping[str, Sequence[dict[str, Any]]], *, timeout_s: float) -> str:
    """
    Send these events, given by run, and return the id of their producer once the log has acknowledged all of them.

    An event is the JSON of the contract without its time, which is the current time. Raises Unsent when the log has
    none of the events, InDoubt when it may have some, and ClientError when it will never take one of them.
    """
    producer = uuid7()
    records = [record for run_id, bodies in events.items() for record in _records(run_id, producer, bodies)]
    send_records(address, records, timeout_s=timeout_s)
    return producer


def send_records(address: Address, records: Sequence[Record], *, timeout_s: float) -> None:
    """
    Send records whose identity and order their author decided, such as an import, and return once all are acknowledged.

    Sending the same records again is safe. Raises what `send_now` raises.
    """
    end = monotonic() + timeout_s
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(_send(address, records, end))
        return
    with ThreadPoolExecutor(1) as thread:  # a notebook's thread runs an event loop already
        thread.submit(asyncio.run, _send(address, records, end)).result()


def _records(run_id: str, producer: str, bodies: Sequence[dict[str, Any]]) -> list[Record]:
    """Return the records of one run. The last one closes the producer."""
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
        await asyncio.sleep(min(RETRY_S, max(0.0, end - monotonic())))
    kind = InDoubt if is_in_doubt else Unsent
    raise kind(failure.why, what=failure.what, step=failure.step)


async def _close(transport: Transport) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await transport.close()
    except Exception:  # noqa: BLE001 -- the transport's library failed; its records are acknowledged or reported as failed
        return
