"""One order's conversation from end to end, and through whatever happens to the parts meanwhile."""

import asyncio

from shared.fields import TEXT_MAX_CHARACTERS
from shared.visible import shows
from tests.e2e.client import Client, Clients
from tests.hostile import hostile_texts
from tests.made import snapshot
from tests.servers.parley import Parley
from tests.servers.waiting import eventually, within


async def _texts(client: Client) -> list[str]:
    return [message["text"] for message in await client.history()]


async def test_a_customer_asks_a_seller_answers_and_the_customer_gets_the_mail(
    running_parley: Parley, clients: Clients
) -> None:
    await clients.put_order(snapshot())
    customer, seller = clients.customer(), clients.seller()
    asked = await customer.post("Where is my lamp?")
    assert (asked.status, asked.body["seq"], asked.body["author"]["side"]) == (201, 1, "customer")
    threads = (await seller.get("/v1/threads?filter=unread")).body["items"]
    assert [(row["order"]["order_id"], row["thread"]["unread"]) for row in threads] == [("1042", 1)]
    assert (await seller.call("PUT", "/v1/orders/1042/read", {"up_to_seq": 1})).status == 200
    assert (await seller.get("/v1/me")).body["unread"]["threads"] == 0
    await seller.post("It left yesterday.")
    mails = await running_parley.smtp.wait_for(2)
    mail = next(mail for mail in mails if "ada@example.com" in mail.recipients)
    assert "1042" in mail.message["Subject"]
    text = mail.message.get_body(("plain",))
    assert text is not None
    assert "It left yesterday." in text.get_content()
    assert await _texts(customer) == ["Where is my lamp?", "It left yesterday."]


async def test_rabbitmq_stopped_gives_503_and_the_same_key_posts_once_after_its_return(
    running_parley: Parley, clients: Clients
) -> None:
    await clients.put_order(snapshot())
    customer = clients.customer()
    await customer.post("before")
    running_parley.vhost.server.stop()
    with within(2):
        away = await customer.post("during", Idempotency_Key="k-1")
    assert (away.status, away.problem) == (503, "unavailable")
    assert "retry-after" in away.headers
    assert await _texts(customer) == ["before"]
    running_parley.vhost.server.start()

    async def posted() -> bool:
        return (await customer.post("during", Idempotency_Key="k-1", Prefer="wait=10")).status == 201

    await eventually(posted, timeout_s=40, what="the post after RabbitMQ's return")
    again = await customer.post("during", Idempotency_Key="k-1", Prefer="wait=10")
    assert (again.status, again.body["seq"]) == (201, 2)
    assert await _texts(customer) == ["before", "during"]


async def test_threads_stopped_gives_202_and_the_message_is_there_after_its_return(
    running_parley: Parley, clients: Clients
) -> None:
    await clients.put_order(snapshot())
    customer = clients.customer()
    running_parley.services["threads"].stop()
    accepted = await customer.post("anybody there?", Prefer="wait=0")
    assert (accepted.status, accepted.body["state"]) == (202, "accepted")
    running_parley.services["threads"].start()
    location = accepted.headers["location"]

    async def done() -> bool:
        return bool((await customer.get(location)).body.get("state") == "done")

    await eventually(done, timeout_s=30)
    assert await _texts(customer) == ["anybody there?"]


async def test_five_hundred_posts_at_once_are_all_there_without_a_gap(clients: Clients) -> None:
    await clients.put_order(snapshot())
    people = [clients.customer(), clients.seller()]
    answers = await asyncio.gather(*(people[n % 2].post(f"number {n}", Prefer="wait=30") for n in range(500)))
    assert {answer.status for answer in answers} == {201}
    assert sorted(answer.body["seq"] for answer in answers) == list(range(1, 501))


async def test_the_same_key_with_another_text_is_a_conflict(clients: Clients) -> None:
    await clients.put_order(snapshot())
    customer = clients.customer()
    first = await customer.post("this", Idempotency_Key="k")
    other = await customer.post("that", Idempotency_Key="k")
    again = await customer.post("this", Idempotency_Key="k")
    assert (other.status, other.problem) == (409, "idempotency_conflict")
    assert (again.status, again.body) == (201, first.body)


BAD_INPUT: list[tuple[object, str]] = [
    ({"text": "x", "bcc": "y"}, "bcc"),
    ({"text": 7}, "text"),
    ({"text": ""}, "text"),
    ({"text": " \n\t"}, "text"),
    ({"text": "x" * (TEXT_MAX_CHARACTERS + 1)}, "text"),
    (b'{"text": "\\ud800"}', "text"),
    ({"text": "a\x00b"}, "text"),
    ({"text": {"$ne": None}}, "text"),
    ({}, "text"),
    ([], "body"),
    (b"{", "body"),
]


async def test_bad_input_is_refused_with_the_field(clients: Clients) -> None:
    for body, field in BAD_INPUT:
        answer = await clients.customer().call("POST", "/v1/orders/1042/messages", body)
        assert (answer.status, answer.problem) == (422, "invalid_request"), body
        assert field in [error["field"] for error in answer.body["errors"]], body


async def test_the_longest_text_is_taken(clients: Clients) -> None:
    await clients.put_order(snapshot())
    text = "ü" * TEXT_MAX_CHARACTERS
    assert (await clients.customer().post(text)).status == 201
    assert await _texts(clients.customer()) == [text]


async def test_another_persons_order_looks_like_no_order(clients: Clients) -> None:
    await clients.put_order(snapshot())
    for stranger in (clients.customer("c-8"), clients.seller("s-2"), clients.service()):
        theirs, nobodys = await stranger.get("/v1/orders/1042"), await stranger.get("/v1/orders/1043")
        assert (theirs.status, nobodys.status) == (404, 404)
        assert str(theirs.body).replace("1042", "1043") == str(nobodys.body)


async def test_every_hostile_text_is_kept_byte_for_byte_or_refused(clients: Clients) -> None:
    await clients.put_order(snapshot())
    customer = clients.customer()
    texts = hostile_texts()
    answers = [await customer.post(text) for text in texts]
    kept = [text for text, answer in zip(texts, answers, strict=True) if answer.status == 201]
    refused = {text for text, answer in zip(texts, answers, strict=True) if answer.status == 422}
    assert len(kept) + len(refused) == len(texts)
    assert all(not shows(text) or "\x00" in text for text in refused)
    stored: list[str] = []
    path = "/v1/orders/1042/messages?after_seq=0&limit=200"
    while path:
        page = (await customer.get(path)).body
        stored += [message["text"] for message in page["items"]]
        path = page["next"]
    assert stored == kept
