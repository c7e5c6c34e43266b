"""The steps of threads' database; `python -m services.threads.migrate` runs those that are not done, as every worker does at its start."""

import asyncio
import sys
from typing import Final

from services.threads import indexes
from services.threads.settings import Settings
from shared import logs, schema
from shared.mongo import connect, database
from shared.schema import Step
from shared.settings import load

STEPS: Final = (Step(1, "the indexes of the first release", indexes.ensure),)


async def run(settings: Settings) -> None:
    """Prints what it did. Raises schema.TooNewError, and PyMongoError where MongoDB is away."""
    client = connect(settings.mongo_url.get_secret_value(), name="threads-migrate")
    try:
        store = database(client, settings.mongo_database)
        for step in await schema.migrate(store, STEPS):
            print(f"{settings.mongo_database}: version {step.version}, {step.about}")
        missing = await indexes.missing(store)
        print(
            f"{settings.mongo_database}: at version {(await schema.stored(store))[0]}; missing indexes: {', '.join(missing) or 'none'}"
        )
    finally:
        await client.close()


def main() -> None:
    settings = load(Settings)
    logs.configure(service="threads-migrate", log_format=settings.log_format, level="error")
    try:
        asyncio.run(run(settings))
    except schema.TooNewError as error:
        sys.exit(f"migrate: {error}")


if __name__ == "__main__":
    main()
