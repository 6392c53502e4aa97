"""The client alone, as `pip install` puts it next to a user's own files."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from schemas import events as ev
from tests.support.client_harness import ROOT, points, read_log, train

TRAIN = """
    import gateway
    import schemas.mine

    with gateway.start_run(run_id="from-wheel", params=schemas.mine.PARAMS) as run:
        for step in range(1_000):
            gateway.emit("loss", 1 / (step + 1), step=step)

    print(run.report)
    print(list(schemas.__path__))
    print(gateway.__file__)
    """


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT / "gateway")]
    subprocess.run(command, check=True, timeout=240)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_holds_the_client_and_nothing_of_the_other_side(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folders = {"/".join(name.split("/")[:2]) for name in archive.namelist() if ".dist-info" not in name}

    modules = {f"gateway/{name}.py" for name in ("__init__", "artifacts", "experiments", "models", "query", "runs")}
    assert folders == modules | {"gateway/py.typed", "gateway/client", "gateway/dialects"}


def test_it_trains_next_to_a_schemas_folder_of_the_users_own(
    wheel: Path, kafka: str, topic: str, tmp_path: Path
) -> None:
    environment, project = tmp_path / "env", tmp_path / "project"
    venv.create(environment, with_pip=True)
    python = str(environment / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel)], check=True, timeout=240)
    (project / "schemas").mkdir(parents=True)
    (project / "schemas" / "mine.py").write_text("PARAMS = {'lr': 0.5}\n")

    settings = {"GATEWAY_URL": f"kafka://{kafka}", "GATEWAY_TOPIC": topic}
    done = train(TRAIN, settings, python=python, folder=project)

    report, schemas, client = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert report == "Report(emitted=1000, sent=1000, unsent=0, dropped=0)"
    assert schemas == f"[{str(project / 'schemas')!r}]"
    assert Path(client).is_relative_to(environment)
    events = [envelope.event for envelope in read_log(kafka, topic)]
    assert [(seen.step, seen.value) for seen in points(events)] == [(step, 1 / (step + 1)) for step in range(1_000)]
    assert [event.params["lr"].value for event in events if isinstance(event, ev.Params)] == [0.5]
