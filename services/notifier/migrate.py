"""The steps of the notifier's database; `python -m services.notifier.migrate` runs those that are not done, as every process does at its start."""

from typing import Final

from services.notifier import indexes
from services.notifier.settings import Settings
from shared import migration
from shared.schema import Step
from shared.settings import load

STEPS: Final = (Step(1, "the indexes of the first release", indexes.ensure),)

if __name__ == "__main__":
    migration.main(load(Settings), STEPS, indexes.INDEXES)
