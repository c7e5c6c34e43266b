"""The pictures of the README, in docs/screenshots: written when asked for, with SCREENSHOTS=1."""

import os
import re
from email.message import EmailMessage
from typing import Any

import pytest
from playwright.async_api import Page, expect

from deploy.local.settings import REPOSITORY
from tests.browser.front import PHONE, Front
from tests.browser.shop_site import ShopSite
from tests.servers.waiting import eventually

DIRECTORY = REPOSITORY / "docs" / "screenshots"
MAX_BYTES = 240_000
WIDE = {"width": 1180, "height": 760}

pytestmark = pytest.mark.skipif(not os.environ.get("SCREENSHOTS"), reason="writes docs/screenshots: set SCREENSHOTS=1")

SIZES = {360: 740, 768: 1024, 1440: 900}
# Of the seed: Mara's order of four mugs, with an open dispute, and her order of paper, in German.
MUGS, PAPER = "2001", "2033"


async def picture(page: Page, name: str, **options: Any) -> None:
    """A picture of what the window shows, with nothing blinking or about to move."""
    path = DIRECTORY / f"{name}.png"
    await page.screenshot(path=path, animations="disabled", caret="hide", **options)
    assert path.stat().st_size < MAX_BYTES, f"{path} is too large"


async def newest(page: Page) -> None:
    """Shows the end of the conversation, where everything has been read."""
    await expect(page.locator(".entry")).to_have_count(6)
    await page.locator(".history").evaluate("each => each.scrollTo(0, each.scrollHeight)")
    await expect(page.locator(".jump")).to_be_hidden()


def mara(front: Front) -> str:
    return front.parley.customer("c-101", "Mara Lindt")


def ben(front: Front) -> str:
    return front.parley.seller("s-1", login="ben", name="Ben Brook")


def screen(width: int, scheme: str) -> dict[str, Any]:
    is_phone = width < 500
    size = {"width": width, "height": SIZES[width]}
    return {
        "viewport": size,
        "color_scheme": scheme,
        "is_mobile": is_phone,
        "device_scale_factor": 2 if is_phone else 1,
    }


async def test_the_pictures_at_three_widths_in_both_schemes(seeded: Front) -> None:
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for width in SIZES:
        for scheme in ("light", "dark"):
            queue = (await seeded.visit(seeded.parley.admin(), **screen(width, scheme))).page
            await expect(queue.locator(".thread-row")).to_have_count(20)
            await picture(queue, f"queue-{width}-{scheme}")
            desk = (await seeded.visit(ben(seeded), f"desk/{MUGS}", **screen(width, scheme))).page
            await newest(desk)
            await picture(desk, f"desk-{width}-{scheme}")
            own = (await seeded.visit(mara(seeded), f"orders/{MUGS}", **screen(width, scheme))).page
            await newest(own)
            await picture(own, f"own-{width}-{scheme}")
            if width == 360:
                await own.locator(".conversation-head .sheet-button").click()
                await expect(own.locator(".sheet .order-card-content")).to_be_visible()
                await picture(own, f"sheet-{width}-{scheme}")


async def test_the_pictures_of_the_readme(seeded: Front, shop_site: ShopSite) -> None:
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    sharp = {"device_scale_factor": 1.4, "viewport": WIDE}

    page = (await seeded.visit(mara(seeded), "orders", **sharp)).page
    await expect(page.locator(".order-row")).to_have_count(5)
    await picture(page, "customer-orders")
    await page.get_by_role("link", name="Messages").first.click()
    await expect(page.locator(".thread-row")).to_have_count(5)
    await picture(page, "customer-messages")
    await page.locator(f'.thread-row > a[data-focus="{MUGS}"]').click()
    await newest(page)
    await picture(page, "conversation")

    phone = (
        await seeded.visit(mara(seeded), f"orders/{MUGS}", viewport=PHONE, device_scale_factor=2, is_mobile=True)
    ).page
    await newest(phone)
    await picture(phone, "phone")

    sized = {"device_scale_factor": 1.1, "viewport": {"width": 1280, "height": 720}}
    desk = (await seeded.visit(ben(seeded), f"desk/{MUGS}", **sized)).page
    await newest(desk)
    await expect(desk.locator(".thread-row")).to_have_count(20)
    await expect(desk.locator(".thread-row.open.unread")).to_have_count(0)
    await picture(desk, "seller-desk")

    dark = (await seeded.visit(mara(seeded), f"orders/{MUGS}", color_scheme="dark", **sharp)).page
    await newest(dark)
    await picture(dark, "dark")

    german = (
        await seeded.visit(
            mara(seeded),
            f"orders/{PAPER}",
            locale="de-DE",
            viewport=PHONE,
            device_scale_factor=2,
            is_mobile=True,
            color_scheme="dark",
        )
    ).page
    await german.locator(".conversation-head .sheet-button").click()
    await german.get_by_role("button", name="Problem melden").click()
    await german.get_by_role("button", name="Einen Streitfall eröffnen").click()
    await expect(german.get_by_role("dialog", name="Einen Streitfall eröffnen")).to_be_visible()
    await picture(german, "phone-dispute-german")

    shop_site.parley_url, shop_site.order_id, shop_site.visitor_token = seeded.parley.gateway_url, MUGS, mara(seeded)
    shop = (await seeded.visit(None, device_scale_factor=2, viewport={"width": 860, "height": 860})).page
    await shop.goto(f"{shop_site.origin}/orders")
    await newest(shop)
    await picture(shop, "widget")

    def mail_about_paper() -> list[EmailMessage]:
        found = [each for each in seeded.parley.smtp.mails if "mara.lindt@mail.example" in each.recipients]
        return [each.message for each in found if PAPER in str(each.message["Subject"])]

    [mail, *_] = await eventually(mail_about_paper, what="the mail about the order of paper")
    await mail_pictures(seeded, mail)


async def mail_pictures(front: Front, mail: EmailMessage) -> None:
    """As a mail program would show its two parts: the HTML in a document of its own, without scripts."""
    plain, rich = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert rich is not None
    text = re.sub(r"token=\S+", "token=…", plain.get_content())
    shown = f"Subject: {mail['Subject']}\n\n{text}"
    page = (
        await front.visit(
            None, device_scale_factor=1.5, viewport={"width": 720, "height": 400}, java_script_enabled=False
        )
    ).page
    await page.goto("about:blank")
    await page.set_content(rich.get_content())
    await picture(page, "mail-html", full_page=True)
    await page.set_content(
        "<pre style='font: 14px/1.5 monospace; margin: 24px; white-space: pre-wrap; overflow-wrap: anywhere'></pre>"
    )
    await page.locator("pre").evaluate("(each, text) => { each.textContent = text }", shown)
    await picture(page, "mail-text", full_page=True)
