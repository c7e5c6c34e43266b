"""A few kept connections to the SMTP server, so that most mails need no new one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.notifier.outcomes import Broken, Refused, SmtpError, Stopped
from services.notifier.smtp import CLOSING, Connection, Envelope, Server


class Connections:
    """Whoever sends takes one, the last used first; one that has idled too long, or carried enough mails, is not used again.

    At most so many are open at once: whoever sends waits for its `turn` first.
    """

    def __init__(
        self, server: Server, *, at_most: int = 64, idle_s: float = 30.0, mails_per_connection: int = 100
    ) -> None:
        self._server, self._idle_s, self._mails_per_connection = server, idle_s, mails_per_connection
        self._turns = asyncio.Semaphore(at_most)
        self._kept: list[Connection] = []

    @asynccontextmanager
    async def turn(self, *, limit_s: float) -> AsyncIterator[None]:
        """Within it, one connection may be used. Raises SmtpError (Stopped) where none becomes free in time: no mail is to blame."""
        try:
            async with asyncio.timeout(limit_s):
                await self._turns.acquire()
        except TimeoutError:
            raise SmtpError(Stopped("no connection became free")) from None
        try:
            yield
        finally:
            self._turns.release()

    async def offer(self, envelope: Envelope) -> Connection:
        """A connection on which the server has accepted sender and recipient. To be given back, whatever happens next.

        Raises SmtpError (ServerAway, Refused, Broken). A kept connection that the server has ended meanwhile is replaced: no failure.
        """
        while (kept := self._take_kept()) is not None:
            try:
                return await self._offer_on(kept, envelope)
            except SmtpError as error:
                if not _had_ended(error):
                    raise
        return await self._offer_on(await self._server.connect(), envelope)

    async def _offer_on(self, connection: Connection, envelope: Envelope) -> Connection:
        try:
            await connection.offer(envelope)
        except SmtpError:
            self.give_back(connection)
            raise
        return connection

    def _take_kept(self) -> Connection | None:
        while self._kept:
            connection = self._kept.pop()
            if connection.is_open and not self._is_idle(connection):
                return connection
            connection.drop()
        return None

    def _is_idle(self, connection: Connection) -> bool:
        return time.monotonic() - connection.used_at > self._idle_s

    def give_back(self, connection: Connection) -> None:
        connection.used_at = time.monotonic()
        if connection.is_open and connection.mails < self._mails_per_connection:
            self._kept.append(connection)
        else:
            connection.drop()

    async def close_idle(self) -> None:
        """Says goodbye on connections that nobody has used for a while."""
        idle = [connection for connection in self._kept if self._is_idle(connection)]
        self._kept = [connection for connection in self._kept if not self._is_idle(connection)]
        await asyncio.gather(*(connection.quit() for connection in idle))

    async def close(self) -> None:
        kept, self._kept = self._kept, []
        await asyncio.gather(*(connection.quit() for connection in kept))


def _had_ended(error: SmtpError) -> bool:
    """Whether the server had hung up, or does so now (421), on a connection that was kept from an earlier mail."""
    outcome = error.outcome
    return isinstance(outcome, Broken) or (isinstance(outcome, Refused) and outcome.code == CLOSING)
