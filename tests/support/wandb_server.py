"""
A loopback stand-in for W&B's server: its GraphQL and its file stream, as far as wandb 0.31 asks for them.

History lines are kept by number, as the real server does: a line that is sent again at the same number takes the
place of the one before. What would be harm is counted: lines that came again with other content, and lines that left
a gap. Faults come on request: a status with headers, a connection cut before or after the effect, slowness, and the
whole server away and back on the same port.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import re
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

ENTITY = "us"
_OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)")
_CHANGED = {
    "displayName": "displayName", "notes": "notes", "groupName": "group", "tags": "tags", "jobType": "jobType",
}  # fmt: skip


@dataclass
class Fault:
    """A fault for the next `times` requests whose path or operation contains `where`."""

    where: str
    times: int = 1
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: str = ""  # close the connection "before" or "after" the effect
    delay_s: float = 0.0


@dataclass
class Run:
    """A run as the server stores it."""

    name: str
    project: str
    entity: str
    state: str = "running"
    config: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    lines: dict[int, str] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    changed_lines: int = 0  # sent again with different content
    gaps: int = 0  # lines that arrived before lines with lower numbers

    @property
    def id(self) -> str:
        """The id that mutations use."""
        return base64.b64encode(f"Run:v1:{self.name}:{self.project}:{self.entity}".encode()).decode()

    def take(self, offset: int, content: list[str]) -> None:
        """Store history lines by number."""
        for number, line in enumerate(content, offset):
            if number in self.lines and _essence(self.lines[number]) != _essence(line):
                self.changed_lines += 1
            if number > len(self.lines):
                self.gaps += 1
            self.lines[number] = line

    def rows(self) -> list[dict[str, Any]]:
        """Return the history in the order of the lines; bare NaN and Infinity become floats."""
        return [json.loads(self.lines[number], parse_int=_integer) for number in sorted(self.lines)]


class WandbServer:
    """A server that keeps its port and its data when it is stopped and started again."""

    def __init__(self) -> None:
        self.stored: dict[str, Run] = {}
        self.deleted: set[str] = set()
        self.runs: dict[str, dict[str, Any]] = defaultdict(dict)  # the last `UpsertBucket`, by run
        self.operations: list[str] = []
        self.posts: dict[str, int] = defaultdict(int)  # number of file-stream requests that took effect, by run
        self.met: list[Fault] = []  # faults that requests have had, appended before the effect
        self.done = 0  # number of those that are over
        self._faults: list[Fault] = []
        self._lock = threading.RLock()
        self._server: _Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start serving, on the same port as before if there was one."""
        self._server = _Server(("127.0.0.1", self.port), self)
        self.port = self._server.server_port
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()

    def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.cut_connections()
            self._server = None

    def fail(self, where: str, times: int = 1, **what: Any) -> None:
        """Inject a fault; see Fault."""
        with self._lock:
            self._faults.append(Fault(where, times, **what))

    def heal(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def fault_of(self, what: str) -> Fault | None:
        """Count this request and return its fault, if any."""
        with self._lock:
            for fault in self._faults:
                if fault.where in what and fault.times > 0:
                    fault.times -= 1
                    self.met.append(fault)
                    return fault
        return None

    def history(self, name: str) -> list[dict[str, Any]]:
        """Return the history rows of a run; empty if there is no such run."""
        with self._lock:
            return self.stored[name].rows() if name in self.stored else []

    @property
    def exit_codes(self) -> dict[str, int]:
        """Return the exit codes of complete runs, by run."""
        return {name: run.exit_code for name, run in self.stored.items() if run.exit_code is not None}

    @property
    def summaries(self) -> dict[str, dict[str, Any]]:
        """Return the summaries by run."""
        return {name: run.summary for name, run in self.stored.items()}

    def ask(self, query: str, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and body of the response to a GraphQL request."""
        found = _OPERATION.search(query)
        operation = found[1] if found else ""
        with self._lock:
            self.operations.append(operation)
            if operation == "UpsertBucket" and given.get("name") in self.deleted:
                text = f"run {given['name']} was previously created and deleted; try a new run name"
                return 409, {"errors": [{"message": text}], "data": {"upsertBucket": None}}
            answer = getattr(self, f"_on_{operation.lower()}", None)
            return 200, {"data": answer(given) if answer else {}}

    def stream(self, name: str, body: dict[str, Any]) -> int:
        """Process a request of the file stream; return its status."""
        with self._lock:
            self.posts[name] += 1
            run = self.stored.get(name)
            if run is None:
                return 404
            files = body.get("files") or {}
            if history := files.get("wandb-history.jsonl"):
                run.take(history["offset"], history["content"])
            if summary := files.get("wandb-summary.json"):
                run.summary = json.loads(summary["content"][-1])
            if body.get("complete"):  # a late request does not reopen the run; UpsertBucket does
                run.exit_code = body.get("exitcode", 0)
                run.state = "failed" if run.exit_code else "finished"
            return 200

    def _find(self, given: Mapping[str, Any]) -> Run | None:
        run = self.stored.get(given.get("name") or given.get("run") or given.get("runName") or "")
        if run is None or run.project != given.get("project") or (given.get("entity") or ENTITY) != run.entity:
            return None
        return run

    def _on_upsertbucket(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given["name"]
        is_new = name not in self.stored
        entity, project = given.get("entity") or ENTITY, given.get("project") or "uncategorized"
        run = self.stored.setdefault(name, Run(name, project, entity))
        self.runs[name].update({key: value for key, value in given.items() if value is not None})
        run.facts |= {ours: given[theirs] for theirs, ours in _CHANGED.items() if given.get(theirs) is not None}
        if given.get("config") is not None:
            run.config = json.loads(given["config"])
        if given.get("summaryMetrics") is not None:
            run.summary = json.loads(given["summaryMetrics"])
        run.state = given.get("state") or "running"
        where = {"id": "1", "name": project, "entity": {"id": "1", "name": entity}}
        bucket = {
            "id": run.id, "name": name, "displayName": run.facts.get("displayName"), "description": "",
            "config": json.dumps(run.config), "sweepName": None, "project": where,
            # A resumed run also sends its id. Without an id its history starts at line 0 again: the second upload of a
            # run replaces the first (wandb/wandb issues 3841 and 5865).
            "historyLineCount": len(run.lines) if given.get("id") else 0,
        }  # fmt: skip
        return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}

    def _on_runresumestatus(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self._find(given)
        bucket = None
        if run is not None:
            telemetry = run.config.get("_wandb", {}).get("value", {}).get("t")
            bucket = self._fields(run) | {
                "logLineCount": 0, "eventsLineCount": 0, "eventsTail": "[]",
                "historyTail": json.dumps([run.lines[number] for number in sorted(run.lines)[-1:]]),
                "wandbConfig": json.dumps({} if telemetry is None else {"t": telemetry}),
            }  # fmt: skip
        where = {"id": "1", "name": given.get("project"), "entity": {"id": "1", "name": given.get("entity") or ENTITY}}
        return {"model": where | {"bucket": bucket}}

    _on_gatewayrun = _on_runresumestatus

    def _on_run(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self._find(given)
        fields = None
        if run is not None:
            keys = {"lastStep": max(run.lines, default=-1), "keys": {}, "sets": []}
            fields = self._fields(run) | {"historyKeys": keys, "user": {"name": ENTITY, "username": ENTITY}}
        return {"project": {"internalId": "1", "readOnly": False, "run": fields}}

    _on_lightweightrun = _on_runhistorykeys = _on_run

    def _on_getdefaultentity(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "1", "entity": ENTITY}}

    def _on_historypage(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self._find(given)
        if run is None:
            return {"project": {"run": None}}
        page = [run.lines[number] for number in range(given["minStep"], given["maxStep"]) if number in run.lines]
        return {"project": {"run": {"history": page[: given["pageSize"]]}}}

    def _on_runparquethistory(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": []}}}}

    def _on_deleterun(self, given: dict[str, Any]) -> dict[str, Any]:
        for run in [run for run in self.stored.values() if run.id == given["id"]]:
            del self.stored[run.name]
            self.deleted.add(run.name)
        return {"deleteRun": {"clientMutationId": None}}

    def _on_createrunfiles(self, given: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in given.get("files", [])]
        return {"createRunFiles": {"runID": given.get("run", ""), "uploadHeaders": [], "files": files}}

    def _on_serverfeaturesquery(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _on_viewer(self, given: dict[str, Any]) -> dict[str, Any]:
        viewer = {"id": "1", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}", "teams": {"edges": []}}
        return {"viewer": viewer}

    def _fields(self, run: Run) -> dict[str, Any]:
        return {
            "id": run.id, "name": run.name, "state": run.state, "config": json.dumps(run.config), "description": "",
            "summaryMetrics": json.dumps(run.summary), "historyLineCount": len(run.lines), "tags": [], "notes": None,
            "displayName": None, "group": None, "jobType": None, "sweepName": None, "commit": None, "readOnly": False,
            "createdAt": "2026-01-01T00:00:00", "heartbeatAt": "2026-01-01T00:00:00", "systemMetrics": "{}",
        } | run.facts  # fmt: skip


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """Yield a server on a free loopback port; stop it when the block ends."""
    server = WandbServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], kept: WandbServer) -> None:
        self.kept = kept
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that closed their connection."""

    def cut_connections(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self._body()
        fault = self.server.kept.fault_of(self._what(body))
        if fault is not None:
            time.sleep(fault.delay_s)
            if fault.cut == "before":
                return self._cut()
            if fault.status:
                return self._answer(fault.status, {"error": "by request"}, fault.headers)
        status, answer = self._effect(body)
        self.server.kept.done += fault is not None
        if fault is not None and fault.cut == "after":
            return self._cut()
        return self._answer(status, answer)

    def do_PUT(self) -> None:
        self._body()
        self._answer(200, {})

    def do_GET(self) -> None:
        self._answer(200, {})

    def _what(self, body: dict[str, Any]) -> str:
        found = _OPERATION.search(body.get("query", ""))
        return f"{unquote(self.path)} {found[1] if found else ''}"

    def _effect(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        kept = self.server.kept
        if self.path == "/graphql":
            return kept.ask(body.get("query", ""), body.get("variables") or {})
        if self.path.endswith("/file_stream"):
            return kept.stream(unquote(self.path.split("/")[-2]), body), {}
        return 200, {}

    def _body(self) -> Any:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        try:
            return json.loads(raw)
        except ValueError:
            return {}

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        raw = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(raw)


def _integer(text: str) -> float | int:
    return -0.0 if text == "-0" else int(text)  # Go writes the float -0.0 as -0


def _essence(line: str) -> str:
    """Return a line without the fields that the SDK sets at each upload."""
    row = json.loads(line)
    row.pop("_runtime", None)
    return json.dumps(row, sort_keys=True)
