"""
What MLflow's own client can do, feature by feature: `python mlflow_features_script.py FOLDER URL...`.

Prints a list with one object a server: what each feature saw, without ids and times, so that what two servers do can
be compared.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
from click.testing import CliRunner
from mlflow.cli import cli
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.tracking import MlflowClient

NAME = f"features-{os.getpid()}-{time.time_ns()}"
CLIENT: MlflowClient  # of the server that is looked at
LATER_S = 30.0


def main(folder: Path, urls: list[str]) -> None:
    """Run every feature on each server, in an experiment of its own."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    sys.stdout.write(json.dumps([_seen(folder / str(number), url) for number, url in enumerate(urls)]) + "\n")


def _seen(folder: Path, url: str) -> dict[str, Any]:
    global CLIENT
    folder.mkdir()
    os.chdir(folder)
    mlflow.set_tracking_uri(url)
    os.environ["MLFLOW_TRACKING_URI"] = url  # for the commands
    CLIENT = MlflowClient()
    seen = {}
    for feature in FEATURES:
        mlflow.set_experiment(f"{NAME}-{feature.__name__}")
        try:
            seen[feature.__name__] = _without_ids(feature())
        except Exception as error:  # noqa: BLE001 - a test shows it; the next feature follows
            seen[feature.__name__] = f"{url}: {error!r}"
        while mlflow.active_run():
            mlflow.end_run()
    return seen


def _without_ids(value: Any) -> Any:
    """Return a value without what differs from server to server: ids, times, the name of the experiment."""
    if isinstance(value, dict):
        return {key: _without_ids(one) for key, one in value.items() if key not in ("mlflow.source.git.commit",)}
    if isinstance(value, list | tuple):
        return [_without_ids(one) for one in value]
    if isinstance(value, str):
        value = re.sub(r"\b[0-9a-f]{32}\b", "<run>", value.replace(NAME, "<name>"))
        value = re.sub(r"mlflow-artifacts:/\d+/", "mlflow-artifacts:/<experiment>/", value)
        return re.sub(r"\b1[789]\d{11}\b", "<time>", value)
    return value


def _shown(run_id: str) -> dict[str, Any]:
    """Return what the client reads of a run."""
    run = CLIENT.get_run(run_id)
    info = run.info
    return {"name": info.run_name, "status": info.status, "stage": info.lifecycle_stage, "artifacts": info.artifact_uri,
            "ended": info.end_time is not None or info.status == "RUNNING", "params": run.data.params,
            "metrics": run.data.metrics,
            "tags": dict(sorted(run.data.tags.items()))}  # fmt: skip


def nested() -> Any:
    with mlflow.start_run(run_name="parent") as parent:
        mlflow.log_param("a", 1)
        for number in range(2):
            with mlflow.start_run(run_name=f"child{number}", nested=True) as child:
                mlflow.log_metric("m", number)
        with mlflow.start_run(run_name="by id", parent_run_id=parent.info.run_id, nested=True):
            pass
    where = f"tags.mlflow.parentRunId = '{parent.info.run_id}'"
    found = mlflow.search_runs(filter_string=where, order_by=["attributes.run_name"], output_format="list")
    same = CLIENT.get_run(child.info.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id
    return [same, [run.info.run_name for run in found], _shown(parent.info.run_id),
            CLIENT.get_parent_run(child.info.run_id).info.run_name]  # fmt: skip


def resumed() -> Any:
    with mlflow.start_run(run_name="r", tags={"k": "v"}, description="words") as run:
        mlflow.log_param("p", 1)
    before = _shown(run.info.run_id)
    with mlflow.start_run(run_id=run.info.run_id):
        during = _shown(run.info.run_id)
        mlflow.log_metric("m", 1, step=3)
        mlflow.log_param("q", 2)
    after = _shown(run.info.run_id)
    os.environ["MLFLOW_RUN_ID"] = run.info.run_id
    with mlflow.start_run():
        mlflow.set_tag("from", "environment")
    os.environ.pop("MLFLOW_RUN_ID", None)
    return [before, during, after, _shown(run.info.run_id)]


def ended() -> Any:
    found = []
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        try:
            with mlflow.start_run(run_name=error.__name__) as run:
                raise error("stop")
        except BaseException:  # noqa: BLE001 - as the errors above
            found.append(_shown(run.info.run_id)["status"])
    for status in ("KILLED", "FAILED", "FINISHED"):
        run = CLIENT.create_run(mlflow.get_experiment_by_name(f"{NAME}-ended").experiment_id, run_name=status)
        CLIENT.set_terminated(run.info.run_id, status)
        found.append(_shown(run.info.run_id)["status"])
    CLIENT.update_run(run.info.run_id, status="RUNNING", name="again")
    return [*found, _shown(run.info.run_id)]


def asynchronous() -> Any:
    with mlflow.start_run(run_name="r") as run:
        for step in range(50):
            mlflow.log_metric("m", step / 10, step=step, synchronous=False)
        mlflow.log_params({"a": 1, "b": 2}, synchronous=False)
        mlflow.set_tag("t", "v", synchronous=False).wait()
        mlflow.log_metrics({"x": 1.0, "y": float("nan")}, step=1, synchronous=False).wait()
        mlflow.flush_async_logging()
        history = CLIENT.get_metric_history(run.info.run_id, "m")
        found = [(one.step, one.value) for one in history]
    shown = _shown(run.info.run_id)
    shown["metrics"]["y"] = str(shown["metrics"]["y"])
    return [found, shown]


def system_metrics() -> Any:
    mlflow.set_system_metrics_sampling_interval(0.05)
    mlflow.set_system_metrics_samples_before_logging(1)
    with mlflow.start_run(run_name="r", log_system_metrics=True) as run:
        _until(lambda: len(CLIENT.get_metric_history(run.info.run_id, "system/cpu_utilization_percentage")) > 2)
    names = CLIENT.get_run(run.info.run_id).data.metrics
    return sorted(name for name in names if "gpu" not in name)


def _codes(*calls: Callable[[], Any]) -> list[str]:
    """Return the code of the error that each call raises."""
    found = []
    for call in calls:
        try:
            call()
        except mlflow.MlflowException as error:
            found.append(error.error_code)
    return found


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LATER_S
    while not holds():
        assert time.monotonic() < end, "it never held"
        time.sleep(0.05)


def searched() -> Any:
    for number in range(5):
        with mlflow.start_run(run_name=f"r{number}", tags={"odd": str(number % 2)}):
            mlflow.log_params({"lr": 0.1 * number, "model": "rf" if number % 2 else "svm"})
            mlflow.log_metrics({"acc": number / 4})
    table = mlflow.search_runs(filter_string="metrics.acc > 0.2 and params.model = 'rf'", order_by=["metrics.acc DESC"])
    columns = sorted(table.columns)
    rows = table[["metrics.acc", "params.lr", "params.model", "tags.odd", "status", "tags.mlflow.runName"]]
    asked = {
        text: sorted(mlflow.search_runs(filter_string=text)["tags.mlflow.runName"])
        for text in ("attributes.status = 'FINISHED'", "run_name LIKE 'r%'", "tags.odd = '1'", "params.lr != '0.2'",
                     "attributes.run_name ILIKE 'R1'", "metrics.acc <= 0.5", "start_time > 0")
    }  # fmt: skip
    pages, token = [], None
    identity = mlflow.get_experiment_by_name(f"{NAME}-searched").experiment_id
    while True:
        page = CLIENT.search_runs([identity], max_results=2, order_by=["attributes.run_name ASC"], page_token=token)
        pages.append([run.info.run_name for run in page])
        token = page.token
        if not token:
            break
    everywhere = mlflow.search_runs(search_all_experiments=True, filter_string="tags.odd = '1'", max_results=1)
    return [columns, json.loads(rows.to_json(orient="values")), asked, pages, len(everywhere)]


def experiments() -> Any:
    identity = mlflow.create_experiment(f"{NAME}-one", tags={"team": "a"})
    CLIENT.set_experiment_tag(identity, "more", "b")
    if hasattr(CLIENT, "delete_experiment_tag"):  # since MLflow 3.2
        CLIENT.set_experiment_tag(identity, "gone", "c")
        CLIENT.delete_experiment_tag(identity, "gone")
    CLIENT.rename_experiment(identity, f"{NAME}-two")
    active = CLIENT.get_experiment(identity)
    mlflow.delete_experiment(identity)
    deleted = CLIENT.get_experiment(identity).lifecycle_stage
    where = f"name LIKE '{NAME}-two'"
    views = [len(mlflow.search_experiments(view_type=view, filter_string=where))
             for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY, ViewType.ALL)]  # fmt: skip
    CLIENT.restore_experiment(identity)
    tagged = mlflow.search_experiments(filter_string=f"tags.team = 'a' and {where}", order_by=["name DESC"])
    errors = _codes(
        lambda: mlflow.create_experiment(f"{NAME}-two"),
        lambda: CLIENT.get_experiment("123456"),
        lambda: CLIENT.rename_experiment(identity, "Default"),
    )
    return [active.name, active.tags, active.lifecycle_stage, deleted, views, [one.name for one in tagged], errors,
            active.artifact_location.replace(f"/{identity}", "/<id>")]  # fmt: skip


def client_calls() -> Any:
    identity = mlflow.get_experiment_by_name(f"{NAME}-client_calls").experiment_id
    run_id = CLIENT.create_run(identity, start_time=1000, tags={"a": "b"}, run_name="r").info.run_id
    CLIENT.log_batch(run_id, metrics=[Metric("m", 1.5, 2000, 1), Metric("m", float("inf"), 2001, 2), Metric("n", -2.0,
          1, 0)],
                     params=[Param("p", "1")], tags=[RunTag("t", "x")])  # fmt: skip
    CLIENT.log_param(run_id, "p", "1")
    errors = _codes(
        lambda: CLIENT.log_param(run_id, "p", "2"),
        lambda: CLIENT.log_metric(run_id, "bad!", 1),
        lambda: CLIENT.delete_tag(run_id, "absent"),
        lambda: CLIENT.get_run("0" * 32),
    )
    CLIENT.set_tag(run_id, "gone", "x")
    CLIENT.delete_tag(run_id, "gone")
    history = [(one.step, one.timestamp, str(one.value)) for one in CLIENT.get_metric_history(run_id, "m")]
    CLIENT.delete_run(run_id)
    stage = CLIENT.get_run(run_id).info.lifecycle_stage
    errors += _codes(lambda: CLIENT.log_metric(run_id, "m", 1))
    CLIENT.restore_run(run_id)
    shown = _shown(run_id)
    shown["metrics"] = {key: str(value) for key, value in shown["metrics"].items()}
    return [history, stage, errors, shown, CLIENT.get_run(run_id).info.start_time]


def together() -> Any:
    with mlflow.start_run(run_name="r") as run:
        run_id = run.info.run_id

        def write(writer: str) -> None:
            for step in range(20):
                CLIENT.log_metric(run_id, writer, step, step=step)
            CLIENT.log_param(run_id, writer, writer)

        writers: list[Any] = [threading.Thread(target=write, args=(f"thread{number}",)) for number in range(3)]
        fork = multiprocessing.get_context("fork")
        writers += [fork.Process(target=write, args=(f"process{number}",)) for number in range(2)]
        for one in reversed(writers):  # the processes first: a fork keeps no thread
            one.start()
        for one in writers:
            one.join()
    shown = _shown(run_id)
    return [shown, {key: len(CLIENT.get_metric_history(run_id, key)) for key in sorted(shown["metrics"])}]


def files() -> Any:
    Path("folder/inner").mkdir(parents=True)
    Path("folder/a.txt").write_text("a")
    Path("folder/inner/ü b.txt").write_text("b")
    with mlflow.start_run(run_name="r") as run:
        mlflow.log_text("words", "notes/text.txt")
        mlflow.log_dict({"a": [1]}, "data.json")
        mlflow.log_artifacts("folder", artifact_path="here")
        mlflow.log_artifact("folder/a.txt")
        uri = mlflow.get_artifact_uri("notes/text.txt")
    run_id = run.info.run_id
    paths = [[(one.path, one.is_dir, one.file_size) for one in CLIENT.list_artifacts(run_id, path)]
             for path in (None, "here", "here/inner", "nothing")]  # fmt: skip
    local = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="here", dst_path="down")
    found = sorted(str(one.relative_to(local)) for one in Path(local).rglob("*"))
    return [uri, paths, found, mlflow.artifacts.load_text(f"runs:/{run_id}/notes/text.txt"),
            mlflow.artifacts.load_dict(f"runs:/{run_id}/data.json")]  # fmt: skip


def commands() -> Any:
    """`mlflow experiments`, `runs` and `artifacts`, as the command line runs them."""

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, (arguments, done.output, done.exception)
        return done.output

    identity = run("experiments", "create", "-n", f"{NAME}-cli").split()[-1]
    run("experiments", "rename", "-x", identity, "--new-name", f"{NAME}-cli2")
    run("experiments", "delete", "-x", identity)
    deleted = f"{NAME}-cli2" in run("experiments", "search", "--view", "deleted_only")
    run("experiments", "restore", "-x", identity)
    active = f"{NAME}-cli2" in run("experiments", "search")
    run_id = CLIENT.create_run(identity, run_name="cli").info.run_id
    CLIENT.log_metric(run_id, "m", 1.5, timestamp=1)
    CLIENT.set_terminated(run_id, end_time=5)
    Path("one.txt").write_text("1")
    run("artifacts", "log-artifact", "--local-file", "one.txt", "--run-id", run_id, "--artifact-path", "sub")
    run("artifacts", "log-artifacts", "--local-dir", "folder", "--run-id", run_id)
    listed = json.loads(run("artifacts", "list", "--run-id", run_id))
    local = (
        run("artifacts", "download", "--run-id", run_id, "--artifact-path", "sub", "-d", "cli").strip().splitlines()[-1]
    )
    csv = run("experiments", "csv", "-x", identity)
    described = json.loads(run("runs", "describe", "--run-id", run_id))
    described["info"] = sorted(described["info"])
    table = run("runs", "list", "--experiment-id", identity)
    run("runs", "delete", "--run-id", run_id)
    gone = run_id in run("runs", "list", "--experiment-id", identity, "--view", "deleted_only")
    run("runs", "restore", "--run-id", run_id)
    return [deleted, active, listed, sorted(one.name for one in Path(local).iterdir()), csv.splitlines()[0],
          csv.count(run_id), described["data"],
            described["info"], "cli" in table, run_id in table, gone]  # fmt: skip


FEATURES = (nested, resumed, ended, asynchronous, system_metrics, searched, experiments, client_calls, together, files,
            commands)  # fmt: skip

if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
