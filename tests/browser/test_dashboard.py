"""
The dashboard's frame, its table of runs and the page of a run, in a real browser.

| interaction | test |
|---|---|
| run sets, saved views, share link | `a_view_is_saved_for_everybody`, `columns_are_…_and_a_link_shows_the_same` |
| pinned runs, baseline; goals that code gave | `rows_are_grouped_and_compared_with_a_baseline` |
| columns: pin, hide, reorder, sort, persist | `columns_are_sorted_moved_…` |
| run colours: by id, the same everywhere | `runs_have_the_same_colour_in_the_table_and_the_workspace` |
| keyboard: `/`, Cmd+K, `?`, j/k, space, u/U | `filters_are_…`, `runs_are_walked_…`, `columns_are_…` |
| live update, resumed without loss | `the_list_shows_…`, `a_page_whose_server_…` |
| alerts list | `rules_of_alerts_are_read_and_switched_off` |
"""

from __future__ import annotations

import re
import time
from urllib.parse import quote

import playwright.async_api as driver
import pytest
from playwright.async_api import Locator, expect

from schemas import events as ev
from schemas.values import FloatValue, JsonValue, StringValue
from schemas.wire import Envelope
from tests.browser.conftest import Browser, visiting
from tests.support.live_server import Live, fold, serving, training
from tests.support.log_author import Author, write

TOMORROW = time.time_ns() // 1_000 + 86_400_000_000  # µs; a run that began long ago and is silent shows as lost

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=alert(1)>/'\"&{rank=0}"


def rows(browser: Browser) -> Locator:
    """Return the rows of runs, without the head and the heads of groups."""
    return browser.page.locator(".grid-row[data-run]")


def cell(browser: Browser, run_id: str, column: str) -> Locator:
    return browser.page.locator(f'[data-run="{run_id}"] [data-column="{column}"]')


def head(browser: Browser, column: str) -> Locator:
    return browser.page.locator(f'[data-head="{column}"]')


async def heads(browser: Browser) -> list[str]:
    script = "(all) => all.map((one) => one.dataset.head)"
    return list(await browser.page.locator("[data-head]").evaluate_all(script))


async def shown(browser: Browser) -> list[str]:
    return list(await rows(browser).evaluate_all("(all) => all.map((one) => one.dataset.run)"))


def sweep(experiment: str, count: int) -> list[Envelope]:
    """
    Return finished runs EXPERIMENT0, EXPERIMENT1, ...; 0 is the newest.

    They have a learning rate, an optimizer, a text that looks like a number, a structure and a falling loss; those
    with an even number have a group.
    """
    found: list[Envelope] = []
    for number in range(count):
        author = Author(f"{experiment}{number}", time=1_700_000_000_000_000 - number * 1_000_000)
        params = {
            "lr": FloatValue(value=number / 10),
            "opt": StringValue(value="adam" if number % 2 else "sgd"),
            "seed": StringValue(value="007" if number % 2 else "7"),
            "net": JsonValue(value={"layers": [64, 32], "name": "it's"} if number % 2 else {"layers": []}),
        }
        found += [
            author.start(name=f"run {number}", experiment_id=experiment, group="" if number % 2 else "even"),
            author.envelope(ev.MetricDefined(time=author.now(), name="loss", goal="min")),
            author.envelope(ev.Params(time=author.now(), params=params)),
            author.metrics("loss", [3.0, 1.0 + (number * 7) % 5]),
            author.finish(),
        ]
    return found


async def test_the_list_shows_a_run_as_soon_as_it_starts_and_when_it_ends(live: Live, browser: Browser) -> None:
    await browser.page.goto(live.url)
    await expect(browser.page.get_by_role("heading", name="No runs yet")).to_be_visible()
    author = Author("run", time=TOMORROW)

    await live.publish([author.start(name="first light"), author.metrics("loss", [0.5])])
    await expect(cell(browser, "run", "fact:name")).to_have_text("first light")
    await expect(cell(browser, "run", "fact:state")).to_contain_text("running")
    await expect(cell(browser, "run", "metric:loss")).to_have_text("0.5")
    await live.publish([author.metrics("loss", [0.125], first_step=1), author.finish()])
    await expect(cell(browser, "run", "fact:state")).to_contain_text("finished")
    await expect(cell(browser, "run", "metric:loss")).to_have_text("0.125")
    await expect(browser.page.locator("#count")).to_have_text("1 run")

    assert browser.outside() == []
    assert browser.console_errors == []


async def test_the_list_catches_up_with_a_store_that_was_behind(live: Live, browser: Browser) -> None:
    await browser.page.goto(live.url)
    await expect(browser.page.get_by_role("heading", name="No runs yet")).to_be_visible()

    await live.publish_unfolded([Author("run").start(name="first light")])
    await fold(live.settings)  # no record follows that could tell the page

    await expect(cell(browser, "run", "fact:name")).to_have_text("first light")


async def test_a_page_whose_server_is_started_again_goes_on_without_a_reload(live: Live, browser: Browser) -> None:
    author, page = Author("run", time=TOMORROW), browser.page
    await live.publish([author.start(name="first light")])
    await page.goto(live.url)
    await expect(cell(browser, "run", "fact:state")).to_contain_text("running")
    await page.evaluate("() => { window.stays = true; }")

    live.server.should_exit = True
    await expect(page.locator("#live")).to_have_text("reconnecting")
    await write(live.settings.kafka, live.settings.topic, [author.metrics("loss", [0.25]), author.finish()])
    async with serving(live.settings):
        await expect(page.locator("#live")).to_have_text("live")
        await expect(cell(browser, "run", "fact:state")).to_contain_text("finished")
        await expect(cell(browser, "run", "metric:loss")).to_have_text("0.25")
        assert await page.evaluate("() => window.stays") is True


async def test_a_hostile_name_is_shown_and_never_run(stack: Live, visitor: Browser) -> None:
    author, browser = Author(HOSTILE), visitor
    start = author.start(name=HOSTILE, experiment_id="hostile", tag="</script><b>", group=HOSTILE)
    await stack.publish_unfolded([start, author.metrics(HOSTILE, [1.0])])

    await browser.page.goto(f"{stack.url}/experiments/hostile")
    await browser.page.get_by_role("link", name=HOSTILE).click()

    await expect(browser.page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
    assert await browser.page.locator("main img, main script").count() == 0
    assert browser.console_errors == []


async def test_filters_are_completed_checked_in_place_and_applied(stack: Live, visitor: Browser) -> None:
    await stack.publish_unfolded(sweep("filter", 6))
    browser, page, box = visitor, visitor.page, visitor.page.locator("#filter")
    await page.goto(f"{stack.url}/experiments/filter")
    await expect(rows(browser)).to_have_count(6)

    await page.keyboard.press("/")
    await page.keyboard.type("params.o")
    await expect(page.get_by_role("option")).to_have_text(["params.opt6 runs"])
    await page.keyboard.press("Tab")
    await page.keyboard.type("= ")
    await expect(page.get_by_role("option")).to_have_text(["'adam'3 runs", "'sgd'3 runs"])
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(box).to_have_value("params.opt = 'adam' ")
    await page.keyboard.type("nad lr")
    await expect(page.locator(".filter mark")).to_have_text("nad")
    await expect(page.locator("#filter-wrong")).to_contain_text("'nad'")
    await box.fill("params.opt = 'adam' and params.lr > 0.1")
    await page.keyboard.press("Enter")

    await expect(page.locator("#count")).to_have_text("2 runs")
    assert await shown(browser) == ["filter3", "filter5"]
    await page.go_back()
    await expect(rows(browser)).to_have_count(6)
    await expect(box).to_have_value("")
    await box.fill("metrics.loss > 99")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="No run matches this filter")).to_be_visible()


async def test_columns_are_sorted_moved_pinned_resized_and_hidden_and_a_link_shows_the_same(
    stack: Live, visitor: Browser, chromium: driver.Browser
) -> None:
    await stack.publish_unfolded(sweep("column", 5))
    browser, page = visitor, visitor.page
    await page.goto(f"{stack.url}/experiments/column?cols=!fact:name,fact:state,metric:loss,param:lr,param:opt")
    await expect(rows(browser)).to_have_count(5)

    await head(browser, "param:opt").click(position={"x": 10, "y": 10})
    await head(browser, "metric:loss").click(modifiers=["Shift"], position={"x": 10, "y": 10})
    await expect(head(browser, "metric:loss")).to_have_attribute("aria-sort", "ascending")
    await expect(rows(browser).first).to_have_attribute("data-run", "column3")  # loss of adam: 2, 3; sgd: 1, 4, 5
    assert await shown(browser) == [f"column{number}" for number in (3, 1, 0, 4, 2)]

    await head(browser, "param:lr").focus()
    await page.keyboard.press("Alt+ArrowLeft")
    await head(browser, "param:opt").drag_to(head(browser, "fact:state"), target_position={"x": 5, "y": 5})
    order = ["fact:name", "param:opt", "fact:state", "param:lr", "metric:loss"]
    await expect(page.locator("[data-head]").nth(1)).to_have_attribute("data-head", "param:opt")
    assert await heads(browser) == order
    await head(browser, "param:lr").focus()
    await page.keyboard.press("Alt+Shift+ArrowRight")
    await expect(head(browser, "param:lr")).to_have_css("width", "136px")
    edge = await head(browser, "fact:state").locator(".grid-resize").bounding_box()
    assert edge
    await page.mouse.move(edge["x"] + 4, edge["y"] + 10)
    await page.mouse.down()
    await page.mouse.move(edge["x"] + 54, edge["y"] + 10)
    await page.mouse.up()
    await expect(head(browser, "fact:state")).to_have_css("width", "146px")
    await head(browser, "param:lr").hover()
    await page.get_by_role("button", name="Column lr").click()
    await page.get_by_role("menuitem", name="Pin to the left").click()
    await head(browser, "fact:state").hover()
    await page.get_by_role("button", name="Column state").click()
    await page.get_by_role("menuitem", name="Hide").click()
    wanted = ["fact:name", "param:lr", "param:opt", "metric:loss"]
    await expect(page.locator("[data-head]")).to_have_count(4)
    assert await heads(browser) == wanted

    async with visiting(chromium, stack.url) as other:
        await other.page.goto(page.url)
        await expect(rows(other)).to_have_count(5)
        assert (await heads(other), await shown(other)) == (wanted, await shown(browser))
        await expect(head(other, "param:lr")).to_have_css("position", "sticky")
    await page.keyboard.press("u")
    await expect(page.locator("[data-head]")).to_have_count(5)
    await page.keyboard.press("Shift+U")
    await expect(page.locator("[data-head]")).to_have_count(4)
    assert browser.console_errors == []


async def test_runs_are_walked_selected_and_opened_with_the_keyboard(stack: Live, visitor: Browser) -> None:
    await stack.publish_unfolded(sweep("key", 5))
    browser, page = visitor, visitor.page
    await page.goto(f"{stack.url}/experiments/key")
    await expect(rows(browser)).to_have_count(5)

    for key in ["j", "j", "Space", "Shift+J", "Shift+J", "k"]:
        await page.keyboard.press(key)
    await expect(page.locator(".grid-row.selected")).to_have_count(3)
    assert "sel=key1,key2,key3" in page.url
    await page.keyboard.press("c")
    await page.wait_for_url("**/compare?runs=key1,key2,key3")
    await page.go_back()
    await expect(page.locator(".grid-row.selected")).to_have_count(3)
    await page.keyboard.press("Escape")
    await expect(page.locator(".selection")).to_have_count(0)
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_contain_text("Select while moving")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("dialog").get_by_role("combobox")).to_be_focused()
    await page.keyboard.type("key4")
    await expect(page.get_by_role("option").first).to_contain_text("run 4")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("run 4")
    for key in ["g", "s"]:
        await page.keyboard.press(key)
    await expect(page.get_by_role("heading", name="Consumers of the log")).to_be_visible()
    assert browser.console_errors == []


async def test_rows_are_grouped_and_compared_with_a_baseline(stack: Live, visitor: Browser) -> None:
    await stack.publish_unfolded(sweep("group", 5))
    browser, page = visitor, visitor.page
    home = f"{stack.url}/experiments/group"
    await page.goto(f"{home}?group=param:opt&base=group0&cols=fact:name,metric:loss,fact:duration")

    groups = page.locator(".grid-group")
    await expect(groups).to_contain_text(["sgd", "adam"])
    await expect(rows(browser)).to_have_count(5)
    assert await shown(browser) == [f"group{number}" for number in (0, 2, 4, 1, 3)]
    await expect(cell(browser, "group2", "metric:loss")).to_have_text("+400 %5")
    await expect(cell(browser, "group2", "metric:loss").locator(".delta")).to_have_class("delta worse")  # goal: min
    await groups.first.get_by_role("button").click()
    await expect(rows(browser)).to_have_count(2)
    await stack.publish_unfolded([Author("group9").start(name="later", experiment_id="group")])
    await expect(groups).to_have_count(3)  # it has no such parameter
    await expect(groups.last).to_contain_text("no value1")
    await expect(page.locator('[data-run="group9"]')).to_be_visible()

    for key, texts in [
        ("fact:group", ["even3", "no value3"]),
        ("param:seed", ["73", "0072", "no value1"]),
    ]:
        await page.goto(f"{home}?group={key}&cols=fact:name")
        await expect(groups).to_contain_text(texts)
        await expect(rows(browser)).to_have_count(6)  # each group has the runs that it counts
    await page.goto(f"{home}?group=param:net&cols=fact:name")
    await expect(page.get_by_role("status").filter(has_text="net holds structures")).to_be_visible()
    assert browser.console_errors == []


async def test_runs_have_the_same_colour_in_the_table_and_the_workspace(stack: Live, visitor: Browser) -> None:
    await stack.publish_unfolded(sweep("colour", 3))
    page, colour = visitor.page, "(one) => getComputedStyle(one).backgroundColor"
    await page.goto(f"{stack.url}/experiments/colour")
    await expect(rows(visitor)).to_have_count(3)
    there = [await rows(visitor).nth(at).locator(".swatch").evaluate(colour) for at in range(3)]

    await page.goto(f"{stack.url}/workspace?runs=colour0,colour1,colour2")
    squares = page.locator(".run-swatch")
    await expect(squares).to_have_count(3)
    assert [await squares.nth(at).evaluate(colour) for at in range(3)] == there
    await squares.first.click()
    await expect(page).to_have_url(re.compile("colours="))
    await page.keyboard.press("u")
    await expect(page).not_to_have_url(re.compile("colours="))


async def test_runs_are_tagged_and_moved_to_the_trash_and_back(stack: Live, visitor: Browser) -> None:
    await stack.publish_unfolded(sweep("tagged", 3))
    browser, page = visitor, visitor.page
    await page.goto(f"{stack.url}/experiments/tagged?cols=fact:name,tag:team&sel=tagged1")
    await expect(rows(browser)).to_have_count(3)

    await page.get_by_role("button", name="Tag", exact=True).click()
    await page.get_by_label("Name").fill("team")
    await page.get_by_label("Value").fill("red")
    await page.get_by_role("button", name="Set it").click()
    await expect(page.get_by_role("status").filter(has_text="tag team set")).to_be_visible()
    await expect(cell(browser, "tagged1", "tag:team")).to_have_text("red")
    await page.get_by_role("button", name="Trash", exact=True).click()
    await expect(rows(browser)).to_have_count(2)
    await page.get_by_role("button", name="Undo").click()
    await expect(rows(browser)).to_have_count(3)


async def test_a_view_is_saved_for_everybody(stack: Live, visitor: Browser, chromium: driver.Browser) -> None:
    await stack.publish_unfolded(sweep("view", 2))
    page = visitor.page
    await page.goto(f"{stack.url}/experiments/view?cols=fact:name,param:lr&sort=-param:lr")
    await page.get_by_role("button", name="Views").click()
    await page.get_by_role("menuitem", name="Save this view").click()
    await page.get_by_label("Name").fill("by rate")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("status").filter(has_text="View by rate saved")).to_be_visible()

    async with visiting(chromium, stack.url) as other:
        await other.page.goto(stack.url)
        await other.page.get_by_role("button", name="Views").click()
        await other.page.get_by_role("menuitem", name="by rate").click()
        await expect(head(other, "param:lr")).to_have_attribute("aria-sort", "descending")
        assert await heads(other) == ["fact:name", "param:lr"]
        await expect(rows(other)).to_have_count(2)
        assert await shown(other) == ["view1", "view0"]


async def test_rules_of_alerts_are_read_and_switched_off(stack: Live, visitor: Browser) -> None:
    page = visitor.page
    body = {"series": {"regex": "loss$"}, "when": {"kind": "nan"}}
    saved = await stack.http.put("/v1/alert-rules/nan", json={"name": "Loss is not a number", "body": body})
    assert saved.status_code == 200, saved.text
    await page.goto(f"{stack.url}/alerts")
    await expect(page.locator("tbody tr")).to_contain_text("/loss$/: a value is NaN or infinite")
    await page.get_by_role("button", name="Switch off").click()
    await expect(page.get_by_role("button", name="Switch on")).to_be_visible()
    assert (await stack.json("/v1/alert-rules/nan"))["enabled"] is False
    assert visitor.console_errors == []


async def test_a_run_page_can_be_opened_by_its_address_and_tells_all(stack: Live, visitor: Browser) -> None:
    browser, live = visitor, stack
    await stack.publish_unfolded(training("sweep/7 ü", group="sweep"))

    await browser.page.goto(f"{stack.url}/runs/{quote('sweep/7 ü', safe='')}")

    for text in ["finished", "digits", "4 records received", "0 missing"]:
        await expect(browser.page.locator("#summary")).to_contain_text(text)
    await expect(browser.page.locator(".run-values")).to_contain_text("lr0.1")
    raw = await browser.page.get_by_role("link", name="raw JSON").get_attribute("href")
    assert (await live.json(str(raw)))["run_id"] == "sweep/7 ü"


async def test_a_run_in_the_trash_leaves_the_list_and_its_page_says_so(stack: Live, visitor: Browser) -> None:
    author, browser = Author("away"), visitor
    stays = Author("stays").start(experiment_id="trash")
    await stack.publish_unfolded([stays, author.start(experiment_id="trash")])
    await browser.page.goto(f"{stack.url}/experiments/trash")
    await expect(rows(browser)).to_have_count(2)

    await stack.publish_unfolded([author.envelope(ev.LifecycleStage(time=author.now(), stage="deleted"))])
    await expect(rows(browser)).to_have_count(1)
    await browser.page.goto(f"{stack.url}/runs/away")
    await expect(browser.page.locator("[data-fact=Trash]")).to_contain_text("in the trash")

    await stack.publish_unfolded([author.envelope(ev.LifecycleStage(time=author.now(), stage="active"))])
    await expect(browser.page.locator("[data-fact=Trash]")).to_have_count(0)


async def test_a_page_that_waits_for_a_run_opens_when_it_starts(stack: Live, visitor: Browser) -> None:
    await visitor.page.goto(f"{stack.url}/runs/later")
    await expect(visitor.page.get_by_role("heading", name="No such run yet")).to_be_visible()

    await stack.publish_unfolded(training("later", values=(1.0, 2.0)))

    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text("name of later")
