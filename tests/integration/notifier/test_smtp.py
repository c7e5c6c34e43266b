"""What the connection to the SMTP server insists on."""

import pytest
from pydantic import SecretStr

from deploy.local.ports import LOOPBACK, free_port
from services.notifier.connections import Connections
from services.notifier.outcomes import Refused, ServerAway, SmtpError
from services.notifier.smtp import Envelope, Server
from tests.servers.smtp import SmtpServer

ENVELOPE = Envelope("orders@shop.example", "mara@example.com", 100)


async def outcome_of(server: Server, envelope: Envelope = ENVELOPE) -> object:
    with pytest.raises(SmtpError) as raised:
        await Connections(server).offer(envelope)
    return raised.value.outcome


async def test_without_starttls_nothing_is_sent_in_the_clear(smtp: SmtpServer) -> None:
    outcome = await outcome_of(Server(host=LOOPBACK, port=smtp.port, security="starttls", limit_s=2))

    assert isinstance(outcome, ServerAway)


async def test_without_tls_nothing_is_sent_in_the_clear(smtp: SmtpServer) -> None:
    outcome = await outcome_of(Server(host=LOOPBACK, port=smtp.port, security="tls", limit_s=2))

    assert isinstance(outcome, ServerAway)


async def test_where_signing_in_fails_no_mail_is_to_blame(smtp: SmtpServer) -> None:
    server = Server(
        host=LOOPBACK, port=smtp.port, security="none", user="shop", password=SecretStr("secret"), limit_s=2
    )

    outcome = await outcome_of(server)

    assert isinstance(outcome, ServerAway)
    assert "secret" not in outcome.reason


async def test_a_server_that_is_not_there_or_says_nothing_is_away(smtp: SmtpServer) -> None:
    smtp.pause()

    nobody = await outcome_of(Server(host=LOOPBACK, port=free_port(), security="none", limit_s=2))
    silent = await outcome_of(Server(host=LOOPBACK, port=smtp.port, security="none", limit_s=0.2))

    assert isinstance(nobody, ServerAway)
    assert isinstance(silent, ServerAway)


@pytest.mark.parametrize("address", ["mara@example.com> SIZE=1", "mara@example.com\r\nRSET", "@"])
async def test_an_address_that_would_be_another_command_is_refused(smtp: SmtpServer, address: str) -> None:
    server = Server(host=LOOPBACK, port=smtp.port, security="none", limit_s=2)

    outcome = await outcome_of(server, Envelope("orders@shop.example", address, 100))

    assert isinstance(outcome, Refused)
    assert outcome.is_final


async def test_an_international_address_is_offered_as_such(smtp: SmtpServer) -> None:
    connections = Connections(Server(host=LOOPBACK, port=smtp.port, security="none", limit_s=2))

    connection = await connections.offer(Envelope("orders@shop.example", "mära@example.com", 100))
    await connection.transmit(b"Subject: Hello\r\n\r\nText\r\n", limit_s=2)
    connections.give_back(connection)
    await connections.close()

    (mail,) = await smtp.wait_for(1)
    assert mail.recipients == ("mära@example.com",)


async def test_a_refused_recipient_leaves_the_connection_good_for_the_next_mail(smtp: SmtpServer) -> None:
    smtp.refuse("gone@example.com")
    connections = Connections(Server(host=LOOPBACK, port=smtp.port, security="none", limit_s=2))
    with pytest.raises(SmtpError, match="550"):
        await connections.offer(Envelope("orders@shop.example", "gone@example.com", 100))

    connections.give_back(await connections.offer(ENVELOPE))
    await connections.close()

    assert smtp.connections == 1


async def test_a_connection_that_idles_too_long_is_not_used_again(smtp: SmtpServer) -> None:
    connections = Connections(Server(host=LOOPBACK, port=smtp.port, security="none", limit_s=2), idle_s=-1)
    for _ in range(2):
        connection = await connections.offer(ENVELOPE)
        await connection.reset()
        connections.give_back(connection)

    await connections.close_idle()

    assert smtp.connections == 2


async def test_a_connection_is_given_up_after_enough_mails(smtp: SmtpServer) -> None:
    connections = Connections(Server(host=LOOPBACK, port=smtp.port, security="none", limit_s=2), mails_per_connection=2)
    for _ in range(4):
        connection = await connections.offer(ENVELOPE)
        await connection.transmit(b"Subject: Hello\r\n\r\nText\r\n", limit_s=2)
        connections.give_back(connection)

    assert (len(smtp.mails), smtp.connections) == (4, 2)
