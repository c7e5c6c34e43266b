"""Who gets which mails, through the whole stack: the public API at one end, an SMTP server at the other."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import pytest

from tests.api.people import GUEST_ID, People, order_of, order_of_guest
from tests.e2e.client import Answer, Client, Clients, clients_of
from tests.servers.parley import Parley
from tests.servers.smtp import ReceivedMail
from tests.servers.waiting import eventually

DELAY_S = 2
SHOP = "service@shop.example"
DISPUTE = {"reason": "damaged", "text": "It came broken"}
PATIENT = {"Prefer": "wait=30"}


@pytest.fixture(scope="module")
async def shop(module_parley: Callable[[], Parley]) -> Parley:
    """The module's Parley, with a delay of two seconds and two notifiers."""
    parley = module_parley()
    parley.start("threads", "gateway")
    parley.start("notifier", MAIL_DELAY=str(DELAY_S))
    parley.add("notifier", label="notifier-2", MAIL_DELAY=str(DELAY_S)).start()
    await parley.ready()
    return parley


@pytest.fixture(scope="module")
async def api(shop: Parley) -> AsyncIterator[Clients]:
    async with clients_of(shop) as clients:
        yield clients


class Order:
    """One order of the test's own, whose customer and seller have addresses that no other test uses."""

    def __init__(self, order_id: str, parley: Parley, api: Clients, people: People) -> None:
        self.id, self._parley = order_id, parley
        self.customer_address, self.seller_address = f"c-{order_id}@example.com", f"s-{order_id}@example.com"
        self.customer = api.with_token(people.customer(f"c-{order_id}"))
        self.seller = api.with_token(people.seller(f"s-{order_id}"))
        self.admin = api.with_token(people.admin(f"a-{order_id}"))
        self.admin_address = f"a-{order_id}@shop.example"

    def mails_to(self, address: str) -> list[ReceivedMail]:
        """What this address was sent about this order."""
        mails = [mail for mail in self._parley.smtp.mails if address in mail.recipients]
        return [mail for mail in mails if self.id in mail.message["Subject"]]

    async def mailed(self, address: str, *, count: int = 1, timeout_s: float = 20) -> list[ReceivedMail]:
        look = f"mail {count} to {address}"
        await eventually(lambda: len(self.mails_to(address)) >= count, timeout_s=timeout_s, what=look)
        return self.mails_to(address)

    async def say(self, who: Client, text: str) -> Answer:
        answer = await who.post(text, order_id=self.id, **PATIENT)
        assert answer.status == 201, answer
        return answer

    async def call(self, who: Client, method: str, path: str, body: object = None) -> Answer:
        answer = await who.call(method, f"/v1/orders/{self.id}{path}", body, **PATIENT)
        assert answer.status in (200, 201), answer
        return answer

    async def all_is_settled(self) -> None:
        """A later message to both parties has been mailed, so whatever was to be mailed before it has been."""
        await self.say(self.admin, "the end")

        def all_have_it() -> bool:
            both = (self.customer_address, self.seller_address)
            return all(any("the end" in text_of(mail) for mail in self.mails_to(address)) for address in both)

        await eventually(all_have_it, what=f"the last mails about {self.id}")


def text_of(mail: ReceivedMail) -> str:
    body = mail.message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


@pytest.fixture
async def order(request: pytest.FixtureRequest, shop: Parley, api: Clients, people: People) -> Order:
    """An order of the test's own."""
    name = re.sub(r"[^a-z]", "", request.node.name.removeprefix("test_"))[:40]
    made = Order(name, shop, api, people)
    await api.put_order(order_of(name, customer=f"c-{name}", seller=f"s-{name}"))
    return made


async def test_twenty_messages_within_five_seconds_are_one_mail_that_shows_them_all(order: Order) -> None:
    for number in range(20):
        await order.say(order.seller, f"message number {number}.")
    [mail] = await order.mailed(order.customer_address)
    assert [f"message number {number}." in text_of(mail) for number in range(20)] == [True] * 20
    assert "20" in text_of(mail)
    await order.all_is_settled()
    assert sum("message number" in text_of(each) for each in order.mails_to(order.customer_address)) == 1
    assert all("message number" not in text_of(each) for each in order.mails_to(order.seller_address))


async def test_what_was_read_before_the_delay_ends_is_not_mailed(order: Order) -> None:
    await order.say(order.seller, "read at once")
    await order.call(order.customer, "PUT", "/read", {"up_to_seq": 1})
    await order.say(order.seller, "not read")
    [mail] = await order.mailed(order.customer_address)
    assert "not read" in text_of(mail)
    assert "read at once" not in text_of(mail)
    await order.call(order.customer, "PUT", "/read", {"up_to_seq": 2})
    await order.say(order.seller, "read as well")
    await order.call(order.customer, "PUT", "/read", {"up_to_seq": 3})
    await order.all_is_settled()
    texts = [text_of(each) for each in order.mails_to(order.customer_address)]
    assert len(texts) == 2
    assert all("read as well" not in text for text in texts)


async def test_one_click_on_the_link_of_a_mail_ends_the_mails(order: Order, api: Clients) -> None:
    await order.say(order.seller, "the first")
    [mail] = await order.mailed(order.customer_address)
    assert mail.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = urlsplit(mail.message["List-Unsubscribe"].strip("<>"))
    nobody = api.with_token(None)
    path = f"{link.path}?{link.query}"
    assert (await nobody.get(path)).status == 200
    preferences = (await order.customer.get("/v1/me/preferences")).body
    assert preferences["mails"] == {"messages": True, "disputes": True}
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert (await nobody.call("POST", path, b"List-Unsubscribe=One-Click", **form)).status == 200

    async def is_off() -> bool:
        mails = (await order.customer.get("/v1/me/preferences")).body["mails"]
        return bool(mails == {"messages": False, "disputes": False})

    await eventually(is_off, what="the mails being off")
    await order.say(order.seller, "the second")
    await order.call(order.customer, "POST", "/dispute", DISPUTE)
    await order.mailed(order.seller_address)
    on = {"mails": {"messages": True, "disputes": True}}
    assert (await order.customer.call("PUT", "/v1/me/preferences", on, **PATIENT)).status == 200
    await order.all_is_settled()
    texts = [text_of(each) for each in order.mails_to(order.customer_address)]
    assert [("the first" in text, "the end" in text) for text in texts] == [(True, False), (False, True)]


async def test_a_sellers_login_switches_off_the_mails_to_the_sellers_address(order: Order) -> None:
    off = {"mails": {"messages": False}}
    answer = await order.seller.call("PUT", "/v1/me/preferences", off, **PATIENT)
    assert (answer.status, answer.body["mails"]) == (200, {"messages": False, "disputes": True})
    assert (await order.seller.get("/v1/me/preferences")).body["mails"] == {"messages": False, "disputes": True}
    await order.say(order.customer, "is anybody there?")
    await order.call(order.customer, "POST", "/dispute", DISPUTE)
    [mail] = await order.mailed(order.seller_address)
    assert "is anybody there?" not in text_of(mail)


async def test_a_dispute_step_is_mailed_at_once_with_what_was_waiting(order: Order) -> None:
    before = await order.say(order.customer, "Where is it?")
    opened = await order.call(order.customer, "POST", "/dispute", DISPUTE)
    [mail] = await order.mailed(order.seller_address, timeout_s=DELAY_S)
    assert before.body["seq"] < opened.body["opened_seq"]
    assert "Where is it?" in text_of(mail)
    assert "It came broken" in text_of(mail)


async def test_the_administrators_address_is_mailed_while_a_dispute_is_open(order: Order) -> None:
    await order.say(order.customer, "before the dispute")
    await order.call(order.customer, "POST", "/dispute", DISPUTE)
    await order.mailed(SHOP)
    await order.say(order.seller, "during the dispute")
    await order.call(order.customer, "POST", "/dispute/close", {"outcome": "resolved", "note": "All is well"})
    await order.mailed(SHOP, count=2)
    await order.say(order.seller, "after the dispute")
    await order.all_is_settled()
    told = "\n".join(text_of(mail) for mail in order.mails_to(SHOP))
    shown = {text: text in told for text in ("before the", "It came broken", "during the", "All is well", "after the")}
    assert shown == {
        "before the": False,
        "It came broken": True,
        "during the": True,
        "All is well": True,
        "after the": False,
    }


async def test_where_the_shop_sells_its_mailbox_gets_what_the_customer_writes_by_a_sellers_rules(
    shop: Parley, api: Clients, people: People
) -> None:
    order = Order("theshopsells", shop, api, people)
    await api.put_order(order_of(order.id, customer=f"c-{order.id}").model_copy(update={"seller": None}))
    await order.say(order.customer, "read at once")
    await order.call(order.admin, "PUT", "/read", {"up_to_seq": 1})
    for number in range(10):
        await order.say(order.customer, f"question number {number}.")
    await order.say(order.admin, "an answer of the shop")
    [mail] = await order.mailed(SHOP)
    assert [f"question number {number}." in text_of(mail) for number in range(10)] == [True] * 10
    assert "read at once" not in text_of(mail)
    [answer] = await order.mailed(order.customer_address)
    assert "an answer of the shop" in text_of(answer)
    off = {"mails": {"messages": False}, "locale": "de"}
    assert (await order.customer.call("PUT", "/v1/shop/preferences", off, **PATIENT)).status == 403
    chosen = await order.admin.call("PUT", "/v1/shop/preferences", off, **PATIENT)
    assert (chosen.status, chosen.body["mails"]) == (200, {"messages": False, "disputes": True})
    assert (await order.admin.get("/v1/shop/preferences")).body == chosen.body
    try:
        await order.say(order.customer, "switched off")
        await order.call(order.customer, "POST", "/dispute", DISPUTE)
        [_, opened] = await order.mailed(SHOP, count=2)
    finally:
        on = {"mails": {"messages": True}, "locale": None}
        assert (await order.admin.call("PUT", "/v1/shop/preferences", on, **PATIENT)).status == 200
    assert "Streitfall eröffnet" in text_of(opened)
    assert "switched off" not in text_of(opened)
    assert all("an answer of the shop" not in text_of(each) for each in order.mails_to(SHOP))


async def test_a_watching_administrator_is_mailed_until_they_stop(order: Order) -> None:
    await order.call(order.admin, "PUT", "/watch")
    await order.say(order.customer, "from the customer")
    await order.say(order.seller, "from the seller")
    await order.say(order.admin, "from the watcher")
    [mail] = await order.mailed(order.admin_address)
    assert "from the customer" in text_of(mail)
    assert "from the seller" in text_of(mail)
    assert "from the watcher" not in text_of(mail)
    await order.call(order.admin, "DELETE", "/watch")
    await order.say(order.customer, "nobody watches")
    await order.all_is_settled()
    assert len(order.mails_to(order.admin_address)) == 1


async def test_a_guests_link_opens_the_thread_and_no_other(shop: Parley, api: Clients, people: People) -> None:
    await asyncio.gather(api.put_order(order_of_guest("guests-link")), api.put_order(order_of_guest("another-guests")))
    seller = api.with_token(people.seller())
    assert (await seller.post("Dear guest", order_id="guests-link", **PATIENT)).status == 201

    def found() -> list[ReceivedMail]:
        return [mail for mail in shop.smtp.mails if "guests-link" in mail.message["Subject"]]

    [mail] = await eventually(found, what="the guest's mail")
    links = re.findall(r"https?://\S+", text_of(mail))
    link = next(urlsplit(link) for link in links if urlsplit(link).fragment)
    assert link.query == ""
    session = await api.with_token(None).call("POST", "/v1/guest-sessions", {"token": link.fragment})
    assert (session.status, session.body["order_id"]) == (201, "guests-link")
    guest = api.with_token(session.body["access_token"])
    assert [message["text"] for message in await guest.history("guests-link")] == ["Dear guest"]
    assert (await guest.post("Thank you", order_id="guests-link", **PATIENT)).status == 201
    assert (await guest.get("/v1/orders/another-guests")).status == 404
    assert (await api.with_token(link.fragment).get("/v1/orders/guests-link")).status == 401
    assert GUEST_ID not in link.path


async def test_a_text_that_was_taken_out_is_not_in_a_mail_that_still_waited(order: Order) -> None:
    secret = await order.say(order.seller, "my card is 4111 1111 1111 1111")
    await order.say(order.seller, "and greetings")
    await order.call(order.admin, "POST", f"/messages/{secret.body['id']}/redact")
    [mail] = await order.mailed(order.customer_address)
    assert "4111" not in mail.content.decode()
    assert "and greetings" in text_of(mail)
    await order.all_is_settled()
    assert all("4111" not in each.content.decode() for each in order.mails_to(order.customer_address))
