"""The pages behind a mail's link, as HTML: they need no script, nothing from elsewhere, and none of the shop's own pages."""

import base64
import hashlib
import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from services.gateway.unsubscribe_words import WORDS, Words

STYLE: Final = """
:root { color-scheme: light dark; --ground: #f4f5f8; --surface: #fff; --text: #18202e; --faint: #566074; --line: #dde2ea;
  --control-line: #8792a6; --accent: #2f56c6; --on-accent: #fff }
@media (prefers-color-scheme: dark) { :root { --ground: #11151c; --surface: #1a202a; --text: #e7ebf2; --faint: #a4afc1;
  --line: #2e3848; --control-line: #66738a; --accent: #93b1ff; --on-accent: #0e1730 } }
* { box-sizing: border-box }
body { margin: 0; min-block-size: 100dvh; display: grid; place-items: center; padding: 1rem; background: var(--ground);
  color: var(--text); overflow-wrap: anywhere;
  font: 400 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif }
main { inline-size: min(30rem, 100%); padding: clamp(1.25rem, 5vw, 2.25rem); background: var(--surface);
  border: 1px solid var(--line); border-radius: .9rem }
.shop { margin: 0 0 .35rem; color: var(--faint); font-size: .9rem; font-weight: 600 }
h1 { margin: 0 0 1rem; font-size: 1.35rem; line-height: 1.35 }
p { margin: 0 0 1rem } form { display: grid; gap: .75rem; margin: 1.25rem 0 } .hint { margin: 0; color: var(--faint); font-size: .9rem }
button { min-block-size: 2.75rem; padding: .5rem 1rem; border: 1px solid var(--control-line); border-radius: .6rem; cursor: pointer;
  background: var(--surface); color: var(--text); font: inherit; font-weight: 600 }
button.first { border-color: var(--accent); background: var(--accent); color: var(--on-accent) }
button:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
"""
STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@dataclass(frozen=True, slots=True)
class Link:
    """A mail's link as it was followed: its token, the order that the mail was about, and the page's language."""

    token: str
    order_id: str | None
    language: str

    def query(self, **more: str) -> str:
        """The link again, relative to itself: a proxy may have put any prefix before it."""
        about = {"order": self.order_id} if self.order_id is not None else {}
        return f"?{urlencode({'token': self.token, **about, 'lang': self.language, **more}, quote_via=quote)}"


class UnsubscribePages:
    """Makes each of them; `shop` is what the shop is called."""

    def __init__(self, shop: str) -> None:
        self._shop = shop

    def ask(self, link: Link) -> str:
        """Which mails are to end: about this order, where the link says which, or about all."""
        words, buttons = WORDS[link.language], list[str]()
        if link.order_id is not None:
            only = words.this_order.format(order=link.order_id)
            buttons.append(_button(only, 'name="scope" value="thread" class="first"'))
        buttons.append(_button(words.all_orders, 'name="scope" value="person"'))
        return self._page(link.language, words.ask, [_form(link.query(), *buttons), _hint(words.leave)])

    def ended(self, link: Link, *, order_id: str | None, stamp: str) -> str:
        """What was switched off, and how to take that back."""
        words = WORDS[link.language]
        said = words.ended_all if order_id is None else words.ended_order.format(order=order_id)
        scope = {} if order_id is None else {"scope": "thread"}
        form = _form(link.query(**scope, undo=stamp), _button(words.undo))
        return self._page(link.language, said, [form, _hint(words.again)])

    def as_before(self, link: Link) -> str:
        words = WORDS[link.language]
        return self._page(link.language, words.as_before, [_hint(words.again)])

    def refused(self, language: str, *, status: int) -> str:
        """A link that is broken or has ended (4xx), or what could not be done now (429, 5xx)."""
        words = WORDS[language]
        if status == 429 or status >= 500:
            return self._page(language, words.not_now, [_hint(words.try_later)])
        return self._page(language, words.no_such_link, [_hint(words.newest_mail)])

    def _page(self, language: str, heading: str, content: Iterable[str]) -> str:
        words: Words = WORDS[language]
        title = _text(words.title.format(shop=self._shop))
        return (
            f'<!doctype html><html lang="{language}" dir="ltr"><head><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
            f'<style>{STYLE}</style></head><body><main><p class="shop"><bdi>{_text(self._shop)}</bdi></p>'
            f"<h1>{_text(heading)}</h1>{''.join(content)}</main></body></html>"
        )


def _form(action: str, *buttons: str) -> str:
    return f'<form method="post" action="{_text(action)}">{"".join(buttons)}</form>'


def _button(words: str, attributes: str = 'class="first"') -> str:
    return f"<button {attributes}>{_text(words)}</button>"


def _hint(words: str) -> str:
    return f'<p class="hint">{_text(words)}</p>'


def _text(value: str) -> str:
    return html.escape(value)
