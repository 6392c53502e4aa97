"""Requests about the registry: the same bytes until Kafka has them, and nothing that a reader cannot decode."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.server.mlflow import requests
from gateway.server.mlflow.door import Door
from gateway.server.mlflow.errors import Refused, unavailable
from gateway.server.mlflow.requests import Decision, request
from gateway.server.mlflow.unanswered import Asked, Unanswered
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
    def __init__(self) -> None:
        self.is_away = False

    async def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        self.path = path
        if self.is_away:
            raise unavailable("nothing decides it")
        return {"outcome": "exists", "reason": "experiment 'a' exists", "result": {"experiment_id": "7"}}


class _Parts:
    def __init__(self) -> None:
        self.writer, self.reader, self.unanswered = _Log(), _Api(), Unanswered[str, Asked](100)


def test_it_sends_the_same_bytes_until_kafka_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "AGAIN_S", 0.0)
    parts = _Parts()
    found = asyncio.run(request(cast(Door, parts), "experiments", "12", "experiment_created", name="a"))
    assert found == Decision("exists", "experiment 'a' exists", {"experiment_id": "7"}, "12")
    assert len(parts.writer.attempts) == 2
    assert parts.writer.attempts[0] == parts.writer.attempts[1]
    source = dict(parts.writer.attempts[0][1])["ce_source"].decode()
    assert parts.reader.path == f"/v1/decisions/experiments/{source.rpartition('/')[2]}"


def test_a_call_that_was_answered_with_503_goes_on_with_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "AGAIN_S", 0.001)
    monkeypatch.setattr(requests, "DECISION_S", 0.0)
    parts = _Parts()

    def create(experiment_id: str, name: str) -> Decision:
        call = request(cast(Door, parts), "experiments", experiment_id, "experiment_created", is_new_id=True, name=name)
        return asyncio.run(call)

    parts.reader.is_away = True
    with pytest.raises(Refused, match="nothing decides it"):
        create("12", "a")
    parts.reader.is_away = False
    assert create("13", "b").subject_id == "13"
    assert create("14", "a").subject_id == "12"
    assert create("15", "a").subject_id == "15"
    sources = [dict(headers)["ce_source"].decode().split("/")[2] for _, headers in parts.writer.attempts]
    assert sources == ["12", "12", "13", "12", "15"]  # the log was away at first
    assert parts.writer.attempts[0] == parts.writer.attempts[3]


@pytest.mark.parametrize("name", ["", "n\x00l", "lone \ud800", "ü" * 600, "a" * 1_000_001])
def test_what_no_event_can_hold_is_refused_and_not_written(name: str) -> None:
    parts = _Parts()
    with pytest.raises(Refused) as caught:
        asyncio.run(request(cast(Door, parts), "experiments", "12", "experiment_created", name=name))
    assert caught.value.code == "INVALID_PARAMETER_VALUE"
    assert not parts.writer.attempts
