"""The probe of a Kafka broker."""

from __future__ import annotations

import socket

import pytest

from gateway.local import ports
from gateway.local.servers import kafka
from schemas.errors import LogUnavailable


def test_a_server_that_is_not_kafka_is_named() -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        address = f"{ports.HOST}:{server.getsockname()[1]}"
        with pytest.raises(LogUnavailable, match=address) as caught:  # it accepts the connection and sends nothing
            kafka.probe(address, timeout_s=0.2)

    assert "GATEWAY_KAFKA" in str(caught.value)


def test_an_address_without_a_port_is_named() -> None:
    with pytest.raises(LogUnavailable, match="broker-without-port"):
        kafka.probe("broker-without-port")
