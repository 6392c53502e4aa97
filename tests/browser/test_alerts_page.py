"""The alerts page in a real browser: a rule is written, fires, leads to its moment, is muted and deleted."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Browser
from tests.support.live_server import Live, fold, folding
from tests.support.log_author import Author, write
from tests.support.materialiser_process import Materialiser, environment

pytestmark = pytest.mark.browser


@asynccontextmanager
async def evaluating(live: Live, folder: Path) -> AsyncIterator[None]:
    """Fold what comes, as a materialiser does, while the alerts process evaluates it."""
    settings = live.settings
    await fold(settings)
    variables = environment(settings.need("kafka"), settings.topic, settings.need("postgres"))
    process = await asyncio.to_thread(lambda: Materialiser(folder, variables, ("-m", "consumers.alerts")).until_ready())
    try:
        async with folding(settings):
            yield
    finally:
        process.kill()


async def write_rule(page: Page) -> None:
    """Write a rule: a bound that is no number, a field that is not known, and then what is right."""
    await expect(page.get_by_text("Nothing has fired yet.")).to_be_visible()  # what comes above moves the button
    await expect(page.get_by_text("No rule is saved.")).to_be_visible()
    await page.get_by_role("button", name="New rule").click()
    await page.get_by_label("id", exact=True).fill("high loss")
    await page.get_by_label("fires when").select_option("threshold")
    await page.get_by_label("bound", exact=True).fill("much")
    await expect(page.locator(".field.wrong")).to_contain_text("not 'much'")
    await expect(page.get_by_role("button", name="Save")).to_be_disabled()
    await page.get_by_label("bound", exact=True).fill("1.5")
    text = page.get_by_label("The rule as YAML")
    await expect(text).to_have_value(re.compile(r"value: 1\.5"))
    await text.fill((await text.input_value()) + "colour: critical\n")
    await expect(page.get_by_label("What is wrong")).to_contain_text("colour is not known")
    await text.fill((await text.input_value()).replace("colour", "severity"))
    await expect(page.get_by_label("severity")).to_have_value("critical")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("tbody tr")).to_contain_text("loss: a value is > 1.5")


async def change_rule_that_somebody_has_changed(live: Live, page: Page) -> None:
    await page.get_by_role("button", name="high loss", exact=True).click()
    await expect(page.get_by_role("button", name="Save version 2")).to_be_enabled()
    rule = await live.json("/v1/alert-rules/high%20loss")
    body = {"name": "theirs", "body": rule["body"], "based_on": 1}
    assert (await live.http.put("/v1/alert-rules/high%20loss", json=body)).status_code == 200
    await page.get_by_label("name", exact=True).fill("mine")
    await page.get_by_role("button", name="Save version 2").click()
    await expect(page.get_by_text("Somebody saved version 2 meanwhile")).to_be_visible()
    await page.get_by_role("button", name="Save mine over it").click()
    await expect(page.get_by_role("button", name="mine", exact=True)).to_be_visible()
    assert (await live.json("/v1/alert-rules/high%20loss"))["version"] == 3


async def test_a_rule_is_written_fires_in_the_page_and_is_muted_and_deleted(
    live: Live, browser: Browser, tmp_path: Path
) -> None:
    page = browser.page
    async with evaluating(live, tmp_path):
        await page.goto(f"{live.url}/alerts")
        await write_rule(page)
        await change_rule_that_somebody_has_changed(live, page)
        assert [one for one in browser.console_errors if "409" not in one] == []

        author = Author("run", time=time.time_ns() // 1_000)
        points = [author.start(), author.metrics("loss", [1.0, 1.0, 99.0, 1.0])]
        await write(live.settings.need("kafka"), live.settings.topic, points)
        firings = page.get_by_label("Alerts", exact=True).locator("tbody tr")
        await expect(firings).to_contain_text("loss 99 (rule: > 1.5)")
        await firings.get_by_title("Show this moment").click()
        await expect(page.locator('dialog figure[data-panel="loss"] .chart-host')).to_have_attribute("data-points", "4")
        assert "zoom=-48..52" in page.url

        await page.go_back()
        await page.get_by_role("button", name="More of rule mine").click()
        await page.get_by_role("menuitem", name="Mute this rule for 1 hour").click()
        await expect(page.get_by_text("muted until")).to_be_visible()
        (mute,) = (await live.json("/v1/alert-mutes"))["mutes"]
        assert mute["rule_id"] == "high loss"

        page.on("dialog", lambda dialog: dialog.accept())
        await page.get_by_role("button", name="mine", exact=True).last.click()
        await page.get_by_role("button", name="Delete").click()
        await expect(page.get_by_text("No rule is saved")).to_be_visible()
        await expect(firings).to_contain_text("resolved")
