"""What can become of an attempt to send one mail: a closed set. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """The server has accepted it."""

    name = "sent"
    reply: str

    @property
    def reason(self) -> str:
        return self.reply


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing was left to tell (read, taken out, switched off), or nobody to tell it to."""

    name = "skipped"
    reason: str


@dataclass(frozen=True, slots=True)
class Unsendable:
    """No mail can be sent to the recipient's address as it stands, so no server was asked. The reason holds nothing of it."""

    name = "unsendable"
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The server has said no, so it has certainly not been accepted. 4xx may be tried again, 5xx not (RFC 5321, 4.2.1)."""

    name = "refused"
    code: int
    text: str

    @property
    def is_final(self) -> bool:
        return 500 <= self.code <= 599

    @property
    def reason(self) -> str:
        return f"{self.code} {self.text}"


@dataclass(frozen=True, slots=True)
class Broken:
    """The connection ended irregularly before DATA, so it has certainly not been accepted."""

    name = "broken"
    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """DATA was begun and no clear answer came: it may or may not have been accepted."""

    name = "unknown"
    reason: str


@dataclass(frozen=True, slots=True)
class ServerAway:
    """No mail can be sent for now: the server is not there, or does not let us in (`answered`). No mail is to blame."""

    name = "server_away"
    reason: str
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease was no longer ours before anything was sent."""

    name = "lost"
    reason: str = "the lease was no longer ours"


@dataclass(frozen=True, slots=True)
class Outdated:
    """What was to be sent, or to whom, changed before DATA: the next attempt sends what is right by then."""

    name = "outdated"
    reason: str = "address, marks or choices changed before DATA"


@dataclass(frozen=True, slots=True)
class Readdressed:
    """An earlier attempt may have reached the old address, so the new one is not sent to: nobody knows, and that is final."""

    name = "readdressed"
    reason: str = "it may have reached an address that has changed since"


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nothing was sent, for a reason of our own: a shutdown, or the ledger away."""

    name = "stopped"
    reason: str


@dataclass(frozen=True, slots=True)
class Defect:
    """Our own fault. The reason names the kind of error and holds nobody's text."""

    name = "defect"
    reason: str


Outcome = (
    Sent
    | Skipped
    | Unsendable
    | Refused
    | Broken
    | Unknown
    | ServerAway
    | Lost
    | Outdated
    | Readdressed
    | Stopped
    | Defect
)


class SmtpError(Exception):
    """Carries the outcome that a conversation with the SMTP server has come to."""

    def __init__(self, outcome: Refused | Broken | Unknown | ServerAway | Stopped) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
