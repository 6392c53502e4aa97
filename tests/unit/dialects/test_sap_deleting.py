"""What a deletion that cannot be done says."""

from __future__ import annotations

import pytest

from gateway.dialects.sap import active
from gateway.dialects.sap.deleting import delete
from gateway.dialects.sap.errors import TrackingError
from gateway.local.ports import HOST, free_ports
from tests.support.sap_program import forget_runs


def test_without_a_log_nothing_is_deleted_and_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_runs(monkeypatch)
    monkeypatch.setenv("GATEWAY_URL", f"kafka://{HOST}:{free_ports(1)[0]}")
    monkeypatch.setenv("GATEWAY_FINISH_TIMEOUT_S", "0.2")

    with pytest.raises(TrackingError, match=r"0 of 2 runs are deleted: Kafka at .* cannot be reached"):
        delete(["a", "b"])
    assert vars(active)["_deleted"] == {}


def test_nothing_to_delete_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_URL", "nonsense")

    delete([])
