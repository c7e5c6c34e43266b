"""threads as a later release would be: with one more step that adds to the database."""

from typing import Final

from services.threads import __main__ as service
from services.threads import app
from services.threads.migrate import STEPS
from shared.mongo import Database
from shared.schema import Step
from tests.faults.replacing import replace


async def expand(database: Database) -> None:
    await database["entries"].create_index("added_later", sparse=True)


LATER: Final = (*STEPS, Step(STEPS[-1].version + 1, "one more index", expand))

if __name__ == "__main__":
    replace(app, "STEPS", lambda _steps: LATER)
    service.main()
