"""What became of every mail while addresses changed, judged by the order in which the notifier's database took its writes."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.notifier.languages import ENGLISH
from shared.contracts.contacts import contact_key
from shared.contracts.keys import join_key
from shared.events import Recipient
from tests.servers.oplog import Write
from tests.servers.smtp import ReceivedMail

Document = dict[str, Any]
Expected = Mapping[tuple[str, str], str]
"""By entry and person, the text that the entry has."""
MESSAGE_ID: Final = re.compile(r"<([0-9a-f]+)@")


@dataclass(frozen=True)
class Attempt:
    """`transmitting` was stored for a mail: the address that it was for, and the one of that moment (None: withdrawn)."""

    mail_id: str
    to: str
    of_the_moment: str | None


@dataclass
class Judgement:
    """What was seen, and what of it is not as promised."""

    attempts: int = 0
    taken_back: int = 0
    repeated: int = 0
    states: Counter[str] = field(default_factory=Counter)
    withdrawn: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        return [*self.withdrawn, *self.lost, *self.doubled]


def judge(
    made: Sequence[Write], mails: Sequence[Document], received: Sequence[ReceivedMail], expected: Expected
) -> Judgement:
    """`made` are the writes of the notifier's database, `mails` are its mails as they stand at the end."""
    attempts, erased = _attempts(made)
    judged = Judgement(attempts=len(attempts), states=Counter(mail["state"] for mail in mails))
    judged.taken_back = sum(each.to != each.of_the_moment for each in attempts)
    _judge_addresses(judged, attempts, received)
    _judge_ends(judged, mails, received, erased)
    _judge_entries(judged, mails, received, expected)
    return judged


def _attempts(made: Sequence[Write]) -> tuple[list[Attempt], set[str]]:
    """The attempts in their order, and the mails whose address was withdrawn at some moment between their last lease and their end."""
    contacts: dict[str, Document] = {}
    stands: dict[str, Document] = {}
    attempts: list[Attempt] = []
    withdrawn_since_lease: set[str] = set()
    for each in made:
        document = each.document
        if each.collection == "addresses":
            contacts[document["_id"]] = document
            withdrawn_since_lease |= {
                mail_id for mail_id, mail in stands.items() if mail["state"] == "leased" and _of(mail, contacts) is None
            }
        if each.collection != "mails":
            continue
        before = stands.get(document["_id"], {})
        stands[document["_id"]] = document
        changed = (before.get("state"), before.get("fence")) != (document["state"], document["fence"])
        if changed and document["state"] == "leased":
            withdrawn_since_lease.discard(document["_id"])
            if _of(document, contacts) is None:
                withdrawn_since_lease.add(document["_id"])
        if changed and document["state"] == "transmitting":
            attempts.append(Attempt(document["_id"], document["transmitted_to"], _of(document, contacts)))
    return attempts, withdrawn_since_lease


def _of(mail: Document, contacts: Mapping[str, Document]) -> str | None:
    """The address of the moment: of what the entry said and what was said since, the one with the greater version."""
    recipient = Recipient.model_validate(mail["recipient"])
    assert recipient.version is not None
    contact = contacts.get(contact_key(recipient.role, recipient.person, mail["order_id"]))
    email: str | None = recipient.email
    return email if contact is None or contact["version"] <= recipient.version else contact["email"]


def _judge_addresses(judged: Judgement, attempts: Sequence[Attempt], received: Sequence[ReceivedMail]) -> None:
    """Nothing came but by an attempt at the address of its moment, and no mail came to two addresses."""
    right = Counter((each.mail_id, each.to) for each in attempts if each.to == each.of_the_moment)
    came = Counter((_mail_id(mail), address) for mail in received for address in mail.recipients)
    for (mail_id, address), count in came.items():
        if count > right[mail_id, address]:
            judged.withdrawn.append(f"mail {mail_id} to {address} {count} times, begun {right[mail_id, address]} times")
    kept = {(_mail_id(mail), address) for mail in received for address in mail.recipients if not _is_refused(mail)}
    for mail_id, count in Counter(mail_id for mail_id, _ in kept).items():
        if count > 1:
            judged.doubled.append(f"mail {mail_id} to {sorted(to for of, to in kept if of == mail_id)}")
    judged.repeated = sum(came.values()) - len(came)


def _judge_ends(
    judged: Judgement, mails: Sequence[Document], received: Sequence[ReceivedMail], erased: set[str]
) -> None:
    accepted = {_mail_id(mail) for mail in received if mail.accepted}
    for mail in mails:
        match mail["state"]:
            case "sent" if mail["_id"] in accepted:
                continue
            case "skipped" if mail["history"][-1]["why"] == "erased" and mail["_id"] in erased:
                continue
            case "ambiguous":
                # Left to an operator: it may have reached an address that has changed since.
                continue
        judged.lost.append(f"mail {mail['_id']} ended as {mail['state']}: {mail['history'][-1]}")


def _judge_entries(
    judged: Judgement, mails: Sequence[Document], received: Sequence[ReceivedMail], expected: Expected
) -> None:
    """Each entry was taken for each of its people by one mail, and is told in it where that was sent, or counted where it has no room."""
    bodies = {_mail_id(mail): _body(mail) for mail in received if mail.accepted}
    for (entry_id, person), text in expected.items():
        holding = [mail for mail in mails if join_key(entry_id, person) in mail["taken"]]
        if not holding:
            judged.lost.append(f"{text} was not taken for {person}")
        if len(holding) > 1:
            judged.doubled.append(f"{text} was taken for {person} by {len(holding)} mails")
        judged.lost += [
            f"{text} is not in the mail to {person}"
            for mail in holding
            if mail["state"] == "sent" and not _tells(bodies[mail["_id"]], text)
        ]


def _tells(body: str, text: str) -> bool:
    return text in body or ENGLISH.read_rest in body


def _is_refused(mail: ReceivedMail) -> bool:
    return mail.answer is not None and not mail.accepted


def _mail_id(mail: ReceivedMail) -> str:
    found = MESSAGE_ID.search(str(mail.message["Message-ID"]))
    assert found is not None
    return found[1]


def _body(mail: ReceivedMail) -> str:
    part = mail.message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())
