"""Faults of RabbitMQ and of the network before it."""

import asyncio
import random
from collections.abc import Callable
from typing import Final

import aio_pika

from shared import topology
from tests.chaos.lanes import Fault, Lane, NotPossible
from tests.chaos.plan import Kind, Step
from tests.chaos.stack import SERVICES, Stack
from tests.servers.pace import lasting
from tests.servers.proxy import Proxy
from tests.servers.waiting import eventually

ProxyFault = Callable[[Proxy], None]

COPIES_QUEUE: Final = "shop-copies"
COPIES_KEPT: Final = 200
# Which exchange's messages are copied, and as whom: RabbitMQ checks the user_id in them.
COPIED: Final = {topology.COMMANDS: "gateway", topology.NOTIFICATIONS: "threads", topology.SHOP_ORDERS: "gateway"}
# Below the limit at which RabbitMQ blocks publishers (200 MB here), above what it needs to go on acknowledging.
LEFT_ON_DISK_BYTES: Final = 120_000_000
ALARM_LIMIT_S: Final = 20.0
# RabbitMQ starts in 6 to 15 s.
RESTART_S: Final = (8.0, 12.0)


class RabbitFaults:
    def __init__(self, stack: Stack) -> None:
        self._stack, self._rabbit = stack, stack.rabbit

    def lane(self) -> Lane:
        return Lane(
            "rabbitmq",
            {
                "rabbitmq-kill": (Kind(lasts_s=RESTART_S), self.kill),
                "rabbitmq-restart": (Kind(lasts_s=RESTART_S), self.restart),
                "rabbitmq-freeze": (Kind(), self.freeze),
                "rabbitmq-close-connections": (Kind(2), self.close_connections),
                "rabbitmq-memory-alarm": (Kind(), self.memory_alarm),
                "rabbitmq-alarm-kill": (Kind(), self.alarm_and_kill),
                "rabbitmq-disk-alarm": (Kind(), self.disk_alarm),
                "rabbitmq-disk-full": (Kind(lasts_s=(2.0, 4.0)), self.disk_full),
                "queue-full": (Kind(), self.full_queue),
                "amqp-delay": (Kind(), self.through(lambda proxy: proxy.delay(0.15))),
                "amqp-slice": (Kind(), self.through(lambda proxy: proxy.slice(16))),
                "amqp-stall": (Kind(2), self.through(Proxy.stall)),
                "amqp-cut": (Kind(2, (0.1, 0.2)), self.through(Proxy.cut)),
                "amqp-refuse": (Kind(), self.through(Proxy.refuse)),
                "amqp-swallow-confirms": (Kind(2), self.through(Proxy.swallow_confirms)),
                "copies-shuffled": (Kind(2, (0.5, 1.0)), self.copies),
            },
        )

    async def kill(self, _: Step) -> None:
        self._rabbit.kill()
        await asyncio.to_thread(self._rabbit.start)

    async def restart(self, _: Step) -> None:
        await asyncio.to_thread(self._rabbit.stop)
        await asyncio.to_thread(self._rabbit.start)

    async def freeze(self, step: Step) -> None:
        self._rabbit.pause()
        await lasting(step.lasts_s)
        self._rabbit.resume()

    async def close_connections(self, _: Step) -> None:
        await asyncio.to_thread(self._rabbit.close_connections, self._stack.parley.vhost.name)

    async def memory_alarm(self, step: Step) -> None:
        await self._ctl("set_vm_memory_high_watermark", "0.00000001")
        await lasting(step.lasts_s)
        await self._ctl("set_vm_memory_high_watermark", "absolute", "1GB")

    async def alarm_and_kill(self, step: Step) -> None:
        """Killed while it blocks whoever publishes, as for want of memory. It comes back without the alarm."""
        await self._ctl("set_vm_memory_high_watermark", "0.00000001")
        await lasting(step.lasts_s)
        await self.kill(step)

    async def disk_alarm(self, step: Step) -> None:
        await self._ctl("set_disk_free_limit", "1000GB")
        await lasting(step.lasts_s)
        await self._ctl("set_disk_free_limit", "200MB")

    async def disk_full(self, step: Step) -> None:
        """A small disk that fills up, until RabbitMQ says so and takes nothing more."""
        disk = self._stack.rabbit_disk
        if not disk.is_there:
            raise NotPossible("a small disk cannot be mounted here")
        await asyncio.to_thread(disk.fill, leave_bytes=LEFT_ON_DISK_BYTES)
        try:
            await eventually(self._has_disk_alarm, timeout_s=ALARM_LIMIT_S, what="RabbitMQ's disk alarm")
            await lasting(step.lasts_s)
        finally:
            disk.clear()
        await eventually(self._has_no_disk_alarm, timeout_s=ALARM_LIMIT_S, what="the end of RabbitMQ's disk alarm")

    async def full_queue(self, step: Step) -> None:
        """The work queues take one message at a time and refuse the next."""
        policy = f"/policies/{self._stack.parley.vhost.name}/full"
        names = "|".join(queue.replace(".", r"\.") for queue in topology.WORK_QUEUES)
        definition = {"pattern": f"^({names})$", "definition": {"max-length": 1}, "apply-to": "queues", "priority": 9}
        management = self._rabbit.address.management
        await asyncio.to_thread(management.call, "PUT", policy, definition)
        await lasting(step.lasts_s)
        await asyncio.to_thread(management.call, "DELETE", policy)

    async def copies(self, step: Step) -> None:
        """Commands, order events and notifications of a while ago come again, in another order, some of them twice."""
        vhost, chance = self._stack.parley.vhost, random.Random(step.pick)  # noqa: S311 - repeatable on purpose
        messages = await vhost.take_all(COPIES_QUEUE)
        copies = [*messages, *(message for message in messages if chance.random() < 0.5)]
        chance.shuffle(copies)
        for exchange_name, user in COPIED.items():
            mine = [copy for copy in copies if copy.exchange == exchange_name]
            async with await vhost.connect(user) as connection:
                channel = await connection.channel()
                exchange = await channel.get_exchange(exchange_name, ensure=False)
                for copy in mine:
                    await exchange.publish(_again(copy, user), copy.routing_key or "", timeout=5)

    def through(self, what: ProxyFault) -> Fault:
        """The fault on the way of one service, or of all of them."""

        async def fault(step: Step) -> None:
            choices: list[tuple[str, ...]] = [*((name,) for name in SERVICES), SERVICES]
            proxies = [self._stack.amqp[name] for name in choices[step.of(choices)]]
            for proxy in proxies:
                what(proxy)
            await lasting(step.lasts_s)
            for proxy in proxies:
                proxy.heal()

        return fault

    async def _ctl(self, *arguments: str) -> None:
        await asyncio.to_thread(self._rabbit.ctl, *arguments)

    async def _has_disk_alarm(self) -> bool:
        return "disk" in await asyncio.to_thread(self._rabbit.ctl, "eval", "rabbit_alarm:get_alarms().")

    async def _has_no_disk_alarm(self) -> bool:
        return not await self._has_disk_alarm()


async def copy_everything(stack: Stack) -> None:
    """A queue that keeps the newest messages that services get, to be sent again by `copies-shuffled`."""
    async with await stack.parley.vhost.connect() as connection:
        channel = await connection.channel()
        arguments = {"x-max-length": COPIES_KEPT, "x-overflow": "drop-head"}
        queue = await channel.declare_queue(COPIES_QUEUE, durable=True, arguments=arguments)
        for exchange in COPIED:
            await queue.bind(exchange, "#")


def _again(message: aio_pika.abc.AbstractIncomingMessage, user: str) -> aio_pika.Message:
    """No reply is asked for: nobody waits for this one."""
    return aio_pika.Message(
        message.body,
        headers=message.headers,
        content_type=message.content_type,
        message_id=message.message_id,
        user_id=user,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
