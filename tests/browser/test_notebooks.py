"""The notebooks of examples/notebook in JupyterLab and in marimo, in real Chromium: the chart appears and grows."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, expect

from gateway.local.ports import free_ports
from tests.browser.conftest import open_browser
from tests.support.live_server import Live, until
from tests.support.log_author import Author

EXAMPLES = Path(__file__).parents[2] / "examples" / "notebook"
SERVERS = {
    "jupyter": ["jupyterlab", "--no-browser", "--allow-root", "--IdentityProvider.token="],
    "marimo": ["marimo", "run", "live_chart.py", "--headless", "--no-token"],
}


@asynccontextmanager
async def notebook(kind: str, live: Live, folder: Path) -> AsyncIterator[str]:
    """Yield the address of a notebook server that watches the run `one` of the API; stop it when the block ends."""
    (port,) = free_ports(1)
    shutil.copytree(EXAMPLES, folder / "notebooks")
    homes = ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "XDG_CONFIG_HOME")
    variables = {**os.environ, **dict.fromkeys(homes, str(folder)), "GATEWAY_LIVE_URL": live.url, "RUN": "one"}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *SERVERS[kind], f"--port={port}", cwd=folder / "notebooks", env=variables,
        start_new_session=True, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        await until(lambda: answers(url), f"{kind} answers")
        yield url
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        await started.wait()


async def answers(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            return (await http.get(url, follow_redirects=True)).status_code == 200
        except httpx.TransportError:
            return False


async def run_all(kind: str, page: Page, url: str) -> None:
    """Open the notebook and run its cells; marimo does that by itself."""
    if kind == "marimo":
        await page.goto(url)
        return
    await page.goto(f"{url}/lab/tree/live_chart.ipynb")
    await expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible()
    await page.locator(".jp-Cell").first.click()
    while not await page.locator(".gateway-chart").count():  # a key is lost while the page is still loading
        await page.keyboard.press("Shift+Enter")
        await page.wait_for_timeout(2_000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(SERVERS))
async def test_a_chart_appears_in_a_notebook_and_grows(kind: str, live: Live, tmp_path: Path) -> None:
    author = Author("one")
    await live.publish([author.start(name="first"), author.metrics("loss", [3.0, 2.0]), author.metrics("acc", [0.1])])
    async with notebook(kind, live, tmp_path) as url, open_browser(url) as browser:
        await run_all(kind, browser.page, url)
        plot = browser.page.locator("[data-panel=loss] .chart-host")
        await expect(plot).to_have_attribute("data-points", "2")
        await expect(plot.locator("canvas")).to_be_visible()
        await expect(browser.page.locator(".gateway-chart [data-panel]")).to_have_count(1)

        await live.publish([author.metrics("loss", [1.0, 0.5, 0.25], first_step=2)])
        await expect(plot).to_have_attribute("data-points", "5")
        await browser.page.locator(".gateway-chart select").first.select_option("time")
        if folder := os.environ.get("SCREENSHOTS"):
            await browser.page.screenshot(path=Path(folder) / f"notebook_{kind}.png")
        assert not [request for request in browser.requested if live.url in request]  # Python asks, not the page
