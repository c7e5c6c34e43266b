"""Writes: what is published, what is answered, and how long that may take."""

import asyncio
import html
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from shared import topology
from shared.commands import (
    Command,
    CommandOutcome,
    MarkRead,
    MarkThreadsRead,
    PostMessage,
    RedactMessage,
    SetPreferences,
    WatchThread,
)
from shared.errors import problem
from shared.orders import ORDER_EVENT
from shared.tokens import mint_unsubscribe
from tests.integration.gateway.conftest import LINK_SECRET, Api, NewGateway, Seen, guest, token
from tests.integration.gateway.standins import QueryApi, Worker, done
from tests.servers.rabbitmq import SharedRabbit, Vhost
from tests.servers.services import ServiceProcess
from tests.servers.waiting import eventually, within

ORDER = {
    "order_id": "1042",
    "version": 1,
    "status": "placed",
    "placed_at": "2026-01-31T09:05:00Z",
    "customer": {"id": "c-7", "name": "Ada", "email": "ada@example.com"},
    "seller": {"id": "s-1", "name": "Tea House"},
    "items": [{"sku": "T", "name": "Tea", "quantity": 2, "price": "19.90"}],
    "total": "39.80",
    "currency": "EUR",
}

FORM = "application/x-www-form-urlencoded"


async def test_a_post_is_one_command_and_answered_with_its_outcome(api: Api, worker: Worker) -> None:
    seen = await api.post("Hello")

    (command,), (delivery,) = worker.commands, worker.deliveries
    assert isinstance(command, PostMessage)
    assert (command.data.text, command.data.order_id, command.data.caller.key) == ("Hello", "1042", "customer:c-7")
    assert (seen.status, seen.json["id"], seen.json["redacted"]) == (201, command.id, None)
    assert (delivery.user_id, delivery.delivery_mode, delivery.routing_key) == ("gateway", 2, "message.post")


async def test_a_refusal_is_answered_with_its_problem(api: Api, worker: Worker) -> None:
    refused = problem("conflict", "There is no open dispute to close.", state={"dispute": "none"})
    worker.decide = lambda command: CommandOutcome(command_id=command.id, state="rejected", status=409, problem=refused)
    seen = await api.call("POST", "/v1/orders/1042/dispute/close", bearer=token(), body={"outcome": "resolved"})
    assert (seen.status, seen.headers["Content-Type"]) == (409, "application/problem+json")
    assert seen.json["state"] == {"dispute": "none"}


async def test_without_an_outcome_in_time_it_is_accepted_and_can_be_asked_about(
    api: Api, worker: Worker, query_api: QueryApi
) -> None:
    worker.decide = lambda _command: None
    seen = await api.post(Prefer="wait=1")
    location = seen.headers["Location"]
    assert (seen.status, seen.json["state"], seen.headers["Preference-Applied"]) == (202, "accepted", "wait=1")

    asked = await api.call("GET", location, bearer=token())
    assert (asked.status, asked.json["state"]) == (200, "accepted")

    query_api.answers[location] = (200, b'{"state": "done"}', {})
    assert (await api.call("GET", location, bearer=token())).body == b'{"state": "done"}'
    assert (await api.call("GET", location, bearer=token(person="c-8"))).status == 404
    assert (await api.call("GET", "/v1/commands/" + "a" * 42, bearer=token())).status == 404


async def test_respond_async_is_answered_at_once_and_nothing_is_lost(api: Api, vhost: Vhost) -> None:
    seen = await api.post(Prefer="respond-async")
    assert (seen.status, seen.headers["Preference-Applied"]) == (202, "respond-async")
    (message,) = await vhost.take_all(topology.COMMANDS_QUEUE)
    assert message.reply_to is None  # no answer is asked for, so none was waited for


async def test_the_same_key_is_the_same_command_and_another_callers_is_not(api: Api, worker: Worker) -> None:
    key = "order 1042, first try"
    first = await api.post(Idempotency_Key=key)
    again = await api.post(Idempotency_Key=key)
    other = await api.post(Idempotency_Key=key, bearer=token(person="c-8"))
    assert first.json["id"] == again.json["id"] != other.json["id"]
    by_its_id = await api.post(Idempotency_Key=first.json["id"])
    assert by_its_id.json["id"] == first.json["id"]
    stamps = [command.stamp for command in worker.commands]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == 4


async def test_two_texts_under_one_key_at_once_get_each_their_own_outcome(api: Api, worker: Worker) -> None:
    def decide(command: Command) -> CommandOutcome:
        if isinstance(command, PostMessage) and command.data.text == "first":
            return done(command)
        other = problem("idempotency_conflict", "This key was used for another request.")
        return CommandOutcome(command_id=command.id, state="rejected", status=409, problem=other)

    worker.decide = decide
    texts = ["first", "second"] * 4
    answers = await asyncio.gather(*(api.post(text, Idempotency_Key="k") for text in texts))
    assert [seen.status for seen in answers] == [201, 409] * 4


async def test_many_at_once_each_get_their_own_outcome(api: Api, worker: Worker) -> None:
    answers = await asyncio.gather(*(api.post(f"text {number}", Prefer="wait=30") for number in range(200)))
    assert [seen.json["text"] for seen in answers] == [f"text {number}" for number in range(200)]
    assert len({seen.json["id"] for seen in answers}) == 200


async def test_what_goes_wrong_under_a_key_that_is_none_is_named(api: Api) -> None:
    for key in ("", "é", "x" * 256):
        seen = await api.post(Idempotency_Key=key)
        assert (seen.status, seen.json["errors"][0]["field"]) == (422, "Idempotency-Key"), key


@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b'{"text": "a"}', "text/plain", 415),
        (b'{"text": "a"}', "application/json; charset=latin-1", 415),
        (b'{"text": "a"}', "Application/JSON; Charset=UTF-8", 201),
        (b'{"text": "a\\u0000b"}', "application/json", 422),
        (b'{"text": "a\\ud800b"}', "application/json", 422),
        (b'{"text": "a", "seq": 1}', "application/json", 422),
        (b'{"text": {"$ne": null}}', "application/json", 422),
        (b'{"text"', "application/json", 422),
        (b"", "application/json", 422),
        (b" " * 140_000, "application/json", 413),
        (b'{"text": "' + b"\\ud83d\\ude00" * 10_000 + b'"}', "application/json", 201),
    ],
)
async def test_a_body_is_taken_or_refused_with_a_problem(
    api: Api, worker: Worker, data: bytes, content_type: str, status: int
) -> None:
    seen = await api.call("POST", "/v1/orders/1042/messages", bearer=token(), data=data, Content_Type=content_type)
    assert seen.status == status
    assert len(worker.commands) == (status == 201)
    if status == 422:
        assert seen.json["errors"]


async def test_roles_that_have_nothing_to_do_with_a_thread_are_told_that_there_is_none(api: Api, vhost: Vhost) -> None:
    for bearer in (token("service"), guest("1043")):
        seen = await api.post(bearer=bearer)
        assert (seen.status, seen.json["type"]) == (404, "urn:parley:problem:not_found")
    assert await vhost.depth(topology.COMMANDS_QUEUE) == 0


async def test_an_order_is_published_as_an_event_by_services_alone(api: Api, vhost: Vhost) -> None:
    refused = await api.call("PUT", "/v1/orders/1042", bearer=token("admin"), body=ORDER)
    order = ORDER | {"updated_at": "2026-01-31T10:05:00.250+01:00"}
    taken = await api.call("PUT", "/v1/orders/1042", bearer=token("service"), body=order, Prefer="respond-async")
    assert (refused.status, taken.status, taken.json) == (403, 202, {"order_id": "1042", "version": 1})
    assert taken.headers["Location"] == "/v1/orders/1042/intake/1"
    assert taken.headers["Preference-Applied"] == "respond-async"
    (message,) = await vhost.take_all(topology.ORDERS_QUEUE)
    event = ORDER_EVENT.validate_json(message.body)
    assert (message.routing_key, message.user_id, event.data.total) == ("order.updated", "gateway", "39.80")
    assert event.data.updated_at == datetime(2026, 1, 31, 9, 5, 0, 250_000, tzinfo=UTC)


async def test_an_order_that_nobody_decides_in_time_is_answered_with_where_to_ask(api: Api, vhost: Vhost) -> None:
    order = ORDER | {"order_id": "a:b~1"}
    taken = await api.call("PUT", "/v1/orders/a:b~1", bearer=token("service"), body=order, Prefer="wait=0")
    assert (taken.status, taken.headers["Location"]) == (202, "/v1/orders/a:b~1/intake/1")
    patient = await api.call("PUT", "/v1/orders/a:b~1", bearer=token("service"), body=order)
    assert patient.status == 202
    messages = await vhost.take_all(topology.ORDERS_QUEUE)
    assert [message.reply_to is None for message in messages] == [True, False]
    assert all(message.correlation_id for message in messages)


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": "1043"},
        {"version": "1"},
        {"version": 2**53 + 1},
        {"total": 39.8},
        {"updated_at": 1795856690},
        {"updated_at": "2026-01-31T09:05:00"},
        {"extra": 1},
        {"items": None},
    ],
)
async def test_an_order_that_is_none_is_refused(api: Api, vhost: Vhost, change: dict[str, object]) -> None:
    seen = await api.call("PUT", "/v1/orders/1042", bearer=token("service"), body=ORDER | change)
    assert (seen.status, seen.json["errors"][0]["field"]) == (422, next(iter(change)))
    assert await vhost.depth(topology.ORDERS_QUEUE) == 0


async def test_every_other_write_is_its_command(api: Api, worker: Worker) -> None:
    admin = token("admin", "a-1", email="staff@shop.example", locale="de")
    await api.call("POST", "/v1/threads/read", bearer=token(), body={"all": True})
    await api.call("PUT", "/v1/me/preferences", bearer=guest(), body={"mails": {"messages": False}, "locale": "fr"})
    await api.call("PUT", "/v1/orders/1042/watch", bearer=admin)
    await api.call("DELETE", "/v1/orders/1042/watch", bearer=admin)
    await api.call("POST", f"/v1/orders/1042/messages/{'m' * 42}/redact", bearer=admin)
    await api.call("PUT", "/v1/orders/1042/read", bearer=token(), body={"up_to_seq": 0})
    every, chosen, watch, unwatch, redact, mark = worker.commands
    assert isinstance(every, MarkThreadsRead)
    assert every.data.all_threads
    assert isinstance(chosen, SetPreferences)
    assert (chosen.data.person, chosen.data.messages, chosen.data.disputes) == ("guest:1042", False, None)
    assert isinstance(watch, WatchThread)
    assert (watch.data.watching, watch.data.email, watch.data.locale) == (True, "staff@shop.example", "de")
    assert isinstance(unwatch, WatchThread)
    assert (unwatch.data.watching, unwatch.data.email) == (False, None)
    assert isinstance(redact, RedactMessage)
    assert redact.data.message_id == "m" * 42
    assert isinstance(mark, MarkRead)


async def test_an_imported_message_is_known_by_its_external_id(api: Api, worker: Worker) -> None:
    old = {
        "external_id": "t-1",
        "author": {"side": "seller", "id": "login-1", "name": "Bob"},
        "text": "Old",
        "written_at": "2025-12-24T18:00:00Z",
    }
    path = "/v1/orders/1042/messages/import"
    answers = [await api.call("POST", path, bearer=token("service"), body=old) for _ in range(2)]
    assert [seen.status for seen in answers] == [201, 201]
    assert worker.commands[0].id == worker.commands[1].id
    assert (await api.call("POST", path, bearer=token("admin"), body=old)).status == 403


async def test_an_unsubscribe_link_asks_first_and_its_post_switches_mails_off(api: Api, worker: Worker) -> None:
    link = f"/v1/unsubscribe?token={mint_unsubscribe('customer:c-7', secret=LINK_SECRET, now=time.time())}"
    page = await api.call("GET", link)
    assert (page.status, b'method="post"' in page.body, worker.commands) == (200, True, [])
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    one_click = await api.call("POST", link, data=b"List-Unsubscribe=One-Click", **form)
    assert one_click.status == 200
    await eventually(lambda: worker.commands)
    (command,) = worker.commands
    assert isinstance(command, SetPreferences)
    assert (command.data.person, command.data.messages, command.data.disputes) == ("customer:c-7", False, False)
    assert (await api.call("POST", "/v1/unsubscribe?token=made-up")).status == 404


async def test_clicks_of_a_day_are_one_command_for_each_address_that_was_mailed(api: Api, worker: Worker) -> None:
    now = time.time()
    keys = ("a" * 26, "b" * 26, "a" * 26)
    for key in keys:
        mailed = mint_unsubscribe("guest:1042", secret=LINK_SECRET, now=now, address_key=key)
        assert (await api.call("POST", f"/v1/unsubscribe?token={mailed}")).status == 200
    await eventually(lambda: len(worker.commands) == len(keys))
    ids = {command.data.address_key: command.id for command in worker.commands if isinstance(command, SetPreferences)}
    assert len({command.id for command in worker.commands}) == len(set(ids.values())) == 2
    assert len({command.stamp for command in worker.commands}) == len(keys)


async def test_what_an_unsubscribe_link_did_is_taken_back_by_one_click_on_its_page(api: Api, worker: Worker) -> None:
    token_ = mint_unsubscribe("guest:1042", secret=LINK_SECRET, now=time.time(), address_key="k" * 26)
    link = f"/v1/unsubscribe?token={token_}"
    page = await api.call("POST", link, data=b"List-Unsubscribe=One-Click", Content_Type=FORM)
    await eventually(lambda: worker.commands)
    (off,) = worker.commands
    assert isinstance(off, SetPreferences)
    assert (off.data.person, off.data.address_key, off.data.undo) == ("guest:1042", "k" * 26, None)

    [back] = re.findall(r'action="([^"]+)"', page.body.decode())
    assert (await api.call("POST", f"/v1/unsubscribe{html.unescape(back)}", data=b"", Content_Type=FORM)).status == 200

    await eventually(lambda: len(worker.commands) == 2)
    undone = worker.commands[1]
    assert isinstance(undone, SetPreferences)
    assert undone.id != off.id
    assert (undone.data.person, undone.data.address_key, undone.data.undo) == ("guest:1042", "k" * 26, off.stamp)
    assert (undone.data.messages, undone.data.disputes) == (None, None)
    assert (await api.call("POST", f"{link}&undo=yesterday", data=b"", Content_Type=FORM)).status == 422


async def test_a_links_page_ends_the_mails_of_one_order_and_takes_that_back(api: Api, worker: Worker) -> None:
    token_ = mint_unsubscribe("customer:c-7", secret=LINK_SECRET, now=time.time(), address_key="k" * 26)
    link = f"/v1/unsubscribe?token={token_}&order=1042&lang=de"
    page = (await api.call("GET", link)).body.decode()
    assert ('<html lang="de" dir="ltr">' in page, "Bestellung 1042" in page) == (True, True)
    [form] = re.findall(r'action="([^"]+)"', page)
    ended = await api.call("POST", f"/v1/unsubscribe{html.unescape(form)}", data=b"scope=thread", Content_Type=FORM)
    assert (ended.status, "zu Bestellung 1042 mehr" in ended.body.decode()) == (200, True)
    await eventually(lambda: worker.commands)
    (off,) = worker.commands
    assert isinstance(off, SetPreferences)
    assert (off.data.person, off.data.order_id, off.data.messages) == ("customer:c-7", "1042", False)

    [back] = re.findall(r'action="([^"]+)"', ended.body.decode())
    undone = await api.call("POST", f"/v1/unsubscribe{html.unescape(back)}", data=b"", Content_Type=FORM)
    assert "wie zuvor" in undone.body.decode()
    await eventually(lambda: len(worker.commands) == 2)
    (_, back_on) = worker.commands
    assert isinstance(back_on, SetPreferences)
    assert (back_on.data.order_id, back_on.data.undo) == ("1042", off.stamp)


async def test_one_click_from_a_mail_program_ends_all_mails_also_where_the_link_names_an_order(
    api: Api, worker: Worker
) -> None:
    token_ = mint_unsubscribe("customer:c-7", secret=LINK_SECRET, now=time.time())
    link = f"/v1/unsubscribe?token={token_}&order=1042&lang=de"
    for body in (b"List-Unsubscribe=One-Click", b"", b"scope=person"):
        assert (await api.call("POST", link, data=body, Content_Type=FORM)).status == 200
    await eventually(lambda: len(worker.commands) == 3)
    assert {each.data.order_id for each in worker.commands if isinstance(each, SetPreferences)} == {None}


async def test_a_broken_link_is_a_page_for_people_and_a_problem_document_for_programs(api: Api, worker: Worker) -> None:
    browser: dict[str, Any] = {
        "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
        "Accept_Language": "fr-CH, en;q=0.8",
    }
    for method, path, status in (
        ("GET", "/v1/unsubscribe?token=made-up", 404),
        ("GET", "/v1/unsubscribe", 422),
        ("POST", "/v1/unsubscribe?token=made-up&lang=it", 404),
    ):
        page = await api.call(method, path, **browser)
        language = "it" if "lang=it" in path else "fr"
        assert (page.status, page.headers["Content-Type"]) == (status, "text/html; charset=utf-8"), path
        assert f'<html lang="{language}" dir="ltr">' in page.body.decode()
        assert "style-src 'sha256-" in page.headers["Content-Security-Policy"]
        document = await api.call(method, path)
        assert (document.status, document.json["status"]) == (status, status)
    assert worker.commands == []


async def test_rabbitmq_killed_is_503_within_two_seconds_and_reading_still_works(
    api: Api, rabbitmq: SharedRabbit, vhost: Vhost, query_api: QueryApi
) -> None:
    query_api.answers["/v1/me"] = (200, b'{"id": "c-7"}', {})
    rabbitmq.kill()
    with within(2):
        seen = await api.post(Idempotency_Key="k")
    assert (seen.status, seen.json["type"]) == (503, "urn:parley:problem:unavailable")
    assert int(seen.headers["Retry-After"]) > 0
    assert (await api.call("GET", "/v1/me", bearer=token())).body == b'{"id": "c-7"}'
    assert (await api.call("GET", "/readyz")).status == 200

    rabbitmq.start()

    async def posted() -> bool:
        return (await api.post(Idempotency_Key="k", Prefer="respond-async")).status == 202

    await eventually(posted, timeout_s=30, what="a post after RabbitMQ's return")
    ids = {message.correlation_id for message in await vhost.take_all(topology.COMMANDS_QUEUE)}
    assert len(ids) == 1


@pytest.mark.parametrize("trouble", ["blocked", "silent"])
async def test_rabbitmq_that_does_not_answer_is_503_with_the_key_to_repeat_it_under(
    api: Api, rabbitmq: SharedRabbit, vhost: Vhost, trouble: str
) -> None:
    if trouble == "blocked":
        with rabbitmq.blocked():
            first, rest = await without_answer(api)
    else:
        rabbitmq.pause()
        first, rest = await without_answer(api)
        rabbitmq.resume()

    assert (first.status, first.json["outcome"]) == (503, "unknown")
    assert {seen.status for seen in rest} == {503}
    assert sum(seen.json.get("outcome") == "unknown" for seen in rest) <= 1
    key = first.json["idempotency_key"]

    async def repeated() -> str | None:
        seen = await api.post("Hello", Idempotency_Key=key, Prefer="respond-async")
        return seen.json["command_id"] if seen.status == 202 else None

    assert await eventually(repeated, timeout_s=30) == key
    taken = await vhost.take_all(topology.COMMANDS_QUEUE)
    texts = {b"Hello" in message.body: message.correlation_id for message in taken}
    assert texts[True] == key


async def without_answer(api: Api) -> tuple[Seen, list[Seen]]:
    """The first write's answer, and those of some more at once; each within two seconds."""
    with within(2):
        first = await api.post("Hello")
    with within(2):
        rest = await asyncio.gather(*(api.post("More") for _ in range(20)))
    return first, rest


async def test_the_gateway_starts_without_rabbitmq_and_says_so(
    new_gateway: NewGateway, rabbitmq: SharedRabbit, query_api: QueryApi
) -> None:
    alive = query_api.answers.pop("/livez")
    rabbitmq.kill()
    gateway = new_gateway()
    await eventually(lambda: asks(gateway, "/livez", 200))
    assert await asks(gateway, "/readyz", 503)
    query_api.answers["/livez"] = alive
    await eventually(lambda: asks(gateway, "/readyz", 200), what="ready to read")
    rabbitmq.start()
    await gateway.ready()


async def asks(gateway: ServiceProcess, path: str, status: int) -> bool:
    """Beside the event loop, which the stand-in for threads needs to answer."""
    return await asyncio.to_thread(gateway.status_of, path) == status
