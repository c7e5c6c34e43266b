"""The baseline of the gateway: a bare ASGI function that publishes with confirm through aio-pika, and nothing else.

No token, no validation, no ids, no idempotency, no limits, no log line, no metrics. It reads the request's body, and publishes the bytes
that the gateway publishes for it: persistent, mandatory, to the same quorum queue, under a message id of its own. The publishes of all
requests are under way at once, and each answer waits for its own confirm.
"""

import asyncio
import itertools
import os
from pathlib import Path
from typing import Final

import aio_pika
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from shared.envelope import MEDIA_TYPE
from shared.topology import COMMANDS

ROUTING_KEY: Final = "message.post"


class Bare:
    """The application. Its connection opens with uvicorn's lifespan."""

    def __init__(self, amqp_url: str, command: bytes, answer: bytes) -> None:
        self._url, self._command, self._answer = amqp_url, command, answer
        self._number = itertools.count()
        self._headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
            (b"preference-applied", b"respond-async"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        more = scope["method"] == "POST"
        while more:
            more = (await receive()).get("more_body", False)
        if scope["method"] == "POST":
            message_id = f"bare-{next(self._number)}"
            message = aio_pika.Message(
                self._command,
                content_type=MEDIA_TYPE,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=message_id,
                correlation_id=message_id,
                user_id="gateway",
            )
            await self._exchange.publish(message, ROUTING_KEY, mandatory=True)
        await send({"type": "http.response.start", "status": 202, "headers": self._headers})
        return await send({"type": "http.response.body", "body": self._answer})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        connection = await aio_pika.connect_robust(self._url)
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        self._exchange = await channel.get_exchange(COMMANDS, ensure=False)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await connection.close()
        await send({"type": "lifespan.shutdown.complete"})


def main() -> None:
    command, answer = (Path(os.environ[name]).read_bytes() for name in ("COMMAND_FILE", "ANSWER_FILE"))
    config = uvicorn.Config(
        Bare(os.environ["AMQP_URL"], command, answer),
        host=os.environ["HTTP_HOST"],
        port=int(os.environ["HTTP_PORT"]),
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
