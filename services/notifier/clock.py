"""What time it is at the database, for what is written as a value: an insert cannot name $$NOW."""

import time
from datetime import datetime, timedelta
from typing import Final

from shared.mongo import Database

# Asked anew this often, so that a new primary's clock counts soon.
KEPT_S: Final = 5.0


class Clock:
    """The database's time as it last said it, and what has passed here since.

    Late by the answer's way, never early: what is due by this clock is due by the database's own.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._said: datetime | None = None
        self._answered_at = 0.0

    async def now(self) -> datetime:
        """Raises PyMongoError where the database is away."""
        if self._said is None or time.monotonic() - self._answered_at > KEPT_S:
            self._said = (await self._database.command("hello"))["localTime"]
            self._answered_at = time.monotonic()
        return self._said + timedelta(seconds=time.monotonic() - self._answered_at)
