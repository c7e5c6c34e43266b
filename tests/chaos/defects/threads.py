"""Defects of threads' worker."""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import replace as changed
from datetime import UTC, datetime
from typing import Any, Final

from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from services.threads import __main__ as service
from services.threads import dispute, indexes, projection, writer
from services.threads import orders as orders_module
from services.threads.access import Parties
from services.threads.acknowledge import Outstanding
from services.threads.addresses import AddressKeys
from services.threads.announcements import Announcements, MailContext
from services.threads.consumers import CommandConsumer
from services.threads.entries import Inserted, Log
from services.threads.finish import Finisher
from services.threads.orders import OrderForMail, Orders
from services.threads.subscription import Subscription
from services.threads.sweeper import Sweeper
from services.threads.thread import Entry, Made
from services.threads.writer import Writer
from shared import publishing, topology
from shared.contracts.contacts import order_version
from shared.delivery import Settler
from shared.groups import GroupPublisher
from shared.publishing import BROKER_AWAY
from tests.chaos.defects import Apply, replace, seed
from tests.faults import threads
from tests.made import new_id, snapshot

REPUBLISHED_AFTER_S: Final = 1.5
LATE_ACK_S: Final = 1.0
GAP_EVERY: Final = 7
ABOVE_ALL: Final = 10**9


def acknowledges_before_it_commits() -> None:
    def make(original: Any) -> Any:
        async def write(self: Any, group: Any) -> Any:
            for each in group.deliveries:
                await each.subscription.acknowledge([each.tag])
            return await original(self, group)

        return write

    replace(CommandConsumer, "_write", make)


def makes_an_entry_of_every_delivery() -> None:
    """The entry's id is not the command's, so a redelivered command is not known."""

    def make(original: Any) -> Any:
        def decide(*args: Any, **named: Any) -> Any:
            decision = original(*args, **named)
            if isinstance(decision, Made):
                return changed(decision, entry=changed(decision.entry, id=new_id()))
            return decision

        return decide

    replace(writer, "decide", make)


def publishes_without_mandatory() -> None:
    def make(original: Any) -> Any:
        async def publish_group(self: Any, messages: Any, **named: Any) -> Any:
            return await original(self, [changed(each, mandatory=False) for each in messages], **named)

        return publish_group

    replace(GroupPublisher, "publish_group", make)


def never_sweeps() -> None:
    async def sweep(_self: Sweeper) -> int:
        return 0

    replace(Sweeper, "sweep", lambda _original: sweep)


def marks_finished_before_it_publishes() -> None:
    def make(original: Any) -> Any:
        async def finish(self: Any, entries: Sequence[Entry], *args: Any, **named: Any) -> int:
            await self._log.mark_finished(entries)
            return int(await original(self, entries, *args, **named))

        return finish

    replace(Finisher, "finish", make)


def acknowledges_past_an_unsettled_one() -> None:
    def make(original: Any) -> Any:
        def settle(self: Outstanding, tags: Any) -> tuple[int | None, list[int]]:
            done = list(tags)
            original(self, done)
            return (max(done) if done else None), []

        return settle

    replace(Outstanding, "settle", make)


def acknowledges_old_tags_on_the_new_channel() -> None:
    """Acknowledgements are gathered, and go out later on whichever channel is current then."""
    newest: list[Subscription] = []

    def made(original: Any) -> Any:
        def init(self: Subscription, *args: Any, **named: Any) -> None:
            original(self, *args, **named)
            newest[:] = [self]

        return init

    def make(_original: Any) -> Any:
        async def acknowledge(self: Any, tags: Any) -> None:
            up_to, single = self._outstanding.settle(tags)
            for tag in [*single, *([up_to] if up_to is not None else [])]:
                asyncio.get_running_loop().call_later(LATE_ACK_S, _begin, late(tag))

        return acknowledge

    async def late(tag: int) -> None:
        with contextlib.suppress(*BROKER_AWAY):
            await newest[0]._channel.basic_ack(tag, multiple=True)

    replace(Subscription, "__init__", made)
    replace(Subscription, "acknowledge", make)


_under_way: set[Any] = set()


def _begin(work: Any) -> None:
    task = asyncio.ensure_future(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)


def leaves_a_gap_in_seq() -> None:
    count = 0

    def make(original: Any) -> Any:
        def decide(*args: Any, **named: Any) -> Any:
            nonlocal count
            decision = original(*args, **named)
            count += 1
            if isinstance(decision, Made) and count % GAP_EVERY == 0:
                seq = decision.entry.seq + 1
                return Made(changed(decision.entry, seq=seq), changed(decision.thread, seq=seq))
            return decision

        return decide

    replace(writer, "decide", make)


def ignores_after() -> None:
    replace(writer, "_must_wait", lambda _original: lambda *_args: False)


def gives_a_new_event_id_to_a_repetition() -> None:
    def make(original: Any) -> Any:
        def of_entry(self: Announcements, entry: Entry, *args: Any) -> Any:
            age_s = (datetime.now(UTC) - entry.committed_at).total_seconds()
            again = changed(entry, id=new_id()) if age_s > REPUBLISHED_AFTER_S else entry
            return original(self, again, *args)

        return of_entry

    replace(Announcements, "of_entry", make)


def counts_unread_wrongly() -> None:
    def make(derived: Any) -> Any:
        derived[0]["$set"]["unread"]["seller"] = {"$add": [derived[0]["$set"]["unread"]["seller"], 1]}
        return derived

    replace(projection, "DERIVED", make)


def closes_a_closed_dispute() -> None:
    replace(dispute, "TABLE", lambda table: {**table, ("closed", "close"): dispute.Effect.CLOSES})


def lets_an_older_order_win() -> None:
    document = orders_module.document_of

    async def keep(self: Any, snapshot: Any, *, source_time: str | None = None) -> orders_module.Kept:
        new = document(snapshot, source_time)
        with contextlib.suppress(DuplicateKeyError):
            await self._orders.replace_one({"_id": snapshot.order_id}, new, upsert=True)
        return orders_module.Kept(stands=True, is_new=True)

    replace(Orders, "keep", lambda _original: keep)


def projects_without_a_guard() -> None:
    def make(original: Any) -> Any:
        def state(entry: Entry) -> Any:
            return {**original(entry), "above": ABOVE_ALL}

        return state

    replace(projection, "_state", make)


def announces_before_it_commits() -> None:
    parties: dict[str, Parties] = {}
    publishers: list[GroupPublisher] = []

    def remember_parties(original: Any) -> Any:
        def decide_thread(self: Writer, works: Any, thread: Any, *args: Any) -> Any:
            parties[thread.parties.order_id] = thread.parties
            return original(self, works, thread, *args)

        return decide_thread

    def remember_publisher(original: Any) -> Any:
        def init(self: GroupPublisher, *args: Any, **named: Any) -> None:
            original(self, *args, **named)
            publishers.append(self)

        return init

    def make(original: Any) -> Any:
        async def insert(self: Log, entries: Sequence[Entry], **named: Any) -> Inserted:
            await publishers[0].publish_group(
                [_event(entry, parties[entry.order_id]) for entry in entries], deadline_s=5
            )
            result: Inserted = await original(self, entries, **named)
            return result

        return insert

    replace(publishing.Publisher, "__init__", remember_publisher)
    replace(Writer, "_decide_thread", remember_parties)
    replace(Log, "_insert", make)


def _event(entry: Entry, parties: Parties) -> Any:
    """As it is announced to everybody."""
    announcements = Announcements(link_secret="none", address_keys=AddressKeys("none"))
    order = OrderForMail.of(snapshot(entry.order_id), 0, order_version(1))
    return announcements.of_entry(entry, parties, MailContext({entry.order_id: order}, (), {}))[0]


def loses_what_shall_be_tried_again() -> None:
    def make(original: Any) -> Any:
        def later(work: Any) -> Any:
            again = original(work)
            return again and changed(again, exchange=topology.REPLIES, routing_key="nowhere", mandatory=False)

        return later

    replace(writer, "later", make)


def drops_dead_letters() -> None:
    replace(Settler, "_dead", lambda _original: lambda *_args: None)


def commits_on_a_stale_projection() -> None:
    """The insert is no compare-and-set: the index that refuses a second entry at one place is not unique."""

    def make(models: Any) -> Any:
        plain = IndexModel([("order_id", ASCENDING), ("seq", ASCENDING)], name="one_writer_wins")
        if models["entries"][0].document["name"] != plain.document["name"]:
            raise LookupError("the first index of the entries is another one")
        return {**models, "entries": [plain, *models["entries"][1:]]}

    replace(indexes, "INDEXES", make)


DEFECTS: Final[dict[str, Apply]] = {
    "acknowledges before it commits": acknowledges_before_it_commits,
    "makes an entry of every delivery": makes_an_entry_of_every_delivery,
    "publishes without mandatory": publishes_without_mandatory,
    "never sweeps what is unfinished": never_sweeps,
    "marks finished before it publishes": marks_finished_before_it_publishes,
    "acknowledges multiple past an unsettled one": acknowledges_past_an_unsettled_one,
    "acknowledges old tags on the new channel": acknowledges_old_tags_on_the_new_channel,
    "leaves a gap in seq": leaves_a_gap_in_seq,
    "ignores after": ignores_after,
    "gives a new event id to a repetition": gives_a_new_event_id_to_a_repetition,
    "counts unread wrongly": counts_unread_wrongly,
    "closes a closed dispute": closes_a_closed_dispute,
    "lets an older order win": lets_an_older_order_win,
    "projects without a guard": projects_without_a_guard,
    "announces before it commits": announces_before_it_commits,
    "loses what shall be tried again": loses_what_shall_be_tried_again,
    "drops dead letters": drops_dead_letters,
    "commits on a stale projection": commits_on_a_stale_projection,
}


def take_the_newest_first() -> None:
    """No defect but bad luck: deliveries are taken in reverse. Nothing may depend on their order."""

    def make(original: Any) -> Any:
        def gathered(self: Any) -> Any:
            self._waiting = deque(reversed(self._waiting))
            return original(self)

        return gathered

    replace(CommandConsumer, "_gathered", make)


def main() -> None:
    if os.environ.get("REVERSED"):
        take_the_newest_first()
    threads.attach()
    seed(DEFECTS)
    service.main()


if __name__ == "__main__":
    main()
