"""The demo reads Mailpit's mails as it reads those of our own catcher. Against Mailpit's documented answers; the image needs a registry."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from deploy.local.demo_api import MailpitMails, caught_mails

LISTED = {"total": 1, "messages": [{"ID": "iAfZ", "Created": "2026-11-23T03:00:00.123Z", "Subject": "New message"}]}
MAIL = {
    "ID": "iAfZ",
    "To": [{"Name": "Ada", "Address": "ada@example.com"}],
    "Subject": "New message",
    "Text": "It left yesterday.",
    "HTML": "<p>It left yesterday.</p>",
}
HEADERS = {"Message-Id": ["<1@shop.example>"], "Auto-Submitted": ["auto-generated"]}


@pytest.fixture
async def mailpit() -> AsyncIterator[str]:
    """A server that answers as Mailpit does."""
    answers = {"info": {"Version": "v1.27"}, "messages": LISTED, "message/iAfZ": MAIL, "message/iAfZ/headers": HEADERS}
    app = web.Application()

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(answers[request.path.removeprefix("/api/v1/")])

    app.router.add_get("/api/v1/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_mail_in_mailpit_is_found_by_its_text(mailpit: str) -> None:
    async with aiohttp.ClientSession() as session:
        mails = await caught_mails(session, mailpit)
        assert isinstance(mails, MailpitMails)
        [mail] = await mails.holding("It left yesterday.")
    assert (mail.recipients, mail.subject) == (("ada@example.com",), "New message")
    assert mail.headers == {"message-id": "<1@shop.example>", "auto-submitted": "auto-generated"}
    assert mail.received_at == pytest.approx(1795402800.123)
