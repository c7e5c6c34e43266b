"""A shop's calls through the client that openapi-python-client makes: the README's five, a dispute, lists, errors.

PARLEY_URL and a token for each role in SHOP, CUSTOMER, SELLER, STRANGER; prints what came back as JSON. `parley_client` is generated.
"""

import json
import os
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from parley_client import AuthenticatedClient
from parley_client.api.disputes import close_dispute, get_dispute, open_dispute
from parley_client.api.orders import get_order, list_orders, put_order
from parley_client.api.persons import get_me, set_preferences
from parley_client.api.threads import list_messages, list_threads, post_message
from parley_client.models import (
    ChosenMails,
    ChosenPreferences,
    Customer,
    DisputeClosing,
    DisputeClosingOutcome,
    DisputeView,
    History,
    Item,
    ListThreadsFilter,
    Me,
    Message,
    NewDispute,
    NewDisputeReason,
    NewMessage,
    OrderDecided,
    OrderSnapshot,
    Preferences,
    Problem,
    Seller,
    ThreadPage,
)
from parley_client.types import UNSET, Response

T = TypeVar("T")
URL: Final = os.environ["PARLEY_URL"]
PATIENT: Final = "wait=15"
ORDER: Final = "py-1"
calls = 0


def signed_in(role: str) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=URL, token=os.environ[role], raise_on_unexpected_status=True)


def done(kind: type[T], answer: Response[Any]) -> T:
    """What a call that must succeed has answered."""
    global calls  # noqa: PLW0603 - a script that counts
    calls += 1
    assert isinstance(answer.parsed, kind), (answer.status_code, answer.content)
    return answer.parsed


def refused(answer: Response[Any]) -> Problem:
    """The problem that a call must be refused with."""
    return done(Problem, answer)


def snapshot(order_id: str) -> OrderSnapshot:
    return OrderSnapshot(
        order_id=order_id,
        version=1,
        status="paid",
        placed_at=datetime(2026, 11, 28, 8, tzinfo=UTC),
        customer=Customer(id="c-7", name="Ada Byron", email="ada@example.com"),
        seller=Seller(id="s-1", name="Tea House"),
        items=[Item(sku="TEA-1", name="Green tea", quantity=2, price="19.90")],
        total="39.80",
        currency="EUR",
    )


def main() -> None:
    shop, customer, seller, stranger = (signed_in(role) for role in ("SHOP", "CUSTOMER", "SELLER", "STRANGER"))
    decided = done(OrderDecided, put_order.sync_detailed(ORDER, client=shop, body=snapshot(ORDER), prefer=PATIENT))
    done(OrderDecided, put_order.sync_detailed("py-2", client=shop, body=snapshot("py-2"), prefer=PATIENT))

    question = NewMessage(text="When will it be sent?")
    asked, again = (
        done(
            Message,
            post_message.sync_detailed(ORDER, client=customer, body=question, idempotency_key="a-1", prefer=PATIENT),
        )
        for _ in range(2)
    )
    unread = done(ThreadPage, list_threads.sync_detailed(client=seller, filter_=ListThreadsFilter.UNREAD))
    reply = NewMessage(text="It leaves us today.")
    done(Message, post_message.sync_detailed(ORDER, client=seller, body=reply, prefer=PATIENT))
    history = done(History, list_messages.sync_detailed(ORDER, client=customer))

    broken = NewDispute(reason=NewDisputeReason.DAMAGED, text="It is broken.")
    done(DisputeView, open_dispute.sync_detailed(ORDER, client=customer, body=broken, prefer=PATIENT))
    opened = done(DisputeView, get_dispute.sync_detailed(ORDER, client=customer))
    ending = DisputeClosing(outcome=DisputeClosingOutcome.REFUNDED)
    closed = done(
        DisputeView,
        close_dispute.sync_detailed(ORDER, client=customer, body=ending, if_match=opened.etag, prefer=PATIENT),
    )

    first = done(ThreadPage, list_orders.sync_detailed(client=customer, limit=1))
    second = done(ThreadPage, list_orders.sync_detailed(client=customer, limit=1, cursor=first.cursor or UNSET))
    me = done(Me, get_me.sync_detailed(client=customer))
    choices = ChosenPreferences(mails=ChosenMails(messages=False, disputes=True))
    done(Preferences, set_preferences.sync_detailed(client=customer, body=choices, prefer=PATIENT))

    nobody = AuthenticatedClient(base_url=URL, token="no-token")
    errors = [
        refused(get_order.sync_detailed(ORDER, client=stranger)),
        refused(get_me.sync_detailed(client=nobody)),
        refused(post_message.sync_detailed(ORDER, client=customer, body=NewMessage(text=" "))),
        refused(put_order.sync_detailed(ORDER, client=customer, body=snapshot(ORDER))),
        refused(close_dispute.sync_detailed(ORDER, client=customer, body=ending, prefer=PATIENT)),
    ]
    told = {
        "calls": calls,
        "stands": decided.stands,
        "same_message": asked.id == again.id,
        "unread": [row.order.order_id for row in unread.items],
        "history": [[message.author.side.value, message.text] for message in history.items],
        "dispute": [opened.state.value, closed.state.value],
        "pages": [[row.order.order_id for row in page.items] for page in (first, second)],
        "role": me.role.value,
        "errors": [
            [problem.status, problem.type_, [each.field for each in problem.errors] if problem.errors else None]
            for problem in errors
        ],
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
