"""Ctrl-C ends a command that waits at once: one line, no trace, status 130."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.local.ports import free_ports
from tests.support.gateway_command import COMMAND, environment
from tests.support.process_tree import until

HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}  # fmt: skip


@contextmanager
def command(folder: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command whose stdin stays open, as in a terminal, and end it at last."""
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--home", str(folder)], text=True, cwd=folder, env=environment(**variables),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Send SIGINT, and return the status and what is on stderr."""
    process.send_signal(signal.SIGINT)
    assert process.stderr
    status = process.wait(60)
    return status, process.stderr.read()


def _is_free(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) != 0


def test_a_question_that_is_not_answered_is_interrupted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with command(tmp_path, "runs", "export", "--where", "", "--csv", "all.csv", GATEWAY_LIVE_URL=url) as process:
            silent.settimeout(60)
            connection, _ = silent.accept()
            with connection:
                assert connection.recv(4_096)
                assert interrupt(process) == (130, "gateway: interrupted\n")
    assert list(tmp_path.glob("*all.csv*")) == []


def test_the_server_of_agents_is_interrupted_while_it_waits_for_a_line(tmp_path: Path) -> None:
    with command(tmp_path, "mcp") as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(HELLO) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["result"]["serverInfo"]["name"] == "tracking-gateway"

        assert interrupt(process) == (130, "gateway: interrupted\n")


def test_the_server_of_agents_over_http_is_interrupted(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    with command(tmp_path, "mcp", "--http", "--port", str(port), GATEWAY_TOKEN="x" * 32) as process:
        assert process.stderr
        assert "MCP at" in process.stderr.readline()
        until(lambda: not _is_free(port), "the server listens")

        assert interrupt(process) == (130, "gateway: interrupted\n")
