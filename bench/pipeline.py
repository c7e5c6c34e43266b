"""B10: CPU time of a post, from HTTP to the mail server's 250, over all processes of ours, beside a naive pipeline in one process.

`python -m bench.pipeline`. CPU of the gateway, threads and the notifier as the kernel counts it, divided by the posts; RabbitMQ, MongoDB
and the mail server are not in it, on either side. Each post is to another order, so that each makes a mail.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Final

from pymongo import AsyncMongoClient

from bench.mails import MAIL
from bench.posting import Poster, Posters
from bench.rounds import ROUNDS, Row, compare, line
from bench.sinks import SinkProcess
from bench.stack import made_orders, place, running_parley
from deploy.local.ports import free_port
from deploy.local.shop import ShopOrder
from deploy.local.tokens import AUDIENCE
from services.notifier.rendering import Renderer
from tests.servers.parley import CREDENTIALS, Parley
from tests.servers.services import ServiceProcess
from tests.unit.notifier.making import event, mail, order

ORDERS: Final = 300
AIM: Final = 0.4
SERVICES: Final = ("gateway", "threads", "notifier")
TEXT, ORDER_ID = "TEXT-TEXT-TEXT", "ORDER-ORDER"


def templates(directory: Path) -> None:
    """Our mail as the naive program's templates: the same text and HTML, but for the order and what was said."""
    told = mail(event(TEXT, about=order(ORDER_ID)))
    rendered = Renderer(MAIL).render(told, told.entries, locale="en")
    message = BytesParser(EmailMessage, policy=default).parsebytes(rendered.content)
    for kind, name in (("plain", "mail.txt"), ("html", "mail.html")):
        part = message.get_body((kind,))
        assert part is not None
        text = part.get_content().replace(TEXT, "{{ text }}").replace(ORDER_ID, "{{ order_id }}")
        (directory / name).write_text(text, encoding="utf-8")


@asynccontextmanager
async def naive(
    parley: Parley, orders: list[ShopOrder], smtp_port: int, directory: Path
) -> AsyncIterator[ServiceProcess]:
    """The baseline, with the same orders in a database of its own."""
    settings = {
        "AMQP_URL": parley.vhost.url("operator"),
        "MONGO_URL": parley.mongo.url,
        "MONGO_DATABASE": "bench_naive",
        "SMTP_PORT": str(smtp_port),
        "HTTP_PORT": str(free_port()),
        "TOKEN_SECRET": CREDENTIALS.token_secret,
        "TOKEN_AUDIENCE": AUDIENCE,
        "TEMPLATES": str(directory),
    }
    client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(parley.mongo.url)
    async with client:
        documents = [{"_id": each.order_id, "seq": 0, **each.snapshot} for each in orders]
        await client["bench_naive"]["threads"].insert_many(documents)
    process = ServiceProcess("naive", settings, directory=directory, module="bench.baselines.pipeline")
    try:
        process.start()
        while await asyncio.to_thread(process.status_of, "/openapi.json") != 200:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
        yield process
    finally:
        process.kill()


async def measure(*, rounds: int = ROUNDS) -> list[Row]:
    orders = made_orders(ORDERS, customers=ORDERS, sellers=ORDERS)
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        templates(directory)
        async with (
            SinkProcess(None) as sink,
            running_parley(notifier={"MAIL_DELAY": "0", "SMTP_PORT": str(sink.port)}) as parley,
            naive(parley, orders, sink.port, directory) as baseline,
        ):
            await place(parley.vhost.url("shop"), parley.gateway_url, parley.admin(), orders)
            posters = [Poster(each.order_id, parley.customer(each.customer.id)) for each in orders]
            pids = [parley.services[name].pid for name in SERVICES]
            ours = Posters(parley.gateway_url, posters, sink, pids)
            theirs = Posters(baseline.url, posters, sink, [baseline.pid])
            await ours.round()
            await theirs.round()

            async def of_ours() -> float:
                return (await ours.round(times=2)).cpu_us_a_post

            async def of_theirs() -> float:
                return (await theirs.round(times=2)).cpu_us_a_post

            return [
                await compare(
                    of_ours,
                    of_theirs,
                    name="B10",
                    what="CPU of a post from HTTP to mail: gateway, threads and notifier",
                    baseline_is="FastAPI, find_one_and_update, insert, publish, consume, smtplib, in one process",
                    unit="us a post",
                    aim=AIM,
                    better="lower",
                    rounds=rounds,
                )
            ]


if __name__ == "__main__":
    for row in asyncio.run(measure()):
        print(line(row))
