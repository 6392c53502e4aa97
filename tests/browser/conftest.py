"""A real headless Chromium that records the requests and the console errors of a page."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Request, async_playwright, expect

from consumers.live.dashboard.pages import STATIC
from tests.support.live_server import Live, serving, settings_for

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


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """The dashboard is there, as an install without SKIP_UI builds it."""
    how = "install again without SKIP_UI=1, or run `npx vite build` in dashboard/"
    assert (STATIC / "index.html").is_file(), f"the dashboard was not built: {how}"


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


@pytest.fixture
async def browser(live: Live) -> AsyncIterator[Browser]:
    """An empty page of a new browser, for the dashboard."""
    async with open_browser(live.url) as one:
        yield one


@asynccontextmanager
async def open_browser(url: str, **options: Any) -> AsyncIterator[Browser]:
    """Yield an empty page of a new browser, for the server at `url`; `options` are those of playwright's `new_page`."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "these tests need Chromium on PATH: install it (Debian, Ubuntu: apt-get install chromium)"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = await started.new_page(**options)
        page.set_default_timeout(DEADLINE_MS)
        one = Browser(page, url)
        page.on("request", lambda request: record_request(one, request))
        page.on(
            "console",
            lambda message: one.console_errors.append(message.text) if message.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: one.console_errors.append(str(error)))
        yield one
        await started.close()


def record_request(browser: Browser, request: Request) -> None:
    """Record the address of a request, except data: and blob: addresses, which need no server."""
    if not request.url.startswith(("data:", "blob:")):
        browser.requested.append(request.url)
