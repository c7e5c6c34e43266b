"""Brings RabbitMQ's exchanges, queues, bindings, users and permissions to what shared.topology says; runs at every start.

Through the management API of a node that runs, not at its boot: RabbitMQ 4.0 ends in the middle of its start where it is to bind a
stream whose leader is not there yet. What exists stays; a queue that exists with other arguments stops the start by name.
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy.containers.credentials import BadSecretError, rabbitmq_passwords
from shared.topology import VHOST, definitions

LIMIT_S = 120.0
REQUEST_LIMIT_S = 20.0
ACCESS = ("vhosts", "users", "permissions", "topic_permissions")
PARTS = ("exchanges", "queues", "bindings")

Json = Any


class NotAsItMustBeError(Exception):
    """RabbitMQ does not hold what the services need."""


@dataclass(frozen=True)
class Management:
    """RabbitMQ's management API, as the operator."""

    url: str
    password: str

    def call(self, method: str, path: str, body: Json = None) -> Json:
        content = None if body is None else json.dumps(body).encode()
        token = base64.b64encode(f"operator:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api{path}", content, headers, method=method)  # noqa: S310 - our own
        with urllib.request.urlopen(request, timeout=REQUEST_LIMIT_S) as answer:  # noqa: S310 - our own
            text = answer.read()
        return json.loads(text) if text else None

    def is_up(self) -> bool:
        try:
            return bool(self.call("GET", "/whoami"))
        except (OSError, ValueError):
            return False

    def nodes(self) -> int:
        return sum(bool(node["running"]) for node in self.call("GET", "/nodes"))


def bring_about(management: Management, passwords: Mapping[str, str], *, members: int) -> list[str]:
    """Imports what is missing, and names what is there but different. Users and permissions of those whose passwords are given."""
    wanted = definitions(passwords)
    parts = (*ACCESS, *PARTS) if passwords else PARTS
    management.call("POST", "/definitions", {part: wanted[part] for part in parts})
    return different(management, wanted, members=members)


def different(management: Management, wanted: dict[str, Json], *, members: int) -> list[str]:
    vhost = quote(VHOST, safe="")
    there = {queue["name"]: queue for queue in management.call("GET", f"/queues/{vhost}")}
    wrong = []
    for queue in wanted["queues"]:
        found = there.get(queue["name"])
        if found is None:
            wrong.append(f"queue {queue['name']} is missing")
            continue
        has = {name: found["arguments"].get(name) for name in queue["arguments"]}
        if has != queue["arguments"]:
            wrong.append(f"queue {queue['name']} has {has}, and must have {queue['arguments']}")
        if len(found.get("members", ())) < min(members, 3):
            wrong.append(f"queue {queue['name']} has {len(found.get('members', ()))} members")
    return wrong


def wait_for(management: Management, *, members: int) -> None:
    """Returns when so many nodes run and answer. Raises NotAsItMustBeError after two minutes."""
    deadline = time.monotonic() + LIMIT_S
    while not (management.is_up() and management.nodes() >= members):
        if time.monotonic() > deadline:
            raise NotAsItMustBeError(f"RabbitMQ does not run with {members} nodes at {management.url}")
        time.sleep(0.5)


def _operators_password() -> str:
    return Path(os.environ.get("SECRETS_ROOT", "/secrets"), "setup", "rabbitmq_operator").read_text()


def main() -> int:
    try:
        named = rabbitmq_passwords(os.environ)
    except BadSecretError as error:
        print(error, file=sys.stderr)
        return 1
    passwords = {user: os.environ[name] for user, name in named.items() if os.environ.get(name)}
    password = passwords.get("operator") or _operators_password()
    management = Management(os.environ.get("MANAGEMENT_URL", "http://rabbitmq:15672"), password)
    members = int(os.environ.get("RABBITMQ_MEMBERS", "1"))
    try:
        wait_for(management, members=members)
        wrong = bring_about(management, passwords, members=members)
        deadline = time.monotonic() + LIMIT_S
        while wrong and time.monotonic() < deadline:
            time.sleep(1)
            wrong = different(management, definitions({}), members=members)
    except NotAsItMustBeError as error:
        wrong = [str(error)]
    except urllib.error.HTTPError as error:
        wrong = [f"RabbitMQ refused: {error.code} {error.read().decode(errors='replace')[:500]}"]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
