"""Files from values: text, dicts, figures, images and tables, each read back by a library that did not write it."""

from __future__ import annotations

import csv
import datetime
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import yaml
from matplotlib.figure import Figure
from PIL import Image

from gateway.client.artifacts.values.documents import write_dict, write_text
from gateway.client.artifacts.values.figures import suffix_of_figure, write_figure
from gateway.client.artifacts.values.images import write_image
from gateway.client.artifacts.values.tables import write_table
from gateway.client.guards import Refused

mpl.use("Agg")


@dataclass
class Net:
    layers: tuple[int, ...]
    act: str


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Let the import of these modules fail, as where they are not installed."""
    for name in modules:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("text", ["", "naïve 𝄞\r\n\x00 end", 12, Path("a/b")])
def test_text_is_written_as_it_is(tmp_path: Path, text: object) -> None:
    write_text(text, str(tmp_path / "a"))

    assert (tmp_path / "a").read_bytes() == str(text).encode()


def test_text_that_utf8_cannot_hold_is_written(tmp_path: Path) -> None:
    write_text("a\ud800b", str(tmp_path / "a"))

    assert (tmp_path / "a").read_bytes() == b"a?b"


VALUES: dict[Any, Any] = {
    "lr": 0.1, 3: [1, 2.5, True, None], "nan": float("nan"), "net": Net((64, 32), "relu"), "a": np.arange(20_000),
    "day": datetime.date(2026, 1, 2), "é": {"deep": {"er": np.float32(0.5)}}, "missing": pd.NaT, "path": Path("x/y"),
}  # fmt: skip
PLAIN = {
    "lr": 0.1, "3": [1, 2.5, True, None], "net": {"layers": [64, 32], "act": "relu"}, "a": list(range(20_000)),
    "day": "2026-01-02", "é": {"deep": {"er": 0.5}}, "missing": None, "path": "x/y",
}  # fmt: skip


@pytest.mark.parametrize("name", ["a.json", "a.JSON", "a", "a.config"])
def test_a_dict_becomes_json_without_illegal_numbers(tmp_path: Path, name: str) -> None:
    write_dict(VALUES, str(tmp_path / name))

    text = (tmp_path / name).read_text(encoding="utf-8")
    found = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert found == PLAIN | {"nan": "NaN"}
    assert "é" in text


@pytest.mark.parametrize("name", ["a.yaml", "a.yml"])
def test_a_dict_becomes_yaml_by_its_suffix(tmp_path: Path, name: str) -> None:
    write_dict(VALUES, str(tmp_path / name))

    found = yaml.safe_load((tmp_path / name).read_text(encoding="utf-8"))
    assert str(found.pop("nan")) == "nan"
    assert found == PLAIN


def test_lists_and_objects_of_fields_are_written_too(tmp_path: Path) -> None:
    write_dict([Net((1,), "x")], str(tmp_path / "a.json"))

    assert json.loads((tmp_path / "a.json").read_text()) == [{"layers": [1], "act": "x"}]


def test_what_holds_itself_is_refused(tmp_path: Path) -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(Refused, match="holds itself"):
        write_dict(loop, str(tmp_path / "a.json"))


def test_yaml_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "yaml")

    with pytest.raises(Refused, match="PyYAML is not installed: install pyyaml"):
        write_dict({}, str(tmp_path / "a.yaml"))


def plot() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 3, 2])
    return figure


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".jpg", b"\xff\xd8\xff")]
)
def test_figures_of_matplotlib(tmp_path: Path, suffix: str, start: bytes) -> None:
    figure = plot()

    write_figure(figure, str(tmp_path / f"a{suffix}"))
    write_figure(figure.axes[0], str(tmp_path / f"axes{suffix}"))

    for name in ("a", "axes"):
        assert (tmp_path / f"{name}{suffix}").read_bytes().startswith(start)
    assert suffix_of_figure(figure) == ".png"


def test_figures_of_plotly_hold_their_scripts(tmp_path: Path) -> None:
    figure = go.Figure(go.Scatter(y=[1, 3, 2], name="the loss"))

    write_figure(figure, str(tmp_path / "a.html"))
    write_figure(figure, str(tmp_path / "a.json"))

    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "the loss" in page
    assert 'src="http' not in page
    assert json.loads((tmp_path / "a.json").read_text())["data"][0]["y"] == [1, 3, 2]
    assert suffix_of_figure(figure) == ".html"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_image_of_plotly_without_kaleido_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "kaleido")

    with pytest.raises(Refused, match=r"Plotly cannot write \.png here .*install kaleido"):
        write_figure(go.Figure(), str(tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("figure", "name", "message"),
    [
        (plot(), "a.html", r"matplotlib writes no \.html: give a name that ends in \.png"),
        (go.Figure(), "a.txt", r"Plotly writes no \.txt"),
        ("a figure", "a.png", "a str is no figure of matplotlib or Plotly"),
        (None, "a.png", "a NoneType is no figure"),
    ],
)
def test_figures_that_cannot_be_written(tmp_path: Path, figure: object, name: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        write_figure(figure, str(tmp_path / name))


class Tensor:
    """What PyTorch's tensors offer, on another device and in a graph."""

    def __init__(self, array: Any, calls: tuple[str, ...] = ()) -> None:
        self.array, self.calls = array, calls

    def detach(self) -> Tensor:
        return Tensor(self.array, (*self.calls, "detach"))

    def cpu(self) -> Tensor:
        return Tensor(self.array, (*self.calls, "cpu"))

    def numpy(self) -> Any:
        assert self.calls == ("detach", "cpu")
        return self.array


GREY = [[0, 255], [128, 64]]
RGB = np.arange(2 * 5 * 3, dtype=np.uint8).reshape(2, 5, 3) * 8


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(RGB), RGB),
        (RGB, RGB),
        (RGB.astype(np.int64) * 1, RGB),
        (RGB.transpose(2, 0, 1), RGB),
        (Tensor(RGB.transpose(2, 0, 1)), RGB),
        (np.array(GREY, np.uint8), GREY),
        (np.array(GREY, np.uint8)[:, :, None], GREY),
        (np.array(GREY, np.uint8)[None], GREY),
        (np.array([[-5, 300], [128, 64]]), GREY),
        (np.array(GREY) / 255, GREY),
        (np.array([[float("nan"), 7.0], [128 / 255, 64 / 255]], np.float32), GREY),
        (np.array([[False, True]]), [[0, 255]]),
    ],
)
def test_images_and_arrays(tmp_path: Path, image: object, expected: Any) -> None:
    write_image(image, str(tmp_path / "a.png"))

    with Image.open(tmp_path / "a.png") as found:
        assert np.asarray(found).tolist() == np.asarray(expected).tolist()


def test_an_image_with_transparency_is_written_as_jpeg(tmp_path: Path) -> None:
    write_image(Image.new("RGBA", (4, 2), (255, 0, 0, 128)), str(tmp_path / "a.jpg"))

    with Image.open(tmp_path / "a.jpg") as found:
        assert (found.size, found.mode) == ((4, 2), "RGB")


@pytest.mark.parametrize(
    ("image", "name", "message"),
    [
        ("cat", "a.png", "a str is no image"),
        (np.zeros((2, 2, 7)), "a.png", r"shape \(2, 2, 7\) is no image"),
        (np.zeros((0, 2)), "a.png", r"shape \(0, 2\) is no image"),
        (np.array([["a"]]), "a.png", "give numbers"),
        (np.zeros((2, 2)), "a.weights", "PIL cannot write this"),
        (Image.new("F", (2, 2)), "a.png", "PIL cannot write this"),
    ],
)
def test_what_is_no_image(tmp_path: Path, image: object, name: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        write_image(image, str(tmp_path / name))


def test_pil_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "PIL")

    with pytest.raises(Refused, match="PIL is not installed, which writes images: install pillow"):
        write_image(np.zeros((2, 2)), str(tmp_path / "a.png"))


COLUMNS = {"step": [0, 1], "loss": [0.5, float("nan")], "text": ['naïve, "x"', None]}
ROWS = [[0, 0.5, 'naïve, "x"'], [1, "NaN", None]]


@pytest.mark.parametrize(
    "table",
    [
        COLUMNS,
        {name: np.array(column, object) for name, column in COLUMNS.items()},
        pd.DataFrame({name: pd.Series(column, dtype=object) for name, column in COLUMNS.items()}).set_axis([7, 8]),
        [{"step": 0, "loss": 0.5, "text": 'naïve, "x"'}, {"step": 1, "loss": float("nan")}],
    ],
)
def test_tables_of_every_form_are_written_alike(tmp_path: Path, table: object) -> None:
    write_table(table, str(tmp_path / "a.json"))
    write_table(table, str(tmp_path / "a.csv"))

    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert found == {"columns": ["step", "loss", "text"], "data": ROWS}
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["step", "loss", "text"], ["0", "0.5", 'naïve, "x"'], ["1", "NaN", ""]]


def test_tables_in_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=[5, 6])

    write_table(frame, str(tmp_path / "frame.parquet"))
    write_table(frame.to_dict("list"), str(tmp_path / "dict.parquet"))

    for name in ("frame", "dict"):
        assert pd.read_parquet(tmp_path / f"{name}.parquet").to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}


@pytest.mark.parametrize(
    ("table", "name", "message"),
    [
        ({"a": [1], "b": [1, 2]}, "a.json", r"columns have \[1, 2\] values: give as many in each"),
        ("text", "a.json", "a str is no table"),
        ([1], "a.json", "a row is a int: give each row as a dict"),
        ({"a": [1]}, "a.xlsx", r"a table is not written as \.xlsx"),
    ],
)
def test_what_is_no_table(tmp_path: Path, table: object, name: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        write_table(table, str(tmp_path / name))


def test_parquet_without_its_libraries_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "pandas")

    with pytest.raises(Refused, match="install pandas and pyarrow, or give a name"):
        write_table({"a": [1]}, str(tmp_path / "a.parquet"))
