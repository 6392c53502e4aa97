"""The trackers file: what names mean, and one line for whatever is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.delivery.plugins.config import TrackerDefinition, read_definitions
from consumers.delivery.plugins.loader import load_tracker
from consumers.trackers.protocol import Capabilities, capabilities_of
from consumers.trackers.wandb.tracker import WandbTracker
from schemas.errors import BadSettings
from schemas.runtime.settings import Settings

YAML = """
laptop:
  type: wandb
  config: {folder: /data/one, project: "${TEAM}"}
archive:
  type: wandb
  config:
    folder: /data/two
quiet: {type: nothing}
"""
TOML = """
[laptop]
type = "wandb"
config = {folder = "/data/one", project = "${TEAM}"}

[archive]
type = "wandb"
[archive.config]
folder = "/data/two"

[quiet]
type = "nothing"
"""
BAD = {
    "- a\n- b": "must map names of trackers to {type, config}, not be a list",
    "a: 5": "tracker 'a' must be {type, config}, not a int",
    "a: {type: mlflow, url: x}": "tracker 'a': unknown url: options of the tracker itself go below config",
    "a: {config: {}}": "tracker 'a' has no type: write one",
    "a: {type: mlflow, config: [1]}": "config must map names to values",
    "a/b: {type: mlflow}": "a name is 1 to 100 of",
    "a: {type: mlflow, config: {url: '${NOT_THERE_AT_ALL}'}}": "set NOT_THERE_AT_ALL",
    "a: {": "cannot be read as YAML",
}


def written(folder: Path, text: str, name: str = "trackers.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(("name", "text"), [("trackers.yaml", YAML), ("trackers.yml", YAML), ("trackers.toml", TOML)])
def test_yaml_and_toml_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv("TEAM", "vision")

    assert read_definitions(written(tmp_path, text, name)) == {
        "laptop": TrackerDefinition("wandb", {"folder": "/data/one", "project": "vision"}),
        "archive": TrackerDefinition("wandb", {"folder": "/data/two"}),
        "quiet": TrackerDefinition("nothing", {}),
    }


@pytest.mark.parametrize("text", BAD)
def test_what_does_not_fit_is_one_line_that_names_the_file(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(BadSettings) as told:
        read_definitions(path)

    assert str(path) in str(told.value)
    assert BAD[text] in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_or_of_another_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="which does not exist: correct the path"):
        read_definitions(tmp_path / "absent.yaml")
    with pytest.raises(BadSettings, match=r"name it \.yaml, \.yml or \.toml"):
        read_definitions(written(tmp_path, "", "trackers.json"))
    with pytest.raises(BadSettings, match="cannot be read as TOML"):
        read_definitions(written(tmp_path, "= 5", "trackers.toml"))


def test_two_trackers_of_one_type_have_their_own_name_and_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM", "vision")
    settings = Settings(trackers_file=written(tmp_path, YAML))

    one, two = (load_tracker(name, settings) for name in ("laptop", "archive"))

    assert isinstance(one, WandbTracker)
    assert isinstance(two, WandbTracker)
    one.open(settings)
    two.open(settings)
    assert (one.name, str(one._folder), one._project) == ("laptop", "/data/one/wandb", "vision")
    assert (two.name, str(two._folder), two._project) == ("archive", "/data/two/wandb", settings.wandb_project)
    assert load_tracker("wandb", settings).name == "wandb"


def test_what_the_type_does_not_take_and_types_that_are_not_there_are_named(tmp_path: Path) -> None:
    settings = Settings(
        trackers_file=written(tmp_path, "a: {type: wandb, config: {path: /x}}\nb: {type: wanbd}\nc: {type: nothing}\n")
    )

    with pytest.raises(BadSettings, match=r"tracker 'a': its config does not fit \(got an unexpected keyword .*'path'"):
        load_tracker("a", settings)
    with pytest.raises(BadSettings, match=r"tracker 'b' is of type 'wanbd', which is not installed: choose one of "):
        load_tracker("b", settings)
    with pytest.raises(BadSettings, match=r"there is no tracker 'd': choose one of a, b, c, "):
        load_tracker("d", settings)


def test_a_tracker_that_states_nothing_is_taken_to_keep_every_point() -> None:
    stated = capabilities_of(load_tracker("nothing"))

    assert (stated, stated.keeps_times, stated.can_delete) == (Capabilities(), True, False)
