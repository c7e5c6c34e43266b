"""The commit: one group of commands is decided, inserted together, and finished; every promise about them is kept here.

Known commands first; the insert is the compare-and-set; nothing is answered or acknowledged before its effect is stored.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from services.threads import answers
from services.threads.access import Parties
from services.threads.beside import Effect
from services.threads.effects import Applied, EffectCommand, Effects
from services.threads.entries import Log
from services.threads.finish import Finisher
from services.threads.lookup import LookUp
from services.threads.metrics import Metrics
from services.threads.orders import Orders
from services.threads.outcomes import Outcome, Outcomes
from services.threads.recipients import Watcher
from services.threads.replies import Replies
from services.threads.states import States
from services.threads.thread import Entry, Thread
from services.threads.work import Work, later, put_off, waiting
from services.threads.writer import Writer, order_of
from shared.commands import (
    CommandOutcome,
    MarkRead,
    MarkThreadsRead,
    RedactMessage,
    SetPreferences,
    WatchThread,
)
from shared.errors import not_found
from shared.groups import GroupPublisher
from shared.publishing import NotPublished, Outgoing

PUBLISH_TOGETHER_DEADLINE_S: Final = 5.0
WAIT_S: Final = 0.08
WAIT_PAUSE_S: Final = 0.01


@dataclass(slots=True)
class Group:
    """What a group of commands has come to so far. `copies` are further deliveries of commands that are in it already.

    `defects` are commands that could not be decided, with the traceback; they are for the caller to park. `effects` are the commands that make
    no entry; they are for the caller to have applied, after the entries are finished and beside whatever else there is to do.
    """

    copies: list[Work] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    held_back: list[Work] = field(default_factory=list)
    threads: dict[str, Thread] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    entries: dict[str, Entry] = field(default_factory=dict)
    answered_before: dict[str, CommandOutcome] = field(default_factory=dict)
    answered_by_entry: dict[str, Work] = field(default_factory=dict)
    parties: dict[str, Parties] = field(default_factory=dict)
    watchers: list[Watcher] | None = None
    defects: list[tuple[Work, str]] = field(default_factory=list)


class Committer:
    def __init__(
        self,
        *,
        log: Log,
        outcomes: Outcomes,
        orders: Orders,
        look_up: LookUp,
        states: States,
        writer: Writer,
        effects: Effects,
        finisher: Finisher,
        replies: Replies,
        publisher: GroupPublisher,
        metrics: Metrics,
    ) -> None:
        self._log, self._outcomes, self._orders = log, outcomes, orders
        self._look_up, self._states, self._writer = look_up, states, writer
        self._effects, self._finisher, self._replies = effects, finisher, replies
        self._publisher, self._metrics = publisher, metrics

    async def commit(self, works: Sequence[Work]) -> Group:
        """Returns when every one of these commands but the `defects` and `effects` may be acknowledged. May run twice, also after a failure half-way."""
        group = await self.write(works)
        await self.finish(group)
        return group

    async def write(self, works: Sequence[Work]) -> Group:
        """The first half: what is known is set aside, and the new entries are committed. Nothing may be acknowledged yet."""
        first: dict[str, Work] = {}
        copies = [work for work in works if first.setdefault(work.command.id, work) is not work]
        group, stage = Group(copies=copies), self._metrics.stage_seconds
        with stage.labels("look_up").time():
            fresh = await self._set_known_aside(list(first.values()), group)
        group.effects = [
            Effect(work, group.answered_before.get(work.command.id)) for work in fresh if not work.makes_entry
        ]
        with stage.labels("write").time():
            await self._commit_entries([work for work in fresh if work.makes_entry], group)
        return group

    async def finish(self, group: Group) -> None:
        """The second half: all that follows from the entries. The next group may be written meanwhile."""
        with self._metrics.stage_seconds.labels("finish").time():
            await self._finish(group)
        await self._commit_waiting(group)
        if group.copies:
            again = await self.commit(group.copies)
            group.defects += again.defects
            group.effects += again.effects

    async def park(self, work: Work) -> None:
        """Says of a command that goes to the dead-letter queue that it is parked there, to whoever waits or asks."""
        answer = answers.parked(work.command.id, work.order_id)
        await self._outcomes.park(_outcome(work, answer), now=datetime.now(UTC))
        self._answer(work, answer)

    # Known commands: answered as the first time, and never decided again.

    async def _set_known_aside(self, works: list[Work], group: Group) -> list[Work]:
        order_ids = {work.order_id for work in works if work.makes_entry and work.order_id is not None}
        found, _ = await asyncio.gather(
            self._look_up.read([work.command.id for work in works], order_ids), self._read_settled(works, group)
        )
        group.threads, group.watchers = await self._states.at(found.parties, found.seqs), found.watchers
        entries, outcomes = found.entries, found.outcomes
        unfinished = await self._log.find_unfinished(entries) if entries else set()
        fresh = []
        for work in works:
            entry, outcome = entries.get(work.command.id), outcomes.get(work.command.id)
            if entry is not None:
                parties = None if work.order_id is None else found.parties.get(work.order_id)
                self._repeat_entry(work, entry, group, unfinished=entry.id in unfinished, parties=parties)
            elif outcome is not None and not _must_decide_again(work, outcome):
                self._repeat_outcome(work, outcome)
            else:
                fresh.append(work)
                if outcome is not None and outcome.answer.state == "done":
                    group.answered_before[work.command.id] = outcome.answer
        return fresh

    async def _read_settled(self, works: Sequence[Work], group: Group) -> None:
        """Which of the earlier posts that these wait for are settled."""
        earlier = {work.waits_for for work in works if work.waits_for is not None}
        if earlier:
            committed, refused = await asyncio.gather(self._log.which(earlier), self._outcomes.which(earlier))
            group.settled = committed | refused

    def _repeat_entry(
        self, work: Work, entry: Entry, group: Group, *, unfinished: bool, parties: Parties | None
    ) -> None:
        self._metrics.commands.labels("repeated").inc()
        if unfinished:
            group.entries[entry.id] = entry
        if work.is_of_another_seller(parties):
            self._answer(work, answers.rejected(work.command.id, work.order_id, not_found(entry.order_id).problem))
        elif entry.digest != work.digest:
            self._answer(work, answers.other_content(work.command.id, work.order_id))
        elif unfinished:
            group.answered_by_entry[entry.id] = work
        else:
            self._answer(work, answers.of_entry(entry))

    def _repeat_outcome(self, work: Work, outcome: Outcome) -> None:
        self._metrics.commands.labels("repeated").inc()
        same = outcome.digest == work.digest
        self._answer(work, outcome.answer if same else answers.other_content(work.command.id, work.order_id))

    # Commands that make an entry.

    async def _commit_entries(self, works: list[Work], group: Group) -> None:
        """Commits and refuses what can be; posts that still wait for their author's earlier one are held back."""
        if not works:
            return
        written = await self._writer.write(works, threads=group.threads, settled_before=group.settled)
        group.parties |= written.parties
        for work, entry in written.entries:
            self._metrics.commands.labels("applied").inc()
            self._metrics.accepted_to_committed.observe((entry.committed_at - work.command.time).total_seconds())
            group.entries[entry.id] = entry
            group.answered_by_entry[entry.id] = work
        await self._refuse(written.refused)
        await self._publish(written.outgoing)
        group.held_back = written.waiting
        group.defects += written.defects

    async def _commit_waiting(self, waits: Group) -> None:
        """The earlier post is mostly in another worker's hands just now: looks again for a moment, then lets these go round.

        Time is counted, not rounds: where MongoDB is slow, the groups behind this one do not wait for eight of its answers.
        """
        works, until = waits.held_back, time.monotonic() + WAIT_S
        while works and time.monotonic() < until:
            await asyncio.sleep(WAIT_PAUSE_S)
            group = Group()
            order_ids = {order_of(work) for work in works}
            group.threads, _ = await asyncio.gather(self._states.newest(order_ids), self._read_settled(works, group))
            await self._commit_entries(works, group)
            await self._finish(group)
            waits.defects += group.defects
            works = group.held_back
        await self._publish([waiting(work) for work in works])

    async def _refuse(self, refused: Sequence[tuple[Work, CommandOutcome]]) -> None:
        """Keeps the outcomes, then answers with what stands: another worker may have been first, and an entry is the truth."""
        if not refused:
            return
        await self._outcomes.keep([_outcome(work, answer) for work, answer in refused], now=datetime.now(UTC))
        ids = [work.command.id for work, _ in refused]
        entries, outcomes = await asyncio.gather(self._log.find(ids), self._outcomes.find(ids))
        for work, answer in refused:
            self._metrics.commands.labels(answer.state).inc()
            entry, stands = entries.get(work.command.id), outcomes.get(work.command.id)
            if entry is not None:
                answer = answers.of_entry(entry)  # noqa: PLW2901 - the entry is the truth
            elif stands is not None:
                answer = stands.answer  # noqa: PLW2901 - the first answer is the answer
            self._answer(work, answer)

    async def _finish(self, group: Group) -> None:
        missing = {entry.order_id for entry in group.entries.values()} - set(group.parties)
        if missing:
            group.parties |= await self._orders.parties(list(missing))

        def answer(entries: Sequence[Entry]) -> None:
            for entry in entries:
                work = group.answered_by_entry.get(entry.id)
                if work is not None and work.message.reply_to is not None:
                    self._answer(work, _answer_of(work, entry))

        await self._finisher.finish(list(group.entries.values()), group.parties, answer=answer, watchers=group.watchers)

    # Commands that make none.

    async def apply(self, effect: Effect) -> bool:
        """Applies it, or the next step of it; whether all of it is done. Returns when that may be acknowledged; may run twice.

        What an earlier delivery was answered stays the answer, whatever is true by now; its event may not be out.
        """
        work, first = effect.work, effect.first
        if effect.is_copy:
            known = (await self._outcomes.find([work.command.id])).get(work.command.id)
            if known is not None and not _must_decide_again(work, known):
                self._repeat_outcome(work, known)
                return True
            if known is not None and known.answer.state == "done":
                first = known.answer
        if first is not None and isinstance(work.command, MarkThreadsRead) and work.command.data.all_threads:
            # Each of its steps was told before the next began.
            self._answer(work, first)
            await self._effects.end_run(work.command)
            return True
        applied = await self._effects.apply(_effect_command(work))
        if applied.answer is None:
            await self._follow(applied)
            return False
        if first is not None:
            self._answer(work, first)
        elif _may_come_yet(work, applied.answer) and (retried := later(work)) is not None:
            await self._publish([retried])
            return True
        else:
            await self._keep(work, applied.answer)
        await self._follow(applied)
        return True

    async def _keep(self, work: Work, answer: CommandOutcome) -> None:
        """Keeps the outcome, and answers with what stands."""
        kept, now = _outcome(work, answer), datetime.now(UTC)
        is_kept = (
            await self._outcomes.keep_applied(kept, now=now)
            if answer.problem is None
            else await self._outcomes.keep([kept], now=now)
        )
        if not is_kept:
            stands = (await self._outcomes.find([work.command.id])).get(work.command.id)
            answer = stands.answer if stands is not None else answer
        self._metrics.commands.labels("applied" if answer.problem is None else "rejected").inc()
        self._answer(work, answer)

    async def put_off(self, works: Sequence[Work]) -> None:
        """Returns when copies of them are on their way round through a retry tier, and they may be acknowledged."""
        await self._publish([put_off(work) for work in works])

    async def _follow(self, applied: Applied) -> None:
        """The events of an effect have no outbox: they are out before the command is acknowledged, and before its next step."""
        await self._publish(applied.outgoing)
        if applied.unfinished:
            parties = await self._orders.parties([entry.order_id for entry in applied.unfinished])
            await self._finisher.finish(applied.unfinished, parties, answer=lambda _: None)
        if applied.then is not None:
            await applied.then()

    async def _publish(self, messages: Sequence[Outgoing]) -> None:
        """Returns when all are confirmed: sent together, and what is not confirmed then singly, until it is."""
        if len(messages) > 1:
            try:
                confirmed = await self._publisher.publish_group(messages, deadline_s=PUBLISH_TOGETHER_DEADLINE_S)
            except NotPublished:
                confirmed = [False] * len(messages)
            messages = [message for message, is_out in zip(messages, confirmed, strict=True) if not is_out]
        await asyncio.gather(*(self._publisher.publish_until_confirmed(message) for message in messages))

    def _answer(self, work: Work, outcome: CommandOutcome) -> None:
        self._replies.send(work.message.reply_to, answers.in_full(outcome))


def _may_come_yet(work: Work, answer: CommandOutcome) -> bool:
    """Whether the order may only be on its way. A list that names no order of its caller's is refused at once."""
    return (
        answer.problem is not None
        and answer.problem.code == "not_found"
        and not isinstance(work.command, MarkThreadsRead)
    )


def _must_decide_again(work: Work, outcome: Outcome) -> bool:
    """Whether a known outcome is not the end of it.

    A redelivered copy (same stamp) of an effect: its event may not be out yet, and applying it again harms nothing. A caller's
    repetition (another stamp) of what was not found: the order may have come since. A wish that is renewed: the newest counts.
    """
    same_copy = work.command.stamp == outcome.stamp
    if work.digest != outcome.digest:
        return False
    if work.is_renewed:
        return True
    if outcome.is_provisional:
        return not same_copy
    return same_copy and not work.makes_entry and outcome.answer.state == "done"


def _answer_of(work: Work, entry: Entry) -> CommandOutcome:
    """The entry's answer, unless another worker committed other content under the same id meanwhile."""
    if entry.digest != work.digest:
        return answers.other_content(work.command.id, work.order_id)
    return answers.of_entry(entry)


def _outcome(work: Work, answer: CommandOutcome) -> Outcome:
    return Outcome(answer=answer, digest=work.digest, caller=work.caller_key, stamp=work.command.stamp)


def _effect_command(work: Work) -> EffectCommand:
    command: Any = work.command
    if not isinstance(command, MarkRead | MarkThreadsRead | SetPreferences | WatchThread | RedactMessage):
        raise TypeError(f"{work.command.type} makes an entry")
    return command
