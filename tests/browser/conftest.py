"""
A real headless Chromium that records the requests and the console errors of a page.

`stack` and `visitor` are shared: one server whose log is folded all the time, and one Chromium, for all tests of the
folder; each test uses an experiment of its own. `live` and `browser` are a server and a profile for one test, which may
stop it, or expect it to be empty.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import playwright.async_api as driver
import pytest
import pytest_asyncio
from playwright.async_api import Page, Request, async_playwright, expect

from consumers.live.dashboard.pages import STATIC
from schemas.wire import Envelope, RegistryEnvelope
from tests.support import services
from tests.support.live_server import Live, folding, serving, settings_for

DEADLINE_MS = 90_000
expect.set_options(timeout=DEADLINE_MS)
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HERE = Path(__file__).parent
loop = pytest.mark.asyncio(loop_scope="session")  # one Chromium and one server: one event loop


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run all tests of this folder in the event loop of what they share."""
    for item in items:
        if item.path.is_relative_to(HERE) and pytest_asyncio.is_async_test(item):
            item.add_marker(loop, append=False)


class Shared(Live):
    """A server whose log is folded all the time."""

    async def publish(self, envelopes: Iterable[Envelope | RegistryEnvelope]) -> None:
        """Write envelopes to the log, and return once the store has them."""
        await self.publish_unfolded(envelopes)
        await self.json("/v1/runs", min_offsets="end", timeout_s=60, limit=1)


@dataclass
class Browser:
    """A page of a server, with its requests and the errors and warnings of its console."""

    page: Page
    url: str
    requested: list[str] = field(default_factory=list)
    console_errors: list[str] = field(default_factory=list)

    def outside(self) -> list[str]:
        """Return requests to other origins than the server."""
        return [url for url in self.requested if not url.startswith(f"{self.url}/")]

    async def picture(self, name: str) -> None:
        """Save a picture of the page, where SCREENSHOTS names a folder for pictures."""
        if folder := os.environ.get("SCREENSHOTS"):
            await self.page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """The dashboard is there, as an install without SKIP_UI builds it."""
    how = "install again without SKIP_UI=1, or run `npx vite build` in dashboard/"
    assert (STATIC / "index.html").is_file(), f"the dashboard was not built: {how}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[driver.Browser]:
    """A running Chromium."""
    async with launched() as started:
        yield started


@pytest.fixture(scope="module")
def shared_database(postgres_server: str) -> Iterator[str]:
    """Address of the database of `stack`."""
    dsn = services.run(services.create_database(postgres_server))
    yield dsn
    services.run(services.drop_database(postgres_server, dsn))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(kafka: str, shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Live]:
    """
    A server for all tests of a file; what is written to its log is folded as it comes.

    Not for the session: its event loop stands still while tests outside this folder run, and its requests time out.
    """
    home, topic = tmp_path_factory.mktemp("shared"), f"test-{uuid.uuid4().hex}"
    await services.create_topic(kafka, topic, partitions=2)
    settings = settings_for(kafka, topic, shared_database, home)
    settings = settings.model_copy(update={"artifacts": f"file://{home}/artifacts"})
    async with serving(settings) as running, folding(settings):
        yield Shared(running.server, running.settings, running.http)


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(stack: Live, chromium: driver.Browser) -> AsyncIterator[Browser]:
    """An empty page of a new profile, for `stack`."""
    async with visiting(chromium, stack.url) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    """A server of one test: what it publishes is folded before the test continues."""
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def browser(live: Live, chromium: driver.Browser) -> AsyncIterator[Browser]:
    """An empty page of a new profile, for `live`."""
    async with visiting(chromium, live.url) as one:
        yield one


@asynccontextmanager
async def launched(*, without: Sequence[str] = ()) -> AsyncIterator[driver.Browser]:
    """Yield a new Chromium, `without` some of the arguments that playwright gives it."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "these tests need Chromium on PATH: install it (Debian, Ubuntu: apt-get install chromium)"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path=path, args=CHROMIUM_FLAGS, ignore_default_args=list(without)
        )
        yield started
        await started.close()


@asynccontextmanager
async def visiting(chromium: driver.Browser, url: str, **options: Any) -> AsyncIterator[Browser]:
    """Yield an empty page of a new profile, for the server at `url`; `options` are those of `new_context`."""
    profile = await chromium.new_context(**options)
    page = await profile.new_page()
    page.set_default_timeout(DEADLINE_MS)
    one = Browser(page, url)
    page.on("request", lambda request: record_request(one, request))
    page.on(
        "console",
        lambda message: one.console_errors.append(message.text) if message.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: one.console_errors.append(str(error)))
    yield one
    await profile.close()


@asynccontextmanager
async def open_browser(url: str, **options: Any) -> AsyncIterator[Browser]:
    """Yield an empty page of a new Chromium, for the server at `url`; `options` are those of `new_context`."""
    async with launched() as chromium, visiting(chromium, url, **options) as one:
        yield one


def record_request(browser: Browser, request: Request) -> None:
    """Record the address of a request, except data: and blob: addresses, which need no server."""
    if not request.url.startswith(("data:", "blob:")):
        browser.requested.append(request.url)
