"""The last look at a mail: whatever went wrong before, a mail that says something else than it was to say does not go out."""

import pytest

from services.notifier.finished import NotAsGivenError, require_addressed, require_as_given
from services.notifier.headers import Header, Mailbox

MARA = Mailbox("Mara Moser", "mara@example.com")
GIVEN: tuple[Header, ...] = (("From", Mailbox("The Shop", "shop@x.example")), ("To", MARA), ("Subject", "Hello"))
BODY = "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nText.\r\n"
FROM, TO, SUBJECT = "From: The Shop <shop@x.example>\r\n", "To: Mara Moser <mara@example.com>\r\n", "Subject: Hello\r\n"


def mail(*, sender: str = FROM, to: str = TO, subject: str = SUBJECT, more: str = "") -> bytes:
    return f"{sender}{to}{subject}{more}{BODY}".encode()


def test_a_mail_as_it_was_given_passes() -> None:
    require_as_given(mail(), GIVEN)
    require_as_given(mail(to='To: "Mara Moser"\r\n <mara@example.com>\r\n'), GIVEN)
    require_as_given(mail(to="To: =?utf-8?q?Mara_M?=\r\n =?utf-8?b?b3Nlcg==?= <mara@example.com>\r\n"), GIVEN)
    require_addressed(mail(), to="mara@example.com")


@pytest.mark.parametrize(
    "changed",
    [
        mail(to="To: ceo@bank.example, Mara Moser <mara@example.com>\r\n"),
        mail(to="To: Mara Moser <mara@example.com>, x@y.example\r\n"),
        mail(to="To: Mara <mara@example.com>\r\n"),
        mail(to="To: Mara Moser <mora@example.com>\r\n"),
        mail(to="To: Mara =?utf-8?q?Moser?= =?utf-8?q?!?= <mara@example.com>\r\n"),
        mail(to='To: "=?utf-8?q?Mara_Moser?=" <mara@example.com>\r\n'),
        mail(to="To: =?utf-8?q?Mara=5?= =?utf-8?q?FMoser?= <mara@example.com>\r\n"),
        mail(to="To: Mara Moser <mara@example.com>\r\nBcc: x@y.example\r\n"),
        mail(to="To: \r\nSubject: Refund failed\r\n\r\n<mara@example.com>\r\n"),
        mail(to="To: Mara Moser\n <mara@example.com>\r\n"),
        mail(to="To: Mara Moser\r\n \r\n <mara@example.com>\r\n"),
        mail(to=""),
        mail(to=TO + TO),
        mail(sender="From: The Shop <shop@x.example>, x@y.example\r\n"),
        mail(subject="Subject: Hello \x00\r\n"),
        mail(subject="Subject: =?utf-8?q?Hello?= you\r\n"),
        mail(subject=f"Subject: {'x' * 1_000}\r\n"),
        mail(more="X-Other: 1\r\n"),
        mail().partition(b"\r\n\r\n")[0],
    ],
)
def test_a_mail_that_is_read_otherwise_is_stopped(changed: bytes) -> None:
    with pytest.raises(NotAsGivenError) as caught:
        require_as_given(changed, GIVEN)

    assert "example" not in str(caught.value)


@pytest.mark.parametrize(
    "kept",
    [
        mail(to="To: ceo@bank.example, x <mara@example.com>\r\n"),
        mail(to="To: Mara Moser <mara@strasse.example>\r\n"),
        mail(to="To: \r\nSubject: Refund failed\r\n\r\n<mara@example.com>\r\n"),
        mail(more="Bcc: x@y.example\r\n"),
        mail(more=SUBJECT),
        mail(sender=""),
    ],
)
def test_bytes_that_an_older_release_has_left_go_to_the_recipient_alone_or_not_at_all(kept: bytes) -> None:
    with pytest.raises(NotAsGivenError):
        require_addressed(kept, to="mara@example.com")


def test_a_name_as_the_email_package_folded_it_still_passes() -> None:
    to = 'To: =?utf-8?q?M=C3=BCller?= Mara "Moser,\r\n Inc" <mara@example.com>\r\n'

    require_addressed(mail(to=to), to="mara@example.com")
