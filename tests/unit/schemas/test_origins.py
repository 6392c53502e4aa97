"""What a web page of another site sends."""

from __future__ import annotations

import pytest

from schemas.runtime.access.origins import crosses_sites, foreign, foreign_host


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
    assert crosses_sites({**host, "origin": "http://evil.example"}, "GET") is not None, "only a page says an Origin"
    assert crosses_sites({**host, "origin": "http://door.example:5001"}, "POST") is None
    assert crosses_sites({**host, "origin": "http://proxy.example"}, "POST", ["Proxy.example"]) is None
    assert crosses_sites({**host, "origin": "https://proxy.example", "sec-fetch-site": "same-origin"}, "POST") is None


@pytest.mark.parametrize("host", ["127.0.0.1:8700", "10.1.2.3", "[::1]:8700", "gpu1:8701", "localhost", "Runs.example"])
def test_addresses_names_without_a_dot_and_listed_ones_are_names_of_a_server_with_tokens(host: str) -> None:
    assert foreign_host({"host": host}, ["runs.example"]) is None


@pytest.mark.parametrize("host", ["evil.example", "runs.example.evil.example:8700", "127.0.0.1.evil.example"])
def test_any_other_name_could_be_that_of_a_page_whose_name_resolves_to_this_address(host: str) -> None:
    assert foreign_host({"host": host}, ["runs.example"]) is not None
