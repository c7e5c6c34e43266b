"""Who may do what, over the whole public API: every operation of the OpenAPI document, asked by everybody who may come along."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import pytest

from shared.orders import OrderSnapshot
from tests.api.people import People, order_of, order_of_guest
from tests.e2e.client import Answer, Clients
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

COLUMNS: Final = (
    "nobody", "the customer", "another customer", "the seller", "another seller",
    "admin", "service", "the guest", "guest of another order", "expired",
)  # fmt: skip

# DESIGN section 5. 404: the order does not exist for them. Behind a 200 of what is about the caller's whole inbox, + says that the
# cell's order is in it, and - that it is not. The guest's columns are about an order of a guest, the others about one of an account, for
# which a guest's link, whoever brings it, has ended (410).
EXPECTED: Final = """
                     nobody  customer  other  seller  other  admin  service  guest  other  expired
listOrders             401     200+    200-    200+   200-   200+     403    200+   200-     401
getOrder               401     200     404     200    404    200      404    200    404      401
putOrder               401     403     403     403    403    403      200    403    403      401
getOrderIntake         401     403     403     403    403    403      200    403    403      401
listThreads            401     200+    200-    200+   200-   200+     403    200+   200-     401
listMessages           401     200     404     200    404    200      404    200    404      401
postMessage            401     201     404     201    404    201      404    201    404      401
importMessage          401     403     403     403    403    403      201    403    403      401
redactMessage          401     403     404     403    404    200      404    403    404      401
getDispute             401     200     404     200    404    200      404    200    404      401
openDispute            401     201     404     403    404    201      404    201    404      401
closeDispute           401     200     404     403    404    200      404    200    404      401
markRead               401     200     404     200    404    200      404    200    404      401
markThreadsRead        401     200+    404     200+   404    200+     403    200+   404      401
watchThread            401     403     404     403    404    200      404    403    404      401
unwatchThread          401     403     404     403    404    200      404    403    404      401
getMe                  401     200     200     200    200    200      200    200    200      401
getPreferences         401     200     200     200    200    200      403    200    200      401
setPreferences         401     200     200     200    200    200      403    200    200      401
getShopPreferences     401     403     403     403    403    200      403    403    403      401
setShopPreferences     401     403     403     403    403    200      403    403    403      401
getOrderPreferences    401     200     404     200    404    200      404    200    404      401
setOrderPreferences    401     200     404     200    404    200      404    200    404      401
getCommand             401     200     404     404    404    404      404    200    404      401
listen                 401     200     200     200    200    200      403    200    200      401
openGuestSession       410     410     410     410    410    410      410    201    201      410
askToUnsubscribe       200     200     200     200    200    200      200    200    200      200
unsubscribe            200     200     200     200    200    200      200    200    200      200
getLivez               200     200     200     200    200    200      200    200    200      200
getReadyz              200     200     200     200    200    200      200    200    200      200
getMetrics             200     200     200     200    200    200      200    200    200      200
"""

# The same of an order without a seller, which the shop itself sells: its staff answer, and for every seller it does not exist. Every
# operation that is about an order, or whose answer may have it.
OF_THE_SHOP: Final = """
                     nobody  customer  other  seller  other  admin  service  guest  other  expired
listOrders             401     200+    200-    200-   200-   200+     403    200+   200-     401
getOrder               401     200     404     404    404    200      404    200    404      401
putOrder               401     403     403     403    403    403      200    403    403      401
getOrderIntake         401     403     403     403    403    403      200    403    403      401
listThreads            401     200+    200-    200-   200-   200+     403    200+   200-     401
listMessages           401     200     404     404    404    200      404    200    404      401
postMessage            401     201     404     404    404    201      404    201    404      401
importMessage          401     403     403     403    403    403      201    403    403      401
redactMessage          401     403     404     404    404    200      404    403    404      401
getDispute             401     200     404     404    404    200      404    200    404      401
openDispute            401     201     404     404    404    201      404    201    404      401
closeDispute           401     200     404     404    404    200      404    200    404      401
markRead               401     200     404     404    404    200      404    200    404      401
markThreadsRead        401     200+    404     404    404    200+     403    200+   404      401
watchThread            401     403     404     404    404    200      404    403    404      401
unwatchThread          401     403     404     404    404    200      404    403    404      401
getOrderPreferences    401     200     404     404    404    200      404    200    404      401
setOrderPreferences    401     200     404     404    404    200      404    200    404      401
getCommand             401     200     404     404    404    404      404    200    404      401
openGuestSession       410     410     410     410    410    410      410    201    201      410
"""

# What must be there before the operation can succeed for whoever may do it.
NEEDS_A_MESSAGE: Final = frozenset({"redactMessage", "getCommand", "listThreads", "markRead", "markThreadsRead"})
NEEDS_A_DISPUTE: Final = frozenset({"getDispute", "closeDispute"})
PATIENT: Final = {"Prefer": "wait=30"}
SEEDED_AT_ONCE: Final = 32


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    path: str
    example: Any


@dataclass(frozen=True)
class Cell:
    operation: Operation
    person: str
    expected: str
    order: OrderSnapshot

    @property
    def order_id(self) -> str:
        return self.order.order_id


def _expected(table: str = EXPECTED) -> dict[str, dict[str, str]]:
    lines = [line.split() for line in table.strip().splitlines()[1:]]
    return {name: dict(zip(COLUMNS, statuses, strict=True)) for name, *statuses in lines}


def _operations(document: Mapping[str, Any]) -> list[Operation]:
    return [
        Operation(each["operationId"], method.upper(), path, _example(each))
        for path, operations in document["paths"].items()
        for method, each in operations.items()
    ]


def _example(operation: Mapping[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {})
    return content.get("application/json", {}).get("example")


def _cells(operations: list[Operation]) -> list[Cell]:
    """One for each operation and person, each with an order of its own, so that none sees what another has done."""
    cells = []
    for sold_by, expected in (("seller", _expected()), ("shop", _expected(OF_THE_SHOP))):
        for operation in operations:
            for number, person in enumerate(COLUMNS if operation.name in expected else ()):
                order_id = f"{operation.name}.{sold_by}.{number}"
                order = order_of_guest(order_id) if "guest" in person else order_of(order_id)
                if sold_by == "shop":
                    order = order.model_copy(update={"seller": None})
                cells.append(Cell(operation, person, expected[operation.name][person], order))
    return cells


def _token(people: People, cell: Cell) -> str | None:
    tokens = {
        "nobody": None,
        "the customer": people.customer(),
        "another customer": people.customer("c-8"),
        "the seller": people.seller(),
        "another seller": people.seller("s-2", login="login-9"),
        "admin": people.admin(),
        "service": people.service(),
        "the guest": people.guest(cell.order_id),
        "guest of another order": people.guest("the-other-guests"),
        "expired": people.expired(),
    }
    return tokens[cell.person]


def _body(cell: Cell, people: People) -> Any:
    """The example of the OpenAPI document, or one about the cell's own order."""
    match cell.operation.name:
        case "putOrder":
            return cell.order.model_dump(mode="json")
        case "markRead":
            return {"up_to_seq": 1}
        case "markThreadsRead":
            return {"threads": [{"order_id": cell.order_id, "up_to_seq": 1}]}
        case "openGuestSession":
            return {"token": people.guest_link(cell.order_id)}
        case _:
            return cell.operation.example


def _query(cell: Cell, people: People) -> str:
    match cell.operation.name:
        case "listOrders" | "listThreads":
            return f"?q={cell.order_id}"
        case "askToUnsubscribe" | "unsubscribe":
            return f"?token={people.unsubscribe('customer:nobody-else')}"
        case _:
            return ""


def _outcome(cell: Cell, answer: Answer) -> str:
    """The status, and whether the cell's order is in an answer about a whole inbox."""
    if answer.status != 200 or cell.expected[3:] == "":
        return str(answer.status)
    if cell.operation.name == "markThreadsRead":
        return "200+" if answer.body["marked"] == 1 else "200-"
    return "200+" if cell.order_id in str(answer.body["items"]) else "200-"


class Matrix:
    """Seeds what each cell needs, and asks."""

    def __init__(self, clients: Clients, people: People, live: aiohttp.ClientSession, url: str) -> None:
        self._clients, self._people, self._live, self._url = clients, people, live, url
        self._seeding = asyncio.Semaphore(SEEDED_AT_ONCE)

    async def seed(self, cell: Cell) -> str:
        """The id of the message that was posted, if the operation needs one."""
        async with self._seeding:
            service = self._clients.with_token(self._people.service())
            body = cell.order.model_dump(mode="json")
            assert (await service.call("PUT", f"/v1/orders/{cell.order_id}", body, **PATIENT)).status == 200
            owner = self._people.guest(cell.order_id) if cell.order.customer.guest else self._people.customer()
            client = self._clients.with_token(owner)
            if cell.operation.name in NEEDS_A_MESSAGE:
                posted = await client.post("A message", order_id=cell.order_id, **PATIENT)
                assert posted.status == 201, posted
                return str(posted.body["id"])
            if cell.operation.name in NEEDS_A_DISPUTE:
                path, dispute = f"/v1/orders/{cell.order_id}/dispute", {"reason": "damaged", "text": "Broken"}
                opened = await client.call("POST", path, dispute, **PATIENT)
                assert opened.status == 201, opened
            return "a" * 42

    async def is_seeded(self, cell: Cell) -> bool:
        admin = self._clients.with_token(self._people.admin())
        return (await admin.get(f"/v1/orders/{cell.order_id}")).status == 200

    async def outcome(self, cell: Cell) -> str:
        message_id = await self.seed(cell)
        await eventually(lambda: self.is_seeded(cell), timeout_s=60, what=f"order {cell.order_id}")
        named = {"order_id": cell.order_id, "version": 1, "message_id": message_id, "command_id": message_id}
        path = cell.operation.path.format(**named) + _query(cell, self._people)
        token = _token(self._people, cell)
        if cell.operation.name == "listen":
            return await self._listen(path, token)
        headers = {} if cell.operation.method == "GET" else PATIENT
        client = self._clients.with_token(token)
        answer = await client.call(cell.operation.method, path, _body(cell, self._people), **headers)
        return _outcome(cell, answer)

    async def _listen(self, path: str, token: str | None) -> str:
        """The stream has no end, so only its head is read."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self._live.get(f"{self._url}{path}", headers=headers) as answer:
            return str(answer.status)


async def _document(clients: Clients) -> dict[str, Any]:
    document: dict[str, Any] = (await clients.with_token(None).get("/openapi.json")).body
    return document


async def test_every_operation_has_a_row_and_every_row_an_operation(api: Clients) -> None:
    names = [operation.name for operation in _operations(await _document(api))]
    assert sorted(names) == sorted(_expected())
    of_orders = {operation.name for operation in _operations(await _document(api)) if "{order_id}" in operation.path}
    in_answers = {name for name, cells in _expected().items() if any(len(cell) > 3 for cell in cells.values())}
    assert _expected(OF_THE_SHOP).keys() == of_orders | in_answers | {"getCommand", "openGuestSession"}


async def test_nobody_can_do_what_the_table_does_not_let_them(
    shop: Parley, api: Clients, people: People, capsys: pytest.CaptureFixture[str]
) -> None:
    await api.put_order(order_of_guest("the-other-guests"))
    cells = _cells(_operations(await _document(api)))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as live:
        matrix = Matrix(api, people, live, shop.gateway_url)
        outcomes = await asyncio.gather(*(matrix.outcome(cell) for cell in cells))
    wrong = [
        f"{cell.operation.name}, {cell.person}, order of the {cell.order.sold_by}: {outcome}, not {cell.expected}"
        for cell, outcome in zip(cells, outcomes, strict=True)
        if outcome != cell.expected
    ]
    with capsys.disabled():
        print(f"\npermissions: {len(cells)} cells, {len(wrong)} wrong")
    assert len(cells) == (len(_expected()) + len(_expected(OF_THE_SHOP))) * len(COLUMNS)
    assert wrong == []
