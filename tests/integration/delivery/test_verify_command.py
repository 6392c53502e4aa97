"""`gateway verify` for people and for programs: what it lists, what it fails for, how it ends."""

from __future__ import annotations

import asyncio
import signal
import uuid
from pathlib import Path

import pytest

from schemas import events as ev
from schemas.values import StringValue
from tests.support.delivery_process import Place, delivery, until_caught_up
from tests.support.edge_case_runs import edge_case_envelopes
from tests.support.log_author import Author, write
from tests.support.materialiser_process import materialiser, until_folded
from tests.support.mlflow_service import MlflowServer
from tests.support.verify_command import gateway, start_command, verify


@pytest.fixture
def place(kafka: str, topic: str, database: str, tmp_path: Path, mlflow_server: MlflowServer) -> Place:
    return Place(kafka, topic, database, tmp_path, mlflow_server.url)


async def deliver(place: Place, tracker: str) -> None:
    with delivery(place, tracker) as running:
        await until_caught_up(place, running, tracker)


@pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning")  # MLflow 3.17 and SQLAlchemy 2.1
async def test_what_mlflow_cannot_hold_is_listed_by_run_and_is_no_difference(place: Place, mlflow_address: str) -> None:
    place = place._replace(mlflow_url=mlflow_address)
    # Of their own: the server and PostgreSQL are shared, and another test's run of the same id has other artifacts.
    odd, cut = f"odd-{uuid.uuid4().hex}", f"cut-{uuid.uuid4().hex}"
    author = Author(cut)
    long = author.envelope(ev.Params(time=author.now(), params={"text": StringValue(value="x" * 20_000)}))
    envelopes = [*edge_case_envelopes(odd), author.start(), long, author.finish()]
    await write(place.kafka, place.topic, envelopes)
    with materialiser(place.folder, place.variables()):
        await until_folded(place.database, place.topic, len(envelopes))
    await deliver(place, "mlflow")

    result = await verify(place, "--to", "mlflow")
    people = await gateway(place, "verify", "--to", "mlflow")

    facts = result.facts
    assert (result.status, facts["equal"], facts["differences"]) == (0, True, []), result.out
    losses = {(one["run_id"], one["what"], one["name"], one["reason"]) for one in facts["losses"]}
    assert (cut, "params", "text", "cut at 6,000 characters") in losses
    assert (odd, "tags", "a//b", "cut at 8,000 characters") in losses
    assert any(run == odd and what == "shown" and "Infinity" in reason for run, what, _, reason in losses)
    mlflow = facts["trackers"]["mlflow"]
    assert (mlflow["runs"], mlflow["different"]) == (2, 0)
    assert (people.status, "Every place holds the same." in people.out) == (0, True)
    assert "mlflow cannot hold (not counted as a difference):" in people.out


async def test_differences_are_grouped_by_run_with_a_limit_and_all_on_demand(place: Place) -> None:
    envelopes = []
    for number in range(25):
        author = Author(f"run-{number:02}")
        envelopes += [author.start(), *(author.metrics(f"m{index}", [1.0]) for index in range(7))]
    await write(place.kafka, place.topic, envelopes)
    with materialiser(place.folder, place.variables()):
        await until_folded(place.database, place.topic, len(envelopes))
        await deliver(place, "wandb")
        for file in (place.folder / "wandb").glob("*/*.wandb"):
            file.unlink()

        short = await gateway(place, "verify", "--to", "wandb")
        whole = await gateway(place, "verify", "--to", "wandb", "--all-differences")

    assert (short.status, whole.status) == (1, 1)
    assert "25 differences in 25 runs:" in short.out
    assert "... and 5 more runs: see all with --all-differences or --json" in short.out
    assert "run run-24" in whole.out


async def test_a_deleted_run_that_a_tracker_still_shows_is_a_difference(place: Place) -> None:
    author = Author("gone")
    first = [author.start(), author.metrics("loss", [1.0])]
    await write(place.kafka, place.topic, first)
    with materialiser(place.folder, place.variables()):
        await until_folded(place.database, place.topic, len(first))
        await deliver(place, "wandb")
        await write(place.kafka, place.topic, [author.envelope(ev.Deleted(time=author.now(), what="run"))])
        await until_folded(place.database, place.topic, len(first) + 1)
        still = await verify(place, "--to", "wandb")
        repaired = await verify(place, "--to", "wandb", "--repair")
        await deliver(place, "wandb")
        gone = await verify(place, "--to", "wandb", "--run", "gone")

    (difference,) = still.facts["differences"]
    assert (difference["run_id"], difference["expected"], difference["found"]) == ("gone", "deleted", "there")
    assert repaired.status == 1
    assert "remove it from the tracker" in repaired.facts["repaired"]["left"][0]["reason"]
    assert (gone.status, gone.facts["differences"]) == (0, [])


async def test_ctrl_c_ends_it_at_once_with_one_line(place: Place) -> None:
    await write(place.kafka, place.topic, [Author("never folded").start()])
    process = start_command(place, "verify", "--to", "wandb", "--wait", "100")
    try:
        while not _is_waiting(process.pid):
            assert process.poll() is None
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(process.communicate, timeout=150)
    finally:
        process.kill()
        process.wait()

    assert (process.returncode, out, err.splitlines()[-1]) == (130, "", "gateway: stopped: nothing was changed")


def _is_waiting(pid: int) -> bool:
    """Tell whether asyncio has installed the signal handlers of the process: SIGTERM is set in SigCgt."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


async def test_help_lists_the_exit_statuses_and_a_wrong_name_is_one_line(place: Place) -> None:
    helped = await gateway(place, "verify", "--help")
    wrong = await gateway(place, "verify", "--to", "nowhere")

    assert all(
        words in " ".join(helped.out.split())
        for words in ("0 it is proved", "1 they differ", "3 nothing differs", "130")
    )
    assert (wrong.status, wrong.out, len(wrong.err.splitlines())) == (2, "", 1)
    assert "there is no tracker 'nowhere'" in wrong.err
