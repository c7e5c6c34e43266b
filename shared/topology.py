"""Exchanges, queues, bindings and permissions: what stands in RabbitMQ before any service starts.

The services declare nothing (but the gateway its own reply queue): the definitions made here are imported by whoever runs RabbitMQ.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

VHOST = "parley"

SHOP_ORDERS = "shop.orders"
COMMANDS = "parley.commands"
EVENTS = "parley.events"
NOTIFICATIONS = "parley.notifications"
DEAD = "parley.dead"
REPLIES = "parley.replies"
THREADS_RETRY = "threads.retry"
NOTIFIER_RETRY = "notifier.retry"

ORDERS_QUEUE = "threads.orders"
COMMANDS_QUEUE = "threads.commands"
NOTIFIER_QUEUE = "notifier.events"
LIVE_STREAM = "parley.live"
# What gateways publish to see whether RabbitMQ confirms anything; nobody reads it, and it holds the newest one.
CANARY_QUEUE = "parley.canary"
CANARY_KEY = "canary"
WORK_QUEUES = {ORDERS_QUEUE: THREADS_RETRY, COMMANDS_QUEUE: THREADS_RETRY, NOTIFIER_QUEUE: NOTIFIER_RETRY}

DELIVERY_LIMIT = 10
RETRY_TIERS_MS = (500, 1_500, 4_000)
# Where a post waits for its author's previous one, in short rounds: a round is about as long as another worker's group.
WAIT_TIER_MS = 100
MAX_QUEUED_MESSAGES = 500_000
LIVE_MAX_AGE = "1h"
LIVE_MAX_BYTES = 500_000_000
# RabbitMQ forgets whole segments, and looks when a new one begins: small ones keep the hour honest.
LIVE_SEGMENT_BYTES = 1_000_000
# Of the kind of the work queues, so that a confirm says that those can be written to.
CANARY_ARGUMENTS = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "drop-head"}
# Dead letters wait for an operator, who may look at them any number of times; RabbitMQ 4 would else drop them after 20 looks.
NO_DELIVERY_LIMIT = 1_000_000_000

SHOP = "shop"
USERS = ("gateway", "threads", "notifier", SHOP, "operator")
# Who publishes orders: the shop's services that the setting ORDER_PUBLISHERS names. No `_`: names become those of environment variables.
ORDER_PUBLISHERS = SHOP
PUBLISHER_PATTERN = r"[a-z][a-z0-9-]{0,31}"

TOPIC_EXCHANGES = (SHOP_ORDERS, COMMANDS, EVENTS, NOTIFICATIONS, DEAD)
DIRECT_EXCHANGES = (REPLIES, THREADS_RETRY, NOTIFIER_RETRY)

BINDINGS = (
    (SHOP_ORDERS, ORDERS_QUEUE, "order.*"),
    (SHOP_ORDERS, CANARY_QUEUE, CANARY_KEY),
    (COMMANDS, COMMANDS_QUEUE, "#"),
    (EVENTS, LIVE_STREAM, "#"),
    (NOTIFICATIONS, NOTIFIER_QUEUE, "#"),
)

# user: (configure, write, read). Another shop service's own queues are called shop-…; a user that is not here is one of the shop's services.
PERMISSIONS: Mapping[str, tuple[str, str, str]] = {
    "gateway": (
        r"^parley\.replies\..+$",
        r"^(parley\.commands|shop\.orders|parley\.replies\..+)$",
        r"^(parley\.replies|parley\.replies\..+|parley\.live)$",
    ),
    "threads": (
        "^$",
        r"^(parley\.events|parley\.notifications|parley\.dead|parley\.replies|threads\.retry)$",
        r"^(threads\.orders|threads\.commands)$",
    ),
    "notifier": ("^$", r"^(parley\.dead|notifier\.retry)$", r"^notifier\.events$"),
    "shop": (r"^shop-.+$", r"^(shop\.orders|shop-.+)$", r"^(parley\.events|shop-.+)$"),
    "operator": (".*", ".*", ".*"),
}

# A service may park only what it took from its own queues.
DEAD_ROUTING_KEYS = {"threads": r"^threads\..+$", "notifier": r"^notifier\..+$"}


def publishers(names: str) -> tuple[str, ...]:
    """The RabbitMQ users that a setting ORDER_PUBLISHERS names, with commas or spaces between them. Raises ValueError for one that cannot be."""
    found = tuple(dict.fromkeys(names.replace(",", " ").split()))
    for name in found:
        if not re.fullmatch(PUBLISHER_PATTERN, name):
            raise ValueError(
                f"{name!r} must be a RabbitMQ user's name of 1 to 32 of a-z, 0-9 and '-', beginning with a letter"
            )
        if name in USERS and name != SHOP:
            raise ValueError(f"{name!r} is the user of a service of Parley's")
    if not found:
        raise ValueError("must name at least one RabbitMQ user")
    return found


def users(names: Iterable[str]) -> tuple[str, ...]:
    """All users, where these are the shop's."""
    return tuple(dict.fromkeys((*(user for user in USERS if user != SHOP), *names)))


def dead_queue(queue: str) -> str:
    return f"{queue}.dead"


def retry_queue(queue: str, tier_ms: int) -> str:
    return f"{queue}.retry.{tier_ms}ms"


def tiers(queue: str) -> tuple[int, ...]:
    """The wait times, in milliseconds, of the queue's retry queues."""
    return (WAIT_TIER_MS, *RETRY_TIERS_MS) if queue == COMMANDS_QUEUE else RETRY_TIERS_MS


def definitions(passwords: Mapping[str, str], *, max_queued: int = MAX_QUEUED_MESSAGES) -> dict[str, Any]:
    """The document for `rabbitmqctl import_definitions`, with these users (name: password) and their permissions."""
    return {
        "vhosts": [{"name": VHOST}],
        "users": [_user(name, password) for name, password in passwords.items()],
        "permissions": [_permission(name) for name in passwords],
        "topic_permissions": [_dead_permission(name) for name in passwords if name in DEAD_ROUTING_KEYS],
        "exchanges": [_exchange(name, "topic") for name in TOPIC_EXCHANGES]
        + [_exchange(name, "direct") for name in DIRECT_EXCHANGES],
        "queues": _queues(max_queued),
        "bindings": _bindings(),
    }


def _queues(max_queued: int) -> list[dict[str, Any]]:
    queues = [_queue(LIVE_STREAM, _stream_arguments()), _queue(CANARY_QUEUE, CANARY_ARGUMENTS)]
    for work in WORK_QUEUES:
        queues.append(_queue(work, _work_arguments(work, max_queued)))
        queues.append(_queue(dead_queue(work), {"x-queue-type": "quorum", "x-delivery-limit": NO_DELIVERY_LIMIT}))
        queues += [_queue(retry_queue(work, tier), _retry_arguments(work, tier)) for tier in tiers(work)]
    return queues


def _stream_arguments() -> dict[str, Any]:
    return {
        "x-queue-type": "stream",
        "x-max-age": LIVE_MAX_AGE,
        "x-max-length-bytes": LIVE_MAX_BYTES,
        "x-stream-max-segment-size-bytes": LIVE_SEGMENT_BYTES,
    }


def _work_arguments(queue: str, max_queued: int) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-max-length": max_queued,
    }


def _retry_arguments(queue: str, tier_ms: int) -> dict[str, Any]:
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": tier_ms,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _bindings() -> list[dict[str, Any]]:
    bindings = [_binding(source, queue, key) for source, queue, key in BINDINGS]
    for work, retry_exchange in WORK_QUEUES.items():
        bindings.append(_binding(DEAD, dead_queue(work), work))
        waits = [retry_queue(work, tier) for tier in tiers(work)]
        bindings += [_binding(retry_exchange, wait, wait) for wait in waits]
    return bindings


def _exchange(name: str, kind: str) -> dict[str, Any]:
    return {
        "name": name,
        "vhost": VHOST,
        "type": kind,
        "durable": True,
        "auto_delete": False,
        "internal": False,
        "arguments": {},
    }


def _queue(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "vhost": VHOST, "durable": True, "auto_delete": False, "arguments": arguments}


def _binding(source: str, queue: str, routing_key: str) -> dict[str, Any]:
    return {
        "source": source,
        "vhost": VHOST,
        "destination": queue,
        "destination_type": "queue",
        "routing_key": routing_key,
        "arguments": {},
    }


def _user(name: str, password: str) -> dict[str, Any]:
    """RabbitMQ's own password hash: base64(salt + SHA-256(salt + password)), salt of 4 bytes."""
    salt = os.urandom(4)
    digest = hashlib.sha256(salt + password.encode()).digest()
    tags = ["administrator"] if name == "operator" else []
    return {
        "name": name,
        "password_hash": base64.b64encode(salt + digest).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": tags,
        "limits": {},
    }


def _permission(user: str) -> dict[str, Any]:
    configure, write, read = PERMISSIONS.get(user, PERMISSIONS[SHOP])
    return {"user": user, "vhost": VHOST, "configure": configure, "write": write, "read": read}


def _dead_permission(user: str) -> dict[str, Any]:
    return {"user": user, "vhost": VHOST, "exchange": DEAD, "write": DEAD_ROUTING_KEYS[user], "read": "^$"}
