"""The audit after quiescence: what was attempted and answered, against what is stored, announced and mailed."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.threads import audit as threads_audit
from shared import topology
from shared.mongo import Database
from tests.chaos.ledger import Ledger
from tests.servers.parley import Parley

Document = dict[str, Any]


@dataclass
class Verdict:
    """Everything that is not as promised; empty where all is."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    ghosts: list[str] = field(default_factory=list)
    disorder: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    mails: int = 0
    duplicate_mails: int = 0
    ambiguous: int = 0
    entries: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.ghosts or self.disorder or self.other)


async def audit(
    parley: Parley, *, ledger: Ledger, threads: Database, notifier: Database, events: list[Document], poison: int
) -> Verdict:
    verdict = Verdict()
    entries = await threads["entries"].find().sort([("order_id", 1), ("seq", 1)]).to_list()
    verdict.entries = len(entries)
    _posts(verdict, ledger, entries)
    _announced(verdict, entries, events)
    await _mailed(verdict, entries, notifier, parley)
    await _queues(verdict, parley, poison)
    audited = await threads_audit.audit(threads, now=datetime.now(UTC))
    verdict.other += [f"{finding.order_id}: {finding.what}" for finding in audited.findings]
    unfinished = await threads["entries"].count_documents({"unfinished": True})
    if unfinished:
        verdict.other.append(f"{unfinished} unfinished entries")
    return verdict


def _posts(verdict: Verdict, ledger: Ledger, entries: list[Document]) -> None:
    """accepted ⊆ stored ⊆ attempted, each once, after what its author had seen and after the post that it names."""
    attempts: dict[str, Document] = {}
    accepted: dict[str, Document] = {}
    for line in ledger.lines():
        if line["what"] == "attempt" and line["path"].endswith("/messages"):
            attempts[line["text"]] = line
        elif line["what"] == "answer" and line["status"] in (201, 202):
            accepted[line["key"]] = line
    stored = Counter(entry["text"] for entry in entries if entry["kind"] == "text")
    places = {entry["_id"]: (entry["order_id"], entry["seq"]) for entry in entries}
    verdict.doubled += [text for text, count in stored.items() if count > 1]
    verdict.ghosts += [text for text in stored if text not in attempts]
    verdict.lost += [text for text, attempt in attempts.items() if attempt["key"] in accepted and text not in stored]
    verdict.lost += [
        f"id of {line['key']}"
        for line in accepted.values()
        if line["id"] and line["id"] not in places and _is_post(line, attempts)
    ]
    for entry in entries:
        attempt = attempts.get(entry["text"] or "")
        if attempt is None or entry["kind"] != "text":
            continue
        if entry["seq"] <= attempt["seen"]:
            verdict.disorder.append(
                f"{entry['text']}: at {entry['seq']}, above {attempt['seen']} which its author had seen"
            )
        before = places.get(attempt["after"] or "")
        if before is not None and before[1] > entry["seq"]:
            verdict.disorder.append(f"{entry['text']}: before the post that it names")


def _is_post(line: Document, attempts: dict[str, Document]) -> bool:
    return any(attempt["key"] == line["key"] for attempt in attempts.values())


def _announced(verdict: Verdict, entries: Iterable[Document], events: list[Document]) -> None:
    announced = {event["id"] for event in events if event["type"] != "parley.thread.read.v1"}
    stored = {entry["_id"] for entry in entries}
    verdict.other += [f"never announced: {each}" for each in stored - announced]
    verdict.other += [f"announced and not stored: {each}" for each in announced - stored]


async def _mailed(verdict: Verdict, entries: list[Document], notifier: Database, parley: Parley) -> None:
    """Each due mail at least once, and more often only where the ledger says ambiguous, with the same Message-ID."""
    mails = await notifier["mails"].find().to_list()
    taken = {key for mail in mails for key in mail["taken"]}
    for entry in entries:
        order, author = entry["order_id"], entry["author"]["side"]
        number = order.removeprefix("o-")
        due = {"customer": f"customer:c-{number}", "seller": f"seller:s-{int(number) % 2}"}
        for side, person in due.items():
            if side != author and f"{entry['_id']}|{person}" not in taken:
                verdict.other.append(f"never mailed: {entry['_id']} to {person}")
    received: dict[str, set[bytes]] = defaultdict(set)
    times: Counter[str] = Counter()
    for each in parley.smtp.received:
        message_id = str(each.message["Message-ID"])
        if each.accepted or each.answer is None:
            times[message_id] += 1
            received[message_id].add(each.content)
    for mail in mails:
        _check_mail(verdict, mail, times)
    verdict.mails = len(times)
    verdict.duplicate_mails = sum(count - 1 for count in times.values())
    verdict.ambiguous = sum(bool(mail.get("ambiguities")) for mail in mails)
    verdict.other += [
        f"other bytes under one Message-ID: {each}" for each, bodies in received.items() if len(bodies) > 1
    ]


def _check_mail(verdict: Verdict, mail: Document, times: Counter[str]) -> None:
    state, message_id = mail["state"], mail.get("message_id")
    count = times[str(message_id)] if message_id else 0
    if state not in ("sent", "skipped"):
        verdict.other.append(f"mail {mail['_id']} ended as {state}")
    if state == "sent" and count == 0:
        verdict.other.append(f"mail {mail['_id']} is marked sent and never came")
    if count > 1 and not mail.get("ambiguities"):
        verdict.other.append(f"mail {mail['_id']} came {count} times and was never ambiguous")


async def _queues(verdict: Verdict, parley: Parley, poison: int) -> None:
    for queue in topology.WORK_QUEUES:
        depth, dead = await parley.vhost.depth(queue), await parley.vhost.depth(topology.dead_queue(queue))
        wanted = poison if queue == topology.ORDERS_QUEUE else 0
        if depth:
            verdict.other.append(f"{depth} messages left in {queue}")
        if dead != wanted:
            verdict.other.append(f"{dead} dead letters of {queue}, and {wanted} were poison")
