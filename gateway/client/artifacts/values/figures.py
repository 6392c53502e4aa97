"""
Write figures of matplotlib and Plotly, and of what is built on them. Imports neither: a figure brings its library.
"""

from __future__ import annotations

import os

from gateway.client.guards import Refused, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

IMAGES = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp")


def suffix_of_figure(figure: object) -> str:
    """Return the suffix of a figure whose name has none: .html for Plotly, .png for matplotlib."""
    return ".html" if hasattr(figure, "write_html") else ".png"


def write_figure(figure: Any, path: str) -> None:
    """
    Write a figure in the format that the suffix names. Raises Refused.

    matplotlib: a Figure, an Axes, or `pyplot` for its current figure; images. Plotly: .html, which holds its own
    scripts and so needs no network, .json, and images, for which Plotly needs the package kaleido.
    """
    suffix = os.path.splitext(path)[1].lower()
    if hasattr(figure, "write_html") and hasattr(figure, "write_image"):
        _write_plotly(figure, path, suffix)
        return
    found: Any = figure if hasattr(figure, "savefig") else getattr(figure, "figure", None)  # an Axes has the latter
    if not hasattr(found, "savefig"):
        raise Refused("figure", f"a {type_name(figure)} is no figure of matplotlib or Plotly: give a figure")
    if suffix not in IMAGES:
        raise Refused("figure", f"matplotlib writes no {suffix}: give a name that ends in .png, .svg or .pdf")
    found.savefig(path, format=suffix[1:], bbox_inches="tight")


def _write_plotly(figure: Any, path: str, suffix: str) -> None:
    if suffix in (".html", ".htm"):
        figure.write_html(path, include_plotlyjs=True, auto_open=False)
    elif suffix == ".json":
        figure.write_json(path)
    elif suffix in IMAGES:
        try:
            figure.write_image(path, format=suffix[1:])
        # ValueError without kaleido, RuntimeError without a browser, others of its own: the next step is the same.
        except Exception as error:
            step = "install kaleido and a Chrome browser, or give a name that ends in .html"
            raise Refused("figure", f"Plotly cannot write {suffix} here ({_first_line(error)}): {step}") from error
    else:
        raise Refused("figure", f"Plotly writes no {suffix}: give a name that ends in .html, .json, .png or .svg")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
