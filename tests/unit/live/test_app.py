"""Who is served by the application of the API: a request without PostgreSQL and Kafka behind it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from consumers.live.app import create_app
from consumers.live.dashboard import pages
from consumers.live.server import serve
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dashboard as vite builds it."""
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    for name in ("index.html", "icon.svg", "assets/page-B1x.js"):
        (static / name).write_text(name, encoding="utf-8")
    monkeypatch.setattr(pages, "STATIC", static)
    return static


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


async def test_beyond_loopback_everything_but_the_files_of_the_pages_needs_the_token(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, live_host="0.0.0.0", token=SecretStr("t"))
    good = {"Host": "runs.example.com", "Authorization": "Bearer t"}

    for path in ("/v1/schemas/run-log", "/v1/openapi.json", "/v1/me"):
        assert await ask(settings, {}, path) == 401
        assert await ask(settings, good, path) == 200
    assert await ask(settings, {}, "/login") != 401, "a person must be able to log in"


async def test_always_means_on_loopback_too(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, access="always", token=SecretStr("t"))

    assert await ask(settings, {}) == 401
    assert await ask(settings, {"Authorization": "Bearer t"}) == 200
    with pytest.raises(BadSettings, match="GATEWAY_ACCESS=always"):
        await serve(settings_of(tmp_path, access="always"))


async def test_beyond_loopback_it_does_not_start_without_a_token(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"live_host 0\.0\.0\.0 .*GATEWAY_TOKEN"):
        await serve(settings_of(tmp_path, live_host="0.0.0.0"))


@asynccontextmanager
async def client(home: Path) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=create_app(settings_of(home)))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as http:
        yield http


async def test_every_address_of_the_application_has_its_page(tmp_path: Path) -> None:
    named = [
        "/",
        "/workspace",
        "/compare?runs=a",
        "/runs/a%2Fb%0A",
        "/experiments/7",
        "/alerts",
        "/system",
        "/login",
        "/embed/x",
    ]
    async with client(tmp_path) as http:
        answers = [await http.get(address) for address in named]

    assert {(one.status_code, one.text, one.headers["cache-control"]) for one in answers} == {
        (200, "index.html", "no-cache")
    }


async def test_a_browser_keeps_what_has_a_hash_in_its_name_and_checks_the_rest(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        hashed, icon = await http.get("/static/assets/page-B1x.js"), await http.get("/static/icon.svg")
        again = await http.get("/static/icon.svg", headers={"If-None-Match": icon.headers["etag"]})
        missing = await http.get("/static/assets/page-old.js")

    assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert [(one.status_code, one.headers["cache-control"]) for one in (icon, again, missing)] == [
        (200, "no-cache"),
        (304, "no-cache"),
        (404, "no-store"),
    ]


async def test_without_built_pages_the_api_says_how_to_get_them(tmp_path: Path, built: Path) -> None:
    shutil.rmtree(built)
    async with client(tmp_path) as http:
        page, script = await http.get("/runs/x"), await http.get("/static/assets/page-B1x.js")
        api = await http.get("/v1/schemas/run-log")

    assert (page.status_code, script.status_code, api.status_code) == (404, 404, 200)
    assert "The dashboard was not built" in page.text
