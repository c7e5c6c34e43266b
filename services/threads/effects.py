"""Commands that make no entry: read marks, preferences, watches, redaction. Each may run twice."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, assert_never

from services.threads import access, announcements, answers
from services.threads.access import Parties
from services.threads.announcements import Announcements
from services.threads.entries import Log
from services.threads.mark_runs import MarkRuns, Run
from services.threads.marks import Marked, Marks, Reader, Wish
from services.threads.orders import Orders
from services.threads.people import Chosen, People, effective, of_order
from services.threads.thread import Entry
from shared.callers import Caller
from shared.commands import (
    CommandOutcome,
    MarkRead,
    MarkThreadsRead,
    PreferencesToSet,
    RedactMessage,
    SetPreferences,
    WatchThread,
)
from shared.contracts.choices import scopes, thread_scope
from shared.contracts.contacts import contact_place
from shared.errors import ProblemError, not_found, refuse
from shared.events import ChoicesMade
from shared.fields import OrderId
from shared.publishing import Outgoing

NO_WORDS: Final = {"locale": None, "forget_locale": False, "time_zone": None, "forget_time_zone": None}

EffectCommand = MarkRead | MarkThreadsRead | SetPreferences | WatchThread | RedactMessage


@dataclass(frozen=True, slots=True)
class Applied:
    """The answer, what must be published before the command is acknowledged, and entries that have steps to do again.

    No answer: this was one step of several, and the command is to be applied again. `then` is for when all of that is done.
    """

    answer: CommandOutcome | None
    outgoing: Sequence[Outgoing] = ()
    unfinished: Sequence[Entry] = field(default_factory=list)
    then: Callable[[], Awaitable[None]] | None = None


class Effects:
    def __init__(
        self,
        *,
        log: Log,
        marks: Marks,
        runs: MarkRuns,
        people: People,
        orders: Orders,
        announcements: Announcements,
    ) -> None:
        self._log, self._marks, self._runs = log, marks, runs
        self._people, self._orders = people, orders
        self._announcements = announcements

    async def apply(self, command: EffectCommand) -> Applied:
        """Applies the command, or a step of it, or answers with the problem that refuses it."""
        order_id = None if isinstance(command, MarkThreadsRead) else command.data.order_id
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
        parties, up_to_seq = await self._parties(command.data.order_id), command.data.up_to_seq
        reader = _reader(command.data.caller, parties)
        marked = await self._marks.set(reader, [Wish(parties, up_to_seq)], stamp=command.stamp)
        if parties.order_id not in marked:
            raise ProblemError(answers.no_such_seq(up_to_seq))
        result = _view(marked[parties.order_id])
        return Applied(answers.done(command.id, parties.order_id, result), _events(command, marked.values()))

    async def _mark_threads_read(self, command: MarkThreadsRead) -> Applied:
        caller = command.data.caller
        if not command.data.all_threads:
            wanted: dict[str, int] = {}
            for mark in command.data.threads:
                wanted.setdefault(mark.order_id, mark.up_to_seq)
            return await self._mark_each(command, wanted)
        if caller.role == "guest" and caller.order_id is not None:
            last_seq = await self._marks.last_seen(caller.order_id, command.time)
            return await self._mark_each(command, {caller.order_id: last_seq})
        return await self._mark_next_slice(command)

    async def _mark_each(self, command: MarkThreadsRead, wanted: dict[str, int]) -> Applied:
        """Marks each thread as its own command would. One that is not the caller's is named with the code of why; with none of theirs
        there is nothing to keep a list for."""
        parties = await self._orders.parties(list(wanted))
        theirs = [each for each in parties.values() if access.side_of(command.data.caller, each) is not None]
        if not theirs:
            raise refuse("not_found", answers.NONE_OF_THEM)
        reader = _reader(command.data.caller, theirs[0])
        wishes = [Wish(each, wanted[each.order_id]) for each in theirs]
        marked = await self._marks.set(reader, wishes, stamp=command.stamp)
        seen = {each.order_id for each in theirs}
        results: list[dict[str, Any]] = [
            _view(marked[order_id])
            if order_id in marked
            else {
                "order_id": order_id,
                "up_to_seq": up_to,
                "code": "invalid_request" if order_id in seen else "not_found",
            }
            for order_id, up_to in wanted.items()
        ]
        answer = answers.done(command.id, None, {"threads": results, "marked": len(marked)})
        return Applied(answer, _events(command, marked.values()))

    async def _mark_next_slice(self, command: MarkThreadsRead) -> Applied:
        """The next threads of the inbox that have something new; done when there is none left."""
        caller = command.data.caller
        inbox = access.inbox_key(caller)
        if inbox is None:
            raise refuse("forbidden", "A service has no inbox.")
        run = await self._runs.go_on(inbox, command)
        if run is None:
            raise refuse("conflict", answers.RUN_GOES_ON)
        if not run.slice:
            page = await self._marks.unread_threads(inbox, below=run.position)
            if not page:
                return Applied(answers.done(command.id, None, run.result), then=partial(self.end_run, command))
            wanted = await self._marks.all_read(page, run.moment)
            planned = await self._runs.plan(run, wanted, down_to=page[-1].position)
            if planned is None or not wanted:
                return Applied(None)
            run = planned
        return await self._mark_slice(command, run)

    async def end_run(self, command: MarkThreadsRead) -> None:
        """The outcome of a command that marks everything is kept: the next one of its inbox may begin."""
        if (inbox := access.inbox_key(command.data.caller)) is not None:
            await self._runs.end(inbox, command.id)

    async def _mark_slice(self, command: MarkThreadsRead, run: Run) -> Applied:
        caller, wanted = command.data.caller, dict(run.slice)
        parties = await self._orders.parties(list(wanted))
        theirs = [each for each in parties.values() if access.side_of(caller, each) is not None]
        marked: dict[str, Marked] = {}
        if theirs:
            wishes = [Wish(each, wanted[each.order_id]) for each in theirs]
            marked = await self._marks.set(_reader(caller, theirs[0]), wishes, stamp=run.stamp)
        results = [_view(each) for each in marked.values()]
        return Applied(None, _events(command, marked.values()), then=partial(self._runs.advance, run, results=results))

    async def _set_preferences(self, command: SetPreferences) -> Applied:
        """What a guest chooses is kept for the guest and for the address: so it holds for an account that they make, and for other orders."""
        wish, outgoing = command.data, list[Outgoing]()
        if wish.order_id is not None:
            return await self._set_order_preferences(command, wish.order_id)
        whose = await self._scopes(wish)
        for scope in whose if wish.person.startswith("guest:") else whose[:1]:
            chosen = await self._choose(wish, scope, stamp=command.stamp)
            if chosen is None:
                continue
            outgoing += announcements.of_choices(
                command.id if scope == wish.person else f"{command.id}.address",
                _choices_made(chosen),
                now=command.time,
                traceparent=command.traceparent,
            )
        stands = await self._people.choices(whose)
        preferences = effective(stands.get(wish.person), stands.values())
        return Applied(answers.done(command.id, None, preferences.model_dump(mode="json")), outgoing)

    async def _set_order_preferences(self, command: SetPreferences, order_id: OrderId) -> Applied:
        """A choice about one thread is kept for the person's place in it alone."""
        wish, outgoing = command.data, list[Outgoing]()
        parties = await self._parties(order_id)
        if not access.is_mailed(wish.person, parties):
            raise not_found(order_id)
        here = thread_scope(order_id, wish.person)
        if (chosen := await self._choose(wish, here, stamp=command.stamp)) is not None:
            outgoing = announcements.of_choices(
                command.id, _choices_made(chosen), now=command.time, traceparent=command.traceparent
            )
        is_customers = contact_place(wish.person) == "customer"
        address = await self._orders.address_of_customer(order_id) if is_customers else None
        address_key = wish.address_key or (None if address is None else self._announcements.address_key(address))
        stands = await self._people.choices(scopes(wish.person, address_key, order_id))
        result = of_order(order_id, stands, wish.person).model_dump(mode="json")
        return Applied(answers.done(command.id, order_id, result), outgoing)

    async def _choose(self, wish: PreferencesToSet, scope: str, *, stamp: str) -> Chosen | None:
        """An address has no language and no time zone, and neither has a place in a thread."""
        if wish.undo is not None:
            return await self._people.take_back(wish.undo, stamp=stamp, scope=scope)
        if scope != wish.person:
            wish = wish.model_copy(update=NO_WORDS)
        return await self._people.choose(wish, stamp=stamp, scope=scope)

    async def _scopes(self, wish: PreferencesToSet) -> tuple[str, ...]:
        """Whose choices count for the person, themselves first; a link says for which address it was mailed, else it is the order's."""
        if wish.address_key is not None:
            return scopes(wish.person, wish.address_key)
        address = await self._orders.address_of(wish.person)
        return scopes(wish.person, None if address is None else self._announcements.address_key(address))

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


def _choices_made(chosen: Chosen) -> ChoicesMade:
    choices = chosen.choices
    return ChoicesMade(
        person=chosen.scope,
        stamp=chosen.stamp,
        messages=choices.messages,
        disputes=choices.disputes,
        locale=choices.locale,
        time_zone=choices.time_zone,
        since=dict(choices.since),
    )


def _reader(caller: Caller, parties: Parties) -> Reader:
    side = access.require(caller, "mark_read", parties)
    return Reader(caller=caller, side=side)


def _view(marked: Marked) -> dict[str, object]:
    moved = marked.moved
    return {"order_id": moved.order_id, "up_to_seq": moved.up_to_seq, "unread": moved.unread}


def _events(command: MarkRead | MarkThreadsRead, marked: Iterable[Marked]) -> list[Outgoing]:
    """What is told of the marks that have changed something."""
    return [
        outgoing
        for each in marked
        if each.changed
        for outgoing in announcements.of_mark(command.id, each.moved, now=command.time, traceparent=command.traceparent)
    ]
