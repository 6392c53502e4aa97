"""The trackers file: the definitions by name, and one line for any error."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.delivery.plugins.config import TrackerDefinition, read_definitions
from schemas.errors import BadSettings

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


def write_file(folder: Path, text: str, name: str = "trackers.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(("name", "text"), [("trackers.yaml", YAML), ("trackers.yml", YAML), ("trackers.toml", TOML)])
def test_yaml_and_toml_are_equivalent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv("TEAM", "vision")

    assert read_definitions(write_file(tmp_path, text, name)) == {
        "laptop": TrackerDefinition("wandb", {"folder": "/data/one", "project": "vision"}),
        "archive": TrackerDefinition("wandb", {"folder": "/data/two"}),
        "quiet": TrackerDefinition("nothing", {}),
    }


@pytest.mark.parametrize("text", BAD)
def test_an_error_is_one_line_that_names_the_file(tmp_path: Path, text: str) -> None:
    path = write_file(tmp_path, text)

    with pytest.raises(BadSettings) as raised:
        read_definitions(path)

    assert str(path) in str(raised.value)
    assert BAD[text] in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_missing_or_of_another_kind_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="which does not exist: correct the path"):
        read_definitions(tmp_path / "absent.yaml")
    with pytest.raises(BadSettings, match=r"name it \.yaml, \.yml or \.toml"):
        read_definitions(write_file(tmp_path, "", "trackers.json"))
    with pytest.raises(BadSettings, match="cannot be read as TOML"):
        read_definitions(write_file(tmp_path, "= 5", "trackers.toml"))
