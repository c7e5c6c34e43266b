"""The ledger's steps as MongoDB updates: each is one atomic change of one document, timed by the database's clock ($$NOW). Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from services.notifier.contents import Gathered, OrderShown, is_urgent
from shared.events import Recipient
from shared.mongo import Document, own_of

Stage = dict[str, Any]

HISTORY_KEPT: Final = 60
ENTRY_WEIGHT: Final = 5_000
"""What an entry weighs besides its text, so that very many short ones fill a mail too."""

DUE: Final[Stage] = {"$expr": {"$lte": ["$wake_at", "$$NOW"]}}

# After the end nobody needs texts, addresses and tokens any more; ids, times and states stay, for tracing and for `taken`.
FORGET: Final[Stage] = {
    "entries": {
        "$map": {
            "input": "$entries",
            "as": "entry",
            "in": {"event_id": "$$entry.event_id", "id": "$$entry.id", "seq": "$$entry.seq", "kind": "$$entry.kind"},
        }
    },
    "inbox": "$recipient.inbox",
    "recipient": "$$REMOVE",
    "order": "$$REMOVE",
    "rendered": "$$REMOVE",
    "transmitted_to": "$$REMOVE",
}
# Nothing was sent, so it does not count among the mails that the person has got.
UNCOUNTED: Final[Stage] = {"counted_at": "$$REMOVE"}
AT_REST: Final[Stage] = {"alive": "$$REMOVE", "wake_at": "$$REMOVE", "ended_at": "$$NOW"}


def in_s(seconds: float) -> Stage:
    """The moment this many seconds from now."""
    return {"$add": ["$$NOW", round(seconds * 1000)]}


def literal(value: object) -> Stage:
    """The value itself: a text that begins with `$` must not be read as a field."""
    return {"$literal": value}


def own(values: Mapping[str, object]) -> Stage:
    """Each mail's own one of these values, by its `_id`: so that one statement, parsed once, changes many mails."""
    return own_of(values)


def history(step: str, **details: object) -> Stage:
    """The list of steps with this one at its end; a detail is a value, or a stage that gives it. Keeps the newest ones, so that a mail cannot outgrow its document."""
    written: Stage = {"at": "$$NOW", "step": step, "fence": {"$ifNull": ["$fence", 0]}}
    written |= {
        name: value if isinstance(value, dict) else literal(value)
        for name, value in details.items()
        if value is not None
    }
    return {"$slice": [{"$concatArrays": [{"$ifNull": ["$history", []]}, [written]]}, -HISTORY_KEPT]}


def weight(entry: Gathered) -> int:
    return ENTRY_WEIGHT + len((entry.text or "").encode())


def begun(
    *,
    mail_id: str,
    key: str,
    entry: Gathered,
    recipient: Recipient,
    order: OrderShown,
    source: str | None = None,
    now: datetime,
    delay_s: float,
) -> Document:
    """A mail with its first entry: what `take` makes where there is none. `now` is the database's time."""
    due = now if is_urgent(entry.kind) else now + timedelta(seconds=delay_s)
    return {
        "_id": mail_id,
        "alive": True,
        "created_at": now,
        "fence": 0,
        "taken": [key],
        "entries": [entry.model_dump()],
        "weight": weight(entry),
        "recipient": recipient.model_dump(mode="json"),
        "order": order.model_dump(mode="json"),
        "source": source,
        "last_seq": entry.seq,
        "wake_at": due,
        "history": [{"at": now, "step": "taken", "fence": 0, "event_id": entry.event_id, "seq": entry.seq}],
    }


def take(
    *,
    mail_id: str,
    key: str,
    entry: Gathered,
    recipient: Recipient,
    order: OrderShown,
    source: str | None = None,
    delay_s: float,
) -> list[Stage]:
    """Puts an entry into the open mail, or makes one. Of several entries, the one with the newest address says it, the newest order wins."""
    stands: Stage = {"$ifNull": ["$recipient.version", ""]}
    is_later = {"$gte": [entry.seq, {"$ifNull": ["$last_seq", -1]}]}
    version = literal(recipient.version or "")
    is_newest = {"$or": [{"$gt": [version, stands]}, {"$and": [{"$eq": [version, stands]}, is_later]}]}
    has_newest_order = {"$gte": [order.version, {"$ifNull": ["$order.version", -1]}]}
    due = "$$NOW" if is_urgent(entry.kind) else in_s(delay_s)
    return [
        {
            "$set": {
                "_id": {"$ifNull": ["$_id", mail_id]},
                "alive": True,
                "created_at": {"$ifNull": ["$created_at", "$$NOW"]},
                "fence": {"$ifNull": ["$fence", 0]},
                "taken": {"$concatArrays": [{"$ifNull": ["$taken", []]}, [literal(key)]]},
                "entries": {"$concatArrays": [{"$ifNull": ["$entries", []]}, [literal(entry.model_dump())]]},
                "weight": {"$add": [{"$ifNull": ["$weight", 0]}, weight(entry)]},
                "recipient": _if(is_newest, literal(recipient.model_dump(mode="json")), "$recipient"),
                "order": _if(has_newest_order, literal(order.model_dump(mode="json")), "$order"),
                "source": {"$ifNull": ["$source", literal(source)]},
                "last_seq": {"$max": ["$last_seq", entry.seq]},
                "wake_at": {"$min": ["$wake_at", due]},
                "history": history("taken", event_id=entry.event_id, seq=entry.seq),
            }
        }
    ]


def close_full() -> list[Stage]:
    """A mail that holds as much as a mail may goes out now; what comes next gathers in another."""
    return [{"$set": {"state": "pending", "wake_at": "$$NOW", "history": history("full")}}]


def lease(*, lease_s: float, holder: str, lease_id: str) -> list[Stage]:
    """Freezes the mail and gives it to one sender for a time, under a new fence number. Mails leased together share the `lease_id`."""
    return [
        {
            "$set": {
                "state": "leased",
                "lease_id": lease_id,
                "counted_at": "$$NOW",
                "fence": {"$add": ["$fence", 1]},
                "due_at": "$wake_at",
                "wake_at": in_s(lease_s),
                "frozen_at": {"$ifNull": ["$frozen_at", "$$NOW"]},
                "history": history("leased", holder=holder),
            }
        }
    ]


def transmitting(
    *, rendered: Mapping[str, bytes], message_ids: Mapping[str, str], to: Mapping[str, str]
) -> list[Stage]:
    """From here on the bytes may have left us, so they are kept: a repetition must be the same, to the same address. All by the mail's id."""
    kept = {"rendered": own(rendered), "message_id": own(message_ids), "transmitted_to": own(to)}
    return [{"$set": {"state": "transmitting", **kept, "history": history("transmitting")}}]


def sent(*, replies: Mapping[str, str]) -> list[Stage]:
    """The server's replies by the mail's id."""
    said = history("sent", reply=own(replies))
    return [{"$set": {"state": "sent", **AT_REST, "history": said}}, {"$set": FORGET}]


def skipped(*, reasons: Mapping[str, str]) -> list[Stage]:
    """Why nothing was left to tell, by the mail's id."""
    said = history("skipped", why=own(reasons))
    return [{"$set": {"state": "skipped", **AT_REST, **UNCOUNTED, "history": said}}, {"$set": FORGET}]


def failed(*, code: int | None, text: str) -> list[Stage]:
    """Ends where an operator sees it, with all that another try would need."""
    error = {"code": literal(code), "text": literal(text)}
    said = history("failed", code=code, text=text)
    return [{"$set": {"state": "failed", **AT_REST, **UNCOUNTED, "error": error, "history": said}}]


def put_back(*, code: int | None, text: str, pause_s: float, give_up_s: float) -> list[Stage]:
    """Comes back after the pause; where it has been failing for too long, it has failed."""
    since = {"$ifNull": ["$failing_since", "$$NOW"]}
    given_up = {"$gte": [{"$subtract": ["$$NOW", since]}, round(give_up_s * 1000)]}
    return [
        {
            "$set": {
                "state": _if(given_up, "failed", "pending"),
                "alive": _if(given_up, "$$REMOVE", True),
                "wake_at": _if(given_up, "$$REMOVE", in_s(pause_s)),
                "ended_at": _if(given_up, "$$NOW", "$$REMOVE"),
                "failing_since": since,
                "attempts": {"$add": [{"$ifNull": ["$attempts", 0]}, 1]},
                **UNCOUNTED,
                "error": {"code": literal(code), "text": literal(text)},
                "history": history("put_back", code=code, text=text),
            }
        }
    ]


def released(*, why: str) -> list[Stage]:
    """As if it had not been leased: due since it was due, and no attempt has been made."""
    since = {"$ifNull": ["$due_at", "$$NOW"]}
    return [{"$set": {"state": "pending", "wake_at": since, "history": history("released", why=why)}}]


def retried() -> list[Stage]:
    """An operator wants a failed or ambiguous mail tried again, at once and with all its tries before it."""
    fresh = {"ended_at": "$$REMOVE", "failing_since": "$$REMOVE", "error": "$$REMOVE"}
    back = {"state": "pending", "alive": True, "wake_at": "$$NOW", "attempts": 0}
    return [{"$set": {**back, **fresh, "history": history("retried")}}]


def ambiguous(*, why: str, resend: bool, pause_s: float) -> list[Stage]:
    """Nobody knows whether it was accepted: sent once more where that is wanted, and else (or the second time) left to an operator."""
    again = {"$and": [resend, {"$eq": [{"$ifNull": ["$ambiguities", 0]}, 0]}]}
    return [
        {
            "$set": {
                "state": _if(again, "pending", "ambiguous"),
                "alive": _if(again, True, "$$REMOVE"),
                "wake_at": _if(again, in_s(pause_s), "$$REMOVE"),
                "ended_at": _if(again, "$$REMOVE", "$$NOW"),
                "ambiguities": {"$add": [{"$ifNull": ["$ambiguities", 0]}, 1]},
                "history": history("ambiguous", why=why),
            }
        }
    ]


def redacted(message_id: str) -> list[Stage]:
    """Takes a text out. Bytes that held it are rendered anew; a sender that holds the mail loses it, unless it is transmitting."""
    entry = {"$cond": [{"$eq": ["$$entry.id", message_id]}, _textless("$$entry"), "$$entry"]}
    leased = {"$eq": ["$state", "leased"]}
    return [
        {
            "$set": {
                "entries": {"$map": {"input": "$entries", "as": "entry", "in": entry}},
                "rendered": "$$REMOVE",
                "state": _if(leased, "pending", "$state"),
                "fence": _if(leased, {"$add": ["$fence", 1]}, "$fence"),
                "wake_at": _if(leased, "$$NOW", {"$ifNull": ["$wake_at", "$$REMOVE"]}),
                "history": history("redacted", message_id=message_id),
            }
        }
    ]


def _textless(entry: str) -> Stage:
    return {"$mergeObjects": [entry, {"text": None, "redacted": True}]}


def _if(condition: Stage, then: object, otherwise: object) -> Stage:
    return {"$cond": [condition, then, otherwise]}
