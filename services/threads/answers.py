"""What a command is answered with, pure: made from the entry, so a repetition is answered like the first time."""

from services.threads.thread import Entry
from shared.commands import CommandOutcome
from shared.errors import Problem, problem
from shared.queries import Message, dispute_view, public_author


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
