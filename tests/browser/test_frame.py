"""
What every page has: login, themes, phone width, keyboard, palette; and how each page looks.

`SCREENSHOTS=FOLDER pytest -n0 tests/browser/test_frame.py` saves a picture of each page, dark, light and on a phone.
"""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import playwright.async_api as driver
import pytest
from playwright.async_api import expect

from gateway.local.ports import free_ports
from schemas import events as ev
from schemas.runtime.access.tokens import create_token
from tests.browser.conftest import Browser, launched, visiting
from tests.browser.lab import SECOND, sweep
from tests.support.live_server import Live, serving, until
from tests.support.log_author import Author

pytestmark = pytest.mark.browser
NOW = time.time_ns() // 1_000
LAB = "where=experiment = 'looks'"
RUNS = "runs=looks-0,looks-1,looks-2,looks-5"
COLUMNS = "cols=fact:name,fact:state,fact:created,metric:val/loss,metric:val/accuracy,spark:train/loss,param:lr"
# Address, and a selector of what is there once the page is.
PAGES = {
    "runs": (f"/?{LAB}&base=looks-0&group=param:optimizer&{COLUMNS}", ".delta"),
    "workspace": (f"/workspace?{LAB}&smooth=ema:0.6", "[data-lines='8']"),
    "groups": (f"/workspace?{LAB}&group=param.optimizer", ".chart-legend li"),
    "differs": (f"/compare?{RUNS}&base=looks-0", ".delta"),
    "scatter": (f"/compare?{RUNS}&show=scatter", ".plot canvas"),
    "parallel": (f"/compare?{RUNS}&show=parallel", ".plot canvas"),
    "images": (f"/compare?{RUNS}&show=images", ".image-place img"),
    "divergence": (f"/compare?{RUNS}&show=divergence", ".plain-table td"),
    "run": ("/runs/looks-2", "canvas"),
    "alerts": ("/alerts", "h1"),
    "system": ("/system", ".chip"),
    "login": ("/login", "input"),
    "embed": (f"/embed/chart?{RUNS}&name=val/loss", ".chart-legend li"),
}
WIDE = driver.ViewportSize(width=1_360, height=820)
PHONE = driver.ViewportSize(width=390, height=800)
# Text on what is behind it: WCAG 2.2, 1.4.3 (AA): contrast of at least 4.5, or 3 for large text. Disabled controls are
# exempt. Colours that are mixed (a part is transparent) are laid over each other first.
FAINT = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const bytes = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const over = (top, below) => top.slice(0, 3).map((one, at) => (one * top[3] + below[at] * (255 - top[3])) / 255);
    const part = (one) => ((one /= 255) <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    const light = (colour) => 0.2126 * part(colour[0]) + 0.7152 * part(colour[1]) + 0.0722 * part(colour[2]);
    const ground = (element) => {
        const layers = [];
        for (let one = element; one; one = one.parentElement) layers.push(bytes(getComputedStyle(one).backgroundColor));
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
    };
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
        const hasText = [...element.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
        const isShown = element.checkVisibility({ opacityProperty: true });
        if (!hasText || !isShown || element.closest(":disabled, svg")) continue;
        const style = getComputedStyle(element);
        const below = ground(element);
        const [one, other] = [light(over(bytes(style.color), below)), light(below)].sort((a, b) => b - a);
        const size = parseFloat(style.fontSize);
        const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
        const contrast = (one + 0.05) / (other + 0.05);
        const what = `${element.className || element.tagName}: ${element.textContent.trim().slice(0, 40)}`;
        if (contrast < least) found.push(`${what}: ${contrast.toFixed(2)}`);
    }
    return found;
}"""


FITS = "document.documentElement.scrollWidth <= innerWidth"


async def test_every_page_is_legible_in_both_themes_and_fits_a_phone(stack: Live, chromium: driver.Browser) -> None:
    folder = Path(urlsplit(stack.settings.artifacts).path)
    await stack.publish(sweep("looks", folder, began=NOW - 200 * SECOND))
    problems: list[str] = []
    async with visiting(chromium, stack.url, viewport=WIDE) as browser:
        page = browser.page
        for name, (address, there) in PAGES.items():
            await page.goto(stack.url + address)
            await expect(page.locator(there).first).to_be_visible()
            for theme in ("light", "dark"):
                await page.emulate_media(color_scheme=theme)
                await expect(page.locator("html")).to_have_attribute("data-theme", theme)
                problems += [f"{name} {theme}: {one}" for one in await page.evaluate(FAINT)]
                await browser.picture(f"{name}-{theme}")
            await page.set_viewport_size(PHONE)
            await until(lambda: page.evaluate(FITS), f"{name} fits a phone")
            await browser.picture(f"{name}-phone")
            await page.set_viewport_size(WIDE)
        assert problems == []
        assert browser.console_errors == []  # also of the content security policy
        assert browser.outside() == []


async def test_a_person_logs_in_with_a_token_writes_and_logs_out(
    stack: Live, chromium: driver.Browser, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    settings = stack.settings.model_copy(update={"home": tmp_path, "access": "always", "live_port": port})
    _, token = create_token(tmp_path / "tokens.json", "anna", ["read", "write"], experiments=None)
    await stack.publish_unfolded([Author("secret", time=NOW).start(name="secret run", experiment_id="login")])
    async with serving(settings, ready=False) as guarded, visiting(chromium, guarded.url) as browser:
        page = browser.page
        await page.goto(f"{guarded.url}/experiments/login")
        await expect(page.get_by_label("Token")).to_be_focused()
        assert "secret run" not in await page.content()
        await page.get_by_label("Token").fill("gw_wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_be_visible()
        await page.get_by_label("Token").fill(token)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("link", name="secret run")).to_be_visible()  # where the person wanted to go
        assert token not in str(await page.context.storage_state())

        await page.get_by_label("select secret run").check()
        await page.get_by_role("button", name="Tag", exact=True).click()
        await page.get_by_label("Name").fill("team")
        await page.get_by_label("Value").fill("red")
        await page.get_by_role("button", name="Set it").click()  # a change: it needs the value against forgery
        await expect(page.get_by_role("status").filter(has_text="tag team set")).to_be_visible()
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_label("Token")).to_be_visible()
        await page.goto(f"{guarded.url}/experiments/login")
        await expect(page.get_by_label("Token")).to_be_visible()


async def test_the_frame_is_used_with_the_keyboard_alone(stack: Live, visitor: Browser) -> None:
    await stack.publish_unfolded([Author("found", time=NOW).start(name="needle in the hay", experiment_id="frame")])
    page = visitor.page
    await page.goto(f"{stack.url}/system")
    await expect(page.get_by_role("heading", level=1)).to_be_visible()  # its keys are there, too
    await page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys")
    for text in ["Go to workspace", "Undo the last change of this page", "Search runs, pages, columns, actions"]:
        await expect(sheet).to_contain_text(text)
    await page.keyboard.press("Escape")
    await expect(sheet).to_have_count(0)

    for words, there in [("needle", "**/runs/found"), ("workspace", "**/workspace"), ("go to runs", f"{stack.url}/")]:
        await page.keyboard.press("Control+k")
        await page.keyboard.type(words)  # at once
        option = page.get_by_role("dialog").get_by_role("option").first
        await expect(option).to_contain_text(words.split()[-1], ignore_case=True)
        await page.keyboard.press("Enter")
        await page.wait_for_url(there)
    before = await page.locator("html").get_attribute("data-theme")
    await page.keyboard.press("t")
    await page.keyboard.press("t")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")  # a habit: the browser keeps it
    assert before == "light"

    answer = await page.goto(f"{stack.url}/nopage")
    assert answer is not None
    assert answer.status == 404
    await expect(page.get_by_role("heading", name="No such page")).to_be_visible()
    visitor.console_errors.clear()  # of this answer
    await page.goto(f"{stack.url}/experiments/frame")
    await expect(page.get_by_role("link", name="needle in the hay")).to_be_visible()
    for _ in range(40):  # with Tab alone to the first row's head, and its menu opened
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement?.dataset.head === 'fact:name'"):
            break
    await page.keyboard.press("Enter")
    await expect(page.locator('[data-head="fact:name"]')).to_have_attribute("aria-sort", "ascending")
    assert visitor.console_errors == []


async def test_a_page_that_was_left_holds_no_connection(stack: Live) -> None:
    """Browsers keep left pages for the way back, with their connections, and open only six to a server."""
    author = Author("left", time=NOW)
    await stack.publish([author.envelope(ev.RunStarted(time=NOW, name="left")), author.metrics("loss", [0.5, 0.25])])
    async with (
        launched(without=["--disable-back-forward-cache"]) as chromium,
        visiting(chromium, stack.url) as visitor,
    ):
        for _ in range(4):
            for path in ("/runs/left", "/workspace?runs=left"):
                await visitor.page.goto(stack.url + path, timeout=20_000)
                await expect(visitor.page.locator("canvas").first).to_be_visible(timeout=20_000)
                await expect(visitor.page.get_by_text("live", exact=True)).to_be_visible(timeout=20_000)
        await visitor.page.evaluate("history.back()")  # a page that was kept is not loaded
        await visitor.page.wait_for_url("**/runs/left", wait_until="commit", timeout=20_000)
        await expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
        await expect(visitor.page.get_by_text("live", exact=True)).to_be_visible(timeout=20_000)
        assert visitor.console_errors == []
