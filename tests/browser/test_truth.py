"""What rows, marks and the order's card say is so: who spoke, what was seen by whom, what is new, what things cost."""

import re

from playwright.async_api import expect

from tests.browser.front import Front


async def unread(front: Front, token: str) -> int:
    _, me = await front.ask("GET", "/v1/me", token)
    return int(me["unread"]["messages"])


async def test_ten_quick_answers_leave_nothing_unread(front: Front) -> None:
    order = await front.order(customer="c-quick", seller="s-quick")
    customer, seller = front.parley.customer("c-quick"), front.parley.seller("s-quick")
    page = (await front.visit(seller, f"desk/{order}")).page
    await expect(page.get_by_text("Connected")).to_be_visible()
    box = page.get_by_label("Your message")
    for number in range(10):
        await front.post(customer, order, f"Question {number}?")
        await expect(page.locator(".other-side .bubble")).to_have_count(number + 1)
        await box.fill(f"Answer {number}.")
        await box.press("Control+Enter")
        await expect(page.locator(".own-side .state.stored")).to_have_count(number + 1)
    await page.close()
    assert await unread(front, seller) == 0
    history = await front.history(seller, order)
    assert [message["text"] for message in history[:2]] == ["Question 0?", "Answer 0."]
    assert len(history) == 20


async def test_an_answer_reads_no_more_than_what_was_on_the_screen(front: Front) -> None:
    order = await front.order(customer="c-above", seller="s-above")
    customer, seller = front.parley.customer("c-above"), front.parley.seller("s-above")
    for number in range(25):
        await front.post(customer, order, f"Line {number}")
    await front.ask("PUT", f"/v1/orders/{order}/read", seller, {"up_to_seq": 25})
    page = (await front.visit(seller, f"desk/{order}")).page
    await expect(page.get_by_text("Connected")).to_be_visible()
    newest = page.locator(".bubble").get_by_text("Line 24")
    await expect(newest).to_be_in_viewport()
    await page.locator(".history").evaluate("each => each.scrollTo(0, 0)")
    await expect(newest).not_to_be_in_viewport()
    await front.post(customer, order, "And another thing.")
    await expect(page.locator(".jump")).to_have_text("1 new")
    await page.get_by_label("Your message").fill("It left on Monday.")
    async with page.expect_request(lambda request: request.method == "POST" and "/messages" in request.url) as sent:
        await page.keyboard.press("Control+Enter")
    assert (await sent.value).post_data_json == {"text": "It left on Monday.", "seen_seq": 25}


async def test_you_is_the_person_alone_and_others_are_named(front: Front) -> None:
    order = await front.order(
        customer="c-named", seller="s-named", seller_name="Brook & Birch Home", customer_name="Nora Named"
    )
    customer = front.parley.customer("c-named", "Nora Named")
    anna = front.parley.seller("s-named", login="anna", name="Anna")
    ben = front.parley.seller("s-named", login="ben", name="Ben")
    await front.post(customer, order, "Is it oak?")
    await front.post(anna, order, "It is beech.")

    for token, path, said in (
        (ben, "desk", "Anna: It is beech."),
        (anna, "desk", "You: It is beech."),
        (customer, "messages", "Anna: It is beech."),
        (front.parley.admin(), "desk?q=Nora", "Anna · Brook & Birch Home: It is beech."),
    ):
        page = (await front.visit(token, path)).page
        await expect(page.locator(".thread-row-excerpt").first).to_have_text(said)

    page = (await front.visit(customer, f"orders/{order}")).page
    await expect(page.locator(".byline")).to_have_text("Anna · Brook & Birch Home")
    await front.post(front.parley.admin(name="Zoe"), order, "We have asked the seller.")
    await expect(page.locator(".by-shop .byline")).to_have_text("Zoe · Shop staff")
    page = (await front.visit(ben)).page
    await expect(page.locator(".thread-row-excerpt")).to_have_text("Zoe · Shop staff: We have asked the seller.")


async def test_each_name_in_a_row_of_the_shops_stands_by_itself_with_its_role(front: Front) -> None:
    order = await front.order(
        customer="c-bidi", seller="s-bidi", seller_name="Brook & Birch Home", customer_name="نورة القحطاني"
    )
    await front.post(front.parley.customer("c-bidi", "نورة القحطاني"), order, "أين طلبي؟")
    page = (await front.visit(front.parley.admin(), f"desk/{order}")).page
    for where in (page.locator(".thread-row.open .names"), page.locator(".conversation-head .title")):
        parties = where.locator(".party")
        await expect(parties).to_have_text(["نورة القحطاني Customer", re.compile("Brook & Birch Home Seller")])
        assert await parties.locator("bdi").all_inner_texts() == ["نورة القحطاني", "Brook & Birch Home"]


async def test_one_tick_is_stored_and_two_are_seen_by_the_other_side(front: Front) -> None:
    order = await front.order(customer="c-ticks", seller="s-ticks")
    customer, seller = front.parley.customer("c-ticks"), front.parley.seller("s-ticks")
    page = (await front.visit(customer, f"orders/{order}")).page
    await expect(page.get_by_text("Connected")).to_be_visible()
    await page.get_by_label("Your message").fill("Hello?")
    await page.keyboard.press("Control+Enter")
    tick = page.locator(".own-side .state.stored")
    await expect(tick).to_have_text("Sent")

    reader = (await front.visit(seller, f"desk/{order}")).page
    await expect(reader.locator(".other-side .bubble")).to_have_text("Hello?")
    await expect(tick).to_have_text("Seen")
    await page.reload()
    await expect(tick).to_have_text("Seen")

    await reader.get_by_role("button", name="Mark unread").click()
    await expect(reader.get_by_text("Choose a conversation.")).to_be_visible()
    await expect(tick).to_have_text("Seen")
    await page.reload()
    await expect(tick).to_have_text("Seen")


async def test_staff_beside_a_seller_see_who_has_seen_their_message_and_show_nothing(front: Front) -> None:
    order = await front.order(customer="c-staffed", seller="s-staffed")
    customer, seller, admin = front.parley.customer("c-staffed"), front.parley.seller("s-staffed"), front.parley.admin()
    await front.post(customer, order, "Who helps me?")
    page = (await front.visit(admin, f"desk/{order}")).page
    await expect(page.get_by_text("Connected")).to_be_visible()
    await front.post(admin, order, "We do.")
    tick = page.locator(".own-side .state.stored")
    await expect(tick).to_have_text("Sent")
    await front.ask("PUT", f"/v1/orders/{order}/read", customer, {"up_to_seq": 2})
    await front.ask("PUT", f"/v1/orders/{order}/read", seller, {"up_to_seq": 2})
    await expect(tick).to_have_text("Seen")
    _, view = await front.ask("GET", f"/v1/orders/{order}", customer)
    assert view["thread"]["seen_by"] == {"customer": None, "seller": 2, "shop": None}


async def test_open_disputes_stand_beside_the_badge(front: Front) -> None:
    order = await front.order(customer="c-badge", seller="s-badge")
    page = (await front.visit(front.parley.seller("s-badge"))).page
    await expect(page.get_by_text("Connected")).to_be_visible()
    await expect(page.locator(".disputes")).to_have_count(0)
    await front.ask(
        "POST",
        f"/v1/orders/{order}/dispute",
        front.parley.customer("c-badge"),
        {"reason": "damaged", "text": "Broken."},
    )
    link = page.get_by_role("link", name="1 open dispute")
    await expect(link).to_be_visible()
    await link.click()
    await expect(page.locator(".thread-row")).to_have_count(1)
    await expect(page.get_by_role("link", name="In dispute", exact=True)).to_have_attribute("aria-current", "true")
    admin = (await front.visit(front.parley.admin())).page
    await expect(admin.get_by_role("link", name=re.compile(r"^\d+ open disputes?$"))).to_be_visible()


async def test_the_card_says_what_each_line_comes_to_and_that_items_do_not_add_up(front: Front) -> None:
    items = [
        {"sku": "m", "name": "Mug", "quantity": 4, "price": "129.00"},
        {"sku": "t", "name": "Tray", "quantity": 1, "price": "0.105"},
    ]
    more = {"items": items, "currency": "GBP", "status": "on_hold_by_fraud_team"}
    odd = await front.order(customer="c-sums", seller="s-sums", total="520.00", **more)
    even = await front.order(customer="c-sums", seller="s-sums", total="516.105", **more)
    token = front.parley.customer("c-sums")
    page = (await front.visit(token, f"orders/{odd}")).page
    await expect(page.locator(".items li")).to_have_text(
        [re.compile(r"4 ×\s*Mug\s*£129.00 each\s*£516.00"), re.compile(r"1 ×\s*Tray\s*£0.105")]
    )
    await expect(page.locator(".total")).to_contain_text("£520.00")
    await expect(page.locator(".total-note")).to_contain_text("The items come to £516.105.")
    await expect(page.locator(".facts .chips")).to_have_text("Other status")
    await expect(page.locator("body")).not_to_contain_text("fraud")

    await page.goto(front.address(f"orders/{even}"))
    await expect(page.locator(".total")).to_be_visible()
    await expect(page.locator(".total-note")).to_have_count(0)
    await page.goto(front.address("orders"))
    await expect(page.locator(".order-row .chip").first).to_have_text("Other status")
    seller = (await front.visit(front.parley.seller("s-sums"), f"desk/{odd}")).page
    await expect(seller.locator(".facts .chips")).to_have_text("on hold by fraud team")


async def test_a_search_shows_why_says_how_many_and_can_be_ended(front: Front) -> None:
    hostile = 'The <img src=x onerror="alert(1)"> tracking number is RM441288301GB.'
    first = await front.order(customer="c-seek", seller="s-seek", customer_name="Sue Seeker")
    second = await front.order(customer="c-seek", seller="s-seek", customer_name="Sue Seeker")
    customer, seller = front.parley.customer("c-seek", "Sue Seeker"), front.parley.seller("s-seek", name="Tea House")
    await front.post(seller, first, hostile)
    await front.post(customer, first, "Thank you!")
    await front.post(customer, second, "Any news?")
    for token, path, speaker in ((seller, "desk", "You: "), (customer, "messages", "")):
        page = (await front.visit(token, path)).page
        await expect(page.locator(".thread-row")).to_have_count(2)
        box = page.get_by_role("searchbox")
        await box.fill("TRACK")
        row = page.locator(".thread-row")
        await expect(row).to_have_count(1)
        await expect(row.locator(".thread-row-excerpt")).to_have_text(f"{speaker}{hostile}")
        await expect(row.locator("mark")).to_have_text("track")
        await expect(page.get_by_role("status").filter(has_text="1 found")).to_be_visible()
        await box.fill("nothing like it")
        await expect(page.get_by_role("status").filter(has_text="0 found")).to_be_visible()
        await page.get_by_role("button", name="Clear search").click()
        await expect(row).to_have_count(2)
        await expect(box).to_have_value("")
        await expect(box).to_be_focused()
        await expect(page.locator("mark")).to_have_count(0)
        assert "q=" not in page.url


async def test_everything_is_marked_read_and_all_that_is_shown_unread_again(front: Front) -> None:
    seller = front.parley.seller("s-bulk")
    for number in range(3):
        order = await front.order(customer=f"c-bulk-{number}", seller="s-bulk", customer_name=f"Cim {number}")
        await front.post(front.parley.customer(f"c-bulk-{number}", f"Cim {number}"), order, "Hello?")
    page = (await front.visit(seller)).page
    await expect(page.locator(".thread-row.unread")).to_have_count(3)
    await page.get_by_role("button", name="Mark all read").click()
    await expect(page.get_by_text("Everything in this inbox is marked read.")).to_be_visible()
    await expect(page.locator(".thread-row.unread")).to_have_count(0)
    assert await unread(front, seller) == 0
    await page.get_by_role("button", name="Select all shown").click()
    await expect(page.get_by_text("3 selected")).to_be_visible()
    await page.get_by_role("button", name="Mark unread").click()
    await expect(page.locator(".thread-row.unread")).to_have_count(3)
    assert await unread(front, seller) == 3
