"""Whatever bytes stand for a message's properties, its frame is read; what is left out is said, and nobody else can say it."""

import struct
from unittest.mock import Mock

import pytest
from aio_pika import IncomingMessage
from aiormq.abc import DeliveredMessage
from pamqp import frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from shared import undecodable
from shared.connections import with_options
from shared.delivery import WorkQueue, dead_letter, require_publisher
from shared.errors import CannotProcess
from tests.hostile_properties import DECODABLE, DELIVERY_MODE, EXPIRATION, HEADERS, UNDECODABLE, properties
from tests.servers.amqp_frames import frame as framed
from tests.servers.amqp_frames import long_text, short_text

QUEUE = WorkQueue("threads.orders", service="threads", publishers=frozenset({"shop"}))


@pytest.fixture(autouse=True)
def _installed() -> None:
    with_options("amqp://localhost/", "every connection begins with its options")


def _message(sent: bytes) -> IncomingMessage:
    """As aiormq and aio-pika make it of the frame."""
    _, _, header = frame.unmarshal(framed(2, 1, struct.pack(">HHQ", 60, 0, 2) + sent))
    assert isinstance(header, ContentHeader)
    delivery = Basic.Deliver(consumer_tag="c", delivery_tag=1, exchange="shop.orders", routing_key="order.placed")
    return IncomingMessage(DeliveredMessage(delivery=delivery, header=header, body=b"{}", channel=Mock()))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *((given, "") for given in UNDECODABLE.values()),
        ({DELIVERY_MODE: b"\x07"}, "delivery_mode: 7 is none"),
        ({EXPIRATION: short_text(b"soon")}, "expiration: no number"),
        ({EXPIRATION: short_text(b"")}, "expiration: no number"),
        ({HEADERS: long_text(short_text(b"a") + b"?")}, "not as AMQP 0-9-1 has tables"),
    ],
)
def test_an_undecodable_message_is_refused_with_what_cannot_be_decoded(given: dict[int, bytes], said: str) -> None:
    message = _message(properties("shop", given))
    with pytest.raises(CannotProcess, match="undecodable") as refused:
        require_publisher(message, QUEUE)
    assert said in refused.value.detail
    assert (message.user_id, message.message_id, message.body) == ("shop", "m-1", b"{}")
    letter = dead_letter(message, QUEUE, refused.value.reason, refused.value.detail)
    assert (letter.headers["x-publisher"], letter.headers["x-parley-reason"]) == ("shop", "undecodable")
    assert undecodable.MARK not in letter.headers


@pytest.mark.parametrize("given", DECODABLE.values(), ids=DECODABLE)
def test_what_is_strange_and_can_be_decoded_is_taken(given: dict[int, bytes]) -> None:
    require_publisher(_message(properties("shop", given)), QUEUE)
    assert QUEUE.publishers == {"shop"}


def test_what_can_be_decoded_of_the_headers_is_kept() -> None:
    good = short_text(b"x-publisher") + b"S" + long_text(b"shop")
    message = _message(properties("threads", {HEADERS: long_text(short_text(b"\xff") + b"V" + good)}))
    assert message.headers["x-publisher"] == "shop"
    assert set(message.headers) == {"x-publisher", undecodable.MARK}


@pytest.mark.parametrize("sent", [b"", b"\x00", b"\xff\xff", b"\xff\xfe", b"\x80\x00", b"\x00\x40\x00"])
def test_properties_that_are_cut_off_or_of_another_protocol_are_marked(sent: bytes) -> None:
    assert undecodable.problem_of(_message(sent).headers)


def test_a_library_of_another_version_stops_the_start_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undecodable, "version", lambda _: "5.0.0")
    with pytest.raises(undecodable.UnknownVersionError, match=r"pamqp 5\.0\.0 is installed; shared/undecodable\.py"):
        undecodable.install()
