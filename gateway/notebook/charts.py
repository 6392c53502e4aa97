"""
`gateway.chart(runs, names)`: a live chart in a notebook.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gateway.client.errors import ClientError
from gateway.client.query import find_api
from gateway.notebook.reading import Question
from gateway.read.asking import MAX_RUNS, Runs, run_ids
from schemas.errors import BadSettings

if TYPE_CHECKING:
    from gateway.client.query import Api
    from gateway.notebook.widget import Chart

X_AXES = ("step", "time", "relative")
SCALES = ("linear", "log", "symlog")


def chart(  # noqa: PLR0913 -- keywords of a chart
    runs: Runs,
    names: str | Sequence[str] | None = None,
    *,
    regex: str | None = None,
    prefix: str | None = None,
    x: str = "step",
    y_scale: str = "linear",
    smoothing: float = 0.0,
    height: int = 240,
    api: Api | None = None,
) -> Chart:
    """
    Return a chart of series of runs for Jupyter, VS Code or marimo, which grows while the runs do.

        gateway.chart(run, ["loss", "val/loss"])
        gateway.chart(gateway.read.runs("params.lr < 0.1", columns=["name"]), regex="loss$", y_scale="log")

    `runs` are ids, a table of `gateway.read.runs`, or the `Run` that this process has open, up to 1,000. Series are
    named as they are written, or chosen by `regex` or `prefix`; without any there are all, up to 200. `x` is step, time
    or relative (time since the run began), `y_scale` linear, log or symlog, `smoothing` from 0 to below 1 the weight of
    what was before; the chart has controls for them. `height` is pixels of each plot.

    A long series shows the first, lowest, highest and last point of each bucket, and exact points where one zooms in.
    The chart follows the stream of the API while it is shown; `.close()` ends it. Raises RunNotFound, and BadSettings
    where the extra `notebook` is missing; while the API is away the chart says so and waits.
    """
    if x not in X_AXES or y_scale not in SCALES or not 0 <= smoothing < 1 or not 40 <= height <= 4_000:
        axes, scales = ", ".join(X_AXES), ", ".join(SCALES)
        raise ClientError(f"x is one of {axes}; y_scale one of {scales}; smoothing 0 to below 1; height 40 to 4,000")
    match_count = sum(one is not None for one in (names, regex, prefix))
    if match_count > 1:
        raise ClientError("give one of names, regex and prefix")
    ids = run_ids(runs)
    if len(ids) > MAX_RUNS:
        raise ClientError(f"{len(ids):,} runs are given: a chart shows at most {MAX_RUNS:,}")
    chosen = [names] if isinstance(names, str) else None if names is None else list(names)
    if find_spec("anywidget") is None:
        raise BadSettings('gateway.chart needs anywidget: install it with `pip install "tracking-gateway[notebook]"`')
    from gateway.notebook.widget import STATIC, Chart

    if not (STATIC / "chart.js").is_file():
        raise BadSettings("the chart's JavaScript was not built: install tracking-gateway without SKIP_UI=1")
    look = {"x": x, "yScale": y_scale, "smoothing": smoothing, "height": height}
    return Chart(Question(ids, chosen, regex, prefix), api or find_api(), look)
