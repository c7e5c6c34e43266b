"""A mail's bytes from what it holds: pure, and the same every time for the same mail."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from email.utils import format_datetime
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from babel import Locale
from babel.numbers import format_decimal
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from services.notifier import cleaning, finished, formats
from services.notifier.contents import Gathered, Mail, OrderShown
from services.notifier.headers import Header, mailbox, mailbox_in_setting
from services.notifier.languages import LANGUAGES, Phrases, language_of
from services.notifier.links import linked
from services.notifier.message import compose
from services.notifier.shortening import MAX_ENTRIES_SHOWN, shortened
from shared.addresses import sendable
from shared.contracts.contacts import SHOP_MAILBOX
from shared.events import Recipient
from shared.fields import Side

PREVIEW_CHARACTERS: Final = 120
MAX_HEADER_URL_CHARACTERS: Final = 900
# A longer one would take the room of what people wrote; the conversation's page has it.
MAX_ORDER_URL_BYTES: Final = 1_000
# Mail programs know the signature by it, and leave it out of what is quoted (RFC 3676, 4.3).
SIGNATURE_MARK: Final = "-- "


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
    is_cut: bool = False


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

    def render(self, mail: Mail, entries: Sequence[Gathered], *, locale: str, time_zone: str | None = None) -> Rendered:
        """The mail with these entries, in the language of the locale (`de-AT`), or in English where that is not ours.

        Times are in `time_zone`, the reader's own, or in the shop's where that is not known.

        Raises AddressError where no mail can be sent to the recipient's address.
        """
        babel = formats.locale_of(locale, mail.order.currency)
        phrases = LANGUAGES[language_of(locale)]
        links = self._links(mail.recipient, mail.order, language=babel.language)
        subject, about = phrases.subject.format(about=_about(mail, phrases)), _about(mail, phrases)
        zone = formats.zone_of(time_zone) or self._settings.time_zone
        views = self._entry_views(mail, entries, phrases, babel, zone)
        more = len(entries) - len(views)
        context = {
            "language": babel.language,
            "shop": self._shop,
            "subject": subject,
            "phrases": phrases,
            "no_reply": None if self._reply_to else phrases.no_reply,
            "headline": _headline(entries, phrases, about),
            "greeting": phrases.greeting.format(name=cleaning.short(mail.recipient.name)),
            "intro": _counted(phrases.intro_one, phrases.intro_many, len(entries), about=about),
            "preview": _preview(entries[-1], phrases),
            "entries": views,
            "more": _counted(phrases.more_entries_one, phrases.more_entries_many, more) if more else None,
            "is_cut": more > 0 or any(view.is_cut for view in views),
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

    def _links(self, recipient: Recipient, order: OrderShown, *, language: str) -> Links:
        """A guest's link carries its token in the fragment, which browsers send to nobody."""
        settings = self._settings
        thread_url, fragment = settings.thread_url, ""
        if recipient.guest_token is not None:
            thread_url = settings.guest_url or settings.thread_url
            fragment = f"#{quote(recipient.guest_token, safe='')}"
        unsubscribe = None
        # Whoever clicked in the shop's mailbox would switch it off for all of its staff, who choose by the API.
        if settings.unsubscribe_url is not None and recipient.person != SHOP_MAILBOX:
            about = f"order={quote(order.order_id, safe='')}&lang={language}"
            unsubscribe = f"{settings.unsubscribe_url}?token={quote(recipient.unsubscribe_token, safe='')}&{about}"
        return Links(
            thread=thread_url.replace("{order_id}", quote(order.order_id, safe="")) + fragment,
            order=order.url if order.url and len(order.url.encode()) <= MAX_ORDER_URL_BYTES else None,
            unsubscribe=unsubscribe,
        )

    def _sides(self, order: OrderShown, phrases: Phrases) -> Mapping[Side, str]:
        """What each side is called. Where the shop itself sells, its staff are not beside a seller: they are the shop."""
        return {**phrases.sides, "shop": self._shop} if order.sold_by == "shop" else phrases.sides

    def _entry_views(
        self, mail: Mail, entries: Sequence[Gathered], phrases: Phrases, babel: Locale, zone: tzinfo
    ) -> list[EntryView]:
        """The first entries, as much of each as a mail has room for."""
        sides = self._sides(mail.order, phrases)
        first = entries[:MAX_ENTRIES_SHOWN]
        texts = [cleaning.text(entry.text).strip("\n") if entry.text else None for entry in first]
        names = [cleaning.short(entry.author_name) for entry in first]
        shown = shortened(texts, names=names, as_html=_as_html_lines)
        return [
            EntryView(
                author=name,
                side=sides[entry.author_side],
                side_key=entry.author_side,
                at=formats.moment(entry.at, babel, zone),
                step=_step(entry, phrases),
                details=_details(entry, phrases),
                text=each.text,
                redacted=entry.redacted,
                is_cut=each.is_cut,
            )
            for entry, name, each in zip(first, names, shown, strict=False)
        ]


def _step(entry: Gathered, phrases: Phrases) -> str | None:
    return {"text": None, "dispute_opened": phrases.opened, "dispute_closed": phrases.closed}[entry.kind]


def _details(entry: Gathered, phrases: Phrases) -> tuple[tuple[str, str], ...]:
    details = []
    if entry.reason is not None:
        details.append((phrases.reason, phrases.reasons[entry.reason]))
    if entry.outcome is not None:
        details.append((phrases.outcome, phrases.outcomes[entry.outcome]))
    return tuple(details)


def _headline(entries: Sequence[Gathered], phrases: Phrases, about: str) -> str:
    """Says the newest dispute step where there is one, else how many messages."""
    steps = [entry.kind for entry in entries if entry.kind != "text"]
    if steps:
        template = phrases.headline_opened if steps[-1] == "dispute_opened" else phrases.headline_closed
        return template.format(about=about)
    return _counted(phrases.headline_one, phrases.headline_many, len(entries), about=about)


def _about(mail: Mail, phrases: Phrases) -> str:
    template = phrases.your_order if mail.recipient.inbox == "customer" else phrases.the_order
    return template.format(order=mail.order_id)


def _counted(one: str, many: str, count: int, **places: str) -> str:
    return (one if count == 1 else many).format(count=count, **places)


def _preview(newest: Gathered, phrases: Phrases) -> str:
    """What an inbox shows behind the subject, which says nothing new: the step, who wrote the newest entry, and how it begins."""
    step = _step(newest, phrases)
    begins = cleaning.text(newest.text or "")[: PREVIEW_CHARACTERS * 2]
    said = " ".join(begins.split())
    author = cleaning.short(newest.author_name)
    parts = [step or "", f"{author}: {said}" if said else author]
    return " · ".join(filter(None, parts))[:PREVIEW_CHARACTERS]


def _order_view(order: OrderShown, phrases: Phrases, babel: Locale) -> dict[str, object]:
    rows = []
    for item in order.items:
        price = Decimal(item.price)
        each = phrases.price_each.format(price=formats.money(price, order.currency, babel))
        rows.append(
            {
                "quantity": formats.quantity(item.quantity, babel),
                "name": cleaning.short(item.name) or cleaning.short(item.sku),
                "each": each if item.quantity != 1 else None,
                "total": formats.money(price * item.quantity, order.currency, babel),
            }
        )
    more = phrases.more_items.format(count=order.more_items) if order.more_items else None
    heading = phrases.order_heading.format(order=order.order_id)
    total = formats.money(Decimal(order.total), order.currency, babel)
    return {"heading": heading, "rows": rows, "more": more, "total": total}


def _as_html_lines(text: str) -> Markup:
    """The text escaped, with its line breaks and leading blanks kept; `white-space: pre-wrap` is not understood everywhere."""
    lines = []
    for line in text.split("\n"):
        unindented = line.lstrip(" \t")
        indent = line[: len(line) - len(unindented)].replace("\t", "    ")
        lines.append(Markup("&nbsp;") * len(indent[:40]) + linked(unindented))
    return Markup("<br>\n").join(lines)


def _printable_lines(text: str) -> str:
    """No blanks at the end of lines but of the signature's mark, never more than one empty line of ours in a row at the end."""
    lines = (line if line == SIGNATURE_MARK else line.rstrip() for line in text.split("\n"))
    return "\n".join(lines).strip("\n") + "\n"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
