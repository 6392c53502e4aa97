"""The store plug-ins of MLflow, without a door."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import pytest
from mlflow.exceptions import MlflowException, MlflowNotImplementedException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking import MlflowClient
from mlflow.tracking._tracking_service.utils import _get_store

from gateway.dialects.mlflow.address import door_url
from gateway.dialects.mlflow.artifact_repository import DoorArtifactRepository
from gateway.dialects.mlflow.registry import RegistryStore
from gateway.dialects.mlflow.server_artifacts import keep_artifacts_in_the_door
from gateway.dialects.mlflow.tracking import TrackingStore
from gateway.dialects.mlflow.unsupported import refusing


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("gateway://127.0.0.1:5001", "http://127.0.0.1:5001"),
        ("gateways://door.example.com/", "https://door.example.com"),
        ("gateway://[::1]:5001/below/", "http://[::1]:5001/below"),
    ],
)
def test_the_address_of_a_door(uri: str, url: str) -> None:
    assert door_url(uri) == url


@pytest.mark.parametrize(
    "uri",
    ["", "gateway:", "gateway:127.0.0.1", "gateway://", "gateway://h:x", "gateway://u:secret@h", "gateway://h?a=b"],
)
def test_an_address_that_is_not_one_is_refused_with_the_form_and_without_its_text(uri: str) -> None:
    with pytest.raises(MlflowException, match="gateway://host:port") as refused:
        door_url(uri)
    assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    assert "secret" not in str(refused.value)


def test_mlflow_finds_the_stores_by_their_scheme() -> None:
    groups = ("mlflow.tracking_store", "mlflow.model_registry_store", "mlflow.artifact_repository")
    ours = {(group, one.name) for group in groups for one in entry_points(group=group) if "gateway" in one.value}
    assert ours == {(group, name) for group in groups[:2] for name in ("gateway", "gateways")} | {
        (groups[2], "mlflow-artifacts")
    }
    assert isinstance(_get_store("gateway://127.0.0.1:5001"), TrackingStore)
    assert isinstance(MlflowClient("gateway://127.0.0.1:5001")._get_registry_client().store, RegistryStore)


def test_the_stores_ask_below_the_prefix_that_is_never_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hunter2")
    for store in (TrackingStore("gateways://door:1", "mlflow-artifacts:/"), RegistryStore("gateways://door:1")):
        found = store.get_host_creds()
        assert (found.host, found.token) == ("https://door:1/store", "hunter2")


def test_artifacts_of_a_client_with_such_a_tracking_uri() -> None:
    uri = "mlflow-artifacts:/0/abc/artifacts"
    found = get_artifact_repository(uri, tracking_uri="gateway://127.0.0.1:5001")
    assert isinstance(found, DoorArtifactRepository)
    assert found.artifact_uri == "http://127.0.0.1:5001/store/api/2.0/mlflow-artifacts/artifacts/0/abc/artifacts"
    elsewhere = get_artifact_repository(uri, tracking_uri="http://mlflow:5000")
    assert elsewhere.artifact_uri == "http://mlflow:5000/api/2.0/mlflow-artifacts/artifacts/0/abc/artifacts"


@pytest.mark.parametrize(
    ("store", "given", "expected"),
    [
        ("gateway://h:1", "./mlartifacts", "http://h:1/store/api/2.0/mlflow-artifacts/artifacts"),
        ("gateway://h:1", "s3://bucket", "s3://bucket"),
        ("sqlite:///mlflow.db", "./mlartifacts", "./mlartifacts"),
    ],
)
def test_a_server_keeps_no_artifacts_of_its_own(store: str, given: str, expected: str) -> None:
    variables = {"_MLFLOW_SERVER_FILE_STORE": store, "_MLFLOW_SERVER_ARTIFACT_DESTINATION": given}
    keep_artifacts_in_the_door(variables)
    assert variables["_MLFLOW_SERVER_ARTIFACT_DESTINATION"] == expected
    no_server: dict[str, str] = {}
    keep_artifacts_in_the_door(no_server)
    assert no_server == {}


def test_what_a_store_does_not_implement_is_refused_with_501() -> None:
    store: Any = TrackingStore("gateway://127.0.0.1:1")
    with pytest.raises(MlflowNotImplementedException, match="find_completed_sessions") as refused:
        store.find_completed_sessions("0", 0, 1)
    assert refused.value.get_http_status_code() == 501


def test_other_methods_stay_as_they_are() -> None:
    class Base:
        limit = 3

        @staticmethod
        def fixed() -> int:
            return 1

        @classmethod
        def made(cls) -> type:
            return cls

        def _works(self, two: int) -> int:
            return two

    @refusing
    class Store(Base):
        def own(self) -> None:
            raise NotImplementedError

    assert (Store.limit, Store.fixed(), Store.made(), Store()._works(two=2)) == (3, 1, Store, 2)
    with pytest.raises(NotImplementedError):
        Store().own()
