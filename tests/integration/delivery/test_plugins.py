"""Third-party trackers, installed as a distribution: found, refused, broken, and harmless to others."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.delivery.plugins.loader import load_tracker
from schemas.errors import BadSettings
from tests.support.delivery_process import Delivery, Place, Watch, delivery, progress, until_caught_up
from tests.support.log_author import Author, write
from tests.support.machine import allowed

MODULE = """
from time import sleep

class Good:
    name = "good"
    cannot_hold = ()
    def open(self, settings): pass
    def close(self): pass
    def read_back(self, run_id, state): raise NotImplementedError
    def deliver(self, run_id, envelopes, state):
        return {"seen": state.get("seen", 0) + len(envelopes)}

class Raising(Good):
    def deliver(self, run_id, envelopes, state):
        if run_id == "bad":
            raise ZeroDivisionError("of this run only")
        return super().deliver(run_id, envelopes, state)

class Garbage(Good):
    def deliver(self, run_id, envelopes, state):
        return {"seen": object()} if run_id == "bad" else super().deliver(run_id, envelopes, state)

class Hanging(Good):
    def deliver(self, run_id, envelopes, state):
        if run_id == "bad":
            sleep(1_000)
        return super().deliver(run_id, envelopes, state)

class NoTracker:
    pass
"""
ENTRY_POINTS = """[gateway.trackers]
good = third_party:Good
raising = third_party:Raising
garbage = third_party:Garbage
hanging = third_party:Hanging
missing = third_party_without_vendor:Tracker
no-tracker = third_party:NoTracker
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder as pip would fill it."""
    folder = tmp_path / "site"
    info = folder / "third_party-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "third_party.py").write_text(MODULE)
    (folder / "third_party_without_vendor.py").write_text("import a_vendor_that_is_not_installed\n")
    return folder


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(site)
    yield site
    for name in ("third_party", "third_party_without_vendor"):
        sys.modules.pop(name, None)


def with_site(site: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(site), str(Path(__file__).parents[3])])}


def test_a_third_party_tracker_is_found_by_name(installed: Path) -> None:
    assert load_tracker("good").name == "good"


def test_an_unknown_name_lists_the_known_ones(installed: Path) -> None:
    with pytest.raises(BadSettings, match=r"there is no tracker 'godo': choose one of garbage, good, .*mlflow"):
        load_tracker("godo")


def test_a_failed_import_names_entry_point_distribution_and_cause(installed: Path) -> None:
    origin = "missing = third_party_without_vendor:Tracker of third-party"
    with pytest.raises(BadSettings, match=rf"{origin}: ModuleNotFoundError: .*a_vendor_that_is_not_inst"):
        load_tracker("missing")


def test_a_class_that_is_no_tracker_is_refused_with_what_it_lacks(installed: Path) -> None:
    with pytest.raises(BadSettings, match="has no deliver, read_back, open, close"):
        load_tracker("no-tracker")


def test_nothing_is_the_tracker_that_does_nothing() -> None:
    assert load_tracker("nothing").deliver("run-1", [], {"a": 1}) == {"a": 1}


def test_a_delivery_whose_tracker_cannot_be_loaded_ends_with_the_reason_for_good(site: Path, place: Place) -> None:
    running = Delivery(place, "missing", with_site(site))

    assert running.process.wait(150) == 78
    assert running.text().splitlines()[-1].startswith("gateway: delivery missing: tracker 'missing' cannot be loaded")


@pytest.mark.parametrize("tracker", ["raising", "garbage"])
async def test_a_run_that_breaks_a_plug_in_is_parked_and_the_others_continue(
    site: Path, place: Place, tracker: str
) -> None:
    good, bad = Author("good"), Author("bad")
    envelopes = [author.metrics("loss", [1.0]) for author in (good, bad) for _ in range(5)]
    await write(place.kafka, place.topic, envelopes)

    with delivery(place, tracker, with_site(site)) as running:
        await until_caught_up(place, running, tracker)

    kept = await progress(place, tracker)
    assert (kept["good"].status, kept["good"].state) == ("delivering", {"seen": 5})
    assert kept["bad"].status == "parked"
    assert kept["bad"].error.startswith("the tracker raised ")


async def test_a_run_that_hangs_delays_no_other_and_no_stop(site: Path, place: Place) -> None:
    good, bad = Author("good"), Author("bad")
    await write(place.kafka, place.topic, [bad.metrics("loss", [1.0])])
    with delivery(place, "hanging", with_site(site)) as running:
        await write(place.kafka, place.topic, [good.metrics("loss", [float(i)]) for i in range(5)])
        async with Watch(place, "hanging") as watch:

            async def all_of_good() -> bool:
                return await watch.records() == 5

            await watch.until(all_of_good, running, "the run that does not hang")
        started = time.monotonic()

        assert running.kill(signal.SIGTERM) == 0
        assert time.monotonic() - started < allowed(5.0)
