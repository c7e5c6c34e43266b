"""Commands that make no entry: read marks, preferences, watches, redaction. Each may run twice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from services.threads import access, announcements, answers
from services.threads.access import Parties
from services.threads.announcements import Announcements
from services.threads.entries import Log
from services.threads.marks import ABOVE_ALL_POSITIONS, Marks, Reader
from services.threads.orders import Orders
from services.threads.people import People
from services.threads.thread import Entry
from shared.callers import Caller
from shared.commands import (
    CommandOutcome,
    MailChoices,
    MarkRead,
    MarkThreadsRead,
    RedactMessage,
    SetPreferences,
    WatchThread,
)
from shared.errors import ProblemError, not_found, refuse
from shared.events import ChoicesMade
from shared.publishing import Outgoing
from shared.queries import Preferences

EffectCommand = MarkRead | MarkThreadsRead | SetPreferences | WatchThread | RedactMessage


@dataclass(frozen=True, slots=True)
class Applied:
    """The answer, what must be published before the command is acknowledged, and entries that have steps to do again."""

    answer: CommandOutcome
    outgoing: Sequence[Outgoing] = ()
    unfinished: Sequence[Entry] = field(default_factory=list)


class Effects:
    def __init__(self, *, log: Log, marks: Marks, people: People, orders: Orders, announcements: Announcements) -> None:
        self._log, self._marks, self._people, self._orders = log, marks, people, orders
        self._announcements = announcements

    async def apply(self, command: EffectCommand) -> Applied:
        """Applies the command, or answers with the problem that refuses it."""
        order_id = None if isinstance(command, MarkThreadsRead | SetPreferences) else command.data.order_id
        try:
            match command:
                case MarkRead():
                    return await self._mark_read(command)
                case MarkThreadsRead():
                    return await self._mark_threads_read(command)
                case SetPreferences():
                    return await self._set_preferences(command)
                case WatchThread():
                    return await self._watch(command)
                case RedactMessage():
                    return await self._redact(command)
                case _:
                    assert_never(command)
        except ProblemError as error:
            return Applied(answers.rejected(command.id, order_id, error.problem))

    async def _parties(self, order_id: str) -> Parties:
        parties = (await self._orders.parties([order_id])).get(order_id)
        if parties is None:
            raise not_found(order_id)
        return parties

    async def _mark_read(self, command: MarkRead) -> Applied:
        parties = await self._parties(command.data.order_id)
        reader = _reader(command.data.caller, parties)
        moved = await self._marks.set(reader, parties, command.data.up_to_seq, stamp=command.stamp)
        result: dict[str, object] = {
            "order_id": moved.order_id,
            "up_to_seq": moved.up_to_seq,
            "unread": moved.unread,
        }
        outgoing = announcements.of_mark(command.id, moved, now=command.time, traceparent=command.traceparent)
        return Applied(answers.done(command.id, moved.order_id, result), outgoing)

    async def _mark_threads_read(self, command: MarkThreadsRead) -> Applied:
        """Marks each thread as its own command would; a thread that is not the caller's is named as not found, the others are marked."""
        caller = command.data.caller
        wanted = [(mark.order_id, mark.up_to_seq) for mark in command.data.threads]
        if command.data.all_threads:
            wanted = await self._everything_unread(caller, command.time)
        results: list[dict[str, object]] = []
        outgoing: list[Outgoing] = []
        for order_id, up_to_seq in wanted:
            try:
                parties = await self._parties(order_id)
                reader = _reader(caller, parties)
                moved = await self._marks.set(reader, parties, up_to_seq, stamp=command.stamp)
            except ProblemError as error:
                results.append({"order_id": order_id, "problem": error.problem.model_dump(exclude_none=True)})
                continue
            results.append({"order_id": order_id, "up_to_seq": moved.up_to_seq, "unread": moved.unread})
            outgoing += announcements.of_mark(command.id, moved, now=command.time, traceparent=command.traceparent)
        result: dict[str, object] = {"threads": results, "marked": sum("problem" not in each for each in results)}
        return Applied(answers.done(command.id, None, result), outgoing)

    async def _everything_unread(self, caller: Caller, moment: datetime) -> list[tuple[str, int]]:
        if caller.role == "guest" and caller.order_id is not None:
            return [(caller.order_id, await self._marks.last_seen(caller.order_id, moment))]
        inbox = access.inbox_key(caller)
        if inbox is None:
            raise refuse("forbidden", "A service has no inbox.")
        wanted: list[tuple[str, int]] = []
        position = ABOVE_ALL_POSITIONS
        while page := await self._marks.unread_threads(inbox, below=position):
            position = page[-1][0]
            wanted += [(order_id, await self._marks.last_seen(order_id, moment)) for _, order_id in page]
        return wanted

    async def _set_preferences(self, command: SetPreferences) -> Applied:
        chosen = await self._people.choose(command.data, stamp=command.stamp)
        choices = chosen.choices
        preferences = Preferences(
            mails=MailChoices(messages=choices.messages, disputes=choices.disputes), locale=choices.locale
        )
        made = ChoicesMade(
            person=command.data.person,
            stamp=chosen.stamp,
            messages=choices.messages,
            disputes=choices.disputes,
            locale=choices.locale,
        )
        outgoing = announcements.of_choices(command.id, made, now=command.time, traceparent=command.traceparent)
        return Applied(answers.done(command.id, None, preferences.model_dump(mode="json")), outgoing)

    async def _watch(self, command: WatchThread) -> Applied:
        parties = await self._parties(command.data.order_id)
        access.require(command.data.caller, "watch", parties)
        if command.data.watching and command.data.email is None:
            detail = "To watch a thread, your token must carry the claim email: that is where its mails go."
            raise refuse("forbidden", detail)
        contact = await self._people.watch(command.data, stamp=command.stamp)
        changed = self._announcements.of_contact(contact, now=command.time, traceparent=command.traceparent)
        return Applied(answers.done(command.id, parties.order_id, {"watching": command.data.watching}), [changed])

    async def _redact(self, command: RedactMessage) -> Applied:
        parties = await self._parties(command.data.order_id)
        access.require(command.data.caller, "redact", parties)
        entry = await self._log.redact(parties.order_id, command.data.message_id, by=command.data.caller.person)
        if entry is None or entry.order_id != parties.order_id:
            raise refuse("not_found", "There is no such message in this thread.")
        result = answers.message_view(entry, mine=False, new=False).model_dump(mode="json")
        return Applied(answers.done(command.id, parties.order_id, result), unfinished=[entry])


def _reader(caller: Caller, parties: Parties) -> Reader:
    side = access.require(caller, "mark_read", parties)
    return Reader(caller=caller, side=side)
