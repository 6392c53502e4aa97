"""Logins, CSRF values, limits, pages of other origins and users of a proxy, at the real application of the API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from consumers.live.app import create_app
from consumers.live.server import Server, listen
from gateway.local.ports import free_ports
from schemas.errors import BadSettings
from schemas.runtime.access.limits import RateLimit
from schemas.runtime.access.tokens import create_token, revoke_token
from schemas.runtime.settings import Settings
from tests.support.live_server import until

HOST = "runs.example"
PROXY = {"trust_header": "X-Forwarded-User", "trusted_proxies": ["10.0.0.0/8"], "trust_scopes": ["read", "write"]}
VIEW = "/v1/views/x"  # DELETE of it asks Kafka, which is not there: 503 says that the request was let in
DATA = "/v1/schemas/run-log"


@asynccontextmanager
async def client(home: Path, peer: str = "192.0.2.1", **more: object) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        home=home, kafka="127.0.0.1:1", postgres=SecretStr("postgresql://u:p@127.0.0.1:1/x"), live_host="0.0.0.0",
        allowed_hosts=[HOST], **more,  # type: ignore[arg-type]  # of any field
    )  # fmt: skip
    transport = httpx.ASGITransport(app=create_app(settings), client=(peer, 1), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"https://{HOST}") as http:
        yield http


def token_in(home: Path, *scopes: str, name: str = "anna", experiments: list[str] | None = None) -> str:
    found = create_token(home / "tokens.json", name, scopes, experiments=experiments)  # type: ignore[arg-type]  # checked
    return found[1]


async def status(http: httpx.AsyncClient, method: str, path: str, headers: Mapping[str, str] | None = None) -> int:
    return (await http.request(method, path, headers=headers)).status_code


async def test_a_login_gives_a_cookie_that_scripts_cannot_read_and_a_value_for_changes(tmp_path: Path) -> None:
    text = token_in(tmp_path, "read", "write", experiments=["digits"])
    async with client(tmp_path) as http:
        answer = await http.post("/v1/login", json={"token": text})
        me = (await http.get("/v1/me")).json()

        assert answer.json() == me
        assert me | {"csrf": ""} == {"name": "anna", "scopes": ["read", "write"], "experiments": ["digits"], "csrf": ""}
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Secure", "Path=/"} <= set(cookie.split("; "))
        assert text not in cookie
        assert answer.headers["cache-control"] == "no-store"


async def test_a_change_with_a_cookie_needs_its_csrf_value_and_one_with_a_token_does_not(tmp_path: Path) -> None:
    text = token_in(tmp_path, "read", "write")
    async with client(tmp_path) as http:
        csrf = (await http.post("/v1/login", json={"token": text})).json()["csrf"]
        given: list[dict[str, str]] = [{}, {"X-Gateway-CSRF": "x"}, {"X-Gateway-CSRF": csrf}]

        assert [await status(http, "DELETE", VIEW, one) for one in given] == [403, 403, 503]
        assert await status(http, "GET", DATA) == 200
        http.cookies.clear()
        assert await status(http, "DELETE", VIEW, {"Authorization": f"Bearer {text}"}) == 503


async def test_a_session_ends_with_the_logout(tmp_path: Path) -> None:
    text = token_in(tmp_path, "read")
    async with client(tmp_path) as http:
        await http.post("/v1/login", json={"token": text})
        cookie = http.cookies["gateway_session"]
        assert await status(http, "POST", "/v1/logout") == 204
        assert "gateway_session" not in http.cookies
        http.cookies.clear()

        assert await status(http, "GET", "/v1/me", {"Cookie": f"gateway_session={cookie}"}) == 401


async def test_logins_of_an_address_are_limited_whether_right_or_wrong(tmp_path: Path) -> None:
    text = token_in(tmp_path, "read")
    async with client(tmp_path) as http:
        codes = [(await http.post("/v1/login", json={"token": "guess"})).status_code for _ in range(11)]
        last = await http.post("/v1/login", json={"token": text})

        assert codes == [401] * 10 + [429]
        assert (last.status_code, int(last.headers["retry-after"]) >= 1) == (429, True)


@pytest.mark.parametrize("body", [b"", b"{", b'{"token": ""}', b'{"token": 5}', b'{"token": "\\ud800"}', b"[" * 10_000])
async def test_a_login_without_a_token_is_refused(tmp_path: Path, body: bytes) -> None:
    async with client(tmp_path, token=SecretStr("t")) as http:
        answer = await http.post("/v1/login", content=body)

        assert answer.status_code in (401, 422)


async def test_wrong_tokens_of_people_are_limited_and_those_of_the_file_are_not(tmp_path: Path) -> None:
    text = token_in(tmp_path, "read")
    async with client(tmp_path, token=SecretStr("word")) as http:
        for _ in range(400):
            last = await status(http, "GET", DATA, {"Authorization": "Bearer guess"})

        assert last == 429
        assert await status(http, "GET", DATA, {"Authorization": "Bearer word"}) == 429
        assert await status(http, "GET", DATA, {"Authorization": f"Bearer {text}"}) == 200


async def test_too_many_requests_are_told_when_to_come_again(tmp_path: Path) -> None:
    text = token_in(tmp_path, "read")
    async with client(tmp_path, requests_per_s=0.001) as http:  # one now, the next in 17 minutes
        first, second = [await http.get(DATA, headers={"Authorization": f"Bearer {text}"}) for _ in range(2)]

        assert (first.status_code, second.status_code) == (200, 429)
        assert int(second.headers["retry-after"]) >= 1


def test_a_bucket_fills_again_and_its_memory_is_bounded() -> None:
    now = 0.0
    limit = RateLimit(2.0, 3.0, max_keys=2, clock=lambda: now)

    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 1]
    now = 0.5
    assert [limit.take("a"), limit.take("a")] == [0, 1]
    assert [limit.take(key) for key in ("b", "c", "a")] == [0, 0, 0], "a was forgotten for c"


async def test_a_page_of_an_allowed_origin_may_ask_with_a_token(tmp_path: Path) -> None:
    text, origin = token_in(tmp_path, "read"), "https://wiki.example"
    async with client(tmp_path, cors_origins=[origin]) as http:
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        before = await http.options("/v1/runs/documents", headers=asked)
        answer = await http.get(DATA, headers={"Origin": origin, "Authorization": f"Bearer {text}"})
        refused = await http.get(DATA, headers={"Origin": origin})
        other = await http.get(DATA, headers={"Origin": "https://evil.example", "Authorization": f"Bearer {text}"})

        assert (before.status_code, before.headers["access-control-allow-origin"]) == (204, origin)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, origin)
        assert (other.status_code, "access-control-allow-origin" in other.headers) == (403, False)
        assert "access-control-allow-credentials" not in answer.headers


async def test_only_the_embedded_charts_may_be_framed_and_only_by_named_origins(tmp_path: Path) -> None:
    frame = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    async with client(tmp_path, token=SecretStr("t"), embed_origins=["https://wiki.example"]) as http:
        embedded = await http.get("/embed/chart", headers=frame)
        page = await http.get("/login", headers=frame)

        assert embedded.headers["content-security-policy"].endswith("frame-ancestors 'self' https://wiki.example")
        assert page.headers["content-security-policy"].endswith("frame-ancestors 'none'")
        assert "'unsafe" not in embedded.headers["content-security-policy"]


async def test_a_trusted_proxy_names_the_user(tmp_path: Path) -> None:
    async with client(tmp_path, peer="10.1.2.3", **PROXY) as http:
        user = {"X-Forwarded-User": "anna@example.com"}
        me = (await http.get("/v1/me", headers=user)).json()

        assert (me["name"], me["scopes"]) == ("anna@example.com", ["read", "write"])
        assert await status(http, "GET", "/v1/me") == 401
        assert await status(http, "DELETE", VIEW, user) == 403, "a browser sends the proxy's cookie from any page"
        assert await status(http, "DELETE", VIEW, user | {"X-Gateway-CSRF": me["csrf"]}) == 503
        twice = [("X-Forwarded-User", "anna@example.com"), ("X-Forwarded-User", "root")]
        assert (await http.get("/v1/me", headers=twice)).status_code == 401


async def test_nobody_else_can_name_a_user(tmp_path: Path) -> None:
    async with client(tmp_path, peer="192.0.2.1", **PROXY) as http:
        assert await status(http, "GET", "/v1/me", {"X-Forwarded-User": "anna@example.com"}) == 401
    with pytest.raises(BadSettings, match="GATEWAY_TRUSTED_PROXIES"):
        async with client(tmp_path, trust_header="X-User"):
            pass


async def test_a_body_is_bounded_whether_it_says_its_length_or_not(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b" " * 65_536

    async with client(tmp_path, token=SecretStr("t")) as http:
        headers = {"Authorization": "Bearer t"}
        said = await http.post("/v1/runs/documents", content=b" " * 5_000_000, headers=headers)
        streamed = await http.post("/v1/runs/documents", content=endless(), headers=headers)

        assert (said.status_code, streamed.status_code) == (413, 413)
        assert {"error", "next"} <= said.json().keys()
        assert {"error", "next"} <= streamed.json().keys()


async def test_each_refusal_is_a_line_in_the_log_up_to_a_bound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = token_in(tmp_path, "read")
    async with client(tmp_path) as http:
        with caplog.at_level(logging.WARNING, logger="schemas.runtime.access"):
            await http.delete(VIEW, headers={"Authorization": f"Bearer {text}"})
            assert "refused 403: DELETE /v1/views/x from 192.0.2.1 ('anna' has no scope write)" in caplog.text
            assert text not in caplog.text
            caplog.clear()
            for _ in range(300):
                await http.get(DATA)
        assert 0 < len(caplog.records) < 290


async def test_a_revoked_token_is_refused_within_a_second(tmp_path: Path) -> None:
    text = token_in(tmp_path, "read")
    async with client(tmp_path) as http:
        headers = {"Authorization": f"Bearer {text}"}
        assert await status(http, "GET", DATA, headers) == 200
        revoke_token(tmp_path / "tokens.json", "anna")

        async def is_refused() -> bool:
            return await status(http, "GET", DATA, headers) == 401

        await until(is_refused, "the token is refused")


async def test_a_cookie_of_any_bytes_is_no_session(tmp_path: Path) -> None:
    async with client(tmp_path, token=SecretStr("t")) as http:
        for cookie in (b"v1.shared.9999999999.x.\xe9", b"v1.shared.\xb2.x.0", b"v1.shared.9999999999.\xe9.0"):
            answer = await http.get(DATA, headers=[(b"cookie", b"gateway_session=" + cookie)])

            assert answer.status_code == 401


async def test_who_names_another_address_is_not_believed(tmp_path: Path) -> None:
    token_in(tmp_path, "read")
    settings = Settings(
        home=tmp_path, kafka="127.0.0.1:1", postgres=SecretStr("postgresql://u:p@127.0.0.1:1/x"), live_host="0.0.0.0",
        live_port=free_ports(1)[0], **PROXY,  # type: ignore[arg-type]  # of any field
    )  # fmt: skip
    with listen(settings) as listening:
        server = Server(settings)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        headers = {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-User": "root"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.live_port}", trust_env=False) as http:
            assert await status(http, "GET", "/v1/me", headers) == 401
        server.should_exit = True
        await task
