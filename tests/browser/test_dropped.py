"""The page of a run whose points were dropped."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from consumers.store.maintenance.retention import Retention
from consumers.store.pool import open_database
from tests.browser.conftest import Browser
from tests.support.live_server import Live, training

pytestmark = pytest.mark.browser


async def test_a_run_whose_points_were_dropped_says_so_and_shows_what_stays(live: Live, browser: Browser) -> None:
    await live.publish(training("one", values=(0.5, 0.25, 0.125)))
    dsn = live.settings.postgres.get_secret_value()
    db = await open_database(dsn, size=1)
    assert await Retention(db).drop(202311) is not None
    await db.close()

    await browser.page.goto(f"{live.url}/runs/one")

    await expect(browser.page.locator("#summary .dropped")).to_contain_text("dropped from PostgreSQL by retention")
    await expect(browser.page.locator(".run-values")).to_contain_text("loss0.125")
