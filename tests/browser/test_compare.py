"""
The page that compares runs, in a real browser.

| interaction | test |
|---|---|
| diff table, changed rows only, with environment and attempts; baseline with goals | `what_differs_…` |
| overlay; scatter; parallel coordinates with brushing; first divergence | `runs_are_drawn_…` |
| media viewer with a step slider, side by side | `images_stand_side_by_side_at_a_step` |
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, Page, expect

from schemas import events as ev
from schemas.values import FloatValue
from schemas.wire import Envelope
from tests.browser.conftest import Browser
from tests.browser.lab import SECOND, sweep
from tests.support.live_server import Live
from tests.support.log_author import Author

pytestmark = pytest.mark.browser
NOW = time.time_ns() // 1_000
# Pixels of a canvas that are coloured, neither grey nor empty.
COLOURED = """(canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let found = 0;
    for (let at = 0; at < data.length; at += 4) {
        const [red, green, blue, alpha] = data.slice(at, at + 4);
        if (alpha > 100 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60) found += 1;
    }
    return found;
}"""


def rates(name: str) -> list[Envelope]:
    """Return three runs of ten steps, equal up to a step that differs; their learning rates are 0.1, 0.2 and 0.4."""
    found: list[Envelope] = []
    for letter, lr, parts_at in (("a", 0.1, 10), ("b", 0.2, 6), ("c", 0.4, 8)):
        author = Author(f"{name}-{letter}", time=NOW)
        values = [1 / (step + 1) + (lr if step >= parts_at else 0) for step in range(10)]
        found += [author.start(name=f"{name} {letter}")]
        found += [author.envelope(ev.Params(time=author.now(), params={"lr": FloatValue(value=lr)}))]
        found += [author.metrics("loss", values), author.finish()]
    return found


async def show(page: Page, view: str) -> None:
    await page.get_by_role("navigation", name="Comparisons").get_by_role("button", name=view).click()


async def test_what_differs_between_runs_is_a_table_with_a_verdict(stack: Live, visitor: Browser) -> None:
    page, folder = visitor.page, Path(urlsplit(stack.settings.artifacts).path)
    await stack.publish(sweep("verdict", folder, began=NOW - 200 * SECOND))
    runs = ",".join(f"verdict-{number}" for number in (1, 0, 2))
    await page.goto(f"{stack.url}/compare?runs={runs}&base=verdict-1")

    def row(name: str) -> Locator:
        return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))

    await expect(row("lr")).to_contain_text("+233 %")  # 0.1 against 0.03
    await expect(row("python")).to_contain_text("3.11.1")
    await expect(row("attempt")).to_contain_text("2")
    await expect(row("optimizer")).to_have_count(0)
    await expect(row("created")).to_contain_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"))
    loss = row("val/loss.last")
    await expect(loss.locator(".delta.better")).to_have_count(1)  # goal: min; the run with the highest rate is lower
    await expect(loss.locator(".delta.worse")).to_have_count(1)
    await expect(row("checked")).to_have_count(0)
    told = Author("verdict-0", producer="other", time=NOW)
    await stack.publish_unfolded([told.envelope(ev.Tags(time=told.now(), tags={"checked": "yes"}))])
    await expect(row("checked")).to_contain_text("yes")  # without a reload
    await page.get_by_label("changed rows only").uncheck()
    await expect(row("optimizer")).to_contain_text("adam")
    assert visitor.console_errors == []


async def test_runs_are_drawn_over_each_other_as_points_and_over_axes(stack: Live, visitor: Browser) -> None:
    await stack.publish(rates("drawn"))
    page = visitor.page
    await page.goto(f"{stack.url}/compare?runs=drawn-a,drawn-b,drawn-c")
    await show(page, "First divergence")
    await expect(page.locator(".divergence-first")).to_contain_text("loss at step 6: 0.14285714285714285 and ")
    await show(page, "Charts")
    await expect(page.locator('figure[data-panel="loss"] .chart-host')).to_have_attribute("data-lines", "3")
    await show(page, "Scatter")
    await expect(page.locator(".compare-tools")).to_contain_text("3 runs")
    await expect(page.locator(".plot canvas")).to_be_visible()
    assert await page.locator(".plot canvas").evaluate(COLOURED) > 150

    await show(page, "Parallel coordinates")
    canvas = page.locator(".plot canvas")
    await expect(canvas).to_be_visible()
    assert await canvas.evaluate(COLOURED) > 150
    box = await canvas.bounding_box()
    assert box
    await page.mouse.move(box["x"] + 50, box["y"] + 300)  # the first axis is lr: keep the lower half
    await page.mouse.down()
    await page.mouse.move(box["x"] + 50, box["y"] + 460, steps=5)
    await page.mouse.up()
    await expect(page.locator(".brushed a.chip")).to_have_text(["drawn a", "drawn b"])
    await page.get_by_role("link", name="Compare these 2 runs").click()
    await expect(page).to_have_url(re.compile(r"runs=drawn-a,drawn-b$"))
    assert visitor.console_errors == []


async def test_images_stand_side_by_side_at_a_step(stack: Live, visitor: Browser) -> None:
    page, folder = visitor.page, Path(urlsplit(stack.settings.artifacts).path)
    await stack.publish(sweep("image", folder, began=NOW - 200 * SECOND))
    await page.goto(f"{stack.url}/compare?runs=image-0,image-1&show=images")
    images = page.locator(".image-place img")
    await expect(images).to_have_count(2)
    await expect(page.locator(".image-place figcaption").first).to_contain_text("step 24")
    for at in range(2):
        assert await images.nth(at).evaluate("async (one) => (await one.decode(), one.naturalWidth)") == 16
    await page.get_by_label("Step of the images").focus()
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator(".image-place figcaption")).to_contain_text(["step 12", "step 12"])
    assert "step=12" in page.url
    assert visitor.console_errors == []
