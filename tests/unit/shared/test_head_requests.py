"""HEAD at the probes of threads and the notifier, which have no other GET of their own that others ask."""

from typing import Any

import pytest
from fastapi import FastAPI

from services.notifier import app as notifier
from services.notifier.settings import Settings as NotifierSettings
from services.threads import app as threads
from services.threads.settings import Settings as ThreadsSettings

SECRET = "a-secret-of-the-tests-of-32-bytes-and-more"
SHARED: dict[str, Any] = {"amqp_url": "amqp://nobody", "mongo_url": "mongodb://127.0.0.1:9/", "demo": True}


def _threads() -> FastAPI:
    secrets: dict[str, Any] = {name: f"{name}-{SECRET}" for name in ("token_demo_secret", "link_secret", "address_key")}
    return threads.build(ThreadsSettings(**SHARED, **secrets, token_issuer="shop"))


def _notifier() -> FastAPI:
    return notifier.build(NotifierSettings(**SHARED, smtp_host="127.0.0.1", smtp_port=9, mail_from="shop@example.com"))


async def ask(app: FastAPI, method: str, path: str) -> list[Any]:
    said: list[Any] = []
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [], "root_path": ""}

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    await app(scope, receive, send)
    return said


@pytest.mark.parametrize("service", [_threads, _notifier], ids=["threads", "notifier"])
@pytest.mark.parametrize("path", ["/livez", "/metrics"])
async def test_a_probe_is_answered_to_head_as_to_get_without_the_body(service: Any, path: str) -> None:
    app = service()
    got, head = await ask(app, "GET", path), await ask(app, "HEAD", path)
    assert (head[0]["status"], [name for name, _ in head[0]["headers"]]) == (
        200,
        [name for name, _ in got[0]["headers"]],
    )
    assert [(each["body"], each["more_body"]) for each in head[1:]] == [(b"", False)]
    assert path == "/metrics" or got[1]["body"]
