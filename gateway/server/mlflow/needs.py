"""
What each route of the door needs. A route without a row needs `admin`; a test names it.

Training needs `emit` alone: it also reads what its client asks before it writes. Rows with `limited` are also for
tokens that are limited to experiments: their reads go through the query API with their own token, and what they write
is checked where the run is found (runs/known.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.server.mlflow.empty_pages import PAGES
from gateway.server.mlflow.routing import PREFIXES, RawRoute, Route
from schemas.runtime.access.needs import ADMIN, OPEN, Need, Needs, need

READ = need("read")
READ_RUNS = need("read", limited=True)
WRITE = need("write")
WRITE_RUNS = need("write", limited=True)
EMIT = need("emit")
EMIT_RUNS = need("emit", limited=True)
EITHER = need("emit", "read")
EITHER_RUNS = need("emit", "read", limited=True)


def _below(base: str, found: Need, *rows: str) -> dict[str, Need]:
    """Return rows such as "GET /get" of paths below a base."""
    return {row.replace(" ", f" {base}", 1): found for row in rows}


_ROWS: dict[str, Need] = {
    **_below("/mlflow/experiments", EMIT_RUNS, "POST /create"),
    **_below("/mlflow/experiments", EITHER_RUNS, "GET /get", "GET /get-by-name", "GET /search", "POST /search"),
    **_below("/mlflow/experiments", READ_RUNS, "POST /search-datasets"),
    **_below("/mlflow/experiments", WRITE, "POST /delete", "POST /restore", "POST /update"),
    **_below("/mlflow/experiments", WRITE, "POST /set-experiment-tag", "POST /delete-experiment-tag"),
    **_below("/mlflow/runs", EITHER_RUNS, "GET /get"),
    **_below("/mlflow/runs", READ_RUNS, "POST /search"),
    **_below("/mlflow/runs", EMIT_RUNS, "POST /create", "POST /update", "POST /log-metric", "POST /log-parameter"),
    **_below("/mlflow/runs", EMIT_RUNS, "POST /log-batch", "POST /log-model", "POST /log-inputs", "POST /outputs"),
    **_below("/mlflow/runs", EMIT_RUNS, "POST /set-tag", "POST /delete-tag"),
    **_below("/mlflow/runs", WRITE_RUNS, "POST /delete", "POST /restore"),
    **_below("/mlflow/metrics", READ_RUNS, "GET /get-history", "GET /get-history-bulk"),
    **_below("/mlflow/metrics", READ_RUNS, "GET /get-history-bulk-interval"),
    # Artifacts. The query API answers nothing about logged models and versions to tokens of some experiments.
    **_below("/mlflow/artifacts", EITHER_RUNS, "GET /list"),
    **_below("/mlflow/artifacts", EMIT, "POST /presigned-upload-url"),
    **_below("/mlflow/artifacts", EITHER, "POST /presigned-download-url"),
    **_below("/mlflow-artifacts", EITHER_RUNS, "GET /artifacts", "GET /artifacts/{path:path}"),
    **_below("/mlflow-artifacts", EMIT_RUNS, "PUT /artifacts/{path:path}"),
    **_below("/mlflow-artifacts", WRITE_RUNS, "DELETE /artifacts/{path:path}"),
    **_below("/mlflow-artifacts", EMIT, "POST /mpu/create/{path:path}", "POST /mpu/complete/{path:path}"),
    **_below("/mlflow-artifacts", EMIT, "POST /mpu/abort/{path:path}"),
    **_below("/mlflow-artifacts", EITHER, "GET /presigned/{path:path}"),
    "POST /mlflow/upload-artifact": EMIT_RUNS,
    "GET /get-artifact": READ_RUNS,
    "GET /model-versions/get-artifact": READ,
    # Logged models: training stores them.
    **_below("/mlflow/logged-models", EMIT, "POST ", "PATCH /{model_id}", "POST /{model_id}/params"),
    **_below("/mlflow/logged-models", EMIT, "PATCH /{model_id}/tags"),
    **_below("/mlflow/logged-models", EITHER, "GET /{model_id}", "POST /search"),
    **_below("/mlflow/logged-models", EITHER, "GET /{model_id}/artifacts/directories"),
    **_below("/mlflow/logged-models", READ, "GET /{model_id}/artifacts/files"),
    **_below("/mlflow/logged-models", WRITE, "DELETE /{model_id}", "DELETE /{model_id}/tags/{tag_key}"),
    # The registry.
    **_below("/mlflow/registered-models", READ, "GET /get", "GET /search", "GET /get-latest-versions", "GET /alias"),
    **_below("/mlflow/registered-models", READ, "POST /get-latest-versions"),
    **_below("/mlflow/registered-models", WRITE, "POST /create", "POST /rename", "PATCH /update", "DELETE /delete"),
    **_below("/mlflow/registered-models", WRITE, "POST /set-tag", "DELETE /delete-tag"),
    **_below("/mlflow/registered-models", WRITE, "POST /alias", "DELETE /alias"),
    **_below("/mlflow/model-versions", READ, "GET /get", "GET /search", "GET /get-download-uri"),
    **_below("/mlflow/model-versions", WRITE, "POST /create", "PATCH /update", "POST /transition-stage"),
    **_below("/mlflow/model-versions", WRITE, "DELETE /delete", "POST /set-tag", "DELETE /delete-tag"),
}
# Of what the door does not keep, every list is empty.
_EMPTY = ("/mlflow/traces", "/mlflow/scorers/", "/mlflow/datasets/")


def needs_of(routes: Sequence[Route | RawRoute]) -> Needs:
    """Return the table of the door."""
    table: dict[str, Need] = {"GET /health": OPEN, "GET /version": OPEN}
    for route in routes:
        found = _need_of(route)
        for place in [""] if route.version is None else [f"{prefix}/{route.version}.0" for prefix in PREFIXES]:
            table[f"{route.method} {place}{route.path}"] = found
    for prefix in PREFIXES:
        table[f"GET {prefix}/3.0/mlflow/server-info"] = EITHER_RUNS
        table |= {f"{page.method} {prefix}{page.path}": EITHER_RUNS for page in PAGES}
    # What is forwarded to MLflow's own server, its pages among it. That server asks the door with a token of its own.
    table |= {f"{method} /{{path:path}}": READ for method in ("GET", "OPTIONS")}
    table |= {f"{method} /{{path:path}}": WRITE for method in ("POST", "PUT", "PATCH", "DELETE")}
    return Needs(table)


def _need_of(route: Route | RawRoute) -> Need:
    if route.path.startswith(_EMPTY):
        return EITHER_RUNS
    return _ROWS.get(f"{route.method} {route.path}", ADMIN)
