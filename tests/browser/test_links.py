"""Addresses in messages are links, the punctuation around them and other schemes are not."""

from playwright.async_api import expect

from tests.browser.front import Front

WRITTEN = (
    "It is on its way (https://tracking.example/RM441288301GB). See http://shop.example/a_(b)?q=1&r=%20#top, "
    "„https://de.example/ü“, HTTPS://UP.example/A!\njavascript:alert(1) data:text/html,x ftp://old.example/f "
    "mailto:a@b.example //nobody.example www.nobody.example https:// https://bank.example@evil.example/"
)
LINKS = [
    "https://tracking.example/RM441288301GB",
    "http://shop.example/a_(b)?q=1&r=%20#top",
    "https://de.example/ü",
    "HTTPS://UP.example/A",
]


async def test_an_address_in_a_message_is_a_link(front: Front) -> None:
    order = await front.order(customer="c-links", seller="s-links")
    await front.post(front.parley.seller("s-links"), order, WRITTEN)

    page = (await front.visit(front.parley.customer("c-links"), f"orders/{order}")).page

    bubble = page.locator(".bubble")
    await expect(bubble.locator("a")).to_have_text(LINKS)
    assert await bubble.evaluate("bubble => bubble.textContent") == WRITTEN
    for link in await bubble.locator("a").all():
        assert await link.get_attribute("rel") == "noopener nofollow ugc"
        assert await link.get_attribute("target") == "_blank"
        assert await link.evaluate("link => link.protocol") in ("http:", "https:")


async def test_an_address_in_a_dispute_s_words_is_a_link(front: Front) -> None:
    order = await front.order(customer="c-links", seller="s-links")
    customer = front.parley.customer("c-links")
    opened = {"reason": "damaged", "text": "Photos: https://photos.example/1."}
    status, said = await front.ask("POST", f"/v1/orders/{order}/dispute", customer, opened)
    assert status == 201, said

    page = (await front.visit(customer, f"orders/{order}")).page

    await expect(page.locator(".step-text a")).to_have_attribute("href", "https://photos.example/1")
