"""What a shop might write instead of all of Parley (B10): one program that takes posts by HTTP, stores, publishes, consumes and mails.

FastAPI, a token checked, the next number by find_one_and_update, the message inserted, the event published with confirm; a consumer in
the same process renders the mail with Jinja2 and Python's e-mail package and sends it with smtplib on a kept connection; all one by one.
Durable alike: majority and journal, quorum queue, persistent. No read marks, no ledger, no retries, no idempotency.
Settings: AMQP_URL, MONGO_URL, MONGO_DATABASE, SMTP_PORT, HTTP_PORT, TOKEN_SECRET, TOKEN_AUDIENCE, TEMPLATES (a folder).
"""

import asyncio
import json
import os
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Annotated, Any, Final

import aio_pika
import jwt
import uvicorn
import uvloop
from aio_pika.abc import AbstractIncomingMessage
from fastapi import Depends, FastAPI, Header, HTTPException
from jinja2 import Environment, FileSystemLoader
from pydantic import BaseModel, Field
from pymongo import AsyncMongoClient, ReturnDocument, WriteConcern
from uuid6 import uuid7

QUEUE: Final = "naive.posts"
DURABLE: Final = WriteConcern(w="majority", j=True)

Document = dict[str, Any]


class NewMessage(BaseModel):
    text: str = Field(min_length=1, max_length=10_000)


class Posted(BaseModel):
    id: str
    order_id: str
    seq: int
    text: str


class Shop:
    """Everything that it is connected to."""

    async def open(self) -> None:
        client: AsyncMongoClient[Document] = AsyncMongoClient(os.environ["MONGO_URL"])
        database = client.get_database(os.environ["MONGO_DATABASE"], write_concern=DURABLE)
        self._threads, self._messages = database["threads"], database["messages"]
        await self._messages.create_index([("order_id", 1), ("seq", 1)], unique=True)
        connection = await aio_pika.connect_robust(os.environ["AMQP_URL"])
        channel = await connection.channel(publisher_confirms=True)
        arguments: dict[str, Any] = {"x-queue-type": "quorum"}
        await channel.declare_queue(QUEUE, durable=True, arguments=arguments)
        self._exchange = channel.default_exchange
        consuming = await connection.channel()
        await consuming.set_qos(prefetch_count=1)
        queue = await consuming.declare_queue(QUEUE, durable=True, arguments=arguments)
        self._templates = Environment(loader=FileSystemLoader(os.environ["TEMPLATES"]), autoescape=True)
        self._smtp = smtplib.SMTP("127.0.0.1", int(os.environ["SMTP_PORT"]))
        await queue.consume(self._mail)

    async def post(self, order_id: str, person: str, text: str) -> Posted:
        mine = {"_id": order_id, "customer.id": person}
        thread = await self._threads.find_one_and_update(
            mine, {"$inc": {"seq": 1}}, return_document=ReturnDocument.AFTER
        )
        if thread is None:
            raise HTTPException(404)
        posted = Posted(id=uuid7().hex, order_id=order_id, seq=thread["seq"], text=text)
        await self._messages.insert_one(
            {"_id": posted.id, **posted.model_dump(exclude={"id"}), "at": datetime.now(UTC)}
        )
        event = {**posted.model_dump(), "to": thread["seller"]["email"]}
        message = aio_pika.Message(
            json.dumps(event).encode(), message_id=posted.id, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        await self._exchange.publish(message, routing_key=QUEUE)
        return posted

    async def _mail(self, message: AbstractIncomingMessage) -> None:
        async with message.process():
            event = json.loads(message.body)
            mail = EmailMessage()
            mail["From"], mail["To"] = "The Shop <orders@shop.example>", event["to"]
            mail["Subject"] = f"New message about order {event['order_id']}"
            mail["Message-ID"] = f"<{event['id']}@shop.example>"
            mail.set_content(self._templates.get_template("mail.txt").render(event))
            mail.add_alternative(self._templates.get_template("mail.html").render(event), subtype="html")
            await asyncio.to_thread(self._smtp.send_message, mail)


def person_of(authorization: Annotated[str, Header()]) -> str:
    try:
        claims = jwt.decode(
            authorization.removeprefix("Bearer "),
            os.environ["TOKEN_SECRET"],
            algorithms=["HS256"],
            audience=os.environ["TOKEN_AUDIENCE"],
        )
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None
    return str(claims["sub"])


def build() -> FastAPI:
    shop = Shop()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await shop.open()
        yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/orders/{order_id}/messages", status_code=201)
    async def post(order_id: str, message: NewMessage, person: Annotated[str, Depends(person_of)]) -> Posted:
        return await shop.post(order_id, person, message.text)

    return app


def main() -> None:
    server = uvicorn.Server(
        uvicorn.Config(
            build(), port=int(os.environ["HTTP_PORT"]), http="httptools", access_log=False, log_level="warning"
        )
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve())


if __name__ == "__main__":
    main()
