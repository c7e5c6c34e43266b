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

DIRECTORY = REPOSITORY / "docs" / "screenshots"
MAX_BYTES = 200_000
WIDE = {"width": 1180, "height": 760}

pytestmark = pytest.mark.skipif(not os.environ.get("SCREENSHOTS"), reason="writes docs/screenshots: set SCREENSHOTS=1")

MUGS = [
    {"sku": "BB-114", "name": "Stoneware mug, moss green", "quantity": 4, "price": "11.50"},
    {"sku": "BB-207", "name": "Linen tea towel", "quantity": 2, "price": "8.90"},
]
LAMP = [{"sku": "LL-3", "name": "Desk lamp, brass", "quantity": 1, "price": "89.00"}]
PAPER = [
    {"sku": "PL-031", "name": "Notebook A5, lined", "quantity": 3, "price": "12.80"},
    {"sku": "PL-044", "name": "Fountain pen, medium nib", "quantity": 1, "price": "49.00"},
    {"sku": "PL-045", "name": "Ink, royal blue, 50 ml", "quantity": 1, "price": "9.90"},
]
POT = [{"sku": "TH-9", "name": "Teapot, cast iron", "quantity": 1, "price": "49.00"}]
CHAIR = [{"sku": "OS-2", "name": "Oak side table, oiled", "quantity": 1, "price": "179.00"}]


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


async def furnish(front: Front) -> dict[str, str]:
    """A customer with orders of the shop itself and of two sellers, and what was said about them. Returns the orders' numbers."""
    brook = {"seller": "s-brook", "seller_name": "Brook & Birch Home"}
    orders = {
        "mugs": await front.order(
            customer="c-mara", customer_name="Mara Lindt", status="delivered", items=MUGS, total="63.80", **brook
        ),
        "table": await front.order(
            customer="c-mara", customer_name="Mara Lindt", status="placed", items=CHAIR, total="179.00", **brook
        ),
        "paper": await front.order(
            customer="c-mara",
            customer_name="Mara Lindt",
            seller="s-linden",
            seller_name="Papierhaus Lindenhof",
            items=PAPER,
            total="97.30",
        ),
        "lamp": await front.order(
            customer="c-mara",
            customer_name="Mara Lindt",
            seller=None,
            status="cancelled",
            items=LAMP,
            total="89.00",
        ),
        "pot": await front.order(
            customer="c-owen", customer_name="Owen Achebe", status="shipped", items=POT, total="49.00", **brook
        ),
        "second": await front.order(
            customer="c-lucia", customer_name="Lucía Ferrer", status="processing", items=MUGS, total="63.80", **brook
        ),
    }
    await talk(front, orders)
    return orders


async def talk(front: Front, orders: dict[str, str]) -> None:
    mara, brook = (
        front.parley.customer("c-mara", "Mara Lindt"),
        front.parley.seller("s-brook", name="Brook & Birch Home"),
    )
    await front.post(
        front.parley.customer("c-owen", "Owen Achebe"), orders["pot"], "Hello, does the teapot come with a strainer?"
    )
    await front.post(
        front.parley.customer("c-lucia", "Lucía Ferrer"), orders["second"], "¿Podrían enviarlo a otra dirección?"
    )
    await front.post(brook, orders["second"], "Of course. Which one?")
    await front.post(
        front.parley.seller("s-linden", name="Papierhaus Lindenhof"),
        orders["paper"],
        "Your parcel left our house this morning. It should be with you on Thursday.",
    )
    await front.post(
        mara, orders["mugs"], "Hello, the parcel came today, thank you. Sadly two of the four mugs have cracks."
    )
    await front.post(brook, orders["mugs"], "We are sorry to hear that. Could you tell us how they were packed?")
    await front.post(mara, orders["mugs"], "All four in one box, with a single sheet of paper between them.")
    for order in (orders["second"], orders["mugs"]):
        status, said = await front.ask("PUT", f"/v1/orders/{order}/read", brook, {"up_to_seq": 1})
        assert status == 200, said
    told = {
        "reason": "damaged",
        "text": "Two of the four mugs are cracked. I would like two new ones, or the money for them.",
    }
    await front.ask("POST", f"/v1/orders/{orders['mugs']}/dispute", mara, told)
    await front.post(
        front.parley.admin(name="Shop staff"),
        orders["mugs"],
        "Thank you for reporting it. Brook & Birch have until Friday to send new ones; after that we refund you.",
    )
    await front.post(brook, orders["mugs"], "Two new mugs are on their way, well wrapped this time.")


async def test_the_pictures_of_the_readme(front: Front, shop_site: ShopSite) -> None:
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    known = len(front.parley.smtp.mails)
    orders = await furnish(front)
    mara, brook = (
        front.parley.customer("c-mara", "Mara Lindt"),
        front.parley.seller("s-brook", name="Brook & Birch Home"),
    )
    sharp = {"device_scale_factor": 1.5, "viewport": WIDE}

    page = (await front.visit(mara, "orders", **sharp)).page
    await expect(page.locator(".order-row")).to_have_count(4)
    await expect(page.get_by_role("link", name="1 new message", exact=False)).to_be_visible()
    await picture(page, "customer-orders")
    await page.get_by_role("link", name="Messages").first.click()
    await expect(page.locator(".thread-row")).to_have_count(2)
    await picture(page, "customer-messages")
    await page.locator(".thread-row > a", has_text="Brook").click()
    await newest(page)
    await picture(page, "conversation")

    phone = (
        await front.visit(mara, f"orders/{orders['mugs']}", viewport=PHONE, device_scale_factor=2, is_mobile=True)
    ).page
    await newest(phone)
    await picture(phone, "phone")

    desk = (
        await front.visit(
            brook, f"desk/{orders['mugs']}", device_scale_factor=1.2, viewport={"width": 1280, "height": 720}
        )
    ).page
    await newest(desk)
    await expect(desk.locator(".thread-row")).to_have_count(3)
    await expect(desk.locator(".thread-row.open.unread")).to_have_count(0)
    await picture(desk, "seller-desk")

    dark = (await front.visit(mara, f"orders/{orders['mugs']}", color_scheme="dark", **sharp)).page
    await newest(dark)
    await picture(dark, "dark")

    german = (
        await front.visit(
            mara,
            f"orders/{orders['paper']}",
            locale="de-DE",
            viewport=PHONE,
            device_scale_factor=2,
            is_mobile=True,
            color_scheme="dark",
        )
    ).page
    await german.get_by_role("button", name="Bestellung und mehr").click()
    await german.get_by_role("button", name="Problem melden").click()
    await german.get_by_role("button", name="Einen Streitfall eröffnen").click()
    await picture(german, "phone-dispute-german")

    shop_site.parley_url, shop_site.order_id, shop_site.visitor_token = front.parley.gateway_url, orders["mugs"], mara
    shop = (await front.visit(None, device_scale_factor=2, viewport={"width": 860, "height": 860})).page
    await shop.goto(f"{shop_site.origin}/orders")
    await newest(shop)
    await picture(shop, "widget")

    mails = await front.parley.smtp.wait_for(known + 10)
    mail = next(
        each.message
        for each in reversed(mails)
        if "c-mara@example.com" in each.recipients and "cracked" not in each.message.as_string()
    )
    await mail_pictures(front, mail)


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
