"""The example plug-in, installed from its own wheel, passes the contract suite and gets history and live events."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.client_harness import ROOT
from tests.support.delivery_process import Place, Watch, delivery, until_caught_up
from tests.support.edge_case_runs import edge_case_envelopes, points_of
from tests.support.log_author import Author, write

EXAMPLE = ROOT / "examples" / "tracker-sqlite"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plug-in, installed from its wheel by pip."""
    wheels, folder = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", "--quiet", "--no-deps", "-w", str(wheels), str(EXAMPLE)], check=True, timeout=240)
    (wheel,) = wheels.glob("*.whl")
    install = [*pip, "install", "--quiet", "--no-deps", "--target", str(folder), str(wheel)]
    subprocess.run(install, check=True, timeout=240)
    return folder


@pytest.fixture
def paths(site: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}


def test_it_passes_the_contract_suite(site: Path, paths: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(EXAMPLE)]
    done = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'suite'}"],
        env={**os.environ, **paths}, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout


async def test_it_gets_history_and_live_events(paths: dict[str, str], place: Place, tmp_path: Path) -> None:
    file, defined = tmp_path / "runs.sqlite", tmp_path / "trackers.yaml"
    defined.write_text(f"notebook:\n  type: sqlite\n  config: {{file: {file}}}\n")
    history, live = edge_case_envelopes("before"), Author("now")
    await write(place.kafka, place.topic, history)

    with delivery(place, "notebook", paths | {"GATEWAY_TRACKERS_FILE": str(defined)}) as running:
        await until_caught_up(place, running, "notebook")
        emitted = [live.start(), live.metrics("loss", [3.0, 2.0, 1.0]), live.finish()]
        await write(place.kafka, place.topic, emitted)
        async with Watch(place, "notebook") as watch:
            await watch.until(watch.is_caught_up, running, "the live events are delivered")

    found = await asyncio.to_thread(counts, file)
    assert found == {"before": len(points_of(history)), "now": 3}


def counts(file: Path) -> dict[str, int]:
    with closing(sqlite3.connect(file)) as connection:
        return dict(connection.execute("SELECT run_id, count(*) FROM points GROUP BY run_id"))
