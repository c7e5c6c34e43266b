"""What the role alone decides: role by role."""

import pytest

from services.gateway import access
from shared.callers import Caller
from shared.errors import ProblemError, not_found

CALLERS = {
    "customer": Caller(role="customer", id="c-7", name="Ada"),
    "guest": Caller(role="guest", id="c-7", name="Ada", order_id="1042"),
    "guest of another": Caller(role="guest", id="c-7", name="Ada", order_id="1043"),
    "seller": Caller(role="seller", id="login-1", name="Bob", seller_id="s-1"),
    "admin": Caller(role="admin", id="a-1", name="Staff"),
    "service": Caller(role="service", id="shop", name="shop"),
}
NO_THREAD, NO_INBOX = {"guest of another", "service"}, {"service"}


@pytest.mark.parametrize("who", CALLERS)
def test_a_thread_is_out_of_reach_for_services_and_guests_of_other_orders(who: str) -> None:
    if who not in NO_THREAD:
        assert access.on_thread(CALLERS[who], "1042") is CALLERS[who]
        return
    with pytest.raises(ProblemError) as raised:
        access.on_thread(CALLERS[who], "1042")
    assert raised.value.problem == not_found("1042").problem


@pytest.mark.parametrize("who", CALLERS)
def test_only_services_publish_orders(who: str) -> None:
    if who == "service":
        assert access.service(CALLERS[who]) is CALLERS[who]
        return
    with pytest.raises(ProblemError) as raised:
        access.service(CALLERS[who])
    assert raised.value.problem.status == 403


@pytest.mark.parametrize("who", CALLERS)
def test_everybody_but_a_service_has_an_inbox(who: str) -> None:
    if who not in NO_INBOX:
        assert access.with_inbox(CALLERS[who]) is CALLERS[who]
        return
    with pytest.raises(ProblemError) as raised:
        access.with_inbox(CALLERS[who])
    assert raised.value.problem.status == 403
