"""Commands and replies over a real socket, with a server that says exactly what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from deploy.local.ports import LOOPBACK
from services.notifier.outcomes import Broken, Refused, SmtpError, Unknown
from services.notifier.smtp import Connection, Envelope, Server

ENVELOPE = Envelope("orders@shop.example", "mara@example.com", 100)
GREETING = [b"220 hello\r\n", b"250-hello\r\n250-SIZE 1000\r\n250 PIPELINING\r\n"]


class Talk:
    """A server that answers what it gets, piece by piece, with these answers; what it got is in `heard`."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers, self.heard = [*GREETING, *answers], list[bytes]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.answers.pop(0))
        while self.answers and (said := await reader.read(65_536)):
            self.heard.append(said)
            writer.write(self.answers.pop(0))
        await writer.drain()
        writer.close()


Connect = Callable[..., Awaitable[tuple[Connection, Talk]]]


@pytest.fixture
async def talk() -> AsyncIterator[Connect]:
    """Connects to a server with these answers: `connection, server = await talk(b"250 OK\\r\\n", …)`."""
    servers: list[asyncio.Server] = []

    async def connect(*answers: bytes) -> tuple[Connection, Talk]:
        told = Talk(list(answers))
        server = await asyncio.start_server(told.serve, LOOPBACK, 0)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
        return await Server(host=LOOPBACK, port=port, security="none", limit_s=2).connect(), told

    yield connect
    for server in servers:
        server.close()


async def outcome(doing: Awaitable[object]) -> object:
    with pytest.raises(SmtpError) as raised:
        await doing
    return raised.value.outcome


async def test_sender_and_recipient_go_out_in_one_write_where_the_server_can(talk: Connect) -> None:
    connection, server = await talk(b"250 one\r\n250 two\r\n")

    await connection.offer(ENVELOPE)

    assert server.heard[-1] == b"MAIL FROM:<orders@shop.example> SIZE=100\r\nRCPT TO:<mara@example.com>\r\n"
    assert connection.is_open


async def test_the_first_refusal_of_several_replies_counts(talk: Connect) -> None:
    connection, _ = await talk(b"451 later\r\n503 no sender\r\n", b"250 reset\r\n")

    assert await outcome(connection.offer(ENVELOPE)) == Refused(451, "later")
    assert connection.is_open


async def test_lines_that_begin_with_a_dot_are_doubled_and_the_end_is_marked(talk: Connect) -> None:
    connection, server = await talk(b"354 go on\r\n", b"250-first\r\n250 second\r\n")

    said = await connection.transmit(b".a\r\n..b\r\n.\r\nc", limit_s=2)

    assert said == "250 first second"
    assert server.heard[-1] == b"..a\r\n...b\r\n..\r\nc\r\n.\r\n"


async def test_what_is_no_reply_after_the_text_leaves_the_outcome_unknown(talk: Connect) -> None:
    connection, _ = await talk(b"354 go on\r\n", b"what?\r\n")

    assert isinstance(await outcome(connection.transmit(b"text\r\n", limit_s=2)), Unknown)
    assert not connection.is_open


async def test_a_server_that_hangs_up_before_data_has_nothing(talk: Connect) -> None:
    connection, _ = await talk()

    assert isinstance(await outcome(connection.offer(ENVELOPE)), Broken)
    assert not connection.is_open


async def test_a_server_that_says_more_than_it_was_asked_is_not_used_again(talk: Connect) -> None:
    connection, _ = await talk(b"250 one\r\n250 two\r\n421 and good night\r\n")

    await connection.offer(ENVELOPE)

    assert isinstance(await outcome(connection.offer(ENVELOPE)), Broken)
