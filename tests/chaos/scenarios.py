"""Short troubles, each made so that a certain defect shows: what the audit of the audit runs the services through."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aio_pika import ExchangeType

from shared import topology
from tests.chaos import people
from tests.chaos.ledger import Ledger
from tests.chaos.load import Load, Person
from tests.e2e.client import Answer
from tests.grid.frozen import disconnect, stands_still
from tests.grid.stage import Stage
from tests.servers.pace import lasting
from tests.servers.services import ServiceProcess
from tests.servers.waiting import eventually

ORDERS: Final = 5
LATE_ORDER: Final = f"o-{ORDERS}"
AWAY_S: Final = 1.5
CALM_S: Final = 3.0
REACH_LIMIT_S: Final = 10.0


@dataclass
class Trial:
    """What a scenario works on: the running services, and the load that writes everything into the ledger."""

    stage: Stage
    load: Load
    ledger: Ledger
    everybody: list[Person]

    async def at(self, service: str, point: str, fault: str, *, skip: int = 0) -> ServiceProcess:
        """Orders a fault and waits until somebody has met it."""
        orders = self.stage.orders[service]
        orders.give(point, fault, skip=skip)
        pid = await eventually(lambda: orders.taken_by, timeout_s=REACH_LIMIT_S, what=f"somebody being {point}")
        return next(process for process in self.stage.pair(service) if process.pid == pid)

    async def kill_at(self, service: str, point: str, *, times: int = 1, skip: int = 0) -> None:
        for _ in range(times):
            victim = await self.at(service, point, "kill -9", skip=skip)
            await eventually(lambda: not victim.is_running, what="its end")  # noqa: B023 - awaited here
            victim.start()

    async def say(self, order: str, number: int, *, after: str | None = None) -> str:
        """One post of the order's customer that is accepted and not waited for; its id."""
        text = f"{self._customer(order).name} says k{100_000 + number}"
        body = {"text": text} if after is None else {"text": text, "after": after}
        answer = await self.write(order, "messages", body, f"k{100_000 + number}", Prefer="respond-async")
        assert answer.status == 202, answer
        accepted: str = answer.body["command_id"]
        return accepted

    async def write(self, order: str, what: str, body: dict[str, str], key: str, **headers: str) -> Answer:
        """One request of the order's customer, written down as the load writes its own."""
        person, path = self._customer(order), f"/v1/orders/{order}/{what}"
        said = {"text": body.get("text"), "after": body.get("after")}
        self.ledger.write("attempt", key=key, person=person.name, path=path, order=order, seen=0, **said)
        answer = await person.gateways[0].call("POST", path, body, Idempotency_Key=key, **headers)
        accepted = answer.body.get("id" if answer.status == 201 else "command_id")
        self.ledger.write("answer", key=key, status=answer.status, id=accepted)
        return answer

    def _customer(self, order: str) -> Person:
        return next(each for each in self.everybody if order in each.orders and each.side == "customer")

    async def disconnect(self, victim: ServiceProcess) -> None:
        await asyncio.to_thread(disconnect, self.stage.parley.vhost.server, victim.pid)

    async def alone(self, service: str) -> ServiceProcess:
        """Stops the second of the two, for a scenario that is about one; the first."""
        first, second = self.stage.pair(service)
        await asyncio.to_thread(second.term)
        return first


Scenario = Callable[[Trial], Awaitable[None]]


async def calm(trial: Trial) -> None:
    """No trouble at all, for a few seconds."""
    del trial
    await lasting(CALM_S)


def killed(service: str, point: str, *, times: int = 1) -> Scenario:
    async def scenario(trial: Trial) -> None:
        await trial.kill_at(service, point, times=times)

    return scenario


def fails(service: str, point: str) -> Scenario:
    async def scenario(trial: Trial) -> None:
        await trial.at(service, point, "exception")

    return scenario


def a_sender_dies(point: str) -> Scenario:
    """With one mail in hand, that nobody reads before it comes."""

    async def scenario(trial: Trial) -> None:
        await asyncio.gather(trial.kill_at("notifier", point), trial.say("o-0", 0))

    return scenario


def unbound(exchange: str, queue: str) -> Scenario:
    """For a moment nothing is bound to the exchange, as after a mistake of an operator."""

    async def scenario(trial: Trial) -> None:
        async with await trial.stage.parley.vhost.connect() as connection:
            channel = await connection.channel()
            source = await channel.declare_exchange(exchange, ExchangeType.TOPIC, durable=True, passive=True)
            target = await channel.get_queue(queue, ensure=False)
            await target.unbind(source, "#")
            await lasting(AWAY_S)
            await target.bind(source, "#")

    return scenario


async def a_backlog_and_a_kill(trial: Trial) -> None:
    """Deliveries pile up before one worker; it is killed when it has settled some of them."""
    worker = await _warm(trial)
    worker.pause()
    for number in range(24):
        await trial.say(f"o-{number % ORDERS}", number)
    trial.stage.orders["threads"].give("before inserted", "kill -9", skip=3)
    worker.resume()
    await eventually(lambda: not worker.is_running, what="its end")
    worker.start()


async def _warm(trial: Trial) -> ServiceProcess:
    """One worker that has settled a command, and so takes many at a time."""
    worker = await trial.alone("threads")
    await trial.say("o-1", 99)
    entries = trial.stage.threads["entries"]

    async def is_finished() -> bool:
        return await entries.count_documents({"unfinished": {"$exists": False}}) > 0

    await eventually(is_finished, what="the first post")
    return worker


async def a_chain_in_reverse(trial: Trial) -> None:
    worker = await _warm(trial)
    worker.pause()
    accepted = None
    for number in range(6):
        accepted = await trial.say("o-0", number, after=accepted)
    worker.resume()
    await worker.ready()


async def lost_connections(trial: Trial) -> None:
    """One worker loses its connections again and again while it works."""
    worker = await trial.alone("threads")
    for _ in range(3):
        await lasting(1)
        await trial.disconnect(worker)
    await trial.kill_at("threads", "before inserted")


async def a_zombie_projects(trial: Trial) -> None:
    """A worker stands still before it projects; another one goes on; then it wakes."""
    [zombie, _] = await asyncio.gather(trial.at("threads", "before projected", "SIGSTOP"), trial.say("o-0", 0))
    await eventually(lambda: stands_still(zombie.pid), what="it standing still")
    await trial.disconnect(zombie)
    for number in range(1, 4):
        await trial.say("o-0", number)
    threads = trial.stage.threads["threads"]

    async def others_went_on() -> bool:
        found = await threads.find_one({"_id": "o-0"}, {"seq": 1})
        return found is not None and found.get("seq", 0) >= 4

    await eventually(others_went_on, what="the other worker's work")
    zombie.resume()
    await zombie.ready()


async def a_zombie_sends(trial: Trial) -> None:
    """A sender stands still with a lease; another one sends when that has ended; then it wakes."""
    [zombie, _] = await asyncio.gather(trial.at("notifier", "before transmitting", "SIGSTOP"), trial.say("o-0", 0))
    await trial.disconnect(zombie)
    mails = trial.stage.notifier["mails"]

    async def others_sent() -> bool:
        return await mails.count_documents({"state": "sent"}) > 0 and not await mails.count_documents({"alive": True})

    await eventually(others_sent, what="the other sender's mail")
    zombie.resume()
    await zombie.ready()


async def an_older_order_comes_late(trial: Trial) -> None:
    newest = people.orders()[0].model_copy(update={"version": 2, "status": "shipped"})
    await trial.stage.clients.put_order(newest)
    await _put(trial, people.orders()[0])
    await trial.say("o-0", 0)


async def _put(trial: Trial, order: Any) -> None:
    service = trial.stage.clients.service()
    answer = await service.call("PUT", f"/v1/orders/{order.order_id}", order.model_dump(mode="json"))
    assert answer.status in (200, 202), answer


async def an_order_comes_after_the_post(trial: Trial) -> None:
    vhost = trial.stage.parley.vhost
    await trial.say(LATE_ORDER, 0)

    async def is_decided() -> bool:
        return await vhost.held(topology.COMMANDS_QUEUE) == 0

    await eventually(is_decided, what="the post being decided while nobody knows its order")
    await _put(trial, people.orders()[ORDERS])


async def a_dispute_is_closed_twice(trial: Trial) -> None:
    opened = await trial.write("o-0", "dispute", {"reason": "damaged", "text": "It is broken"}, "k1")
    assert opened.status == 201, opened
    closing = {"outcome": "resolved", "note": "all is well"}
    closed = await trial.write("o-0", "dispute/close", closing, "k2")
    assert closed.status == 200, closed
    await trial.write("o-0", "dispute/close", closing, "k3")


async def many_at_one_thread(trial: Trial) -> None:
    for start in range(0, 150, 30):
        await asyncio.gather(*(trial.say("o-0", number) for number in range(start, start + 30)))


async def the_gateway_dies_with_posts_under_way(trial: Trial) -> None:
    workers = trial.stage.pair("threads")
    await lasting(0.5)
    for worker in workers:
        worker.pause()
    await lasting(0.7)
    [gateway] = trial.stage.pair("gateway")
    gateway.kill()
    for worker in workers:
        worker.resume()
    gateway.start()
    await gateway.ready()


async def notifiers_die_while_mongodb_stands_still(trial: Trial) -> None:
    """What they have in hand by then is not stored."""
    notifiers, mongo = trial.stage.pair("notifier"), trial.stage.parley.mongo
    for each in notifiers:
        each.pause()
    for number in range(10):
        await trial.say(f"o-{number % ORDERS}", number)
    entries = trial.stage.threads["entries"]

    async def all_announced() -> bool:
        return await entries.count_documents({"unfinished": {"$exists": False}}) >= 10

    await eventually(all_announced, what="ten announcements")
    mongo.pause()
    for each in notifiers:
        each.resume()
    await lasting(AWAY_S)
    for each in notifiers:
        each.kill()
    mongo.resume()
    for each in notifiers:
        each.start()


LOST_COMMANDS: Final = unbound(topology.COMMANDS, topology.COMMANDS_QUEUE)
LOST_NOTIFICATIONS: Final = unbound(topology.NOTIFICATIONS, topology.NOTIFIER_QUEUE)
