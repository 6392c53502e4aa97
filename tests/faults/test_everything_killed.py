"""SIGKILL of every process of the stack at once, while models train: afterwards all data is as without the kill."""

from __future__ import annotations

import json
from typing import Any

from gateway.local.demo.sweep import Sweep, plan_sweep
from gateway.local.stack import Stack
from schemas.facts import Facts, Point
from tests.support.gateway_command import gateway
from tests.support.materialiser_process import reading, until_complete
from tests.support.process_tree import kill_all, until

CLOCK = 1_700_000_000_000_000  # µs; the base of the times of all events of both sweeps


def sweep(stack: Stack, group: str, pace_ms: float) -> tuple[Sweep, list[dict[str, Any]]]:
    """Return a sweep whose events depend only on its seeds, and the list of its progress reports."""
    folder = stack.home.folder / "ledgers" / group
    folder.mkdir(parents=True, exist_ok=True)
    told: list[dict[str, Any]] = []
    return Sweep(plan_sweep(group, folder, pace_ms=pace_ms, clock=CLOCK), stack.home.folder, told.append), told


def verify(stack: Stack, group: str) -> dict[str, Any]:
    """Return what PostgreSQL and each tracker hold."""
    home = str(stack.home.folder)
    done = gateway("verify", "--group", group, "--wait", "120", "--home", home, "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    places: dict[str, Any] = json.loads(done.stdout)["places"]
    return places


async def stored(stack: Stack, group: str) -> dict[str, tuple[Facts, dict[str, Any]]]:
    """Return the facts and the run log of each run of a group, without the name of the group."""
    found = {}
    async with reading(stack.addresses().postgres) as store:
        for run_id in await store.run_ids(group=group):
            await until_complete(store, [run_id])
            facts = Facts()
            points: list[Point] = [point async for point in store.points(run_id)]
            facts.add_run("same", points, len(await store.params(run_id)))
            log = await store.run_log(run_id)
            assert log is not None
            steps = {name: (step.status, step.user_defined_metrics) for name, step in log.steps.items()}
            complete = [(one.received == one.expected, one.missing, one.dropped_points) for one in log.completeness]
            same = {"status": log.status, "parameters": log.parameters, "steps": steps, "complete": complete}
            found[run_id.removeprefix(group)] = (facts, same)
    return found


async def test_killing_every_process_at_once_while_models_train_changes_nothing(whole_stack: Stack) -> None:
    calm, _ = sweep(whole_stack, "calm", pace_ms=0)
    with calm:
        calm_emitted = calm.wait()
    hurt, told = sweep(whole_stack, "hurt", pace_ms=25)
    with hurt:
        until(
            lambda: sum(1 for line in told if line.get("step", 0) >= 30) >= 4, "four models in the middle of training"
        )
        trainers = hurt.pids()
        killed = kill_all(whole_stack.home.folder, but=trainers)
        assert len(trainers) >= 2, "the training processes had ended"
        whole_stack.up()
        hurt_emitted = hurt.wait()

    places = verify(whole_stack, "hurt")
    calm_runs, hurt_runs = await stored(whole_stack, "calm"), await stored(whole_stack, "hurt")

    assert killed >= 8
    assert (hurt_emitted.runs, hurt_emitted.points) == (calm_emitted.runs, calm_emitted.points)
    assert places == dict.fromkeys(["postgresql", "mlflow", "wandb"], hurt_emitted.to_json())
    assert hurt_runs == calm_runs
