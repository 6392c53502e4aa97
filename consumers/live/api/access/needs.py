"""
What each route of the API and each page needs. A route without a row needs `admin`; a test names it.

READ and WRITE are for tokens of all experiments only. Rows with IN_EXPERIMENTS are also for tokens that are limited to
experiments: these routes read the store through `connections_of(request)` alone, which shows such a token only runs of
its experiments, or change only a run that they have found that way.
"""

from __future__ import annotations

from consumers.live.dashboard.pages import ADDRESSES
from schemas.runtime.access.needs import ANYONE, OPEN, Need, Needs, need

READ = need("read")
WRITE = need("write")
READ_IN_EXPERIMENTS = need("read", limited=True)
WRITE_IN_EXPERIMENTS = need("write", limited=True)
# Training with a token of scope emit alone waits for what it wrote, and continues what it wrote before.
PROGRESS = need("emit", "read", "write", limited=True)

_RUN = "/v1/runs/{run_id:run}"
_VIEW = "/v1/views/{item_id:run}"
_RULE = "/v1/alert-rules/{item_id:run}"

TABLE: dict[str, Need] = {
    # Pages: files without data, which anyone may have, so that a person can log in.
    **{f"GET {address}": OPEN for address in ADDRESSES},
    "GET /static/{path:path}": OPEN,
    # The system.
    "GET /healthz": OPEN,
    "POST /v1/login": OPEN,
    "POST /v1/logout": OPEN,
    "GET /v1/me": ANYONE,
    "GET /v1/openapi.json": ANYONE,
    "GET /v1/schemas/run-log": ANYONE,
    "GET /v1/status": READ_IN_EXPERIMENTS,
    "GET /v1/stream": READ_IN_EXPERIMENTS,
    "POST /v1/stream": READ_IN_EXPERIMENTS,  # the route refuses the topics that are about all experiments
    "GET /v1/stream/runs": READ_IN_EXPERIMENTS,
    "GET /v1/stream/series": READ_IN_EXPERIMENTS,
    "GET /v1/stream/alerts": READ,
    "GET /v1/stream/saved": READ_IN_EXPERIMENTS,
    "GET /v1/decisions/{collection}/{producer:run}": PROGRESS,
    # Runs.
    "GET /v1/runs": READ_IN_EXPERIMENTS,
    "POST /v1/runs/documents": READ_IN_EXPERIMENTS,
    "GET /v1/run-labels": READ_IN_EXPERIMENTS,
    "POST /v1/runs/table": READ_IN_EXPERIMENTS,
    "POST /v1/runs/columns": READ_IN_EXPERIMENTS,
    "POST /v1/runs/values": READ_IN_EXPERIMENTS,
    "POST /v1/runs/diff": READ_IN_EXPERIMENTS,
    "POST /v1/runs/divergence": READ_IN_EXPERIMENTS,
    "POST /v1/filters/check": ANYONE,
    f"GET {_RUN}/log": READ_IN_EXPERIMENTS,
    f"GET {_RUN}/series": READ_IN_EXPERIMENTS,
    f"GET {_RUN}/history": READ_IN_EXPERIMENTS,
    f"GET {_RUN}/console": READ_IN_EXPERIMENTS,
    f"GET {_RUN}/observations": READ_IN_EXPERIMENTS,
    f"GET {_RUN}/observations/index": READ_IN_EXPERIMENTS,
    f"GET {_RUN}/deliveries": READ_IN_EXPERIMENTS,
    "POST /v1/series": READ_IN_EXPERIMENTS,
    "POST /v1/series/index": READ_IN_EXPERIMENTS,
    "POST /v1/series/groups": READ_IN_EXPERIMENTS,
    "POST /v1/series/histograms": READ_IN_EXPERIMENTS,
    "POST /v1/series/deltas": READ_IN_EXPERIMENTS,
    "GET /v1/points": READ_IN_EXPERIMENTS,
    "GET /v1/points/sample": READ_IN_EXPERIMENTS,
    f"GET {_RUN}/received": PROGRESS,
    f"GET {_RUN}/progress": PROGRESS,
    f"GET {_RUN}/artifacts": READ_IN_EXPERIMENTS,
    f"GET {_RUN}/artifacts/content": READ_IN_EXPERIMENTS,
    # What code says of metrics, and what people save. Views are shown to all; a rule watches all runs.
    f"GET {_RUN}/metric-definitions": READ_IN_EXPERIMENTS,
    "POST /v1/metric-definitions": READ_IN_EXPERIMENTS,
    f"POST {_RUN}/edits": WRITE_IN_EXPERIMENTS,
    "GET /v1/views": READ_IN_EXPERIMENTS,
    f"GET {_VIEW}": READ_IN_EXPERIMENTS,
    f"GET {_VIEW}/versions": READ_IN_EXPERIMENTS,
    f"PUT {_VIEW}": WRITE,
    f"DELETE {_VIEW}": WRITE,
    "GET /v1/alert-rules": READ,
    f"GET {_RULE}": READ,
    f"GET {_RULE}/versions": READ,
    f"PUT {_RULE}": WRITE,
    f"DELETE {_RULE}": WRITE,
    "POST /v1/alert-rules/check": ANYONE,
    "GET /v1/alerts": READ,
    "GET /v1/alert-mutes": READ,
    "POST /v1/alert-mutes": WRITE,
    # Exports.
    "GET /v1/export/points": READ_IN_EXPERIMENTS,
    "GET /v1/export/runs": READ_IN_EXPERIMENTS,
    # Experiments and models. Models and their versions belong to no experiment.
    "GET /v1/experiments": need("emit", "read", limited=True),
    "GET /v1/experiments/{experiment_id:run}": need("emit", "read", limited=True),
    "GET /v1/models": READ,
    "GET /v1/models/{name:run}": READ,
    "GET /v1/models/{name:run}/versions": READ,
    "GET /v1/models/{name:run}/versions/{number:digits}": READ,
    "GET /v1/model-versions": READ,
    "POST /v1/logged-models/search": READ,
    "GET /v1/logged-models/{model_id:run}": READ,
    "GET /v1/logged-models/{model_id:run}/artifacts": READ,
}
NEEDS = Needs(TABLE)
