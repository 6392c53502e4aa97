"""A real MLflow server that requires user and password, or a token, and the outputs that must not show them."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from consumers.trackers.mlflow.tracker import MlflowTracker
from schemas.errors import BadSettings, TrackerUnavailable
from schemas.runtime.settings import Settings
from tests.support.delivery_process import Place, Watch, delivery, progress
from tests.support.edge_case_runs import edge_case_envelopes, facts_of, mlflow_points_of
from tests.support.gateway_command import gateway_with
from tests.support.log_author import write
from tests.support.mlflow_service import PASSWORD, TOKEN, USER, AuthenticatedServer

NAMES = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
WRONG = "not-the-s3cret"


@pytest.fixture(scope="module")
def server(session_folder: Path) -> Iterator[AuthenticatedServer]:
    folder = session_folder / f"signed-{uuid.uuid4().hex}"
    folder.mkdir()
    running = AuthenticatedServer(folder)
    running.start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run_id() -> str:
    return f"signed-{uuid.uuid4().hex}"


def opened(url: str) -> MlflowTracker:
    tracker = MlflowTracker(url=url)
    tracker.open(Settings())
    return tracker


def with_password(url: str, password: str) -> str:
    return url.replace("://", f"://{USER}:{quote(password, safe='')}@")


@pytest.mark.parametrize("how", ["in the address", "in the environment", "password in the environment"])
def test_user_and_password(server: AuthenticatedServer, monkeypatch: pytest.MonkeyPatch, run_id: str, how: str) -> None:
    url = with_password(server.url, PASSWORD)
    if how != "in the address":
        url = server.url if how == "in the environment" else server.url.replace("://", f"://{USER}@")
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    envelopes = edge_case_envelopes(run_id)
    tracker = opened(url)

    state = tracker.deliver(run_id, envelopes, {})

    run = tracker.read_back(run_id, state)
    assert facts_of(run_id, run.points, len(run.params)) == facts_of(run_id, mlflow_points_of(envelopes), 3)
    assert "gw.artifacts_refused" not in tracker._opened_backend().get_run(state["run"]).tags


def test_a_token(server: AuthenticatedServer, monkeypatch: pytest.MonkeyPatch, run_id: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    envelopes = [
        one for one in edge_case_envelopes(run_id) if one.event.kind != "values"
    ]  # that server checks access to artifacts separately
    tracker = opened(server.url)

    state = tracker.deliver(run_id, envelopes, {})

    run = tracker.read_back(run_id, state)
    assert facts_of(run_id, run.points, len(run.params)) == facts_of(run_id, mlflow_points_of(envelopes), 3)


@pytest.mark.parametrize("password", [None, WRONG])
def test_a_refused_sign_in_names_the_next_step(
    server: AuthenticatedServer, run_id: str, password: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = server.url if password is None else with_password(server.url, password)

    with pytest.raises(TrackerUnavailable, match="MLFLOW_TRACKING_USERNAME") as raised:
        opened(url).deliver(run_id, edge_case_envelopes(run_id), {})

    assert WRONG not in str(raised.value) + caplog.text


@pytest.mark.parametrize("url", [f"http://u:{WRONG}/x@host", f"http://u:{WRONG}#@host", f"http://u:{WRONG}", "http://"])
def test_an_address_that_cannot_be_read_is_not_shown(url: str) -> None:
    with pytest.raises(BadSettings, match="%2F for /") as raised:
        opened(url)

    assert WRONG not in str(raised.value)


async def test_a_wrong_password_waits_and_is_printed_nowhere(
    server: AuthenticatedServer, kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    place = Place(kafka, topic, database, tmp_path, with_password(server.url, WRONG))
    await write(kafka, topic, edge_case_envelopes("locked out"))
    async with Watch(place, "mlflow") as watch:
        with delivery(place, "mlflow") as running:

            async def is_reported() -> bool:
                found = (await progress(place, "mlflow")).values()
                return any("MLFLOW_TRACKING_PASSWORD" in run.error for run in found)

            await watch.until(is_reported, running, "a reason")
            statuses = {run.status for run in (await progress(place, "mlflow")).values()}
            printed = gateway_with(place.variables(), "trackers", "show", "mlflow", "--json")

    assert "parked" not in statuses
    assert "MLFLOW_TRACKING_PASSWORD" in printed.stdout
    assert WRONG not in printed.stdout + printed.stderr + running.text()
