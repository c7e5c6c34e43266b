"""What a shop might run instead of threads' worker, and the most that MongoDB takes: the baselines of `bench.threads`.

`python -m bench.baselines.threads loop` consumes threads.commands, 64 at once: the next number of the conversation, the message, the
event with confirm, the acknowledgement. `… bulk SOURCE` copies the documents of another database, indexed alike, in grouped bulk writes
and prints how many entries a second that was. Both say their servers by AMQP_URL, MONGO_URL and MONGO_DATABASE, as the services do.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

import aio_pika
import orjson
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage
from pymongo import AsyncMongoClient, ReplaceOne, ReturnDocument, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase

from services.threads import indexes

PREFETCH: Final = 64
GROUP: Final = 256
DURABLE: Final = WriteConcern(w="majority", j=True)

Document = dict[str, Any]
Database = AsyncDatabase[Document]


class Loop:
    """Applies one command after the other, as many at once as are prefetched."""

    def __init__(self, database: Database, events: AbstractExchange) -> None:
        self._threads, self._entries, self._events = database["threads"], database["entries"], events

    async def apply(self, message: AbstractIncomingMessage) -> None:
        command = orjson.loads(message.body)
        asked = command["data"]
        thread = await self._threads.find_one_and_update(
            {"_id": asked["order_id"]}, {"$inc": {"seq": 1}}, return_document=ReturnDocument.AFTER
        )
        assert thread is not None, "the bench placed the orders"
        entry = _entry(command, thread["seq"])
        await self._entries.insert_one(entry)
        event = aio_pika.Message(
            orjson.dumps(_event(entry, thread)),
            content_type="application/cloudevents+json",
            message_id=entry["_id"],
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._events.publish(event, routing_key="message.posted", mandatory=False)
        await message.ack()


def _entry(command: Document, seq: int) -> Document:
    asked = command["data"]
    caller = asked["caller"]
    return {
        "_id": command["id"],
        "order_id": asked["order_id"],
        "seq": seq,
        "kind": "text",
        "author": {"side": caller["role"], "person": caller["role"], "name": caller["name"]},
        "text": asked["text"],
        "accepted_at": datetime.fromisoformat(command["time"]),
        "committed_at": datetime.now(UTC),
    }


def _event(entry: Document, thread: Document) -> Document:
    """One event for everybody, with whom to mail: the entry, the order, and its parties' addresses."""
    said = {name: value for name, value in entry.items() if name != "_id"}
    data = {"entry": {"id": entry["_id"], **said}, "order": thread["snapshot"]}
    return {
        "specversion": "1.0",
        "id": entry["_id"],
        "source": "baseline",
        "type": "message.posted",
        "subject": entry["order_id"],
        "time": entry["committed_at"],
        "data": data,
    }


async def loop(database: Database) -> None:
    """Until it is ended from outside."""
    connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
    async with connection:
        consuming, publishing = await connection.channel(publisher_confirms=False), await connection.channel()
        await consuming.set_qos(prefetch_count=PREFETCH)
        queue = await consuming.get_queue("threads.commands", ensure=False)
        events = await publishing.get_exchange("parley.events", ensure=False)
        await queue.consume(Loop(database, events).apply)
        await asyncio.get_running_loop().create_future()


async def bulk(source: Database, target: Database) -> float:
    """Entries a second: each group inserts its entries and replaces the documents of their threads, side by side."""
    entries = await source["entries"].find().sort("committed_at", 1).to_list()
    threads = {document["_id"]: document async for document in source["threads"].find()}
    await indexes.ensure(target)
    began = time.perf_counter()
    for start in range(0, len(entries), GROUP):
        group = entries[start : start + GROUP]
        touched = {entry["order_id"] for entry in group}
        replaced = [ReplaceOne({"_id": each}, threads[each], upsert=True) for each in touched]
        await asyncio.gather(
            target["entries"].insert_many(group, ordered=False), target["threads"].bulk_write(replaced, ordered=False)
        )
    return len(entries) / (time.perf_counter() - began)


async def main() -> None:
    async with AsyncMongoClient[Document](os.environ["MONGO_URL"], tz_aware=True) as client:
        target = client.get_database(os.environ["MONGO_DATABASE"], write_concern=DURABLE)
        if sys.argv[1] == "loop":
            await loop(target)
        else:
            print(await bulk(client[sys.argv[2]], target))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
