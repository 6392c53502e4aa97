"""The dashboard in a real browser."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from urllib.parse import quote

import pytest
from playwright.async_api import Route, expect

from schemas import events as ev
from schemas.wire import Envelope, encode
from tests.browser.conftest import Browser
from tests.support.live_server import Live, fold, training
from tests.support.log_author import Author, producer

TOMORROW = time.time_ns() // 1_000 + 86_400_000_000  # µs; a run that began long ago and is silent shows as lost

pytestmark = pytest.mark.browser
# Each state for however short a time.
SHOWN = """
window.shown = [];
new MutationObserver(() => {
    const state = document.getElementById("live")?.textContent;
    if (state && state !== shown.at(-1)) shown.push(state);
}).observe(document, { childList: true, characterData: true, subtree: true });
"""
HOSTILE = "<img src=x onerror=alert(1)>/'\"&{rank=0}"


async def emit(live: Live, author: Author, envelopes: int, *, first: int = 0) -> None:
    """Write ten points at a time, as a training does, without anybody folding them into the store."""
    async with producer(live.settings.kafka) as sender:
        for number in range(first, first + envelopes):
            record = encode(author.metrics("loss", [1 / (number + 1)] * 10, first_step=number * 10))
            await sender.send_and_wait(
                live.settings.topic, key=record.key, value=record.value, headers=list(record.headers)
            )


async def until_points(browser: Browser, count: int) -> None:
    await expect(browser.page.locator('canvas[data-series="loss"]')).to_have_attribute("data-points", str(count))


async def inked(browser: Browser) -> int:
    """Return how many pixels of the first chart are drawn on."""
    script = """canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
                .filter((value, index) => index % 4 === 3 && value > 0).length"""
    return int(await browser.page.locator("canvas").first.evaluate(script))


async def test_a_chart_grows_while_events_are_produced(live: Live, browser: Browser) -> None:
    author = Author("run")
    await live.publish([author.start(name="first light"), author.metrics("loss", [3.0] * 5, first_step=-5)])
    await browser.page.goto(f"{live.url}/runs/run")
    await until_points(browser, 5)

    for first in range(0, 60, 20):
        await emit(live, author, 20, first=first)
        await until_points(browser, 5 + (first + 20) * 10)  # each once: five from the store, the rest from the stream

    assert await inked(browser) > 500
    assert browser.outside() == []
    assert browser.console_errors == []


async def test_the_list_shows_a_run_as_soon_as_it_starts_and_when_it_ends(live: Live, browser: Browser) -> None:
    await browser.page.goto(live.url)
    await expect(browser.page.get_by_role("heading", name="No runs yet")).to_be_visible()
    author = Author("run", time=TOMORROW)

    await live.publish([author.start(name="first light")])
    row = browser.page.locator("tbody tr")
    await expect(row).to_contain_text("first light")
    await expect(row).to_contain_text("running")
    await live.publish([author.metrics("loss", [0.125]), author.finish()])
    await expect(row).to_contain_text("finished")
    await expect(row).to_contain_text("loss 0.125")

    assert browser.outside() == []
    assert browser.console_errors == []


async def test_the_list_catches_up_with_a_store_that_was_behind(live: Live, browser: Browser) -> None:
    await browser.page.goto(live.url)
    await expect(browser.page.get_by_role("heading", name="No runs yet")).to_be_visible()

    async with browser.page.expect_response("**/v1/runs?*") as asked:
        await live.publish_unfolded([Author("run").start(name="first light")])
    assert await (await asked.value).json() == {"runs": [], "next_page_token": None, "as_of": "0:0,1:0"}
    await fold(live.settings)  # no event follows that could tell the page

    await expect(browser.page.locator("tbody tr")).to_contain_text("first light")


async def test_a_hostile_name_is_shown_and_never_run(live: Live, browser: Browser) -> None:
    author = Author(HOSTILE)
    await live.publish([author.start(name=HOSTILE, tag="</script><b>", group=HOSTILE), author.metrics(HOSTILE, [1.0])])

    await browser.page.goto(live.url)
    await browser.page.get_by_role("link", name=HOSTILE).click()

    await expect(browser.page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
    await expect(browser.page.locator("figcaption")).to_contain_text(HOSTILE)
    assert await browser.page.locator("main img, main script").count() == 0
    assert browser.console_errors == []


async def test_a_run_page_can_be_opened_by_its_address_and_tells_all(live: Live, browser: Browser) -> None:
    await live.publish(training("sweep/7 ü", group="sweep"))

    await browser.page.goto(f"{live.url}/runs/{quote('sweep/7 ü', safe='')}")

    summary = browser.page.locator("#summary")
    for text in ["finished", "digits", "lr 0.1", "4 records received", "0 missing"]:
        await expect(summary).to_contain_text(text)
    await expect(browser.page.locator("figure.chart")).to_contain_text("3 points · min 0.5 · max 0.5 · 2 marks NaN")
    raw = await browser.page.get_by_role("link", name="raw JSON").get_attribute("href")
    assert (await live.json(str(raw)))["run_id"] == "sweep/7 ü"


async def test_a_run_in_the_trash_leaves_the_list_and_its_page_says_so(live: Live, browser: Browser) -> None:
    author = Author("away")
    await live.publish([*training("stays"), author.start()])
    await browser.page.goto(live.url)
    rows = browser.page.locator("#runs tbody tr")
    await expect(rows).to_have_count(2)

    await live.publish([author.envelope(ev.LifecycleStage(time=author.now(), stage="deleted"))])
    await expect(rows).to_have_count(1)
    await browser.page.goto(f"{live.url}/runs/away")
    await expect(browser.page.locator("[data-fact=Trash]")).to_contain_text("in the trash")

    await live.publish([author.envelope(ev.LifecycleStage(time=author.now(), stage="active"))])
    await expect(browser.page.locator("[data-fact=Trash]")).to_have_count(0)


async def test_a_page_that_waits_for_a_run_opens_when_it_starts(live: Live, browser: Browser) -> None:
    await browser.page.goto(f"{live.url}/runs/later")
    await expect(browser.page.get_by_role("heading", name="No such run yet")).to_be_visible()

    await live.publish(training("later", values=(1.0, 2.0)))

    await until_points(browser, 2)


async def test_charts_are_read_with_the_keyboard(live: Live, browser: Browser) -> None:
    await live.publish(training("run", values=(4.0, 2.0, 1.0)))
    await browser.page.goto(f"{live.url}/runs/run")
    await until_points(browser, 3)

    await browser.page.locator("canvas").focus()
    await browser.page.keyboard.press("Home")
    await browser.page.keyboard.press("ArrowRight")

    await expect(browser.page.locator("output")).to_contain_text("step 1 · 2 · ")
    await browser.page.get_by_role("button", name="log y").click()
    await browser.page.get_by_label("time").check()
    assert browser.console_errors == []


async def test_thousands_of_points_are_thinned_without_losing_a_spike(live: Live, browser: Browser) -> None:
    await browser.page.goto(live.url)
    found = await browser.page.evaluate("""async () => {
        const { Points, columns } = await import("/static/points.js");
        const points = new Points();
        for (let start = 0; start < 200000; start += 1000) {
            points.add(Array.from({ length: 1000 }, (_, i) => [start + i, start + i, start + i === 123456 ? 99 : 1]));
        }
        points.add([[5, 5, "NaN"], [3, 4, -7]]);
        const drawn = columns(points.steps, points.values, 0, 200000, 300);
        return {
            held: points.length,
            total: points.total,
            sorted: points.steps.every((step, i, all) => !i || all[i - 1] <= step),
            max: Math.max(...drawn.map((one) => one.max)), min: Math.min(...drawn.map((one) => one.min)),
            odd: drawn.flatMap((one) => one.odd).length, nearest: points.steps[points.nearest("steps", 123456.3)],
        };
    }""")

    assert found["held"] < 30_000
    expected = {"total": 200_002, "sorted": True, "max": 99, "min": -7, "odd": 1, "nearest": 123_456}
    assert {name: found[name] for name in expected} == expected


async def test_a_run_of_ten_thousand_series_opens_and_its_series_are_found(live: Live, browser: Browser) -> None:
    author = Author("wide")
    names = [f"w{number}" for number in range(10_000)]
    await live.publish([author.start(), *(wide(author, names[at : at + 1_000]) for at in range(0, 10_000, 1_000))])
    await browser.page.goto(f"{live.url}/runs/wide")
    page = browser.page
    await expect(page.locator("#charts-count")).to_have_text("10,000 series")
    first = await page.locator("figure.chart").count()
    await page.locator("button.more").click()
    await expect(page.locator("figure.chart")).to_have_count(2 * first)

    await page.locator("#series-filter").fill("w9998")
    found = page.locator('canvas[data-series="w9998"]')
    await expect(found).to_be_visible()
    await live.publish([wide(author, ["w9998", "w1"], step=1)])
    await expect(found).to_have_attribute("data-points", "2")

    assert first == 48
    assert browser.console_errors == []


async def test_series_that_a_person_asked_for_come_although_the_page_starts_again_or_an_answer_fails(
    live: Live, browser: Browser
) -> None:
    author, page = Author("wide"), browser.page
    await live.publish([author.start(), wide(author, [f"w{number}" for number in range(200)])])
    await page.goto(f"{live.url}/runs/wide")
    charts = page.locator("figure.chart")
    await expect(charts).to_have_count(48)
    await expect(charts.first.locator("output")).not_to_be_empty()  # it is drawn, the last ones are not
    heights = await charts.evaluate_all("(all) => [...new Set(all.map((one) => one.offsetHeight))]")
    assert len(heights) == 1, "a chart that grows when it is drawn moves what is below it from under the pointer"
    held = asyncio.Event()

    async def hold(route: Route) -> None:
        await held.wait()
        await route.continue_()

    await page.route("**/series?*page_token=*", hold)
    async with page.expect_request(lambda request: "page_token" in request.url):
        await page.locator("button.more").click()
    async with page.expect_response(lambda answer: "/series?" in answer.url and "page_token" not in answer.url):
        await live.publish([author.envelope(ev.RunResumed(time=author.now(), attempt=2))])
    held.set()
    await expect(charts).to_have_count(96)

    await page.unroute("**/series?*page_token=*", hold)
    answers = iter([503])

    async def fail_once(route: Route) -> None:
        if status := next(answers, None):
            await route.fulfill(
                status=status, content_type="application/json", body='{"error": "busy", "next": "wait"}'
            )
        else:
            await route.continue_()

    await page.route("**/series?*page_token=*", fail_once)
    await page.locator("button.more").click()
    await expect(charts).to_have_count(144)
    await expect(page.locator("#problem")).to_be_hidden()


async def test_a_page_that_hears_nothing_from_its_server_is_not_live(live: Live, browser: Browser) -> None:
    await live.publish(training("run"))
    script = (await browser.page.request.get(f"{live.url}/static/api.js")).text
    text = (await script()).replace("SILENT_MS = 15000", "SILENT_MS = 1")  # the server sends a sign of life every 5 s
    await browser.page.route("**/static/api.js", lambda route: route.fulfill(body=text, content_type="text/javascript"))
    await browser.page.add_init_script(SHOWN)
    await browser.page.goto(f"{live.url}/runs/run")

    await browser.page.wait_for_function("() => shown.join(' ').includes('live reconnecting live')")


async def test_a_quiet_stream_stays_live(live: Live, browser: Browser) -> None:
    await live.publish(training("run"))
    await browser.page.goto(f"{live.url}/runs/run")
    await browser.page.evaluate(
        """() => new Promise((done) => {
            const source = new EventSource("/v1/stream?run=run");
            source.addEventListener("alive", () => { source.close(); done(); });
        })"""
    )

    assert browser.console_errors == []


def wide(author: Author, names: Sequence[str], *, step: int = 0) -> Envelope:
    """Return one point of each of these series."""
    time = author.now()
    return author.envelope(
        ev.Metrics(time=time, series=[ev.Series(name=name, steps=[step], times=[time], values=[1.0]) for name in names])
    )
