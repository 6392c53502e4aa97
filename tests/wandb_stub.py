"""
A loopback stand-in for W&B's server: enough GraphQL and file-stream for the real `wandb sync` to upload a run.

It answers every question with the least that the client accepts and keeps what was streamed.
"""

from __future__ import annotations

import gzip
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


@dataclass
class Uploads:
    """What the server was told, by run id."""

    url: str = ""
    runs: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    lines: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    exit_codes: dict[str, int] = field(default_factory=dict)
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)

    def history(self, run_id: str) -> list[dict[str, Any]]:
        """Return the history rows of a run in line order; bare NaN and Infinity become floats."""
        lines = self.lines[run_id]
        return [json.loads(lines[number], parse_int=_integer) for number in sorted(lines)]


def _integer(text: str) -> float | int:
    return -0.0 if text == "-0" else int(text)  # Go writes the float -0.0 as -0


@contextmanager
def wandb_server() -> Iterator[Uploads]:
    """Serve on a free loopback port until the end of the block."""
    uploads = Uploads()

    class Handler(_Handler):
        kept = uploads

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    uploads.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield uploads
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    kept: Uploads
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/graphql":
            self._answer({"data": self._graphql(body)})
        elif self.path.endswith("/file_stream"):
            self._file_stream(body)
            self._answer({})
        else:
            self._answer({})

    def do_PUT(self) -> None:
        self._body()
        self._answer({})

    def do_GET(self) -> None:
        self._answer({})

    def _body(self) -> Any:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        try:
            return json.loads(raw)
        except ValueError:
            return {}

    def _answer(self, value: Any) -> None:
        raw = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _graphql(self, body: dict[str, Any]) -> dict[str, Any]:
        query, given = body.get("query", ""), body.get("variables") or {}
        self.kept.questions.append(query)
        if "upsertBucket" in query:
            return {"upsertBucket": {"bucket": self._upsert(given), "inserted": True}}
        if "createRunFiles" in query:
            files = [{"name": name, "uploadUrl": f"{self.kept.url}/upload"} for name in given.get("files", [])]
            return {"createRunFiles": {"runID": given.get("run", ""), "uploadHeaders": [], "files": files}}
        if "serverInfo" in query:
            return {"serverInfo": {"features": [], "cliVersionInfo": {"max_cli_version": "0.31.0"}}}
        if "viewer" in query:
            return {"viewer": {"id": "1", "entity": "us", "username": "us", "flags": "{}", "teams": {"edges": []}}}
        return {"model": {"bucket": None}, "project": None}

    def _upsert(self, given: dict[str, Any]) -> dict[str, Any]:
        run_id = given["name"]
        self.kept.runs[run_id].update({name: value for name, value in given.items() if value is not None})
        project = {"id": "1", "name": given.get("project"), "entity": {"id": "1", "name": given.get("entity") or "us"}}
        return {
            "id": run_id, "name": run_id, "displayName": given.get("displayName"), "description": "", "config": "{}",
            "sweepName": None, "historyLineCount": 0, "project": project,
        }  # fmt: skip

    def _file_stream(self, body: dict[str, Any]) -> None:
        run_id = unquote(self.path.split("/")[-2])
        files = body.get("files") or {}
        if history := files.get("wandb-history.jsonl"):
            for number, line in enumerate(history["content"], history["offset"]):
                self.kept.lines[run_id][number] = line
        if summary := files.get("wandb-summary.json"):
            self.kept.summaries[run_id] = json.loads(summary["content"][-1])
        if body.get("complete"):
            self.kept.exit_codes[run_id] = body.get("exitcode", 0)
