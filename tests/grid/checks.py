"""What must be true of an order after a cell: stored once, announced, answered, mailed, and nothing left anywhere."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from services.notifier import steps
from services.threads.audit import audit as audit_threads
from shared import topology
from tests.e2e.client import Client
from tests.grid.stage import ENTRY_EVENTS, Stage
from tests.servers.waiting import eventually

Document = dict[str, Any]
LIMIT_S: Final = 30.0


@dataclass(frozen=True)
class Posted:
    """One accepted post: its author, its text, and the id under which it was accepted."""

    author: Client
    text: str
    id: str


@dataclass
class Outcome:
    """What is not as promised (nothing, where the cell is green), and what was seen besides."""

    wrong: list[str] = field(default_factory=list)
    mails: int = 0
    second_mails: int = 0
    ambiguous: int = 0
    repaired: int = 0
    took_s: float = 0.0


async def check(stage: Stage, order_id: str, posts: list[Posted], outcome: Outcome) -> None:
    """Waits until nothing is left to do, then looks at everything."""
    try:
        await eventually(lambda: is_finished(stage, order_id, len(posts)), timeout_s=LIMIT_S, what="all being finished")
        await eventually(lambda: _all_announced(stage, order_id), timeout_s=LIMIT_S, what="all being announced")
        await eventually(lambda: mails_rest(stage, order_id, len(posts)), timeout_s=LIMIT_S, what="all being mailed")
        await eventually(lambda: _all_done(posts), timeout_s=LIMIT_S, what="all being answered")
        await eventually(lambda: _nothing_left(stage), timeout_s=LIMIT_S, what="all queues being empty")
    except AssertionError as late:
        outcome.wrong.append(str(late))
    await stage.hear()
    entries = await _entries(stage, order_id)
    outcome.wrong += _stored(entries, posts)
    outcome.wrong += _announced(stage, order_id, entries)
    await _mailed(stage, order_id, entries, outcome)
    outcome.wrong += await _left_over(stage)


async def check_everything(stage: Stage) -> list[str]:
    """The invariants of threads' database, over all cells; and what came late: a zombie's copies."""
    audited = await audit_threads(stage.threads, now=datetime.now(UTC))
    wrong = [f"{finding.order_id}: {finding.what}" for finding in audited.findings]
    await stage.hear()
    for order_id in await stage.threads["entries"].distinct("order_id"):
        entries = await _entries(stage, order_id)
        late = Outcome()
        await _mailed(stage, order_id, entries, late)
        wrong += [f"{order_id}: {each}" for each in [*_announced(stage, order_id, entries), *late.wrong]]
    return wrong + await _left_over(stage)


async def is_finished(stage: Stage, order_id: str, count: int) -> bool:
    entries = await _entries(stage, order_id)
    return len(entries) >= count and not any(entry.get("unfinished") for entry in entries)


async def mails_rest(stage: Stage, order_id: str, count: int) -> bool:
    """Each entry is for the other side: so many are taken, and none of their mails waits."""
    mails = await stage.notifier["mails"].find({"order_id": order_id}, {"taken": 1, "alive": 1}).to_list()
    return sum(len(mail["taken"]) for mail in mails) >= count and not any(mail.get("alive") for mail in mails)


async def retry_failed_mails(stage: Stage, order_id: str) -> int:
    """As `ctl mails retry` does for each; how many there were."""
    failed = {"order_id": order_id, "state": {"$in": ["failed", "ambiguous"]}}
    return (await stage.notifier["mails"].update_many(failed, steps.retried())).modified_count


async def what_is_left(stage: Stage) -> list[str]:
    """For whoever looks for the reason of what is not as promised: who is not ready, which mails are not sent, what the queues hold."""
    unsent = stage.notifier["mails"].find({"state": {"$nin": ["sent", "skipped"]}})
    return [
        *[f"{each.label} says {each.text_of('/readyz') or 'nothing'}" for each in stage.parley.services.values()],
        *[
            f"mail {mail['_id']} of {mail['order_id']}: {mail['state']} after {mail['history']}"
            async for mail in unsent
        ],
        *await _left_over(stage),
    ]


async def _entries(stage: Stage, order_id: str) -> list[Document]:
    return await stage.threads["entries"].find({"order_id": order_id}).sort("seq", 1).to_list()


async def _all_announced(stage: Stage, order_id: str) -> bool:
    await stage.hear()
    stored = {entry["_id"] for entry in await _entries(stage, order_id)}
    return stored <= {event["id"] for event in stage.events}


async def _all_done(posts: list[Posted]) -> bool:
    states = [(await post.author.get(f"/v1/commands/{post.id}")).body.get("state") for post in posts]
    return set(states) == {"done"}


def _stored(entries: list[Document], posts: list[Posted]) -> list[str]:
    wrong = []
    stored, accepted = [(entry["_id"], entry["text"]) for entry in entries], [(post.id, post.text) for post in posts]
    if sorted(stored) != sorted(accepted):
        wrong.append(f"accepted {sorted(accepted)}, stored {sorted(stored)}")
    if [entry["seq"] for entry in entries] != list(range(1, len(entries) + 1)):
        wrong.append(f"seq is {[entry['seq'] for entry in entries]}")
    return wrong


def _announced(stage: Stage, order_id: str, entries: list[Document]) -> list[str]:
    """Distinct event ids are the entries, and copies are copies."""
    events: dict[str, list[Document]] = defaultdict(list)
    for event in stage.events:
        if event.get("subject") == order_id and event["type"] in ENTRY_EVENTS:
            events[event["id"]].append(event)
    wrong = [f"announced and not stored: {each}" for each in events.keys() - {entry["_id"] for entry in entries}]
    for entry in entries:
        copies = events[entry["_id"]]
        told = {(each["data"]["entry"]["seq"], each["data"]["entry"].get("text")) for each in copies}
        if told != {(entry["seq"], entry["text"])} or any(each != copies[0] for each in copies):
            wrong.append(f"entry {entry['seq']} announced as {sorted(told)}")
    return wrong


async def _mailed(stage: Stage, order_id: str, entries: list[Document], outcome: Outcome) -> None:
    """Each entry to the other side at least once, and a mail more often only where the ledger says ambiguous, with the same bytes."""
    mails = await stage.notifier["mails"].find({"order_id": order_id}).to_list()
    taken = Counter(key for mail in mails for key in mail["taken"])
    due = {
        f"{entry['_id']}|{'seller:s-1' if entry['author']['side'] == 'customer' else 'customer:c-7'}"
        for entry in entries
    }
    if set(taken) != due or max(taken.values(), default=1) > 1:
        outcome.wrong.append(f"due {sorted(due)}, in mails {sorted(taken.elements())}")
    copies: dict[str, list[bytes]] = defaultdict(list)
    for received in stage.parley.smtp.received:
        if received.accepted and any(order_id in each.split("@")[0].split("_") for each in received.recipients):
            copies[str(received.message["Message-ID"])].append(received.content)
    outcome.wrong += [f"an unknown mail: {each}" for each in copies.keys() - {mail.get("message_id") for mail in mails}]
    for mail in mails:
        of_mail = copies.get(str(mail.get("message_id")), [])
        ambiguous = mail.get("ambiguities", 0)
        if mail["state"] != "sent" or not of_mail:
            outcome.wrong.append(f"mail {mail['_id']}: {mail['state']}, came {len(of_mail)} times")
        if len(of_mail) > 1 + ambiguous or len(set(of_mail)) > 1:
            outcome.wrong.append(f"mail {mail['_id']} came {len(of_mail)} times, ambiguous {ambiguous} times")
        outcome.mails += 1
        outcome.second_mails += max(0, len(of_mail) - 1)
        outcome.ambiguous += ambiguous


async def _nothing_left(stage: Stage) -> bool:
    return not await _left_over(stage)


async def _left_over(stage: Stage) -> list[str]:
    queues = [
        name
        for queue in topology.WORK_QUEUES
        for name in (
            queue,
            topology.dead_queue(queue),
            *(topology.retry_queue(queue, tier) for tier in topology.tiers(queue)),
        )
    ]
    depths = {queue: await stage.parley.vhost.depth(queue) for queue in queues}
    return [f"{depth} messages in {queue}" for queue, depth in depths.items() if depth]
