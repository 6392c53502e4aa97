"""Plug-ins that do everything wrong: each is reported with its cause and next step, and delays no other tracker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from consumers.delivery.service import connected, serve
from consumers.telemetry.instruments import DeliveryWatch
from gateway.local.stack import Stack
from schemas.errors import BadSettings, StackError
from schemas.runtime.settings import Settings
from tests.support import faulty_plugins
from tests.support.delivery_process import Place, progress
from tests.support.gateway_command import gateway_with
from tests.support.log_author import Author, write
from tests.support.process_tree import processes_of, until
from tests.support.server_data import fill_home

RUNS, BATCHES = ("run-1", "run-2"), 5
IN_STACK = ("good", "prints", "raises", "no-import", "dies-in-import", "hangs-in-import", "hangs", "dies")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    faulty_plugins.install(folder, faulty_plugins.sources())
    return folder


@pytest.fixture
def place(kafka: str, topic: str, database: str, tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place where faulty plug-ins are installed."""
    monkeypatch.syspath_prepend(site)
    (tmp_path / "written").mkdir()
    monkeypatch.setenv(faulty_plugins.FOLDER, str(tmp_path / "written"))
    return Place(kafka, topic, database, tmp_path)


async def deliver(place: Place, name: str, runs: int) -> None:
    """Run the delivery of one tracker in this process until `runs` runs have an error."""
    settings = Settings(kafka=place.kafka, topic=place.topic, postgres=place.database)
    stopping = asyncio.Event()
    async with connected(settings, name, print) as services:
        serving = asyncio.create_task(serve(services, stopping, lambda: None, lambda _: None, DeliveryWatch(name)))
        async with asyncio.timeout(90):
            while not serving.done():
                failed = [one for one in (await services.deliveries.load()).values() if one.error]
                if len(failed) == runs:
                    break
                await asyncio.sleep(0.02)
        stopping.set()
        await serving


@pytest.mark.parametrize("name", faulty_plugins.DELIVER)
async def test_what_a_call_does_wrong_is_the_reason_of_its_run(place: Place, name: str) -> None:
    errors = faulty_plugins.DELIVER[name][1]
    await write(place.kafka, place.topic, [Author(run).metrics("loss", [1.0]) for run in RUNS])
    await deliver(place, name, len(RUNS))

    kept = await progress(place, name)
    status = "waiting" if errors == "away" else "parked"
    assert {run: (one.status, one.error.startswith(errors)) for run, one in kept.items()} == dict.fromkeys(
        RUNS, (status, True)
    ), kept


@pytest.mark.parametrize("name", faulty_plugins.LOAD)
async def test_a_plug_in_that_is_not_a_tracker_is_refused_in_one_line(place: Place, name: str) -> None:
    with pytest.raises(BadSettings) as refused:
        await deliver(place, name, 1)

    assert f"tracker {name!r}" in str(refused.value)
    assert faulty_plugins.LOAD[name][1] in str(refused.value)


@pytest.mark.parametrize("name", ["prints", "dies-in-import", "hangs-in-import", "exits-in-import"])
async def test_facts_about_a_tracker_do_not_depend_on_its_code(
    place: Place, site: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = place.variables() | faulty_plugins.variables(site, place.folder / "written")
    shown = await asyncio.to_thread(gateway_with, given, "trackers", "show", name, "--json")
    found = json.loads(shown.stdout)

    assert (shown.returncode, found["tracker"], found["cannot_hold"]) == (0, name, [] if name == "prints" else None)


@pytest.fixture
def stack(session_folder: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A whole stack, with MLflow, that delivers to all faulty plug-ins at once."""
    trackers = tmp_path / "trackers.yaml"
    trackers.write_text("hangs: {type: hangs, call_s: 2}\nhangs-in-import: {type: hangs-in-import, call_s: 2}\n")
    (tmp_path / "written").mkdir()
    given = {"GATEWAY_TRACKERS": json.dumps(IN_STACK), "GATEWAY_TRACKERS_FILE": str(trackers)}
    for variable, value in (given | faulty_plugins.variables(site, tmp_path / "written")).items():
        monkeypatch.setenv(variable, value)
    one = Stack(session_folder / "faulty_plugins")
    fill_home(one.home.folder)
    try:
        with suppress(StackError):  # some never get ready; the others do, however long that takes here
            one.up(timeout_s=1)
        until(lambda: is_ready(one, "delivery-good"), "the stack delivers to the good one")
        yield one
    finally:
        one.down()
    assert processes_of(one.home.folder) == []


def is_ready(stack: Stack, service: str) -> bool:
    found = stack.status()["services"].get(service)
    return found is not None and found["state"] == "ready"


def lines_of(folder: Path, tracker: str) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.glob(f"{tracker}-*"))


def test_each_is_named_in_the_status_while_another_tracker_receives_everything(stack: Stack, tmp_path: Path) -> None:
    home = stack.home.folder

    def status(*arguments: str) -> str:
        done = gateway_with({}, "status", "--home", str(home), *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def facts() -> dict[str, str]:
        """Return what is reported of each tracker: of its process, and of its deliveries."""
        found: Any = json.loads(status("--json"))
        errors = {name: found["services"][f"delivery-{name}"]["error"] for name in IN_STACK}
        for one in found["deliveries"] or []:
            if one["tracker"] in errors:
                errors[one["tracker"]] += " " + one["last_error"]
        return errors

    bootstrap, topic = stack.addresses().kafka, "tracking.events"
    asyncio.run(write(bootstrap, topic, [a.metrics("x", [1.0]) for a in map(Author, RUNS) for _ in range(BATCHES)]))
    written = tmp_path / "written"
    until(lambda: lines_of(written, "good") == len(RUNS) * BATCHES, "the good one has everything")
    until(lambda: lines_of(written, "prints") == len(RUNS) * BATCHES, "the loud one too")
    wanted = {
        "raises": faulty_plugins.DELIVER["raises"][1],
        "no-import": faulty_plugins.LOAD["no-import"][1],
        **{name: errors for name, (_, errors) in faulty_plugins.END.items() if name in IN_STACK},
    }
    missing = dict(wanted)

    def is_reported() -> bool:
        for name, text in facts().items():
            if name in missing and missing[name] in text:
                del missing[name]
        return not missing

    until(is_reported, f"each is named: {missing}")
    for name in wanted:
        assert name in status()
    errors = facts()
    assert (errors["good"], errors["prints"].strip()) == (" ", "")
