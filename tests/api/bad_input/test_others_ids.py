"""Ids of other people's orders, messages, commands and keys open nothing."""

from tests.api.bad_input.places import MESSAGES, ORDER, PATH, PATIENT
from tests.api.people import People, order_of
from tests.e2e.client import Clients


async def test_ids_of_other_peoples_open_nothing(api: Clients, people: People) -> None:
    """Whoever carries the id of a party under another role is a stranger all the same."""
    strangers = [
        people.seller("s-2", login="login-9"),
        people.seller("c-7", login="c-7"),
        people.seller("s-2", login="login-1"),
        people.seller("s-2", login="c-7"),
        people.customer("s-1"),
        people.customer("login-1"),
        people.customer("guest"),
        people.guest("3000"),
        people.guest(ORDER, "c-7"),
        people.token("service", "c-7"),
    ]
    for token in strangers:
        client = api.with_token(token)
        for path in (PATH, MESSAGES, f"{PATH}/dispute"):
            answer = await client.get(path)
            assert (answer.status, answer.problem) == (404, "not_found"), (path, answer)


async def test_a_message_of_another_order_cannot_be_taken_out_through_ones_own(api: Clients, people: People) -> None:
    posted = await api.with_token(people.customer("c-8")).post("Theirs", order_id="2000", **PATIENT)
    admin = api.with_token(people.admin())
    answer = await admin.call("POST", f"{MESSAGES}/{posted.body['id']}/redact", **PATIENT)
    assert (answer.status, answer.problem) == (404, "not_found")
    assert [message["text"] for message in await admin.history("2000")] == ["Theirs"]


async def test_a_command_is_known_to_its_caller_alone(api: Clients, people: People) -> None:
    posted = await api.with_token(people.customer()).post("Mine", order_id=ORDER, **PATIENT)
    path = f"/v1/commands/{posted.body['id']}"
    assert (await api.with_token(people.customer()).get(path)).status == 200
    for stranger in (people.customer("c-8"), people.seller(), people.admin(), people.service()):
        assert (await api.with_token(stranger).get(path)).status == 404


async def test_the_same_key_of_two_people_names_two_writes(api: Clients, people: People) -> None:
    await api.put_order(order_of("6000"))
    texts = {}
    for name, token in (("customer", people.customer()), ("seller", people.seller()), ("admin", people.admin())):
        answer = await api.with_token(token).post(f"by the {name}", order_id="6000", Idempotency_Key="same", **PATIENT)
        texts[name] = (answer.status, answer.body["seq"])
    assert texts == {"customer": (201, 1), "seller": (201, 2), "admin": (201, 3)}
