"""The proxy of the fault tests disturbs connections as requested."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from threading import Thread
from time import monotonic

import pytest

from gateway.local.ports import HOST
from tests.support.tcp_proxy import Proxy, proxy_to


@pytest.fixture
def echo() -> Iterator[int]:
    """Port of a server that sends everything back."""
    server = socket.create_server((HOST, 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                while piece := connection.recv(1024):
                    connection.sendall(piece)
            except OSError:
                return

    thread = Thread(target=serve)
    thread.start()
    yield int(server.getsockname()[1])
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with proxy_to(echo) as made:
        yield made


def connect(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection((HOST, proxy.port), timeout=10)
    assert asks(connection, b"first")
    return connection


def asks(connection: socket.socket, text: bytes) -> bool:
    """Return whether the echo of the server arrives; False when the connection has ended."""
    try:
        connection.sendall(text)
        got = b""
        while len(got) < len(text):
            piece = connection.recv(1024)
            if not piece:
                return False
            got += piece
    except ConnectionError:
        return False
    return got == text


def test_a_cut_line_resets_connections_and_refuses_new_ones_until_it_is_healed(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        proxy.cut()
        ended = not asks(connection, b"hello")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((HOST, proxy.port), timeout=10)
    proxy.heal()

    with connect(proxy) as connection:
        assert asks(connection, b"hello")
    assert ended


def test_dropped_connections_may_come_back_at_once(proxy: Proxy) -> None:
    with connect(proxy) as old:
        proxy.drop()
        ended = not asks(old, b"hello")
    with connect(proxy):
        assert ended


def test_a_delayed_line_is_slow_and_whole(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        proxy.delay(0.15)
        start = monotonic()

        assert asks(connection, b"hello")
        assert monotonic() - start >= 0.3  # there and back: a bound the proxy keeps however loaded the machine is


def test_a_stalled_line_accepts_says_nothing_and_goes_on_when_healed(proxy: Proxy) -> None:
    with connect(proxy) as old:
        proxy.stall()
        with socket.create_connection((HOST, proxy.port), timeout=10) as new:
            for connection in (old, new):
                connection.sendall(b"hello")
                connection.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    connection.recv(10)
                connection.settimeout(10)
            proxy.heal()

            assert (old.recv(10), new.recv(10)) == (b"hello", b"hello")


def test_a_half_closed_line_leaves_the_client_waiting_until_it_is_healed(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        proxy.half_close()
        connection.settimeout(0.2)
        connection.sendall(b"hello")
        with pytest.raises(TimeoutError):
            connection.recv(10)
        proxy.heal()
        connection.settimeout(10)

        assert not asks(connection, b"hello")


def test_a_limited_line_turns_away_who_is_too_many(proxy: Proxy) -> None:
    with connect(proxy) as first:
        proxy.limit(1)
        with socket.create_connection((HOST, proxy.port), timeout=10) as second:
            assert not asks(second, b"hello")
        assert asks(first, b"hello")
