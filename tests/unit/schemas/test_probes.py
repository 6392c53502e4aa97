"""Who may ask the probes of a process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.local.ports import HOST, free_ports
from schemas.runtime.access.tokens import create_token
from schemas.runtime.probes import Probes, serve_probes
from schemas.runtime.settings import Settings


async def ask(port: int, path: str, *headers: str) -> int:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write("\r\n".join((f"GET {path} HTTP/1.1", *headers, "", "")).encode())
    first = await reader.readline()
    writer.close()
    return int(first.split()[1])


async def statuses(settings: Settings, path: str, *sent: list[str]) -> list[int]:
    async with serve_probes(settings, Probes(lambda: b"")):
        return [await ask(settings.metrics_port, path, *headers) for headers in sent]


async def test_pages_whose_name_resolves_to_this_machine_are_refused(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, metrics_port=free_ports(1)[0])
    sent = [[], ["Host: localhost:9100"], ["Host: evil.example"], ["Host: localhost", "Origin: https://evil.example"]]

    assert await statuses(settings, "/metrics", *sent) == [200, 200, 403, 403]


@pytest.mark.parametrize(("path", "expected"), [("/metrics", [401, 401, 403, 403, 200]), ("/readyz", [200] * 5)])
async def test_metrics_need_a_token_where_everything_does(tmp_path: Path, path: str, expected: list[int]) -> None:
    file = tmp_path / "tokens.json"
    emit, read = (create_token(file, scope, [scope])[1] for scope in ("emit", "read"))  # type: ignore[list-item]
    limited = create_token(file, "limited", ["read"], experiments=["digits"])[1]
    settings = Settings(home=tmp_path, metrics_port=free_ports(1)[0], access="always")
    sent = [[], *([f"Authorization: Bearer {one}"] for one in ("x", emit, limited, read))]

    assert await statuses(settings, path, *sent) == expected
