"""Hands every container its own secrets, as files in a volume that nobody else mounts; the first thing that a start runs.

A secret comes from the environment. In demo mode (DEMO=1) what is not given is made up once and kept; otherwise what is missing,
short, well known or used twice stops the start, with its name and never its value.
"""

import json
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from deploy.mongo_access import USERS as MONGO_USERS
from shared.topology import ORDER_PUBLISHERS, SHOP, USERS, definitions, publishers, users


def password_names(of: Iterable[str]) -> dict[str, str]:
    """The name of each RabbitMQ user's password: `RABBITMQ_ERP_PASSWORD` for `erp`."""
    return {user: f"RABBITMQ_{user.upper().replace('-', '_')}_PASSWORD" for user in of}


def rabbitmq_passwords(environment: Mapping[str, str]) -> dict[str, str]:
    """Of the services and of the shop's publishers (ORDER_PUBLISHERS); the demo shop's user is always among them. Raises BadSecretError."""
    try:
        named = publishers(environment.get("ORDER_PUBLISHERS") or ORDER_PUBLISHERS)
    except ValueError as error:
        raise BadSecretError(f"ORDER_PUBLISHERS {error}") from None
    return password_names(users((SHOP, *named) if environment.get("DEMO") == "1" else named))


RABBITMQ_PASSWORDS = password_names(USERS)
MONGO_PASSWORDS = {user: f"MONGO_{user.upper()}_PASSWORD" for user in MONGO_USERS}
MONGO_KEY = "MONGO_KEY"
COOKIE = "RABBITMQ_COOKIE"
KEYS = ("LINK_SECRET", "COMMAND_ID_SECRET", "ADDRESS_KEY")
DEMO_KEY = "TOKEN_DEMO_SECRET"
GRAFANA = "GRAFANA_PASSWORD"

NOT_RABBITMQS = (*MONGO_PASSWORDS.values(), MONGO_KEY, COOKIE, *KEYS, GRAFANA)
ALWAYS = (*RABBITMQ_PASSWORDS.values(), *NOT_RABBITMQS)
LEAST_OF_PASSWORDS = 16
LEAST_CHARACTERS = dict.fromkeys((*KEYS, DEMO_KEY, MONGO_KEY), 32)
# What a MongoDB key file may hold: 6 to 1024 characters of base64.
KEY_FILE_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
# The compose file has the demo shop's for these. ADMIN_EMAIL may be empty (nobody), but somebody must have said so.
ONE_ISSUER = ("TOKEN_ISSUER", "TOKEN_JWKS_URL")
SHOPS_OWN = (*ONE_ISSUER, "SMTP_HOST", "MAIL_FROM", "THREAD_URL", "UNSUBSCRIBE_URL")
WELL_KNOWN = ("changeme", "change-me", "password", "secret", "example", "demo", "guest", "admin", "12345678")

Secrets = dict[str, str]


class BadSecretError(Exception):
    """Every secret or setting that cannot be used, by name, with what is wrong with it."""


def gather(environment: Mapping[str, str], kept: Path) -> Secrets:
    """All secrets by name. Raises BadSecretError."""
    demo = environment.get("DEMO") == "1"
    wanted = tuple(
        dict.fromkeys((*rabbitmq_passwords(environment).values(), *NOT_RABBITMQS, *((DEMO_KEY,) if demo else ())))
    )
    given = {name: environment[name] for name in wanted if environment.get(name)}
    if demo:
        given |= {name: _made(kept / name.lower()) for name in wanted if name not in given}
    wrong = [f"{name} {problem}" for name in wanted if (problem := _problem(name, given, demo=demo))]
    if not demo:
        wrong += _not_said(environment)
    if wrong:
        raise BadSecretError("\n".join(wrong))
    return given


def _not_said(environment: Mapping[str, str]) -> list[str]:
    needed = [name for name in SHOPS_OWN if name not in ONE_ISSUER or not environment.get("TOKEN_ISSUERS")]
    wrong = [f"{name} is missing: the demo shop's is no use to you" for name in needed if not environment.get(name)]
    if "ADMIN_EMAIL" not in environment:
        wrong.append("ADMIN_EMAIL is missing: the shop's mailbox, or empty for nobody")
    if environment.get(DEMO_KEY):
        wrong.append(f"{DEMO_KEY} is for demo mode alone (DEMO=1); set TOKEN_JWKS_URL")
    return wrong


def _made(path: Path) -> str:
    """The file's content; a new secret of 256 bits where there is none."""
    if path.exists() and (there := path.read_text()):
        return there
    made = secrets.token_hex(32)
    _write(path, made, mode=0o600)
    return made


def _problem(name: str, given: Secrets, *, demo: bool) -> str | None:
    value, least = given.get(name), LEAST_CHARACTERS.get(name, LEAST_OF_PASSWORDS)
    if not value:
        return "is missing (or set DEMO=1, which makes secrets up)"
    if len(value) < least:
        return f"is too short: at least {least} characters"
    if name == MONGO_KEY and (not set(value) <= KEY_FILE_CHARACTERS or len(value) > 1_024):
        return "must be up to 1024 characters of base64"
    if not demo and any(word in value.casefold() for word in WELL_KNOWN):
        return "is a well-known one"
    if not demo and any(other != name and given[other] == value for other in given):
        return "is used for something else as well"
    return None


def files(given: Secrets, environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What each part gets: file names are those of the service's settings, in lower case."""
    amqp, mongo = environment.get("AMQP_HOST", "rabbitmq:5672"), environment.get("MONGO_HOSTS", "mongo:27017")
    passwords = {user: given[name] for user, name in rabbitmq_passwords(environment).items()}
    urls = {user: f"amqp://{user}:{quote(password, safe='')}@{amqp}/parley" for user, password in passwords.items()}
    mongo_urls = {
        user: f"mongodb://{user}:{quote(given[MONGO_PASSWORDS[user]], safe='')}@{mongo}/?replicaSet=rs0&authSource={user}"
        for user in ("threads", "notifier")
    }
    callers = {name.lower(): given[name] for name in ("LINK_SECRET", DEMO_KEY) if name in given}
    access = definitions(passwords)
    at_boot = {part: access[part] for part in ("vhosts", "users", "permissions", "topic_permissions")}
    return {
        "gateway": {"amqp_url": urls["gateway"], "command_id_secret": given["COMMAND_ID_SECRET"], **callers},
        "threads": {
            "amqp_url": urls["threads"],
            "mongo_url": mongo_urls["threads"],
            "address_key": given["ADDRESS_KEY"],
            **callers,
        },
        "notifier": {"amqp_url": urls["notifier"], "mongo_url": mongo_urls["notifier"]},
        "rabbitmq": {"access.json": json.dumps(at_boot, indent=1), "erlang_cookie": given[COOKIE]},
        "mongo": {"keyfile": given[MONGO_KEY]},
        "setup": {
            "rabbitmq_operator": given[RABBITMQ_PASSWORDS["operator"]],
            **{f"mongo_{user}": given[name] for user, name in MONGO_PASSWORDS.items()},
        },
        "grafana": {"admin_password": given[GRAFANA]},
    }


# These two are read by the servers' own users, whose numbers differ between images; no other container mounts them.
READ_BY_SERVERS = ("rabbitmq", "grafana")


def hand_out(handed: Mapping[str, Mapping[str, str]], directory: Path) -> None:
    for part, contents in handed.items():
        mode = 0o444 if part in READ_BY_SERVERS else 0o400
        for name, content in contents.items():
            _write(directory / part / name, content, mode=mode)
        for stale in set(os.listdir(directory / part)) - set(contents):
            (directory / part / stale).unlink()


def _write(path: Path, content: str, *, mode: int) -> None:
    scratch = path.with_name(f".{path.name}")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
    scratch.replace(path)


def demo_secrets(given: Secrets) -> dict[str, str]:
    """What `deploy.local.demo` needs to be the demo shop and its people."""
    names = (RABBITMQ_PASSWORDS["shop"], DEMO_KEY, "LINK_SECRET")
    return {name: given[name] for name in names}


def main() -> int:
    directory = Path(os.environ.get("SECRETS_ROOT", "/secrets"))
    try:
        given = gather(os.environ, directory / "kept")
    except BadSecretError as error:
        print(f"Parley does not start like this:\n{error}", file=sys.stderr)
        return 2
    if sys.argv[1:] == ["show-demo"]:
        if os.environ.get("DEMO") != "1":
            print("there is nothing to show outside demo mode", file=sys.stderr)
            return 2
        print(json.dumps(demo_secrets(given)))
        return 0
    hand_out(files(given, os.environ), directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
