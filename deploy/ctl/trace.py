"""The life of one message: accepted, committed, announced, mailed, with times. Names and addresses are not shown."""

import re
from typing import Any

from shared.mongo import Database


async def trace(message_id: str, *, threads: Database, notifier: Database) -> list[str]:
    """What the databases know of a message or command id, in the order in which it happened."""
    entry = await threads["entries"].find_one({"_id": message_id})
    outcome = await threads["outcomes"].find_one({"_id": message_id})
    lines = []
    if entry is not None:
        lines += _of_entry(entry)
    if outcome is not None:
        lines.append(
            f"{_at(outcome['at'])}  outcome kept: {outcome['outcome']['state']} ({outcome['outcome']['status']})"
        )
    async for mail in notifier["mails"].find({"taken": {"$regex": f"^{re.escape(message_id)}\\|"}}):
        lines.append(f"{_at(mail.get('created_at'))}  mail {mail['_id']}: {mail['state']}")
        lines += [f"{_at(step.get('at'))}    {step.get('step')}" for step in mail.get("history", [])]
    return lines or [f"nothing is known of {message_id}: not accepted, or still in the queue"]


def _of_entry(entry: dict[str, Any]) -> list[str]:
    lines = [
        f"{_at(entry['accepted_at'])}  accepted by the gateway",
        f"{_at(entry['committed_at'])}  committed as entry {entry['seq']} ({entry['kind']}) of order {entry['order_id']}",
    ]
    finished = "not announced yet (unfinished)" if entry.get("unfinished") else "projected and announced"
    lines.append(f"{' ' * 24}  {finished}")
    if entry.get("redacted"):
        lines.append(f"{' ' * 24}  its text was taken out")
    return lines


def _at(moment: Any) -> str:
    return moment.isoformat(timespec="milliseconds")[:23] + "Z" if moment is not None else " " * 24
