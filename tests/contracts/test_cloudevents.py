"""Events by the CloudEvents standard, in both directions with its official SDK; and what is none is refused."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings import amqp, rabbitmq
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from shared import examples
from shared.contracts import cloudevents
from shared.envelope import Envelope, read
from shared.errors import CannotProcess
from shared.orders import ORDER_EVENT, OrderEvent

JSON = JSONFormat()
ORDER: dict[str, Any] = json.loads(examples.ORDER.model_dump_json())
CHANGED = datetime(2026, 1, 31, 9, 5, 0, 250_000, tzinfo=UTC)


def _attributes(**more: Any) -> dict[str, Any]:
    named = {"id": "e-1", "source": "/shop/orders", "type": "parley.order.updated.v1", "specversion": "1.0"}
    return {**named, "time": CHANGED, **more}


def _read(body: bytes, content_type: str | None = None, headers: dict[str, Any] | None = None) -> OrderEvent:
    return read(ORDER_EVENT, cloudevents.structured(body, content_type=content_type, headers=headers or {}))


@pytest.mark.parametrize("message", [*examples.EVENTS, *examples.ORDER_EVENTS], ids=lambda message: message.type)
def test_the_sdk_reads_what_we_publish(message: Envelope) -> None:
    body = message.model_dump_json(exclude_none=True).encode()
    event = rabbitmq.from_structured(rabbitmq.RabbitMQMessage({}, cloudevents.STRUCTURED, body), JSON)
    assert (event.get_id(), event.get_source(), event.get_type()) == (message.id, message.source, message.type)
    assert (event.get_time(), event.get_subject()) == (message.time, message.subject)
    assert event.get_data() == json.loads(body)["data"]


@pytest.mark.parametrize("data", [ORDER, json.dumps(ORDER).encode()], ids=["data", "data_base64"])
@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/vnd.shop+json"])
def test_we_read_what_the_sdk_writes_structured(data: Any, kind: str) -> None:
    event = CloudEvent(attributes=_attributes(datacontenttype=kind, comexampleext="x", subject="1042"), data=data)
    sent = rabbitmq.to_structured(event, JSON)
    taken = _read(sent.body, sent.content_type, dict(sent.headers))
    assert (taken.id, taken.time, taken.data.order_id) == ("e-1", CHANGED, "1042")


@pytest.mark.parametrize("kind", ["application/json", "application/vnd.shop+json; charset=UTF-8"])
def test_we_read_what_the_sdk_writes_binary_for_rabbitmq_and_for_amqp(kind: str) -> None:
    event = CloudEvent(attributes=_attributes(datacontenttype=kind, attempt=2), data=ORDER)
    ours = rabbitmq.to_binary(event, JSON)
    amqps = amqp.to_binary(event, JSON)
    named = {
        name.replace("cloudEvents_", "cloudEvents:"): value for name, value in amqps.application_properties.items()
    }
    for headers, body in (
        (dict(ours.headers), ours.body),
        (amqps.application_properties, amqps.application_data),
        (named, amqps.application_data),
        ({name.upper(): value for name, value in ours.headers.items()}, ours.body),
        (amqps.application_properties | {"cloudEvents_time": CHANGED, "x-other": [1]}, amqps.application_data),
    ):
        taken = _read(body, kind, headers)
        assert (taken.id, taken.source, taken.time) == ("e-1", "/shop/orders", CHANGED)
        assert (taken.datacontenttype, taken.data) == (kind, examples.ORDER)


def test_what_the_standard_leaves_out_may_be_left_out() -> None:
    bare = {"specversion": "1.0", "id": "e-1", "source": "shop", "type": "parley.order.placed.v1", "data": ORDER}
    for more in (
        {},
        {"time": None, "subject": None, "datacontenttype": None},
        {"dataschema": "https://shop.example/s"},
    ):
        taken = _read(json.dumps({**bare, **more}).encode(), "application/cloudevents+json; charset=utf-8")
        assert (taken.time, taken.subject, taken.datacontenttype) == (None, None, "application/json")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"time": 1795856690}, "time"),
        ({"time": "1795856690"}, "time"),
        ({"time": "2026-01-31"}, "time"),
        ({"time": "2026-01-31T09:05:00"}, "time"),
        ({"time": ""}, "time"),
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": 1.0}, "a text"),
        ({"specversion": None}, "specversion"),
        ({"id": ""}, "id"),
        ({"id": None}, "id"),
        ({"source": ""}, "source"),
        ({"source": "my shop"}, "source"),
        ({"type": ""}, "type"),
        ({"subject": ""}, "subject must not be empty"),
        ({"dataschema": ""}, "dataschema must not be empty"),
        ({"datacontenttype": "text/plain"}, "datacontenttype"),
        ({"datacontenttype": "application/json; charset=iso-8859-1"}, "datacontenttype"),
        ({"traceParent": "x"}, "lower-case letters and digits"),
        ({"com.example": "x"}, "lower-case letters and digits"),
        ({"nested": {"a": 1}}, "a text, an integer"),
        ({"share": 1.5}, "a text, an integer"),
        ({"data_base64": "e30="}, "cannot be given together"),
        ({"data": None, "data_base64": "no base64!"}, "data_base64 must be JSON"),
        ({"data": None, "data_base64": base64.b64encode(b"no json").decode()}, "data_base64 must be JSON"),
        ({"data": None}, "data"),
    ],
)
def test_what_is_no_cloud_event_is_refused_with_what_is_wrong(wrong: dict[str, Any], said: str) -> None:
    event = json.loads(examples.ORDER_EVENTS[0].model_dump_json()) | wrong
    with pytest.raises(CannotProcess) as refused:
        _read(json.dumps(event).encode())
    assert refused.value.reason == "invalid"
    assert said in refused.value.detail


def test_an_event_without_a_version_of_the_standard_is_none() -> None:
    event = json.loads(examples.ORDER_EVENTS[0].model_dump_json())
    del event["specversion"]
    with pytest.raises(CannotProcess, match="specversion"):
        _read(json.dumps(event).encode())


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        ("application/cloudevents-batch+json", b"[]", cloudevents.ONE_BY_ONE),
        (None, b' [{"specversion": "1.0"}]', cloudevents.ONE_BY_ONE),
        ("application/cloudevents+avro", b"\x00", cloudevents.NOT_JSON),
        ("application/cloudevents+json; charset=utf-16", b"{}", cloudevents.NOT_JSON),
    ],
)
def test_a_batch_and_other_formats_are_refused_with_what_to_do(content_type: str, body: bytes, said: str) -> None:
    with pytest.raises(CannotProcess) as refused:
        _read(body, content_type)
    assert refused.value.detail == said


@pytest.mark.parametrize(
    ("content_type", "headers", "body", "said"),
    [
        ("text/xml", {}, b"<order/>", "content_type"),
        ("application/json", {}, b'{"order_id": 1', "data: must be JSON"),
        ("application/json", {}, b'{}, "id": "another"', "data: must be JSON"),
        ("application/json", {"ce-time": "yesterday"}, b"{}", "time"),
        ("application/json", {"ce-time": 10**18}, b"{}", "time"),
        ("application/json", {"ce-flags": {"a": 1}}, b"{}", "a text, an integer"),
        ("application/json", {"ce-price": object()}, b"{}", "an attribute must be"),
        ("application/json", {"ce-id": ""}, b"{}", "id"),
    ],
)
def test_a_binary_event_that_is_none_is_refused(
    content_type: str, headers: dict[str, Any], body: bytes, said: str
) -> None:
    good = dict(rabbitmq.to_binary(CloudEvent(attributes=_attributes(), data=ORDER), JSON).headers)
    with pytest.raises(CannotProcess) as refused:
        _read(body, content_type, good | headers)
    assert said in refused.value.detail


def test_the_media_type_decides_before_the_headers() -> None:
    """A structured event may repeat its attributes in headers, which are then not looked at."""
    body = examples.ORDER_EVENTS[0].model_dump_json().encode()
    assert _read(body, cloudevents.STRUCTURED, {"ce-specversion": "0.3", "ce-id": "another"}).id == "1042.3"
