"""The notifier with named points: `FAULT_FILE=… python -m tests.faults.notifier`."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Final

from pymongo.errors import AutoReconnect

from services.notifier import __main__ as service
from services.notifier.mails import Mails
from services.notifier.smtp import Connection
from services.notifier.wire import Wire
from tests.faults.points import Point, names, reach
from tests.faults.replacing import replace
from tests.servers.pace import lasting

# The bytes of the mail are handed to the transport; the event loop sends them at the end of its round.
FLUSH_S: Final = 0.02
FINAL_DOT: Final = b"\r\n.\r\n"


def _away() -> Exception:
    return AutoReconnect("a fault from outside")


def _hung_up() -> Exception:
    return ConnectionResetError("a fault from outside")


POINTS: Final = (
    Point("leased", Mails, "lease_some", _away, happened=bool),
    Point("transmitting", Mails, "transmitting", _away, happened=bool),
    Point("marked", Mails, "mark", _away),
)
# These two lie within one method: before DATA, behind the final dot, the answer's arrival, and the method's end.
WITHIN_DATA: Final = ("before DATA sent", "after DATA sent", "before 250 received", "after 250 received")
NAMES: Final = [*names(POINTS[:2]), *WITHIN_DATA, *names(POINTS[2:])]


def attach() -> None:
    for point in POINTS:
        point.attach()
    replace(Wire, "ask", _asked)
    replace(Connection, "transmit", _transmitted)


def _asked(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def ask(self: Wire, commands: bytes, **named: Any) -> Any:
        if commands == b"DATA\r\n":
            await reach("before DATA sent", _hung_up)
        if not commands.endswith(FINAL_DOT):
            return await original(self, commands, **named)
        asking = asyncio.ensure_future(original(self, commands, **named))
        try:
            await lasting(FLUSH_S)
            await reach("after DATA sent", _hung_up)
        except BaseException:
            asking.cancel()
            raise
        answer = await asking
        await reach("before 250 received", _hung_up)
        return answer

    return ask


def _transmitted(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def transmit(self: Connection, *args: Any, **named: Any) -> Any:
        reply = await original(self, *args, **named)
        await reach("after 250 received", TimeoutError)
        return reply

    return transmit


def main() -> None:
    attach()
    service.main()


if __name__ == "__main__":
    main()
