"""A running ingest server takes nothing from a web page of another origin."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from gateway.client.encoding.wire import Record
from gateway.server.app import create_app
from schemas.examples import records
from schemas.runtime.settings import Settings

JSON = {"Content-Type": "application/json"}
OWN = "127.0.0.1:8701"
DELETED = records()["deleted"]
BODY = json.dumps(
    {
        "records": [
            {
                "key": DELETED.key.decode(),
                "headers": {name: value.decode() for name, value in DELETED.headers},
                "value": DELETED.value.decode(),
            }
        ]
    }
)


async def post(home: Path, headers: Mapping[str, str], **settings: object) -> tuple[int, int, str]:
    """Return the status, the number of records written, and the error."""
    app = create_app(Settings(home=home, kafka="127.0.0.1:1", **settings))  # type: ignore[arg-type]  # of any field
    written: list[Record] = []

    async def write(taken: Sequence[Record]) -> None:
        written.extend(taken)

    app.state.writer.write = write
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{OWN}") as http:
        answer = await http.post("/v1/events", content=BODY, headers=headers)
    return answer.status_code, len(written), str(answer.json().get("error", ""))


@pytest.mark.parametrize(
    "headers",
    [
        JSON,
        {**JSON, "Host": "localhost:8701"},
        {**JSON, "Host": "[::1]:8701"},
        {"Content-Type": "Application/JSON; charset=utf-8"},
        {**JSON, "Host": "localhost:8701", "Origin": "http://localhost:8701", "Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_programs_of_this_machine_and_its_own_pages_are_served(tmp_path: Path, headers: dict[str, str]) -> None:
    assert await post(tmp_path, headers) == (200, 1, "")


@pytest.mark.parametrize(
    ("headers", "status", "named"),
    [
        ({"Content-Type": "text/plain;charset=UTF-8"}, 415, "Content-Type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "Content-Type"),
        ({}, 415, "Content-Type"),
        ({**JSON, "Host": "evil.example:8701"}, 403, "Host 'evil.example:8701'"),
        ({**JSON, "Host": "evil.example:8701", "Origin": "http://evil.example:8701"}, 403, "Host"),
        ({**JSON, "Host": "127.0.0.1.evil.example"}, 403, "Host"),
        ({**JSON, "Host": "0.0.0.0:8701"}, 403, "Host"),
        ({**JSON, "Host": "[::1"}, 403, "Host"),
        ({**JSON, "Origin": "https://evil.example"}, 403, "Origin 'https://evil.example'"),
        ({**JSON, "Origin": "http://127.0.0.1:3000"}, 403, "Origin"),
        ({**JSON, "Origin": "null"}, 403, "Origin"),
        ({**JSON, "Sec-Fetch-Site": "cross-site"}, 403, "Sec-Fetch-Site"),
        ({**JSON, "Sec-Fetch-Site": "same-site"}, 403, "Sec-Fetch-Site"),
    ],
)
async def test_what_a_page_of_another_origin_can_send_is_refused(
    tmp_path: Path, headers: dict[str, str], status: int, named: str
) -> None:
    found = await post(tmp_path, headers)

    assert found[:2] == (status, 0)
    assert named in found[2]


async def test_the_name_of_a_proxy_is_allowed_by_a_setting(tmp_path: Path) -> None:
    name = "runs.example.com"
    for headers in (
        {"Host": name, "Origin": f"https://{name}"},
        {"Host": OWN, "Origin": f"https://{name}"},  # the proxy replaced Host
    ):
        assert (await post(tmp_path, {**JSON, **headers}))[0] == 403
        assert (await post(tmp_path, {**JSON, **headers}, allowed_hosts=[name]))[0] == 200


async def test_who_holds_the_token_may_use_any_name(tmp_path: Path) -> None:
    headers = {**JSON, "Host": "runs.example.com:8701"}
    token = SecretStr("t")

    assert (await post(tmp_path, JSON, token=token))[0] == 401
    assert (await post(tmp_path, headers, token=token))[0] == 403, "a page whose name resolves to this address"
    assert (await post(tmp_path, {**headers, "Authorization": "Bearer t"}, token=token))[0] == 200
    assert (await post(tmp_path, {"Authorization": "Bearer t"}, token=token))[0] == 415
