"""Loading a tracker: by its name in the trackers file, or by its type."""

from __future__ import annotations

from pathlib import Path

import pytest

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
"""


def write_file(folder: Path, text: str) -> Path:
    path = folder / "trackers.yaml"
    path.write_text(text)
    return path


def test_two_trackers_of_one_type_have_their_own_name_and_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM", "vision")
    settings = Settings(trackers_file=write_file(tmp_path, YAML))

    one, two = (load_tracker(name, settings) for name in ("laptop", "archive"))

    assert isinstance(one, WandbTracker)
    assert isinstance(two, WandbTracker)
    one.open(settings)
    two.open(settings)
    assert (one.name, str(one._folder), one._project) == ("laptop", "/data/one/wandb", "vision")
    assert (two.name, str(two._folder), two._project) == ("archive", "/data/two/wandb", settings.wandb_project)
    assert load_tracker("wandb", settings).name == "wandb"


def test_unknown_options_and_unknown_types_are_named(tmp_path: Path) -> None:
    settings = Settings(
        trackers_file=write_file(
            tmp_path, "a: {type: wandb, config: {path: /x}}\nb: {type: wanbd}\nc: {type: nothing}\n"
        )
    )

    with pytest.raises(BadSettings, match=r"tracker 'a': its config does not fit \(got an unexpected keyword .*'path'"):
        load_tracker("a", settings)
    with pytest.raises(BadSettings, match=r"tracker 'b' is of type 'wanbd', which is not installed: choose one of "):
        load_tracker("b", settings)
    with pytest.raises(BadSettings, match=r"there is no tracker 'd': choose one of a, b, c, "):
        load_tracker("d", settings)


def test_a_tracker_without_capabilities_keeps_every_point() -> None:
    stated = capabilities_of(load_tracker("nothing"))

    assert (stated, stated.keeps_times, stated.can_delete) == (Capabilities(), True, False)
