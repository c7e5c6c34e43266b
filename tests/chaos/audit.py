"""The audit after quiescence: what was attempted and answered, against what is stored and announced."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from services.threads import audit as threads_audit
from shared import topology
from shared.mongo import Database
from tests.chaos import mails
from tests.chaos.ledger import Ledger
from tests.chaos.mails import MailFigures
from tests.chaos.poison import Poison
from tests.servers.parley import Parley

Document = dict[str, Any]

ACCEPTED: Final = (201, 202)
# docs/api.md: `after` is waited for, at most so long.
AFTER_LIMIT_S: Final = 10.0
SIDES: Final = ("customer", "seller", "shop")
# Events that tell of no entry: they may come any number of times.
WITHOUT_ENTRY: Final = ("parley.thread.read.v1", "parley.order.rejected.v1")


@dataclass
class Verdict:
    """Everything that is not as promised; empty where all is."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    ghosts: list[str] = field(default_factory=list)
    disorder: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    entries: int = 0
    waited_in_vain: int = 0
    mails: MailFigures = field(default_factory=MailFigures)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.ghosts or self.disorder or self.other)


@dataclass(frozen=True)
class Evidence:
    """What the audit looks at. `peaceful` is a run without faults, in which nothing may have been ambiguous."""

    parley: Parley
    ledger: Ledger
    threads: Database
    notifier: Database
    events: Sequence[Document]
    poison: Poison
    peaceful: bool


async def audit(evidence: Evidence) -> Verdict:
    verdict = Verdict()
    lines = list(evidence.ledger.lines())
    entries = await evidence.threads["entries"].find().sort([("order_id", 1), ("seq", 1)]).to_list()
    verdict.entries = len(entries)
    _posts(verdict, lines, entries)
    verdict.other += _announced(entries, evidence.events)
    verdict.other += _recounted(entries, await evidence.threads["threads"].find().to_list())
    stored_mails = await evidence.notifier["mails"].find().to_list()
    verdict.mails, wrong = mails.audit(
        entries, stored_mails, evidence.parley.smtp.received, reads=_reads(lines), peaceful=evidence.peaceful
    )
    verdict.other += wrong
    verdict.other += await _queues(evidence)
    audited = await threads_audit.audit(evidence.threads, now=datetime.now(UTC))
    verdict.other += [f"{finding.order_id}: {finding.what}" for finding in audited.findings]
    if unfinished := await evidence.threads["entries"].count_documents({"unfinished": True}):
        verdict.other.append(f"{unfinished} unfinished entries")
    return verdict


def _posts(verdict: Verdict, lines: Sequence[Document], entries: Sequence[Document]) -> None:
    """accepted ⊆ stored ⊆ attempted, each once, below what its author had seen and below the post that it names."""
    attempts = {line["text"]: line for line in lines if _is_attempt(line) and line["path"].endswith("/messages")}
    posted = {attempt["key"] for attempt in attempts.values()}
    accepted = {line["key"]: line for line in lines if line["what"] == "answer" and line["status"] in ACCEPTED}
    stored = Counter(entry["text"] for entry in entries if entry["kind"] == "text")
    places = {entry["_id"]: entry["seq"] for entry in entries}
    verdict.doubled += [text for text, count in stored.items() if count > 1]
    verdict.ghosts += [text for text in stored if text not in attempts]
    verdict.lost += [text for text, attempt in attempts.items() if attempt["key"] in accepted and text not in stored]
    verdict.lost += [
        f"id of {key}" for key, line in accepted.items() if key in posted and line["id"] and line["id"] not in places
    ]
    for entry in entries:
        attempt = attempts.get(entry["text"] or "")
        if attempt is not None and entry["kind"] == "text":
            verdict.disorder += _out_of_order(entry, attempt)
            _follows(verdict, entry, attempt, places)


def _follows(verdict: Verdict, entry: Document, attempt: Document, places: dict[str, int]) -> None:
    """Below the post that it names; but for that one a post waits no longer than ten seconds, as where a frozen worker has it."""
    if places.get(attempt["after"] or "", 0) <= entry["seq"]:
        return
    if entry["committed_at"].timestamp() - attempt["at"] < AFTER_LIMIT_S:
        verdict.disorder.append(f"{entry['text']}: before the post that it names")
    else:
        verdict.waited_in_vain += 1


def _out_of_order(entry: Document, attempt: Document) -> list[str]:
    wrong = []
    if entry["order_id"] != attempt["order"]:
        wrong.append(f"{entry['text']}: in {entry['order_id']} instead of {attempt['order']}")
    if entry["seq"] <= attempt["seen"]:
        wrong.append(f"{entry['text']}: at {entry['seq']}, above {attempt['seen']} which its author had seen")
    return wrong


def _is_attempt(line: Document) -> bool:
    return bool(line["what"] == "attempt")


def _reads(lines: Iterable[Document]) -> dict[tuple[str, str], int]:
    """By order and side: the newest entry that anybody there has asked to be marked as read."""
    reads: dict[tuple[str, str], int] = defaultdict(int)
    for line in lines:
        if _is_attempt(line) and line["path"].endswith("/read"):
            place = (line["order"], line["person"].partition("-")[0])
            reads[place] = max(reads[place], line["seen"])
    return reads


def _announced(entries: Sequence[Document], events: Sequence[Document]) -> list[str]:
    """Each entry by exactly one event id, and each id by an entry; every copy says what is stored."""
    told = [event for event in events if event["type"] not in WITHOUT_ENTRY]
    announced = {event["id"] for event in told}
    stored = {entry["_id"]: entry for entry in entries}
    wrong = [f"never announced: {each}" for each in stored.keys() - announced]
    wrong += [f"announced and not stored: {each}" for each in announced - stored.keys()]
    return wrong + [
        f"announced otherwise than stored: {event['id']}"
        for event in told
        if event["id"] in stored and _said(event) != _kept(stored[event["id"]])
    ]


def _said(event: Document) -> tuple[object, ...]:
    entry = event["data"]["entry"]
    return entry["seq"], entry.get("text"), datetime.fromisoformat(entry["committed_at"])


def _kept(entry: Document) -> tuple[object, ...]:
    return entry["seq"], entry["text"], entry["committed_at"]


def _recounted(entries: Sequence[Document], threads: Sequence[Document]) -> list[str]:
    """Each inbox's unread number, counted from the log: what others have written above its mark."""
    logs: dict[str, list[Document]] = defaultdict(list)
    for entry in entries:
        logs[entry["order_id"]].append(entry)
    wrong = []
    for thread in threads:
        for side in SIDES:
            mark = (thread.get("marks") or {}).get(side) or {"seq": 0}
            above = [entry for entry in logs[thread["_id"]] if entry["seq"] > mark["seq"]]
            counted = sum(entry["author"]["side"] != side for entry in above)
            if (kept := thread["unread"][side]) != counted:
                wrong.append(f"{thread['_id']}: {kept} unread for {side}, and {counted} when counted")
    return wrong


async def _queues(evidence: Evidence) -> list[str]:
    """Work queues are empty; dead letters are the poison, all of it and nothing else. A dead letter may be there twice."""
    wrong = []
    vhost, poison = evidence.parley.vhost, evidence.poison
    for queue in topology.WORK_QUEUES:
        if depth := await vhost.depth(queue):
            wrong.append(f"{depth} messages left in {queue}")
        dead = {str(message.message_id) for message in await vhost.take_all(topology.dead_queue(queue))}
        injected = poison.injected[queue]
        wrong += [f"dead in {queue}, and no poison: {each}" for each in sorted(dead - injected - poison.perhaps)]
        wrong += [f"poison of {queue} that is not dead: {each}" for each in sorted(injected - dead)]
    return wrong
