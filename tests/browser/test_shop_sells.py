"""The mission, sentence by sentence, for a shop without vendors: its first order, a customer's browser, an administrator's, and the API."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from deploy.local.services import SHOP_ADDRESS, SHOP_NAME
from tests.browser.front import Front
from tests.browser.test_mission import write
from tests.servers.smtp import ReceivedMail
from tests.servers.waiting import eventually

QUESTION, ANSWER, SORRY = "When will it be sent?", "It leaves us today.", "We are sorry. A new one goes out tomorrow."
BROKEN, THANKS = "The pot came broken.", "The new one has come, thank you."


class Told:
    """Prints each sentence with what was seen of it."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.sentences = 0

    def __call__(self, sentence: str, seen: str) -> None:
        self.sentences += 1
        with self._capsys.disabled():
            print(f"\n{self.sentences:2}. {sentence}\n    seen: {seen}", end="")


def text_of(mail: ReceivedMail) -> str:
    body = mail.message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


async def mailed(front: Front, order: str, address: str, words: str) -> ReceivedMail:
    """The one mail about this order to this address that has these words."""

    def found() -> list[ReceivedMail]:
        mails = [mail for mail in front.parley.smtp.mails if order in mail.message["Subject"]]
        return [mail for mail in mails if address in mail.recipients and words in text_of(mail)]

    [mail] = await eventually(found, timeout_s=40, what=f"the mail to {address}")
    return mail


async def row_of(front: Front, path: str, token: str, order: str) -> dict[str, Any]:
    status, page = await front.ask("GET", path, token)
    assert status == 200, page
    rows: list[dict[str, Any]] = [row for row in page["items"] if row["order"]["order_id"] == order]
    return rows[0] if rows else {}


async def report(page: Page) -> None:
    await page.get_by_role("button", name="Report a problem").click()
    await page.get_by_role("button", name="Open a dispute").click()
    dialog = page.get_by_role("dialog", name="Open a dispute")
    await expect(dialog).to_contain_text(f"{SHOP_NAME} will see it. It stays open until you or {SHOP_NAME} close it.")
    await dialog.get_by_label("Damaged").check()
    await dialog.get_by_label("What happened?").fill(BROKEN)
    await dialog.get_by_role("button", name="Open dispute").click()


async def close(page: Page, outcome: str, note: str) -> None:
    await page.get_by_role("button", name="Close dispute").click()
    dialog = page.get_by_role("dialog", name="Close the dispute")
    await dialog.get_by_label(outcome).check()
    await dialog.get_by_label("Note").fill(note)
    await dialog.get_by_role("button", name="Close dispute").click()
    await expect(page.locator(".banner.dispute")).to_have_count(0)


async def test_the_mission_holds_for_a_shop_that_sells_itself(front: Front, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: PLR0915 - one story, told in its order
    told = Told(capsys)
    order = await front.order(customer="c-alone", seller=None)
    ada, staff = front.parley.customer("c-alone", "Ada Byron"), front.parley.admin(name="Grace")
    customer, shop = (await front.visit(ada)).page, (await front.visit(staff)).page

    await expect(customer.get_by_role("heading", name="Orders")).to_be_visible()
    contact = customer.get_by_role("link", name=f"Contact {SHOP_NAME}, Order {order}")
    await expect(contact).to_be_visible()
    await expect(customer.get_by_text(re.compile("seller", re.IGNORECASE))).to_have_count(0)
    await contact.click()
    told("A customer goes from My account > Orders to Contact seller", f'the button "{await contact_words(customer)}"')

    await write(customer, QUESTION)
    await expect(customer.locator(".own-side .state.stored")).to_have_count(1)
    row = shop.locator(".thread-row > a", has_text=f"Order {order}")
    await expect(row).to_contain_text("1 new")
    listed = await row_of(front, "/v1/threads?filter=unread", staff, order)
    assert listed["thread"]["unread"] == 1
    assert listed["thread"]["waiting_since"] is not None
    first = await mailed(front, order, SHOP_ADDRESS, QUESTION)
    told(
        "the seller is the shop itself (its administrator)",
        f"its inbox has it unread, waiting since {listed['thread']['waiting_since'][:19]}; "
        f"mail to {SHOP_ADDRESS}: {first.message['Subject']}",
    )

    await row.click()
    for page in (customer, shop):
        card = page.locator(".order-card-content")
        await expect(card).to_contain_text(order)
        await expect(card).to_contain_text("Green tea, 250 g")
        await expect(card).to_contain_text(f"Sold by{SHOP_NAME}")
    _, view = await front.ask("GET", f"/v1/orders/{order}", ada)
    assert (view["order"]["sold_by"], view["order"]["seller"]) == (
        "shop",
        {"id": "~shop", "name": SHOP_NAME, "guest": None},
    )
    told(
        "The conversation is linked to the order, whose details both sides see",
        f"the card in both browsers; API sold_by {view['order']['sold_by']}, seller {view['order']['seller']['name']}",
    )

    await expect(shop.locator(".other-side .bubble")).to_have_text(QUESTION)
    await write(shop, ANSWER)
    await expect(customer.locator(".other-side .bubble")).to_have_text(ANSWER)
    await expect(customer.locator(".other-side .byline")).to_contain_text(f"Grace · {SHOP_NAME}")

    async def is_read() -> bool:
        return not await row_of(front, "/v1/threads?filter=unread", staff, order)

    await eventually(is_read, what="the shop's inbox being read")
    assert (await row_of(front, "/v1/threads", staff, order))["thread"]["waiting_since"] is None
    _, me = await front.ask("GET", "/v1/me", staff)
    told(
        "They post",
        f'by "{" | ".join(await customer.locator(".other-side .byline > *").all_inner_texts())}"; unread in the shop: {me["unread"]["threads"]} threads',
    )

    await report(customer)
    for page in (customer, shop):
        await expect(page.locator(".banner.dispute")).to_contain_text("Dispute open: Damaged Opened by Ada Byron")
    await mailed(front, order, SHOP_ADDRESS, BROKEN)
    told(
        "the customer opens a dispute",
        " | ".join((await customer.locator(".banner.dispute p").inner_text()).split("\n")),
    )

    stranger = front.parley.seller("s-nobody")
    status, _ = await front.ask(
        "POST", f"/v1/orders/{order}/dispute/close", stranger, {"outcome": "rejected"}, Prefer="wait=30"
    )
    assert status == 404
    await close(customer, "I got a replacement", THANKS)
    await expect(shop.locator(".step.dispute_closed")).to_contain_text("Ada Byron closed the dispute: Replaced")
    opened = {"reason": "other", "text": "The shop looks into it."}
    status, _ = await front.ask("POST", f"/v1/orders/{order}/dispute", staff, opened)
    assert status == 201
    await expect(customer.locator(".banner.dispute")).to_contain_text("Opened by Grace")
    await close(shop, "Replaced", "All is well again.")
    await expect(customer.locator(".banner.dispute")).to_have_count(0)
    told(
        "which stays open until the customer or the administrator closes it",
        "a vendor's token: 404; closed by the customer, opened by the administrator, closed by the administrator",
    )

    customer_left = (await front.visit(ada, "orders")).page
    await customer.close()
    await write(shop, SORRY)
    await expect(shop.locator(".own-side .bubble").last).to_have_text(SORRY)
    answer = await mailed(front, order, "c-alone@example.com", SORRY)
    assert f"Grace ({SHOP_NAME})" in text_of(answer)
    assert "Seller" not in text_of(answer)
    about = [mail for mail in front.parley.smtp.mails if order in mail.message["Subject"]]
    own = [mail for mail in about if SHOP_ADDRESS in mail.recipients]
    assert not [mail for mail in own if ANSWER in text_of(mail) or SORRY in text_of(mail)]
    told(
        "the seller's reply stands right below, and an e-mail tells of it",
        f"To: {answer.message['To']}, Subject: {answer.message['Subject']}, by Grace ({SHOP_NAME}); none to the shop's own mailbox",
    )

    link = customer_left.get_by_role("link", name=re.compile(rf"\d+ new messages?, Order {order}"))
    await expect(link).to_be_visible()
    words = await link.inner_text()
    told("a link to new messages under Orders", words.strip())

    await customer_left.get_by_role("link", name=re.compile("^Messages")).first.click()
    message_row = customer_left.locator(".thread-row", has_text=f"Order {order}")
    await expect(message_row.locator(".badge")).to_contain_text("new")
    await expect(message_row.locator(".name")).to_have_text(SHOP_NAME)
    told("new ones marked under My account > Messages", (await message_row.inner_text()).replace("\n", " | "))

    await message_row.locator("a").click()
    await expect(customer_left.locator(".entry")).to_have_count(7)
    await expect(customer_left.get_by_text(SORRY)).to_be_visible()
    await customer_left.reload()
    await expect(customer_left.locator(".entry")).to_have_count(7)
    history = await front.history(ada, order)
    assert [(each["author"]["side"], each["kind"]) for each in history] == [
        ("customer", "text"),
        ("shop", "text"),
        ("customer", "dispute_opened"),
        ("customer", "dispute_closed"),
        ("shop", "dispute_opened"),
        ("shop", "dispute_closed"),
        ("shop", "text"),
    ]
    told(
        "the whole history, kept, at any time",
        f"{len(history)} entries, seq {[each['seq'] for each in history]}, after a reload too",
    )
    assert told.sentences == 10


async def contact_words(page: Page) -> str:
    """What the button said: its page is gone by now, so it is read from the list again."""
    await page.go_back()
    link = page.locator(".order-row a.button").first
    words = (await link.inner_text()).strip()
    await link.click()
    return words
