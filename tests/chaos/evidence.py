"""What the audit looks at, gathered: a queue that hears every event from the beginning, and in the end everything that is stored."""

import json
from typing import Final

from shared import topology
from shared.mongo import connect, database
from tests.chaos.audit import Evidence, Verdict, audit
from tests.chaos.ledger import Ledger
from tests.chaos.poison import Poison
from tests.chaos.stack import Stack
from tests.servers.rabbitmq import Vhost

DRAIN_LIMIT_S: Final = 30.0
EVENTS_QUEUE: Final = "shop-chaos"


async def listening(stack: Stack) -> None:
    """Hears every event from now on, as a shop's own service does."""
    async with await stack.parley.vhost.connect() as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(EVENTS_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(topology.EVENTS, "#")


async def gathered(stack: Stack, ledger: Ledger, poison: Poison, *, peaceful: bool) -> Verdict:
    """The audit's verdict on a quiet stack."""
    parley = stack.parley
    events = [json.loads(body) for body in await _drained(parley.vhost, EVENTS_QUEUE)]
    client = connect(parley.mongo.url, name="chaos")
    evidence = Evidence(
        parley=parley,
        ledger=ledger,
        threads=database(client, parley.database_names["threads"]),
        notifier=database(client, parley.database_names["notifier"]),
        events=events,
        poison=poison,
        peaceful=peaceful,
    )
    try:
        return await audit(evidence)
    finally:
        await client.close()


async def _drained(vhost: Vhost, queue: str) -> list[bytes]:
    """Everything that the queue holds now, pushed instead of asked for one by one: there are tens of thousands."""
    bodies: list[bytes] = []
    async with await vhost.connect() as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1_000)
        source = await channel.declare_queue(queue, passive=True)
        waiting = source.declaration_result.message_count or 0
        if waiting == 0:
            return bodies
        async with source.iterator(timeout=DRAIN_LIMIT_S) as messages:
            async for message in messages:
                bodies.append(message.body)
                await message.ack()
                if len(bodies) == waiting:
                    break
    return bodies
