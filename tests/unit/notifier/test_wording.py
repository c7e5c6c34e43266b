"""Each language by its own habits: greeting and sentence, times and money, one subject for one conversation, one word for a dispute."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from services.gateway.page_files import DIRECTORY
from services.notifier.languages import LANGUAGES, Phrases
from shared.fields import EntryKind
from tests.unit.notifier.making import customer, event, mail, order, seller
from tests.unit.notifier.test_rendering import Elements, part, read

# How people begin the sentence below a greeting: with a capital, but for German and Italian, where a comma goes before it.
FIRST_LETTERS = {"en": "T", "de": "i", "es": "H", "fr": "I", "it": "c", "nl": "E"}
DISPUTE = {"en": "dispute", "de": "streitf", "es": "disputa", "fr": "litige", "it": "contestazion", "nl": "geschil"}
OTHER_WORDS = re.compile("konfliktfall|reklamation|reclamaci|réclamation|reclamo|klacht|complaint", re.IGNORECASE)
STEPS: dict[EntryKind, str] = {"dispute_opened": "opened", "dispute_closed": "closed"}


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_the_sentence_below_the_greeting_begins_as_the_language_has_it(language: str) -> None:
    lines = part(read(mail(), locale=language), "plain").split("\n")
    greeting = lines.index(LANGUAGES[language].greeting.format(name="Mara Moser"))
    assert lines[greeting + 2][0] == FIRST_LETTERS[language]


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_all_mails_to_a_person_about_an_order_have_one_subject(language: str) -> None:
    """Gmail begins a new conversation where the subject changes, whatever the references say."""
    told = [
        mail(),
        mail(event("a", seq=2), event("b", seq=3)),
        *(mail(event("c", seq=4, kind=kind)) for kind in STEPS),
    ]
    messages = [read(each, locale=language) for each in told]
    assert len({message["Subject"] for message in messages}) == 1
    assert len({message["References"] for message in messages}) == 1


@pytest.mark.parametrize("language", sorted(LANGUAGES))
@pytest.mark.parametrize("kind", sorted(STEPS))
def test_what_happened_stands_in_both_texts_and_in_the_preview(language: str, kind: EntryKind) -> None:
    message = read(mail(event("It is broken.", kind=kind)), locale=language)
    step = getattr(LANGUAGES[language], STEPS[kind])
    preview = part(message, "html").split("<body", 1)[1].split("</div>")[0]
    assert f">{step} · Retrospot Gifts: It is broken." in preview
    assert f"\n{step}\n" in part(message, "plain")
    assert f">{step}</span>" in part(message, "html")


@pytest.mark.parametrize(
    ("locale", "currency", "moment", "amount"),
    [
        ("en", "GBP", "23 Nov 2026, 12:01", "£20.40"),
        ("en-GB", "USD", "23 Nov 2026, 12:01", "US$20.40"),
        ("en", "EUR", "23 Nov 2026, 12:01", "€20.40"),
        ("en", "USD", "Nov 23, 2026, 12:01\u202fPM", "$20.40"),
        ("en-US", "GBP", "Nov 23, 2026, 12:01\u202fPM", "£20.40"),
        ("en", "AED", "23 Nov 2026, 12:01\u202fPM", "AED\u00a020.40"),
        ("de", "EUR", "23.11.2026, 12:01", "20,40\u00a0€"),
        ("de", "CHF", "23.11.2026, 12:01", "CHF\u00a020.40"),
        ("de-AT", "EUR", "23.11.2026, 12:01", "€\u00a020,40"),
        ("es", "EUR", "23 nov 2026, 12:01", "20,40\u00a0€"),
        ("fr", "EUR", "23 nov. 2026, 12:01", "20,40\u00a0€"),
        ("it", "EUR", "23 nov 2026, 12:01", "20,40\u00a0€"),
        ("nl", "EUR", "23 nov 2026, 12:01", "€\u00a020,40"),
    ],
)
def test_times_and_money_are_written_as_people_there_write_them(
    locale: str, currency: str, moment: str, amount: str
) -> None:
    message = read(mail(event(about=order(currency=currency))), locale=locale)
    for content in (part(message, "plain"), Elements(part(message, "html")).text):
        assert f"{moment} UTC" in content
        assert amount in content


@pytest.mark.parametrize("locale", ["es", "it"])
def test_four_digits_stand_together_where_people_write_them_so(locale: str) -> None:
    text = part(read(mail(event(about=order(total="1234.50"))), locale=locale), "plain")
    assert ": 1234,50\u00a0€" in text


def test_an_orders_line_has_its_own_total_and_what_one_costs() -> None:
    message = read(mail())
    assert "24 × Small heart measuring spoons (€0.85 each)  €20.40\n" in part(message, "plain")
    assert "(€0.85 each)" in part(message, "html")


def page_words(language: str) -> str:
    return (DIRECTORY / "words" / f"{language}.js").read_text()


def sentences(phrases: Phrases) -> str:
    return "\n".join(str(getattr(phrases, each.name)) for each in fields(phrases))


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_mails_and_pages_have_one_word_for_a_dispute(language: str) -> None:
    mails, pages = sentences(LANGUAGES[language]), page_words(language)
    assert OTHER_WORDS.findall(mails + pages) == []
    phrases = LANGUAGES[language]
    for said in (phrases.opened, phrases.closed, phrases.headline_opened, phrases.headline_closed):
        assert DISPUTE[language] in said.lower()
    for key in ("dispute_opened", '"dispute.open"', '"dispute.close"', '"mails.disputes"', '"filter.disputed"'):
        found = re.search(rf"^  {key}: (.*),$", pages, re.MULTILINE)
        assert found is not None, key
        word = r"in dispute|en disputa|en litige|in contestazione" if "filter" in key else DISPUTE[language]
        assert re.search(f"{word}|{DISPUTE[language]}", found[1].lower()), key


def test_the_documents_have_the_same_word() -> None:
    top = Path(__file__).parents[3]
    texts = [top / "README.md", *sorted((top / "docs").glob("*.md"))]
    assert [path.name for path in texts if re.search("konfliktfall", path.read_text(), re.IGNORECASE)] == []


def test_the_link_and_the_end_of_mails_stand_above_what_was_written() -> None:
    message = read(mail(event("What was written.", to=(seller(),)), recipient=customer()))
    plain, html = part(message, "plain"), part(message, "html").split("<body", 1)[1]
    html = html[html.index("</div>") :]
    for content in (plain, html):
        written = content.index("What was written.")
        assert content.index("/threads/1042") < written
        assert content.index("/v1/unsubscribe?token=") < written


def test_a_colon_stands_as_the_language_has_it() -> None:
    told = mail(event("Cassé.", kind="dispute_opened"))
    french, german = (part(read(told, locale=locale), "plain") for locale in ("fr", "de"))
    assert "Motif\u00a0: Endommagé" in french
    assert re.search(r"\w: ", french.replace("https:", "")) is None
    assert "Grund: Beschädigt" in german
