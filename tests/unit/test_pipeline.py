"""The frames of a publish, read back by the library that everybody else reads them with."""

from datetime import UTC, datetime

import pamqp.frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from shared.pipeline import frames
from shared.publishing import HeaderValue, Outgoing


def read(message: Outgoing, *, max_body_bytes: int = 1_000) -> tuple[Basic.Publish, ContentHeader, bytes]:
    data = b"".join(frames(message, user="gateway", channel=3, max_body_bytes=max_body_bytes))
    found = []
    while data:
        used, channel, frame = pamqp.frame.unmarshal(data)
        assert channel == 3
        found.append(frame)
        data = data[used:]
    method, header, *bodies = found
    assert isinstance(method, Basic.Publish)
    assert isinstance(header, ContentHeader)
    parts = [part.value for part in bodies if isinstance(part, ContentBody)]
    assert max(map(len, parts), default=0) <= max_body_bytes
    return method, header, b"".join(parts)


def test_a_publish_says_what_the_message_says() -> None:
    message = Outgoing(
        "parley.commands",
        "message.post",
        b"x" * 2_500,
        "id/é",
        reply_to="parley.replies.a.1",
        correlation_id="id",
        type="parley.command.message.post.v1",
        timestamp=datetime(2026, 11, 28, 9, 30, tzinfo=UTC),
    )
    method, header, body = read(message)
    said = header.properties
    assert (method.exchange, method.routing_key, method.mandatory, method.immediate) == (
        "parley.commands",
        "message.post",
        True,
        False,
    )
    assert (header.body_size, body) == (2_500, message.body)
    assert (said.content_type, said.delivery_mode, said.message_id, said.user_id) == (
        "application/cloudevents+json",
        2,
        "id/é",
        "gateway",
    )
    assert (said.reply_to, said.correlation_id, said.headers) == ("parley.replies.a.1", "id", None)
    assert (said.message_type, said.timestamp) == (message.type, message.timestamp)


def test_what_is_not_said_is_left_out_and_headers_are_kept() -> None:
    headers: dict[str, HeaderValue] = {"x-attempt": 2, "x-publisher": "gateway", "x-none": None, "x-yes": True}
    message = Outgoing("", "q", b"", "id", headers=headers, mandatory=False, persistent=False)
    method, header, body = read(message)
    assert (method.exchange, method.mandatory, body) == ("", False, b"")
    assert (header.properties.delivery_mode, header.properties.headers) == (1, headers)
    assert (header.properties.reply_to, header.properties.correlation_id) == (None, None)
    assert (header.properties.message_type, header.properties.timestamp) == (None, None)
