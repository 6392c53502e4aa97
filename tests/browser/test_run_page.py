"""The page of one run in a real browser: charts, steps, console, files, values, changes, what became of its record."""

from __future__ import annotations

import re
import time
from array import array
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, expect

from schemas import events as ev
from schemas.wire import Envelope
from tests.browser.conftest import Browser, open_browser
from tests.support.live_server import Live, folding, serving, settings_for, until
from tests.support.log_author import Author
from tests.support.whole_run import FILES, STEPS, whole_run

pytestmark = pytest.mark.browser
NOW = time.time_ns() // 1_000 - 300_000_000  # µs; a run that began long ago and is silent shows as lost
MILLION, SPIKE_AT, SPIKE = 1_000_000, 654_321, 99.0
GPU = "system/gpu/2/utilization_percent"


@pytest_asyncio.fixture(loop_scope="session")
async def live(kafka: str, topic: str, database: str, tmp_path: Path) -> AsyncIterator[Live]:
    store = (tmp_path / "store").as_uri()
    settings = settings_for(kafka, topic, database, tmp_path).model_copy(update={"artifacts": store})
    async with serving(settings) as running:
        yield running


def chart(browser: Browser, panel: str) -> Locator:
    return browser.page.locator(f'figure[data-panel="{panel}"] .chart-host')


def part(browser: Browser, name: str) -> Locator:
    return browser.page.get_by_role("region", name=name, exact=True)


async def follow_console(live: Live, browser: Browser, author: Author) -> None:
    """The console shows its end as it grows, and stays where a person reads."""
    page = browser.page

    def said(first: int, count: int) -> Envelope:
        lines = [f"line {number}" for number in range(first, first + count)]
        times = array("q", [author.now() for _ in lines])
        return author.envelope(ev.ConsoleText(time=author.now(), lines=lines, times=times))

    await live.publish([said(0, 3_000)])
    await page.goto(f"{live.url}/runs/{author.run_id}?view=console")
    lines = page.locator(".console-lines")
    await expect(lines.get_by_text("line 2999", exact=True)).to_be_visible()
    await live.publish([said(3_000, 10)])
    await expect(lines.get_by_text("line 3009", exact=True)).to_be_visible()
    assert await page.locator(".console-line").count() < 200
    await lines.focus()
    for _ in range(4):  # beyond the lines that are drawn outside of the view
        await page.keyboard.press("PageUp")
    await expect(lines).to_have_attribute("data-following", "false")
    before = int(await lines.get_attribute("data-lines") or 0)
    await live.publish([said(3_010, 10)])
    await expect(lines).not_to_have_attribute("data-lines", str(before))
    await expect(lines.get_by_text("line 3019", exact=True)).to_have_count(0)
    await page.keyboard.press("e")
    await expect(lines.get_by_text("line 3019", exact=True)).to_be_visible()


async def test_charts_and_console_grow_with_the_run_and_a_million_points_hide_no_spike(
    live: Live, browser: Browser
) -> None:
    page, author = browser.page, Author("long", time=NOW)
    values = [step % 7 / 7 for step in range(MILLION)]
    values[SPIKE_AT] = SPIKE
    parts = [author.metrics("loss", values[at : at + 10_000], first_step=at) for at in range(0, MILLION, 10_000)]
    await live.publish([author.start(name="long run"), *parts])
    await page.goto(f"{live.url}/runs/long")
    loss = chart(browser, "loss")
    await expect(loss).to_have_attribute("data-max", str(int(SPIKE)))
    assert int(await loss.get_attribute("data-points") or 0) <= 4_000

    await page.evaluate("window.isTheSamePage = true")
    await live.publish([author.metrics("val", [3.0, float("nan")])])
    await expect(chart(browser, "val")).to_have_attribute("data-points", "2")
    await live.publish([author.metrics("val", [1.0], first_step=2)])
    await expect(chart(browser, "val")).to_have_attribute("data-points", "3")
    assert await page.evaluate("window.isTheSamePage")

    await page.goto(f"{live.url}/runs/long?zoom={SPIKE_AT - 20}..{SPIKE_AT + 20}")
    await expect(loss).to_have_attribute("data-points", "41")
    await loss.focus()
    for key in ["Home", *["ArrowRight"] * 20]:
        await page.keyboard.press(key)
    reading = page.locator('figure[data-panel="loss"] .chart-reading')
    await expect(reading).to_contain_text(f"step {SPIKE_AT:,} · 99")
    await follow_console(live, browser, author)
    assert browser.console_errors == []


async def test_a_run_of_ten_thousand_series_opens_and_finds_one(live: Live, browser: Browser) -> None:
    author, two = Author("wide", time=NOW), {"steps": array("q", [0, 1]), "values": array("d", [1.0, 2.0])}

    def layer(number: int) -> Envelope:
        times = array("q", [author.now(), author.now()])
        names = [f"layer{number}/w{at}" for at in range(number, 10_000, 20)]
        return author.envelope(
            ev.Metrics(time=author.time, series=[ev.Series(name=one, times=times, **two) for one in names])
        )

    many = [layer(number) for number in range(20)]
    await live.publish([author.start(name="wide"), *many])
    await browser.page.goto(f"{live.url}/runs/wide")
    await expect(chart(browser, "layer0/w0")).to_have_attribute("data-points", "2")
    assert await browser.page.locator("figure.chart-card").count() < 1_000
    await browser.page.keyboard.press("Shift+F")
    await browser.page.keyboard.type("w9999$")
    await expect(browser.page.locator("figure.chart-card")).to_have_count(1)
    await expect(chart(browser, "layer19/w9999")).to_have_attribute("data-points", "2")
    assert browser.console_errors == []


async def test_points_lines_and_attempts_lead_to_each_other(live: Live, browser: Browser, tmp_path: Path) -> None:
    page = browser.page
    await live.publish(whole_run("whole", tmp_path / "store", time=NOW))
    await page.goto(f"{live.url}/runs/whole?view=overview")
    loss = chart(browser, "train/loss")
    await expect(loss).to_have_attribute("data-points", str(STEPS))
    await loss.focus()
    for key in ["Home", *["ArrowRight"] * 10, "Enter"]:
        await page.keyboard.press(key)
    await expect(page.locator(".picked-lines")).to_contain_text("step 10 of 40")
    await page.keyboard.press("o")
    await expect(page.locator(".console-line.marked")).to_contain_text("step 10 of 40")

    await page.keyboard.press("/")
    await page.keyboard.type("was slow")
    await expect(page.locator(".console-line mark").first).to_have_text("was slow")
    await expect(page.locator(".console-lines")).to_have_attribute("data-lines", "4")
    await page.get_by_role("checkbox", name="regex").check()
    await page.locator("#console-search").fill("step (9|19) was")
    await expect(page.locator(".console-lines")).to_have_attribute("data-lines", "2")
    await page.locator("#console-search").fill("")
    await page.get_by_role("combobox", name="Stream").select_option("stdout")
    await expect(page.locator(".console-lines")).to_have_attribute("data-following", "true")
    await page.locator(".console-time").last.click()
    await expect(page.locator(".mark-chip")).to_be_visible()
    await expect(loss).to_have_attribute("data-points", str(STEPS))
    await check_steps(live, browser)
    assert browser.console_errors == []


async def check_steps(live: Live, browser: Browser) -> None:
    """Attempts are bars, those that later ones replaced on a toggle, and a bar leads to the console."""
    page = browser.page
    await page.goto(f"{live.url}/runs/whole?view=steps")
    bars = page.locator(".gantt-bar")
    await expect(bars).to_have_count(3)
    await page.get_by_label("show what later attempts replaced").check()
    await expect(bars).to_have_count(6)
    await page.locator('[data-step="fit"] [data-attempt="1"]').focus()
    await expect(page.get_by_role("status").filter(has_text="fit")).to_contain_text("failed")
    await expect(page.get_by_role("status").filter(has_text="fit")).to_contain_text("the disk is full")
    await page.get_by_role("button", name="Console from here").click()
    await expect(page.locator(".console-line.marked")).to_contain_text("step 0 of 40")
    await page.keyboard.press("1")  # the toggle is that of the charts, too
    await expect(chart(browser, "train/loss")).to_have_attribute("data-points", str(STEPS + 5))


async def test_what_is_changed_is_in_the_log_and_shown(live: Live, browser: Browser, tmp_path: Path) -> None:
    page = browser.page
    await live.publish(whole_run("whole", tmp_path / "store", time=NOW))
    async with folding(live.settings):
        await page.goto(f"{live.url}/runs/whole")
        tags = part(browser, "Tags")
        await tags.get_by_role("button", name="Add a tag").click()
        await page.keyboard.type("stage")
        await page.keyboard.press("Tab")
        await page.keyboard.type("candidate")
        await page.keyboard.press("Enter")
        await expect(tags.locator('[data-field="stage"]')).to_contain_text("candidate")
        await tags.locator('[data-field="team"]').hover()
        await tags.get_by_role("button", name="Remove team").click()
        await expect(tags.locator('[data-field="team"]')).to_have_count(0)
        await page.get_by_role("button", name="Undo").last.click()
        await expect(tags.locator('[data-field="team"]')).to_contain_text("vision")

        params = part(browser, "Parameters")
        await params.locator('[data-field="lr"]').hover()
        await params.get_by_role("button", name="Change lr").click()
        await page.keyboard.press("Control+A")
        await page.keyboard.type("0.25")
        await page.keyboard.press("Enter")
        await expect(params.locator('[data-field="lr"]')).to_contain_text("0.25")
        await page.get_by_role("button", name="More about this run").click()
        await page.get_by_role("menuitem", name="Rename").click()
        await page.keyboard.press("Control+A")
        await page.keyboard.type("a better name")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("a better name")
    log = await live.json("/v1/runs/whole/log")
    assert (log["name"], log["tags"]["stage"], log["tags"]["team"]) == ("a better name", "candidate", "vision")
    assert log["parameters"]["lr"] == 0.25
    assert browser.console_errors == []


async def check_other_parts(live: Live, browser: Browser) -> None:
    """Values, machines and the record are reached by key and by link, on a phone, too."""
    page = browser.page
    await page.goto(f"{live.url}/runs/whole")
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    for key, heading in {"3": "Machines over time", "6": "Values that are no numbers", "7": "Completeness"}.items():
        await page.keyboard.press(key)
        await expect(page.get_by_role("heading", name=heading)).to_be_visible()
    await page.goto(f"{live.url}/runs/whole?view=values&name=sample")
    await expect(page.locator(".value-text").first).to_have_text(f"the {STEPS - 1}th sentence")
    await page.get_by_role("button", name="grads").click()
    heat = page.locator(".heat-canvas")
    await expect(heat).to_have_attribute("data-columns", str(STEPS))
    await page.goto(f"{live.url}/runs/whole?view=system")
    await expect(heat).to_have_attribute("data-rows", "8")
    await heat.focus()
    for key in ["ArrowRight", *["ArrowDown"] * 6, *["ArrowRight"] * 200, "Enter"]:
        await page.keyboard.press(key)
    await expect(page.locator(".heat-reading")).to_contain_text("rank 1 · gpu 2")
    await expect(page.locator(".heat-reading")).to_contain_text(re.compile(r" · 5$"))
    await page.get_by_role("button", name="Its chart").click()
    await expect(page.locator("dialog.chart-full figure")).to_have_attribute("data-panel", GPU)

    await page.goto(f"{live.url}/runs/whole?view=record")
    await expect(part(browser, "Completeness")).to_contain_text("0 missing")
    await page.locator("details.raw summary").click()
    await expect(page.locator("details.raw pre")).to_contain_text('"run_id": "whole"')
    async with open_browser(live.url, viewport={"width": 390, "height": 800}) as phone:
        await phone.page.goto(page.url)
        await expect(phone.page.get_by_role("heading", name="Trackers")).to_be_visible()
        assert await phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert phone.console_errors == []


async def test_files_are_shown_and_nothing_of_them_runs_and_each_part_has_a_link(
    live: Live, browser: Browser, tmp_path: Path
) -> None:
    page = browser.page
    await live.publish(whole_run("whole", tmp_path / "store", time=NOW))
    await page.goto(f"{live.url}/runs/whole?view=artifacts")
    picture = page.locator(".image-card")
    await expect(picture).to_have_attribute("data-step", "35")
    await page.get_by_role("slider", name="Step of the pictures").focus()
    await page.keyboard.press("Home")
    await expect(picture).to_have_attribute("data-step", "0")
    drawn = "(image) => image.complete && image.naturalWidth === 16"
    await until(lambda: picture.locator("img").evaluate(drawn), "the picture of step 0 is drawn")

    await page.get_by_role("treeitem", name="report/").focus()
    for key in ["ArrowRight", "ArrowDown", "ArrowDown", "Enter"]:
        await page.keyboard.press(key)
        await expect(page.get_by_role("treeitem", name="metrics.csv")).to_be_visible()
    await expect(page.locator(".preview-table")).to_contain_text("a, b")
    await page.get_by_role("treeitem", name="config.json").click()
    await expect(page.locator(".preview-text")).to_contain_text('"layers": [')
    await page.get_by_role("treeitem", name="page.html").click()
    await expect(page.locator(".preview-text")).to_contain_text("<h1>hello</h1>")
    assert await page.title() != "ran"
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download").click()
    assert Path(await (await download.value).path()).read_bytes() == FILES["report/page.html"]
    await page.get_by_role("treeitem", name="weights").click()
    await expect(page.locator(".preview")).to_contain_text("s3://elsewhere/w")
    await check_other_parts(live, browser)
    assert browser.outside() == []
    assert browser.console_errors == []
