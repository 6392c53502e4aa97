"""A real headless Chromium that notes what a page asks for and complains about."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import Page, Request, async_playwright

from tests.support.live_server import Live, serving, settings_for

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
    """One page, with everything it requested and every complaint of its console."""

    page: Page
    live: Live
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def outside(self) -> list[str]:
        """Return requests that left the server's own origin."""
        return [url for url in self.requested if not url.startswith(f"{self.live.url}/")]


@pytest.fixture
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as running:
        yield running


@pytest.fixture
async def browser(live: Live) -> AsyncIterator[Browser]:
    """An empty page of a fresh browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "these tests need Chromium on PATH: install it (Debian, Ubuntu: apt-get install chromium)"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = await started.new_page()
        one = Browser(page, live)
        page.on("request", lambda request: note_request(one, request))
        page.on("console", lambda said: one.complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: one.complaints.append(str(error)))
        yield one
        await started.close()


def note_request(browser: Browser, request: Request) -> None:
    """Keep the address of a request; data: addresses ask nobody."""
    if not request.url.startswith("data:"):
        browser.requested.append(request.url)
