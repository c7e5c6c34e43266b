"""How long it takes until a message can be read, and until a mail about it is accepted."""

import asyncio
import math
import secrets
import time
from collections.abc import Sequence
from functools import partial

from deploy.local.demo_api import CaughtMails, Json, ParleyApi, poll
from deploy.local.shop import ShopOrder

SAMPLES = 50
# A pause between two samples, so that each meets an idle stack.
PAUSE_S = 0.05
MAIL_PATIENCE_S = 20.0


async def time_to_readable(api: ParleyApi, order: ShopOrder) -> list[float]:
    """Seconds from sending a customer's POST until the history has the message, for each of the samples."""
    token, taken = api.customer_of(order), []
    for number in range(SAMPLES):
        started = time.perf_counter()
        posted = await api.post_message(token, order.order_id, f"Timing message {number + 1} of {SAMPLES}.")
        await poll(partial(_find, api, token, posted), timeout_s=10, what="the message in the history")
        taken.append(time.perf_counter() - started)
        await asyncio.sleep(PAUSE_S)
    return taken


async def time_to_mail(
    api: ParleyApi, mails: CaughtMails, orders: Sequence[ShopOrder], *, mail_delay_s: float
) -> list[float]:
    """Seconds from sending an answer's POST until the SMTP server has accepted the mail about it, MAIL_DELAY included.

    Mails about one order to one person are gathered, so each sample of a round is about another order.
    """
    taken: list[float] = []
    while len(taken) < SAMPLES:
        part = orders[: SAMPLES - len(taken)]
        taken += await _round(api, mails, part, mail_delay_s=mail_delay_s)
    return taken


async def _round(
    api: ParleyApi, mails: CaughtMails, orders: Sequence[ShopOrder], *, mail_delay_s: float
) -> list[float]:
    sent_at: dict[str, float] = {}
    for order in orders:
        mark = f"timing-{secrets.token_hex(8)}"
        sent_at[mark] = time.time()
        await api.post_message(api.answers(order), order.order_id, f"A note about your order ({mark}).")
        await asyncio.sleep(PAUSE_S)
    taken: list[float] = []
    for mark, started in sent_at.items():
        patience_s = mail_delay_s + MAIL_PATIENCE_S
        found = await poll(partial(mails.holding, mark), timeout_s=patience_s, every_s=0.1, what="the mail")
        taken.append(found[0].received_at - started)
    return taken


async def _find(api: ParleyApi, token: str, posted: Json) -> Json | None:
    history = await api.history(token, str(posted["order_id"]), after_seq=int(posted["seq"]) - 1)
    return next((message for message in history if message["id"] == posted["id"]), None)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def in_ms(values: Sequence[float]) -> str:
    """`p50 8.1 ms, p99 19.5 ms (50 samples)`"""
    p50, p99 = (percentile(values, share) * 1000 for share in (0.5, 0.99))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms ({len(values)} samples)"
