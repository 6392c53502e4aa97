"""
`gateway demo`: run everything end to end on real services, and report each step as it happens.

Start Kafka, PostgreSQL, MLflow and the consumers; train four real models in four processes at once, one of which
fails; then read every number back from PostgreSQL, MLflow and the W&B files and compare it with what the training
processes counted. Nothing shown is remembered: every number of a place was read from that place.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gateway.client.query import get
from gateway.client.stack_file import NoHome, default_home
from gateway.console import ShownProgress, print_json, print_notice
from gateway.local.demo import report
from gateway.local.demo.sweep import Sweep, plan_sweep
from gateway.local.stack import Stack
from schemas.errors import BadSettings, TrackingError
from schemas.facts import Facts

VERIFY_TIMEOUT_S = 120  # for the deliveries to catch up
INTERRUPTED = 130


class Interrupted(Exception):
    """SIGTERM arrived; handled like Ctrl-C."""


def demo_home() -> Path:
    """Return the default home of the demo: next to the user's own home, never the same."""
    try:
        return Path(default_home() + "-demo")
    except NoHome as error:
        raise BadSettings(f"{error}: set GATEWAY_HOME, or name the folder with --home") from error


def run_demo(home: Path | None, keep: bool, as_json: bool) -> int:
    """
    Run the demo and return its exit status: 0 when every place holds the same numbers.

    `keep` leaves the stack running. With `as_json`, one JSON object is all that is written to stdout.
    """
    stack = Stack(home or demo_home())
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        facts = _run(stack, as_json=as_json)
    except (KeyboardInterrupt, Interrupted):
        print_notice("gateway: demo interrupted; ending what it started")
        stack.down()
        return INTERRUPTED
    except BaseException:  # whatever went wrong, nothing that the demo started may keep running
        stack.down()
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)
    if keep:
        stack.keep()
    else:
        print_notice("ending the stack; its data stays")
        stack.down()
    if as_json:
        print_json(facts)
    else:
        dashboard = facts["addresses"]["dashboard"]
        report.print_next_steps(stack.home.folder, dashboard, keep=keep, explicit=home is not None)
    return 0 if facts["agree"] else 1


def _run(stack: Stack, *, as_json: bool) -> dict[str, Any]:
    """Start the stack, train, read everything back, and return what was found."""
    group = f"demo-{time.strftime('%Y%m%d-%H%M%S')}"
    started = time.monotonic()
    print_notice(f"1. Starting real Kafka, PostgreSQL, MLflow and the consumers in {stack.home.folder}")
    with ShownProgress() as progress:
        addresses = stack.up(progress=progress, owner=True)
    up_s = time.monotonic() - started
    print_notice(
        f"   ready after {up_s:.1f} s; watch it live: {addresses.dashboard}   MLflow: {addresses.shown['mlflow']}"
    )
    training = time.monotonic()
    emitted = _train(stack.home.folder, group)
    train_s = time.monotonic() - training
    print_notice("3. Reading every number back: PostgreSQL, MLflow, the W&B files")
    facts = {
        "group": group,
        "home": str(stack.home.folder),
        **_read_back(stack.home.folder, group, emitted, addresses.dashboard),
        "addresses": addresses.shown,
        "seconds": {"up": round(up_s, 1), "training": round(train_s, 1)},
    }
    if not as_json:
        report.print_results(facts)
    return facts


def _train(home: Path, group: str) -> Facts:
    """Train all models at once, and return what they emitted."""
    folder = home / "demo" / group
    folder.mkdir(parents=True, exist_ok=True)
    specs = plan_sweep(group, folder)
    print_notice(
        f"2. Training {len(specs)} models on scikit-learn's digits, {len(specs)} processes at once, one meant to fail"
    )
    with report.SweepProgress(specs) as display, Sweep(specs, home, display.show) as sweep:
        return sweep.wait()


def _read_back(home: Path, group: str, emitted: Facts, api: str) -> dict[str, Any]:
    """Return what each place holds, whether all agree, and the run log of one run."""
    verified = _verify(home, group)
    places = {"emitted": emitted.to_json(), **verified["places"]}
    runs = get(api, "/v1/runs", group=group)["runs"]
    shown_run = next((run for run in runs if run["run_id"].endswith("-steady")), runs[0] if runs else None)
    return {
        "agree": all(facts == places["emitted"] for facts in places.values()),
        "places": places,
        "differences": verified.get("differences", []),
        "runs": [{name: run[name] for name in ("run_id", "name", "state", "message", "points")} for run in runs],
        "run_log": _run_log(home, shown_run["run_id"]) if shown_run else None,
    }


def _verify(home: Path, group: str) -> dict[str, Any]:
    """Run `gateway verify`, as a user would, and return its facts: what it read back from each place."""
    arguments = ["verify", "--group", group, "--wait", str(VERIFY_TIMEOUT_S), "--home", str(home), "--json"]
    done = _gateway(arguments, accepted=(0, 1, 3))
    found: dict[str, Any] = json.loads(done)
    return found


def _run_log(home: Path, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_gateway(["runs", "show", run_id, "--home", str(home), "--json"]))
    return found


def _gateway(arguments: list[str], accepted: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments], stdout=subprocess.PIPE, check=False, text=True
    )
    if done.returncode not in accepted:
        raise TrackingError(f"`gateway {' '.join(arguments)}` ended with {done.returncode}: see its output above")
    return done.stdout


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted
