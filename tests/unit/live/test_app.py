"""Who is served by the application of the API: a request without PostgreSQL and Kafka behind it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from consumers.live.app import create_app
from consumers.live.server import serve
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings


def settings_of(home: Path, **settings: object) -> Settings:
    dsn = SecretStr("postgresql://u:p@127.0.0.1:1/x")
    return Settings(home=home, kafka="127.0.0.1:1", postgres=dsn, **settings)  # type: ignore[arg-type]  # of any field


async def ask(settings: Settings, headers: Mapping[str, str], path: str = "/v1/schemas/run-log") -> int:
    transport = httpx.ASGITransport(app=create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as http:
        answer = await http.get(path, headers=headers)
    assert answer.headers["x-content-type-options"] == "nosniff"
    return answer.status_code


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8700", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
    ],
)
async def test_on_loopback_only_pages_of_its_own_are_served(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    assert [await ask(settings_of(tmp_path), headers, path) for path in ("/v1/schemas/run-log", "/")] == [status] * 2


@pytest.mark.parametrize("named", [{"allowed_hosts": ["Runs.example.com"]}, {"live_url": "https://runs.example.com/"}])
async def test_the_name_of_a_proxy_is_allowed(tmp_path: Path, named: dict[str, object]) -> None:
    headers = {"Host": "runs.example.com", "Origin": "https://runs.example.com", "Sec-Fetch-Site": "same-origin"}

    assert await ask(settings_of(tmp_path), headers) == 403
    assert await ask(settings_of(tmp_path, **named), headers) == 200


async def test_beyond_loopback_every_request_needs_the_token(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, live_host="0.0.0.0", token=SecretStr("t"))
    good = {"Host": "runs.example.com", "Authorization": "Bearer t"}

    for path in ("/v1/schemas/run-log", "/", "/static/run.js", "/v1/openapi.json"):
        assert await ask(settings, {}, path) == 401
        assert await ask(settings, good, path) == 200


async def test_beyond_loopback_it_does_not_start_without_a_token(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"live_host 0\.0\.0\.0 .*GATEWAY_TOKEN"):
        await serve(settings_of(tmp_path, live_host="0.0.0.0"))
