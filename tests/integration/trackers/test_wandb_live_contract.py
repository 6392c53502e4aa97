"""The live W&B tracker passes the contract suite, with the real SDK and a server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.trackers.protocol import Tracker
from consumers.trackers.testing.suite import TrackerContract
from consumers.trackers.wandb.live import sdk
from consumers.trackers.wandb.live.tracker import WandbLiveTracker
from schemas.runtime.settings import Settings
from tests.support.wandb_server import WandbServer, wandb_server

KEY = "0" * 40


@pytest.fixture(scope="module")
def server() -> Iterator[WandbServer]:
    with wandb_server() as one:
        yield one


class TestWandbLive(TrackerContract):
    @pytest.fixture(autouse=True)
    def _serve(self, server: WandbServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = server.url
        monkeypatch.setattr(sdk, "RETRY_WAIT_S", (0.05, 0.1))  # the SDK requests a deleted run several times

    def make_tracker(self, folder: Path) -> Tracker:
        return self.opened(self.url)

    def make_unavailable(self, folder: Path) -> Tracker:
        return self.opened("http://127.0.0.1:1")

    def opened(self, url: str) -> Tracker:
        tracker = WandbLiveTracker(url=url, api_key=KEY)
        tracker.open(Settings())
        return tracker
