"""What a command is answered with, pure: made from the entry, so a repetition is answered like the first time."""

from typing import Any, Final

from services.threads.thread import Entry
from shared.commands import CommandOutcome
from shared.errors import FieldError, Problem, not_found, problem
from shared.queries import Message, dispute_view, public_author

NONE_OF_THEM: Final = "None of these threads is yours. Check the order numbers and who is signed in."
RUN_GOES_ON: Final = (
    "Everything in this inbox is being marked as read already. Try again when that is done, for what has come since."
)


def message_view(entry: Entry, *, mine: bool, new: bool) -> Message:
    return Message(
        id=entry.id,
        order_id=entry.order_id,
        seq=entry.seq,
        kind=entry.kind,
        author=public_author(entry.author),
        text=entry.text,
        redacted=entry.redacted,
        imported=entry.imported,
        mine=mine,
        new=new,
        at=entry.accepted_at if entry.imported else entry.committed_at,
        accepted_at=entry.accepted_at,
        reason=entry.reason,
        outcome=entry.outcome,
    )


def of_entry(entry: Entry) -> CommandOutcome:
    """The answer to the command that made this entry: the message, or the dispute as it was right after this step."""
    dispute = entry.after.dispute
    if entry.kind == "text" or dispute is None:
        result = message_view(entry, mine=not entry.imported, new=False).model_dump(mode="json")
    else:
        result = dispute_view(dispute).model_dump(mode="json")
    status = 200 if entry.kind == "dispute_closed" else 201
    return CommandOutcome(command_id=entry.id, order_id=entry.order_id, state="done", status=status, result=result)


def done(command_id: str, order_id: str | None, result: dict[str, object]) -> CommandOutcome:
    return CommandOutcome(command_id=command_id, order_id=order_id, state="done", status=200, result=result)


def rejected(command_id: str, order_id: str | None, why: Problem) -> CommandOutcome:
    return CommandOutcome(command_id=command_id, order_id=order_id, state="rejected", status=why.status, problem=why)


def other_content(command_id: str, order_id: str | None) -> CommandOutcome:
    """Said where a known id comes with other content; touches nothing."""
    detail = "This Idempotency-Key was used for another request. Repeat that one unchanged, or take a new key."
    return rejected(command_id, order_id, problem("idempotency_conflict", detail))


def parked(command_id: str, order_id: str | None) -> CommandOutcome:
    detail = (
        "The request could not be applied because of a defect on our side. It is kept, and an operator can apply it."
    )
    return CommandOutcome(
        command_id=command_id, order_id=order_id, state="parked", status=500, problem=problem("internal", detail)
    )


def no_such_seq(up_to_seq: int) -> Problem:
    """Said of a mark beyond the end of its thread."""
    detail = "up_to_seq must be the seq of an entry of this thread, or 0 to mark it unread."
    errors = [FieldError(field="up_to_seq", message=f"there is no entry {up_to_seq}")]
    return problem("invalid_request", detail, errors=errors)


def in_full(outcome: CommandOutcome) -> CommandOutcome:
    """The outcome as it is said: of threads that could not be marked only the codes are kept, and their problem documents are made here.

    What was kept before 2026-11-28 has the documents in it, and stays as it is.
    """
    threads = (outcome.result or {}).get("threads")
    if not isinstance(threads, list) or not any("code" in each for each in threads):
        return outcome
    result = {**(outcome.result or {}), "threads": [_with_problem(each) for each in threads]}
    return outcome.model_copy(update={"result": result})


def _with_problem(thread: dict[str, Any]) -> dict[str, Any]:
    order_id = thread["order_id"]
    match thread.get("code"):
        case None:
            return thread
        case "invalid_request":
            why = no_such_seq(thread["up_to_seq"])
        case _:
            why = not_found(order_id).problem
    return {"order_id": order_id, "problem": why.model_dump(exclude_none=True)}
