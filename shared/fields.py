"""Field types that every contract is made of, with the limits that the documentation states."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)

from shared import addresses
from shared.visible import character_class, shows

TEXT_MAX_CHARACTERS = 10_000
NAME_MAX_CHARACTERS = 200
ORDER_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:~-]{0,63}$"
COMMAND_ID_PATTERN = r"^[a-z2-7]{42}$"
# The largest integer that every JSON reader keeps exact is 2^53 (RFC 8259, section 6).
MAX_EXACT_INTEGER = 2**53

_CONTROLS_IN_ONE_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

# JSON Schema's words for rules that are checked here in Python, so that the documents say them too.
_IN_ONE_LINE = r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]"
_ONE_LINE_SCHEMA = {"pattern": f"^{_IN_ONE_LINE}*$"}
# What shows nothing beyond U+FFFF is refused too, which these do not say.
_UNSEEN = character_class(up_to=0xFFFF)
SHOWN_TEXT_SCHEMA = {"pattern": rf"^[^\u0000]*[^{_UNSEEN}][^\u0000]*$"}
SHOWN_NAME_SCHEMA = {"pattern": f"^{_IN_ONE_LINE}*[^{_UNSEEN}]{_IN_ONE_LINE}*$"}
# As far as a pattern can say it; whether the domain is one, and how long all of it is in bytes, is looked at in shared/addresses.py.
_LOCAL_PART = r'[^\s\u0000-\u001f\u007f-\u009f\u00ad\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f\ufeff<>,;:"()\[\]\\@]+'
_QUOTED_LOCAL_PART = r'"(?:[ !#-\[\]-~]|\\[ -~])+"'
_LABEL = r"[^\u0000-\u002c\u002e\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a0]+"
ADDRESS_SCHEMA: Final[dict[str, Any]] = {
    "pattern": rf"^(?:{_LOCAL_PART}|{_QUOTED_LOCAL_PART})@{_LABEL}(?:\.{_LABEL})*$",
    "maxLength": addresses.MAX_ADDRESS_OCTETS,
}

GIVEN: Final[Mapping[str, Any]] = {"given": True}
"""The validation context of what callers and shops send. A rule that is newer than what is stored holds in it alone: a document of
an older release must be readable for ever."""


NOTHING_SEEN = "must contain a character that can be seen"


def _is_given(info: ValidationInfo) -> bool:
    return info.context is not None and bool(info.context.get("given"))


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the character NUL (U+0000)")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must contain more than white space")
    return value


def _shown(value: str) -> str:
    if not shows(value):
        raise ValueError(NOTHING_SEEN)
    return value


def _shown_if_given(value: str, info: ValidationInfo) -> str:
    return _shown(value) if _is_given(info) else value


def _one_line(value: str) -> str:
    if _CONTROLS_IN_ONE_LINE.search(value):
        raise ValueError("must be one line without control characters")
    return value


def _sendable(value: str) -> str:
    """Says what hinders a mail to this address; whether the mailbox exists, only SMTP can say. The value stays as it was written."""
    addresses.sendable(value)
    return value


def _sendable_if_given(value: str, info: ValidationInfo) -> str:
    if _is_given(info):
        return _sendable(value)
    if not re.fullmatch(".+@.+", value):
        raise ValueError(addresses.EXAMPLE)
    return value


def _within_the_calendar(value: datetime) -> datetime:
    """A moment is kept, compared and shown in UTC, so it must be within the calendar there (MongoDB's and Python's: years 1 to 9999)."""
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be within the years 0001 to 9999 in UTC") from None
    return value


def _whole(value: object) -> object:
    """12.0 is an integer to JSON Schema, and some languages write their integers so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class DecimalText:
    """Marks a field type whose text is a decimal number: contents that differ in its noughts are equal (shared.contracts.values)."""


# Stands behind the limits, since pydantic's JSON Schema loses those that stand behind a validator.
WholeNumber = BeforeValidator(_whole)
OrderId = Annotated[str, StringConstraints(pattern=ORDER_ID_PATTERN)]
CommandId = Annotated[str, StringConstraints(pattern=COMMAND_ID_PATTERN)]
MessageText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=TEXT_MAX_CHARACTERS),
    AfterValidator(_without_nul),
    AfterValidator(_not_blank),
]
# What is new must show something; what was stored or queued before that was asked is still read.
NewText = Annotated[MessageText, AfterValidator(_shown), Field(json_schema_extra=SHOWN_TEXT_SCHEMA)]
NoteText = Annotated[str, StringConstraints(max_length=TEXT_MAX_CHARACTERS), AfterValidator(_without_nul)]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME_MAX_CHARACTERS),
    AfterValidator(_one_line),
    Field(json_schema_extra=_ONE_LINE_SCHEMA),
]
ShownName = Annotated[Name, AfterValidator(_shown_if_given), Field(json_schema_extra=SHOWN_NAME_SCHEMA)]
"""A name of which something can be seen, where it is `GIVEN`; what is stored may be one that an older release took."""
PersonId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    AfterValidator(_one_line),
    Field(json_schema_extra=_ONE_LINE_SCHEMA),
]
_Address = Annotated[str, StringConstraints(min_length=3, max_length=320), AfterValidator(_one_line)]
EmailAddress = Annotated[
    _Address,
    AfterValidator(_sendable_if_given),
    Field(json_schema_extra=ADDRESS_SCHEMA),
]
"""An address that mail can be sent to, where it is `GIVEN`; what is stored may be one that an older release took."""
SendableAddress = Annotated[_Address, AfterValidator(_sendable), Field(json_schema_extra=ADDRESS_SCHEMA)]
"""An address that mail can be sent to, in every context: of settings and tokens, which nothing stores."""
Locale = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}$")]
TimeZone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", max_length=64)]
"""A name of the IANA time zone database. Which of them there are changes, so a reader that does not know one takes the shop's own."""
Money = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,4})?$"), DecimalText()]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
WebAddress = Annotated[
    str,
    StringConstraints(pattern=r"""^https?://[^\s\x00-\x1f\x7f-\x9f<>"'\\^`{|}]+$""", max_length=2_000),
    AfterValidator(_one_line),
]
OrderVersion = Annotated[int, Field(ge=0, le=MAX_EXACT_INTEGER), WholeNumber]
Seq = Annotated[int, Field(ge=0, le=MAX_EXACT_INTEGER), WholeNumber]
Moment = Annotated[AwareDatetime, AfterValidator(_within_the_calendar)]

Side = Literal["customer", "seller", "shop"]
"""Who stands behind an entry, and whose inbox a thread is in: the customer, the seller (all its logins), the shop's staff."""

SoldBy = Literal["shop", "seller"]
"""Who sells an order: the shop itself, whose staff then answer as the shop, or a seller in its marketplace."""

EntryKind = Literal["text", "dispute_opened", "dispute_closed"]
DisputeReason = Literal["not_received", "not_as_described", "damaged", "wrong_item", "refund_missing", "other"]
DisputeOutcome = Literal["resolved", "refunded", "replaced", "withdrawn", "rejected"]


class Contract(BaseModel):
    """A frozen shape on the wire. Writers send no field that it does not name; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Grown(BaseModel):
    """A frozen shape that readers take: fields added by a later version are ignored, since contracts only grow."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


def iso(moment: datetime) -> str:
    """The moment in UTC with milliseconds (MongoDB's precision), as `2026-01-31T09:05:00.123Z`."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def in_milliseconds(moment: datetime) -> datetime:
    """The moment as MongoDB keeps it, in UTC and milliseconds, so that what is stored reads back as it was decided."""
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)
