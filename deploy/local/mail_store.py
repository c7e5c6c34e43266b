"""Caught mails on disk: the newest so many, each as it came, with its envelope beside it."""

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

KEEP_MAILS = 2_000
KEEP_BYTES = 200_000_000


@dataclass(frozen=True)
class CaughtMail:
    """A mail's envelope and what a list shows of it. Ids sort by the time of arrival."""

    id: str
    received_at: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    size_bytes: int


@dataclass(frozen=True)
class MailContent:
    """A mail taken apart; everything in it was written by somebody else."""

    headers: tuple[tuple[str, str], ...]
    text: str | None
    html: str | None
    source: str


class MailStore:
    """Keeps at most `keep_mails` mails and `keep_bytes` bytes: the oldest go first."""

    def __init__(self, directory: Path, *, keep_mails: int = KEEP_MAILS, keep_bytes: int = KEEP_BYTES) -> None:
        self._directory, self._keep_mails, self._keep_bytes = directory, keep_mails, keep_bytes
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._mails = {mail.id: mail for mail in _read_all(directory)}
        self._texts: dict[str, str] = {}

    def add(self, sender: str, recipients: list[str], source: bytes) -> CaughtMail:
        """Stores a mail; when this returns it is on disk, under its final name."""
        now = datetime.now(UTC)
        mail = CaughtMail(
            id=f"{now:%Y%m%d%H%M%S%f}-{secrets.token_hex(4)}",
            received_at=now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            sender=sender,
            recipients=tuple(recipients),
            subject=_subject(source),
            size_bytes=len(source),
        )
        self._source_path(mail.id).write_bytes(source)
        envelope = self._envelope_path(mail.id)
        half_written = envelope.with_suffix(".tmp")
        half_written.write_text(json.dumps(asdict(mail)))
        half_written.replace(envelope)
        self._mails[mail.id] = mail
        self._drop_oldest()
        return mail

    def newest_first(self, *, to: str | None = None, q: str | None = None) -> Iterator[CaughtMail]:
        """All mails, or those whose envelope names this recipient and that contain all of these words (letter case does not matter).

        Words are looked for in addresses, subject and text; the HTML says the same as the text.
        """
        wanted = None if to is None else to.casefold()
        words = (q or "").casefold().split()
        for mail in reversed(list(self._mails.values())):
            if wanted is not None and wanted not in {recipient.casefold() for recipient in mail.recipients}:
                continue
            if not words or all(word in self._searchable(mail) for word in words):
                yield mail

    def _searchable(self, mail: CaughtMail) -> str:
        """What is looked through; a mail is taken apart once."""
        if mail.id not in self._texts:
            text = _taken_apart(self.source(mail)).text or ""
            self._texts[mail.id] = "\n".join((mail.sender, *mail.recipients, mail.subject, text)).casefold()
        return self._texts[mail.id]

    def find(self, mail_id: str) -> CaughtMail | None:
        return self._mails.get(mail_id)

    def source(self, mail: CaughtMail) -> bytes:
        return self._source_path(mail.id).read_bytes()

    def content(self, mail: CaughtMail) -> MailContent:
        return _taken_apart(self.source(mail))

    def clear(self) -> int:
        """Deletes every mail and says how many there were."""
        count = len(self._mails)
        for mail_id in list(self._mails):
            self._delete(mail_id)
        return count

    def _drop_oldest(self) -> None:
        total_bytes = sum(mail.size_bytes for mail in self._mails.values())
        while len(self._mails) > self._keep_mails or (total_bytes > self._keep_bytes and len(self._mails) > 1):
            oldest = next(iter(self._mails.values()))
            total_bytes -= oldest.size_bytes
            self._delete(oldest.id)

    def _delete(self, mail_id: str) -> None:
        del self._mails[mail_id]
        self._texts.pop(mail_id, None)
        self._envelope_path(mail_id).unlink(missing_ok=True)
        self._source_path(mail_id).unlink(missing_ok=True)

    def _source_path(self, mail_id: str) -> Path:
        return self._directory / f"{mail_id}.eml"

    def _envelope_path(self, mail_id: str) -> Path:
        return self._directory / f"{mail_id}.json"


def links_in(text: str) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it is a web address; put together they are the text again."""
    pieces = re.split(r"(https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]])", text)
    return [(piece, index % 2 == 1) for index, piece in enumerate(pieces) if piece]


def _read_all(directory: Path) -> Iterator[CaughtMail]:
    for path in sorted(directory.glob("*.json")):
        try:
            fields = json.loads(path.read_text())
            yield CaughtMail(**{**fields, "recipients": tuple(fields["recipients"])})
        except (OSError, ValueError, TypeError, KeyError):
            path.rename(path.with_suffix(".broken"))


def _parse(source: bytes) -> EmailMessage:
    return BytesParser(EmailMessage, policy=default).parsebytes(source)


def _subject(source: bytes) -> str:
    return next((value for name, value in _headers(_parse(source)) if name.lower() == "subject"), "")


def _headers(message: EmailMessage) -> list[tuple[str, str]]:
    """Decoded headers; one that the e-mail library cannot decode stays as it came."""
    found: list[tuple[str, str]] = []
    for name, raw in message.raw_items():
        try:
            value = str(message.policy.header_fetch_parse(name, raw))
        except (
            Exception
        ):  # hostile headers raise nearly anything from the parser: IndexError, AttributeError, ValueError, …
            value = str(raw)
        found.append((name, _without_surrogates(value)))
    return found


def _taken_apart(source: bytes) -> MailContent:
    message = _parse(source)
    return MailContent(
        headers=tuple(_headers(message)),
        text=_body(message, "plain"),
        html=_body(message, "html"),
        source=source.decode("utf-8", errors="replace"),
    )


def _body(message: EmailMessage, kind: str) -> str | None:
    try:
        part = message.get_body(preferencelist=(kind,))
        content = None if part is None else part.get_content()
    except Exception as error:  # as above: what cannot be decoded can still be read in the source
        return f"(this part cannot be decoded: {type(error).__name__})"
    return _without_surrogates(content) if isinstance(content, str) else None


def _without_surrogates(value: str) -> str:
    """The e-mail library keeps bytes that it cannot decode as lone surrogates, which no UTF-8 answer can hold."""
    return value.encode("utf-8", errors="replace").decode()
