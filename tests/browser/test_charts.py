"""Charts of the workspace in a real browser: they follow a training, and zooming shows exactly what was recorded."""

from __future__ import annotations

import re
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Locator, expect

from schemas import events as ev
from schemas.values import FloatValue
from schemas.wire import Envelope
from tests.browser.conftest import Browser
from tests.support.live_server import Live
from tests.support.log_author import Author

pytestmark = pytest.mark.browser
NOW = time.time_ns() // 1_000  # µs; a run that began long ago and is silent shows as lost
SPIKE_AT, SPIKE = 54_321, 99.0
POINTS = 100_000
# Pixels of a canvas in the colour of an element, within its upper part: a line that is drawn there.
INKED = """(host, [swatch, part]) => {
    const wanted = getComputedStyle(document.querySelector(swatch)).backgroundColor.match(/\\d+/g).map(Number);
    const canvas = host.querySelector("canvas");
    const rows = Math.floor(canvas.height * part);
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, rows);
    let found = 0;
    for (let at = 0; at < data.length; at += 4) {
        const isNear = wanted.every((value, channel) => Math.abs(data[at + channel] - value) < 24);
        if (data[at + 3] > 60 && isNear) found += 1;
    }
    return found;
}"""


def chart(browser: Browser, panel: str) -> Locator:
    """Return the plot of a panel."""
    return browser.page.locator(f'figure[data-panel="{panel}"] .chart-host')


async def test_a_training_starts_and_its_chart_appears_and_moves_without_a_reload(live: Live, browser: Browser) -> None:
    await browser.page.goto(f"{live.url}/workspace")
    await expect(browser.page.get_by_text("No run matches")).to_be_visible()
    await browser.page.evaluate("window.isTheSamePage = true")

    author = Author("first", time=NOW)
    await live.publish([author.start(name="first light"), author.metrics("train/loss", [3.0, 2.0, float("nan"), 1.0])])
    await expect(chart(browser, "train/loss")).to_have_attribute("data-points", "4")
    for round_ in range(3):
        await live.publish([author.metrics("train/loss", [0.5] * 10, first_step=4 + 10 * round_)])
        await expect(chart(browser, "train/loss")).to_have_attribute("data-points", str(4 + 10 * (round_ + 1)))

    other = Author("second", time=NOW)
    await live.publish([other.start(name="second"), other.metrics("train/loss", [9.0]), author.metrics("lr", [0.1])])
    await expect(chart(browser, "train/loss")).to_have_attribute("data-lines", "2")
    await expect(chart(browser, "lr")).to_have_attribute("data-points", "1")

    assert await browser.page.evaluate("window.isTheSamePage")
    assert browser.outside() == []
    assert browser.console_errors == []


async def test_one_spike_among_many_points_shows_zoomed_out_and_a_zoom_is_exact(live: Live, browser: Browser) -> None:
    author, page = Author("spiky", time=NOW), browser.page
    values = [step % 7 / 7 for step in range(POINTS)]
    values[SPIKE_AT] = SPIKE
    parts = [author.metrics("loss", values[at : at + 1_000], first_step=at) for at in range(0, POINTS, 1_000)]
    await live.publish([author.start(name="spiky"), *parts])

    await page.goto(f"{live.url}/workspace?runs=spiky")
    loss = chart(browser, "loss")
    await expect(loss).to_have_attribute("data-max", str(int(SPIKE)))
    assert int(await loss.get_attribute("data-points") or 0) <= 4_000
    await expect(loss.locator("canvas")).to_be_visible()
    assert 0 < await loss.evaluate(INKED, [".run-swatch", 0.5]) < 400, "one line up, alone"

    box = await loss.locator(".u-over").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 64, steps=4)
    await page.mouse.up()
    await expect(page).to_have_url(re.compile("zoom="))
    (zoom,) = parse_qs(urlsplit(page.url).query)["zoom"]
    first, last = (float(part) for part in zoom.split(".."))
    assert 45_000 < first < SPIKE_AT < last < 65_000
    # A narrower link, as one would share it: every point of the range, at its true step.
    await page.goto(f"{live.url}/workspace?runs=spiky&zoom={SPIKE_AT - 20}..{SPIKE_AT + 20}")
    await expect(loss).to_have_attribute("data-points", "41")
    await loss.focus()
    for key in ["Home", *["ArrowRight"] * 20]:
        await page.keyboard.press(key)
    await expect(page.locator(".chart-reading")).to_contain_text(f"step {SPIKE_AT:,} · 99 · ")

    await page.keyboard.press("0")
    await expect(page).not_to_have_url(re.compile("zoom="))
    await expect(loss).not_to_have_attribute("data-points", "41")
    await page.keyboard.press("f")
    await expect(page.locator("dialog.chart-full canvas")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog.chart-full")).to_have_count(0)
    assert browser.console_errors == []


def sweep(run_id: str, lr: float, *, parts_at: int) -> list[Envelope]:
    """Return a run of ten steps; runs of a sweep are equal up to the step `parts_at`."""
    author = Author(run_id, time=NOW)
    start = author.start(name=f"sweep {run_id}")
    params = author.envelope(ev.Params(time=author.now(), params={"lr": FloatValue(value=lr)}))
    values = [1 / (step + 1) + (lr if step >= parts_at else 0) for step in range(10)]
    return [start, params, author.metrics("loss", values), author.finish()]


async def test_runs_are_compared_by_what_differs_in_plots_and_by_where_they_part(live: Live, browser: Browser) -> None:
    await live.publish([*sweep("a", 0.1, parts_at=10), *sweep("b", 0.2, parts_at=6), *sweep("c", 0.4, parts_at=8)])
    page, compare = browser.page, f"{live.url}/compare?runs=a,b,c"

    await page.goto(f"{compare}&base=a")
    await expect(page.get_by_role("row", name="lr")).to_contain_text("+100 %")
    await page.get_by_role("button", name="First divergence").click()
    await expect(page.locator(".divergence-first")).to_contain_text("loss at step 6: 0.14285714285714285 and ")
    for view in ["Scatter", "Parallel coordinates"]:
        await page.get_by_role("button", name=view).click()
        await expect(page.locator(".plot canvas")).to_be_visible()
        await expect(page.locator(".compare-tools")).to_contain_text("3 runs")
    await page.get_by_role("button", name="Charts").click()
    await expect(chart(browser, "loss")).to_have_attribute("data-lines", "3")

    await page.goto(f"{live.url}/workspace?runs=a,b,c&group=fact.state")
    await expect(page.locator(".chart-legend")).to_contain_text("finished (3 runs)")
    await page.goto(f"{live.url}/embed/chart?runs=a,b&name=loss&hide=b")
    await expect(chart(browser, "loss")).to_have_attribute("data-points", "10")
    assert browser.console_errors == []
