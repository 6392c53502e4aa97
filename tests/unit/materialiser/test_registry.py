"""Experiments and models: the order of the log decides names and versions, whatever is asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.materialiser.registry.fold import fold_request
from consumers.materialiser.registry.state import RegistryState, wanted_by
from consumers.materialiser.registry.verdict import MAX_TAGS
from consumers.store.registry.rows import DecisionRow
from schemas import events as ev
from schemas.subjects import Subject
from schemas.wire import ProducerId, RegistryEnvelope

TIME = 1_700_000_000_000_000  # µs


class Registry:
    """A state and the requests that it was asked, in the order of a log."""

    def __init__(self) -> None:
        self.state = RegistryState()
        self.offset = 0

    def experiment(self, experiment_id: str, event: ev.ExperimentEvent) -> DecisionRow:
        return self._ask(Subject("experiments", experiment_id), event)

    def model(self, name: str, event: ev.ModelEvent) -> DecisionRow:
        return self._ask(Subject("models", name), event)

    def logged_model(self, model_id: str, event: ev.LoggedModelEvent) -> DecisionRow:
        return self._ask(Subject("logged_models", model_id), event)

    def _ask(self, subject: Subject, event: ev.RegistryEvent) -> DecisionRow:
        self.offset += 1
        assert fold_request(
            self.state, RegistryEnvelope(subject, ProducerId("p"), self.offset, TIME, event), self.offset
        )
        return self.state.changes.decisions[-1]


@pytest.fixture
def registry() -> Registry:
    return Registry()


def at(**fields: Any) -> dict[str, Any]:
    return {"time": TIME, **fields}


def test_the_first_request_for_a_name_gets_it_and_the_second_learns_whose_it_is(registry: Registry) -> None:
    first = registry.experiment("1", ev.ExperimentCreated(**at(name="digits")))
    second = registry.experiment("2", ev.ExperimentCreated(**at(name="digits")))

    assert (first.outcome, first.result["experiment_id"]) == ("done", "1")
    assert (second.outcome, second.result) == ("exists", {"experiment_id": "1", "name": "digits", "deleted": False})
    assert second.reason == "experiment 'digits' exists"
    assert list(registry.state.experiments) == ["1"]


def test_a_deleted_experiment_keeps_its_name_and_can_be_restored(registry: Registry) -> None:
    registry.experiment("1", ev.ExperimentCreated(**at(name="digits")))
    registry.experiment("1", ev.ExperimentDeleted(**at()))

    outcomes = [
        registry.experiment("2", ev.ExperimentCreated(**at(name="digits"))).outcome,
        registry.experiment("1", ev.ExperimentDescribed(**at(description="x"))).outcome,
        registry.experiment("1", ev.ExperimentDeleted(**at())).outcome,
        registry.experiment("1", ev.ExperimentRestored(**at())).outcome,
        registry.experiment("1", ev.ExperimentRestored(**at())).outcome,
        registry.experiment("1", ev.ExperimentDescribed(**at(description="x"))).outcome,
    ]

    assert outcomes == ["exists", "deleted", "deleted", "done", "active", "done"]


def test_a_name_that_was_given_up_is_free(registry: Registry) -> None:
    registry.experiment("1", ev.ExperimentCreated(**at(name="digits")))
    assert registry.experiment("1", ev.ExperimentRenamed(**at(name="letters"))).outcome == "done"
    assert registry.experiment("2", ev.ExperimentCreated(**at(name="digits"))).outcome == "done"
    assert registry.experiment("2", ev.ExperimentRenamed(**at(name="letters"))).outcome == "exists"
    assert registry.experiment("1", ev.ExperimentRenamed(**at(name="letters"))).outcome == "done"  # its own


def test_a_name_means_who_has_it_or_else_who_had_it_last(registry: Registry) -> None:
    registry.experiment("1", ev.ExperimentCreated(**at(name="a")))
    registry.experiment("1", ev.ExperimentRenamed(**at(name="b")))
    assert registry.state.changes.names == {"a": "1", "b": "1"}  # no other has it
    registry.experiment("2", ev.ExperimentCreated(**at(name="a")))
    assert registry.state.changes.names == {"a": "2", "b": "1"}
    registry.experiment("2", ev.ExperimentRenamed(**at(name="c")))
    assert registry.state.changes.names == {"a": "2", "b": "1", "c": "2"}  # "2" had it last
    registry.experiment("1", ev.ExperimentRenamed(**at(name="a")))
    assert registry.state.changes.names == {"a": "1", "b": "1", "c": "2"}


def test_tags_are_set_and_removed(registry: Registry) -> None:
    registry.experiment("1", ev.ExperimentCreated(**at(name="digits", tags={"a": "1", "b": "2"})))
    registry.experiment("1", ev.ExperimentTags(**at(tags={"a": None, "b": "3", "c": "4", "d": None})))
    assert registry.state.experiments["1"].tags == {"b": "3", "c": "4"}


def test_tags_that_grew_beyond_their_limit_are_refused_and_can_be_made_fewer(registry: Registry) -> None:
    long = "x" * (MAX_TAGS // 2)
    registry.experiment("1", ev.ExperimentCreated(**at(name="digits")))
    registry.model("digits", ev.ModelVersionCreated(**at(source="s", register_model=True)))

    def tag(**tags: str | None) -> list[DecisionRow]:
        return [
            registry.experiment("1", ev.ExperimentTags(**at(tags=tags))),
            registry.model("digits", ev.ModelTags(**at(tags=tags))),
            registry.model("digits", ev.ModelVersionTags(**at(version=1, tags=tags))),
        ]

    outcomes = [[one.outcome for one in tag(**tags)] for tags in ({"a": long}, {"b": long}, {"a": None}, {"b": long})]
    assert outcomes == [["done"] * 3, ["too_large"] * 3, ["done"] * 3, ["done"] * 3]
    assert [one.reason for one in tag(c=long)] == [
        f"the tags of {what} would have more than 4,000,000 characters"
        for what in ("experiment 'digits'", "model 'digits'", "version 1 of model 'digits'")
    ]
    registry.state.experiments["1"].tags = {"a": long, "b": long, "c": long}  # given when it was created
    more, fewer = (registry.experiment("1", ev.ExperimentTags(**at(tags=one))) for one in ({"d": ""}, {"c": None}))
    assert (more.outcome, fewer.outcome) == ("too_large", "done")


def test_versions_count_upwards_and_no_number_is_used_twice(registry: Registry) -> None:
    registry.model("digits", ev.ModelRegistered(**at()))
    made = [registry.model("digits", ev.ModelVersionCreated(**at(source="s"))).result["version"] for _ in range(3)]
    registry.model("digits", ev.ModelVersionDeleted(**at(version=3)))
    made.append(registry.model("digits", ev.ModelVersionCreated(**at(source="s"))).result["version"])
    assert made == [1, 2, 3, 4]


def test_a_deleted_model_is_gone_and_its_name_is_free(registry: Registry) -> None:
    registry.model("digits", ev.ModelRegistered(**at()))
    registry.model("digits", ev.ModelVersionCreated(**at(source="s")))
    registry.model("digits", ev.ModelAliasSet(**at(alias="best", version=1)))
    registry.model("digits", ev.ModelDeleted(**at()))

    assert registry.model("digits", ev.ModelDescribed(**at(description="x"))).outcome == "absent"
    assert (registry.state.models, registry.state.versions, registry.state.aliases) == ({}, {}, {})
    again = registry.model("digits", ev.ModelVersionCreated(**at(source="s", register_model=True)))
    assert again.result == {"name": "digits", "version": 1}


def test_a_renamed_model_keeps_versions_and_aliases(registry: Registry) -> None:
    registry.model("digits", ev.ModelVersionCreated(**at(source="s", register_model=True)))
    registry.model("digits", ev.ModelAliasSet(**at(alias="best", version=1)))
    registry.model("letters", ev.ModelRegistered(**at()))

    assert registry.model("digits", ev.ModelRenamed(**at(name="letters"))).outcome == "exists"
    assert registry.model("digits", ev.ModelRenamed(**at(name="numbers"))).outcome == "done"
    assert registry.model("numbers", ev.ModelVersionDescribed(**at(version=1, description="x"))).outcome == "done"
    assert registry.model("numbers", ev.ModelAliasDeleted(**at(alias="best"))).outcome == "done"
    assert registry.model("digits", ev.ModelRegistered(**at())).outcome == "done"


def test_a_stage_archives_the_others_only_on_request(registry: Registry) -> None:
    for _ in range(3):
        registry.model("digits", ev.ModelVersionCreated(**at(source="s", register_model=True)))
    for version, archive in ((1, False), (2, False), (3, True)):
        event = ev.ModelVersionStage(**at(version=version, stage="Production", archive_existing=archive))
        registry.model("digits", event)
    assert [row.stage for row in registry.state.versions.values()] == ["Archived", "Archived", "Production"]


def test_who_is_archived_already_is_left_alone(registry: Registry) -> None:
    for version in (1, 2):
        registry.model("digits", ev.ModelVersionCreated(**at(source="s", register_model=True)))
        event = ev.ModelVersionStage(time=TIME + version, version=version, stage="Archived", archive_existing=True)
        registry.model("digits", event)
    assert [row.updated - TIME for row in registry.state.versions.values()] == [1, 2]


@pytest.mark.parametrize(
    "event",
    [
        ev.ModelAliasSet(time=TIME, alias="best", version=7),
        ev.ModelAliasDeleted(time=TIME, alias="best"),
        ev.ModelVersionStage(time=TIME, version=7, stage="Staging"),
        ev.ModelVersionDeleted(time=TIME, version=7),
    ],
)
def test_what_does_not_exist_is_named(registry: Registry, event: ev.ModelEvent) -> None:
    assert registry.model("digits", event).reason == "there is no model 'digits'"
    registry.model("digits", ev.ModelRegistered(**at()))
    refused = registry.model("digits", event)
    assert (refused.outcome, refused.reason.startswith("model 'digits' has no ")) == ("absent", True)


def test_a_version_takes_its_aliases_with_it(registry: Registry) -> None:
    registry.model("digits", ev.ModelVersionCreated(**at(source="s", register_model=True)))
    registry.model("digits", ev.ModelAliasSet(**at(alias="best", version=1)))
    registry.model("digits", ev.ModelVersionDeleted(**at(version=1)))
    assert registry.state.aliases == {}
    assert registry.state.changes.gone_aliases  # also in the store


def test_a_logged_model_gets_parameters_once_and_keeps_what_it_has_when_it_is_deleted(registry: Registry) -> None:
    created = ev.LoggedModelCreated(**at(experiment_id="1", name="digits", params={"depth": "7"}))
    asked: list[ev.LoggedModelEvent] = [
        ev.LoggedModelTags(**at(tags={"a": "1"})),
        created,
        created,
        ev.LoggedModelParams(**at(params={"seed": "3"})),
        ev.LoggedModelParams(**at(params={"new": "1", "seed": "3"})),
        ev.LoggedModelStatus(time=TIME + 1, status="ready"),
        ev.LoggedModelDeleted(time=TIME + 2),
        ev.LoggedModelTags(time=TIME + 3, tags={"a": "1", "b": None}),
    ]
    decisions = [registry.logged_model("m-1", event) for event in asked]

    assert [one.outcome for one in decisions] == ["absent", "done", "exists", "done", "exists", "done", "done", "done"]
    assert decisions[4].reason == "logged model 'digits' has param 'seed' already"
    row = registry.state.logged_models["m-1"]
    assert (row.params, row.tags, row.status, row.deleted) == ({"depth": "7", "seed": "3"}, {"a": "1"}, "ready", True)
    assert (row.created, row.updated) == (TIME, TIME + 2)  # a tag is no news of the model, as in MLflow


def test_points_of_a_logged_model_need_no_decision(registry: Registry) -> None:
    point = ev.ModelPoint(name="loss", value=float("nan"), time=TIME, run_id="run")
    envelope = RegistryEnvelope(
        Subject("logged_models", "m-1"), ProducerId("q"), 0, TIME, ev.LoggedModelMetrics(**at(metrics=[point]))
    )
    assert (fold_request(registry.state, envelope, 1), bool(registry.state.changes)) == (False, False)  # no such model
    registry.logged_model("m-1", ev.LoggedModelCreated(**at(experiment_id="1", name="digits")))

    assert fold_request(registry.state, envelope, 2)
    (row,) = registry.state.changes.points
    assert (row.value, row.log_offset, len(registry.state.changes.decisions)) == ("NaN", 2, 1)


@pytest.mark.parametrize(("path", "left"), [("", []), ("a", ["ab"]), ("a/b", ["a", "ab"]), ("b", ["a", "a/b", "ab"])])
def test_a_deleted_path_takes_all_below_it_and_what_comes_later_stays(
    registry: Registry, path: str, left: list[str]
) -> None:
    def store(name: str) -> None:
        registry.logged_model("m", ev.LoggedModelArtifact(**at(path=name, uri="u", size=1, sha256="0" * 64)))

    registry.logged_model("m", ev.LoggedModelCreated(**at(experiment_id="1", name="digits")))
    for name in ("a", "a/b", "ab"):
        store(name)
    registry.logged_model("m", ev.LoggedModelArtifactDeleted(**at(path=path)))
    store("a/new")
    assert [name for _, name in registry.state.changes.artifacts] == [*left, "a/new"]
    assert registry.state.changes.gone_artifacts == {("m", path)}  # also in the store


def test_a_request_that_is_in_the_log_twice_is_decided_once(registry: Registry) -> None:
    envelope = RegistryEnvelope(
        Subject("models", "digits"),
        ProducerId("q"),
        0,
        TIME,
        ev.ModelVersionCreated(**at(source="s", register_model=True)),
    )
    assert [fold_request(registry.state, envelope, offset) for offset in (1, 2)] == [True, False]
    assert len(registry.state.versions) == 1


def test_a_batch_loads_the_versions_that_it_names_and_more_only_where_models_get_other_names() -> None:
    events: list[tuple[str, ev.ModelEvent]] = [
        ("a", ev.ModelVersionDeleted(**at(version=1))),
        ("b", ev.ModelVersionStage(**at(version=2, stage="Staging", archive_existing=True))),
        ("c", ev.ModelRenamed(**at(name="d"))),
    ]
    asked = [
        RegistryEnvelope(Subject("models", name), ProducerId("p"), seq, TIME, event)
        for seq, (name, event) in enumerate(events)
    ]
    some, more = wanted_by(asked[:2]), wanted_by(asked)
    assert (some.versions, some.stages) == ({("a", 1), ("b", 2)}, {("b", "Staging")})
    assert more.versions == {(name, version) for name in "abcd" for version in (1, 2)}
    assert more.stages == {(name, "Staging") for name in "abcd"}


NAMES = st.sampled_from(["a", "b", "c"])
REQUESTS = st.one_of(
    st.tuples(
        st.sampled_from(["1", "2", "3"]),
        st.one_of(
            st.builds(ev.ExperimentCreated, time=st.just(TIME), name=NAMES),
            st.builds(ev.ExperimentRenamed, time=st.just(TIME), name=NAMES),
            st.sampled_from([ev.ExperimentDeleted(time=TIME), ev.ExperimentRestored(time=TIME)]),
        ),
    ),
    st.tuples(
        NAMES,
        st.one_of(
            st.sampled_from([ev.ModelRegistered(time=TIME), ev.ModelDeleted(time=TIME)]),
            st.builds(ev.ModelRenamed, time=st.just(TIME), name=NAMES),
            st.builds(ev.ModelVersionCreated, time=st.just(TIME), source=st.just("s"), register_model=st.booleans()),
            st.builds(ev.ModelVersionDeleted, time=st.just(TIME), version=st.integers(1, 4)),
            st.builds(ev.ModelAliasSet, time=st.just(TIME), alias=NAMES, version=st.integers(1, 4)),
        ),
    ),
)


@given(st.lists(REQUESTS, max_size=40))
def test_names_stay_unique_and_versions_rise_whatever_is_asked(asked: list[tuple[str, Any]]) -> None:
    registry = Registry()
    made: dict[int, list[int]] = {}
    for subject_id, event in asked:
        is_experiment = event.kind.startswith("experiment_")
        decision = (registry.experiment if is_experiment else registry.model)(subject_id, event)
        if event.kind == "model_version_created" and decision.outcome == "done":
            model = registry.state.models[subject_id].model_id
            made.setdefault(model, []).append(decision.result["version"])

        state = registry.state
        names = [row.name for row in state.experiments.values()]
        assert len(set(names)) == len(names)
        assert state.experiment_names == {row.name: key for key, row in state.experiments.items()}
        assert all(row.name == name for name, row in state.models.items())
        models = {row.model_id for row in state.models.values()}
        assert {key[0] for key in (*state.versions, *state.aliases)} <= models
        assert all((one.model_id, one.version) in state.versions for one in state.aliases.values())
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in made.values())
