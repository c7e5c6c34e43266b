"""Secrets of one local stack: made up once, each in a file that only its owner can read."""

import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy.mongo_access import USERS as MONGO_USERS
from shared.topology import SHOP, users


@dataclass(frozen=True)
class Credentials:
    """What the services of this stack share, and the password of each user of RabbitMQ and of MongoDB."""

    token_secret: str
    link_secret: str
    command_id_secret: str
    address_key: str
    rabbitmq: dict[str, str]
    mongo: dict[str, str]

    @classmethod
    def load_or_make(cls, directory: Path, publishers: Iterable[str] = (SHOP,)) -> "Credentials":
        """Reads the secrets of an earlier start, and makes those that are not there. `publishers` are the shop's users of RabbitMQ."""
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        return cls(
            token_secret=_secret(directory / "token_demo_secret"),
            link_secret=_secret(directory / "link_secret"),
            command_id_secret=_secret(directory / "command_id_secret"),
            address_key=_secret(directory / "address_key"),
            rabbitmq={user: _secret(directory / f"rabbitmq_{user}") for user in users(publishers)},
            mongo={user: _secret(directory / f"mongo_{user}") for user in MONGO_USERS},
        )


def mongo_key_file(directory: Path) -> Path:
    """The file with the key by which members of MongoDB's replica set know each other: base64, so hexadecimal will do."""
    path = directory / "mongo_key"
    _secret(path, make=secrets.token_hex)
    return path


def _secret(path: Path, *, make: Callable[[int], str] = secrets.token_urlsafe) -> str:
    """The file's content; a new secret of 256 bits, safe in URLs, where there is no file or an empty one."""
    try:
        kept = path.read_text().strip()
    except FileNotFoundError:
        kept = ""
    if kept:
        return kept
    made = make(32)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(made + "\n")
    scratch.replace(path)
    return made
