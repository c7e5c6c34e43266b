"""docs/asyncapi.yaml, made from the topology and the contracts: `python -m deploy.asyncapi`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from deploy.documents import write_yaml
from shared import examples, topology
from shared.commands import CommandOutcome, routing_key
from shared.envelope import MEDIA_TYPE, Envelope
from shared.events import ROUTING_KEY_OF_ENTRY
from shared.orders import OrderEvent, order_routing_key

REF: Final = "#/components/schemas/{model}"


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
    """The AsyncAPI 3.0 document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Parley",
            "version": "1",
            "description": "Order messaging: what Parley takes from RabbitMQ and says there. Every message is a CloudEvents 1.0 "
            "JSON event in structured mode; contracts only grow, and a changed meaning is a new version of the type.",
            "license": {"name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": MEDIA_TYPE,
        "channels": {channel.name: _channel(channel) for channel in CHANNELS} | {"replies": _replies()},
        "operations": dict(operation for channel in CHANNELS for operation in _operations(channel)),
        "components": {"schemas": _schemas(), "messages": dict(_message(each) for each in _every_message())},
    }


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
    there = {"$ref": f"#/channels/{channel.name}"}
    return [
        (
            f"publish-{channel.name}",
            {"action": "send", "channel": there, "summary": f"Published by: {channel.publisher}"},
        ),
        (
            f"receive-{channel.name}",
            {"action": "receive", "channel": there, "summary": f"Received by: {channel.receiver}"},
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


def _schemas() -> dict[str, Any]:
    models: list[type[BaseModel]] = [CommandOutcome, *{type(message) for message in _every_message()}]
    ordered = sorted(models, key=lambda model: model.__name__)
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
    write_yaml(document(), sys.stdout)


if __name__ == "__main__":
    main()
