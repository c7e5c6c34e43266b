"""What stands in for threads beside a real gateway and a real RabbitMQ: a query API that says what it is told to, and a worker that answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aiohttp import web

from deploy.local.ports import LOOPBACK
from shared import topology
from shared.commands import COMMAND, Command, CommandOutcome
from shared.errors import PROBLEM_MEDIA_TYPE, not_found
from tests.servers.rabbitmq import Vhost

Answer = tuple[int, Any, dict[str, str]]


ALIVE: dict[str, Answer] = {"/livez": (200, b"{}", {})}


@dataclass
class QueryApi:
    """threads' query API: answers by path, 404 for every other, and what it was asked."""

    port: int
    answers: dict[str, Answer] = field(default_factory=lambda: dict(ALIVE))
    asked: list[web.Request] = field(default_factory=list)
    hangs: asyncio.Event = field(default_factory=asyncio.Event)
    hanging: bool = False

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["QueryApi"]:
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, LOOPBACK, self.port).start()
        try:
            yield self
        finally:
            self.hangs.set()
            await runner.cleanup()

    def forget(self) -> None:
        """As it was at first."""
        self.hangs.set()
        self.hangs, self.hanging = asyncio.Event(), False
        self.answers, self.asked = dict(ALIVE), []

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path != "/livez":
            self.asked.append(request)
        if self.hanging:
            await self.hangs.wait()
        missing: Answer = (404, not_found("x").problem.model_dump_json(exclude_none=True), {})
        status, body, headers = self.answers.get(request.path, missing)
        kind = "application/json" if status < 400 else PROBLEM_MEDIA_TYPE
        return web.Response(body=body, status=status, content_type=kind, headers=headers)


Decide = Callable[[Command], CommandOutcome | None]


def done(command: Command) -> CommandOutcome:
    """As threads answers a command that made something."""
    result: dict[str, object] = {"id": command.id, "text": getattr(command.data, "text", None), "redacted": None}
    return CommandOutcome(command_id=command.id, order_id=command.subject, state="done", status=201, result=result)


class Worker:
    """Takes commands from the work queue and replies as `decide` says; None: no reply."""

    def __init__(self, vhost: Vhost, decide: Decide = done) -> None:
        self._vhost, self.decide = vhost, decide
        self.commands: list[Command] = []
        self.deliveries: list[AbstractIncomingMessage] = []

    @asynccontextmanager
    async def working(self) -> AsyncIterator["Worker"]:
        async with await self._vhost.connect() as connection:
            channel = await connection.channel()
            self._replies = await channel.get_exchange(topology.REPLIES, ensure=False)
            queue = await channel.get_queue(topology.COMMANDS_QUEUE, ensure=False)
            tag = await queue.consume(self._work)
            yield self
            await queue.cancel(tag)

    async def _work(self, message: AbstractIncomingMessage) -> None:
        command = COMMAND.validate_json(message.body)
        self.commands.append(command)
        self.deliveries.append(message)
        outcome = self.decide(command)
        if outcome is not None and message.reply_to is not None:
            reply = aio_pika.Message(outcome.model_dump_json(exclude_none=True).encode(), correlation_id=command.id)
            await self._replies.publish(reply, message.reply_to, mandatory=False)
        await message.ack()
