"""The command line: quick to start, other people's commands, errors in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli import main
from gateway.cli.runs import _event_line
from gateway.cli.stack import _print_consumers
from schemas.errors import StackError

run = CliRunner().invoke


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def install(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    monkeypatch.setattr(main, "_entry_points", lambda: list(points))


def hello(name: str, loud: bool = False) -> None:
    """Greet."""
    typer.echo(f"hello {name.upper() if loud else name}")


def refuse() -> None:
    """Fail with a known error."""
    raise StackError("no cheese: buy some")


def interrupt() -> None:
    """Be interrupted."""
    raise KeyboardInterrupt


def point(name: str, target: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{target}", main.GROUP)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points load by module name; this file has one whatever the import mode."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules[hello.__module__])


def test_help_names_every_command_and_imports_nothing_slow() -> None:
    program = (
        "import sys; from gateway.cli.main import main\n"
        "sys.argv = ['gateway', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'pydantic_settings', 'psutil', 'aiokafka', 'asyncpg', 'httpx', 'mlflow'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert all(f" {name} " in shown for name in ("up", "down", "status", "logs", "doctor", "runs", "demo", "verify"))
    assert shown.splitlines()[-1] == "[]"
    assert "Deliver history to a tracker" in shown
    assert "Show the state of each tracker" in shown
    assert "From tracking-gateway" not in shown


def test_a_command_of_an_entry_point_gets_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, point("hello", "hello"))
    result = run(main.app, ["hello", "--loud", "you"])

    assert (result.exit_code, result.stdout) == (0, "hello YOU\n")


def test_a_command_of_an_entry_point_has_its_own_help(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, point("hello", "hello"))
    result = run(main.app, ["hello", "--help"])

    assert result.exit_code == 0
    assert "--loud" in result.stdout


def test_a_command_that_cannot_be_loaded_names_itself_and_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, EntryPoint("broken", "no_such_module_at_all:command", main.GROUP))
    listed = run(main.app, ["--help"])
    result = run(main.app, ["broken"])

    assert listed.exit_code == 0
    assert result.exit_code == 2
    assert "broken (no_such_module_at_all:command)" in result.stderr
    assert "No module named" in result.stderr


def test_a_known_error_is_one_line_and_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, point("refuse", "refuse"))
    result = run(main.app, ["refuse"])

    assert (result.exit_code, result.stderr) == (2, "gateway: no cheese: buy some\n")


def test_an_interrupt_is_one_line_and_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, point("interrupt", "interrupt"))
    result = run(main.app, ["interrupt"])

    assert (result.exit_code, result.stderr.strip()) == (130, "gateway: interrupted")


def test_an_unknown_setting_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KAFAK", "broker:9092")
    result = run(main.app, ["status", "--home", str(home)])

    assert result.exit_code == 2
    assert "GATEWAY_KAFAK" in result.stderr
    assert result.stderr.count("\n") == 1


def test_doctor_names_an_unknown_setting_and_looks_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KAFAK", "broker:9092")
    result = run(main.app, ["doctor", "--json", "--home", str(home)])
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}

    assert result.exit_code == 1
    assert "GATEWAY_KAFAK" in checks["settings"]["detail"]
    assert checks["java"]["ok"]


def test_doctor_shows_no_password(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_POSTGRES", "postgresql://me:hunter2@127.0.0.1:1/db")
    result = run(main.app, ["doctor", "--home", str(home)])

    assert result.exit_code == 1
    assert "me:***@127.0.0.1:1" in result.stdout
    assert "hunter2" not in result.output


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
    }


def test_down_of_a_home_that_never_ran_is_no_error(home: Path) -> None:
    result = run(main.app, ["down", "--json", "--home", str(home)])

    assert (result.exit_code, json.loads(result.stdout)) == (0, {"home": str(home), "ended": False})
    assert not home.exists()


def test_runs_without_an_api_names_its_address(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_LIVE_URL", "http://127.0.0.1:1")
    result = run(main.app, ["runs", "list", "--home", str(home)])

    assert result.exit_code == 2
    assert "http://127.0.0.1:1" in result.stderr
    assert "gateway up" in result.stderr


def test_a_port_that_is_no_number_is_refused(home: Path) -> None:
    result = run(main.app, ["up", "--port", "live=http", "--home", str(home)])

    assert result.exit_code == 2
    assert "--port live=http" in result.stderr


def test_logs_of_an_unknown_process_names_those_there_are(home: Path) -> None:
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "kafka.log").write_text("hello\n")
    wrong = run(main.app, ["logs", "kafak", "--home", str(home)])
    right = run(main.app, ["logs", "kafka", "--home", str(home)])

    assert wrong.exit_code == 2
    assert "kafka" in wrong.stderr
    assert right.stdout == "hello\n"


def test_an_event_is_one_line() -> None:
    event = {
        "run_id": "r",
        "kind": "metrics",
        "time": 1_700_000_000_000_000,
        "series": [{"name": "loss", "points": [[1, 0, 0.5], [2, 0, 0.25]]}],
    }

    assert _event_line(event).endswith("metrics  loss[2]=0.25 (2 points)")


def test_status_names_the_newest_parked_record_and_lets_nothing_of_it_drive_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    newest = {"id": "log:0:7", "run": "r", "kind": "NotAnEvent", "reason": "ce_type '[red]\x1b[2J'", "time": 0}

    _print_consumers({"lag": [], "dead_letters": 3, "newest_dead_letter": newest, "deliveries": []})

    said = capsys.readouterr().out
    assert said == (
        "parked records: 3, newest log:0:7 (NotAnEvent: ce_type '[red]?[2J'): see `gateway dead-letters list`\n"
    )
