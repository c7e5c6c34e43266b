"""The single questions of the query API: an order, its dispute, the caller, a command; and who gets no answer."""

import pytest
from pymongo import AsyncMongoClient

from services.threads import answers, indexes
from services.threads.addresses import AddressKeys
from services.threads.outcomes import Outcome, Outcomes
from shared import mongo
from shared.callers import Author, Caller
from shared.contracts.choices import address_scope
from shared.errors import not_found
from shared.mongo import Database, Document
from tests.integration.threads.asking import LINK_SECRET, Client, Recorder, application, token_of
from tests.integration.threads.conftest import Ask
from tests.integration.threads.documents import (
    SERVICE,
    START,
    Shop,
    admin,
    command_id,
    customer,
    guest,
    seller,
    snapshot,
)

OF_AN_ORDER = ["/v1/orders/{}", "/v1/orders/{}/messages", "/v1/orders/{}/dispute"]
PARTIES = [customer(), seller("anna"), seller("bert"), admin()]
STRANGERS = [customer("c-2"), seller(of="s-2"), guest("q-1", "c-1"), guest("q-2", "g-1"), SERVICE]


@pytest.fixture(scope="module", autouse=True)
async def world(shop: Shop) -> None:
    await shop.place(snapshot("q-1", items=tuple(f"Item {number}" for number in range(591))))
    await shop.post("q-1", customer(), "Where is it?")
    await shop.open_dispute("q-1", customer())
    await shop.place(snapshot("q-2", customer_id="g-2", guest=True))


@pytest.mark.parametrize("path", OF_AN_ORDER)
@pytest.mark.parametrize("caller", PARTIES, ids=lambda caller: caller.key)
async def test_a_party_sees_the_order(ask: Ask, path: str, caller: Caller) -> None:
    assert (await ask(caller).get(path.format("q-1"))).status == 200


@pytest.mark.parametrize("path", OF_AN_ORDER)
@pytest.mark.parametrize("caller", STRANGERS, ids=lambda caller: caller.key)
async def test_to_a_stranger_an_order_looks_exactly_like_one_that_does_not_exist(
    ask: Ask, path: str, caller: Caller
) -> None:
    theirs, nobodys = await ask(caller).get(path.format("q-1")), await ask(caller).get(path.format("q-9"))

    assert theirs.status == nobodys.status == 404
    assert theirs.body.replace(b"q-1", b"q-9") == nobodys.body
    assert theirs.headers == nobodys.headers


async def test_the_order_at_ones_fingertips(ask: Ask) -> None:
    view = (await ask(customer()).get("/v1/orders/q-1")).json

    assert len(view["order"]["items"]) == 591
    assert view["order"]["version"] == 1
    assert view["thread"]["last_seq"] == 2
    assert view["thread"]["dispute"]["reason"] == "damaged"
    assert view["available_actions"] == ["post", "close_dispute", "mark_read"]
    assert (view["watching"], view["messages"]) == (None, "/v1/orders/q-1/messages")


@pytest.mark.parametrize(
    ("caller", "actions"),
    [
        (seller(), ["post", "mark_read"]),
        (admin(), ["post", "close_dispute", "mark_read", "redact", "watch"]),
    ],
    ids=["seller", "admin"],
)
async def test_available_actions_are_the_callers(ask: Ask, caller: Caller, actions: list[str]) -> None:
    assert (await ask(caller).get("/v1/orders/q-1")).json["available_actions"] == actions


async def test_a_guest_sees_their_order_and_may_do_what_its_customer_may(ask: Ask) -> None:
    view = (await ask(guest("q-2", "g-2")).get("/v1/orders/q-2")).json

    assert view["available_actions"] == ["post", "open_dispute", "mark_read"]
    assert view["order"]["customer"] == {"id": "g-2", "name": "Customer g-2", "guest": True}


@pytest.mark.parametrize("caller", PARTIES, ids=lambda caller: caller.key)
async def test_no_answer_holds_an_address_or_a_login(ask: Ask, caller: Caller) -> None:
    for path in (*(path.format("q-1") for path in OF_AN_ORDER), "/v1/orders", "/v1/threads"):
        body = (await ask(caller).get(path)).body
        assert b"mail.example" not in body
        assert b"seller:" not in body


async def test_an_admin_sees_whether_they_watch(stored: Database, ask: Ask) -> None:
    await stored["watches"].insert_one({"_id": "q-1|admin:keen", "order_id": "q-1", "person": "admin:keen"})

    assert (await ask(admin("keen")).get("/v1/orders/q-1")).json["watching"] is True
    assert (await ask(admin("other")).get("/v1/orders/q-1")).json["watching"] is False


async def test_an_order_is_read_in_one_round_trip_by_id(stored: Database, recorder: Recorder, ask: Ask) -> None:
    recorder.commands.clear()
    await ask(admin()).get("/v1/orders/q-1")

    (command,) = recorder.commands
    assert command["aggregate"] == "threads"
    first, _, *lookups = command["pipeline"]
    inner = {each["$lookup"]["from"]: each["$lookup"]["pipeline"][0] for each in lookups}
    assert set(inner) == {"orders", "reads", "watches"}
    assert all(set(stage["$match"]) >= {"_id"} for stage in (first, *inner.values()))


async def test_a_dispute_has_an_etag_that_changes_with_each_step(shop: Shop, ask: Ask) -> None:
    await shop.place(snapshot("q-3"))
    assert (await ask(seller()).get("/v1/orders/q-3/dispute")).status == 404

    opened = await shop.open_dispute("q-3", customer())
    while_open = await ask(seller()).get("/v1/orders/q-3/dispute")
    await shop.close_dispute("q-3", admin())
    when_closed = await ask(seller()).get("/v1/orders/q-3/dispute")

    assert while_open.headers["etag"] == while_open.json["etag"] == f'"{opened.id}.open"'
    assert when_closed.headers["etag"] == when_closed.json["etag"] == f'"{opened.id}.closed"'
    assert (when_closed.json["outcome"], when_closed.json["closed_by"]["side"]) == ("refunded", "shop")


async def test_me_says_who_i_am(ask: Ask) -> None:
    assert (await ask(seller("bert")).get("/v1/me")).json == {
        "id": "bert",
        "role": "seller",
        "name": "Seller bert",
        "inbox": "seller",
        "seller_id": "s-1",
        "order_id": None,
        "unread": {"threads": 2, "messages": 4, "more": False},
        "open_disputes": {"threads": 1, "more": False},
    }


async def test_a_service_has_an_identity_but_no_inbox_and_no_mails(ask: Ask) -> None:
    me = await ask(SERVICE).get("/v1/me")

    assert (me.status, me.json["inbox"], me.json["unread"]["threads"]) == (200, None, 0)
    assert (await ask(SERVICE).get("/v1/me/preferences")).status == 403


async def test_badges_count_up_to_a_hundred_threads(shop: Shop, ask: Ask) -> None:
    vendor, buyer = seller(of="s-full"), customer("c-full")
    for number in range(101):
        await shop.place(snapshot(f"full-{number}", customer_id="c-full", seller_id="s-full"))
        await shop.post(f"full-{number}", buyer)
    await shop.read("full-100", buyer, 0)
    more = (await ask(vendor).get("/v1/me")).json["unread"]
    await shop.read("full-100", vendor, 1)
    exactly = (await ask(vendor).get("/v1/me")).json["unread"]

    assert more == {"threads": 100, "messages": 100, "more": True}
    assert exactly == {"threads": 100, "messages": 100, "more": False}


async def test_preferences_are_the_mailboxs_own_or_the_defaults(stored: Database, ask: Ask) -> None:
    chosen = {"_id": "seller:s-1", "stamp": "1", "messages": False, "disputes": True, "locale": "de"}
    await stored["preferences"].insert_one(chosen)

    assert (await ask(seller("anna")).get("/v1/me/preferences")).json == {
        "mails": {"messages": False, "disputes": True},
        "locale": "de",
        "time_zone": None,
    }
    assert (await ask(seller("bert")).get("/v1/me/preferences")).json["mails"]["messages"] is False
    assert (await ask(seller("carl", of="s-2")).get("/v1/me/preferences")).json["mails"]["messages"] is True


async def test_preferences_are_what_is_mailed_also_by_what_was_chosen_for_the_address(
    stored: Database, shop: Shop, ask: Ask
) -> None:
    caller = customer("c-77")
    bought = snapshot("q-pref", customer_id="c-77")
    address = "c-77@mail.example"
    await shop.place(bought.model_copy(update={"customer": bought.customer.model_copy(update={"email": address})}))
    off = {"messages": False, "disputes": False, "locale": None, "stamps": {"messages": "2", "disputes": "2"}}
    await stored["preferences"].insert_one({"_id": address_scope(AddressKeys(LINK_SECRET).of(address)), **off})
    seen = [(await ask(caller).get("/v1/me/preferences")).json["mails"]]
    own = {"messages": True, "disputes": True, "locale": None, "stamps": {"messages": "3", "disputes": "1"}}
    await stored["preferences"].insert_one({"_id": "customer:c-77", **own})
    seen.append((await ask(caller).get("/v1/me/preferences")).json["mails"])

    assert seen == [{"messages": False, "disputes": False}, {"messages": True, "disputes": False}]


async def test_a_command_that_made_an_entry_is_done_with_the_message_as_its_author_sees_it(
    shop: Shop, ask: Ask
) -> None:
    posted = await shop.post("q-1", seller("anna"), "On its way")

    outcome = (await ask(seller("anna")).get(f"/v1/commands/{posted.id}")).json

    assert outcome == answers.of_entry(posted).model_dump(mode="json")
    assert (outcome["state"], outcome["status"]) == ("done", 201)
    assert (outcome["result"]["text"], outcome["result"]["mine"], outcome["result"]["new"]) == (
        "On its way",
        True,
        False,
    )


async def test_a_command_is_nobody_elses_business(shop: Shop, ask: Ask) -> None:
    posted = await shop.post("q-1", seller("anna"), "Mine")

    for caller in (seller("bert"), seller("anna", of="s-2"), customer(), admin(), SERVICE):
        assert (await ask(caller).get(f"/v1/commands/{posted.id}")).status == 404


async def test_a_guests_commands_are_theirs_until_the_order_belongs_to_an_account(shop: Shop, ask: Ask) -> None:
    buyer = guest("q-4", "g-4")
    await shop.place(snapshot("q-4", customer_id="g-4", guest=True))
    posted = await shop.post("q-4", buyer)
    assert (await ask(buyer).get(f"/v1/commands/{posted.id}")).status == 200

    await shop.place(snapshot("q-4", customer_id="c-4", version=2))

    assert (await ask(buyer).get(f"/v1/commands/{posted.id}")).status == 404
    assert (await ask(customer("c-4")).get(f"/v1/commands/{posted.id}")).status == 200


async def test_a_command_that_was_refused_keeps_its_problem_for_its_caller(stored: Database, ask: Ask) -> None:
    rejected = answers.rejected(command_id(-1), "q-1", not_found("q-1").problem)
    kept = Outcome(rejected, digest="d", caller="customer:c-2", stamp="s")
    await Outcomes(stored).keep([kept], now=START)

    outcome = (await ask(customer("c-2")).get(f"/v1/commands/{command_id(-1)}")).json

    assert (outcome["state"], outcome["problem"]["status"]) == ("rejected", 404)
    assert (await ask(customer("c-1")).get(f"/v1/commands/{command_id(-1)}")).status == 404


async def test_an_imported_message_is_the_business_of_the_service_that_brought_it(shop: Shop, ask: Ask) -> None:
    await shop.place(snapshot("q-5"))
    brought = await shop.bring("q-5", Author(side="customer", person="customer", name="C"), "Old", written_at=START)

    assert (await ask(SERVICE).get(f"/v1/commands/{brought.id}")).json["state"] == "done"
    assert (await ask(customer()).get(f"/v1/commands/{brought.id}")).status == 404


async def test_an_unknown_command_is_not_found(ask: Ask) -> None:
    assert (await ask(customer()).get(f"/v1/commands/{command_id(-2)}")).status == 404
    assert (await ask(customer()).get("/v1/commands/abc")).wrong_fields == ["command_id"]


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer abc", "Basic YTpi", f"Token {token_of(customer())}"]
)
async def test_without_a_good_token_there_is_no_answer_and_no_word_about_the_request(
    ask: Ask, authorization: str | None
) -> None:
    client = Client(ask(None).app, None, authorization=authorization)

    for url in ("/v1/me", "/v1/orders?limit=0", "/v1/orders/q-1", "/v1/commands/abc"):
        answer = await client.get(url)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json["type"] == "urn:parley:problem:unauthenticated"


async def test_an_expired_token_is_refused(ask: Ask) -> None:
    client = Client(ask(None).app, None, authorization=f"Bearer {token_of(customer(), lasts_s=-60)}")

    assert (await client.get("/v1/me")).status == 401


@pytest.mark.parametrize("order_id", ["-1", "a%20b", "a%00", "x" * 65, "%7B%22$ne%22:null%7D"])
async def test_what_is_no_order_number_is_refused_with_the_fields_name(ask: Ask, order_id: str) -> None:
    answer = await ask(customer()).get(f"/v1/orders/{order_id}".replace("%20", " ").replace("%00", "\0"))

    assert (answer.status, answer.wrong_fields) == (422, ["order_id"])


async def test_answers_are_kept_by_no_cache_and_unknown_paths_are_problems_too(ask: Ask) -> None:
    assert (await ask(customer()).get("/v1/me")).headers["cache-control"] == "no-store"
    missing = await ask(customer()).get("/v1/nothing")
    assert (missing.status, missing.headers["content-type"]) == (404, "application/problem+json")


async def test_without_the_database_the_answer_is_to_come_back_soon() -> None:
    away: AsyncMongoClient[Document] = AsyncMongoClient("mongodb://127.0.0.1:9", serverSelectionTimeoutMS=20)
    async with away:
        client = Client(application(mongo.database(away, "nowhere")), customer())

        answer = await client.get("/v1/me")

    assert (answer.status, answer.headers["retry-after"]) == (503, "2")
    assert answer.json["type"] == "urn:parley:problem:unavailable"


async def test_the_indexes_are_there_and_one_that_is_missing_or_other_is_named(stored: Database) -> None:
    await indexes.ensure(stored)
    assert await indexes.missing(stored) == []

    await stored["watches"].drop_index("watches_of_an_order")
    await stored["outcomes"].drop_index("kept_for_90_days")
    await stored["outcomes"].create_index("at", name="kept_for_90_days", expireAfterSeconds=60)
    assert await indexes.missing(stored) == ["outcomes.kept_for_90_days", "watches.watches_of_an_order"]

    await stored["outcomes"].drop_index("kept_for_90_days")
    await indexes.ensure(stored)
    assert await indexes.missing(stored) == []
