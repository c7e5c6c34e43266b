"""Outcomes of commands that made no entry: what a repetition is answered with, kept for 90 days."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.threads.entries import DUPLICATE_KEY
from shared.commands import CommandOutcome
from shared.errors import problem
from shared.mongo import Database, Document

NOT_FOUND = problem("not_found", "").type


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome as it is kept: with the command's digest, its caller, and the stamp of the copy that was applied."""

    answer: CommandOutcome
    digest: str
    caller: str
    stamp: str

    @property
    def is_provisional(self) -> bool:
        """Said of an order that may only have been on its way: a caller who repeats the command later has it decided anew."""
        return self.answer.problem is not None and self.answer.problem.code == "not_found"


class Outcomes:
    def __init__(self, database: Database) -> None:
        self._outcomes = database["outcomes"]

    async def find(self, ids: Iterable[str]) -> dict[str, Outcome]:
        """The kept outcomes, by command id. A parked command has none that counts: it is decided when it is replayed."""
        found = self._outcomes.find(counting(ids))
        return {document["_id"]: read_outcome(document) for document in await found.to_list()}

    async def which(self, ids: Iterable[str]) -> set[str]:
        """Which of these commands have an outcome that counts."""
        found = self._outcomes.find(counting(ids), {"_id": 1})
        return {document["_id"] for document in await found.to_list()}

    async def keep(self, outcomes: Sequence[Outcome], *, now: datetime) -> bool:
        """Keeps the outcomes; one that is there already stays as it is: the first answer is the answer. Provisional ones give way.

        Says whether all of them are kept; where not, another delivery of the same command was first.
        """
        if not outcomes:
            return True
        await self._make_way([outcome.answer.command_id for outcome in outcomes])
        try:
            await self._outcomes.insert_many([_document(outcome, now) for outcome in outcomes], ordered=False)
        except BulkWriteError as error:
            details = error.details
            if details["writeConcernErrors"] or any(e["code"] != DUPLICATE_KEY for e in details["writeErrors"]):
                raise
            return False
        return True

    async def keep_applied(self, outcome: Outcome, *, now: datetime) -> bool:
        """Keeps that the command was applied; False where that is known already, and stays as it is.

        A refusal gives way: it was said of a copy in another worker's hands that was looked at a moment before it became possible.
        """
        document = _document(outcome, now)
        not_applied = {"_id": document.pop("_id"), "outcome.state": {"$ne": "done"}}
        for _ in range(2):  # the first time, a refusal may have come between MongoDB's look and its insert
            try:
                await self._outcomes.replace_one(not_applied, document, upsert=True)
                return True
            except DuplicateKeyError:
                continue
        return False

    async def park(self, outcome: Outcome, *, now: datetime) -> None:
        """Says that the command lies in the dead-letter queue, for whoever asks what became of it."""
        document = _document(outcome, now)
        await self._outcomes.update_one({"_id": document.pop("_id")}, {"$setOnInsert": document}, upsert=True)

    async def _make_way(self, ids: Sequence[str]) -> None:
        provisional = [{"outcome.state": "parked"}, {"outcome.problem.type": NOT_FOUND}]
        await self._outcomes.delete_many({"_id": {"$in": list(ids)}, "$or": provisional})


def _document(outcome: Outcome, now: datetime) -> dict[str, object]:
    return {
        "_id": outcome.answer.command_id,
        "order_id": outcome.answer.order_id,
        "digest": outcome.digest,
        "caller": outcome.caller,
        "stamp": outcome.stamp,
        "outcome": outcome.answer.model_dump(mode="json"),
        "at": now,
    }


def counting(ids: Iterable[str]) -> Document:
    """The outcomes of these commands that count."""
    return {"_id": {"$in": list(ids)}, "outcome.state": {"$ne": "parked"}}


def read_outcome(document: dict[str, object]) -> Outcome:
    return Outcome(
        answer=CommandOutcome.model_validate(document["outcome"]),
        digest=str(document["digest"]),
        caller=str(document["caller"]),
        stamp=str(document["stamp"]),
    )
