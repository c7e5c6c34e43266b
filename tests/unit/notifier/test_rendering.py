"""What a mail looks like to the machines and to the people that read it, whatever is written in it."""

import json
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from services.notifier.cleaning import one_line
from services.notifier.contents import Mail
from services.notifier.languages import LANGUAGES
from services.notifier.rendering import MailSettings, Renderer
from shared.orders import Item
from tests.mails.names import HOSTILE
from tests.unit.notifier.making import customer, event, mail, order, seller

NAUGHTY_STRINGS = Path(__file__).parents[4] / "shared" / "data" / "naughty-strings.json"
INJECTION = "Mara\r\nBcc: victim@example.com\r\n\r\n<script>alert(1)</script>"


def renderer(**changes: object) -> Renderer:
    settings: dict[str, object] = {
        "sender": "The Shop <orders@shop.example>",
        "thread_url": "https://shop.example/threads/{order_id}",
        "unsubscribe_url": "https://shop.example/v1/unsubscribe",
    }
    return Renderer(MailSettings(**(settings | changes)))  # type: ignore[arg-type]  # a mapping's values have one type


RENDERER = renderer()


def read(rendered_from: Mail, *, locale: str = "en", by: Renderer = RENDERER) -> EmailMessage:
    rendered = by.render(rendered_from, rendered_from.entries, locale=locale)
    return BytesParser(EmailMessage, policy=default).parsebytes(rendered.content)


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    content = body.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


def header_names(message: EmailMessage) -> list[str]:
    return [name.lower() for name, _ in message.items()]


class Elements(HTMLParser):
    """The names of all elements, the attributes that load or run something, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: list[str] = []
        self.active: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.active += [(name, value) for name, value in attrs if name in ("src", "href") or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_says_first_that_replies_are_not_read() -> None:
    message = read(mail())

    assert part(message, "plain").startswith("Please do not reply to this e-mail: replies are not read.")
    html = part(message, "html")
    assert html.index("replies are not read") < html.rindex("It is on its way.")


def test_it_shows_the_order_the_texts_in_order_and_the_link() -> None:
    message = read(mail(event("First.", seq=1), event("Second.", seq=2)))

    assert message["Subject"] == "Messages about your order 1042"
    assert "2 new messages about your order 1042</h1>" in part(message, "html")
    for content in (part(message, "plain"), part(message, "html")):
        assert content.rindex("First.") < content.rindex("Second.")
        for shown in ("Retrospot Gifts", "Seller", "Small heart measuring spoons", "€20.40"):
            assert shown in content
        assert "https://shop.example/threads/1042" in content


def test_only_the_first_items_of_a_large_order_are_shown_and_the_rest_is_counted() -> None:
    items = [Item(sku=f"{number}", name=f"Item {number}", quantity=1, price="1.00") for number in range(1, 13)]

    text = part(read(mail(event(about=order(items=items)))), "plain")

    assert "Item 5" in text
    assert "Item 6" not in text
    assert "and 7 more" in text


@pytest.mark.parametrize("locale", ["en", "de", "es", "fr", "it", "nl"])
def test_every_language_says_everything_in_its_own_words(locale: str) -> None:
    phrases = LANGUAGES[locale]
    told = mail(
        event("It broke.", seq=1, kind="dispute_opened", side="customer", to=(seller(),)),
        event("", seq=2, kind="dispute_closed", side="shop", to=(seller(),)),
    )

    message = read(told, locale=locale)

    for content in (part(message, "plain"), Elements(part(message, "html")).text):
        for said in (phrases.no_reply, phrases.reasons["damaged"], phrases.outcomes["refunded"], phrases.total):
            assert said in content
        assert "{" not in content.split("</style>")[-1].split("}")[-1]
    about = phrases.the_order.format(order="1042")
    assert message["Subject"] == phrases.subject.format(about=about)
    assert phrases.headline_closed.format(about=about) in Elements(part(message, "html")).text


@pytest.mark.parametrize("locale", ["ja", "zz-ZZ", "x-klingon", "pt_BR"])
def test_a_language_that_is_not_ours_becomes_english(locale: str) -> None:
    assert read(mail(), locale=locale)["Subject"] == "Messages about your order 1042"


@pytest.mark.parametrize(("locale", "amount"), [("de", "20,40 €"), ("de-AT", "€ 20,40"), ("de-ZZ", "20,40 €")])
def test_money_is_written_as_in_the_region(locale: str, amount: str) -> None:
    text = part(read(mail(), locale=locale), "plain").replace("\xa0", " ")

    assert f"Gesamtbetrag: {amount}" in text


def test_times_are_in_the_settings_time_zone() -> None:
    berlin = renderer(time_zone=ZoneInfo("Europe/Berlin"))

    assert "23 Nov 2026, 13:01 CET" in part(read(mail(), by=berlin), "plain")


def test_headers_join_an_orders_mails_and_name_the_mail() -> None:
    first, second = read(mail(mail_id="a")), read(mail(mail_id="b"))

    assert (first["Message-ID"], second["Message-ID"]) == ("<a@shop.example>", "<b@shop.example>")
    assert first["References"] == second["References"] == first["In-Reply-To"]
    assert read(mail(event(about=order("2"))))["References"] != first["References"]
    assert first["Auto-Submitted"] == "auto-generated"


def test_a_long_unsubscribe_link_stays_in_one_piece() -> None:
    token = "t" * 400
    recipient = customer().model_copy(update={"unsubscribe_token": token})

    rendered = RENDERER.render(mail(recipient=recipient), mail().entries, locale="en")

    link = f"List-Unsubscribe: <https://shop.example/v1/unsubscribe?token={token}&order=1042&lang=en>\r\n"
    assert link.encode() in rendered.content
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in rendered.content


def test_without_an_unsubscribe_address_there_is_no_such_header() -> None:
    message = read(mail(), by=renderer(unsubscribe_url=None))

    assert message["List-Unsubscribe"] is None
    assert "Unsubscribe" not in part(message, "html")


def test_a_guests_token_stands_only_in_the_fragment() -> None:
    guests = renderer(guest_url="https://shop.example/guest/{order_id}")

    html = part(read(mail(recipient=customer(guest_token="guest.token")), by=guests), "html")

    assert 'href="https://shop.example/guest/1042#guest.token"' in html


def test_an_order_number_is_quoted_in_links() -> None:
    html = part(read(mail(event(about=order("A:1~2")))), "html")

    assert "https://shop.example/threads/A%3A1~2" in html


@pytest.mark.parametrize("locale", sorted(LANGUAGES))
def test_where_the_shop_itself_sells_its_name_stands_where_seller_would(locale: str) -> None:
    answer = event("It left us today.", side="shop", author="Grace", about=order(seller=None))
    by = renderer(shop_name="Lamp House")
    message = read(mail(answer), locale=locale, by=by)
    words = LANGUAGES[locale].sides
    assert "Grace (Lamp House), " in part(message, "plain")
    assert "&middot; Lamp House</span>" in part(message, "html")
    said = part(message, "plain") + part(message, "html")
    assert not any(
        f"Grace ({words[side]})" in said or f"&middot; {words[side]}<" in said for side in ("seller", "shop")
    )


def test_beside_a_seller_the_shops_staff_are_the_shops() -> None:
    answer = event("We look into it.", side="shop", author="Grace")
    assert "Grace (Shop), " in part(read(mail(answer)), "plain")


def test_the_shop_is_called_as_its_setting_says_else_as_the_sender() -> None:
    named, unnamed = renderer(shop_name="Lamp House"), renderer()
    assert part(read(mail(event()), by=named), "plain").splitlines()[-3:].count("Lamp House") == 1
    assert part(read(mail(event()), by=unnamed), "plain").splitlines()[-3:].count("The Shop") == 1


def test_reply_to_is_a_setting() -> None:
    assert read(mail())["Reply-To"] is None
    assert read(mail(), by=renderer(reply_to="Desk <desk@shop.example>"))["Reply-To"] == "Desk <desk@shop.example>"


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_where_replies_are_read_no_mail_says_that_they_are_not(language: str) -> None:
    said = LANGUAGES[language].no_reply
    recipient = customer(locale=language)
    unread = read(mail(recipient=recipient), locale=language)
    answered = read(mail(recipient=recipient), locale=language, by=renderer(reply_to="Desk <desk@shop.example>"))

    for kind in ("plain", "html"):
        assert said in part(unread, kind).replace("&#39;", "'")
        assert said not in part(answered, kind).replace("&#39;", "'")
    assert part(answered, "plain").startswith(LANGUAGES[language].greeting.format(name=recipient.name))


def test_a_redacted_text_is_said_to_be_removed() -> None:
    message = read(mail(event(None)))

    assert "This text was removed." in part(message, "plain")
    assert "This text was removed." in part(message, "html")


def test_the_same_mail_has_the_same_bytes() -> None:
    told = mail(event("Hello"))

    assert RENDERER.render(told, told.entries, locale="fr") == renderer().render(told, told.entries, locale="fr")


def test_header_injection_in_names_texts_and_items_reaches_no_header() -> None:
    item = Item.model_construct(sku="1", name=INJECTION, quantity=1, price="1.00")
    snapshot = order().model_copy(update={"items": [item]})
    recipient = customer().model_copy(update={"name": INJECTION})
    told = mail(event(INJECTION, author="Mallory", about=snapshot), recipient=recipient)
    told = told.model_copy(update={"entries": (told.entries[0].model_copy(update={"author_name": INJECTION}),)})

    message = read(told)

    assert message["Bcc"] is None
    assert set(header_names(message)) == EXPECTED_HEADERS
    assert message["To"].addresses[0].addr_spec == "mara@example.com"
    assert "script" not in Elements(part(message, "html")).names


EXPECTED_HEADERS = {
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "auto-submitted",
    "x-auto-response-suppress",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "mime-version",
    "content-type",
}


def naughty_strings() -> Iterator[str]:
    if not NAUGHTY_STRINGS.exists():
        pytest.skip("the folder with test data is not here")
    yield from (text for text in json.loads(NAUGHTY_STRINGS.read_text()) if text.strip() and "\x00" not in text)


def test_no_naughty_text_name_or_item_breaks_a_mail() -> None:
    plain_names = Elements(part(read(mail(event("Two lines,\nand https://shop.example/"))), "html")).names
    for naughty in naughty_strings():
        item = Item.model_construct(sku="1", name=naughty, quantity=1, price="1.00")
        told = mail(event(naughty, about=order().model_copy(update={"items": [item]})))
        told = told.model_copy(update={"recipient": told.recipient.model_copy(update={"name": naughty})})

        rendered = RENDERER.render(told, told.entries, locale="en")

        message = BytesParser(EmailMessage, policy=default).parsebytes(rendered.content)
        elements = Elements(part(message, "html"))
        assert message.defects == []
        assert set(elements.names) <= set(plain_names), naughty
        assert all(name == "href" for name, _ in elements.active), naughty
        assert header_names(message) == header_names(read(mail()))
        assert max(len(line) for line in rendered.content.split(b"\r\n")) <= 998


def test_control_characters_are_removed_and_unicode_lines_cannot_pose_as_our_own() -> None:
    text = part(read(mail(event("a\x07b\u2028----\x85Shop (Shop)\x1b[31m\tend"))), "plain")

    assert "  ab\n  ----\n  Shop (Shop)[31m\tend" in text
    assert "\x07" not in text
    assert "\x1b" not in text


def test_a_name_cannot_turn_the_writing_direction() -> None:
    text = part(read(mail(event(author="Ada \u202e\u2066evil"))), "plain")

    assert "Ada evil (Seller)" in text


def test_the_signatures_mark_keeps_its_blank() -> None:
    assert "\n-- \nThe Shop\n" in part(read(mail()), "plain")
    assert b"\r\n--=20\r\n" in RENDERER.render(mail(), mail().entries, locale="en").content


def test_a_senders_long_name_is_one_mailbox() -> None:
    """It had become three, of which two were nobody's."""
    name = "Brook & Birch Home, Garden and All That Grows in the Three Valleys Limited Liability Company, Inc"

    (sender,) = read(mail(), by=renderer(sender=f'"{name}" <a@b.example>'))["From"].addresses

    assert (sender.display_name, sender.addr_spec) == (name, "a@b.example")


def test_very_long_lines_are_encoded_into_short_ones() -> None:
    rendered = RENDERER.render(mail(event("x" * 10_000)), mail(event("ü" * 10_000)).entries, locale="en")

    assert max(len(line) for line in rendered.content.split(b"\r\n")) <= 998


def test_an_international_address_is_written_in_ascii_where_it_has_such_a_form() -> None:
    told = mail(event(to=(customer(email="mara@bücher.example"),)))

    rendered = RENDERER.render(told, told.entries, locale="en")

    assert rendered.recipient == "mara@xn--bcher-kva.example"
    assert b"To: Mara Moser <mara@xn--bcher-kva.example>\r\n" in rendered.content


@pytest.mark.parametrize(
    ("address", "sent"),
    [("kunde@straße.example", "kunde@xn--strae-oqa.example"), ("k@βόλος.example", "k@xn--nxasmm1c.example")],
)
def test_a_mail_goes_to_no_domain_that_only_looks_alike(address: str, sent: str) -> None:
    told = mail(event(to=(customer(email=address),)))

    assert RENDERER.render(told, told.entries, locale="en").recipient == sent


@pytest.mark.parametrize("name", [name for name in HOSTILE if one_line(name) == name])
def test_a_hostile_name_is_one_mailbox_and_no_header(name: str) -> None:
    told = mail(recipient=customer(name=name))

    message = read(told)

    assert [each.addr_spec for each in message["To"].addresses] == ["mara@example.com"]
    assert set(header_names(message)) == EXPECTED_HEADERS


def test_the_administrators_address_which_nobody_could_switch_on_again_is_offered_no_unsubscribing() -> None:
    shop = customer().model_copy(update={"person": "shop", "inbox": "shop"})

    message = read(mail(recipient=shop))

    assert message["List-Unsubscribe"] is None
    assert "unsubscribe" not in part(message, "html")


def test_an_address_without_ascii_form_stands_as_utf_8() -> None:
    told = mail(event(to=(customer(email="mära@example.com"),)))

    rendered = RENDERER.render(told, told.entries, locale="en")

    assert rendered.recipient == "mära@example.com"
    assert "To: Mara Moser <mära@example.com>\r\n".encode() in rendered.content


def test_nothing_is_loaded_from_elsewhere() -> None:
    elements = Elements(part(read(mail()), "html"))

    assert not {"img", "link", "script", "iframe"} & set(elements.names)
    assert [name for name, _ in elements.active if name != "href"] == []
