"""Every parser of bytes from outside: good input to start from, what it may raise, and nothing else."""

import hmac
import json
import struct
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar
from unittest.mock import Mock

import jwt
import orjson
from aio_pika import IncomingMessage
from aiormq.abc import DeliveredMessage
from cryptography.hazmat.primitives.asymmetric import ec
from pamqp import frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from pydantic import BaseModel, TypeAdapter, ValidationError

from deploy.import_history import ImportFailed, read_lines
from services.gateway import bodies, prefer, requests, writes
from services.gateway.command_ids import CommandIds
from services.gateway.live.answer import offset_in
from services.notifier.cleaning import one_line
from services.notifier.headers import mailbox
from services.notifier.message import compose
from services.notifier.smtp import without_addresses
from services.threads.cursors import Cursors
from services.threads.order_refusals import read_named
from shared import commands, envelope, events, examples, orders, tokens, traces, undecodable
from shared.addresses import AddressError, sendable
from shared.contracts import cloudevents
from shared.delivery import kept_headers
from shared.errors import CannotProcess, ProblemError
from shared.fields import GIVEN, NAME_MAX_CHARACTERS
from shared.key_sets import DemoKeys, JwksKeys, Keys
from shared.tokens import Tokens, Trust
from tests.hostile_properties import DECODABLE, UNDECODABLE, properties
from tests.servers.amqp_frames import frame as framed

T = TypeVar("T")
SECRET: Final = "a-secret-of-the-fuzzer-of-32-bytes-and-more"
ADDRESS: Final = "ada.canary@example.com"
KEY: Final = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class Parser:
    """`parse` raises `declared` for what it does not take. `weight` is its share of the inputs: the dearer, the less."""

    name: str
    parse: Callable[[bytes], object]
    seeds: Sequence[bytes]
    declared: tuple[type[Exception], ...] = ()
    weight: int = 10


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        coroutine.close()
    raise AssertionError("it waits for something")


def message(adapter: TypeAdapter[Any]) -> Callable[[bytes], object]:
    """What is taken can be written down and read again as the same message."""

    def parse(sent: bytes) -> None:
        taken = envelope.read(adapter, sent)
        again = envelope.read(adapter, taken.model_dump_json().encode())
        assert again == taken

    return parse


def body(model: type[BaseModel]) -> Callable[[bytes], object]:
    def parse(sent: bytes) -> object:
        try:
            return model.model_validate_json(sent, strict=True, context=GIVEN)
        except ValidationError as error:
            raise bodies.refused(error, sent) from None

    return parse


def _written(messages: Sequence[BaseModel]) -> list[bytes]:
    return [each.model_dump_json(exclude_none=True).encode() for each in messages]


# What people send in bodies, as the documentation shows it.
BODIES: Final[dict[type[BaseModel], dict[str, Any]]] = {
    requests.NewMessage: {"text": "Where is it?", "after": examples.POST_ID},
    requests.NewDispute: {"reason": "damaged", "text": "It is broken"},
    requests.DisputeClosing: {"outcome": "refunded", "note": "Thanks"},
    requests.ReadMark: {"up_to_seq": 7},
    requests.ReadMarks: {"threads": [{"order_id": "1042", "up_to_seq": 7}]},
    requests.ChosenPreferences: {"mails": {"messages": True, "disputes": False}, "locale": "de"},
    requests.Redaction: {},
    requests.GuestLink: {"token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"},
    requests.ImportedMessage: {
        "external_id": "old-1",
        "author": {"side": "customer", "id": "c-7", "name": "Ada"},
        "text": "Hello",
        "written_at": "2020-01-01T00:00:00Z",
    },
    orders.OrderSnapshot: examples.ORDER.model_dump(mode="json"),
}


def claims(**more: Any) -> dict[str, Any]:
    whole = {"iss": "shop", "aud": "parley", "sub": "c-7", "role": "seller", "seller_id": "s-1", "name": "Ada"}
    return {**whole, "email": ADDRESS, "locale": "en", "exp": int(time.time()) + 36_000, **more}


def checker(keys: Keys | None = None) -> Tokens:
    return Tokens([Trust("shop", ("parley",), keys or DemoKeys(SECRET))], link_secret=SECRET)


def amqp_properties(sent: bytes) -> object:
    """As aiormq reads a frame and aio-pika makes its message: whatever the bytes are, the connection lives."""
    undecodable.install()
    _, _, header = frame.unmarshal(framed(2, 1, struct.pack(">HHQ", 60, 0, 0) + sent))
    assert isinstance(header, ContentHeader)
    delivery = Basic.Deliver(consumer_tag="c", delivery_tag=1, exchange="shop.orders", routing_key="order.placed")
    message = IncomingMessage(DeliveredMessage(delivery=delivery, header=header, body=b"", channel=Mock()))
    return kept_headers(message.headers)


def bearer(sent: bytes) -> object:
    return at_once(checker().check(sent.decode("latin-1")))


def signed(header: bytes, content: bytes) -> str:
    """These very bytes with a good MAC: what is behind the signature is reached."""
    head, payload = (jwt.utils.base64url_encode(each) for each in (header, content))
    mac = hmac.digest(SECRET.encode(), head + b"." + payload, "sha256")
    return b".".join((head, payload, jwt.utils.base64url_encode(mac))).decode()


def signed_claims(sent: bytes) -> object:
    return at_once(checker().check(signed(b'{"alg":"HS256","typ":"JWT"}', sent)))


def signed_header(sent: bytes) -> object:
    return at_once(checker().check(signed(sent, json.dumps(claims()).encode())))


def session_claims(sent: bytes) -> object:
    return at_once(checker().check(signed(b'{"alg":"HS256","typ":"parley-guest-session+jwt"}', sent)))


def own_token(kind: tokens.OwnKind) -> Callable[[bytes], object]:
    return lambda sent: tokens.read_own(sent.decode("latin-1"), kind, secret=SECRET)


def own_claims(sent: bytes) -> object:
    return tokens.read_own(
        signed(b'{"alg":"HS256","typ":"parley-unsubscribe+jwt"}', sent), "parley-unsubscribe+jwt", secret=SECRET
    )


def jwks(sent: bytes) -> object:
    """The document at the shop's JWKS address, and then a token that names a key of it."""

    async def fetch() -> dict[str, Any]:
        document = orjson.loads(sent)
        if not isinstance(document, dict):
            raise ValueError("not an object")
        return document

    return at_once(checker(JwksKeys(fetch)).check(SIGNED_BY_KEY))


SIGNED_BY_KEY: Final = jwt.encode(claims(), KEY, algorithm="ES256", headers={"kid": "k"})
PUBLISHED: Final = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "k", "alg": "ES256"}

CURSORS: Final = Cursors(SECRET)
IDS: Final = CommandIds(SECRET)


def cursor(sent: bytes) -> None:
    """Nothing but what we wrote is taken."""
    text = sent.decode("latin-1")
    CURSORS.read(text, "customer:c-7/all")
    assert text == GOOD_CURSOR


GOOD_CURSOR: Final = CURSORS.write("customer:c-7/all", "2026-11-01T09:30:00.000Z 1042")


def command_id(sent: bytes) -> None:
    text = sent.decode("latin-1")
    assert not IDS.belongs(text, "customer:c-7") or text == GOOD_ID
    assert len(IDS.for_key("customer:c-7", "message.post", "1042", text)) == 42


GOOD_ID: Final = IDS.new("customer:c-7")


def preference(sent: bytes) -> None:
    found = prefer.read([sent.decode("latin-1")[:200]])
    assert 0 <= found.patience_s <= prefer.MAX_WAIT_S
    assert (found.applied(accepted_only=True) or "").isascii()


def traceparent(sent: bytes) -> None:
    text = sent.decode("latin-1")
    kept = writes.traceparent_of(text)
    assert kept is None or kept == text
    traces.trace_id(text)


def last_event_id(sent: bytes) -> None:
    offset = offset_in(sent.decode("latin-1"))
    assert offset is None or 0 <= offset <= 2**53


def binary_order(sent: bytes) -> None:
    """The first line is the value of an attribute, the rest the data: what comes of it is read like any event."""
    attribute, _, data = sent.partition(b"\n")
    value = attribute.decode("utf-8", "surrogateescape")
    headers = {"ce-specversion": "1.0", "ce-id": value, "ce-source": "shop", "ce-type": "parley.order.placed.v1"}
    body = cloudevents.structured(data, content_type="application/json", headers=headers)
    assert envelope.read(orders.ORDER_EVENT, body).id == value


def refused_order(sent: bytes) -> None:
    """Whatever a shop publishes, what is told of its refusal holds no address, and is what it says it is."""
    named = read_named(sent)
    assert "@" not in f"{named.order_id} {named.event_id}"
    events.RefusedOrder(order_id=named.order_id, version=named.version, reason="invalid", detail="")


def address(sent: bytes) -> None:
    """What goes out goes out in one form: in it, an address is one token of ASCII or UTF-8 with one domain, and is its own form."""
    found = sendable(sent.decode("utf-8", "replace"))
    assert sendable(found) == found
    assert found.isprintable() or not found.isascii()


def mail_head(sent: bytes) -> None:
    """Whatever a person is called, as long as names may be: the finished mail has passed its own check, with one mailbox and no header more."""
    name = one_line(sent.decode("utf-8", "replace"))[:NAME_MAX_CHARACTERS].strip()
    compose([("To", mailbox(name, ADDRESS)), ("Subject", name)], text="", html="", boundary="=_")


def smtp_answer(sent: bytes) -> None:
    """Whatever a mail server says about the recipient, no address is kept."""
    assert ADDRESS not in without_addresses(sent.decode("utf-8", "replace"))


class ImportFile:
    """A file of three lines, the second of them from outside."""

    def __init__(self) -> None:
        self._directory = TemporaryDirectory(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self._path = Path(self._directory.name, "import.jsonl")

    def __call__(self, sent: bytes) -> object:
        self._path.write_bytes(LINE + b"\n" + sent + b"\n" + LINE)
        return read_lines(self._path)


LINE: Final = json.dumps({"order_id": "1042", **BODIES[requests.ImportedMessage]}).encode()


def parsers() -> list[Parser]:
    """All of them; those of the whole HTTP application are in http.py."""
    refusals, broken = (ProblemError,), (CannotProcess,)
    strange = [*UNDECODABLE.values(), *DECODABLE.values()]
    stop = tokens.mint_unsubscribe("customer:c-7", secret=SECRET, now=time.time()).encode()
    link = tokens.mint_guest_link("1042", "c-7", "Ada", secret=SECRET, now=time.time()).encode()
    a_session = tokens.mint_guest_session(
        {"sub": "c-7", "name": "Ada", "order_id": "1042"}, secret=SECRET, now=time.time()
    ).encode()
    session = {"iss": "parley", "aud": "parley-guest-session+jwt", "sub": "c-7", "name": "Ada", "order_id": "1042"}
    unsubscribe = {"iss": "parley", "aud": "parley-unsubscribe+jwt", "sub": "customer:c-7", "exp": claims()["exp"]}
    return [
        Parser("command", message(commands.COMMAND), _written(examples.COMMANDS), broken, 12),
        Parser("order event", message(orders.ORDER_EVENT), _written(examples.ORDER_EVENTS), broken, 12),
        Parser(
            "address",
            address,
            [ADDRESS.encode(), '"a b"@bücher.example'.encode(), b"a..b@x.example"],
            (AddressError,),
            6,
        ),
        Parser("name in a mail's head", mail_head, ['Müller, "Zoë" =?utf-8?q?=0D=0A?= <a@b.example>'.encode()], (), 6),
        Parser("order event, binary", binary_order, [b"e-1\n" + examples.ORDER.model_dump_json().encode()], broken, 6),
        Parser("order event, refused", refused_order, _written(examples.ORDER_EVENTS), (), 6),
        Parser("event", message(events.EVENT), _written(examples.EVENTS), broken, 8),
        Parser("addressed event", message(events.NOTIFICATION), _written(examples.NOTIFICATIONS), broken, 8),
        Parser("outcome", lambda sent: envelope.read(commands.OUTCOME, sent), _written([examples.REPLY]), broken, 6),
        *(
            Parser(f"body {model.__name__}", body(model), [json.dumps(good).encode()], refusals, 5)
            for model, good in BODIES.items()
        ),
        Parser("AMQP properties", amqp_properties, [properties("shop", each) for each in strange], (), 6),
        Parser("bearer token", bearer, [jwt.encode(claims(), SECRET).encode(), a_session], refusals, 8),
        Parser("bearer header, signed", signed_header, [b'{"alg":"HS256","typ":"JWT","kid":"k"}'], refusals, 6),
        Parser("bearer claims, signed", signed_claims, [json.dumps(claims()).encode()], refusals, 6),
        Parser(
            "session claims, signed",
            session_claims,
            [json.dumps({**session, "exp": claims()["exp"]}).encode()],
            refusals,
            6,
        ),
        Parser("guest link", own_token("parley-guest-link+jwt"), [link], (jwt.InvalidTokenError,), 4),
        Parser("unsubscribe token", own_token("parley-unsubscribe+jwt"), [stop], (jwt.InvalidTokenError,), 4),
        Parser(
            "unsubscribe claims, signed", own_claims, [json.dumps(unsubscribe).encode()], (jwt.InvalidTokenError,), 6
        ),
        Parser("jwks document", jwks, [json.dumps({"keys": [PUBLISHED]}).encode()], refusals, 4),
        Parser("cursor", cursor, [GOOD_CURSOR.encode()], refusals, 10),
        Parser("command id, idempotency key", command_id, [GOOD_ID.encode(), b"0b6f2c1e-1"], (), 8),
        Parser("prefer", preference, [b"respond-async, wait=10", b'a="b,c"; d=e, wait=5', b'"' * 99], (), 8),
        Parser("traceparent", traceparent, [b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], (), 8),
        Parser("last-event-id", last_event_id, [b"1234", b"9007199254740992"], (), 6),
        Parser("smtp answer", smtp_answer, [f"550 5.1.1 <{ADDRESS}>: no such user".encode()], (), 6),
        Parser("import file", ImportFile(), [LINE], (ImportFailed,), 4),
    ]
