from __future__ import annotations

import pytest

from gateway.client.run.arguments import finish_timeout


@pytest.mark.parametrize(("given", "expected"), [("2.5", 2.5), ("-1", 0.0), ("soon", 30.0)])
def test_how_long_finish_waits_can_be_set(monkeypatch: pytest.MonkeyPatch, given: str, expected: float) -> None:
    monkeypatch.setenv("GATEWAY_FINISH_TIMEOUT_S", given)

    assert finish_timeout() == expected
