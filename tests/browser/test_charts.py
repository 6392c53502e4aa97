"""
Charts of the workspace in a real browser: they follow a training, and zooming shows exactly what was recorded.

| interaction | test |
|---|---|
| live update; a killed API loses nothing | `a_training_starts_…`, `an_api_that_is_killed_…` |
| smoothing, raw line behind; outliers; log and symlog; NaN ticks | `lines_are_smoothed_clipped_and_scaled` |
| x axis kinds; zoom keeps exactness | `one_spike_…`, `any_x_axis_…` |
| attempts as segments, toggle superseded | `any_x_axis_…` |
| linked cursor, zoom sync, tooltip sort and row limit | `charts_share_their_cursor_and_zoom` |
| panels by prefix, order, pin, regex; full screen; share link | `panels_are_…` |
| export PNG, SVG, CSV | `a_chart_is_saved_…` |
| group-by with band; run sets as views; embed | `runs_are_grouped_…` |
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import struct
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import playwright.async_api as driver
import pytest
from playwright.async_api import Locator, Page, expect

from gateway.local.ports import free_ports
from schemas import events as ev
from schemas.wire import Envelope
from tests.browser.conftest import Browser, visiting
from tests.browser.lab import SECOND, Training
from tests.support.live_process import live_process
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


def chart(page: Page, panel: str) -> Locator:
    """Return the plot of a panel."""
    return page.locator(f'figure[data-panel="{panel}"] .chart-host')


async def choose(page: Page, menu: str, *items: str) -> None:
    """Choose items of a menu, and shut it."""
    await page.get_by_role("button", name=menu, exact=True).click()
    for item in items:
        await page.get_by_role("menu").get_by_text(item, exact=True).click()
    if await page.get_by_role("menu").count():
        await page.keyboard.press("Escape")


async def drag(page: Page, panel: str, start: float, end: float) -> None:
    """Drag across a part of a chart, level, so that only x is zoomed."""
    box = await chart(page, panel).locator(".u-over").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] * start, box["y"] + 60)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * end, box["y"] + 64, steps=4)
    await page.mouse.up()


async def saved(page: Page, panel: str, item: str) -> bytes:
    """Return the file that an item of a panel's menu saves."""
    async with page.expect_download() as waited:
        await choose(page, f"Settings and files of {panel}", item)
    return Path(await (await waited.value).path()).read_bytes()


async def test_a_training_starts_and_its_chart_appears_and_moves_without_a_reload(
    stack: Live, visitor: Browser
) -> None:
    page = visitor.page
    await page.goto(f"{stack.url}/workspace?where=experiment_id = 'starts'")
    await expect(page.get_by_text("No run matches")).to_be_visible()
    await page.evaluate("window.isTheSamePage = true")

    author, loss = Author("first", time=NOW), chart(page, "train/loss")
    start = author.start(name="first light", experiment_id="starts")
    await stack.publish_unfolded([start, author.metrics("train/loss", [3.0, 2.0, float("nan"), 1.0])])
    await expect(loss).to_have_attribute("data-points", "4")
    for round_ in range(3):
        await stack.publish_unfolded([author.metrics("train/loss", [0.5] * 10, first_step=4 + 10 * round_)])
        await expect(loss).to_have_attribute("data-points", str(4 + 10 * (round_ + 1)))

    other = Author("second", time=NOW)
    start = other.start(name="second", experiment_id="starts")
    await stack.publish_unfolded([start, other.metrics("train/loss", [9.0]), author.metrics("lr", [0.1])])
    await expect(loss).to_have_attribute("data-lines", "2")
    await expect(chart(page, "lr")).to_have_attribute("data-points", "1")

    assert await page.evaluate("window.isTheSamePage")
    assert visitor.outside() == []
    assert visitor.console_errors == []


async def test_one_spike_among_many_points_shows_zoomed_out_and_a_zoom_is_exact(stack: Live, visitor: Browser) -> None:
    author, page = Author("spiky", time=NOW), visitor.page
    values = [step % 7 / 7 for step in range(POINTS)]
    values[SPIKE_AT] = SPIKE
    parts = [author.metrics("loss", values[at : at + 5_000], first_step=at) for at in range(0, POINTS, 5_000)]
    epochs = [step / 1_000 for step in range(POINTS)]
    parts += [author.metrics("epoch", epochs[at : at + 5_000], first_step=at) for at in range(0, POINTS, 5_000)]
    await stack.publish_unfolded([author.start(name="spiky"), *parts])

    await page.goto(f"{stack.url}/workspace?runs=spiky&panels=loss")
    loss = chart(page, "loss")
    await expect(loss).to_have_attribute("data-max", str(int(SPIKE)))
    assert int(await loss.get_attribute("data-points") or 0) <= 4_000
    await expect(loss.locator("canvas")).to_be_visible()
    assert 0 < await loss.evaluate(INKED, [".run-swatch", 0.5]) < 400, "one line up, alone"

    await drag(page, "loss", 0.5, 0.6)
    await expect(page).to_have_url(re.compile("zoom="))
    (zoom,) = parse_qs(urlsplit(page.url).query)["zoom"]
    first, last = (float(part) for part in zoom.split(".."))
    assert 45_000 < first < SPIKE_AT < last < 65_000
    # A narrower link, as one would share it: every point of the range, at its true step.
    await page.goto(f"{stack.url}/workspace?runs=spiky&panels=loss&zoom={SPIKE_AT - 20}..{SPIKE_AT + 20}")
    await expect(loss).to_have_attribute("data-points", "41")
    await loss.focus()
    for key in ["Home", *["ArrowRight"] * 20]:
        await page.keyboard.press(key)
    await expect(page.locator(".chart-reading")).to_contain_text(f"step {SPIKE_AT:,} · 99 · ")

    await page.keyboard.press("0")
    await expect(page).not_to_have_url(re.compile("zoom="))
    await expect(loss).not_to_have_attribute("data-points", "41")
    # The same part by a metric as x: of its corners at first, then of every point.
    await page.goto(f"{stack.url}/workspace?runs=spiky&panels=loss&x=metric:epoch&zoom=54.301..54.341")
    await expect(loss).to_have_attribute("data-max", str(int(SPIKE)))
    await expect(loss).to_have_attribute("data-points", re.compile(r"^\d{2,3}$"))
    assert visitor.console_errors == []


async def test_any_x_axis_shows_attempts_and_what_they_replaced(stack: Live, visitor: Browser) -> None:
    run, page = Training("resumed", experiment="axes", began=NOW - 1_000 * SECOND), visitor.page
    run.start("resumed", {"lr": 0.1})
    run.points({"loss": [9.0 - step / 10 for step in range(30)], "epoch": [step / 10 for step in range(30)]}, every_s=1)
    run.author.time += 600 * SECOND
    run.say(ev.RunResumed(time=run.author.now(), attempt=2))
    rest = {"loss": [7.0 - step / 10 for step in range(20)], "epoch": [2 + step / 10 for step in range(20)]}
    run.points(rest, first=20, attempt=2, every_s=1)
    await stack.publish_unfolded(run.events)

    await page.goto(f"{stack.url}/workspace?runs=resumed&panels=loss")
    loss, axis = chart(page, "loss"), page.get_by_label("x axis", exact=True)

    async def span() -> float:
        low, high = str(await loss.get_attribute("data-x")).split("..")
        return float(high) - float(low)

    await expect(loss).to_have_attribute("data-x", "0..39")
    await axis.select_option("relative")
    await expect(loss).not_to_have_attribute("data-x", "0..39")
    assert 640 < await span() < 660
    await axis.select_option("process")
    await expect(loss).to_have_attribute("data-x", re.compile(r"\.\.(4|5)\d\."))  # without the pause
    await axis.select_option("time")
    await expect(loss).to_have_attribute("data-x", re.compile(r"^1\d{9}"))
    await axis.select_option("metric:epoch")
    await expect(loss).to_have_attribute("data-x", "0..3.9")

    await expect(loss).to_have_attribute("data-points", "40")
    await choose(page, "More", "show superseded points")
    await expect(loss).to_have_attribute("data-lines", "2")
    await expect(loss).to_have_attribute("data-points", "50")  # steps 20 to 29 of the first attempt
    assert visitor.console_errors == []


async def test_lines_are_smoothed_clipped_and_scaled(stack: Live, visitor: Browser) -> None:
    author, page = Author("shaped", time=NOW), visitor.page
    values = [1.0 + step % 5 for step in range(60)]
    values[10], values[20], values[30] = 1e6, float("nan"), -1.0
    await stack.publish_unfolded([author.start(name="shaped"), author.metrics("loss", values)])
    await page.goto(f"{stack.url}/workspace?runs=shaped")
    loss, notes = chart(page, "loss"), page.locator(".chart-note")
    await expect(loss).to_have_attribute("data-marks", "1")
    await expect(loss).to_have_attribute("data-smoothed", "0")

    for kind in ("ema", "gaussian"):
        await page.get_by_label("Smoothing", exact=True).select_option(kind)
        await expect(loss).to_have_attribute("data-smoothed", "1")
        picture = (await saved(page, "loss", "SVG")).decode()
        assert 'stroke-opacity="0.25"' in picture  # the points, behind the line
        assert 'stroke-opacity="1"' in picture
    await choose(page, "More", "clip values far outside")
    await expect(notes).to_have_text("1 outside")
    await notes.click()
    await expect(notes).to_have_count(0)
    await page.get_by_label("y scale", exact=True).select_option("log")
    await expect(notes).to_have_text("1 ≤ 0")
    await notes.click()  # to a scale that has a place for it
    await expect(notes).to_have_count(0)
    await choose(page, "More", "log x")
    await expect(loss).to_have_attribute("data-x", "1..59")
    await page.keyboard.press("u")
    await expect(loss).to_have_attribute("data-x", "0..59")
    assert visitor.console_errors == []


def fan(experiment: str, count: int, *panels: str) -> list[Envelope]:
    """Return runs of ten steps whose values are the number of the run."""
    found: list[Envelope] = []
    for number in range(count):
        author = Author(f"{experiment}{number}", time=NOW + number)
        found += [author.start(name=f"{experiment} {number}", experiment_id=experiment, group=f"g{number % 2}")]
        found += [author.metrics(panel, [number + step / 100 for step in range(10)]) for panel in panels]
    return found


async def test_charts_share_their_cursor_and_zoom(stack: Live, visitor: Browser) -> None:
    await stack.publish_unfolded(fan("linked", 8, "a", "b"))
    page = visitor.page
    await page.goto(f"{stack.url}/workspace?where=experiment_id = 'linked'")
    one, other = chart(page, "a"), chart(page, "b")
    for panel in (one, other):
        await expect(panel).to_have_attribute("data-lines", "8")

    box = await one.locator(".u-over").bounding_box()
    assert box
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 4)
    await expect(one.locator(".chart-tooltip-row")).to_have_count(8)
    assert (await one.locator(".chart-tooltip-label").all_inner_texts())[0] == "linked 7"
    await expect(page.locator(".run-row.lit")).to_contain_text("linked 7")
    place = "(host) => host.querySelector('.u-cursor-x').style.transform"
    assert await other.evaluate(place) == await one.evaluate(place)
    await choose(page, "More", "values by the pointer: lowest first", "at most 6 of them")
    await page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] - 4)
    await expect(one.locator(".chart-tooltip-row")).to_have_count(6)
    assert (await one.locator(".chart-tooltip-label").all_inner_texts())[0] == "linked 0"
    await expect(one.locator(".chart-tooltip-more")).to_have_text("2 more")

    await drag(page, "a", 0.25, 0.5)
    await expect(one).not_to_have_attribute("data-x", "0..9")
    await expect(other).to_have_attribute("data-x", str(await one.get_attribute("data-x")))
    await page.keyboard.press("z")
    for panel in (one, other):
        await expect(panel).to_have_attribute("data-x", "0..9")
    assert visitor.console_errors == []


async def test_panels_are_found_moved_pinned_and_fill_the_screen_and_a_link_shows_the_same(
    stack: Live, visitor: Browser, chromium: driver.Browser
) -> None:
    await stack.publish_unfolded(fan("panel", 2, "a/one", "a/two", "b/one", "plain"))
    page = visitor.page
    await page.goto(f"{stack.url}/workspace?where=experiment_id = 'panel'")
    titles = page.locator("figure[data-panel]")
    await expect(page.locator(".chart-section h2")).to_have_text(["charts 1", "a 2", "b 1"])

    await chart(page, "a/one").focus()
    await page.keyboard.press("]")
    await expect(page.locator('section[aria-label="a"] figure').first).to_have_attribute("data-panel", "a/two")
    await choose(page, "Settings and files of b/one", "pin to the top")
    await expect(titles.first).to_have_attribute("data-panel", "b/one")
    await page.keyboard.press("Shift+F")
    await page.keyboard.type("^a|^b")
    await expect(titles).to_have_count(3)

    async with visiting(chromium, page.url) as other:
        await other.page.goto(page.url)
        await expect(other.page.locator("figure[data-panel]")).to_have_count(3)
        script = "(all) => all.map((one) => one.dataset.panel)"
        found = await other.page.locator("figure[data-panel]").evaluate_all(script)
        assert found == ["b/one", "a/two", "a/one"]

    await chart(page, "a/two").focus()
    await page.keyboard.press("f")
    full = page.locator("dialog.chart-full figure")
    await expect(full).to_have_attribute("data-panel", "a/two")
    await page.keyboard.press("PageDown")
    await expect(full).to_have_attribute("data-panel", "a/one")
    await expect(full.locator("canvas")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(full).to_have_count(0)
    assert visitor.console_errors == []


async def test_what_code_says_of_metrics_arranges_the_charts(stack: Live, visitor: Browser) -> None:
    run, page = Training("meant", experiment="meant", began=NOW - 100 * SECOND), visitor.page
    run.start("meant", {"lr": 0.1})
    run.say(ev.MetricDefined(time=run.author.now(), name="*/loss", goal="min", panel="Losses", x="epoch", unit="nat"))
    run.say(ev.MetricDefined(time=run.author.now(), name="debug/*", hidden=True))
    falling = [1.0 - step / 10 for step in range(10)]
    epochs = [step / 10 for step in range(10)]
    run.points({"train/loss": falling, "val/loss": falling, "epoch": epochs, "debug/norm": falling}, every_s=1)
    await stack.publish_unfolded(run.events)

    await page.goto(f"{stack.url}/workspace?runs=meant")
    losses, titles = chart(page, "Losses"), page.locator(".chart-title")
    await expect(titles).to_have_text(["epoch", "Losses nat"])
    await expect(losses).to_have_attribute("data-lines", "2")
    await expect(losses).to_have_attribute("data-x", "0..0.9")
    await choose(page, "Settings and files of Losses", "x: step")
    await expect(losses).to_have_attribute("data-x", "0..9")
    await choose(page, "More", "show series that code hides")
    await expect(titles).to_have_text(["epoch", "Losses nat", "debug/norm"])

    said = ev.MetricDefined(time=run.author.now(), name="lr", panel="Schedule")
    await stack.publish_unfolded([run.author.envelope(said), run.author.metrics("lr", [0.1])])
    await expect(chart(page, "Schedule")).to_have_attribute("data-points", "1")

    await page.goto(f"{stack.url}/runs/meant?full=val/loss")
    await expect(page.locator("dialog.chart-full figure")).to_have_attribute("data-panel", "Losses")
    await page.keyboard.press("Escape")
    await expect(page.locator("[data-best]")).to_have_text(["best train/loss 0.1", "best val/loss 0.1"])
    await page.goto(f"{stack.url}/embed/chart?runs=meant&name=train/loss")
    await expect(losses).to_have_attribute("data-x", "0..0.9")
    assert visitor.console_errors == []


async def test_a_chart_is_saved_as_a_picture_and_as_exact_points(stack: Live, visitor: Browser) -> None:
    author, page = Author("exact", time=NOW), visitor.page
    values = [0.1 + 0.2, 1e-300, float("nan"), -float("inf"), 2.0]
    await stack.publish_unfolded([author.start(name="exact"), author.metrics("loss", values)])
    await page.goto(f"{stack.url}/workspace?runs=exact")
    await expect(chart(page, "loss")).to_have_attribute("data-points", "5")

    rows = list(csv.DictReader(io.StringIO((await saved(page, "loss", "CSV of every point")).decode())))
    assert [(row["run_id"], row["series"], int(row["step"])) for row in rows] == [
        ("exact", "loss", n) for n in range(5)
    ]
    assert [repr(float(row["value"])) for row in rows] == [repr(value) for value in values]
    picture = (await saved(page, "loss", "SVG")).decode()
    assert (picture[:5], picture[-6:]) == ("<svg ", "</svg>")
    assert ">loss</text>" in picture
    png = await saved(page, "loss", "PNG")
    width, height = struct.unpack(">II", png[16:24])
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert min(width, height) > 200
    assert visitor.console_errors == []


async def test_runs_are_grouped_with_a_band_kept_as_a_view_and_embedded(
    stack: Live, visitor: Browser, chromium: driver.Browser
) -> None:
    await stack.publish_unfolded(fan("band", 6, "loss"))
    page = visitor.page
    await page.goto(f"{stack.url}/workspace?where=experiment_id = 'band'")
    await expect(chart(page, "loss")).to_have_attribute("data-lines", "6")
    await page.keyboard.press("Shift+G")
    await expect(page.get_by_label("group by")).to_be_focused()
    await page.get_by_label("group by").select_option("fact.group")
    await expect(page.locator(".chart-legend")).to_contain_text("g0 (3 runs)")
    await expect(chart(page, "loss")).to_have_attribute("data-bands", "2")
    await page.get_by_label("Line of a group").select_option("median")
    await page.get_by_label("Band of a group").select_option("ci95")
    await expect(chart(page, "loss")).to_have_attribute("data-bands", "2")
    rows = list(csv.DictReader(io.StringIO((await saved(page, "loss", "CSV of the groups")).decode())))
    medians = [2 + step / 100 for step in range(10)]  # of runs 0, 2, 4
    assert [float(row["value"]) for row in rows if row["line"] == "g0 (3 runs)"] == pytest.approx(medians)

    await choose(page, "Views", "Save this view…")
    await page.get_by_label("Name").fill("bands")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("status").filter(has_text="View bands saved")).to_be_visible()
    async with visiting(chromium, stack.url) as other:
        await other.page.goto(f"{stack.url}/workspace?runs=none")
        await choose(other.page, "Views", "bands")
        await expect(chart(other.page, "loss")).to_have_attribute("data-bands", "2")
        await other.page.goto(f"{stack.url}/embed/chart?runs=band0,band1&name=loss")
        await expect(chart(other.page, "loss")).to_have_attribute("data-lines", "2")
        await expect(other.page.locator("header.bar")).to_have_count(0)
        assert other.console_errors == []


async def test_an_api_that_is_killed_and_started_again_costs_no_point(
    stack: Live, chromium: driver.Browser, tmp_path: Path
) -> None:
    author, (port,) = Author("survives", time=NOW), free_ports(1)
    settings = stack.settings
    variables = {
        "GATEWAY_KAFKA": settings.kafka, "GATEWAY_TOPIC": settings.topic, "GATEWAY_LIVE_PORT": str(port),
        "GATEWAY_POSTGRES": settings.postgres.get_secret_value(), "GATEWAY_TRACKERS": "",
    }  # fmt: skip
    await stack.publish_unfolded([author.start(name="survives"), author.metrics("loss", [1 / 3] * 10)])
    first, again = live_process(tmp_path, variables), live_process(tmp_path / "again", variables)
    (tmp_path / "again").mkdir()
    url = await asyncio.to_thread(first.__enter__)
    async with visiting(chromium, url) as browser:
        page = browser.page
        await page.goto(f"{url}/workspace?runs=survives")
        await expect(chart(page, "loss")).to_have_attribute("data-points", "10")
        await page.evaluate("window.isTheSamePage = true")
        await stack.publish_unfolded([author.metrics("loss", [0.1] * 7, first_step=10)])
        await asyncio.to_thread(first.__exit__, None, None, None)  # SIGKILL
        await expect(page.locator("#live")).to_have_text("reconnecting")
        await stack.publish_unfolded([author.metrics("loss", [0.7] * 13, first_step=17)])
        await asyncio.to_thread(again.__enter__)
        try:
            await stack.publish_unfolded([author.metrics("loss", [0.9] * 5, first_step=30)])
            await expect(chart(page, "loss")).to_have_attribute("data-points", "35")
            answer = await stack.http.post("/v1/series", json={"runs": ["survives"], "names": ["loss"]})
            (series,) = json.loads(answer.text)["series"]
            assert series["columns"]["steps"] == list(range(35))
            assert float(str(await chart(page, "loss").get_attribute("data-sum"))) == sum(series["columns"]["values"])
            assert await page.evaluate("window.isTheSamePage")
        finally:
            await asyncio.to_thread(again.__exit__, None, None, None)
