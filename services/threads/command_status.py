"""What became of a command, for the one who gave it: its entry is the truth, else its outcome."""

import asyncio

from services.threads import access, answers, views
from services.threads.entries import read_entry
from shared.callers import Caller
from shared.commands import OUTCOME, CommandOutcome
from shared.contracts.contacts import SHOP_MAILBOX
from shared.errors import ProblemError, refuse
from shared.fields import CommandId
from shared.mongo import Database, Document


async def find(database: Database, caller: Caller, command_id: CommandId) -> CommandOutcome:
    """Raises not_found where nothing has become of it yet, and alike where it is somebody else's."""
    entry, outcome = await asyncio.gather(
        database["entries"].find_one({"_id": command_id}), database["outcomes"].find_one({"_id": command_id})
    )
    if entry is not None:
        if await _gave_it(database, caller, entry):
            return answers.of_entry(read_entry(entry))
    elif outcome is not None and outcome["caller"] in _mailboxes(caller):
        return answers.in_full(OUTCOME.validate_python(outcome["outcome"]))
    raise unknown(command_id)


def unknown(command_id: CommandId) -> ProblemError:
    return refuse("not_found", f"There is no command {command_id} of yours here. It may still be on its way.")


def _mailboxes(caller: Caller) -> tuple[str, ...]:
    """Whose commands the caller may give: their own, those about their mailbox, and the staff those about the shop's."""
    return (caller.key, caller.mailbox, *([SHOP_MAILBOX] if caller.side == "shop" else []))


async def _gave_it(database: Database, caller: Caller, entry: Document) -> bool:
    """Whether the entry is the caller's own, in an order that they still see; services bring the imported ones."""
    if entry["imported"]:
        return caller.role == "service"
    author = entry["author"]
    if author["person"] != caller.person:
        return False
    thread = await database["threads"].find_one({"_id": entry["order_id"], "order": {"$exists": True}}, {"order": 1})
    return thread is not None and access.side_of(caller, views.parties_of(thread)) == author["side"]
