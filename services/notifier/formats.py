"""Money, moments and numbers as a reader of a mail writes them: pure, and by the rules that the pages' browsers follow (CLDR)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_timezone_name
from babel.numbers import format_currency, format_decimal

from services.notifier.languages import language_of

MOMENTS_KEPT: Final = 1_024
AMOUNTS_KEPT: Final = 4_096

# A currency's code begins with its country's; only the euro is of many, and English is spoken in one of them.
REGION_OF_EURO: Final[Mapping[str, str]] = {"en": "IE"}
# Where four digits stand without a separator (CLDR's minimumGroupingDigits, which Babel does not read).
UNGROUPED_BELOW_FIVE_DIGITS: Final = frozenset({"es", "es_ES", "it", "it_IT", "it_SM", "it_VA"})
FIVE_DIGITS: Final = 10_000

_AFTER_SYMBOL: Final = re.compile(r"([^\W\d_])(?=\d)")
_SHORT_ZONE: Final = re.compile("[A-Z]{2,5}")


@lru_cache(maxsize=1_024)
def locale_of(locale: str, currency: str) -> Locale:
    """How dates and money are written: the region's way where Babel knows it, else the language's.

    A locale without a region takes the one whose currency the order is in: `en` with GBP is British.
    """
    language = language_of(locale)
    parts = locale.replace("_", "-").split("-")
    if parts[0].lower() != language or len(parts) == 1:
        return _of_currency(language, currency)
    try:
        return Locale.parse("-".join(parts), sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale(language)


def _of_currency(language: str, currency: str) -> Locale:
    region = REGION_OF_EURO.get(language) if currency == "EUR" else currency[:2]
    try:
        return Locale(language, region)
    except UnknownLocaleError:
        return Locale(language)


@lru_cache(maxsize=1_024)
def zone_of(name: str | None) -> tzinfo | None:
    """The zone of this name, or None where there is none that is known here."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@lru_cache(maxsize=AMOUNTS_KEPT)
def quantity(number: int, babel: Locale) -> str:
    return str(format_decimal(number, locale=babel))


@lru_cache(maxsize=AMOUNTS_KEPT)
def money(amount: Decimal, currency: str, babel: Locale) -> str:
    """With every digit that the shop has said, as a price may be a part of a cent; with a blank between letters and digits (`AED 79.00`)."""
    grouped = abs(amount) >= FIVE_DIGITS or str(babel) not in UNGROUPED_BELOW_FIVE_DIGITS
    written = format_currency(amount, currency, locale=babel, decimal_quantization=False, group_separator=grouped)
    return _AFTER_SYMBOL.sub("\\1\u00a0", written)


@lru_cache(maxsize=MOMENTS_KEPT)
def moment(at: datetime, babel: Locale, time_zone: tzinfo) -> str:
    """Date, time and zone: `28 Nov 2026, 08:57 GMT`."""
    local = _in_zone(at, time_zone)
    date, time = format_date(local, "medium", locale=babel), format_time(local, "short", locale=babel)
    return f"{babel.datetime_formats['medium'].replace('{1}', date).replace('{0}', time)} {_zone_name(local, babel)}"


def _in_zone(at: datetime, time_zone: tzinfo) -> datetime:
    """At the ends of the calendar, where the zone's own date would be before the year 1 or after 9999, the moment stays in UTC."""
    try:
        return at.astimezone(time_zone)
    except OverflowError:
        return at.astimezone(UTC)


def _zone_name(local: datetime, babel: Locale) -> str:
    """The short name that the reader's language has (`MEZ`), else the zone's own (`CET`), else how far it is from UTC."""
    own = str(local.tzname())
    if own == "UTC":
        return own
    for name in (get_timezone_name(local, "short", locale=babel), own):
        if _SHORT_ZONE.fullmatch(name):
            return name
    minutes = round((local.utcoffset() or (local - local)).total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02d}" if rest else "")
