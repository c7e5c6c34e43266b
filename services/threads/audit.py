"""The invariants of threads' database, checked on what is stored: by replaying each log, not by the code that wrote it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo import ASCENDING

from services.threads import rebuild
from services.threads.thread import SIDES
from shared.mongo import Database, Document, leniently

LEFT_BEHIND_AFTER: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Finding:
    """One invariant that does not hold: where, and how."""

    order_id: str
    what: str


@dataclass(frozen=True, slots=True)
class Audited:
    entries: int
    threads: int
    findings: Sequence[Finding]


async def audit(database: Database, *, now: datetime) -> Audited:
    """Checks every thread: `seq` without gaps, each `after` as a replay makes it, nothing left unfinished, the projection as a rebuild
    makes it. Workers may go on meanwhile: what is being written is looked at again.
    """
    findings: list[Finding] = []
    entries, threads = 0, 0
    async for order_id, log in _logs(database):
        entries, threads = entries + len(log), threads + 1
        findings += [Finding(order_id, what) for what in _checked(log, now=now)]
        if await leniently(database["orders"]).find_one({"_id": order_id}, {"_id": 1}) is None:
            findings.append(Finding(order_id, "entries of an order that is not known"))
    different = await rebuild.differences(database)
    findings += [Finding(each.order_id, each.what) for each in different.unreadable]
    findings += [Finding(each, "the projection differs from a rebuild") for each in different.orders]
    return Audited(entries, threads, findings)


async def _logs(database: Database) -> AsyncIterator[tuple[str, list[Document]]]:
    """Each thread's entries in the order of `seq`; a thread fits in memory."""
    log: list[Document] = []
    async for entry in leniently(database["entries"]).find().sort([("order_id", ASCENDING), ("seq", ASCENDING)]):
        if log and log[0].get("order_id") != entry.get("order_id"):
            yield str(log[0].get("order_id")), log
            log = []
        log.append(entry)
    if log:
        yield str(log[0].get("order_id")), log


def _checked(log: Sequence[Document], *, now: datetime) -> list[str]:
    """What is wrong with one thread's log; one that cannot even be read is named, and the others are checked all the same."""
    try:
        return check_log(log, now=now)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"its log cannot be read: {type(error).__name__} {error}"]


def check_log(log: Sequence[Document], *, now: datetime) -> list[str]:
    """What is wrong with one thread's log."""
    wrong = []
    if [entry["seq"] for entry in log] != list(range(1, len(log) + 1)):
        wrong.append("seq has gaps or doubles")
    replay: dict[str, Any] = {
        "by_side": dict.fromkeys(SIDES, 0),
        "persons": {},
        "dispute": None,
        "waiting": None,
        "imported": 0,
    }
    for entry in log:
        wrong += [f"entry {entry['seq']}: {each}" for each in _impossible(replay, entry)]
        _replay(replay, entry)
        wrong += [f"entry {entry['seq']}: {each}" for each in _compare(replay, entry["after"])]
        if entry.get("unfinished") and now - entry["committed_at"] > LEFT_BEHIND_AFTER:
            wrong.append(f"entry {entry['seq']}: unfinished since {entry['committed_at'].isoformat()}")
    return wrong


def _impossible(replay: dict[str, Any], entry: Document) -> list[str]:
    """Steps of a dispute that its state does not allow: one open dispute a thread, and only an open one is closed."""
    is_open = replay["dispute"] is not None and replay["dispute"][1] == "open"
    if entry["kind"] == "dispute_opened" and is_open:
        return ["a dispute opened beside an open one"]
    if entry["kind"] == "dispute_closed" and not is_open:
        return ["a dispute closed without being open"]
    return []


def _replay(replay: dict[str, Any], entry: Document) -> None:
    side, person = entry["author"]["side"], entry["author"]["person"]
    if entry["imported"]:
        replay["imported"] += 1
        return
    replay["by_side"][side] += 1
    replay["persons"][person] = replay["persons"].get(person, 0) + 1
    if entry["kind"] == "dispute_opened":
        replay["dispute"] = (entry["_id"], "open", entry["reason"], None)
    elif entry["kind"] == "dispute_closed" and replay["dispute"] is not None:
        replay["dispute"] = (replay["dispute"][0], "closed", replay["dispute"][2], entry["outcome"])
    if side != "customer" or entry["kind"] == "dispute_closed":
        replay["waiting"] = None
    elif replay["waiting"] is None:
        replay["waiting"] = entry["committed_at"]


def _compare(replay: dict[str, Any], after: Document) -> list[str]:
    dispute = after["dispute"]
    stored = {
        "by_side": after["entries_by_side"],
        "persons": {each["person"]: each["count"] for each in after["persons"]},
        "dispute": (dispute["id"], dispute["state"], dispute["reason"], dispute["outcome"]) if dispute else None,
        "waiting": after["waiting_since"],
        "imported": after["imported"],
    }
    return [f"{name} is not what a replay makes" for name, value in replay.items() if stored[name] != value]
