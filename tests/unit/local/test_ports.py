"""Ports: free ones are different, and the holder of a taken one is named."""

from __future__ import annotations

import os
import socket

import pytest

from gateway.local import ports


def test_free_ports_are_different_and_can_be_listened_on() -> None:
    found = ports.free_ports(5)

    assert len(set(found)) == 5
    assert all(ports.is_free(port) for port in found)


def test_ports_without_a_listener_yet_are_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "RANGE", range(31_000, 31_010))
    first, second = ports.free_ports(3), ports.free_ports(6)
    third = ports.free_ports(3)

    assert len({*first, *second}) == 9
    assert third[1:] == first[:2]  # all were given: those given longest ago come first


def test_a_taken_port_names_its_holder() -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        port = server.getsockname()[1]
        free, who = ports.is_free(port), ports.holder(port)

    assert not free
    assert f"pid {os.getpid()}" in who
