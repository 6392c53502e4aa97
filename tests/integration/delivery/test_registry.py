"""Experiments and models in the log next to runs: trackers get the runs, and what they do not get is said."""

from __future__ import annotations

from gateway.local.ports import free_ports
from schemas import events as ev
from schemas.subjects import Subject
from schemas.wire import Envelope, ProducerId, RegistryEnvelope
from tests.support.delivery_process import Place, delivery, until_caught_up
from tests.support.log_author import START, Author, write
from tests.support.materialiser_process import materialiser, until_folded
from tests.support.probe_client import metrics
from tests.support.verify_command import gateway, verify


async def test_a_delivery_passes_over_experiments_and_models_and_says_so_once(place: Place) -> None:
    author = Author("run")
    about: list[tuple[Subject, ev.RegistryEvent]] = [
        (Subject("experiments", "1"), ev.ExperimentCreated(time=START, name="digits")),
        (Subject("experiments", "1"), ev.ExperimentDeleted(time=START)),
        (Subject("models", "m"), ev.ModelRegistered(time=START)),
        (Subject("logged_models", "m-1"), ev.LoggedModelCreated(time=START, experiment_id="1", name="digits")),
    ]
    asked = [
        RegistryEnvelope(subject, ProducerId(f"p{number}"), 0, START, event)
        for number, (subject, event) in enumerate(about)
    ]
    mixed: list[Envelope | RegistryEnvelope] = [author.start(), *asked, author.metrics("loss", [0.5]), author.finish()]
    await write(place.kafka, place.topic, mixed)
    with materialiser(place.folder, place.variables()):
        await until_folded(place.database, place.topic, len(mixed))
    (port,) = free_ports(1)
    folder = {"GATEWAY_PARQUET_DIR": str(place.folder / "parquet")}
    with delivery(place, "parquet", {**folder, "GATEWAY_METRICS_PORT": str(port)}) as running:
        await until_caught_up(place, running, "parquet")
        found = metrics(port)
        log = running.log.read_text(encoding="utf-8")

    passed = {key: value for key, value in found.items() if "passed_over_total" in key}
    assert sorted(passed.values()) == [1.0, 1.0, 2.0]
    assert log.count("are passed over: a tracker gets runs") == 3  # once for each kind
    assert "ERROR" not in log
    proved = await verify(place, "--to", "parquet", variables=folder)
    people = await gateway(place, "verify", "--to", "parquet", variables=folder)
    assert (proved.status, proved.facts["not_delivered"]) == (
        0,
        {"experiments": 1, "models": 1, "logged_models": 1},
    )
    assert "Not delivered, because trackers get runs: 1 experiments, 1 models, 1 logged models." in people.out
