"""The table of all settings in docs/operations.md, from the settings classes: `python -m deploy.settings_table` writes it anew."""

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from services.gateway.settings import GatewaySettings
from services.notifier.settings import Settings as NotifierSettings
from services.threads.settings import Settings as ThreadsSettings

GUIDE: Final = Path(__file__).resolve().parents[1] / "docs" / "operations.md"
BEGIN: Final = "<!-- settings: made by `python -m deploy.settings_table` -->"
END: Final = "<!-- end of settings -->"
SERVICES: Final[dict[str, type[BaseSettings]]] = {
    "gateway": GatewaySettings,
    "threads": ThreadsSettings,
    "notifier": NotifierSettings,
}

OUTSIDE_DEMO: Final = "**required** outside demo mode"
NEEDED_OUTSIDE_DEMO: Final = ("THREAD_URL", "TOKEN_ISSUER", "TOKEN_JWKS_URL")

ABOUT: Final = {
    "ADDRESS_KEY": "Makes of a customer's address the key under which a guest's choices are kept. Never changed: what was chosen by address would be forgotten",
    "ADMIN_EMAIL": "The shop's mailbox: what customers write about orders that the shop sells itself, and every dispute; without it the staff get no mail",
    "ADMIN_LOCALE": "The language of the shop's mailbox: one that mails are written in",
    "AMBIGUOUS": "What happens to a mail of which nobody knows whether it was accepted: sent once more, or left to an operator",
    "AMQP_URL": "RabbitMQ, with the service's own user: `amqp://user:password@host:5672/parley`",
    "COMMAND_ID_SECRET": "Signs command ids, so that only its caller may ask about a command. The same in every gateway",
    "CORS_ORIGINS": "Origins whose pages may call the API: `https://shop.example`, with commas or spaces between them; `*`: all",
    "DEMO": "Demo mode: allows a shared token secret, and addresses of the demo shop. Never in production",
    "DEMO_LOGIN": "Demo mode's sign-in on the reference pages",
    "FIRST_PAUSE_S": "The pause before a mail's second attempt; it doubles from there",
    "GIVE_UP_H": "A mail that has been refused for so long has failed",
    "GROUP_MAX": "How many commands are committed together at most",
    "GUEST_URL": "The page of a guest's thread, with `{order_id}`; the guest's token becomes its fragment. As THREAD_URL where it is not set",
    "HTTP_HOST": "The address that it listens on; the images set 0.0.0.0",
    "HTTP_PORT": "The port that it listens on",
    "LEASE_S": "How long one process has a mail to itself; at least one and a half times SEND_LIMIT_S",
    "LINK_SECRET": "Signs guests' links and sessions and the links that switch mails off. The same in gateway and threads",
    "LIVE_MAX_CONNECTIONS": "Live connections of one gateway process",
    "LIVE_MAX_CONNECTIONS_PER_PERSON": "Live connections of one person to one gateway process",
    "LIVE_RING_BYTES": "How much of the newest live events a gateway process keeps in memory",
    "LOG_FORMAT": "JSON for machines, text for people",
    "LOG_LEVEL": "What is logged at the start; SIGUSR1 changes it at run time",
    "LONGEST_PAUSE_S": "The longest pause between two attempts at a mail",
    "MAIL_DELAY": "How many seconds a mail gathers entries before it goes out; 0 sends at once",
    "MAIL_FROM": "The sender: `The Shop <service@shop.example>`, with the name as it is meant. In gateway and threads it only names the shop where `SHOP_NAME` does not",
    "MAIL_LIMIT": "How many mails one person gets in the window; what is over waits and gathers. 0: any number",
    "MAIL_LIMIT_WINDOW_S": "The window of `MAIL_LIMIT`",
    "MAIL_REPLY_TO": "Where replies go, if anywhere",
    "MAIL_TIME_ZONE": "The time zone of the times in mails, for whoever has not chosen one of their own",
    "MONGO_DATABASE": "The database; nobody else may use it",
    "MONGO_URL": "MongoDB's replica set, with the service's own user",
    "ORDER_PUBLISHERS": "The RabbitMQ users whose order events count, with commas or spaces between them; the topology gives each the shop's permissions. The gateway always may",
    "PAGES": "Whether the reference pages are served under /pages",
    "PAGES_FRAME_ANCESTORS": "Who may frame the reference pages: a CSP source list; without it nobody",
    "PAGES_LOGIN_URL": "Where the pages send whoever is not signed in, with `{return_url}` or `{return_path}` in its query for the way back",
    "PAGES_TOKEN_URL": "Your shop's address, on the same origin, where the pages fetch the visitor's token",
    "PERSON_KEPT_MB_PER_H": "How many megabytes the writes of one person may keep in an hour, through one gateway process, and a quarter of that at once; more are 429. 0: no limit",
    "PERSON_WRITES_BURST": "How many writes of one person a gateway process takes at once",
    "PERSON_WRITES_PER_S": "How many writes a second of one person a gateway process takes in the long run; more are 429. 0: no limit",
    "POLL_S": "How often the notifier looks for due mails when nothing has told it of one",
    "PREFETCH": "How many messages one process takes at a time",
    "READY_LAG_S": "A worker that holds a command older than this is not ready; one that is the query API too is, and says `degraded`",
    "ROLES": "`worker` applies commands, `api` answers queries, `worker,api` does both",
    "SEND_LIMIT_S": "How long sending one mail may take in all",
    "SHOP_NAME": "What the shop is called where it sells an order itself, and in mails; the name in `MAIL_FROM` where it is not set. The same in every service",
    "SHUTDOWN_GRACE_S": "How long what is under way may take after SIGTERM; give the container five seconds more",
    "SMTP_CONNECTIONS": "Connections to the mail server at a time, for one process",
    "SMTP_CONNECT_LIMIT_S": "How long connecting to the mail server, and each of its answers, may take",
    "SMTP_HOST": "The mail server",
    "SMTP_IDLE_S": "How long an unused connection to the mail server is kept",
    "SMTP_LOCAL_HOSTNAME": "The name in EHLO; this machine's where it is not set",
    "SMTP_MAILS_PER_CONNECTION": "After so many mails a connection is made anew",
    "SMTP_PASSWORD": "The password at the mail server",
    "SMTP_PORT": "The mail server's port",
    "SMTP_SECURITY": "`starttls` and `tls` check the server's certificate",
    "SMTP_USER": "The user at the mail server; none is signed in where it is not set",
    "THREADS_URL": "threads' query API, as the gateway reaches it",
    "THREAD_URL": "The page of a thread in your shop, with `{order_id}`; demo mode has a default",
    "THREAD_WRITES_BURST": "How many writes of one side (customer, seller, staff) into one thread a gateway process takes at once",
    "THREAD_WRITES_PER_S": "How many writes a second of one side into one thread a gateway process takes in the long run; more are 429. 0: no limit",
    "TOKEN_AUDIENCE": "What tokens must name as their audience",
    "TOKEN_AUDIENCE_CLAIM": "The claim that names it: `aud`, or with the client's id `client_id`, `azp`, `appid`",
    "TOKEN_DEMO_SECRET": "Demo mode alone: the secret that tokens are signed with. Whoever holds it can be anybody",
    "TOKEN_ID_CLAIM": "The claim that says who it is",
    "TOKEN_ISSUER": "Who must have issued the tokens; not needed with `TOKEN_ISSUERS`",
    "TOKEN_ISSUERS": "Further issuers, or all: a JSON array, see [tokens.md](tokens.md)",
    "TOKEN_JWKS_URL": "Where the issuer publishes its keys; not needed with `TOKEN_ISSUERS`",
    "TOKEN_NAME_CLAIM": "The claim with the name that others read",
    "TOKEN_ROLE_CLAIM": "The claim with the role or roles: its name, or the path to it (`realm_access.roles`)",
    "TOKEN_ROLE_MAP": "The issuer's words for roles: `shop-admin:admin,shop-vendor:seller`; the first that a token has counts",
    "TOKEN_SELLER_CLAIM": "The claim that says whose orders a seller sees",
    "UNSUBSCRIBE_URL": "Where mails are switched off with one click: the gateway's `/v1/unsubscribe`, as mail programs reach it; `?token=…` is appended",
}


@dataclass
class Setting:
    """One setting as the table shows it."""

    name: str
    default: str
    must_be: str
    services: list[str] = field(default_factory=list)


def settings() -> list[Setting]:
    """Every setting of every service, once where it is the same in several."""
    found: dict[tuple[str, str, str], Setting] = {}
    for service, kind in SERVICES.items():
        for name, info in kind.model_fields.items():
            default = OUTSIDE_DEMO if name.upper() in NEEDED_OUTSIDE_DEMO else _default(info)
            setting = Setting(name.upper(), default, _must_be(info))
            found.setdefault((setting.name, setting.default, setting.must_be), setting).services.append(service)
    return sorted(found.values(), key=lambda setting: (setting.name, setting.services))


def table() -> str:
    lines = ["| setting | of | default | must be | |", "|---|---|---|---|---|"]
    for each in settings():
        of = "all" if len(each.services) == len(SERVICES) else ", ".join(each.services)
        lines.append(f"| `{each.name}` | {of} | {each.default} | {each.must_be} | {ABOUT.get(each.name, '')} |")
    return "\n".join(lines)


def guide_with_table(guide: str) -> str:
    before, _, rest = guide.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def _default(info: FieldInfo) -> str:
    if info.default_factory is not None:
        return "this machine's name"
    if info.default is PydanticUndefined:
        return "**required**"
    if info.default is None or info.default == "":
        return "none"
    if isinstance(info.default, bool):
        return "`1`" if info.default else "`0`"
    return f"`{info.default:g}`" if isinstance(info.default, float) else f"`{info.default}`"


def _must_be(info: FieldInfo) -> str:
    said = [_kind(info.annotation)]
    said += [limit for part in (*info.metadata, *_inner_metadata(info.annotation)) if (limit := _limit(part))]
    return ", ".join(dict.fromkeys(said))


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), [each for each in get_args(annotation) if each is not type(None)]
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in arguments)
    if origin in (Union, types.UnionType, Annotated):
        return _kind(arguments[0])
    names: dict[Any, str] = {bool: "`0` or `1`", int: "whole number", float: "number", SecretStr: "secret"}
    return names.get(annotation, "text")


def _inner_metadata(annotation: Any) -> Iterator[Any]:
    for each in get_args(annotation):
        if get_origin(each) is Annotated:
            yield from get_args(each)[1:]


def _limit(part: Any) -> str:
    said = ""
    match part:
        case FieldInfo():
            said = ", ".join(filter(None, map(_limit, part.metadata)))
        case Ge(ge=least):
            said = f"≥ {least}"
        case Gt(gt=more):
            said = f"> {more}"
        case Le(le=most):
            said = f"≤ {most}"
        case Lt(lt=less):
            said = f"< {less}"
        case MinLen(min_length=shortest) if shortest > 1:
            said = f"≥ {shortest} characters"
    return said


def main() -> None:
    GUIDE.write_text(guide_with_table(GUIDE.read_text()))
    print(f"{len(settings())} settings", file=sys.stderr)


if __name__ == "__main__":
    main()
