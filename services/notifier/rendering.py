"""A mail's bytes from what it holds: pure, and the same every time for the same mail."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from email.utils import format_datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from services.notifier import cleaning, finished
from services.notifier.contents import Gathered, Mail, OrderShown
from services.notifier.headers import Header, mailbox, mailbox_in_setting
from services.notifier.languages import LANGUAGES, Phrases, language_of
from services.notifier.message import compose
from shared.addresses import sendable
from shared.contracts.contacts import SHOP_MAILBOX
from shared.events import Recipient
from shared.fields import Side

PREVIEW_CHARACTERS: Final = 120
MAX_HEADER_URL_CHARACTERS: Final = 900
# Mail programs know the signature by it, and leave it out of what is quoted (RFC 3676, 4.3).
SIGNATURE_MARK: Final = "-- "
MOMENTS_KEPT: Final = 1_024
AMOUNTS_KEPT: Final = 4_096


@dataclass(frozen=True, slots=True)
class MailSettings:
    """Who the mails are from, and where their links lead. The URLs hold `{order_id}`. `shop_name` is what the shop is called, where that is set."""

    sender: str
    thread_url: str
    shop_name: str | None = None
    guest_url: str | None = None
    unsubscribe_url: str | None = None
    reply_to: str | None = None
    time_zone: tzinfo = field(default_factory=lambda: ZoneInfo("UTC"))

    @property
    def address(self) -> str:
        """The envelope's sender."""
        return mailbox_in_setting(self.sender).address

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    @property
    def shop(self) -> str:
        """What the mails call the shop: its name, else the sender's, or else its domain."""
        return cleaning.one_line(self.shop_name or mailbox_in_setting(self.sender).name) or self.domain


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail as it goes over the wire, its Message-ID, and the address to send it to."""

    content: bytes
    message_id: str
    recipient: str


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry as the templates show it, all in the reader's language."""

    author: str
    side: str
    side_key: str
    at: str
    step: str | None
    details: tuple[tuple[str, str], ...]
    text: str | None
    redacted: bool


@dataclass(frozen=True, slots=True)
class Links:
    thread: str
    order: str | None
    unsubscribe: str | None


class Renderer:
    """Holds the templates and the languages' data, which are costly to load; rendering itself reads nothing but its arguments."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings
        self._address, self._domain, self._shop = settings.address, settings.domain, settings.shop
        self._from = mailbox_in_setting(settings.sender)
        self._reply_to: list[Header] = (
            [("Reply-To", mailbox_in_setting(settings.reply_to))] if settings.reply_to else []
        )
        environment = Environment(
            loader=PackageLoader("services.notifier"),
            autoescape=select_autoescape(enabled_extensions=("html.j2",)),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["lines"] = _as_html_lines
        # The templates use none of them, and each rendering would copy them all.
        environment.globals.clear()
        self._html = environment.get_template("mail.html.j2")
        self._text = environment.get_template("mail.txt.j2")
        for language in LANGUAGES:
            format_decimal(1, locale=Locale(language))

    def render(self, mail: Mail, entries: Sequence[Gathered], *, locale: str) -> Rendered:
        """The mail with these entries, in the language of the locale (`de-AT`), or in English where that is not ours.

        Raises AddressError where no mail can be sent to the recipient's address.
        """
        babel = _babel_locale(locale)
        phrases = LANGUAGES[language_of(locale)]
        links = self._links(mail.recipient, mail.order)
        sides = self._sides(mail.order, phrases)
        views = [self._entry_view(entry, phrases, babel, sides) for entry in entries]
        subject = _subject(mail, entries, phrases)
        context = {
            "language": babel.language,
            "shop": self._shop,
            "subject": subject,
            "phrases": phrases,
            "no_reply": None if self._reply_to else phrases.no_reply,
            "greeting": phrases.greeting.format(name=cleaning.one_line(mail.recipient.name)),
            "intro": _counted(phrases.intro_one, phrases.intro_many, len(entries), _about(mail, phrases)),
            "preview": _preview(views),
            "entries": views,
            "order": _order_view(mail.order, phrases, babel),
            "links": links,
        }
        content = compose(
            self._headers(mail, subject, links),
            text=_printable_lines(self._text.render(context)),
            html=self._html.render(context) + "\n",
            boundary=f"=_parley_{mail.id}",
        )
        return self.as_it_was(mail, content)

    def as_it_was(self, mail: Mail, content: bytes) -> Rendered:
        """The mail with bytes that were rendered before, maybe by an older release.

        Raises NotAsGivenError unless they are for the recipient alone, and AddressError as `render` does.
        """
        recipient = sendable(mail.recipient.email)
        finished.require_addressed(content, to=recipient)
        return Rendered(content, self._message_id(mail), recipient)

    def _message_id(self, mail: Mail) -> str:
        return f"<{mail.id}@{self._domain}>"

    def _headers(self, mail: Mail, subject: str, links: Links) -> list[Header]:
        root = f"<order-{_digest(mail.order_id, mail.person)}@{self._domain}>"
        unsubscribe: list[Header] = []
        if links.unsubscribe is not None and len(links.unsubscribe) <= MAX_HEADER_URL_CHARACTERS:
            unsubscribe = [
                ("List-Unsubscribe", f"<{links.unsubscribe}>"),
                ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ]
        return [
            ("From", self._from),
            ("To", mailbox(cleaning.one_line(mail.recipient.name), mail.recipient.email)),
            *self._reply_to,
            ("Subject", subject),
            ("Date", format_datetime(mail.frozen_at)),
            ("Message-ID", self._message_id(mail)),
            ("In-Reply-To", root),
            ("References", root),
            ("Auto-Submitted", "auto-generated"),
            ("X-Auto-Response-Suppress", "All"),
            *unsubscribe,
        ]

    def _links(self, recipient: Recipient, order: OrderShown) -> Links:
        """A guest's link carries its token in the fragment, which browsers send to nobody."""
        settings = self._settings
        thread_url, fragment = settings.thread_url, ""
        if recipient.guest_token is not None:
            thread_url = settings.guest_url or settings.thread_url
            fragment = f"#{quote(recipient.guest_token, safe='')}"
        unsubscribe = None
        # Whoever clicked in the shop's mailbox would switch it off for all of its staff, who choose by the API.
        if settings.unsubscribe_url is not None and recipient.person != SHOP_MAILBOX:
            unsubscribe = f"{settings.unsubscribe_url}?token={quote(recipient.unsubscribe_token, safe='')}"
        return Links(
            thread=thread_url.replace("{order_id}", quote(order.order_id, safe="")) + fragment,
            order=order.url,
            unsubscribe=unsubscribe,
        )

    def _sides(self, order: OrderShown, phrases: Phrases) -> Mapping[Side, str]:
        """What each side is called. Where the shop itself sells, its staff are not beside a seller: they are the shop."""
        return {**phrases.sides, "shop": self._shop} if order.sold_by == "shop" else phrases.sides

    def _entry_view(self, entry: Gathered, phrases: Phrases, babel: Locale, sides: Mapping[Side, str]) -> EntryView:
        details = []
        if entry.reason is not None:
            details.append((phrases.reason, phrases.reasons[entry.reason]))
        if entry.outcome is not None:
            details.append((phrases.outcome, phrases.outcomes[entry.outcome]))
        return EntryView(
            author=cleaning.one_line(entry.author_name),
            side=sides[entry.author_side],
            side_key=entry.author_side,
            at=_moment(entry.at, babel, self._settings.time_zone),
            step={"text": None, "dispute_opened": phrases.opened, "dispute_closed": phrases.closed}[entry.kind],
            details=tuple(details),
            text=cleaning.text(entry.text).strip("\n") if entry.text else None,
            redacted=entry.redacted,
        )


def _subject(mail: Mail, entries: Sequence[Gathered], phrases: Phrases) -> str:
    """Says the newest dispute step where there is one, else how many messages."""
    about = _about(mail, phrases)
    steps = [entry.kind for entry in entries if entry.kind != "text"]
    if steps:
        template = phrases.subject_opened if steps[-1] == "dispute_opened" else phrases.subject_closed
        return template.format(about=about)
    return _counted(phrases.subject_one, phrases.subject_many, len(entries), about)


def _about(mail: Mail, phrases: Phrases) -> str:
    template = phrases.your_order if mail.recipient.inbox == "customer" else phrases.the_order
    return template.format(order=mail.order_id)


def _counted(one: str, many: str, count: int, about: str) -> str:
    return (one if count == 1 else many).format(count=count, about=about)


def _preview(views: Sequence[EntryView]) -> str:
    """What an inbox shows behind the subject: who wrote the newest entry, and how it begins."""
    newest = views[-1]
    said = " ".join((newest.text or newest.step or "")[: PREVIEW_CHARACTERS * 2].split())
    return f"{newest.author}: {said}"[:PREVIEW_CHARACTERS]


def _order_view(order: OrderShown, phrases: Phrases, babel: Locale) -> dict[str, object]:
    rows = [
        {
            "quantity": _quantity(item.quantity, babel),
            "name": cleaning.one_line(item.name) or cleaning.one_line(item.sku),
            "price": _money(item.price, order.currency, babel),
        }
        for item in order.items
    ]
    more = phrases.more_items.format(count=order.more_items) if order.more_items else None
    heading = phrases.order_heading.format(order=order.order_id)
    return {"heading": heading, "rows": rows, "more": more, "total": _money(order.total, order.currency, babel)}


@lru_cache(maxsize=AMOUNTS_KEPT)
def _quantity(quantity: int, babel: Locale) -> str:
    return str(format_decimal(quantity, locale=babel))


@lru_cache(maxsize=AMOUNTS_KEPT)
def _money(amount: str, currency: str, babel: Locale) -> str:
    """With every digit that the shop has said: a price may be a part of a cent."""
    return str(format_currency(Decimal(amount), currency, locale=babel, decimal_quantization=False))


@lru_cache(maxsize=MOMENTS_KEPT)
def _moment(moment: datetime, babel: Locale, time_zone: tzinfo) -> str:
    local = _in_zone(moment, time_zone)
    date, time = format_date(local, "medium", locale=babel), format_time(local, "short", locale=babel)
    return f"{date}, {time} {local.tzname()}"


def _in_zone(moment: datetime, time_zone: tzinfo) -> datetime:
    """At the ends of the calendar, where the zone's own date would be before the year 1 or after 9999, the moment stays in UTC."""
    try:
        return moment.astimezone(time_zone)
    except OverflowError:
        return moment.astimezone(UTC)


@lru_cache(maxsize=256)
def _babel_locale(locale: str) -> Locale:
    """How dates and money are written: the region's way where Babel knows it, else the language's."""
    language = language_of(locale)
    parts = locale.replace("_", "-").split("-")
    if parts[0].lower() != language:
        return Locale(language)
    try:
        return Locale.parse(locale.replace("_", "-"), sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale(language)


def _as_html_lines(text: str) -> Markup:
    """The text escaped, with its line breaks and leading blanks kept; `white-space: pre-wrap` is not understood everywhere."""
    lines = []
    for line in text.split("\n"):
        unindented = line.lstrip(" \t")
        indent = line[: len(line) - len(unindented)].replace("\t", "    ")
        lines.append(Markup("&nbsp;") * len(indent[:40]) + escape(unindented))
    return Markup("<br>\n").join(lines)


def _printable_lines(text: str) -> str:
    """No blanks at the end of lines but of the signature's mark, never more than one empty line of ours in a row at the end."""
    lines = (line if line == SIGNATURE_MARK else line.rstrip() for line in text.split("\n"))
    return "\n".join(lines).strip("\n") + "\n"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
