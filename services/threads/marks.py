"""Read marks: each person's own, and each inbox's newest. The newest command wins, so a mark may go back to unread."""

from dataclasses import dataclass
from datetime import datetime

from services.threads.access import Parties
from services.threads.entries import Log
from services.threads.projection import InboxMark, Projection
from services.threads.stamped import write_newer
from services.threads.thread import State
from shared.callers import Caller
from shared.errors import refuse
from shared.events import MarkMoved
from shared.fields import Side
from shared.mongo import Database

PAGE = 200
ABOVE_ALL_POSITIONS = "~"


@dataclass(frozen=True, slots=True)
class Reader:
    """A caller who has an inbox in the thread."""

    caller: Caller
    side: Side


class Marks:
    def __init__(self, database: Database, *, log: Log, projection: Projection) -> None:
        self._reads, self._threads = database["reads"], database["threads"]
        self._log, self._projection = log, projection

    async def set(self, reader: Reader, parties: Parties, up_to_seq: int, *, stamp: str) -> MarkMoved:
        """Sets the person's mark and the inbox's, unless newer ones stand. May run twice.

        Raises ProblemError (422) where the thread has no entry `up_to_seq`.
        """
        order_id = parties.order_id
        entry = await self._log.at(order_id, up_to_seq) if up_to_seq else None
        if up_to_seq and entry is None:
            raise refuse(
                "invalid_request",
                "up_to_seq must be the seq of an entry of this thread, or 0 to mark it unread.",
                errors=[{"field": "up_to_seq", "message": f"there is no entry {up_to_seq}"}],
            )
        state = entry.after if entry is not None else State()
        own = state.by_person.get(reader.caller.person, 0)
        await self._set_person(order_id, reader, up_to_seq, own, stamp)
        mark = InboxMark(order_id, reader.side, stamp, up_to_seq, state.by_side.get(reader.side, 0))
        await self._projection.write_marks([mark])
        unread = (await self._projection.unread([order_id]))[order_id][reader.side]
        return MarkMoved(
            order_id=order_id,
            customer_id=parties.customer_id,
            seller_id=parties.seller_id,
            sold_by=parties.sold_by,
            inbox=reader.side,
            person=reader.caller.person,
            up_to_seq=up_to_seq,
            unread=unread,
        )

    async def _set_person(self, order_id: str, reader: Reader, seq: int, own: int, stamp: str) -> None:
        person = reader.caller.person
        fields = {
            "order_id": order_id,
            "person": person,
            "side": reader.side,
            "seq": seq,
            "own": own,
        }
        await write_newer(self._reads, f"{order_id}|{person}", fields, stamp=stamp)

    async def unread_threads(self, inbox: str, *, below: str) -> list[tuple[str, str]]:
        """The next threads of the inbox with something new, newest first: (position, order id), for "mark all as read"."""
        found = self._threads.find({"talks": f"{inbox}/unread", "newest": {"$lt": below}}, {"newest": 1})
        page = await found.sort("newest", -1).limit(PAGE).to_list()
        return [(document["newest"], document["_id"]) for document in page]

    async def last_seen(self, order_id: str, moment: datetime) -> int:
        """The newest entry that was there at that moment; later ones the person cannot have meant."""
        entry = await self._log.last_before(order_id, moment)
        return 0 if entry is None else entry.seq
