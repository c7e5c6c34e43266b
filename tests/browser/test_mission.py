"""The whole mission in two browsers: a customer and a seller, live, without a reload; and what a reload keeps."""

import re

from playwright.async_api import Page, expect

from tests.browser.front import Front


async def write(page: Page, text: str) -> None:
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Control+Enter")


async def test_a_customer_and_a_seller_talk_about_an_order_and_a_dispute_without_any_reload(front: Front) -> None:
    order = await front.order(customer="c-mission", seller="s-mission")
    customer = (await front.visit(front.parley.customer("c-mission", "Ada Byron"))).page
    seller = (await front.visit(front.parley.seller("s-mission", name="Tea House"))).page
    await expect(seller.get_by_text("No conversations yet.")).to_be_visible()

    await customer.get_by_role("link", name=f"Contact seller, Order {order}").click()
    await write(customer, "When will it arrive?")
    await expect(customer.locator(".own-side .state.stored")).to_have_count(1)

    await expect(seller).to_have_title(re.compile(r"^\(1\) "))
    row = seller.get_by_role("link", name="Ada Byron")
    await expect(row).to_contain_text("1 new")
    await row.click()
    await expect(seller.locator(".other-side .bubble")).to_have_text("When will it arrive?")
    await expect(seller.get_by_text("New messages", exact=True)).to_be_visible()
    await expect(seller).to_have_title(re.compile(r"^Order "))
    await write(seller, "It left our house this morning.")

    await expect(customer.locator(".other-side .bubble")).to_have_text("It left our house this morning.")
    await customer.get_by_role("button", name="Report a problem").click()
    await customer.get_by_role("button", name="Open a dispute").click()
    dialog = customer.get_by_role("dialog", name="Open a dispute")
    await dialog.get_by_label("Damaged").check()
    await dialog.get_by_label("What happened?").fill("The pot came broken.")
    await dialog.get_by_role("button", name="Open dispute").click()

    for page in (customer, seller):
        await expect(page.locator(".banner.dispute")).to_contain_text("Dispute open: Damaged Opened by Ada Byron")
        await expect(page.locator(".step.dispute_opened")).to_contain_text("The pot came broken.")
    await expect(row).to_contain_text("In dispute")
    await expect(seller.get_by_role("button", name="Close dispute")).to_have_count(0)

    await customer.get_by_role("button", name="Close dispute").click()
    dialog = customer.get_by_role("dialog", name="Close the dispute")
    await dialog.get_by_label("I got a replacement").check()
    await dialog.get_by_label("Note").fill("A new one came.")
    await dialog.get_by_role("button", name="Close dispute").click()
    for page in (customer, seller):
        await expect(page.locator(".banner.dispute")).to_have_count(0)
        await expect(page.locator(".step.dispute_closed")).to_contain_text("Ada Byron closed the dispute: Replaced")
    await expect(row).not_to_contain_text("In dispute")

    await customer.reload()
    await expect(customer.locator(".entry")).to_have_count(4)
    assert await customer.locator(".bubble").all_inner_texts() == [
        "When will it arrive?",
        "It left our house this morning.",
    ]


async def test_a_dispute_closed_without_a_note_is_heard_live(front: Front) -> None:
    order = await front.order(customer="c-note", seller="s-note")
    token = front.parley.customer("c-note")
    await front.ask("POST", f"/v1/orders/{order}/dispute", token, {"reason": "damaged", "text": "Broken."})
    seller = (await front.visit(front.parley.seller("s-note"), f"desk/{order}")).page
    await expect(seller.get_by_text("Connected")).to_be_visible()
    await expect(seller.locator(".banner.dispute")).to_be_visible()

    await front.ask("POST", f"/v1/orders/{order}/dispute/close", token, {"outcome": "refunded"})
    await expect(seller.locator(".step.dispute_closed")).to_contain_text("Refunded")
    await expect(seller.locator(".banner.dispute")).to_have_count(0)
    await expect(seller.get_by_text("Connected")).to_be_visible()


async def test_looking_at_a_list_reads_nothing_and_looking_at_the_messages_does(front: Front) -> None:
    order = await front.order(customer="c-reads", seller="s-reads")
    await front.post(front.parley.seller("s-reads"), order, "Your parcel is ready.")
    token = front.parley.customer("c-reads")
    page = (await front.visit(token)).page

    link = page.get_by_role("link", name=f"1 new message, Order {order}")
    await expect(link).to_be_visible()
    await page.get_by_role("link", name="Messages 1").click()
    await expect(page.get_by_text("Your parcel is ready.")).to_be_visible()
    _, me = await front.ask("GET", "/v1/me", token)
    assert me["unread"]["messages"] == 1

    await page.get_by_role("link", name="Tea House").click()
    await expect(page.locator(".separator.new")).to_be_visible()
    await expect(page).to_have_title(re.compile(r"^Order "))
    _, me = await front.ask("GET", "/v1/me", token)
    assert me["unread"]["messages"] == 0


async def test_a_seller_marks_conversations_read_and_unread(front: Front) -> None:
    orders = [
        await front.order(customer=f"c-marks-{each}", seller="s-marks", customer_name=f"C{each}") for each in "ab"
    ]
    for order, name in zip(orders, "ab", strict=True):
        await front.post(front.parley.customer(f"c-marks-{name}", f"C{name}"), order, "Hello?")
    token = front.parley.seller("s-marks")
    page = (await front.visit(token)).page

    for order in orders:
        await page.get_by_label(f"Select order {order}").check()
    await expect(page.get_by_text("2 selected")).to_be_visible()
    await page.get_by_role("button", name="Mark read").click()
    await expect(page.locator(".thread-row.unread")).to_have_count(0)

    await page.get_by_role("link", name="Ca").click()
    await page.get_by_role("button", name="Mark unread").click()
    await expect(page.locator(".thread-row.unread")).to_have_count(1)
    await expect(page.get_by_text("Choose a conversation.")).to_be_visible()
    await expect(page).to_have_title(re.compile(r"^\(1\) "))


async def test_an_admin_watches_a_thread_and_takes_a_text_out(front: Front) -> None:
    order = await front.order(customer="c-admin", seller="s-admin", customer_name="Zoe Admined")
    await front.post(front.parley.customer("c-admin", "Zoe Admined"), order, "My card is 4111 1111 1111 1111.")
    admin = (await front.visit(front.admin_with_address(), f"desk/{order}")).page
    customer = (await front.visit(front.parley.customer("c-admin"), f"orders/{order}")).page
    await expect(customer.locator(".bubble")).to_have_text("My card is 4111 1111 1111 1111.")

    await admin.get_by_role("button", name="Watch", exact=True).click()
    await expect(admin.get_by_role("button", name="Watching")).to_have_attribute("aria-pressed", "true")
    await admin.get_by_role("button", name="Remove text").click()
    await admin.get_by_role("dialog").get_by_role("button", name="Remove text").click()

    for page in (admin, customer):
        await expect(page.locator(".bubble")).to_have_text("This text was removed by the shop.")
    await expect(admin.locator(".bubble")).to_be_visible()


async def test_search_and_filters_find_conversations(front: Front) -> None:
    first = await front.order(customer="c-finds", seller="s-finds-1", seller_name="Paper House")
    second = await front.order(customer="c-finds", seller="s-finds-2", seller_name="Lamp House")
    token = front.parley.customer("c-finds")
    await front.post(token, first, "Is the notebook lined?")
    await front.post(token, second, "Is the lamp dimmable?")
    page = (await front.visit(token, "messages")).page
    await expect(page.locator(".thread-row")).to_have_count(2)

    await page.get_by_role("searchbox").fill("dimmable")
    await expect(page.locator(".thread-row")).to_have_count(1)
    await expect(page.locator(".thread-row")).to_contain_text("Lamp House")
    await page.get_by_role("searchbox").fill("nothing like it")
    await expect(page.get_by_text("Nothing found here.")).to_be_visible()
    await page.get_by_role("searchbox").fill("")
    await page.get_by_role("link", name="In dispute").click()
    await expect(page.get_by_text("Nothing found here.")).to_be_visible()


async def test_a_guest_reads_and_writes_with_the_link_of_the_mail(front: Front) -> None:
    order = await front.order(
        customer="c-guest", seller="s-guest", customer_name="Gil Guest", customer_more={"guest": True}
    )
    known = len(front.parley.smtp.mails)
    await front.post(front.parley.seller("s-guest", name="Tea House"), order, "Where shall we leave the parcel?")
    mails = await front.parley.smtp.wait_for(known + 1)
    mail = next(each for each in mails if each.recipients == ("c-guest@example.com",))
    body = mail.message.get_body(("plain",))
    assert body is not None
    link = re.search(rf"{front.parley.gateway_url}/pages/\S+", body.get_content())
    assert link is not None

    visit = await front.visit()
    await visit.page.goto(link[0])
    await expect(visit.page.locator(".bubble")).to_have_text("Where shall we leave the parcel?")
    assert "#" not in visit.page.url
    await write(visit.page, "With the neighbours, please.")
    await expect(visit.page.locator(".state.stored")).to_have_count(1)
    await visit.page.reload()
    await expect(visit.page.locator(".bubble")).to_have_count(2)


async def test_another_persons_order_looks_like_none(front: Front) -> None:
    order = await front.order(customer="c-owner", seller="s-owner")
    page = (await front.visit(front.parley.customer("c-stranger"), f"orders/{order}")).page

    await expect(page.get_by_text("There is no such order here.")).to_be_visible()
    await expect(page.get_by_label("Your message")).to_be_hidden()


async def test_the_pages_speak_the_browsers_language_and_can_be_switched(front: Front) -> None:
    order = await front.order(customer="c-speaks", seller="s-speaks")
    page = (await front.visit(front.parley.customer("c-speaks"), locale="de-DE")).page

    await expect(page.get_by_role("heading", name="Bestellungen")).to_be_visible()
    await expect(page.locator(".order-row")).to_contain_text("72,00\u00a0€")
    await page.get_by_label("Sprache").select_option("es")
    await expect(page.get_by_role("heading", name="Pedidos")).to_be_visible()
    await expect(page.locator("html")).to_have_attribute("lang", "es")
    await page.get_by_role("link", name=f"Contactar al vendedor, Pedido {order}").click()
    await expect(page.get_by_label("Su mensaje")).to_be_visible()


async def test_mail_settings_are_kept(front: Front) -> None:
    await front.order(customer="c-mails", seller="s-mails")
    token = front.parley.customer("c-mails")
    page = (await front.visit(token)).page

    await page.get_by_role("button", name="E-mail settings").click()
    await page.get_by_label("New messages").uncheck()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    _, preferences = await front.ask("GET", "/v1/me/preferences", token)
    assert preferences["mails"] == {"messages": False, "disputes": True}


async def test_signing_out_forgets_the_token_and_shows_nothing_more(front: Front) -> None:
    await front.order(customer="c-out", seller="s-out")
    page = (await front.visit(front.parley.customer("c-out"))).page

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible()
    assert await page.evaluate("sessionStorage.length") == 0
