"""
Query a W&B server about a run, and delete runs there: its GraphQL API, over the standard library.

The queries are those that W&B's own clients send (`RunResumeStatus` and `HistoryPage` of wandb-core 0.31, `DeleteRun`
of `wandb.Api`). They are sent from here because the SDK retries for minutes and reports neither the status nor the
`Retry-After` that it got. Here one query is one request, and its failure says when to come back.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any, NamedTuple

from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.runtime.proxies import bypass_proxies_on_loopback

TIMEOUT_S = 10.0  # of one query
PAGE_ROWS = 500
_RUN = """query GatewayRun($project: String, $entity: String, $name: String!) {
  model(name: $project, entityName: $entity) {
    entity { name }
    bucket(name: $name, missingOk: true) { id state historyLineCount config }
  }
}"""
_HISTORY = """query HistoryPage(
  $entity: String!, $project: String!, $run: String!, $minStep: Int64!, $maxStep: Int64!, $pageSize: Int!
) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { history(minStep: $minStep, maxStep: $maxStep, samples: $pageSize) }
  }
}"""
_DELETE = "mutation DeleteRun($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }"


class RunPath(NamedTuple):
    """The path of a run at the server."""

    entity: str  # "": the default entity of the key
    project: str
    name: str


class ServerRun(NamedTuple):
    """What the server holds of a run."""

    id: str  # as mutations expect it
    entity: str
    state: str  # "running", "finished", "failed", "crashed", "killed", ...
    lines: int  # of history
    config: Mapping[str, Any]


class WandbServer:
    """One server and one key."""

    def __init__(self, url: str, api_key: str) -> None:
        bypass_proxies_on_loopback()  # also for the SDK, which is used together with this class
        self.url = url.rstrip("/")
        self._authorization = f"Basic {base64.b64encode(f'api:{api_key}'.encode()).decode()}"

    def get_run(self, path: RunPath) -> ServerRun | None:
        """Return what the server holds of a run, or None if it has no such run. Raises TrackerUnavailable."""
        variables = {"project": path.project, "entity": path.entity or None, "name": path.name}
        model = self._query(_RUN, variables).get("model") or {}
        bucket = model.get("bucket")
        if not bucket:
            return None
        config = {key: part.get("value") for key, part in json.loads(bucket.get("config") or "{}").items()}
        entity = (model.get("entity") or {}).get("name") or path.entity
        return ServerRun(bucket["id"], entity, bucket.get("state") or "", bucket.get("historyLineCount") or 0, config)

    def history(self, path: RunPath, lines: int) -> Iterator[dict[str, Any]]:
        """
        Yield the first `lines` rows of a run, with one page in memory.

        Raises TrackerUnavailable, TrackerRefused.
        """
        for first in range(0, lines, PAGE_ROWS):
            last = min(lines, first + PAGE_ROWS)
            variables = {"project": path.project, "entity": path.entity, "run": path.name}
            page = variables | {"minStep": first, "maxStep": last, "pageSize": last - first}
            run = (self._query(_HISTORY, page).get("project") or {}).get("run")
            if run is None:
                raise TrackerRefused(f"W&B at {self.url} has no run {path.name!r} any more")
            for line in run["history"]:
                yield json.loads(line) if isinstance(line, str) else line

    def delete_run(self, run: ServerRun) -> None:
        """Delete a run. Raises TrackerUnavailable."""
        self._query(_DELETE, {"id": run.id})

    def _query(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json", "Authorization": self._authorization}
        request = urllib.request.Request(f"{self.url}/graphql", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            with error:  # it holds the connection
                raise self._unavailable(error) from error
        except (OSError, HTTPException, ValueError) as error:
            cause = getattr(error, "reason", error)
            raise TrackerUnavailable(f"W&B at {self.url} cannot be reached ({cause}): check its address") from error
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            quoted = json.dumps(answer)[:300]
            raise TrackerUnavailable(f"W&B at {self.url} does not answer ({quoted}): check its address")
        return data

    def _unavailable(self, error: urllib.error.HTTPError) -> TrackerUnavailable:
        if error.code in (401, 403):
            return TrackerUnavailable(f"W&B at {self.url} refuses the key ({error.code}): set GATEWAY_WANDB_API_KEY")
        seconds = error.headers.get("Retry-After") or error.headers.get("RateLimit-Reset") or ""
        after = float(seconds) if seconds.replace(".", "", 1).isdigit() else None
        text = f"W&B at {self.url} does not take requests now ({error.code} {error.reason})"
        return TrackerUnavailable(text, retry_after_s=after)
