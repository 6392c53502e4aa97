"""Which artifact a path names, and paths that must lead nowhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.server.mlflow.artifacts.places import Place, inner_path, parse_place, place_of_uri, to_write
from gateway.server.mlflow.errors import Refused


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("0/run/artifacts", Place("run", "run")),
        ("0/run/artifacts/", Place("run", "run")),
        ("0/run/artifacts/a/b.txt", Place("run", "run", "a/b.txt")),
        ("0/run/artifacts/a//./b.txt", Place("run", "run", "a/b.txt")),
        ("0/run/artifacts/a%2Fb%20c", Place("run", "run", "a/b c")),
        ("0/run/artifacts/artifacts/x", Place("run", "run", "artifacts/x")),
        ("0/run/artifacts/über/€", Place("run", "run", "über/€")),
        ("0/team/run 7/artifacts/x", Place("run", "team/run 7", "x")),
        ("0/models/m-1/artifacts/MLmodel", Place("model", "m-1", "MLmodel")),
        ("0/models/m-1/artifacts", Place("model", "m-1")),
        ("", None),
        ("0", None),
        ("0/run", None),
        ("0/run/other/x", None),
        ("0/models/m-1", None),
    ],
)
def test_a_path_names_a_place(path: str, place: Place | None) -> None:
    assert parse_place(path) == place


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../../x", "%2e%2e/x", "%252e%252e/x", "..%2fx", "a#b", "x" * 1_025, "ü" * 600,
     "\ud800"],
)  # fmt: skip
def test_a_hostile_path_is_refused_in_whatever_it_stands(path: str) -> None:
    _refused(inner_path, path)
    _refused(parse_place, f"0/run/artifacts/{path}")
    _refused(to_write, f"0/run/artifacts/{path}")
    _refused(place_of_uri, f"runs:/run/{path}")


def _refused(read: Callable[[str], object], path: str) -> None:
    with pytest.raises(Refused) as caught:
        read(path)
    assert caught.value.code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "//etc/passwd", "file:///etc/passwd", "C:\\x", "C:/x", "\\\\host\\share"]
)
def test_an_absolute_path_is_refused(path: str) -> None:
    _refused(inner_path, path)
    _refused(parse_place, path)
    _refused(to_write, path)


@pytest.mark.parametrize(
    "path",
    ["", "0/run", "0/run/artifacts", "0/run/artifacts/", "0/run/artifacts/a/", "0/run/artifacts/./a", "other/a/b"],
)
def test_a_place_that_is_none_of_a_file_is_not_written(path: str) -> None:
    _refused(to_write, path)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("mlflow-artifacts:/0/run/artifacts/model", Place("run", "run", "model")),
        ("mlflow-artifacts://host:5001/0/models/m-1/artifacts", Place("model", "m-1")),
        ("runs:/run/model", Place("run", "run", "model")),
        ("models:/m-1", Place("model", "m-1")),
        ("models:/name/3", None),
        ("s3://bucket/run/artifacts/x", None),
        ("file:///etc/passwd", None),
        ("", None),
    ],
)
def test_the_uri_of_a_version_names_a_place(uri: str, place: Place | None) -> None:
    assert place_of_uri(uri) == place
