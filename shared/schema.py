"""The version of a service's database: steps that bring it up to date, and a start that refuses a database that is too new.

Expand, migrate, contract: a step only adds, so that the release before goes on beside it. What takes something away comes one release
later, and says from which release on the database can be used (`usable_from`).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from shared.mongo import Database

log = structlog.get_logger(__name__)

COLLECTION: Final = "schema"
NAME: Final = "version"

Work = Callable[[Database], Awaitable[None]]


class TooNewError(Exception):
    """The database was changed by a later release in a way that this one cannot work with."""


@dataclass(frozen=True, slots=True)
class Step:
    """Brings a database to `version`. `run` may run twice, and while services of this release and the one before work."""

    version: int
    about: str
    run: Work
    usable_from: int = 1


async def stored(database: Database) -> tuple[int, int]:
    """The database's version, 0 for a new one, and the oldest version of a release that can work with it."""
    found = await database[COLLECTION].find_one({"_id": NAME}) or {}
    return int(found.get("version", 0)), int(found.get("usable_from", 0))


async def require_usable(database: Database, steps: Sequence[Step]) -> None:
    """Raises TooNewError where a later release has taken away what this one needs."""
    version, usable_from = await stored(database)
    ours = steps[-1].version
    if usable_from > ours:
        raise TooNewError(
            f"the database is at version {version} and can be used from {usable_from} on; this release knows {ours}"
        )


async def migrate(database: Database, steps: Sequence[Step]) -> list[Step]:
    """Runs what is not done yet, in order, and keeps count after each; gives the steps that it ran. May run twice, and at once."""
    await require_usable(database, steps)
    version, _ = await stored(database)
    todo = [step for step in steps if step.version > version]
    for step in todo:
        log.info("migrating", database=database.name, version=step.version, about=step.about)
        await step.run(database)
        newest = {"version": step.version, "usable_from": step.usable_from}
        await database[COLLECTION].update_one({"_id": NAME}, {"$max": newest}, upsert=True)
    return todo
