"""Too much: a work queue that is full, a RabbitMQ that takes nothing, callers that write too fast, and requests that are too large."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import aiohttp

from services.gateway.commands import MAX_IN_FLIGHT
from shared import topology
from shared.tokens import mint_guest_link, mint_unsubscribe
from tests.integration.gateway.conftest import LINK_SECRET, Api, NewGateway, Seen, token
from tests.integration.gateway.standins import QueryApi, Worker
from tests.integration.gateway.test_writes import ORDER
from tests.servers.pace import others_turn
from tests.servers.parley import Parley
from tests.servers.rabbitmq import SharedRabbit, Vhost
from tests.servers.waiting import eventually, within

PATH = "/v1/orders/1042/messages"


async def test_threads_away_for_long_posts_are_taken_until_the_queue_is_full_and_none_of_them_is_lost(
    fresh_vhost: Callable[..., Vhost], new_gateway: NewGateway, session: aiohttp.ClientSession
) -> None:
    vhost = fresh_vhost(max_queued=20)
    gateways = [Api(await new_gateway(on=vhost).ready(), session) for _ in range(2)]
    accepted, refused = await post_until_refused(gateways)

    assert len(accepted) >= 20
    assert {(seen.json["type"], seen.headers["Retry-After"]) for seen in refused} == {
        ("urn:parley:problem:unavailable", "10")
    }
    assert {"outcome" in seen.json for seen in refused} == {False}

    async with Worker(vhost).working() as worker:
        await eventually(lambda: {command.id for command in worker.commands} >= accepted, what="every accepted post")
        after = await eventually(lambda: posted(gateways[0]), what="a post that is taken again")
        await eventually(lambda: after in {command.id for command in worker.commands}, what="that post")
    assert {command.id for command in worker.commands} == accepted | {after}


async def test_an_operator_can_lower_the_length_at_which_posts_are_refused(
    rabbitmq: SharedRabbit, api: Api, vhost: Vhost
) -> None:
    limit = ["waiting", "^threads\\.commands$", '{"max-length": 5}', "--apply-to", "queues"]
    rabbitmq.ctl("set_policy", "-p", vhost.name, *limit)
    accepted, refused = await post_until_refused([api, api])
    assert 5 <= len(accepted) < 500
    assert len(refused) == 10
    assert {message.correlation_id for message in await vhost.take_all(topology.COMMANDS_QUEUE)} == accepted


async def post_until_refused(gateways: list[Api]) -> tuple[set[str], list[Seen]]:
    """The ids of the posts that were accepted, and the answers of both gateways that were not. Posts in turn: a few more than the limit fit."""
    accepted, refused = set[str](), list[Seen]()
    for number in range(1_000):
        seen = await gateways[number % 2].post(Prefer="respond-async")
        if seen.status == 202:
            accepted.add(seen.json["command_id"])
        else:
            assert seen.status == 503
            refused.append(seen)
        if len(refused) == 10:
            break
    return accepted, refused


async def posted(api: Api) -> str | None:
    seen = await api.post(Prefer="respond-async")
    return seen.json["command_id"] if seen.status == 202 else None


async def test_while_rabbitmq_takes_nothing_posts_are_503_within_two_seconds_and_what_waits_is_worked_on(
    running_parley: Parley, rabbitmq: SharedRabbit, session: aiohttp.ClientSession
) -> None:
    parley = running_parley
    api, threads, bearer = Api(parley.services["gateway"], session), parley.services["threads"], parley.customer("c-7")
    await api.call("PUT", "/v1/orders/1042", bearer=parley.service(), body=ORDER)
    await eventually(lambda: is_found(api, bearer), what="the order")
    threads.term()
    waiting = [await api.post(bearer=bearer, Prefer="respond-async") for _ in range(5)]
    assert {seen.status for seen in waiting} == {202}

    with rabbitmq.blocked():
        threads.start()
        with within(2):
            refused = await asyncio.gather(*(api.post(bearer=bearer) for _ in range(5)))
        assert {seen.status for seen in refused} == {503}
        await eventually(lambda: history_is(api, bearer, waiting), timeout_s=30, what="the posts that were waiting")


async def test_more_posts_than_may_be_under_way_are_all_answered_within_the_same_two_seconds(
    api: Api, rabbitmq: SharedRabbit
) -> None:
    rabbitmq.pause()
    with within(2):
        refused = await asyncio.gather(*(api.post() for _ in range(MAX_IN_FLIGHT + 50)))
    rabbitmq.resume()
    assert {seen.status for seen in refused} == {503}
    assert sum(seen.json.get("outcome") == "unknown" for seen in refused) <= MAX_IN_FLIGHT


async def is_found(api: Api, bearer: str) -> bool:
    return (await api.call("GET", "/v1/orders/1042", bearer=bearer)).status == 200


async def history_is(api: Api, bearer: str, posts: list[Seen]) -> bool:
    seen = await api.call("GET", PATH, bearer=bearer)
    return seen.status == 200 and [each["id"] for each in seen.json["items"]] == [
        post.json["command_id"] for post in posts
    ]


async def test_a_person_who_writes_too_fast_is_429_with_the_time_to_wait_and_others_are_not(
    new_gateway: NewGateway, session: aiohttp.ClientSession, vhost: Vhost
) -> None:
    api = Api(await new_gateway(PERSON_WRITES_PER_S="0.05", PERSON_WRITES_BURST="3").ready(), session)
    hasty = [await api.post(order_id=f"o-{number}", Prefer="respond-async") for number in range(4)]
    other = await api.post(bearer=token(person="c-8"), Prefer="respond-async")
    shop = [await api.call("PUT", "/v1/orders/1042", bearer=token("service"), body={}) for _ in range(5)]

    assert [seen.status for seen in hasty] == [202, 202, 202, 429]
    assert (hasty[-1].json["type"], hasty[-1].headers["Retry-After"]) == ("urn:parley:problem:too_many_requests", "20")
    assert other.status == 202
    assert {seen.status for seen in shop} == {422}
    assert len(await vhost.take_all(topology.COMMANDS_QUEUE)) == 4


async def test_one_side_writes_only_so_much_into_a_thread_and_no_stranger_uses_that_up(
    new_gateway: NewGateway, session: aiohttp.ClientSession
) -> None:
    api = Api(await new_gateway(THREAD_WRITES_PER_S="0.05", THREAD_WRITES_BURST="3").ready(), session)
    logins = [token("seller", person=f"login-{number}", seller_id="s-1") for number in range(2)]
    sellers = [await api.post(bearer=logins[number % 2], Prefer="respond-async") for number in range(3)]
    mark = await api.call("PUT", "/v1/orders/1042/read", bearer=logins[0], body={"up_to_seq": 1})
    again = await api.post(bearer=logins[1], Prefer="respond-async")
    elsewhere = await api.post(order_id="1043", bearer=logins[0], Prefer="respond-async")
    strangers = [
        await api.post(bearer=token(person="c-8"), Idempotency_Key="k", Prefer="respond-async") for _ in range(4)
    ]
    customer = await api.post(bearer=token(person="c-7"), Prefer="respond-async")

    assert [seen.status for seen in sellers] == [202, 202, 202]
    assert (mark.status, again.status, elsewhere.status) == (429, 429, 202)
    assert [seen.status for seen in strangers] == [202, 202, 202, 429]
    assert customer.status == 202


async def test_a_thread_that_is_named_twice_in_one_request_is_refused_by_name(api: Api, worker: Worker) -> None:
    marks = [
        {"order_id": order_id, "up_to_seq": seq} for order_id, seq in (("a", 1), ("b", 0), ("a", 0), ("b", 0), ("c", 1))
    ]
    seen = await api.call("POST", "/v1/threads/read", bearer=token(), body={"threads": marks})
    assert seen.status == 422
    assert "a, b" in seen.json["errors"][0]["message"]
    assert seen.json["errors"][0]["field"].endswith("threads")
    assert worker.commands == []


async def test_a_list_of_marks_is_charged_by_its_threads_and_nobody_else_waits(
    new_gateway: NewGateway, session: aiohttp.ClientSession, vhost: Vhost
) -> None:
    api = Api(await new_gateway(PERSON_WRITES_PER_S="0.05", PERSON_WRITES_BURST="200").ready(), session)
    marks = {"threads": [{"order_id": f"o-{number}", "up_to_seq": 1} for number in range(100)]}
    hasty = [
        await api.call("POST", "/v1/threads/read", bearer=token(), body=marks, Prefer="respond-async") for _ in range(3)
    ]
    other = await api.call("POST", "/v1/threads/read", bearer=token(person="c-8"), body=marks, Prefer="respond-async")
    assert [seen.status for seen in hasty] == [202, 202, 429]
    assert hasty[-1].headers["Retry-After"] == "2000"
    assert other.status == 202
    assert len(await vhost.take_all(topology.COMMANDS_QUEUE)) == 3


async def test_one_link_is_used_only_so_often(
    new_gateway: NewGateway, session: aiohttp.ClientSession, vhost: Vhost, query_api: QueryApi
) -> None:
    query_api.answers |= {f"/v1/orders/{order_id}": (200, b"{}", {}) for order_id in ("1042", "1043")}
    api = Api(await new_gateway(PERSON_WRITES_PER_S="20").ready(), session)
    now = time.time()
    links = [mint_unsubscribe(person, secret=LINK_SECRET, now=now) for person in ("customer:c-7", "customer:c-8")]
    guests = [mint_guest_link(order_id, "g-1", "Guest", secret=LINK_SECRET, now=now) for order_id in ("1042", "1043")]
    clicks = [await api.call("POST", f"/v1/unsubscribe?token={links[0]}") for _ in range(40)]
    sessions = [await api.call("POST", "/v1/guest-sessions", body={"token": guests[0]}) for _ in range(60)]
    others = [
        await api.call("POST", f"/v1/unsubscribe?token={links[1]}"),
        await api.call("POST", "/v1/guest-sessions", body={"token": guests[1]}),
    ]
    assert [seen.status for seen in clicks[:30]] == [200] * 30
    assert (clicks[-1].status, sessions[0].status, sessions[-1].status) == (429, 201, 429)
    assert int(clicks[-1].headers["Retry-After"]) > 0
    assert [seen.status for seen in others] == [200, 201]
    published = [message.correlation_id for message in await vhost.take_all(topology.COMMANDS_QUEUE)]
    assert published.count(None) == 0
    assert len(set(published)) == 2


async def test_whatever_is_too_large_is_refused_with_what_it_may_be(api: Api, worker: Worker) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" " * 1_000

    answers = [
        await api.call("POST", PATH, bearer=token(), data=b" " * 140_000, Content_Type="application/json"),
        await api.call("POST", PATH, bearer=token(), data=endless(), Content_Type="application/json"),
        await api.call("POST", PATH, bearer=token(), body={"text": "x" * 10_001}),
        await api.call("POST", PATH, bearer=token(), body={"text": "a"}, X_Long="x" * 20_000),
        await api.call("POST", f"{PATH}?{'x' * 5_000}", bearer=token(), body={"text": "a"}),
        await api.call("GET", "/v1/orders?limit=101", bearer=token()),
        await api.call("GET", f"{PATH}?limit=201", bearer=token()),
        await api.call("PUT", "/v1/orders/1042", bearer=token("service"), data=b" " * 1_100_000),
    ]
    assert [seen.status for seen in answers] == [413, 413, 422, 431, 414, 422, 422, 413]
    assert {seen.headers["Content-Type"] for seen in answers} == {"application/problem+json"}
    assert worker.commands == []


async def test_a_head_that_never_ends_is_not_read_to_its_end(api: Api) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.gateway.port)
    writer.write(b"GET /livez HTTP/1.1\r\nX-Long: ")
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 10_000_000 and not reader.at_eof():
            writer.write(b"x" * 16_000)
            await writer.drain()
            sent += 16_000
            await others_turn()
    with contextlib.suppress(ConnectionError):
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    assert sent < 10_000_000
    assert (await api.call("GET", "/livez")).status == 200


async def test_a_client_that_hangs_up_in_mid_body_is_no_defect_of_ours(api: Api) -> None:
    for headers in (
        b"content-type: application/json\r\n",
        b"content-type: application/json\r\nprefer: x\r\nprefer: y\r\n",
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", api.gateway.port)
        writer.write(b"POST %b HTTP/1.1\r\nhost: x\r\n%b" % (PATH.encode(), headers))
        writer.write(b"authorization: Bearer %b\r\ncontent-length: 50\r\n\r\n{" % token().encode())
        await writer.drain()
        writer.close()
    await eventually(lambda: api.gateway.log.count("client_gone") == 2, what="both ways' word")
    assert "request_failed" not in api.gateway.log
