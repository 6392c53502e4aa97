"""Addresses of runs in trackers."""

from __future__ import annotations

import pytest

from consumers.live.api.content.tracker_pages import page_of

MLFLOW = {"run": "abc", "artifacts": "mlflow-artifacts:/7/abc/artifacts"}
WANDB = {"entity": "e", "project": "p q", "id": "i"}


@pytest.mark.parametrize(
    ("tracker", "server", "state", "url"),
    [
        ("mlflow", "http://user:secret@h:5000/x/", MLFLOW, "http://h:5000/x/#/experiments/7/runs/abc"),
        ("mlflow", "https://[::1]", {"run": "a/b"}, "https://[::1]/#/experiments/0/runs/a%2Fb"),
        ("mlflow", "sqlite:///mlflow.db", MLFLOW, ""),
        ("mlflow", "http://h:notaport", MLFLOW, ""),
        ("mlflow", "http://h", {}, ""),
        ("wandb-live", "https://api.wandb.ai", WANDB, "https://wandb.ai/e/p%20q/runs/i"),
        ("wandb-live", "https://wandb.example.org", WANDB, "https://wandb.example.org/e/p%20q/runs/i"),
        ("wandb-live", "https://api.wandb.ai", WANDB | {"entity": ""}, ""),
        ("other", "", WANDB, ""),
    ],
)
def test_the_page_of_a_run_is_known_for_servers_and_shows_no_password(
    tracker: str, server: str, state: dict[str, str], url: str
) -> None:
    assert page_of(tracker, server, state) == url
