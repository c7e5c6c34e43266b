"""`python -m services.<name>.migrate`: a service's database brought to its version by hand, as every process does at its start."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Protocol

from pydantic import SecretStr

from shared import indexes, logs, schema
from shared.indexes import Indexes
from shared.logs import LogFormat
from shared.mongo import connect, database
from shared.schema import Step


class MigrationSettings(Protocol):
    """What of a service's settings it takes."""

    mongo_url: SecretStr
    mongo_database: str
    log_format: LogFormat


def main(settings: MigrationSettings, steps: Sequence[Step], needed: Indexes) -> None:
    """Prints what it did; ends with status 1 where a later release has taken away what this one needs. Raises PyMongoError."""
    logs.configure(service="migrate", log_format=settings.log_format, level="error")
    try:
        asyncio.run(run(settings, steps, needed))
    except schema.TooNewError as error:
        sys.exit(f"migrate: {error}")


async def run(settings: MigrationSettings, steps: Sequence[Step], needed: Indexes) -> None:
    client = connect(settings.mongo_url.get_secret_value(), name="migrate")
    name = settings.mongo_database
    try:
        store = database(client, name)
        for step in await schema.migrate(store, steps):
            print(f"{name}: version {step.version}, {step.about}")
        missing = ", ".join(await indexes.missing(store, needed)) or "none"
        print(f"{name}: at version {(await schema.stored(store))[0]}; missing indexes: {missing}")
    finally:
        await client.close()
