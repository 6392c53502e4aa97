"""
Tables of runs, series and lines, for notebooks and programs: `gateway.read.series(runs, "loss").to_pandas()`.

Part of the full distribution, not of `tracking-gateway-client`. The query API answers; GATEWAY_LIVE_URL, gateway.toml
or the local stack say where. Each function returns a `Table`, which says what it is: `exact`, `count`, `as_of`, and
`cut` with what is missing and how to get it.

    table = gateway.read.runs("metrics.loss < 0.3", columns=["name", "params.lr", "min(metrics.loss)"])
    curves = gateway.read.series(table, regex="^val/", buckets=500)
    loss = gateway.read.points(table[0]["run_id"], "loss").to_arrow()

- `table`: what every function returns. `asking`: questions to the API, their errors, progress.
- `finding`: runs. `near`: names that no run has. `curves`: series, groups, histograms. `exact`: every point.
- `comparing`: differences and the first divergence. `lines`: console and observations.

Errors: RunNotFound, PointsDropped (gateway/query.py), ApiUnavailable and ApiRefused, all of them `gateway.ClientError`.
"""

from gateway.client.query import ApiRefused, ApiUnavailable
from gateway.query import PointsDropped, RunNotFound
from gateway.read.comparing import Divergence, diff, divergence
from gateway.read.curves import SeriesTable, groups, histograms, index, series
from gateway.read.exact import points
from gateway.read.finding import runs
from gateway.read.lines import console, observations
from gateway.read.table import Table

__all__ = [
    "ApiRefused", "ApiUnavailable", "Divergence", "PointsDropped", "RunNotFound", "SeriesTable", "Table", "console",
    "diff", "divergence", "groups", "histograms", "index", "observations", "points", "runs", "series",
]  # fmt: skip
