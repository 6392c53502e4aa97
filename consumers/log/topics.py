"""
Create missing topics, and translate Kafka's errors into ours. reader.py and writer.py use it too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from consumers.log.security import security_arguments
from schemas.errors import LogUnavailable, Refused

if TYPE_CHECKING:
    from schemas.runtime.settings import Settings

REQUEST_TIMEOUT_S = 10.0
MAX_MESSAGE_BYTES = 2 * 1024 * 1024  # twice schemas.wire.MAX_VALUE: key, headers and framing always fit
CLOSE_TIMEOUT_S = 2.0
_TOPIC_EXISTS = 36  # Kafka's error code TOPIC_ALREADY_EXISTS
_HEALS = (5, 7, 13, 14, 41)  # no leader, timed out, network, coordinator loading, not the controller


@asynccontextmanager
async def translated(bootstrap: str) -> AsyncIterator[None]:
    """Raise errors of Kafka and of the network as LogUnavailable."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailable(
            f"Kafka at {bootstrap} cannot be reached ({error or type(error).__name__}): "
            "start it there, or correct GATEWAY_KAFKA"
        ) from error


def is_outage(error: BaseException | None) -> bool:
    """Return whether an error that another library passed on means that Kafka is away."""
    return isinstance(error, KafkaError | LogUnavailable | ConnectionError | TimeoutError)


async def finish_start(start: Coroutine[Any, Any, None]) -> None:
    """Await `start`; if cancelled, let it finish first: aiokafka leaves a connection open if its start is cut off."""
    starting = asyncio.ensure_future(start)
    try:
        await asyncio.shield(starting)
    finally:
        if not starting.done():
            await asyncio.wait({starting}, timeout=CLOSE_TIMEOUT_S)
            starting.cancel()


def admin_client(bootstrap: str, security: Mapping[str, Any]) -> Any:
    """Return an admin client that is not started."""
    return AIOKafkaAdminClient(
        **security, bootstrap_servers=bootstrap, request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000)
    )


async def ensure_topics(settings: Settings) -> None:
    """
    Create the log and the dead-letter topic if they are missing. Existing topics are left unchanged.

    Raises LogUnavailable, and Refused if the brokers will not create them.
    """
    config = {"retention.ms": "-1", "max.message.bytes": str(MAX_MESSAGE_BYTES)}
    # Records carry the brokers' clock and events the producers': together they show how late a reader is and whose
    # clock is wrong.
    arrival = {**config, "message.timestamp.type": "LogAppendTime"}
    topics = [
        NewTopic(settings.topic, settings.partitions, settings.replication, topic_configs=arrival),
        NewTopic(settings.dead_letter_topic, 1, settings.replication, topic_configs=config),
    ]
    bootstrap = settings.need("kafka")
    admin = admin_client(bootstrap, security_arguments(settings))
    try:
        async with translated(bootstrap):
            await asyncio.wait_for(finish_start(admin.start()), REQUEST_TIMEOUT_S)
            answer = await asyncio.wait_for(admin.create_topics(topics), REQUEST_TIMEOUT_S)
    finally:
        await admin.close()
    for name, code, message in (entry[:3] for entry in answer.topic_errors):
        if code in _HEALS:
            raise LogUnavailable(f"Kafka at {bootstrap} cannot create {name} now ({message or code})")
        if code not in (0, _TOPIC_EXISTS):
            raise Refused(f"Kafka at {bootstrap} will not create {name} ({message or code}): create it by hand")
