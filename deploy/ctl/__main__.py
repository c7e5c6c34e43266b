"""`python -m deploy.ctl …`: the operator's tool. Without addresses in the environment it works on the stack of `make run`."""

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from deploy.ctl import dead
from deploy.ctl.target import Target
from deploy.ctl.trace import trace
from deploy.local.errors import StackError
from services.notifier import steps
from services.threads import audit, rebuild
from shared import logs, topology
from shared.mongo import Database, connect, database


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m deploy.ctl", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    letters = commands.add_parser("dead", help="dead letters").add_subparsers(dest="action", required=True)
    listing = letters.add_parser("list", help="one line each")
    listing.add_argument("queue", nargs="?", choices=sorted(topology.WORK_QUEUES))
    letters.add_parser("show", help="one, with its body").add_argument("id")
    letters.add_parser("replay", help="decide it again").add_argument("id", help="a message id, or all")
    letters.add_parser("drop", help="delete it for good").add_argument("id")
    commands.add_parser("unfinished", help="entries with steps still to do")
    commands.add_parser("rebuild", help="make the lists and badges anew from the log")
    mails = commands.add_parser("mails", help="mails that need somebody").add_subparsers(dest="action", required=True)
    mails.add_parser("list", help="failed and ambiguous ones")
    mails.add_parser("retry", help="try one again").add_argument("id")
    commands.add_parser("trace", help="the life of one message").add_argument("id")
    commands.add_parser("audit", help="check every invariant; exit status 1 if one does not hold")
    return top


async def run(asked: argparse.Namespace, target: Target) -> int:
    """Does what was asked; the exit status."""
    if asked.command == "dead":
        return await _dead(asked, target)
    client = connect(target.mongo_url, name="ctl")
    try:
        threads = database(client, target.threads_database)
        notifier = database(client, target.notifier_database)
        return await _stores(asked, threads, notifier)
    finally:
        await client.close()


async def _dead(asked: argparse.Namespace, target: Target) -> int:
    async with dead.opened(target.amqp_url) as letters:
        match asked.action:
            case "list":
                found = await letters.look(asked.queue)
                _say(*(letter.line() for letter in found), f"{len(found)} dead letters")
            case "show":
                shown = [letter.shown() for letter in await letters.look() if letter.id == asked.id]
                _say(*(shown or [f"no dead letter {asked.id}"]))
                return 0 if shown else 1
            case "replay":
                _say(f"replayed {await letters.replay(asked.id)}")
            case "drop":
                _say(f"dropped {await letters.drop(asked.id)}")
    return 0


async def _stores(asked: argparse.Namespace, threads: Database, notifier: Database) -> int:
    match asked.command:
        case "unfinished":
            return await _unfinished(threads)
        case "rebuild":
            return await _rebuild(threads)
        case "mails":
            return await _mails(asked, notifier)
        case "trace":
            _say(*await trace(asked.id, threads=threads, notifier=notifier))
        case "audit":
            return await _audit(threads)
    return 0


async def _rebuild(threads: Database) -> int:
    """Exit status 1 where a document could not be read; its thread is left as it stands, and all others are made anew."""
    rebuilt = await rebuild.rebuild(threads)
    _say(*(f"{each.order_id}: {each.what}" for each in rebuilt.unreadable))
    _say(f"rebuilt {rebuilt.threads} threads, {len(rebuilt.unreadable)} documents could not be read")
    return 1 if rebuilt.unreadable else 0


async def _unfinished(threads: Database) -> int:
    found = await threads["entries"].find({"unfinished": True}).sort("committed_at").to_list()
    _say(*(f"{entry['committed_at'].isoformat()}  {entry['order_id']}  {entry['_id']}" for entry in found))
    _say(f"{len(found)} unfinished entries")
    return 0


async def _mails(asked: argparse.Namespace, notifier: Database) -> int:
    """Recipients are named by their person key, never by address."""
    if asked.action == "retry":
        retried = await notifier["mails"].update_one(
            {"_id": asked.id, "state": {"$in": ["failed", "ambiguous"]}}, steps.retried()
        )
        _say(f"will be tried again: {retried.modified_count}")
        return 0 if retried.modified_count else 1
    found = await notifier["mails"].find({"state": {"$in": ["failed", "ambiguous"]}}).sort("created_at").to_list()
    for mail in found:
        error = mail.get("error") or {}
        why = f"{error.get('code') or ''} {error.get('text') or ''}".strip()
        _say(f"{mail['_id']}  {mail['state']}  order {mail['order_id']}  to {mail['person']}  {why}")
    _say(f"{len(found)} mails")
    return 0


async def _audit(threads: Database) -> int:
    audited = await audit.audit(threads, now=datetime.now(UTC))
    _say(*(f"{finding.order_id}: {finding.what}" for finding in audited.findings))
    _say(f"{audited.threads} threads, {audited.entries} entries, {len(audited.findings)} findings")
    return 1 if audited.findings else 0


def _say(*lines: str) -> None:
    for line in lines:
        print(line)


def main() -> None:
    asked = parser().parse_args()
    logs.configure(service="ctl", log_format="text", level="error")
    try:
        sys.exit(asyncio.run(run(asked, Target.read())))
    except StackError as error:
        sys.exit(f"ctl: {error}")


if __name__ == "__main__":
    main()
