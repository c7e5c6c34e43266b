"""Read marks: each person's own, and each inbox's newest. The newest command wins, so a mark may go back to unread; a post's never does.

Marks of many threads are set in as many statements as those of one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.threads.access import Parties
from services.threads.entries import Log, Place
from services.threads.indexes import LISTS_PLACED
from services.threads.person_marks import NO_MARK, PersonMark, PersonMarks, Standing, document_id
from services.threads.projection import InboxFigures, InboxMark, Projection, furthest_of
from services.threads.thread import State
from shared.callers import Caller
from shared.events import MarkMoved
from shared.fields import OrderId, Side
from shared.mongo import Database

PAGE: Final = 200
ABOVE_ALL_POSITIONS: Final = "~"


@dataclass(frozen=True, slots=True)
class Reader:
    """A caller who has an inbox in the threads that they mark."""

    caller: Caller
    side: Side


@dataclass(frozen=True, slots=True)
class Wish:
    """Up to where a thread is read."""

    parties: Parties
    up_to_seq: int


@dataclass(frozen=True, slots=True)
class Step:
    """Where somebody's wish takes their mark and their inbox's. One forward, out of a post, never takes a mark back."""

    parties: Parties
    person: str
    side: Side
    up_to_seq: int
    stamp: str
    is_forward: bool = False

    @property
    def place(self) -> Place:
        return self.parties.order_id, self.up_to_seq

    def moves(self, mark: Standing) -> bool:
        """Whether it moves this mark, as it stands. Its own is written once more, for an earlier try may have come half-way."""
        is_further = not self.is_forward or mark.seq < self.up_to_seq
        return mark.stamp == self.stamp or (mark.stamp < self.stamp and is_further)


@dataclass(frozen=True, slots=True)
class Marked:
    """Where a mark stands now. `changed` is false where the person's and the inbox's both stood there already, by an older wish."""

    moved: MarkMoved
    changed: bool


@dataclass(frozen=True, slots=True)
class UnreadThread:
    """A thread with something new for an inbox, as the projection has it; `position` is its place in the inbox's list of orders."""

    order_id: OrderId
    position: str
    seq: int
    at: datetime


@dataclass(frozen=True, slots=True)
class _Taken:
    """A step, and the marks of the person and of the inbox as they stood before it. Of several in one inbox, the one that reaches furthest leads."""

    step: Step
    person: Standing
    inbox: Standing
    leads: bool

    @property
    def moves_inbox(self) -> bool:
        return self.leads and self.step.moves(self.inbox)

    @property
    def changed(self) -> bool:
        """A mark of this very stamp was set by an earlier delivery, whose event may not be out: it counts as a change."""
        step = self.step
        if step.is_forward:
            return step.moves(self.person) or self.moves_inbox
        marks = self.person, self.inbox
        return any(mark.stamp >= step.stamp or mark.seq != step.up_to_seq for mark in marks)


class Marks:
    def __init__(self, database: Database, *, log: Log, projection: Projection) -> None:
        self._persons, self._threads = PersonMarks(database), database["threads"]
        self._log, self._projection = log, projection

    async def set(self, reader: Reader, wishes: Sequence[Wish], *, stamp: str) -> dict[OrderId, Marked]:
        """Sets the person's mark in each thread and the inbox's, unless newer ones stand; a thread once. May run twice.

        A thread that has no entry `up_to_seq` is missing in the answer. Marks that stand already get the newer stamp, without which an older wish
        that comes late would win; nothing else is done about them.
        """
        person, side = reader.caller.person, reader.side
        taken = await self._take([Step(wish.parties, person, side, wish.up_to_seq, stamp) for wish in wishes])
        moved = await self.moved([each.step for each in taken])
        return {each.step.parties.order_id: Marked(told, each.changed) for each, told in zip(taken, moved, strict=True)}

    async def advance(self, steps: Sequence[Step]) -> list[Step]:
        """Moves marks forward, as posts say what their authors had seen; those that moved one. May run twice.

        Of one person's in one thread, and of the persons of one inbox, the one that reaches furthest counts.
        """
        furthest: dict[tuple[OrderId, str], Step] = {}
        for step in steps:
            key = step.parties.order_id, step.person
            if key not in furthest or furthest[key].up_to_seq <= step.up_to_seq:
                furthest[key] = step
        taken = await self._take(list(furthest.values())) if furthest else []
        return [each.step for each in taken if each.changed]

    async def moved(self, steps: Sequence[Step]) -> list[MarkMoved]:
        """What is told of these steps, each of which has been taken: where things stand now."""
        figures = await self._projection.inboxes([step.parties.order_id for step in steps]) if steps else {}
        return [_moved(step, figures[step.parties.order_id][step.side]) for step in steps]

    async def _take(self, steps: Sequence[Step]) -> list[_Taken]:
        """Takes these steps, of each person one in a thread; one to an entry that there is not is left out."""
        states, (persons, inboxes) = await asyncio.gather(self._states(steps), self._standing(steps))
        valid = [step for step in steps if step.place in states]
        leading = {(step.parties.order_id, step.side): step for step in sorted(valid, key=lambda each: each.up_to_seq)}
        taken = [
            _Taken(
                step,
                persons.get(document_id(step.parties.order_id, step.person), NO_MARK),
                inboxes.get((step.parties.order_id, step.side), NO_MARK),
                leads=leading[step.parties.order_id, step.side] is step,
            )
            for step in valid
        ]
        if taken:
            await asyncio.gather(self._write_persons(taken, states), self._write_inboxes(taken, states))
        return taken

    async def _states(self, steps: Sequence[Step]) -> dict[Place, State]:
        """Each thread's state after the entry that its mark is set at."""
        states = {step.place: State() for step in steps if not step.up_to_seq}
        asked = {step.place for step in steps if step.up_to_seq}
        return states | (await self._log.states_at(asked) if asked else {})

    async def _standing(
        self, steps: Sequence[Step]
    ) -> tuple[Mapping[str, Standing], Mapping[tuple[OrderId, Side], Standing]]:
        """The persons' marks, by document, and the inboxes', by thread and side."""
        order_ids = {step.parties.order_id for step in steps}
        fields = {f"marks.{side}": 1 for side in {step.side for step in steps}}
        persons, threads = await asyncio.gather(
            self._persons.standing({document_id(step.parties.order_id, step.person) for step in steps}),
            self._threads.find({"_id": {"$in": list(order_ids)}}, fields).to_list(),
        )
        inboxes = {
            (thread["_id"], side): Standing(mark["stamp"], mark["seq"], furthest_of(mark))
            for thread in threads
            for side, mark in thread.get("marks", {}).items()
        }
        return persons, inboxes

    async def _write_persons(self, taken: Sequence[_Taken], states: Mapping[Place, State]) -> None:
        marks = [_person_mark(each, states[each.step.place]) for each in taken if _touches_person(each)]
        missing = {
            document_id(each.step.parties.order_id, each.step.person) for each in taken if each.person is NO_MARK
        }
        await self._persons.write(marks, missing=missing)

    async def _write_inboxes(self, taken: Sequence[_Taken], states: Mapping[Place, State]) -> None:
        steps = [each.step for each in taken if _touches_inbox(each)]
        await self._projection.write_marks(
            [
                InboxMark(
                    order_id=step.parties.order_id,
                    side=step.side,
                    stamp=step.stamp,
                    seq=step.up_to_seq,
                    own=states[step.place].by_side.get(step.side, 0),
                )
                for step in steps
            ]
        )

    async def unread_threads(self, inbox: str, *, below: str) -> list[UnreadThread]:
        """The next threads of the inbox with something new, those of the newest orders first: for "mark all as read".

        In the order of the orders, which stays while new messages move threads up in other lists.
        """
        fields = {"placed": 1, "seq": 1, "last.at": 1}
        found = self._threads.find({"lists": f"{inbox}/unread", "placed": {"$lt": below}}, fields, hint=LISTS_PLACED)
        page = await found.sort("placed", -1).limit(PAGE).to_list()
        return [_unread_thread(document) for document in page]

    async def all_read(self, threads: Sequence[UnreadThread], moment: datetime) -> list[tuple[OrderId, int]]:
        """Up to where each of these threads was written at that moment; later entries the person cannot have meant.

        The projection may be a moment behind the log: it counts where the log has no newer entry.
        """
        seqs = await self._log.newest_seqs([thread.order_id for thread in threads])
        wanted = [
            (thread.order_id, thread.seq)
            if seqs.get(thread.order_id) == thread.seq and thread.at <= moment
            else (thread.order_id, await self.last_seen(thread.order_id, moment))
            for thread in threads
        ]
        return [(order_id, seq) for order_id, seq in wanted if seq]

    async def last_seen(self, order_id: str, moment: datetime) -> int:
        """The newest entry that was there at that moment."""
        entry = await self._log.last_before(order_id, moment)
        return 0 if entry is None else entry.seq


def _touches_person(taken: _Taken) -> bool:
    """Whether anything in the person's document changes."""
    step, mark = taken.step, taken.person
    if mark.stamp == step.stamp == mark.inbox_stamp:
        return False
    is_inbox_older = mark.inbox_stamp < step.stamp and taken.moves_inbox
    return step.moves(mark) or is_inbox_older or mark.furthest < step.up_to_seq


def _touches_inbox(taken: _Taken) -> bool:
    """Of several in one inbox the leading one reaches furthest, too."""
    step, mark = taken.step, taken.inbox
    return taken.leads and mark.stamp != step.stamp and (step.moves(mark) or mark.furthest < step.up_to_seq)


def _person_mark(taken: _Taken, state: State) -> PersonMark:
    step = taken.step
    return PersonMark(
        order_id=step.parties.order_id,
        person=step.person,
        side=step.side,
        stamp=step.stamp,
        seq=step.up_to_seq,
        own=state.by_person.get(step.person, 0),
        moves=step.moves(taken.person),
        moves_inbox=taken.moves_inbox,
    )


def _moved(step: Step, inbox: InboxFigures) -> MarkMoved:
    return MarkMoved(
        order_id=step.parties.order_id,
        customer_id=step.parties.customer_id,
        seller_id=step.parties.seller_id,
        sold_by=step.parties.sold_by,
        inbox=step.side,
        person=step.person,
        up_to_seq=step.up_to_seq,
        unread=inbox.unread,
        furthest_seq=inbox.furthest,
    )


def _unread_thread(document: Mapping[str, Any]) -> UnreadThread:
    return UnreadThread(
        order_id=document["_id"],
        position=document["placed"],
        seq=document["seq"],
        at=document["last"]["at"],
    )
