"""What people write, their names, addresses and tokens stand in no log line, metric or trace, whatever goes wrong on the way.

Each of them carries a word that is nowhere else. It goes through everything that can happen to it, and then every output is searched.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest

from deploy.local.services import SERVICES
from shared import tokens, topology
from shared.orders import Customer, OrderSnapshot, Seller, order_event
from tests.e2e.client import Answer, Client, Clients, clients_of
from tests.made import post, snapshot
from tests.operations.collector import Collector, collecting
from tests.security.telltale import RAISES, UNMAILABLE
from tests.servers.parley import CREDENTIALS, Parley
from tests.servers.waiting import eventually

WORD = "kanarie"
ORDER, GUESTS, REFUSED = "kanarieorder-1", "kanarieorder-2", "kanarieorder-3"
MAILS = 6


def _address(who: str) -> str:
    return f"{WORD}.{who}@{WORD}.example"


def _order(order_id: str, *, customer: str = "c-7", guest: bool = False, version: int = 1) -> OrderSnapshot:
    name = f"{WORD} name of {customer}"
    made = snapshot(
        order_id,
        version=version,
        customer=Customer(id=f"{WORD}-{customer}", name=name, email=_address(customer), guest=guest),
        seller=Seller(id=f"{WORD}-s-1", name=f"{WORD} lamps", email=_address("seller")),
    )
    items = [item.model_copy(update={"name": f"{WORD} lamp", "sku": f"{WORD}-sku"}) for item in made.items]
    return made.model_copy(update={"items": items, "url": f"https://{WORD}.example/orders/{order_id}"})


class People:
    """Everybody who takes part, their words in every claim of their tokens."""

    def __init__(self, parley: Parley, clients: Clients) -> None:
        mint = parley.mint
        self.parley, self.clients = parley, clients
        self.token = mint.mint("customer", f"{WORD}-c-7", name=f"{WORD} Ada", email=_address("c-7"))
        self.customer = clients.with_token(self.token)
        self.seller = clients.with_token(
            mint.mint("seller", f"{WORD}-u-1", name=f"{WORD} Bob", seller_id=f"{WORD}-s-1", email=_address("seller"))
        )
        self.admin = clients.with_token(
            mint.mint("admin", f"{WORD}-a-1", name=f"{WORD} Staff", email=_address("admin"))
        )
        self.stranger = clients.with_token(mint.mint("customer", f"{WORD}-c-8", name=f"{WORD} Eve"))
        self.nobody = clients.with_token(None)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
async def parley(parley: Parley, collector: Collector) -> Parley:
    """All three services at their most talkative, with defects that quote what they were given."""
    for service in SERVICES:
        parley.add(
            service,
            module="tests.security.telltale",
            TELLTALE=service,
            LOG_LEVEL="debug",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="100",
        ).start()
    await parley.ready()
    return parley


async def _everything_that_goes_well(people: People) -> None:
    for order_id, guest in ((ORDER, False), (GUESTS, True), (REFUSED, False)):
        await people.clients.put_order(_order(order_id, customer="c-9" if order_id == GUESTS else "c-7", guest=guest))
    words, key = f"{WORD} is my lamp?", {"Idempotency_Key": f"{WORD}-key", "Prefer": f"wait=10, {WORD}=1"}
    posted = await people.customer.post(words, order_id=ORDER, **key)
    dispute = {"reason": "damaged", "text": f"{WORD} broke"}
    await _all(
        people.customer.post(words, order_id=ORDER, **key),
        people.seller.post(f"{WORD} is on its way", order_id=ORDER),
        people.seller.post(f"{WORD} for a guest", order_id=GUESTS),
        people.customer.call("POST", f"/v1/orders/{ORDER}/dispute", dispute),
        people.customer.call(
            "POST", f"/v1/orders/{ORDER}/dispute/close", {"outcome": "resolved", "note": f"{WORD} ok"}
        ),
        people.seller.call("PUT", f"/v1/orders/{ORDER}/read", {"up_to_seq": 1}),
        people.admin.call("PUT", f"/v1/orders/{ORDER}/watch"),
        people.admin.call("POST", f"/v1/orders/{ORDER}/messages/{posted.body['id']}/redact", {}),
        people.customer.get(f"/v1/threads?q={WORD}"),
        people.customer.get(f"/v1/orders/{ORDER}/messages"),
        people.customer.get("/v1/me"),
        expected=(200, 201),
    )


async def _all(*asked: Any, expected: tuple[int, ...]) -> list[Answer]:
    """One after the other: a dispute is opened before it is closed."""
    answers = [await each for each in asked]
    assert {answer.status for answer in answers} <= set(expected), answers
    return answers


async def _everything_that_is_refused(people: People) -> None:
    """What a stranger is told holds nothing of others, and nobody is told the value that was wrong."""
    customer, path = people.customer, f"/v1/orders/{ORDER}/messages"
    hostile = f'{{"text": {{"{WORD}": "{WORD}"}}, "{WORD}": 1}}'.encode()
    others = [people.stranger.get(path), people.stranger.post(f"{WORD}?", order_id=ORDER, Prefer="wait=20")]
    told = await _all(*others, expected=(404,))
    assert not [answer for answer in told if _address("c-7") in str(answer.body) or f"{WORD} name" in str(answer.body)]
    refused = await _all(
        customer.call("POST", path, hostile),
        customer.call("POST", path, f'{{"text": "{WORD}'.encode()),
        customer.call("POST", path, {"text": WORD, "after": f"{WORD}!"}),
        customer.post(WORD, order_id=ORDER, Idempotency_Key=f"{WORD}é"),
        customer.call("POST", f"/v1/orders/{ORDER}/dispute", {"reason": WORD, "text": WORD}),
        customer.call("POST", f"/v1/orders/{ORDER}/dispute", {"reason": "other", "text": WORD}, If_Match=WORD),
        customer.get(f"/v1/threads?cursor={WORD}"),
        customer.get(f"/v1/threads?{WORD}={WORD}"),
        customer.get(f"/v1/orders?limit={WORD}"),
        customer.get(f"/v1/{WORD}"),
        customer.get(f"/v1/commands/{WORD}"),
        people.nobody.get(f"/v1/me?access_token={people.token}"),
        people.clients.with_token(f"{WORD}.{WORD}.{WORD}").get("/v1/me"),
        people.clients.with_token(people.token[:-4] + "AAAA").get("/v1/me"),
        people.nobody.call("POST", "/v1/guest-sessions", {"token": f"{WORD}.{WORD}.{WORD}"}),
        people.nobody.get(f"/v1/unsubscribe?token={WORD}"),
        people.clients.service().call("PUT", f"/v1/orders/{ORDER}", {**_order(ORDER).model_dump(mode="json"), WORD: 1}),
        expected=(401, 404, 409, 412, 422),
    )
    named = [answer for answer in refused if f"{WORD} name" in str(answer.body) or "@" in str(answer.body)]
    assert not named


async def _everything_that_is_poison(people: People) -> None:
    """Messages that no service can do anything with, in every queue; they end among the dead letters."""
    version = order_event(_order(ORDER).model_copy(update={"status": WORD}), source=WORD, now=datetime.now(UTC))
    parties = order_event(_order(ORDER, customer="c-1", version=9), source=WORD, now=datetime.now(UTC))
    command = post(f"{WORD} from nobody", order_id=ORDER).model_dump_json().encode()
    nonsense = f'{{"type": "{WORD}", "data": {{"email": "{_address("x")}"}}}}'.encode()
    for user, exchange, key, body in (
        ("gateway", topology.COMMANDS, "message.post", f'{{"{WORD}": "{WORD}"}}'.encode()),
        ("gateway", topology.COMMANDS, "message.post", WORD.encode()),
        ("operator", topology.COMMANDS, f"{WORD}.{WORD}", command),
        ("shop", topology.SHOP_ORDERS, "order.placed", nonsense),
        ("shop", topology.SHOP_ORDERS, "order.placed", version.model_dump_json().encode()),
        ("shop", topology.SHOP_ORDERS, "order.placed", parties.model_dump_json().encode()),
        ("threads", topology.NOTIFICATIONS, "message.posted", nonsense),
    ):
        async with await people.parley.vhost.connect(user) as connection:
            channel = await connection.channel()
            sent = aio_pika.Message(body, user_id=user, message_id=uuid.uuid4().hex, headers={WORD: WORD})
            await (await channel.get_exchange(exchange, ensure=False)).publish(sent, routing_key=key)


async def _everything_that_is_a_defect(people: People) -> None:
    """Exceptions with the words in them: in the worker, in a template, in the gateway."""
    await _all(
        people.customer.post(f"{WORD} {RAISES}", order_id=ORDER, Prefer="wait=20"),
        people.customer.get(f"/v1/threads?q={WORD}%20{RAISES}"),
        expected=(202, 500),
    )
    await _all(people.seller.post(f"{WORD} {UNMAILABLE}", order_id=REFUSED), expected=(201,))


async def _mails_that_fail(people: People) -> None:
    """The mail server quotes the address, the name and the text; drops the connection; and lets one through."""
    smtp = people.parley.smtp
    smtp.refuse(_address("c-7"), f"550 5.1.1 <{_address('c-7')}>: {_address('c-7')} unknown")
    smtp.answer_data(f"451 4.7.1 <{_address('seller')}> greylisted, {_address('seller')}", times=2)
    smtp.drop_data("drop before the final dot")
    await _all(
        people.seller.post(f"{WORD} to who is refused", order_id=REFUSED),
        people.customer.post(f"{WORD} to who is greylisted", order_id=REFUSED),
        people.seller.post(f"{WORD} again, to the guest", order_id=GUESTS),
        expected=(201,),
    )


async def _a_guest_comes_and_goes(people: People) -> None:
    link = tokens.mint_guest_link(GUESTS, f"{WORD}-c-9", f"{WORD} Gus", secret=CREDENTIALS.link_secret, now=time.time())
    opened = await people.nobody.call("POST", "/v1/guest-sessions", {"token": link})
    guest: Client = people.clients.with_token(opened.body["access_token"])
    stop = tokens.mint_unsubscribe(f"customer:{WORD}-c-7", secret=CREDENTIALS.link_secret, now=time.time())
    await _all(
        guest.post(f"{WORD} from a guest", order_id=GUESTS),
        people.nobody.get(f"/v1/unsubscribe?token={stop}"),
        people.nobody.call("POST", f"/v1/unsubscribe?token={stop}"),
        expected=(200, 201),
    )


async def test_no_word_of_anybody_stands_in_a_log_a_metric_or_a_trace(parley: Parley, collector: Collector) -> None:
    async with clients_of(parley) as clients:
        people = People(parley, clients)
        await _everything_that_goes_well(people)
        await _everything_that_is_refused(people)
        await _everything_that_is_poison(people)
        await _everything_that_is_a_defect(people)
        await _mails_that_fail(people)
        await _a_guest_comes_and_goes(people)
        await _until_all_of_it_has_happened(parley)
        outputs = {}
        for name, process in parley.services.items():
            outputs[f"metrics of {name}"] = await asyncio.to_thread(process.text_of, "/metrics")
            outputs[f"readiness of {name}"] = await asyncio.to_thread(process.text_of, "/readyz")
            # The last lines are out when it has ended.
            await asyncio.to_thread(process.term)
            outputs[f"log of {name}"] = process.log
    outputs["traces"] = "\n".join(map(str, collector.spans))
    assert all(outputs.values())
    secrets = (people.token, *people.token.split(".")[1:], CREDENTIALS.link_secret, CREDENTIALS.token_secret)
    leaks = [
        f"{where}: {line[:600]}"
        for where, text in outputs.items()
        for line in text.splitlines()
        if WORD in line.casefold() or any(secret in line for secret in secrets)
    ]
    assert not leaks, "\n".join(leaks)
    _assert_it_happened(parley)
    details = [str(letter.headers.get("x-parley-detail")) for letter in await _dead_letters(parley)]
    # Operators are told the order's number; and a defect's traceback, beside the body that it came of.
    quoted = [each for each in details if WORD in each.replace(ORDER, "") and "RuntimeError" not in each]
    assert not quoted, f"{quoted}: a dead letter says which field is wrong; its value is in the body alone"


async def _until_all_of_it_has_happened(parley: Parley) -> None:
    await parley.smtp.wait_for(MAILS, timeout_s=60)
    queues = (topology.COMMANDS_QUEUE, topology.ORDERS_QUEUE, topology.NOTIFIER_QUEUE)

    async def dead() -> bool:
        depths = [await parley.vhost.depth(topology.dead_queue(queue)) for queue in queues]
        return depths[0] >= 3 and depths[1] >= 3 and depths[2] >= 1

    await eventually(dead, timeout_s=40, what="the dead letters")
    await eventually(lambda: "mail_defect" in parley.services["notifier"].log, what="the mail with a defect")


async def _dead_letters(parley: Parley) -> list[Any]:
    queues = (topology.COMMANDS_QUEUE, topology.ORDERS_QUEUE, topology.NOTIFIER_QUEUE)
    return [letter for queue in queues for letter in await parley.vhost.take_all(topology.dead_queue(queue))]


def _assert_it_happened(parley: Parley) -> None:
    """The search finds nothing where nothing was logged: these lines must be there."""
    said = {service: {line["event"] for line in parley.services[service].log_events} for service in SERVICES}
    text = {service: parley.services[service].log for service in SERVICES}
    assert {"write", "request_failed"} <= said["gateway"]
    assert {"command_settled", "dead_lettered"} <= said["threads"]
    assert {"entry_taken", "mail_defect"} <= said["notifier"], said["notifier"]
    assert "LookupError" in text["gateway"]
    assert '"reason":"defect"' in text["threads"]
    assert "(address)" in json.dumps(text["notifier"])
