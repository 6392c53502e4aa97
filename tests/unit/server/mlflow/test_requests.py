"""Requests about the registry: the same bytes until Kafka has them, and nothing that a reader cannot decode."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.server.mlflow import requests
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.requests import Decision, request
from schemas.errors import LogUnavailable


class _Log:
    """Takes what `write` gets; refuses the first attempt."""

    def __init__(self) -> None:
        self.attempts: list[tuple[bytes, Any]] = []

    async def write(self, records: Any) -> None:
        self.attempts += [(one.value, one.headers) for one in records]
        if len(self.attempts) == 1:
            raise LogUnavailable("Kafka is away")


class _Api:
    async def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        self.path = path
        return {"outcome": "exists", "reason": "experiment 'a' exists", "result": {"experiment_id": "7"}}


class _Parts:
    def __init__(self) -> None:
        self.writer, self.reader = _Log(), _Api()


def test_it_sends_the_same_bytes_until_kafka_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "AGAIN_S", 0.0)
    parts = _Parts()
    found = asyncio.run(request(cast(Door, parts), "experiments", "12", "experiment_created", name="a"))
    assert found == Decision("exists", "experiment 'a' exists", {"experiment_id": "7"})
    assert len(parts.writer.attempts) == 2
    assert parts.writer.attempts[0] == parts.writer.attempts[1]
    source = dict(parts.writer.attempts[0][1])["ce_source"].decode()
    assert parts.reader.path == f"/v1/decisions/experiments/{source.rpartition('/')[2]}"


@pytest.mark.parametrize("name", ["", "n\x00l", "lone \ud800", "ü" * 600, "a" * 1_000_001])
def test_what_no_event_can_hold_is_refused_and_not_written(name: str) -> None:
    parts = _Parts()
    with pytest.raises(Refused) as caught:
        asyncio.run(request(cast(Door, parts), "experiments", "12", "experiment_created", name=name))
    assert caught.value.code == "INVALID_PARAMETER_VALUE"
    assert not parts.writer.attempts
