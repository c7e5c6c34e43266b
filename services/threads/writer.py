"""Decides commands and inserts the entries that they make, in as many rounds as it takes.

What collides with another writer is decided again on the newest entry of the log.
"""

import asyncio
import random
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from services.threads import answers
from services.threads.access import Parties
from services.threads.entries import Log
from services.threads.metrics import Metrics
from services.threads.states import States
from services.threads.thread import AlreadySo, Entry, EntryCommand, Made, Thread, decide
from services.threads.work import MAX_WAITS, Work, later, waits
from shared.commands import CloseDispute, CommandOutcome, ImportMessage, OpenDispute, PostMessage
from shared.errors import ProblemError
from shared.fields import in_milliseconds
from shared.publishing import Outgoing
from shared.queries import dispute_view

COLLISION_PAUSE_S: Final = 0.002
COLLISION_PAUSE_MAX_S: Final = 0.05


@dataclass(slots=True)
class Written:
    """What became of commands: entries that are committed, refusals, copies for a retry tier, and posts that wait for an earlier one.

    `defects` are those whose decision failed for a reason of ours, with the traceback: they take nobody along.
    """

    entries: list[tuple[Work, Entry]] = field(default_factory=list)
    refused: list[tuple[Work, CommandOutcome]] = field(default_factory=list)
    outgoing: list[Outgoing] = field(default_factory=list)
    waiting: list[Work] = field(default_factory=list)
    defects: list[tuple[Work, str]] = field(default_factory=list)
    parties: dict[str, Parties] = field(default_factory=dict)


@dataclass(slots=True)
class _Round:
    """One round: the chain of new entries of each thread, and what must be decided again on the log itself."""

    chains: dict[str, list[tuple[Work, Entry]]] = field(default_factory=dict)
    again: list[Work] = field(default_factory=list)
    collided: int = 0


class Writer:
    def __init__(self, *, log: Log, states: States, metrics: Metrics) -> None:
        self._log, self._states, self._metrics = log, states, metrics

    async def write(self, works: Sequence[Work], *, threads: dict[str, Thread], settled_before: set[str]) -> Written:
        """Commits what can be.

        `threads` are as they were read just now; `settled_before` are ids of earlier posts that are committed or refused, for those that wait
        for one.
        """
        written = Written()
        pending, rounds = list(works), 0
        while pending:
            this = self._decide(pending, threads, settled_before, written)
            await self._insert(this, written)
            settled_before |= {entry.id for _, entry in written.entries}
            again = {work.command.id for work in this.again}
            pending, rounds = [work for work in pending if work.command.id in again], rounds + 1
            if pending:
                await _pause(rounds, collided=this.collided)
                threads = await self._decide_on(pending, threads)
        written.parties = {order_id: thread.parties for order_id, thread in threads.items() if thread.exists}
        return written

    async def _decide_on(self, pending: Sequence[Work], threads: dict[str, Thread]) -> dict[str, Thread]:
        """The threads with those of the pending commands read anew from the log; one that is unknown there is unknown."""
        order_ids = {order_of(work) for work in pending}
        certain = await self._states.newest(order_ids)
        unknown = {order_id: Thread.unknown(order_id, certain=True) for order_id in order_ids - set(certain)}
        return {**threads, **certain, **unknown}

    def _decide(self, works: Sequence[Work], threads: dict[str, Thread], settled: set[str], written: Written) -> _Round:
        this = _Round()
        by_thread: dict[str, list[Work]] = {}
        for work in works:
            by_thread.setdefault(order_of(work), []).append(work)
        for order_id, of_thread in by_thread.items():
            thread = threads.get(order_id, Thread.unknown(order_id))
            chain = self._decide_thread(of_thread, thread, settled, this, written)
            if chain:
                this.chains[order_id] = chain
        return this

    def _decide_thread(
        self, works: Sequence[Work], thread: Thread, settled: set[str], this: _Round, written: Written
    ) -> list[tuple[Work, Entry]]:
        """The entries that these commands make one after another, up to one whose refusal needs the log as its ground."""
        chain: list[tuple[Work, Entry]] = []
        for position, work in enumerate(works):
            if _must_wait(work, settled, chain):
                written.waiting.append(work)
                continue
            try:
                decision = decide(
                    entry_command(work), thread, digest=work.digest, now=in_milliseconds(datetime.now(UTC))
                )
            except Exception:
                written.defects.append((work, traceback.format_exc()))
                continue
            if isinstance(decision, Made):
                chain.append((work, decision.entry))
                thread = decision.thread
            elif _is_not_found(decision) and (retried := later(work)) is not None:
                written.outgoing.append(retried)
            elif thread.certain and not chain:
                written.refused.append((work, _refusal(work, decision)))
            else:
                this.again += works[position:]
                break
        return chain

    async def _insert(self, this: _Round, written: Written) -> None:
        if not this.chains:
            return
        work_of = {entry.id: work for chain in this.chains.values() for work, entry in chain}
        inserted = await self._log.insert([[entry for _, entry in chain] for chain in this.chains.values()])
        self._states.remember(inserted.committed)
        written.entries += [(work_of[entry.id], entry) for entry in inserted.committed]
        await self._look_up([work_of[entry.id] for entry in inserted.refused], this, written)

    async def _look_up(self, collided: Sequence[Work], this: _Round, written: Written) -> None:
        """A duplicate key does not say which index it broke: another worker may have committed the very same command."""
        if not collided:
            return
        this.collided = len(collided)
        self._metrics.collisions.inc(len(collided))
        known = await self._log.find([work.command.id for work in collided])
        for work in collided:
            entry = known.get(work.command.id)
            if entry is None:
                this.again.append(work)
            else:
                written.entries.append((work, entry))


def order_of(work: Work) -> str:
    if work.order_id is None:
        raise ValueError(f"{work.command.type} is about no single order")
    return work.order_id


def entry_command(work: Work) -> EntryCommand:
    if not isinstance(work.command, PostMessage | OpenDispute | CloseDispute | ImportMessage):
        raise ValueError(f"{work.command.type} makes no entry")
    return work.command


def _must_wait(work: Work, settled: set[str], chain: Sequence[tuple[Work, Entry]]) -> bool:
    first = work.waits_for
    if first is None or first in settled or any(entry.id == first for _, entry in chain):
        return False
    return waits(work.message) < MAX_WAITS


def _is_not_found(decision: AlreadySo | ProblemError) -> bool:
    return isinstance(decision, ProblemError) and decision.problem.code == "not_found"


def _refusal(work: Work, decision: AlreadySo | ProblemError) -> CommandOutcome:
    if isinstance(decision, ProblemError):
        return answers.rejected(work.command.id, work.order_id, decision.problem)
    result = dispute_view(decision.dispute).model_dump(mode="json")
    return answers.done(work.command.id, work.order_id, result)


async def _pause(rounds: int, *, collided: int) -> None:
    """Two workers on one hot thread: a short random pause lets the other one through."""
    if collided and rounds > 1:
        limit_s = min(COLLISION_PAUSE_MAX_S, COLLISION_PAUSE_S * rounds)
        await asyncio.sleep(random.uniform(0, limit_s))  # noqa: S311 - nothing secret about a pause
