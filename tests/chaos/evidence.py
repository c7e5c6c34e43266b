"""What the audit looks at, gathered: a queue that hears every event from the beginning, and in the end everything that is stored."""

import json
from typing import Final

from shared import topology
from shared.mongo import connect, database
from tests.chaos.audit import Evidence, Verdict, audit
from tests.chaos.ledger import Ledger
from tests.chaos.poison import Poison
from tests.chaos.stack import Stack

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
    events = [json.loads(message.body) for message in await parley.vhost.take_all(EVENTS_QUEUE)]
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
