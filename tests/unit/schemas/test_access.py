"""Who may use a web server of ours."""

from __future__ import annotations

import base64

import pytest

from schemas.errors import BadSettings
from schemas.runtime.access import crosses_sites, foreign, holds_token, require_token


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_without_a_token_it_listens_on_loopback(host: str) -> None:
    require_token("live_host", host, "")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "gateway.example.com", ""])
def test_without_a_token_it_listens_on_no_other_address(host: str) -> None:
    with pytest.raises(BadSettings, match=r"live_host .*GATEWAY_TOKEN"):
        require_token("live_host", host, "")
    require_token("live_host", host, "t")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_the_token_is_shown_as_bearer_or_as_the_password_of_a_browser() -> None:
    shown = ["Bearer t:1", basic("anyone:t:1"), basic(":t:1"), basic("t:1"), basic(""), "Basic t:1", "Basic ÿ", "t:1"]

    assert [holds_token(one, "t:1") for one in shown] == [True, True, True, False, False, False, False, False]


def test_a_person_may_follow_a_link_to_a_page_but_a_page_cannot_embed_or_ask() -> None:
    link = {"host": "localhost:8700", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}

    assert foreign({**link, "sec-fetch-dest": "document"}, "GET", ()) is None
    assert foreign({**link, "sec-fetch-dest": "iframe"}, "GET", ()) is not None
    assert foreign({**link, "sec-fetch-dest": "document"}, "POST", ()) is not None
    assert foreign({**link, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}, "GET", ()) is not None


def test_a_page_of_another_site_cannot_change_what_a_browser_has_the_token_for() -> None:
    assert crosses_sites({"sec-fetch-site": "cross-site"}, "POST") is not None
    assert crosses_sites({"sec-fetch-site": "cross-site"}, "GET") is None, "its answer is not shown to that page"
    assert crosses_sites({"sec-fetch-site": "same-origin"}, "POST") is None
    assert crosses_sites({}, "POST") is None, "a program"


def test_over_plain_http_the_origin_tells_where_a_change_comes_from() -> None:
    host = {"host": "door.example:5001"}  # browsers send Sec-Fetch-Site to https and to their own machine only

    assert crosses_sites({**host, "origin": "http://evil.example"}, "POST") is not None
    assert crosses_sites({**host, "origin": "null"}, "POST") is not None, "a page in a sandbox"
    assert crosses_sites({**host, "origin": "http://evil.example"}, "GET") is None
    assert crosses_sites({**host, "origin": "http://door.example:5001"}, "POST") is None
    assert crosses_sites({**host, "origin": "http://proxy.example"}, "POST", ["Proxy.example"]) is None
    assert crosses_sites({**host, "origin": "https://proxy.example", "sec-fetch-site": "same-origin"}, "POST") is None
