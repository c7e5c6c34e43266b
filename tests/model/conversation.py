"""One conversation as it must be, in a few plain lists: nothing here knows how Parley counts, stores or orders anything."""

from dataclasses import dataclass, field
from typing import Final

from shared.callers import Caller
from shared.commands import CloseDispute, MarkRead, OpenDispute, PostMessage
from shared.fields import EntryKind, Side

ThreadCommand = PostMessage | OpenDispute | CloseDispute | MarkRead

MAKES_AN_ENTRY: Final = 0
KIND_OF: Final[dict[type, EntryKind]] = {
    PostMessage: "text",
    OpenDispute: "dispute_opened",
    CloseDispute: "dispute_closed",
}


@dataclass(frozen=True)
class Line:
    """One entry of the history."""

    id: str
    kind: EntryKind
    side: Side
    person: str
    text: str | None


@dataclass(frozen=True)
class Picture:
    """What a decision depends on: how long the history is, and the newest dispute."""

    length: int = 0
    dispute_id: str | None = None
    is_open: bool = False

    @property
    def etag(self) -> str:
        if self.dispute_id is None:
            return '"none"'
        return f'"{self.dispute_id}.{"open" if self.is_open else "closed"}"'


@dataclass(frozen=True)
class Mark:
    stamp: str = ""
    up_to: int = 0


@dataclass
class Conversation:
    """The model: lines, the newest dispute, and marks of persons and of inboxes."""

    customer_id: str
    is_guests: bool = True
    lines: list[Line] = field(default_factory=list)
    picture: Picture = Picture()
    marks_of_persons: dict[str, Mark] = field(default_factory=dict)
    marks_of_inboxes: dict[Side, Mark] = field(default_factory=dict)

    def sees(self, caller: Caller) -> bool:
        if caller.side != "customer":
            return True
        return (caller.role == "guest") == self.is_guests

    def verdict(self, command: ThreadCommand, picture: Picture) -> int:
        """The status that the command ends with on this picture, or MAKES_AN_ENTRY."""
        if not self.sees(command.data.caller):
            return 404
        if isinstance(command, OpenDispute | CloseDispute):
            return self._verdict_on_a_step(command, picture)
        if isinstance(command, MarkRead):
            return 200 if command.data.up_to_seq <= picture.length else 422
        return MAKES_AN_ENTRY

    def _verdict_on_a_step(self, command: OpenDispute | CloseDispute, picture: Picture) -> int:
        if command.data.caller.side == "seller":
            return 403
        if command.data.expected not in (None, "*", picture.etag):
            return 412
        if isinstance(command, OpenDispute):
            return 200 if picture.is_open else MAKES_AN_ENTRY
        return MAKES_AN_ENTRY if picture.is_open else 409

    def add(self, command: ThreadCommand) -> None:
        """The command's entry stands at the end of the history."""
        caller = command.data.caller
        side = caller.side
        assert side is not None
        assert not isinstance(command, MarkRead)
        text = command.data.note or None if isinstance(command, CloseDispute) else command.data.text
        self.lines.append(Line(command.id, KIND_OF[type(command)], side, caller.person, text))
        length, dispute_id, is_open = len(self.lines), self.picture.dispute_id, self.picture.is_open
        if isinstance(command, OpenDispute):
            dispute_id, is_open = command.id, True
        elif isinstance(command, CloseDispute):
            is_open = False
        self.picture = Picture(length, dispute_id, is_open)

    def mark(self, command: MarkRead) -> bool:
        """Whether a newer mark of the person or of the inbox stood in the way."""
        caller, new = command.data.caller, Mark(command.stamp, command.data.up_to_seq)
        side = caller.side
        assert side is not None
        own = self.marks_of_persons.get(caller.person, Mark())
        inbox = self.marks_of_inboxes.get(side, Mark())
        self.marks_of_persons[caller.person] = max(own, new, key=lambda mark: mark.stamp)
        self.marks_of_inboxes[side] = max(inbox, new, key=lambda mark: mark.stamp)
        return new.stamp < own.stamp or new.stamp < inbox.stamp

    def unread(self, side: Side) -> int:
        """What is new for an inbox."""
        above = self.lines[self.marks_of_inboxes.get(side, Mark()).up_to :]
        return sum(line.side != side for line in above)

    def new_for(self, person: str) -> list[int]:
        """Where the lines stand that are new for a person."""
        mark = self.marks_of_persons.get(person, Mark())
        return [seq for seq, line in enumerate(self.lines, 1) if seq > mark.up_to and line.person != person]
