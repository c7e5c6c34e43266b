"""The audit of e-mail: the ledger of the notifier against what the SMTP server got. Pure."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.notifier.languages import ENGLISH
from tests.chaos.people import Party, address, answerer_of, customer_of
from tests.servers.smtp import ReceivedMail

Document = dict[str, Any]

SAYS: Final = re.compile(r"\w+-\d+ says k\d+")
REST: Final = ENGLISH.read_rest


@dataclass
class MailFigures:
    """`doubts` counts outcomes that nobody knew, of which `lapsed` because the sender was gone (killed, frozen, cut off) after DATA."""

    mails: int = 0
    duplicates: int = 0
    doubts: int = 0
    lapsed: int = 0


def audit(
    entries: Sequence[Document],
    mails: Sequence[Document],
    received: Sequence[ReceivedMail],
    *,
    reads: Mapping[tuple[str, str], int],
    peaceful: bool,
) -> tuple[MailFigures, list[str]]:
    """Each due mail at least once, and more often only where the ledger says that its outcome was not known, with the same Message-ID."""
    arrived = [mail for mail in received if mail.accepted or mail.answer is None]
    times = Counter(str(mail.message["Message-ID"]) for mail in arrived)
    wrong = _untold(entries, mails, arrived, reads) + _other_bytes(arrived) + _taken_again(mails)
    known = {mail.get("message_id") for mail in mails}
    wrong += [f"came, and is no mail of the ledger: {each}" for each in times if each not in known]
    for mail in mails:
        wrong += _ended_badly(mail, times)
    doubts = [step for mail in mails for step in mail["history"] if step["step"] == "ambiguous"]
    if peaceful and doubts:
        wrong.append(f"{len(doubts)} ambiguous mails, and there was no fault")
    figures = MailFigures(
        mails=len(times),
        duplicates=sum(count - 1 for count in times.values()),
        doubts=len(doubts),
        lapsed=sum(step.get("why") == "lease ended" for step in doubts),
    )
    return figures, wrong


def _untold(
    entries: Sequence[Document],
    mails: Sequence[Document],
    arrived: Sequence[ReceivedMail],
    reads: Mapping[tuple[str, str], int],
) -> list[str]:
    """Every entry is taken for the other side, and every text reached their mailbox unless they read it first.

    A mail that holds more than it has room for counts the rest, and says where it is.
    """
    taken = {key for mail in mails for key in mail["taken"]}
    told: dict[str, set[str]] = defaultdict(set)
    counted: dict[str, set[str]] = defaultdict(set)
    of_ledger = {mail.get("message_id"): mail for mail in mails}
    for mail in arrived:
        text, mailbox = _text(mail), mail.recipients[0]
        told[mailbox].update(SAYS.findall(text))
        if REST in text:
            of_mail = of_ledger.get(str(mail.message["Message-ID"]), {})
            counted[mailbox].update(entry["id"] for entry in of_mail.get("entries", []))
    wrong = []
    for entry in entries:
        order = entry["order_id"]
        for each in (_customer_of(order), answerer_of(order)):
            if each.side == entry["author"]["side"]:
                continue
            if f"{entry['_id']}|{each.mailbox}" not in taken:
                wrong.append(f"never mailed: {entry['_id']} to {each.mailbox}")
            was_read = entry["seq"] <= reads.get((order, each.side), 0)
            is_told = entry["text"] in told[each.address] or entry["_id"] in counted[each.address]
            if entry["kind"] == "text" and not was_read and not is_told:
                wrong.append(f"in no mail: {entry['text']} ({order}, {entry['seq']}) to {each.mailbox}")
    return wrong


def _customer_of(order: str) -> Party:
    customer = customer_of(order)
    return Party("customer", f"customer:{customer}", address(customer))


def _text(mail: ReceivedMail) -> str:
    plain = mail.message.get_body(("plain",))
    return "" if plain is None else str(plain.get_content())


def _taken_again(mails: Sequence[Document]) -> list[str]:
    """An entry is taken for a person once, for ever."""
    taken = Counter(key for mail in mails for key in mail["taken"])
    return [f"taken {count} times: {key}" for key, count in taken.items() if count > 1]


def _other_bytes(arrived: Sequence[ReceivedMail]) -> list[str]:
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for mail in arrived:
        bodies[str(mail.message["Message-ID"])].add(mail.content)
    return [f"other bytes under one Message-ID: {each}" for each, contents in bodies.items() if len(contents) > 1]


def _ended_badly(mail: Document, times: Mapping[str, int]) -> list[str]:
    state, message_id = mail["state"], mail.get("message_id")
    count = times.get(str(message_id), 0) if message_id else 0
    wrong = []
    if state not in ("sent", "skipped"):
        wrong.append(f"mail {mail['_id']} ended as {state}")
    if state == "sent" and count == 0:
        wrong.append(f"mail {mail['_id']} is marked sent and never came")
    if count > 1 + _doubts(mail):
        wrong.append(f"mail {mail['_id']} came {count} times and was ambiguous {_doubts(mail)} times")
    return wrong


def _doubts(mail: Document) -> int:
    return sum(step["step"] == "ambiguous" for step in mail["history"])
