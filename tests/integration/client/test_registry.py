"""`gateway.experiments` and `gateway.models` on real parts: log, materialiser, PostgreSQL and query API."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

import gateway
from gateway import artifacts, experiments, models
from gateway.cli import main
from gateway.client.encoding.wire import Record
from gateway.client.errors import ClientError
from tests.support.client_harness import raw_log, train
from tests.support.live_process import live_process
from tests.support.materialiser_process import materialiser
from tests.support.process_tree import until
from tests.support.python_process import PythonProcess
from tests.support.rebuild_process import rebuild
from tests.support.server_process import serving

NAME = "a/b versions/3 %2F ü ..?"


@pytest.fixture
def system(servers: dict[str, str], client_variables: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """A materialiser and an API; the settings of this process lead to them."""
    with materialiser(tmp_path, servers), live_process(tmp_path, servers):
        yield client_variables


def log_of(variables: dict[str, str]) -> list[Record]:
    return raw_log(variables["GATEWAY_URL"].removeprefix("kafka://"), variables["GATEWAY_TOPIC"])


def test_the_life_of_an_experiment(system: dict[str, str]) -> None:
    made = experiments.create("digits", description="old", tags={"team": "vision", "draft": "yes"})
    other = experiments.create(NAME, experiment_id="../7")
    assert experiments.get(made.id) == experiments.get_by_name("digits") == experiments.ensure("digits") == made
    assert experiments.get("../7") == experiments.get_by_name(NAME) == other

    experiments.describe(made, "handwritten")
    experiments.set_tags(made, {"draft": "no"})
    changed = experiments.delete_tag(made.id, ["team", "none"])
    assert (changed.description, changed.tags) == ("handwritten", {"draft": "no"})
    with pytest.raises(
        experiments.AlreadyExists, match="experiment 'digits' exists: use that one, or choose"
    ) as caught:
        experiments.create("digits")
    assert caught.value.result == {"experiment_id": made.id, "name": "digits", "deleted": False}
    with pytest.raises(experiments.AlreadyExists, match="'digits' exists"):
        experiments.rename(other, "digits")

    assert experiments.rename(made, "numbers").former_names == ("digits",)
    assert experiments.get(made).name == "numbers"
    with pytest.raises(experiments.NotFound, match="no experiment is named 'digits': list them with"):
        experiments.get_by_name("digits")
    assert experiments.delete(made).is_deleted
    assert [one.name for one in experiments.search()] == [NAME]
    assert [one.name for one in experiments.search("name = 'numbers'", state="all")] == ["numbers"]
    step = f"restore it with `gateway experiments restore {made.id}`"
    with pytest.raises(experiments.AlreadyExists, match=f"experiment 'numbers' exists, deleted: {step}, or choose"):
        experiments.create("numbers")
    with pytest.raises(experiments.IsDeleted, match=f"experiment 'numbers' is deleted: {step}$"):
        experiments.describe(made, "x")
    with pytest.raises(experiments.IsDeleted, match=f"experiment 'numbers' is deleted: {step}$"):
        experiments.ensure("numbers")
    assert not experiments.restore(made).is_deleted
    with pytest.raises(experiments.NotDeleted, match="experiment 'numbers' is not deleted: nothing has to be"):
        experiments.restore(made)
    with pytest.raises(experiments.NotFound, match="there is no experiment with the id 'none': list them"):
        experiments.delete("none")
    with pytest.raises(experiments.NotFound, match="no experiment 'none': list them with `gateway experiments list"):
        experiments.get("none")


def test_the_life_of_a_model(system: dict[str, str]) -> None:
    with pytest.raises(models.NotFound, match=r"there is no model .*: list them with `gateway models list`"):
        models.create_version(NAME, "s3://b/0")
    first = models.create_version(NAME, "s3://b/1", run_id="r1", tags={"ok": "yes"}, register_model=True)
    second = models.create_version(NAME, "s3://b/2", description="better")
    assert (first.version, second.version, second.description) == (1, 2, "better")
    assert models.get_version(NAME, "1") == first
    assert models.register("x", description="plain", tags={"a": "b"}).versions == 0

    models.set_stage(NAME, 1, "production")
    assert models.set_stage(NAME, 2, "Production", archive_existing=True).stage == "Production"
    assert {one.version: one.stage for one in models.versions(NAME)} == {2: "Production", 1: "Archived"}
    models.set_alias(NAME, "best", 1)
    assert models.set_alias(NAME, "best", 2).aliases == {"best": 2}
    uri = f"models:/{quote(NAME, safe='')}"
    assert [models.resolve(uri + one).version for one in ("/1", "/Production", "/latest", "@best")] == [1, 2, 2, 2]
    assert [one.version for one in models.latest(NAME, "archived")] == [1]
    assert models.get_by_alias(NAME, "best").source == "s3://b/2"
    assert [one.version for one in models.search_versions("run_id = 'r1' and tags.ok = 'yes'")] == [1]
    assert [one.name for one in models.search("name like 'a/%'")] == [NAME]

    models.describe(NAME, "of all")
    models.describe(NAME, "of one", version=1)
    models.set_tags(NAME, {"t": "1"})
    models.set_tags(NAME, {"u": "2"}, version=1)
    models.delete_tag(NAME, "ok", version=1)
    found, version = models.get(NAME), models.get_version(NAME, 1)
    assert (found.description, found.tags, version.description, version.tags) == (
        "of all",
        {"t": "1"},
        "of one",
        {"u": "2"},
    )

    with pytest.raises(models.AlreadyExists, match="model 'x' exists: use that one"):
        models.rename(NAME, "x")
    assert models.rename(NAME, "y").aliases == {"best": 2}
    assert models.delete_version("y", 2).aliases == {}
    for refused in (
        lambda: models.set_stage("y", 2, "Staging"),
        lambda: models.set_alias("y", "best", 2),
        lambda: models.delete_version("y", 2),
    ):
        with pytest.raises(models.NotFound, match="model 'y' has no version 2: see what it has with `gateway models"):
            refused()
    with pytest.raises(models.NotFound, match="model 'y' has no alias 'best': see what it has"):
        models.delete_alias("y", "best")
    for gone in ("models:/y@best", "models:/y/Staging", "models:/y/2", "models:/none/latest"):
        with pytest.raises(models.NotFound):
            models.resolve(gone)
    assert models.create_version("y", "s3://b/3").version == 3
    models.delete("y")
    with pytest.raises(models.NotFound, match="no model 'y'"):
        models.get("y")
    assert models.create_version("y", "s3://b/4", register_model=True).version == 1


def test_the_files_of_a_version_are_artifacts_of_a_run(
    system: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_ARTIFACTS", f"file://{tmp_path}/store")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"weights")
    (tmp_path / "model" / "config.json").write_text("{}")
    with gateway.start_run(capture=False) as run:
        run.log_artifacts(tmp_path / "model", "model")
    run.barrier()
    (weights,) = artifacts.list(run.id, "model/weights.bin", recursive=True)
    models.create_version("m", f"runs:/{run.id}/model", register_model=True)
    models.create_version("m", weights.uri, run_id=run.id)
    models.create_version("m", "s3://elsewhere/1", run_id=run.id)
    models.create_version("m", f"runs:/{run.id}/none")

    place = Path(models.download("models:/m/1", tmp_path / "out"))
    assert sorted(one.name for one in place.iterdir()) == ["config.json", "weights.bin"]
    assert models.load("models:/m/1", "weights.bin") == models.load("models:/m/2") == b"weights"
    done = CliRunner().invoke(main.app, ["models", "download", "models:/m/2", str(tmp_path / "cli"), "--json"])
    assert Path(json.loads(done.stdout)["path"]).read_bytes() == b"weights"
    with pytest.raises(ClientError, match=r"version 3 of model 'm' are at 's3://elsewhere/1', and are no artifacts of"):
        models.download("models:/m/3", tmp_path)
    with pytest.raises(ClientError, match="has no artifact 'none'"):
        models.load("models:/m/4")
    with pytest.raises(ClientError, match=r"'model' of run .* is a folder: name a file, as 'model/config\.json'"):
        models.load("models:/m/1")


def test_of_two_processes_that_ask_for_the_same_at_once_one_wins_and_both_learn_it(system: dict[str, str]) -> None:
    code = textwrap.dedent("""
        import json, sys
        from gateway import experiments, models
        found = []
        for number in range(4):
            try:
                found.append(["won", experiments.create(f"rival {number}").id])
            except experiments.AlreadyExists as error:
                found.append(["lost", error.result["experiment_id"]])
            found.append(experiments.ensure(f"shared {number}").id)
            found.append(models.create_version("digits", f"s3://{sys.argv[1]}/{number}", register_model=True).version)
        print(json.dumps(found))
    """)
    processes = [PythonProcess([sys.executable, "-c", code, who], env=system) for who in ("left", "right")]
    left, right = (json.loads(process.communicate()[0]) for process in processes)

    rivals = list(zip(left[::3], right[::3], strict=True))
    assert [sorted([one[0], other[0]]) for one, other in rivals] == [["lost", "won"]] * 4
    assert all(one[1] == other[1] for one, other in rivals)
    assert left[1::3] == right[1::3]
    assert sorted(left[2::3] + right[2::3]) == list(range(1, 9))
    sources = {one.version: one.source for one in models.versions("digits")}
    assert [sources[version] for version in left[2::3]] == [f"s3://left/{number}" for number in range(4)]


def test_a_request_whose_writer_was_killed_is_repeated_and_decided_once(
    servers: dict[str, str], client_variables: dict[str, str], tmp_path: Path
) -> None:
    request_id = models.new_request_id()
    call = ("digits", "s3://b/1", "x" * 1_000)

    def repeat(timeout_s: float = 30.0) -> models.ModelVersion:
        name, source, text = call
        return models.create_version(
            name, source, description=text, register_model=True, request_id=request_id, timeout_s=timeout_s
        )

    with materialiser(tmp_path, servers) as first, live_process(tmp_path, servers):
        first.kill()
        code = (
            "import sys; from gateway import models\n"
            f"models.create_version(*{call[:2]}, description={call[2]!r}, register_model=True, request_id=sys.argv[1])"
        )
        writer = PythonProcess([sys.executable, "-c", code, request_id], env=client_variables)
        until(lambda: len(log_of(client_variables)) == 1, "the request is in the log")
        writer.kill()
        writer.wait()
        with pytest.raises(
            models.Undecided, match=f"the log has the request, .*repeat it with request_id='{request_id}'"
        ):
            repeat(0.5)
        written = log_of(client_variables)
        assert [(one.key, one.value, one.headers) for one in written[1:]] == [
            (one.key, one.value, one.headers) for one in written[:1]
        ]

        with materialiser(tmp_path, servers) as second:
            assert repeat().version == 1
            second.kill()
            sent = len(log_of(client_variables))
        with materialiser(tmp_path, servers):
            assert repeat().version == 1
            assert len(log_of(client_variables)) == sent  # what is decided is not sent again
            assert models.get("digits").versions == 1
            with pytest.raises(
                ClientError, match=r"request .* was about 'digits' \(model_version_created\): an id is of one"
            ):
                models.register("digits", request_id=request_id)
            checked = rebuild(servers, "--check")
    assert checked.returncode == 0, checked.stderr


def test_a_worker_that_reaches_only_the_gateway_server_asks_through_it(
    servers: dict[str, str],
    client_variables: dict[str, str],
    tmp_path: Path,
    kafka: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = uuid.uuid4().hex
    with (
        materialiser(tmp_path, servers),
        live_process(tmp_path, servers),
        serving(tmp_path, kafka, client_variables["GATEWAY_TOPIC"], token=token) as server,
    ):
        monkeypatch.setenv("GATEWAY_URL", server.url)
        with pytest.raises(ClientError, match=r"the gateway server at .*token"):
            experiments.create("digits", timeout_s=2)
        monkeypatch.setenv("GATEWAY_TOKEN", token)
        assert experiments.create("digits").name == "digits"
        with pytest.raises(experiments.AlreadyExists):
            experiments.create("digits")
        assert models.create_version(NAME, "s3://b/1", register_model=True).version == 1

        async def in_a_notebook() -> str:
            return experiments.ensure("from a cell").name

        assert asyncio.run(in_a_notebook()) == "from a cell"


def test_without_servers_each_call_says_what_to_do(client_variables: dict[str, str]) -> None:
    done = train(
        """
        import os
        from gateway import experiments, models
        from gateway.client.errors import ClientError
        for url, call in (
            ("none:", lambda: experiments.create("x", timeout_s=1)),
            ("kafka://127.0.0.1:1", lambda: models.register("x", timeout_s=1)),
            ("none:", lambda: experiments.get("x")),
        ):
            os.environ["GATEWAY_URL"] = url
            try:
                call()
            except ClientError as error:
                print(error)
        """,
        {**client_variables, "GATEWAY_LIVE_URL": "http://127.0.0.1:1"},
    )

    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stderr
    assert lines[0] == "there is no address to send a request to: start the stack with `gateway up`, or set GATEWAY_URL"
    assert lines[1].startswith("Kafka at 127.0.0.1:1 cannot be reached")
    assert ", and nothing was changed: start it with `gateway up`" in lines[1]
    assert lines[2].startswith("the API at http://127.0.0.1:1 cannot be reached")


def test_the_commands_do_what_the_functions_do(system: dict[str, str]) -> None:
    def command(*words: str, status: int = 0) -> str:
        done = CliRunner().invoke(main.app, list(words))
        assert done.exit_code == status, done.output
        return done.stdout if status == 0 else done.stderr

    made = json.loads(command("experiments", "create", "digits", "--tag", "team=vision", "--json"))
    command("experiments", "tag", "digits", "note=two words", "--delete", "team")
    command("experiments", "rename", "digits", "numbers")
    command("experiments", "delete", made["experiment_id"])
    refused = command("experiments", "describe", "numbers", "x", status=2)
    assert (
        f"experiment 'numbers' is deleted: restore it with `gateway experiments restore {made['experiment_id']}"
        in refused
    )
    command("experiments", "restore", "numbers")
    shown = json.loads(command("experiments", "show", "numbers", "--json"))
    assert (shown["tags"], shown["former_names"]) == ({"note": "two words"}, ["digits"])
    assert "formerly     digits" in command("experiments", "show", "numbers")
    assert "numbers" in command("experiments", "list")
    assert "no experiment is named 'digits'" in command("experiments", "show", "digits", status=2)

    assert command("models", "create-version", "m", "s3://b/1", "--register", "--tag", "ok=yes") == "1\n"
    assert command("models", "create-version", "m", "s3://b/2", "--run", "r1") == "2\n"
    command("models", "stage", "m", "2", "production", "--archive-existing")
    command("models", "alias", "m", "best", "1")
    command("models", "tag", "m", "--version", "2", "n=2")
    assert command("models", "resolve", "models:/m@best") == "s3://b/1\n"
    assert json.loads(command("models", "resolve", "models:/m/Production", "--json"))["tags"] == {"n": "2"}
    found = json.loads(command("models", "versions", "m", "--where", "tags.ok = 'yes'", "--json"))
    assert [one["version"] for one in found["versions"]] == [1]
    assert "model 'm' has no version 7" in command("models", "alias", "m", "best", "7", status=2)
    see = "model 'm' has no version 7: see what it has with `gateway models versions`"
    assert see in command("models", "resolve", "models:/m/7", status=2)
    assert "no model 'n': list them with `gateway models list`" in command("models", "versions", "n", status=2)
    command("models", "delete", "m", "--version", "1", "--yes")
    assert json.loads(command("models", "show", "m", "--json"))["aliases"] == {}
    assert "Production   version 2  s3://b/2" in command("models", "show", "m")
