"""The three services at work with nothing but their own credentials, and what somebody who has one service's could do with them."""

import re
import subprocess
import sys
import time
from typing import Any, Final

import aiormq
import jwt
import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from deploy.containers import credentials as containers
from deploy.local.settings import REPOSITORY
from deploy.mongo_access import DATABASES, OPERATOR
from shared import tokens
from shared.orders import Customer
from tests.e2e.client import Client, Clients, clients_of
from tests.made import post, snapshot
from tests.security.conftest import GuardedMongo
from tests.security.test_mongodb_permissions import NOTIFIER_KEEPS, THREADS_KEEPS
from tests.servers.parley import CREDENTIALS, Parley
from tests.servers.waiting import eventually

Document = dict[str, Any]
GUEST_LINK: Final = "parley-guest-link+jwt"
GUEST = Customer(id="c-9", name="Gus", email="gus@example.com", guest=True)


@pytest.fixture
async def guarded(parley: Parley, guarded_mongo: GuardedMongo) -> Parley:
    """A Parley whose services sign in to MongoDB, each as itself."""
    for service in ("threads", "notifier", "gateway"):
        own = {}
        if service in DATABASES:
            own = {"MONGO_URL": guarded_mongo.url_of(service), "MONGO_DATABASE": service}
        parley.add(service, **own).start()
    await parley.ready()
    return parley


async def _work(parley: Parley, clients: Clients) -> None:
    """A bit of everything that is kept."""
    await clients.put_order(snapshot())
    customer, seller = clients.customer(), clients.seller()
    admin = clients.with_token(parley.mint.mint("admin", "a-1", email="staff@example.com"))
    posted = await customer.post("Where is it?")
    assert posted.status == 201
    assert (await seller.post("On its way")).status == 201
    done = [
        await seller.call("POST", "/v1/threads/read", {"all": True}, Prefer="wait=20"),
        await seller.call("PUT", "/v1/orders/1042/read", {"up_to_seq": 2}),
        await customer.call("PUT", "/v1/me/preferences", {"mails": {"messages": False, "disputes": True}}),
        await admin.call("PUT", "/v1/orders/1042/watch"),
        await customer.call("POST", "/v1/orders/1042/dispute", {"reason": "damaged", "text": "It is broken"}),
        await admin.call("POST", f"/v1/orders/1042/messages/{posted.body['id']}/redact", {}),
        await clients.customer("c-8").post("Not mine", Prefer="wait=20"),
    ]
    assert [answer.status // 100 for answer in done] == [2, 2, 2, 2, 2, 2, 4], done


async def test_least_permissions_are_enough_for_all_that_the_services_do(
    guarded: Parley, guarded_mongo: GuardedMongo
) -> None:
    async with clients_of(guarded) as clients:
        await _work(guarded, clients)
    await guarded.smtp.wait_for(2)
    async with AsyncMongoClient[Document](guarded_mongo.url_of(OPERATOR)) as operator:

        async def kept() -> bool:
            there = {name: set(await operator[name].list_collection_names()) for name in DATABASES}
            assert there == {"threads": set(THREADS_KEEPS), "notifier": set(NOTIFIER_KEEPS)}
            return True

        await eventually(kept, what="every collection that has a row, and no other")
    logs = "".join(process.log for process in guarded.services.values())
    assert not re.search(r"not authorized|ACCESS_REFUSED|Unauthorized", logs)


def test_the_gateway_has_no_mongodb(parley: Parley) -> None:
    assert not [name for name in parley.environment("gateway") if name.startswith("MONGO")]
    handed = containers.files({name: f"{name}-secret" for name in (*containers.ALWAYS, containers.DEMO_KEY)}, {})
    assert "mongo_url" not in handed["gateway"]
    program = "import sys, services.gateway.__main__; sys.exit('pymongo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False).returncode == 0


def test_the_notifier_is_given_no_secret_that_makes_or_checks_tokens(parley: Parley) -> None:
    given = set(parley.environment("notifier").values())
    for secret in (CREDENTIALS.token_secret, CREDENTIALS.link_secret, CREDENTIALS.command_id_secret):
        assert not any(secret in value for value in given)


async def test_with_the_notifiers_credentials_nobody_posts(guarded: Parley) -> None:
    """Not as itself, not in the gateway's name, not through any exchange; and what the shop may publish is no command."""
    command = post("Forged").model_dump_json().encode()
    connection = await aiormq.connect(guarded.environment("notifier")["AMQP_URL"])
    try:
        for exchange, key in (("parley.commands", "message.post"), ("", "threads.commands"), ("threads.retry", "")):
            for user in (None, "notifier", "gateway"):
                channel = await connection.channel()
                with pytest.raises(
                    (aiormq.exceptions.ChannelAccessRefused, aiormq.exceptions.ChannelPreconditionFailed)
                ):
                    await channel.basic_publish(
                        command,
                        exchange=exchange,
                        routing_key=key,
                        properties=aiormq.spec.Basic.Properties(user_id=user),
                    )
    finally:
        await connection.close()
    assert await guarded.vhost.depth("threads.commands") == 0


async def test_with_the_notifiers_credentials_nobody_reads_or_writes_a_thread(
    guarded: Parley, guarded_mongo: GuardedMongo
) -> None:
    async with clients_of(guarded) as clients:
        await clients.put_order(snapshot())
        await clients.customer().post("Where is it?")
        async with AsyncMongoClient[Document](guarded_mongo.url_of("notifier")) as client:
            for attempt in (
                client["threads"]["entries"].find_one(),
                client["threads"]["threads"].find_one(),
                client["threads"]["entries"].insert_one({"order_id": "1042"}),
            ):
                with pytest.raises(OperationFailure, match="not authorized"):
                    await attempt
        for url in (guarded.gateway_url, guarded.threads_url):
            asked = await clients.with_token(None, url=url).get("/v1/orders/1042/messages")
            assert asked.status == 401


async def test_a_link_in_a_mail_opens_its_one_thread_and_no_other(guarded: Parley) -> None:
    """All that the notifier is given, it can use: the guest's link in the mail, and the one that ends mails."""
    async with clients_of(guarded) as clients:
        await clients.put_order(snapshot("G-1", customer=GUEST))
        await clients.put_order(snapshot("1042"))
        await clients.seller().post("It left this morning", order_id="G-1")
        (mail,) = await guarded.smtp.wait_for(1)
        body = mail.message.get_body(("plain",))
        assert body is not None
        link = re.search(r"/guest/G-1#(?:token=)?([\w.-]+)", body.get_content())
        unsubscribe = re.search(r"token=([\w.-]+)", str(mail.message["List-Unsubscribe"]))
        assert link is not None
        assert unsubscribe is not None
        nobody = clients.with_token(None)
        for token in (link[1], unsubscribe[1]):
            assert (await clients.with_token(token).get("/v1/orders/G-1")).status == 401
        assert (await nobody.call("POST", "/v1/guest-sessions", {"token": unsubscribe[1]})).status == 401
        opened = await nobody.call("POST", "/v1/guest-sessions", {"token": link[1]})
        guest = clients.with_token(opened.body["access_token"])
        assert (await guest.get("/v1/orders/G-1/messages")).status == 200
        await _assert_sees_nothing_else(guest)


async def _assert_sees_nothing_else(guest: Client) -> None:
    assert (await guest.get("/v1/orders/1042/messages")).status == 404
    assert (await guest.post("Let me in", order_id="1042", Prefer="wait=20")).status == 404
    listed = await guest.get("/v1/orders")
    assert [each["order"]["order_id"] for each in listed.body["items"]] == ["G-1"]


def test_a_guests_link_is_for_its_one_order_whatever_is_written_into_it() -> None:
    """A claim cannot be exchanged for another without the secret, which the notifier does not have."""
    link = tokens.mint_guest_link("G-1", "c-9", "Gus", secret=CREDENTIALS.link_secret, now=time.time())
    assert tokens.read_own(link, GUEST_LINK, secret=CREDENTIALS.link_secret)["order_id"] == "G-1"
    elsewhere = tokens.mint_guest_link("1042", "c-9", "Gus", secret="a-secret-that-is-not-ours-at-all", now=time.time())
    exchanged = [*elsewhere.split(".")[:2], link.split(".")[2]]
    for forged in (elsewhere, ".".join(exchanged)):
        with pytest.raises(jwt.InvalidSignatureError):
            tokens.read_own(forged, GUEST_LINK, secret=CREDENTIALS.link_secret)
