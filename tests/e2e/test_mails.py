"""Who gets which mail, through the whole: from the API to an SMTP server."""

import re
from urllib.parse import unquote, urlsplit

import pytest

from shared.orders import Customer
from tests.e2e.client import Clients, clients_of
from tests.made import snapshot
from tests.servers.parley import Parley
from tests.servers.smtp import ReceivedMail
from tests.servers.waiting import eventually

CUSTOMER, SELLER, ADMINISTRATORS = "ada@example.com", "seller@example.com", "admins@shop.example"


def _to(parley: Parley, address: str) -> list[ReceivedMail]:
    return [mail for mail in parley.smtp.mails if address in mail.recipients]


def _text(mail: ReceivedMail) -> str:
    part = mail.message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


async def _started(parley: Parley, *, delay_s: str, notifiers: int = 1) -> None:
    parley.start("threads", ADMIN_EMAIL=ADMINISTRATORS)
    parley.start("gateway")
    for number in range(notifiers):
        parley.add(
            "notifier", label="notifier" if number == 0 else f"notifier-{number + 1}", MAIL_DELAY=delay_s
        ).start()
    await parley.ready()


@pytest.mark.parametrize("notifiers", [1, 2])
async def test_twenty_messages_in_a_burst_are_one_mail_that_shows_them_all(parley: Parley, notifiers: int) -> None:
    await _started(parley, delay_s="5", notifiers=notifiers)
    async with clients_of(parley) as clients:
        await clients.put_order(snapshot())
        seller = clients.seller()
        texts = [f"message number {number}." for number in range(1, 21)]
        for text in texts:
            assert (await seller.post(text)).status == 201
        await parley.smtp.wait_for(1)
        after = await seller.post("and one later")
        await eventually(lambda: len(_to(parley, CUSTOMER)) == 2, timeout_s=30)
        assert after.status == 201
    first, second = _to(parley, CUSTOMER)
    places = [_text(first).index(text) for text in texts]
    assert places == sorted(places)
    assert "and one later" not in _text(first)
    assert "and one later" in _text(second)


async def test_what_was_read_before_the_delay_ends_is_not_mailed(parley: Parley) -> None:
    await _started(parley, delay_s="3")
    async with clients_of(parley) as clients:
        await clients.put_order(snapshot())
        await clients.seller().post("read at once")
        assert (await clients.customer().call("PUT", "/v1/orders/1042/read", {"up_to_seq": 1})).status == 200
        await clients.customer().post("thank you")
        await eventually(lambda: len(_to(parley, SELLER)) == 1, timeout_s=30)
        await clients.seller().post("the next one")
        await eventually(lambda: len(_to(parley, CUSTOMER)) == 1, timeout_s=30)
    [mail] = _to(parley, CUSTOMER)
    assert "the next one" in _text(mail)
    assert "read at once" not in _text(mail)


async def test_a_dispute_is_mailed_at_once_with_what_was_waiting_and_to_the_administrators(parley: Parley) -> None:
    await _started(parley, delay_s="600")
    async with clients_of(parley) as clients:
        await clients.put_order(snapshot())
        customer = clients.customer()
        await customer.post("the first words")
        opened = await customer.call(
            "POST", "/v1/orders/1042/dispute", {"reason": "damaged", "text": "it is in pieces"}
        )
        assert opened.status == 201
        await eventually(lambda: _to(parley, SELLER) and _to(parley, ADMINISTRATORS))
    [to_seller], [to_administrators] = _to(parley, SELLER), _to(parley, ADMINISTRATORS)
    assert _text(to_seller).index("the first words") < _text(to_seller).index("it is in pieces")
    assert "it is in pieces" in _text(to_administrators)
    assert "the first words" not in _text(to_administrators)


async def test_whoever_unsubscribes_by_the_link_in_a_mail_gets_no_more(
    running_parley: Parley, clients: Clients
) -> None:
    await clients.put_order(snapshot())
    await clients.seller().post("one")
    await eventually(lambda: len(_to(running_parley, CUSTOMER)) == 1)
    message = _to(running_parley, CUSTOMER)[0].message
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = urlsplit(str(message["List-Unsubscribe"]).strip("<>"))
    path = f"{link.path}?{link.query}"
    nobody = clients.with_token(None)
    looked = await nobody.get(path)
    assert looked.status == 200
    assert (await clients.customer().get("/v1/me/preferences")).body["mails"] == {"messages": True, "disputes": True}
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert (await nobody.call("POST", path, b"List-Unsubscribe=One-Click", **form)).status in (200, 202)

    async def is_off() -> bool:
        mails = (await clients.customer().get("/v1/me/preferences")).body["mails"]
        return not mails["messages"] and not mails["disputes"]

    await eventually(is_off)
    await clients.seller().post("two")
    await clients.customer().post("I am here all the same")
    await eventually(lambda: len(_to(running_parley, SELLER)) == 1)
    assert len(_to(running_parley, CUSTOMER)) == 1
    token = unquote(link.query.removeprefix("token="))
    assert (await clients.with_token(token).get("/v1/me")).status == 401


async def test_a_guest_opens_the_thread_by_the_link_in_the_mail_and_nothing_else(
    running_parley: Parley, clients: Clients
) -> None:
    guest = Customer(id="g-1", name="Guest", email=CUSTOMER, guest=True)
    await clients.put_order(snapshot(customer=guest))
    await clients.put_order(snapshot("1043", customer=guest))
    await clients.seller().post("Welcome")
    await eventually(lambda: len(_to(running_parley, CUSTOMER)) == 1)
    found = re.search(r"https?://\S+#\S+", _text(_to(running_parley, CUSTOMER)[0]))
    assert found is not None
    fragment = urlsplit(found.group()).fragment
    token = fragment.rpartition("=")[2] or fragment
    session = await clients.with_token(None).call("POST", "/v1/guest-sessions", {"token": token})
    assert (session.status, session.body["order_id"]) == (201, "1042") or session.status == 200
    person = clients.with_token(session.body["access_token"])
    assert (await person.post("I am the buyer")).status == 201
    assert (await person.get("/v1/orders/1043")).status == 404
    assert (await clients.with_token(token).get("/v1/orders/1042")).status == 401


async def test_an_administrator_who_watches_is_mailed_until_they_stop(running_parley: Parley, clients: Clients) -> None:
    await clients.put_order(snapshot())
    claims = {"email": "grace@shop.example"}
    admin = clients.with_token(running_parley.mint.mint("admin", "a-7", name="Grace", **claims))
    assert (await admin.call("PUT", "/v1/orders/1042/watch")).status == 200
    await clients.customer().post("while watched")
    await eventually(lambda: len(_to(running_parley, "grace@shop.example")) == 1)
    assert (await admin.call("DELETE", "/v1/orders/1042/watch")).status == 200
    await clients.customer().post("afterwards")
    await eventually(lambda: len(_to(running_parley, SELLER)) == 2)
    assert len(_to(running_parley, "grace@shop.example")) == 1


async def test_a_text_that_was_taken_out_is_in_no_mail_that_was_waiting(parley: Parley) -> None:
    await _started(parley, delay_s="4")
    async with clients_of(parley) as clients:
        await clients.put_order(snapshot())
        posted = await clients.customer().post("my card is 4111 1111 1111 1111")
        await clients.customer().post("please help")
        path = f"/v1/orders/1042/messages/{posted.body['id']}/redact"
        assert (await clients.admin().call("POST", path, {"reason": "a card number"})).status == 200
        assert [message["text"] for message in await clients.seller().history()] == [None, "please help"]
        await eventually(lambda: len(_to(parley, SELLER)) == 1, timeout_s=30)
    [mail] = _to(parley, SELLER)
    assert b"4111" not in mail.content
    assert "please help" in _text(mail)
