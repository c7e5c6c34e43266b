"""Thousands of display names × addresses, written by the notifier and read by others: `python -m tests.mails.names`.

Imports the standard library, `idna` and what writes headers, so that any CPython can run it. Each mail is read by three readers: the
notifier's own check; the old interface of the e-mail package; and its new one, which on some patch levels puts a blank between two
encoded words of a name (python/cpython#128110) and is held to the name but for white space (and, being slow, to every ninth).
"""

import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from email import message_from_string, policy
from email.header import decode_header, make_header
from email.utils import getaddresses
from typing import Final

from services.notifier.headers import Mailbox, mailbox
from services.notifier.message import compose

SEED: Final = 4711
NAMES: Final = 10_000
LONGEST: Final = 200
NEW_INTERFACE_EVERY: Final = 9

ASCII_ADDRESSES: Final = (
    "mara@example.com",
    "a..b@carrier.example",
    ".a.@carrier.example",
    '"a b, <c@d>"@example.com',
    r'"say \"hi\""@example.com',
    "kunde@straße.example",
    "o'neil+shop@x.example",
    f"{'l' * 64}@{'d' * 60}.example",
)
UTF8_ADDRESSES: Final = ("zoë@example.com", "pelé..@bücher.example", "用户@例子.example", '"é <ß@x>"@βόλος.example')

# What was tried on a running stack, and what tempts a reader.
HOSTILE: Final = (
    "=?utf-8?b?Y2VvQGJhbmsuZXhhbXBsZSw=?= x",
    "ceo@bank.example, " + "x" * 80,
    "Müller, Zoë Katharina von Hohenstein und zu Waldburg-Wolfegg-Waldsee, geb. Schmidt",
    "=?utf-8?q?Bank_Support?=",
    "=?utf-8?q?=0D=0ABcc:_evil@x.example?=",
    "=?utf-8?q?=0D=0ASubject:_Refund=0D=0AContent-Type:_text/html=0D=0A=0D=0A<h1>Confirm</h1><!--?=",
    'Brook & Birch Home, Garden and All That Grows There Limited Liability Company, "Inc"',
    "Doe, Jane, victim@evil.example",
    '"x" <evil@x.example>',
    'a;b:c@d\\e"f',
    "(comment) undisclosed-recipients:;",
    "\\",
    '"',
    "<>",
    ",",
    "=?",
    "?=",
    "=?utf-8?q?",
    "=?utf-8?b??=",
    "=?utf-8?q?a?==?utf-8?q?b?=",
    "\u202eelpmaxe \u2066x\u2069",
    "\u200b",
    "e\u0301" * 60,
    "👨‍👩‍👧‍👦" * 20,
    "ą, victim@evil.example, " * 8,
    "A" * 60 + ", " + "é" * 60 + ", " + "B" * 60,
    "x" * LONGEST,
    "ü" * LONGEST,
    "😀" * LONGEST,
    '\\"' * (LONGEST // 2),
)
PIECES: Final = (
    *[
        ",",
        ".",
        ";",
        ":",
        "@",
        "<",
        ">",
        "(",
        ")",
        "[",
        "]",
        '"',
        "'",
        "\\",
        "/",
        "=",
        "?",
        "_",
        "-",
        "+",
        "*",
        "&",
        "%",
        "$",
        "#",
        "!",
        "|",
        "~",
        "^",
        "`",
        "{",
        "}",
    ],
    *[
        "=?utf-8?q?=0D=0A?=",
        "=?utf-8?b?DQpCY2M6?=",
        "=?iso-8859-1?q?=41?=",
        "=?x",
        "?=",
        "a@b.example",
        "<c@d.example>",
        "Bcc:",
        "To:",
    ],
    *[
        "Ada",
        "Müller",
        "Zoë",
        "Łukasz",
        "Ἀθηνᾶ",
        "Иван",
        "שרה",
        "محمد",
        "अनिल",
        "ニャン",
        "李雷",
        "김철수",
        "😀",
        "👩\u200d🔧",
        "é",
        "ﬁ",
        "ß",
        "\xa0",
        "\u200b",
        "\u200f",
        "\u202e",
        "\u2066",
        "\ufeff",
    ],
)


def names(count: int, seed: int = SEED) -> Iterator[str]:
    """So many names of 1 to 200 characters, in one line and without blanks at their ends, as `cleaning.one_line` leaves them."""
    yield from (name.strip() for name in HOSTILE)
    chance = random.Random(seed)  # noqa: S311 - chance, not a secret
    for _ in range(count - len(HOSTILE)):
        yield _name(chance)


def _name(chance: random.Random) -> str:
    length, glue = chance.choice((1, 5, 20, 40, 75, 80, 120, LONGEST)), chance.choice(("", " ", " "))
    plain = chance.choice((True, False, False))
    name = ""
    while len(name) < length:
        if plain and chance.random() < 0.7:
            piece = "".join(chance.choice("abcdefghijklmnopqrstuvwxyzABC  ,.@") for _ in range(chance.randint(1, 12)))
        else:
            piece = chance.choice(PIECES)
        name += piece + glue
    return " ".join(name.split(" "))[: chance.randint(1, length)].strip(" ") or "x"


def trouble(box: Mailbox, *, read_thrice: bool = True) -> str | None:
    """What is wrong with a mail to this mailbox; None where nothing is. `compose` has run the notifier's own check."""
    content = compose([("From", Mailbox("The Shop", "shop@x.example")), ("To", box)], text="", html="", boundary="=_")
    head = content.partition(b"\r\n\r\n")[0].decode()
    message = message_from_string(head + "\r\n\r\n")
    if message.keys() != ["From", "To", "MIME-Version", "Content-Type"] or re.search(r"\r(?!\n)|(?<!\r)\n", head):
        return "a line break"
    for line in head.split("\r\n"):
        if len(line.encode()) > (76 if "=?" in line else 998) or any(len(w) > 75 for w in line.split() if "=?" in w):
            return "a line that is too long"
    written = message["To"].replace("\r\n", "").replace("\n", "")
    found = getaddresses([written])
    if len(found) != 1 or (box.name and str(make_header(decode_header(found[0][0]))) != box.name):
        return "the old interface reads it otherwise"
    return _read_by_the_new_interface(head, box) if read_thrice else None


def _read_by_the_new_interface(head: str, box: Mailbox) -> str | None:
    addresses = message_from_string(head + "\r\n\r\n", policy=policy.default)["To"].addresses
    if len(addresses) != 1 or addresses[0].domain != box.address.rpartition("@")[2]:
        return "the new interface reads other addresses"
    read = addresses[0].display_name
    if "".join(read.split()) != "".join(box.name.split()):
        return "the new interface reads another name"
    return None


def tried(count: int = NAMES) -> tuple[int, Counter[str]]:
    """How many mails were written and read, and what was wrong with how many, with the first names that it was wrong with."""
    chance, mails, wrong = random.Random(SEED), 0, Counter[str]()  # noqa: S311 - chance, not a secret
    for name in names(count):
        for addresses in (ASCII_ADDRESSES, UTF8_ADDRESSES):
            mails += 1
            found = trouble(mailbox(name, chance.choice(addresses)), read_thrice=mails % NEW_INTERFACE_EVERY == 0)
            if found is not None:
                wrong[f"{found}: {name!r}" if len(wrong) < 5 else found] += 1
    return mails, wrong


def main() -> None:
    mails, wrong = tried()
    version = sys.version.split()[0]
    print(
        f"CPython {version}: {NAMES} names, {mails} mails: one mailbox, the same name, no line break: {mails - wrong.total()}"
    )
    for what, count in wrong.items():
        print(f"  {count} × {what}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
