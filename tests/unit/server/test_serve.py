"""The ingest server listens beyond loopback only with a token."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from gateway.server.serve import require_token
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_without_a_token_it_listens_on_loopback(host: str) -> None:
    require_token(Settings(ingest_host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "gateway.example.com", ""])
def test_without_a_token_it_listens_on_no_other_address(host: str) -> None:
    with pytest.raises(BadSettings, match="GATEWAY_TOKEN"):
        require_token(Settings(ingest_host=host))
    require_token(Settings(ingest_host=host, token=SecretStr("t")))
