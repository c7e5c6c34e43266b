"""The bytes of a mail are what Python's own e-mail package reads back, whatever stands in the headers and the texts."""

from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default

import pytest

from services.notifier.message import Header, compose, mailbox

LONG = "a subject that is much longer than one line of a header may be, " * 4


def read(*headers: Header, text: str = "Text.\n", html: str = "<p>Text.</p>\n", utf8: bool = False) -> EmailMessage:
    content = compose(headers, text=text, html=html, boundary="=_boundary", utf8=utf8)
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
    "subject", ["Hello", "Grüße aus Köln", LONG.strip(), "日本語の件名" * 10, "=?utf-8?q?no?= trick"]
)
def test_a_subject_is_read_as_it_was_written(subject: str) -> None:
    shown = read(("Subject", subject))["Subject"]

    assert shown == subject or "=?" in subject


@pytest.mark.parametrize("name", ["Mara Moser", "", "Müller, Jörg", 'Ann "the boss" O\'Neil', "A. B. <c@d>", "x" * 120])
def test_a_name_is_read_as_it_was_written(name: str) -> None:
    (address,) = read(("To", mailbox(name, "mara@example.com")))["To"].addresses

    assert (address.display_name, address.addr_spec) == (name, "mara@example.com")


def test_an_address_in_another_alphabet_needs_utf8() -> None:
    content = compose(
        [("To", mailbox("Mara", "mära@exämple.com"))], text="a", html="b", boundary="=_boundary", utf8=True
    )

    assert "To: Mara <mära@xn--exmple-cua.com>\r\n".encode() in content


@pytest.mark.parametrize(
    "text", ["Text.\n", ".\n..\n.x\n", "trailing  \t\n", "a" * 3_000 + "\n", "=3D = \n", "é€😀\n\n\n"]
)
def test_texts_are_read_as_they_were_written(text: str) -> None:
    message = read(("Subject", "Hello"), text=text, html=f"<pre>{text}</pre>\n")

    assert part(message, "plain") == text
    assert part(message, "html") == f"<pre>{text}</pre>\n"
