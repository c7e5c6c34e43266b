"""Beside the notifier (B5): Python's smtplib on one kept connection, one mail after the other.

`python -m bench.baselines.mails PORT FILE` sends the mails in the file (each preceded by its length, in 4 bytes) and prints the
seconds that it took, from the first MAIL to the last 250.
"""

import smtplib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SENDER = "orders@shop.example"
RECIPIENT = "mara@example.com"


def mails(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 4])
        yield content[at + 4 : at + 4 + length]
        at += 4 + length


def main() -> None:
    bodies = list(mails(Path(sys.argv[2]).read_bytes()))
    with smtplib.SMTP("127.0.0.1", int(sys.argv[1])) as server:
        server.ehlo()
        began = time.perf_counter()
        for body in bodies:
            server.sendmail(SENDER, RECIPIENT, body)
        print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
