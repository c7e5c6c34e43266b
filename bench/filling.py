"""Posts put straight into threads' queue, by processes of their own, confirmed: quicker than through HTTP, and the same bytes.

`python -m bench.filling MESSAGES ORDERS PART PARTS`, with AMQP_URL the gateway's, publishes every PARTS-th of them. Order n is
`bench-n`, as `bench.stack.made_snapshot` makes it; both of its parties write, in an order that is random and each time the same.
"""

import asyncio
import os
import random
import sys
from datetime import UTC, datetime
from typing import Final

import aiormq
import uvloop
from pamqp.commands import Basic

from bench.stack import customer_id, order_id, seller_id
from shared import topology
from shared.callers import Caller
from shared.commands import PostMessage, routing_key
from tests.made import post

PROCESSES: Final = 2
IN_FLIGHT: Final = 512
TEXT: Final = "Where is my order? It was to arrive last week, and nobody has told me anything about it since then. "


async def fill(amqp_url: str, messages: int, *, orders: int) -> None:
    """Returns when RabbitMQ has confirmed them all. Raises ChildProcessError where one of the processes fails."""
    programs = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.filling", f"{messages}", f"{orders}", f"{part}", f"{PROCESSES}"),
            env={**os.environ, "AMQP_URL": amqp_url},
        )
        for part in range(PROCESSES)
    ]
    statuses = await asyncio.gather(*(program.wait() for program in programs))
    if any(statuses):
        raise ChildProcessError(f"bench.filling ended with {statuses}")


async def publish(amqp_url: str, messages: int, *, orders: int, part: int, parts: int) -> None:
    """This part of the messages, some hundred under way at a time."""
    numbers = random.Random(messages).sample(range(messages), messages)[part::parts]
    connection = await aiormq.connect(amqp_url)
    try:
        channel = await connection.channel()
        assert isinstance(channel, aiormq.Channel)
        for start in range(0, len(numbers), IN_FLIGHT):
            some = numbers[start : start + IN_FLIGHT]
            await asyncio.gather(*(_publish(channel, command(number, orders)) for number in some))
    finally:
        await connection.close()


def command(number: int, orders: int) -> PostMessage:
    """Half of an order's posts are its customer's, half its seller's."""
    of_order = number % orders
    by = (
        Caller(role="seller", id="login-1", name="Bob", seller_id=seller_id(of_order))
        if number // orders % 2
        else Caller(role="customer", id=customer_id(of_order), name="Ada Byron")
    )
    return post(f"{number}. {TEXT}", order_id=order_id(of_order), by=by, time=datetime.now(UTC))


async def _publish(channel: aiormq.Channel, command: PostMessage) -> None:
    properties = Basic.Properties(
        content_type="application/cloudevents+json", delivery_mode=2, message_id=command.id, user_id="gateway"
    )
    await channel.basic_publish(
        command.model_dump_json(exclude_none=True).encode(),
        exchange=topology.COMMANDS,
        routing_key=routing_key(command),
        properties=properties,
        mandatory=True,
        wait=False,
    )


def main() -> None:
    messages, orders, part, parts = (int(each) for each in sys.argv[1:])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(publish(os.environ["AMQP_URL"], messages, orders=orders, part=part, parts=parts))


if __name__ == "__main__":
    main()
