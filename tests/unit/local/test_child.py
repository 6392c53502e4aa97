"""One supervised service, with real small processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import psutil
import pytest

from gateway.local.command import Command
from gateway.local.home import Home, ProcessRecord
from gateway.local.supervision import child as child_module
from gateway.local.supervision.child import Child
from gateway.local.supervision.metrics import Metrics
from gateway.local.supervision.orphans import end_orphans
from gateway.local.supervision.services import Service
from schemas.errors import StackError
from schemas.runtime.settings import Settings

DEADLINE_S = 15


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "FIRST_PAUSE_S", 0.01)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Make a child that runs a Python program, ready once its file `ready` exists."""
    home = Home(tmp_path)
    home.create()
    made: list[Child] = []

    def build(program: str, **options: object) -> Child:
        ready = tmp_path / "ready"
        service = Service(
            name="thing",
            prepare=lambda: Command([sys.executable, "-c", program], {"READY": str(ready)}),
            is_ready=ready.exists,
            **options,  # type: ignore[arg-type]  # fields of Service, as each test needs them
        )
        made.append(Child(service, home, Settings.model_construct(home=tmp_path)))
        return made[-1]

    yield build
    for one in made:
        end(one)


def end(child: Child) -> None:
    """End its process, if any."""
    child.stop()
    until(child, lambda: child.state in ("stopped", "failed"))


def until(child: Child, reached: Callable[[], bool]) -> None:
    """Step until a condition holds."""
    deadline = monotonic() + DEADLINE_S
    while not reached():
        assert monotonic() < deadline, child.record()
        child.step(())
        sleep(0.01)


SERVE = "import os, time, pathlib; pathlib.Path(os.environ['READY']).touch(); time.sleep(600)"


def test_it_is_ready_when_it_says_so(make: Callable[..., Child]) -> None:
    child = make(SERVE)
    until(child, lambda: child.state == "ready")

    assert child.record()["pid"] > 0


@pytest.mark.parametrize("how", ["stopped", "died"])
def test_the_ready_file_of_a_process_that_ended_is_gone(make: Callable[..., Child], tmp_path: Path, how: str) -> None:
    child = make(SERVE)
    ready, other = Home(tmp_path).ready_file("thing"), Home(tmp_path).ready_file("another")
    until(child, lambda: child.state == "ready")
    ready.touch()
    other.touch()
    if how == "stopped":
        end(child)
    else:
        os.kill(child.record()["pid"], signal.SIGKILL)
        until(child, lambda: child.deaths == 1)

    assert (ready.exists(), other.exists()) == (False, True)


def test_the_ready_files_that_a_killed_supervisor_left_go_with_its_orphans(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    child: ProcessRecord = {"pid": 0, "create_time": 0.0, "state": "ready", "restarts": 0, "error": "", "log": ""}
    home.write({"version": 1, "running": True, "settings": {}, "ports": {}, "processes": {"live": child}})
    for name in ("live", "not-ours"):
        home.ready_file(name).touch()

    end_orphans(home)

    assert [file.name for file in (tmp_path / "run").iterdir()] == ["not-ours.ready"]


def test_it_waits_for_its_dependencies(make: Callable[..., Child]) -> None:
    child = make(SERVE, needs=("other",))
    child.step(())
    before = child.state
    child.step({"other"})

    assert (before, child.state) == ("waiting", "starting")


def test_a_killed_process_is_started_again(make: Callable[..., Child]) -> None:
    child = make(SERVE)
    until(child, lambda: child.state == "ready")
    first = child.record()["pid"]
    os.kill(first, signal.SIGKILL)
    until(child, lambda: child.restarts == 1 and child.state == "ready")

    assert child.record()["pid"] != first


def test_a_crash_loop_ends_with_name_code_and_last_output(make: Callable[..., Child]) -> None:
    child = make("print('out of cheese'); raise SystemExit(3)")
    until(child, lambda: child.state == "failed")

    assert child.restarts == child_module.DEATHS_ALLOWED - 1
    assert "thing ended with code 3" in child.error
    assert "out of cheese" in child.error
    assert "gateway logs thing" in child.error


def test_a_crash_loop_is_counted_and_rendering_twice_counts_nothing_twice(make: Callable[..., Child]) -> None:
    child = make("raise SystemExit(3)")
    metrics = Metrics(["thing"])
    before = metrics.render([child])
    until(child, lambda: child.state == "failed")
    metrics.render([child])
    after = metrics.render([child])

    assert b'gateway_service_given_up{service="thing"} 0.0' in before
    assert b'gateway_service_given_up{service="thing"} 1.0' in after
    assert f'gateway_service_deaths_total{{service="thing"}} {child_module.DEATHS_ALLOWED}.0'.encode() in after
    assert f'gateway_service_restarts_total{{service="thing"}} {child_module.DEATHS_ALLOWED - 1}.0'.encode() in after
    assert b'gateway_service_ready{service="thing"} 0.0' in after


def test_a_refusal_is_not_retried(make: Callable[..., Child]) -> None:
    child = make("print('gateway: wrong password: correct GATEWAY_POSTGRES'); raise SystemExit(78)")
    until(child, lambda: child.state == "failed")

    assert child.restarts == 0
    assert child.error == "wrong password: correct GATEWAY_POSTGRES"


def test_a_service_that_was_given_up_is_retried_on_demand(make: Callable[..., Child], tmp_path: Path) -> None:
    child = make("import os; os.path.exists('fixed') or exit(78);" + SERVE)
    until(child, lambda: child.state == "failed")
    (tmp_path / "fixed").touch()
    child.retry()
    until(child, lambda: child.state == "ready")
    child.retry()

    assert (child.state, child.restarts, child.error) == ("ready", 1, "")


def test_a_process_that_is_not_ready_in_time_counts_as_dead(make: Callable[..., Child]) -> None:
    child = make("import time; time.sleep(600)", ready_timeout_s=0.3)
    until(child, lambda: child.state == "restarting")

    assert "was not ready after" in child.error


def test_a_process_that_does_not_stop_is_killed_with_its_children(make: Callable[..., Child]) -> None:
    program = (
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);" + SERVE
    )
    child = make(program, stop_timeout_s=0.3)
    until(child, lambda: child.state == "ready")
    (grandchild,) = psutil.Process(child.record()["pid"]).children()
    child.stop()
    until(child, lambda: child.state == "stopped")

    psutil.wait_procs([grandchild], timeout=DEADLINE_S)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_a_start_that_is_impossible_says_why(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()

    def refuse() -> Command:
        raise StackError("no Java: install one")

    child = Child(Service(name="thing", prepare=refuse, is_ready=lambda: False), home, Settings.model_construct())
    child.step(())

    assert child.state == "failed"
    assert child.error == "thing cannot start: no Java: install one"


def test_users_settings_do_not_reach_a_child(make: Callable[..., Child], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_NONSENSE", "1")
    monkeypatch.setenv("PGPORT", "1")
    child = make("import os; print(sorted(os.environ)); raise SystemExit(78)", drop_variables=("PG",))
    until(child, lambda: child.state == "failed")

    assert "GATEWAY_HOME" in child.error
    assert "GATEWAY_NONSENSE" not in child.error
    assert "PGPORT" not in child.error
