"""The SMTP server of the tests does as it is told."""

import asyncio

import aiosmtplib
import pytest

from deploy.local.ports import LOOPBACK
from tests.servers.smtp import SmtpServer

MAIL = b"From: shop@shop.example\r\nTo: mara@example.com\r\nSubject: Hello\r\n\r\nText\r\n"


async def send(smtp: SmtpServer, *, to: str = "mara@example.com") -> str:
    answers = await aiosmtplib.send(
        MAIL, sender="shop@shop.example", recipients=[to], hostname=LOOPBACK, port=smtp.port, start_tls=False, timeout=5
    )
    return answers[1]


async def test_a_mail_is_recorded_with_its_envelope(smtp: SmtpServer) -> None:
    await send(smtp)

    (mail,) = await smtp.wait_for(1)
    assert (mail.sender, mail.recipients, mail.message["Subject"]) == (
        "shop@shop.example",
        ("mara@example.com",),
        "Hello",
    )


async def test_451_twice_and_then_250(smtp: SmtpServer) -> None:
    smtp.answer_data("451 4.3.0 later", times=2)

    for _ in range(2):
        with pytest.raises(aiosmtplib.SMTPDataError, match="later"):
            await send(smtp)
    await send(smtp)

    assert [mail.accepted for mail in smtp.received] == [False, False, True]


async def test_a_refused_recipient_is_refused_until_accepted_again(smtp: SmtpServer) -> None:
    smtp.refuse("Mara@example.com")
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
        await send(smtp)
    smtp.accept("mara@example.com")

    await send(smtp)

    assert len(smtp.mails) == 1


async def test_a_connection_dropped_before_the_final_dot_leaves_no_mail(smtp: SmtpServer) -> None:
    smtp.drop_data("drop before the final dot")

    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await send(smtp)

    assert smtp.received == []


async def test_a_connection_dropped_after_the_final_dot_leaves_a_mail_without_answer(smtp: SmtpServer) -> None:
    smtp.drop_data("drop after the final dot")

    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await send(smtp)

    assert [mail.answer for mail in smtp.received] == [None]
    assert smtp.mails == []


async def test_stopped_it_is_not_there_and_paused_it_says_nothing(smtp: SmtpServer) -> None:
    smtp.stop()
    with pytest.raises(aiosmtplib.SMTPConnectError):
        await send(smtp)
    smtp.start()
    smtp.pause()
    sending = asyncio.create_task(send(smtp))
    done, _ = await asyncio.wait([sending], timeout=0.2)
    assert not done

    smtp.resume()

    assert (await sending).startswith("2.0.0")
