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

# What stays in both databases of a command, indexes and what becomes of its mails included, and of each byte that it has itself: a text
# stands in the log and in the live stream, an id in the log and in the ledger of mails. Held against what is really kept by `make bench ONLY=fairness`.
KEPT_OF_EACH_BYTES: Final = 2_000
KEPT_OF_A_BYTE: Final = 2


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
    return Cost(_writes(command), kept_bytes(body))


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
