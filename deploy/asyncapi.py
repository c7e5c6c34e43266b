"""docs/asyncapi.yaml, all of it, and docs/asyncapi-shop.yaml, a shop's side: `python -m deploy.asyncapi [shop]`.

Both are made from the topology and the contracts.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from deploy.documents import write_yaml
from services.gateway.conventions import CONTACT, leave_optional
from shared import examples, topology
from shared.commands import CommandOutcome, routing_key
from shared.envelope import MEDIA_TYPE, Envelope
from shared.events import ROUTING_KEY_OF_ENTRY
from shared.orders import OrderEvent, order_routing_key

REF: Final = "#/components/schemas/{model}"
TAGS: Final = [
    {"name": "orders", "description": "What the shop says about orders"},
    {"name": "threads", "description": "What happens in the threads about them"},
]
SERVERS: Final = {
    "rabbitmq": {
        "host": "rabbitmq.shop.example:5671",
        "pathname": f"/{topology.VHOST}",
        "protocol": "amqps",
        "description": "The RabbitMQ that Parley runs on",
        "security": [{"type": "userPassword", "description": "A RabbitMQ user of your own, as the operators made it"}],
    }
}


@dataclass(frozen=True, slots=True)
class Channel:
    """An exchange as the document shows it: who publishes there, who receives, and what."""

    name: str
    exchange: str
    kind: str
    description: str
    messages: Sequence[Envelope]
    publisher: str
    receiver: str


CHANNELS: Final = (
    Channel(
        "orders",
        topology.SHOP_ORDERS,
        "topic",
        "The shop's own services say what an order now is. Persistent, mandatory; with `user_id`, the RabbitMQ user that publishes (one of "
        "`ORDER_PUBLISHERS`), or without. Declare nothing: the exchange is there, and no service of the shop's may declare it. What is "
        "refused is told on `parley.events` as `parley.order.rejected.v1`.",
        examples.ORDER_EVENTS,
        "The shop's services (and the gateway, for `PUT /v1/orders`)",
        f"threads, from `{topology.ORDERS_QUEUE}`",
    ),
    Channel(
        "commands",
        topology.COMMANDS,
        "topic",
        "What the gateway asks threads to do. Internal: no other user may write here.",
        examples.COMMANDS,
        "gateway",
        f"threads, from `{topology.COMMANDS_QUEUE}`",
    ),
    Channel(
        "events",
        topology.EVENTS,
        "topic",
        "What has happened, for everybody, without addresses. At least once and in any order; a copy has the same id.",
        examples.EVENTS,
        "threads",
        f"every gateway, from the stream `{topology.LIVE_STREAM}`; whatever else the shop binds (queues called `shop-…`)",
    ),
    Channel(
        "notifications",
        topology.NOTIFICATIONS,
        "topic",
        "The same, addressed: with the recipients' addresses and languages. Nobody but the notifier may read it.",
        [*examples.NOTIFICATIONS, *[e for e in examples.EVENTS if "thread.read" in e.type or "redacted" in e.type]],
        "threads",
        f"notifier, from `{topology.NOTIFIER_QUEUE}`",
    ),
)


def document() -> dict[str, Any]:
    """The AsyncAPI 3.0 document of everything that goes through RabbitMQ."""
    operations = dict(operation for channel in CHANNELS for operation in _operations(channel))
    channels = {channel.name: _channel(channel) for channel in CHANNELS} | {"replies": _replies()}
    return _document(
        "Parley",
        "Order messaging: what Parley takes from RabbitMQ and says there, the inner queues included. A shop's own part of it is "
        "asyncapi-shop.yaml.",
        channels=channels,
        operations=operations,
        messages=_every_message(),
        models=[CommandOutcome],
    )


def shops_document() -> dict[str, Any]:
    """The same as a shop's services see it: what they send, and what they may receive."""
    ours = {"orders": "send", "events": "receive"}
    channels = [channel for channel in CHANNELS if channel.name in ours]
    found = _document(
        "Parley, for a shop's services",
        "What your services publish about orders, and what they may listen to: you are the application here.",
        channels={channel.name: _channel(channel) for channel in channels},
        operations={
            "publishOrder": {
                "action": "send",
                "channel": _there("orders"),
                "summary": "Say what an order now is",
                "description": "Publish the whole snapshot at every change: persistent, mandatory, and with the property `user_id`, "
                "which is the name of your RabbitMQ user. The exchange is there: declare it passively or not at all.",
            },
            "hearEvents": {
                "action": "receive",
                "channel": _there("events"),
                "summary": "Hear what happens in the threads",
                "description": "Declare a durable queue called `shop-…` and bind it to the exchange by the routing keys that you want. Events "
                "come at least once and in any order; drop the ids that you know.",
            },
        },
        messages=[message for channel in channels for message in channel.messages],
        models=[],
    )
    written = {"$ref": REF.format(model=OrderEvent.__name__)}
    leave_optional(found["components"]["schemas"], iter([written]))
    return found


def _document(
    title: str,
    description: str,
    *,
    channels: dict[str, Any],
    operations: dict[str, Any],
    messages: Sequence[Envelope],
    models: Sequence[type[BaseModel]],
) -> dict[str, Any]:
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": "1",
            "description": f"{description} Every message is a CloudEvents 1.0 JSON event in structured mode; contracts only grow, and a "
            "changed meaning is a new version of the type.",
            "license": {"name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "contact": CONTACT,
            "tags": TAGS,
        },
        "defaultContentType": MEDIA_TYPE,
        "servers": SERVERS,
        "channels": channels,
        "operations": operations,
        "components": {"schemas": _schemas([*models, *map(type, messages)]), "messages": dict(map(_message, messages))},
    }


def _there(channel: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{channel}"}


def _channel(channel: Channel) -> dict[str, Any]:
    return {
        "address": channel.exchange,
        "description": channel.description,
        "messages": {
            _name(message): {"$ref": f"#/components/messages/{_name(message)}"} for message in channel.messages
        },
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {
                    "name": channel.exchange,
                    "type": channel.kind,
                    "durable": True,
                    "autoDelete": False,
                    "vhost": topology.VHOST,
                },
                "bindingVersion": "0.3.0",
            }
        },
    }


def _replies() -> dict[str, Any]:
    """Answers to the gateway that waits; the address is the gateway's own queue name, from the command's `reply_to`."""
    return {
        "address": topology.REPLIES,
        "description": "What became of a command, to the gateway that asked (`reply_to`, `correlation_id` = the command's id).",
        "messages": {
            "CommandOutcome": {
                "contentType": "application/json",
                "payload": {"$ref": REF.format(model="CommandOutcome")},
                "examples": [{"payload": _json(examples.REPLY)}],
            }
        },
    }


def _operations(channel: Channel) -> list[tuple[str, dict[str, Any]]]:
    there, description = _there(channel.name), channel.description
    sent, received = f"Published by: {channel.publisher}", f"Received by: {channel.receiver}"
    return [
        (
            f"publish-{channel.name}",
            {"action": "send", "channel": there, "summary": sent, "description": description},
        ),
        (
            f"receive-{channel.name}",
            {"action": "receive", "channel": there, "summary": received, "description": description},
        ),
    ]


def _message(message: Envelope) -> tuple[str, dict[str, Any]]:
    name = _name(message)
    return name, {
        "name": message.type,
        "title": type(message).__name__,
        "summary": _first_line(type(message)),
        "contentType": MEDIA_TYPE,
        "payload": {"$ref": REF.format(model=type(message).__name__)},
        "bindings": {"amqp": {"bindingVersion": "0.3.0"}},
        "x-routing-key": _routing_key(message),
        "examples": [{"name": name, "payload": _json(message)}],
    }


def _routing_key(message: Envelope) -> str:
    if isinstance(message, OrderEvent):
        return order_routing_key(message)
    if message.type == "parley.entry.addressed.v1":
        return " | ".join(ROUTING_KEY_OF_ENTRY.values())
    return routing_key(message)


def _schemas(models: Iterable[type[BaseModel]]) -> dict[str, Any]:
    ordered = sorted(set(models), key=lambda model: model.__name__)
    _, schema = models_json_schema([(model, "validation") for model in ordered], ref_template=REF)
    found: dict[str, Any] = schema["$defs"]
    return dict(sorted(found.items()))


def _every_message() -> list[Envelope]:
    return examples.EVERY_MESSAGE


def _name(message: Envelope) -> str:
    return message.type.removeprefix("parley.").replace(".", "-")


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _json(model: BaseModel) -> Any:
    return json.loads(model.model_dump_json(exclude_none=True))


def main() -> None:
    write_yaml(shops_document() if sys.argv[1:] == ["shop"] else document(), sys.stdout)


if __name__ == "__main__":
    main()
