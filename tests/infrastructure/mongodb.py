"""Faults of MongoDB's replica set and of the network before its members."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from pymongo.errors import PyMongoError

from tests.chaos.lanes import Fault, Lane, NotPossible
from tests.chaos.plan import Kind, Step
from tests.chaos.stack import Stack
from tests.servers.pace import lasting
from tests.servers.proxy import Proxy
from tests.servers.replica_set import Member

WRITES: Final = ["insert", "update", "findAndModify"]
READS: Final = ["find", "aggregate", "getMore"]
# Codes that the driver repeats by itself (shutting down, stepping down, no primary) and codes that it leaves to us.
RETRYABLE: Final = (91, 189, 10107, 11600)
NOT_RETRYABLE: Final = (14031, 11601, 50, 24)
CONCERN_ERRORS: Final = (64, 91)

MemberFault = Callable[[Proxy], None]


class MongoFaults:
    def __init__(self, stack: Stack) -> None:
        self._stack, self._set = stack, stack.mongo

    def lane(self) -> Lane:
        return Lane(
            "mongodb",
            {
                "mongodb-kill-primary": (Kind(2), self.kill_primary),
                "mongodb-kill-secondary": (Kind(), self.kill_secondary),
                "mongodb-freeze": (Kind(), self.freeze),
                "mongodb-stepdown": (Kind(2), self.step_down),
                "mongodb-disk-full": (Kind(lasts_s=(3.0, 5.0)), self.disk_full),
                "mongodb-fail-retryable": (Kind(), self.failing(WRITES + READS, codes=RETRYABLE)),
                "mongodb-fail-writes": (Kind(), self.failing(WRITES, codes=NOT_RETRYABLE)),
                "mongodb-fail-reads": (Kind(), self.failing(READS, codes=NOT_RETRYABLE)),
                "mongodb-fail-write-concern": (Kind(2), self.failing_concern()),
                "mongodb-close-connection": (Kind(), self.failing(WRITES, codes=None)),
                "mongodb-delay": (Kind(), self.through(lambda proxy: proxy.delay(0.1))),
                "mongodb-slice": (Kind(), self.through(lambda proxy: proxy.slice(50))),
                "mongodb-stall": (Kind(), self.through(Proxy.stall)),
                "mongodb-cut": (Kind(2, (0.1, 0.2)), self.through(Proxy.cut)),
            },
        )

    async def kill_primary(self, step: Step) -> None:
        await self._kill(await self._primary(), step)

    async def kill_secondary(self, step: Step) -> None:
        await self._kill(await asyncio.to_thread(self._set.secondary), step)

    async def _kill(self, member: Member, step: Step) -> None:
        member.process.kill()
        await lasting(step.lasts_s)
        await asyncio.to_thread(member.start)

    async def freeze(self, step: Step) -> None:
        """Long enough, now and then, for another to be elected: then this one wakes as a primary that is none any more."""
        member = await self._primary()
        member.process.pause()
        await lasting(step.lasts_s)
        member.process.resume()

    async def step_down(self, _: Step) -> None:
        member = await self._primary()
        await asyncio.to_thread(member.command, "replSetStepDown", 10, secondaryCatchUpPeriodSecs=5)

    async def disk_full(self, step: Step) -> None:
        """The primary's small disk fills up; mongod ends itself where it cannot write, and starts again when there is room."""
        member = await self._primary()
        disk = self._stack.mongo_disks[self._set.members.index(member)]
        if not disk.is_there:
            raise NotPossible("a small disk cannot be mounted here")
        await asyncio.to_thread(disk.fill)
        try:
            await asyncio.to_thread(_checkpoint, member)
            await lasting(step.lasts_s)
        finally:
            disk.clear()
        if not member.process.is_running:
            await asyncio.to_thread(member.start)

    def failing(self, commands: list[str], *, codes: tuple[int, ...] | None) -> Fault:
        """These commands fail on the primary, with one of these codes, or (None) by a connection that is closed."""

        async def fault(step: Step) -> None:
            how: dict[str, Any] = {"closeConnection": True} if codes is None else {"errorCode": codes[step.of(codes)]}
            await self._fail(step, {"failCommands": commands, **how})

        return fault

    def failing_concern(self) -> Fault:
        """Writes are applied, and said not to be safe yet."""

        async def fault(step: Step) -> None:
            code = CONCERN_ERRORS[step.of(CONCERN_ERRORS)]
            error = {"code": code, "errmsg": "a test says so"}
            await self._fail(step, {"failCommands": WRITES, "writeConcernError": error})

        return fault

    async def _fail(self, step: Step, what: dict[str, Any]) -> None:
        member = await self._primary()
        await asyncio.to_thread(member.command, "configureFailPoint", "failCommand", mode="alwaysOn", data=what)
        await lasting(step.lasts_s)
        await asyncio.to_thread(member.command, "configureFailPoint", "failCommand", mode="off")

    def through(self, what: MemberFault) -> Fault:
        """The fault on the way to the primary, from clients and from the other members."""

        async def fault(step: Step) -> None:
            proxy = (await self._primary()).proxy
            what(proxy)
            await lasting(step.lasts_s)
            proxy.heal()

        return fault

    async def _primary(self) -> Member:
        return await asyncio.to_thread(self._set.primary)


def _checkpoint(member: Member) -> None:
    """Makes mongod write what it has in memory, as it does by itself every minute."""
    try:
        member.command("fsync")
    except PyMongoError:
        return
