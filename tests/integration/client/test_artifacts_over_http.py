"""A worker that reaches only the gateway server logs artifacts; people list, download, add and delete them."""

from __future__ import annotations

import hashlib
import json
import os
import textwrap
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from gateway import artifacts, runs
from gateway.cli import main
from gateway.client.artifacts.address import open_store
from gateway.client.artifacts.store import StoreUnavailable
from tests.support.client_harness import train
from tests.support.live_process import live_process
from tests.support.materialiser_process import materialiser
from tests.support.server_process import Server, serving

TOKEN = "a-token-of-tests"
run = CliRunner().invoke
MEMORY_BYTES = (
    48 * 1024 * 1024
)  # of one transfer besides what the process has: pieces of 1 MiB, and the allocator's own

TRAINING = textwrap.dedent("""
    import gateway, numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 3, 2])
    with gateway.start_run(run_id="worker") as run:
        gateway.log_text("all went well", "notes/summary.md")
        gateway.log_dict({"lr": 0.1}, "config.yaml")
        gateway.log_figure(figure, "plots/loss.png")
        gateway.log_image(np.zeros((4, 4)), "plots/black.png")
        gateway.log_table({"a": [1, 2]}, "t.csv")
        assert [one.path for one in gateway.artifacts.list(run, "notes")] == ["notes/summary.md"]
        run.finish()
        run.barrier(60)
        print("readable")
""")


def test_artifacts_of_a_worker_that_reaches_only_the_gateway(
    servers: dict[str, str], client_variables: dict[str, str], kafka: str, topic: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    store = tmp_path / "the store"
    servers = {**servers, "GATEWAY_ARTIFACTS": store.as_uri()}
    with (
        materialiser(tmp_path, servers),
        live_process(tmp_path, servers),
        serving(tmp_path, kafka, topic, token=TOKEN, artifacts=store.as_uri()) as door,
    ):
        worker = {"GATEWAY_URL": door.url, "GATEWAY_ARTIFACTS": door.url, "GATEWAY_TOKEN": TOKEN}
        trained = train(TRAINING, client_variables | worker)
        assert trained.stdout == "readable\n", trained.stderr
        for name, value in worker.items():
            monkeypatch.setenv(name, value)

        def command(*arguments: str) -> dict[str, object]:
            result = run(main.app, ["artifacts", *arguments, "--json"])
            assert result.exit_code == 0, result.output
            return dict(json.loads(result.stdout))

        names = ["config.yaml", "notes/summary.md", "plots/black.png", "plots/loss.png", "t.csv"]
        found = artifacts.list("worker", recursive=True)
        assert [one.path for one in found] == names
        assert all(one.stored and one.uri.startswith(door.url) for one in found)

        assert command("download", "worker", "--to", str(tmp_path / "dst"))["to"] == str(tmp_path / "dst")
        assert (tmp_path / "dst/notes/summary.md").read_text() == "all went well"
        assert (tmp_path / "dst/plots/loss.png").read_bytes().startswith(b"\x89PNG")

        # People add to it and delete from it; readers see both when the call returns.
        (tmp_path / "more").mkdir()
        (tmp_path / "more/a.txt").write_text("a")
        (tmp_path / "more/b.txt").write_text("b")
        assert artifacts.log("worker", tmp_path / "more", "more") == ["more/a.txt", "more/b.txt"]
        assert command("log", "worker", str(tmp_path / "more/a.txt"))["logged"] == ["a.txt"]
        assert command("list", "worker", "more")["artifacts"] == [
            one._asdict() for one in artifacts.list("worker", "more")
        ]
        assert artifacts.delete("worker", "plots") == ["plots/black.png", "plots/loss.png"]
        assert command("delete", "worker", "more/a.txt", "--yes")["deleted"] == ["more/a.txt"]
        left = ["a.txt", "config.yaml", "more/b.txt", "notes/summary.md", "t.csv"]
        assert [one.path for one in artifacts.list("worker", recursive=True)] == left
        with artifacts.open("worker", "a.txt") as file:
            assert file.read() == b"a"  # the bytes of more/a.txt too, which is deleted
        with pytest.raises(artifacts.ArtifactMissing, match="has no artifact 'plots'"):
            artifacts.delete("worker", "plots")
        with pytest.raises(artifacts.ApiRefused, match="no run 'stranger'"):
            artifacts.log("stranger", tmp_path / "more")
        no_folder = str(tmp_path / "more/a.txt/x")
        assert (
            "cannot be written (Not a directory)"
            in run(main.app, ["artifacts", "download", "worker", "--to", no_folder]).stderr
        )
        assert "did you mean 'worker'?" in run(main.app, ["artifacts", "list", "work"]).stderr
        runs.delete("worker")
        with pytest.raises(artifacts.ArtifactError, match="run 'worker' is deleted"):
            artifacts.log("worker", tmp_path / "more")


def memory(server: Server) -> int:
    assert server.process is not None
    return int(psutil.Process(server.process.pid).memory_info().rss)


def transfer(server: Server, folder: Path, size: int) -> tuple[int, int]:
    """Upload, kill, continue and read back `size` bytes; return how much memory the server gained by then, twice."""
    source, digest, piece = folder / "large", hashlib.sha256(), os.urandom(1_048_576)
    with source.open("wb") as file:
        for number in range(size // len(piece)):
            data = number.to_bytes(8, "big") + piece[8:]
            digest.update(data)
            file.write(data)
    sha256, store = digest.hexdigest(), open_store(server.url)
    small = hashlib.sha256(b"x").hexdigest()
    with store.writer(small, 1) as upload:
        upload.write(b"x")

    def kill_in_the_middle(done: int) -> None:
        if done >= size // 2:
            server.end()

    with pytest.raises(StoreUnavailable):
        store.put_file(str(source), sha256, progress=kill_in_the_middle)
    server.start().until("/healthz")
    assert not store.exists(sha256)
    assert 0 < store.partial(sha256) <= size
    begun = memory(server)
    offsets: list[int] = []
    assert store.put_file(str(source), sha256, progress=offsets.append)
    uploaded = memory(server) - begun
    assert offsets[0] > 1_048_576  # it went on where it was
    back = hashlib.sha256()
    with store.open(sha256) as answer:
        while data := answer.read(1_048_576):
            back.update(data)
    assert back.hexdigest() == sha256
    source.unlink()
    return uploaded, memory(server) - begun


@pytest.mark.parametrize("size", [128 * 1_048_576, pytest.param(1_073_741_824, marks=pytest.mark.slow)])
def test_a_large_artifact_takes_little_memory_and_survives_a_kill_of_the_server(tmp_path: Path, size: int) -> None:
    variables = {"GATEWAY_KAFKA": "127.0.0.1:1", "GATEWAY_ARTIFACTS": (tmp_path / "store").as_uri()}
    server = Server(tmp_path, variables)
    try:
        server.start().until("/healthz")
        uploaded, read = transfer(server, tmp_path, size)
    finally:
        server.end()

    assert uploaded < MEMORY_BYTES
    assert read < MEMORY_BYTES
