"""B6: pages of a conversation with 25,000 messages beside one with 1,000, through the query API in this process: the newest, a middle, the oldest."""

import statistics
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal, get_args

from uuid6 import uuid7

from bench.rounds import Row
from services.threads.access import Parties
from services.threads.entries import document_of
from services.threads.orders import Orders
from services.threads.projection import Projection
from services.threads.thread import Entry, Made, Thread, decide
from shared.callers import Caller
from shared.commands import MessageToPost, PostMessage
from shared.mongo import Database
from shared.orders import OrderSnapshot
from tests.integration.threads.asking import Client, application, token_of
from tests.integration.threads.documents import START, snapshot
from tests.made import new_id

SHORT: Final = 1_000
LONG: Final = 25_000
AIM: Final = 1.1
ASKED_IN_A_ROUND: Final = 100
WARM_UP: Final = 20
PAGE: Final = 50
Page = Literal["newest", "middle", "oldest"]

CUSTOMER: Final = Caller(role="customer", id="h-c", name="Customer")
SELLER: Final = Caller(role="seller", id="anna", name="Anna", seller_id="s-1")
TEXT: Final = "When will it be sent? The page says that it is on its way since Monday, and nothing has come. "


async def measured(database: Database, *, rounds: int) -> list[Row]:
    """One row for each page; both conversations stand in this database."""
    for length in (SHORT, LONG):
        await fill(database, length)
    client = Client(application(database), CUSTOMER, f"Bearer {token_of(CUSTOMER, lasts_s=3_600)}")
    rows = []
    for name in get_args(Page):
        paths = [path(length, name) for length in (LONG, SHORT)]
        await asked(client, paths, WARM_UP)
        pairs = [await asked(client, paths, ASKED_IN_A_ROUND) for _ in range(rounds)]
        long, short = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        ratios = [pair[0] / pair[1] for pair in pairs]
        what = f"the {name} page of a conversation with {LONG:,} messages"
        rows.append(Row("B6b", what, f"with {SHORT:,}", "ms", long, short, ratios, AIM, "lower"))
    return rows


async def asked(client: Client, paths: Sequence[str], times: int) -> tuple[float, float]:
    """The medians of both, in ms; in turn, so that whatever else the machine does falls on both."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for of_path, path in zip(took, paths, strict=True):
            began = time.perf_counter()
            answer = await client.get(path)
            of_path.append(1_000 * (time.perf_counter() - began))
            assert answer.status == 200, answer.body
            assert len(answer.json["items"]) == PAGE
    return statistics.median(took[0]), statistics.median(took[1])


def path(length: int, page: Page) -> str:
    below = {"newest": length + 1, "middle": length // 2, "oldest": PAGE + 1}[page]
    return f"/v1/orders/{order_of(length)}/messages?before_seq={below}"


def order_of(length: int) -> str:
    return f"history-{length}"


async def fill(database: Database, length: int) -> None:
    """A thread of so many entries, by customer and seller in turn, as the worker leaves it; nobody has read any of it."""
    order = snapshot(order_of(length), customer_id=CUSTOMER.id)
    await Orders(database).keep(order)
    projection = Projection(database)
    await projection.write_order(order)
    entries = _entries(order, length)
    finished = [{name: value for name, value in document_of(each).items() if name != "unfinished"} for each in entries]
    await database["entries"].insert_many(finished, ordered=False)
    await projection.write_entries(entries[-1:])


def _entries(order: OrderSnapshot, length: int) -> list[Entry]:
    parties = Parties(order.order_id, order.customer.id, order.seller_id, order.customer.guest)
    thread, entries = Thread(parties, certain=True), []
    for number in range(length):
        asked = MessageToPost(order_id=order.order_id, caller=(CUSTOMER, SELLER)[number % 2], text=TEXT)
        command = PostMessage(id=new_id(), stamp=str(uuid7()), time=START + timedelta(minutes=number), data=asked)
        decision = decide(command, thread, digest="d", now=command.time)
        assert isinstance(decision, Made), decision
        thread = decision.thread
        entries.append(decision.entry)
    return entries
