"""Faults of the SMTP server: it refuses, hangs up, drips, or answers when nobody listens any more."""

import asyncio
from typing import Final

from tests.chaos.lanes import Fault, Lane
from tests.chaos.plan import Kind, Step
from tests.chaos.stack import SEND_LIMIT_S, Stack
from tests.servers.pace import lasting
from tests.servers.smtp import AFTER_DOT, BEFORE_DOT, Drop, SmtpServer

MAILS: Final = 2
AT_ONCE: Final = Kind(lasts_s=(0.1, 0.5))
LATE_S: Final = SEND_LIMIT_S + 1


class SmtpFaults:
    def __init__(self, stack: Stack, *, recipients: list[str]) -> None:
        self._smtp: SmtpServer = stack.smtp
        self._recipients = recipients

    def lane(self) -> Lane:
        return Lane(
            "smtp",
            {
                "smtp-421": (AT_ONCE, self._answer("421 4.3.2 shutting down")),
                "smtp-450": (AT_ONCE, self._answer("450 4.2.0 greylisted")),
                "smtp-451": (AT_ONCE, self._answer("451 4.3.0 try again later")),
                "smtp-550": (AT_ONCE, self._answer("550 5.7.1 not wanted")),
                "smtp-recipients-mixed": (Kind(), self.mixed),
                "smtp-drop-before-dot": (AT_ONCE, self._drop(BEFORE_DOT)),
                "smtp-drop-after-dot": (AT_ONCE, self._drop(AFTER_DOT)),
                "smtp-drip": (Kind(), self.drip),
                "smtp-250-too-late": (Kind(lasts_s=(LATE_S, LATE_S + 1)), self.late),
                "smtp-away": (Kind(), self.away),
                "smtp-silent": (Kind(), self.silent),
            },
        )

    def _answer(self, answer: str) -> Fault:
        async def fault(step: Step) -> None:
            self._smtp.answer_data(answer, times=MAILS)
            await lasting(step.lasts_s)

        return fault

    def _drop(self, when: Drop) -> Fault:
        async def fault(step: Step) -> None:
            self._smtp.drop_data(when, times=MAILS)
            await lasting(step.lasts_s)

        return fault

    async def mixed(self, step: Step) -> None:
        """Of the recipients some are taken, some put off, and some refused."""
        for number, recipient in enumerate(self._recipients):
            answers = ("", "450 4.2.1 mailbox busy", "550 5.1.1 no such mailbox")
            if answer := answers[(number + int(step.pick * 3)) % 3]:
                self._smtp.refuse(recipient, answer)
        await lasting(step.lasts_s)
        for recipient in self._recipients:
            self._smtp.accept(recipient)

    async def drip(self, step: Step) -> None:
        self._smtp.drip(answers=4)
        await lasting(step.lasts_s)

    async def late(self, step: Step) -> None:
        """The mail is taken; the answer comes after the sender has given up waiting for it."""
        self._smtp.answer_late(LATE_S, times=MAILS)
        await lasting(step.lasts_s)

    async def away(self, step: Step) -> None:
        await asyncio.to_thread(self._smtp.stop)
        await lasting(step.lasts_s)
        await asyncio.to_thread(self._smtp.start)

    async def silent(self, step: Step) -> None:
        self._smtp.pause()
        await lasting(step.lasts_s)
        self._smtp.resume()
