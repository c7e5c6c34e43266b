"""The bytes of a mail are what Python's own e-mail package reads back, whatever stands in the headers and the texts."""

from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default

import pytest

from services.notifier.headers import Header, Mailbox, header, mailbox
from services.notifier.languages import LANGUAGES
from services.notifier.message import compose

LONG = "a subject that is much longer than one line of a header may be, " * 4


def read(*headers: Header, text: str = "Text.\n", html: str = "<p>Text.</p>\n") -> EmailMessage:
    content = compose(headers, text=text, html=html, boundary="=_boundary")
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    assert b"\n" not in content.replace(b"\r\n", b"")
    return BytesParser(EmailMessage, policy=default).parsebytes(content)


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    content = body.get_content()
    assert isinstance(content, str)
    return content.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "subject",
    [
        "Hello",
        "Grüße aus Köln",
        LONG.strip(),
        "日本語の件名" * 10,
        "=?utf-8?q?no?= trick",
        "two  blanks" * 20,
        "Le litige concernant votre commande AAAAAAAAAAAAAAAAAAAAAA a été clos",
        "x" * 64 + " é",
        "",
    ],
)
def test_a_subject_is_read_as_it_was_written(subject: str) -> None:
    assert read(("Subject", subject))["Subject"] == subject


def test_every_subject_of_every_language_is_read_as_it_was_written() -> None:
    """Also by the e-mail package's reader, and whatever the length of the order's number."""
    subjects = {
        phrases.subject.format(about=about.format(order="A" * length))
        for phrases in LANGUAGES.values()
        for about in (phrases.your_order, phrases.the_order)
        for length in range(1, 65)
    }

    assert len(subjects) == len(LANGUAGES) * 2 * 64
    assert [subject for subject in subjects if read(("Subject", subject))["Subject"] != subject] == []


@pytest.mark.parametrize("name", ["Mara Moser", "", "Müller, Jörg", 'Ann "the boss" O\'Neil', "A. B. <c@d>", "x" * 120])
def test_a_name_is_read_as_it_was_written(name: str) -> None:
    (address,) = read(("To", mailbox(name, "mara@example.com")))["To"].addresses

    assert (address.display_name, address.addr_spec) == (name, "mara@example.com")


def test_a_name_that_looks_encoded_stays_what_it_is() -> None:
    injected = "=?utf-8?q?=0D=0ABcc:_evil@x.example?="

    content = compose([("To", mailbox(injected, "a@x.example"))], text="a", html="b", boundary="=_boundary")

    assert content.startswith(
        b"To: =?utf-8?b?PT91dGYtOD9xPz0wRD0wQUJjYzpfZXZpbEB4LmV4YW1wbGU/PQ==?=\r\n <a@x.example>\r\n"
    )


def test_a_name_with_commas_is_one_quoted_string() -> None:
    line = header("To", mailbox("Doe, Jane, victim@evil.example", "a@x.example"))

    assert line == 'To: "Doe, Jane, victim@evil.example" <a@x.example>\r\n'


def test_an_address_in_another_alphabet_stands_as_it_is_and_its_domain_as_in_dns() -> None:
    content = compose([("To", mailbox("Mara", "mära@exämple.com"))], text="a", html="b", boundary="=_boundary")

    assert "To: Mara <mära@xn--exmple-cua.com>\r\n".encode() in content


def test_a_carriers_address_is_quoted() -> None:
    assert header("To", mailbox("Mara", "a..b@carrier.example")) == 'To: Mara <"a..b"@carrier.example>\r\n'


@pytest.mark.parametrize("name", ["Mara\r\nBcc: x@y.example", "a\nb", "a\x00b", "a\u2028b", "\ud800"])
def test_what_is_not_one_line_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        header("To", Mailbox(name, "mara@example.com"))
    with pytest.raises(ValueError, match="one line"):
        header("Subject", name)


@pytest.mark.parametrize(
    "text", ["Text.\n", ".\n..\n.x\n", "trailing  \t\n", "a" * 3_000 + "\n", "=3D = \n", "é€😀\n\n\n"]
)
def test_texts_are_read_as_they_were_written(text: str) -> None:
    message = read(("Subject", "Hello"), text=text, html=f"<pre>{text}</pre>\n")

    assert part(message, "plain") == text
    assert part(message, "html") == f"<pre>{text}</pre>\n"
