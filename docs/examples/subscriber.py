"""Listens to what happens in Parley, as any service of the shop may: `AMQP_URL=amqp://shop:… python subscriber.py`."""

import asyncio
import json
import os

import aio_pika


async def main() -> None:
    connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=50)
    queue = await channel.declare_queue("shop-example", durable=True, arguments={"x-queue-type": "quorum"})
    for key in ("message.*", "dispute.*"):
        await queue.bind("parley.events", key)
    known = set()  # copies have the same id; a real service keeps the ids where it keeps what it makes of them
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process(requeue=True):  # acknowledged at the end, given back after an error
                event = json.loads(message.body)
                if event["id"] not in known:
                    print(event["type"], event["subject"], event["data"].get("entry", {}).get("text"), flush=True)
                    known.add(event["id"])


asyncio.run(main())
