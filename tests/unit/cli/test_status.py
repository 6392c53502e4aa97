"""`gateway status`: what it shows when something does not answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import psutil
import pytest
from typer.testing import CliRunner

from gateway.cli import main
from gateway.cli.status import full_status, lag_by_consumer, print_consumers
from gateway.console import with_home
from gateway.local import stack
from gateway.local.home import SUPERVISOR, Home, ProcessRecord

run = CliRunner().invoke


def test_status_of_a_home_that_never_ran(home: Path) -> None:
    result = run(main.app, ["status", "--json", "--home", str(home)])

    assert json.loads(result.stdout) == {
        "running": False,
        "home": str(home),
        "addresses": {},
        "services": {},
        "lag": None,
        "dead_letters": None,
        "newest_dead_letter": None,
        "deliveries": None,
        "supervisor": None,
        "problems": [],
    }


def test_status_names_the_newest_parked_record_and_masks_what_could_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    newest = {"id": "log:0:7", "run": "r", "kind": "NotAnEvent", "reason": "ce_type '[red]\x1b[2J'", "time": 0}

    print_consumers({"running": True, "lag": [], "dead_letters": 3, "newest_dead_letter": newest, "deliveries": []})

    shown = capsys.readouterr().out
    assert shown == (
        "dead letters: 3, newest log:0:7 (NotAnEvent: ce_type '[red]?[2J'): see `gateway dead-letters list`\n"
    )


def test_status_masks_what_could_steer_the_terminal_in_the_error_of_a_tracker(
    capsys: pytest.CaptureFixture[str],
) -> None:
    delivery = {"tracker": "mlflow", "state": "running", "runs": 1, "parked": 1, "last_error": "no\x1b[2J such run"}

    print_consumers(
        {"running": True, "lag": [], "dead_letters": 0, "newest_dead_letter": None, "deliveries": [delivery]}
    )

    assert "last error: no?[2J such run: see `gateway trackers show mlflow`" in capsys.readouterr().out


class Answers(BaseHTTPRequestHandler):
    """The answers of the API and of the probes of one process."""

    given: ClassVar[dict[str, tuple[int, dict[str, Any]]]]

    def do_GET(self) -> None:
        """Answer one request."""
        code, document = self.given[self.path]
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing."""


STATUS: dict[str, Any] = {"lag": [], "dead_letters": 0, "newest_dead_letter": None, "deliveries": [], "problems": []}


@pytest.fixture
def answers() -> Iterator[tuple[int, dict[str, tuple[int, dict[str, Any]]]]]:
    """The port of a server, and what it answers by path."""

    class Given(Answers):
        given: ClassVar[dict[str, tuple[int, dict[str, Any]]]] = {}

    with ThreadingHTTPServer(("127.0.0.1", 0), Given) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server.server_port, Given.given
        server.shutdown()
        thread.join()


def running(home: Path, port: int, metrics_port: int = 0, **settings: object) -> stack.Stack:
    """Return a stack whose supervisor is this process, and whose API and probes are at these ports."""
    Home(home).create()
    me = psutil.Process()
    ready: ProcessRecord = {
        "pid": me.pid, "create_time": me.create_time(), "state": "ready", "restarts": 0, "error": "", "log": "",
    }  # fmt: skip
    Home(home).write(
        {
            "version": 1,
            "running": True,
            "settings": {"live_port": port, **USUAL, **settings},
            "ports": {"live-metrics": metrics_port},
            "processes": {SUPERVISOR: ready, "live": ready},
        }
    )
    return stack.Stack(home)


USUAL: dict[str, Any] = {
    "live_host": "127.0.0.1", "live_url": "", "ingest_host": "h", "ingest_port": 1, "ingest_cert": None, "kafka": "",
    "mlflow_url": "", "postgres": "", "wandb_dir": None,
}  # fmt: skip


def test_what_is_unknown_is_never_shown_as_0(capsys: pytest.CaptureFixture[str]) -> None:
    parts: list[dict[str, Any]] = [{"consumer": "materialiser", "lag": None}, {"consumer": "materialiser", "lag": 3}]
    known: list[dict[str, Any]] = [{"consumer": "delivery/x", "lag": 2}, {"consumer": "delivery/x", "lag": 3}]

    assert lag_by_consumer(parts + known) == {"materialiser": None, "delivery/x": 5}

    print_consumers(STATUS | {"running": True, "lag": parts, "dead_letters": None})
    print_consumers(STATUS | {"running": True, "lag": None, "dead_letters": None, "deliveries": None})
    shown = capsys.readouterr().out
    assert "materialiser: ? records behind\ndead letters: ?\n" in shown
    assert "consumers: ?\n" in shown


def test_an_api_that_does_not_answer_is_a_problem_that_is_named(home: Path) -> None:
    facts = full_status(running(home, 1))

    assert (facts["lag"], facts["deliveries"]) == (None, None)
    assert "lag, dead letters and trackers are unknown: the API at http://127.0.0.1:1" in facts["problems"][0]


def test_what_the_api_could_not_read_is_passed_on(home: Path, answers: Any) -> None:
    port, given = answers
    given["/v1/status"] = (200, STATUS | {"problems": ["the state of the trackers: a table is locked"]})
    stack = running(home, port)
    partly = full_status(stack)
    given["/v1/status"] = (503, {"error": "PostgreSQL is away", "next": "wait"})
    without = full_status(stack)

    assert (partly["lag"], partly["problems"]) == ([], ["the state of the trackers: a table is locked"])
    assert without["problems"] == ["lag, dead letters and trackers are unknown: PostgreSQL is away"]


@pytest.mark.parametrize(
    ("healthz", "readyz", "shown"),
    [
        ((200, {}), (200, {}), ("ready", "")),
        ((200, {}), (503, {"why": "Kafka is away"}), ("waiting", "Kafka is away")),
        ((503, {"why": "nothing moved"}), (503, {"why": "x"}), ("stuck", "nothing moved")),
    ],
)
def test_a_process_is_ready_when_it_says_so_itself(
    home: Path, answers: Any, healthz: object, readyz: object, shown: tuple[str, str]
) -> None:
    port, given = answers
    given.update({"/v1/status": (200, STATUS), "/healthz": healthz, "/readyz": readyz})

    live = full_status(running(home, port, port))["services"]["live"]

    assert (live["state"], live["error"]) == shown


def test_settings_that_the_running_stack_does_not_have_are_named(
    home: Path, answers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, given = answers
    given["/v1/status"] = (200, STATUS)
    stack = running(home, port, trackers=["mlflow"], token="secret-1", batch_records=500)
    monkeypatch.setenv("GATEWAY_BATCH_RECORDS", "500")
    same = full_status(stack)["problems"]
    monkeypatch.setenv("GATEWAY_TRACKERS", "mlflow,tensorboard")
    monkeypatch.setenv("GATEWAY_TOKEN", "secret-2")
    result = run(main.app, ["status", "--json", "--home", str(home)])

    assert same == []
    (line,) = json.loads(result.stdout)["problems"]
    assert line.startswith("GATEWAY_TOKEN, GATEWAY_TRACKERS differ from what the running stack was started with")
    assert "secret" not in result.stdout
    assert f"`gateway down --home {home}`, then `gateway up --home {home}`" in result.stderr


def test_advice_names_the_home_that_the_command_was_given(home: Path) -> None:
    result = run(main.app, ["logs", "kafka", "--home", str(home)])

    assert f"run `gateway up --home {home}` first" in result.stderr
    assert with_home("run `gateway down` or `gateway up --home x`", "a b") == (
        "run `gateway down --home 'a b'` or `gateway up --home x`"
    )
