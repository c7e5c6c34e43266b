"""The mail catcher's pages in a browser: accessible, and a mail as readers with other programs would see it."""

from typing import Literal

import pytest
from playwright.async_api import Browser

from tests.browser.front import PHONE
from tests.browser.test_accessibility import assert_accessible
from tests.servers.test_mail_catcher import Catcher, catcher
from tests.unit.notifier.making import event, mail
from tests.unit.notifier.test_rendering import RENDERER

__all__ = ["catcher"]  # a fixture

Scheme = Literal["light", "dark"]
GROUNDS = {"light": "rgb(242, 244, 248)", "dark": "rgb(16, 20, 27)"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_its_pages_are_accessible_and_show_a_mail_in_either_scheme(
    browser: Browser, catcher: Catcher, scheme: Scheme
) -> None:
    told = mail(event("It is on its way."))
    await catcher.send(RENDERER.render(told, told.entries, locale="en").content, "mara@example.com")
    (caught,) = catcher.mails()
    context = await browser.new_context(color_scheme=scheme, viewport=PHONE, bypass_csp=True)
    page = await context.new_page()
    at = f"http://127.0.0.1:{catcher.page_port}"
    for path in ("/", "/?q=nothing+like+that", "/?q=mara", f"/mails/{caught['id']}?width=360&scheme=dark"):
        await page.goto(at + path)
        await assert_accessible(page)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    for shown, ground in GROUNDS.items():
        await page.goto(f"{at}/mails/{caught['id']}?scheme={shown}")
        frame = page.frames[-1]
        colour = await frame.locator("body").evaluate("(body) => getComputedStyle(body).backgroundColor")
        assert colour == ground
    await context.close()
