"""Every kind of damage to a tracker or to PostgreSQL is noticed by `gateway verify`, and repaired where it can be."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from consumers.delivery.replay.replay import Replay, ReplayProgress, ReplayRequest
from consumers.delivery.replay.selection import RunSelection
from consumers.delivery.service import connected
from consumers.delivery.verify.repair import RepairResult, repair_differences
from consumers.delivery.verify.verify import VerifyResult, VerifyScope, verify
from consumers.materialiser.rebuild.rebuild import RebuildResult, rebuild
from schemas import events as ev
from schemas.runtime.settings import Settings
from tests.support import services
from tests.support.damage import (
    OWN_TAG,
    POSTGRES,
    TAG,
    TRACKERS,
    damage_postgres,
    edited_runs,
    incomplete_run,
    restore,
    whole_run,
)
from tests.support.delivery_process import Place, progress
from tests.support.log_author import Author, write
from tests.support.materialiser_process import materialiser, until_folded

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(1_800),  # the first test waits for `outcome`: a minute on a quiet machine
    pytest.mark.filterwarnings("ignore:The ``noload``:DeprecationWarning"),  # MLflow 3.17 and SQLAlchemy 2.1
]

KINDS = sorted({kind for damages in TRACKERS.values() for kind in damages})
OWN = {"experiment": OWN_TAG, "deleted experiment": "gone soon"}  # kinds that would harm other runs of the experiment
IN_POSTGRES = {kind: f"pg {kind}" for kind in POSTGRES}
CASES = [(tracker, kind) for tracker, damages in TRACKERS.items() for kind in (*damages, "restored")]
TABLES = {
    "chunks", "series", "params", "tags", "run_labels", "artifacts", "observations", "console_lines", "runs",
}  # fmt: skip
# A run in a deleted experiment waits until somebody restores that, and rows of others in a trackio project stay.
LEFT = {("mlflow", "deleted experiment"), ("trackio", "extra point")}


class Console:
    def notice(self, line: str) -> None:
        """Do nothing."""

    def progress(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class Outcome(NamedTuple):
    """What was found before, after the damage and after the repair."""

    whole: VerifyResult
    damaged: VerifyResult
    repaired: RepairResult
    after: VerifyResult
    store: VerifyResult
    rebuilt: RebuildResult


def found(result: VerifyResult, place: str, run_id: str) -> list[str]:
    return [str(one) for one in result.differences if (one.place, one.run_id) == (place, run_id)]


@pytest.fixture(scope="module")
def place(kafka: str, postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    topic = f"damage-{time.monotonic_ns()}"
    services.run(services.create_topic(kafka, topic, partitions=2))
    dsn = services.run(services.create_database(postgres_server))
    yield Place(kafka, topic, dsn, tmp_path_factory.mktemp("damage"))
    services.run(services.drop_database(postgres_server, dsn))


def settings_of(place: Place) -> Settings:
    folders: dict[str, Any] = {f"{name}_dir": str(place.folder / name) for name in TRACKERS if name != "mlflow"}
    return Settings(
        home=place.folder / "home", kafka=place.kafka, topic=place.topic, postgres=place.database,
        trackers=list(TRACKERS), mlflow_url=f"sqlite:///{place.folder}/mlflow/mlflow.db", **folders,
    )  # fmt: skip


async def repair(settings: Settings, verified: VerifyResult) -> RepairResult:
    return await repair_differences(settings, verified, asyncio.Event(), lambda *_: None, lambda _: None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcome(place: Place) -> AsyncIterator[Outcome]:
    settings, everything = settings_of(place), VerifyScope()
    runs = {run_id: whole_run(run_id, OWN.get(run_id, TAG)) for run_id in (*KINDS, "restored", "whole")}
    runs |= {run_id: whole_run(run_id) for run_id in IN_POSTGRES.values()}
    runs |= edited_runs() | {"incomplete": incomplete_run("incomplete")}
    envelopes = [one for run in runs.values() for one in run]
    deletions = [
        Author(run_id, "d").envelope(ev.Deleted(time=2_000_000_000_000_000, what="run"))
        for run_id in ("restored", IN_POSTGRES["restored"])
    ]
    with materialiser(place.folder, place.variables()):
        await write(place.kafka, place.topic, envelopes)
        await until_folded(place.database, place.topic, len(envelopes))
        await repair(settings, await verify(settings, everything))  # nothing was delivered yet: this delivers it
        whole = await verify(settings, everything)
        states = {tracker: await progress(place, tracker) for tracker in TRACKERS}
        for tracker in TRACKERS:
            shutil.copytree(place.folder / tracker, place.folder / f"old-{tracker}")
        await write(place.kafka, place.topic, deletions)
        await until_folded(place.database, place.topic, len(envelopes) + 2)
    for tracker, damages in TRACKERS.items():
        await deliver_rest(settings, tracker)
        folder = place.folder / tracker
        for kind, damage in damages.items():
            damage(folder, kind, states[tracker][kind].state)
        restore(tracker, folder, place.folder / f"old-{tracker}", "restored", states[tracker]["restored"].state)
    damaged = await verify(settings, everything)
    repaired = await repair(settings, damaged)
    after = await verify(settings, everything)
    await damage_postgres(place.database, IN_POSTGRES)
    store = await verify(settings, everything)
    rebuilt = await rebuild(settings, Console(), check=True, restart=False)
    yield Outcome(whole, damaged, repaired, after, store, rebuilt)


async def deliver_rest(settings: Settings, tracker: str) -> None:
    """Deliver what is left of the log, so that the tracker deletes what it deletes."""
    async with connected(settings, tracker, lambda _: None) as parts:
        request = ReplayRequest(RunSelection(everything=True))
        await Replay(parts, request, asyncio.Event(), ReplayProgress(), lambda _: None).run()


async def test_nothing_differs_before_the_damage_and_after_ordinary_edits(outcome: Outcome) -> None:
    assert list(map(str, outcome.whole.differences)) == []
    shown = {one.run_id for one in outcome.whole.losses if one.place == "mlflow" and "since, and still" in one.reason}
    assert shown == edited_runs().keys() - {"edited: parameter deleted, then set"}  # a tag has its new value


async def test_missing_sequence_numbers_are_not_proved(outcome: Outcome) -> None:
    assert [(one.what, one.run_id, one.amount) for one in outcome.whole.unproved] == [("records", "incomplete", 2)]
    assert not outcome.whole.is_proved


@pytest.mark.parametrize(("tracker", "kind"), CASES)
async def test_damage_to_a_tracker_is_noticed_and_repaired(outcome: Outcome, tracker: str, kind: str) -> None:
    assert found(outcome.damaged, tracker, kind) != []
    if kind == "restored" or (tracker, kind) in LEFT:
        assert [one for one in outcome.repaired.not_repaired if (one.tracker, one.run_id) == (tracker, kind)] or found(
            outcome.after, tracker, kind
        )
    else:
        assert found(outcome.after, tracker, kind) == []


@pytest.mark.parametrize("tracker", TRACKERS)
async def test_runs_without_damage_are_not_named(outcome: Outcome, tracker: str) -> None:
    assert found(outcome.damaged, tracker, "whole") == []
    others = {*KINDS} - {*TRACKERS[tracker], "whole"}
    assert {kind for kind in others if found(outcome.damaged, tracker, kind)} == set()


@pytest.mark.parametrize("kind", POSTGRES)
async def test_damage_to_postgresql_is_noticed(outcome: Outcome, kind: str) -> None:
    assert found(outcome.store, "parquet", IN_POSTGRES[kind]) != []


async def test_a_rebuild_notices_the_damage_in_every_table(outcome: Outcome) -> None:
    assert outcome.rebuilt.comparison is not None
    different = {name for name, counts in outcome.rebuilt.comparison.tables.items() if counts.different}
    assert different == TABLES
