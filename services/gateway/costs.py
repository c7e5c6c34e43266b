"""What a command causes, as its caller is charged for it: work for threads and the notifier, and bytes that are kept. Pure."""

from dataclasses import dataclass
from typing import Final, assert_never

from shared.commands import (
    CloseDispute,
    Command,
    ImportMessage,
    MarkRead,
    MarkThreadsRead,
    OpenDispute,
    PostMessage,
    RedactMessage,
    SetPreferences,
    WatchThread,
)

# A step of a dispute is mailed at once, to everybody.
STEP_WRITES: Final = 5
# As much as there is unread is marked, in slices, one command an inbox at a time. What is unread was charged when it was written.
ALL_WRITES: Final = 20

# What stays in both databases of a command, of each byte that it has, and of each thread that it marks; indexes, and what becomes of its mails,
# included. Held against what is really kept by `make prove-fairness`.
KEPT_OF_EACH_BYTES: Final = 3_000
KEPT_OF_A_BYTE: Final = 2
KEPT_OF_A_MARK_BYTES: Final = 400


@dataclass(frozen=True, slots=True)
class Cost:
    """How many writes a command counts for, and how many bytes it keeps."""

    writes: int
    kept_bytes: int


def kept_bytes(body: bytes) -> int:
    """How much is kept of a command with this body."""
    return KEPT_OF_EACH_BYTES + KEPT_OF_A_BYTE * len(body)


ONE_WRITE: Final = Cost(1, KEPT_OF_EACH_BYTES)


def cost_of(command: Command, body: bytes) -> Cost:
    """The cost of a command, whose body is how it is published."""
    marked = len(command.data.threads) if isinstance(command, MarkThreadsRead) else 0
    return Cost(_writes(command), kept_bytes(body) + marked * KEPT_OF_A_MARK_BYTES)


def _writes(command: Command) -> int:
    match command:
        case OpenDispute() | CloseDispute():
            return STEP_WRITES
        case MarkThreadsRead():
            return ALL_WRITES if command.data.all_threads else max(1, len(command.data.threads))
        case PostMessage() | ImportMessage() | MarkRead() | SetPreferences() | WatchThread() | RedactMessage():
            return 1
        case _:
            assert_never(command)
