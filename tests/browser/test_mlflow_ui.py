"""
MLflow's own pages at the address of the door, over what its clients logged there.

`SCREENSHOTS=FOLDER pytest -n0 tests/browser/test_mlflow_ui.py` saves a picture of each page.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Response, expect

from tests.browser.conftest import Browser, open_browser
from tests.support.dialect_stack import DialectStack, dialect_stack
from tests.support.mlflow_door import MlflowDoor, mlflow_door

pytestmark = pytest.mark.browser
# A logistic regression, fitted twice by gradient descent; the better run becomes a model.
TRAIN = """
import json, math, random
import mlflow
experiment = mlflow.set_experiment("ui-digits")
drawn = random.Random(7)
points = [(x, x + drawn.gauss(0, 0.4) > 0.2) for x in (drawn.uniform(-2, 2) for _ in range(60))]
runs = []
for rate in (0.5, 0.05):
    with mlflow.start_run(run_name=f"logistic-{rate}") as run:
        mlflow.log_params({"learning_rate": rate, "epochs": 30})
        w = b = 0.0
        for step in range(30):
            shown = [1 / (1 + math.exp(-(w * x + b))) for x, _ in points]
            loss = -sum(math.log(p if y else 1 - p) for p, (_, y) in zip(shown, points)) / len(points)
            accuracy = sum((p > 0.5) == y for p, (_, y) in zip(shown, points)) / len(points)
            mlflow.log_metrics({"loss": loss, "accuracy": accuracy}, step=step)
            w -= rate * sum((p - y) * x for p, (x, y) in zip(shown, points)) / len(points)
            b -= rate * sum(p - y for p, (_, y) in zip(shown, points)) / len(points)
        mlflow.log_text(f"weight {w:.3f}", "model/weights.txt")
        mlflow.set_tag("team", "vision")
        runs.append(run.info.run_id)
client = mlflow.MlflowClient()
client.create_registered_model("ui-logistic", description="chosen by a person")
client.create_model_version("ui-logistic", f"runs:/{runs[0]}/model", runs[0])
client.set_registered_model_alias("ui-logistic", "champion", "1")
print(json.dumps({"experiment": experiment.experiment_id, "runs": runs}))
"""
TOKEN = "hunter2"
NOT_OURS = (
    "AG Grid: ", "GL Driver Message", "WebGL", "ResizeObserver loop",  # of the libraries of MLflow's pages
    "status of 404",  # /users/current, of MLflow's sign-in app, and files of a model that it was made without
)  # fmt: skip


@pytest.fixture(scope="module")
def stack(kafka: str, postgres_server: str, session_folder: Path) -> Iterator[DialectStack]:
    with dialect_stack(kafka, postgres_server, session_folder / "mlflow-ui") as made:
        yield made


@pytest.fixture(scope="module")
def door(stack: DialectStack) -> Iterator[MlflowDoor]:
    """A door with a token, and with MLflow's server behind it."""
    with mlflow_door(stack, mlflow_ui="auto", token=TOKEN) as made:
        yield made


class Pages:
    """MLflow's pages in a browser, by their addresses; each is saved once it shows what it must."""

    def __init__(self, browser: Browser) -> None:
        self.browser, self.page = browser, browser.page
        self.failed: list[str] = []
        self._folder = os.environ.get("SCREENSHOTS")
        self.page.on("response", self._record)

    def _record(self, answer: Response) -> None:
        if answer.status >= 500:
            self.failed.append(f"{answer.status} {answer.request.method} {answer.url}")

    async def show(self, name: str, address: str, *texts: str) -> None:
        """Open a page and wait until it shows each of the texts."""
        await self.page.goto(f"{self.browser.url}/#/{address}")
        await self.sees(name, *texts)

    async def sees(self, name: str, *texts: str) -> None:
        """Wait until the page shows each of the texts."""
        for text in texts:
            found = self.page.get_by_text(text).filter(visible=True).first
            await expect(found, f"{name}: {text}").to_be_visible()
        if self._folder:
            await self.page.screenshot(path=Path(self._folder) / f"{name}.png")

    async def sees_drawn(self, name: str) -> None:
        """Wait until the page shows both charts with their lines."""
        await expect(self.page.locator(".js-plotly-plot").filter(has=self.page.locator(".trace"))).to_have_count(2)
        await self.sees(name)

    def problems(self) -> list[str]:
        """Return what the console reports that matters, and answers that say the server failed."""
        ours = [text for text in self.browser.console_errors if not any(known in text for known in NOT_OURS)]
        return ours + self.failed + self.browser.outside()


async def test_mlflows_own_pages_show_what_its_clients_logged(stack: DialectStack, door: MlflowDoor) -> None:
    done = stack.python(
        "-W", "ignore", "-c", TRAIN, env={"MLFLOW_TRACKING_URI": door.url, "MLFLOW_TRACKING_TOKEN": TOKEN}
    )
    facts = json.loads(done.stdout.splitlines()[-1])

    person = {"username": "anyone", "password": TOKEN}
    async with open_browser(door.url, viewport={"width": 1_600, "height": 1_000}, http_credentials=person) as browser:
        pages = Pages(browser)
        await look_at_runs(pages, facts["experiment"], facts["runs"])
        await look_at_one_run(pages, f"experiments/{facts['experiment']}/runs/{facts['runs'][0]}")
        await pages.show("models", "models", "ui-logistic")
        await pages.show("model", "models/ui-logistic", "chosen by a person", "Version 1", "champion")
        assert pages.problems() == []


async def look_at_runs(pages: Pages, experiment: str, runs: list[str]) -> None:
    """Open the lists, the chart and the comparison."""
    names = ("logistic-0.5", "logistic-0.05")
    await pages.show("experiments", "experiments", "ui-digits", "Default")
    await pages.show("runs", f"experiments/{experiment}/runs", *names, "Run Name")
    await pages.show("chart", f"experiments/{experiment}/runs?compareRunsMode=CHART", "loss", "accuracy")
    await pages.sees_drawn("chart")
    compared = f'runs={json.dumps(runs, separators=(",", ":"))}&experiments=["{experiment}"]'
    await pages.show("compare", f"compare-runs?{compared}", "Comparing 2 Runs from 1 Experiment", *names)


async def look_at_one_run(pages: Pages, address: str) -> None:
    """Open the pages of a run."""
    facts = ("logistic-0.5", "Finished", "ui-logistic", "learning_rate", "0.5", "loss")
    await pages.show("run", address, address.rpartition("/")[2], *facts)
    await pages.show("metrics", f"{address}/model-metrics", "loss")
    await pages.sees_drawn("metrics")
    await pages.show("artifacts", f"{address}/artifacts", "model")
    await pages.page.get_by_text("model", exact=True).click()
    await pages.page.get_by_text("weights.txt", exact=True).click()
    await expect(pages.page.get_by_text("weight 2.").first).to_be_visible()
    await pages.sees("artifact", "weights.txt")
