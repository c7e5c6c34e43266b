"""Pages and services have one rule for what shows nothing, and it is that of Unicode."""

from playwright.async_api import Page, Route

from services.gateway.page_files import DIRECTORY
from shared.visible import shows
from tests.browser.front import Front

LAST = 0x10FFFF
# Half a character cannot be sent: the pages put U+FFFD in its place, and the API refuses it.
HALVES = range(0xD800, 0xE000)
BY_THE_WRITE_BOX = """async () => {
  const { judge } = await import("/pages/sources/write_box.js");
  const unseen = [];
  for (let each = 0; each <= 0x10ffff; each += 1) if (judge(String.fromCodePoint(each)) === "empty") unseen.push(each);
  return unseen;
}"""
BY_THEIR_PROPERTIES = r"""() => {
  const blank = /[\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Cc}\u{2800}\u{fff9}-\u{fffb}\u{1d159}]/u;
  const unseen = [];
  for (let each = 0; each <= 0x10ffff; each += 1) if (blank.test(String.fromCodePoint(each))) unseen.push(each);
  return unseen;
}"""


async def _source(route: Route) -> None:
    """A module as it is before `make pages` puts all of them into one file."""
    await route.fulfill(path=DIRECTORY / route.request.url.rpartition("/")[2])


async def _page(front: Front) -> Page:
    return (await front.visit(front.parley.customer("c-unseen"), "orders")).page


async def test_pages_and_services_agree_on_every_code_point(front: Front) -> None:
    page = await _page(front)
    await page.route("**/pages/sources/*", _source)

    by_the_pages = await page.evaluate(BY_THE_WRITE_BOX)

    by_the_services = [each for each in range(LAST + 1) if each not in HALVES and not shows(chr(each))]
    assert by_the_pages == by_the_services
    assert len(by_the_pages) > 4_000


async def test_the_table_is_what_the_properties_say(front: Front) -> None:
    by_properties = await (await _page(front)).evaluate(BY_THEIR_PROPERTIES)

    assert by_properties == [each for each in range(LAST + 1) if not shows(chr(each))]
