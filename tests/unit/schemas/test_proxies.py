"""Requests to this machine never go through a proxy."""

from __future__ import annotations

import os
import urllib.request

import pytest
from requests.utils import should_bypass_proxies

from schemas.runtime.proxies import bypass_proxies_on_loopback

HERE = ("http://127.0.0.1:5000/x", "http://localhost:5000/x", "http://[::1]:5000/x")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for one in (name, name.upper()):
            monkeypatch.setenv(one, "")  # set first, so that monkeypatch restores what the call writes
            monkeypatch.delenv(one)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("given", ["", "example.com", "example.com, 127.0.0.1"])
def test_loopback_is_direct_and_other_hosts_are_not(monkeypatch: pytest.MonkeyPatch, variable: str, given: str) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", given)

    bypass_proxies_on_loopback()

    assert [should_bypass_proxies(url, None) for url in HERE] == [True, True, True]
    assert not should_bypass_proxies("http://mlflow.example.org/x", None)
    assert should_bypass_proxies("http://example.com/x", None) == bool(given)
    assert urllib.request.proxy_bypass("127.0.0.1:5000")


def test_without_a_proxy_or_with_none_at_all_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    bypass_proxies_on_loopback()
    assert "NO_PROXY" not in os.environ

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    bypass_proxies_on_loopback()
    assert os.environ["NO_PROXY"] == "*"
