"""Every name comes back from the form of a tracker, and two names never become one."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_tag_name

from schemas.mapping.names import (
    MLFLOW_MAX_KEY,
    TRACKIO_MAX_PROJECT,
    TRACKIO_RESERVED,
    WANDB_MAX_ID,
    WANDB_RESERVED,
    folder_name,
    mlflow_key,
    mlflow_name,
    tensorboard_name,
    tensorboard_tag,
    trackio_config_key,
    trackio_key,
    trackio_name,
    trackio_project,
    wandb_id,
    wandb_key,
    wandb_name,
)

# Any text, and text of the characters that occur in escapes, labels and paths.
TRICKY = st.text("_x5bf/.:={},[ é", min_size=1, max_size=24)
NAMES = st.one_of(st.text(min_size=1, max_size=60), TRICKY)


@given(NAMES)
@example("_x5b[")
@example("a::b:")
@example("loss{rank=3,subset=a}")
@example("a{b=c=d}")
@example("../..")
@example("a\n")
def test_an_mlflow_key_comes_back_as_the_name(name: str) -> None:
    key = mlflow_key(name)
    assume(len(key) < MLFLOW_MAX_KEY)

    assert mlflow_name(key) == name


@given(st.one_of(NAMES, st.text(min_size=200, max_size=1024)))
@example("a//b")
@example("..")
@example("/")
@example(".")
@example("😀" * 1024)
def test_mlflow_takes_every_key(name: str) -> None:
    key = mlflow_key(name)

    _validate_metric_name(key)
    _validate_tag_name(key)
    assert 0 < len(key) <= MLFLOW_MAX_KEY


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("loss", "loss"),
        ("validate/loss_1 a:b", "validate/loss_1 a:b"),
        ("loss{rank=3,subset=a}", "loss::rank:3::subset:a"),
        ("a[0]", "a_x5b_0_x5d_"),
        ("a//b", "a/_x2f_b"),
        ("", ""),
    ],
)
def test_ordinary_names_stay_readable_in_mlflow(name: str, key: str) -> None:
    assert mlflow_key(name) == key


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_two_run_ids_never_share_a_wandb_id(one: str, other: str) -> None:
    assume(one != other)

    assert wandb_id(one) != wandb_id(other)


@given(st.text(min_size=1, max_size=300))
def test_a_wandb_id_is_a_plain_file_name(run_id: str) -> None:
    made = wandb_id(run_id)

    assert made.isascii()
    assert len(made) <= WANDB_MAX_ID
    assert not set(made) & set(":;,#?/' ")


@given(st.one_of(NAMES, st.sampled_from(sorted(WANDB_RESERVED)), TRICKY.map("gw.".__add__)))
def test_a_wandb_key_comes_back_and_is_never_reserved(name: str) -> None:
    key = wandb_key(name)

    assert wandb_name(key) == name
    assert key not in WANDB_RESERVED
    assert not key.startswith("gw.")


@given(st.one_of(NAMES, st.sampled_from(["gw/params", "_hparams_/x", "_x67_w/"])))
def test_a_tag_of_tensorboard_comes_back_and_is_none_of_ours(name: str) -> None:
    tag = tensorboard_tag(name)

    assert tensorboard_name(tag) == name
    assert not tag.startswith(("gw/", "_hparams_/"))


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_two_runs_never_share_a_folder_even_where_case_is_one(one: str, other: str) -> None:
    assume(one != other)

    assert folder_name(one).lower() != folder_name(other).lower()
    assert re.fullmatch(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,119}", folder_name(one))


@given(st.one_of(NAMES, st.sampled_from(sorted(TRACKIO_RESERVED)), TRICKY.map("__".__add__), TRICKY.map("~".__add__)))
def test_a_metric_of_trackio_comes_back_and_is_never_reserved(name: str) -> None:
    key = trackio_key(name)

    assert trackio_name(key) == name
    assert key not in TRACKIO_RESERVED
    assert not key.startswith("__")


@given(st.one_of(NAMES, TRICKY.map("_".__add__), TRICKY.map("gw.".__add__), TRICKY.map("~".__add__)))
def test_a_parameter_of_trackio_comes_back_and_is_none_of_ours(name: str) -> None:
    key = trackio_config_key(name)

    assert trackio_name(key) == name
    assert not key.startswith(("_", "gw."))


PROJECTS = st.one_of(NAMES, st.sampled_from(["a_artifacts", "_x61__artifact_x73_", "registry-a", "a_artifacts-"]))


@given(PROJECTS, PROJECTS)
@example("x" * 61, "x" * 62)
def test_two_tags_never_share_a_project_of_trackio(one: str, other: str) -> None:
    assume(one != other)

    assert trackio_project(one) != trackio_project(other)


@given(st.one_of(PROJECTS, st.text(min_size=1, max_size=300)))
def test_a_project_of_trackio_is_a_file_name_that_trackio_leaves_as_it_is(tag: str) -> None:
    made = trackio_project(tag)

    assert all(one.isalnum() or one in "-_" for one in made)
    assert len(f"{made}.db-journal".encode()) <= 255
    assert len(made) <= TRACKIO_MAX_PROJECT
    assert not made.startswith("registry-")
    assert not re.search(r"._(system|configs|traces|artifacts|artifact_versions|artifact_aliases|links)$", made)
