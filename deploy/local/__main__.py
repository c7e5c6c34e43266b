"""`make run`: the whole stack until Ctrl-C."""

import asyncio
import os
import sys

from deploy.local.credentials import Credentials
from deploy.local.errors import Interrupted, StackError
from deploy.local.progress import EndRequest, Progress
from deploy.local.settings import LocalSettings
from deploy.local.shop import USER, demo_orders, publish_orders
from deploy.local.stack import Stack
from deploy.local.state import DirectoryLock, forget_state
from deploy.local.welcome import welcome


def main() -> int:
    progress, end = Progress(), EndRequest()
    end.listen()
    try:
        settings = LocalSettings.read(os.environ)
        lock = DirectoryLock(settings.run_directory)
        if lock.take():
            progress.say("the last run was ended without stopping; making up for it")
    except StackError as error:
        return _fail(error)
    try:
        return _run(settings, progress, end)
    finally:
        lock.give_back()


def _run(settings: LocalSettings, progress: Progress, end: EndRequest) -> int:
    """Starts, watches and stops. Whatever happens, what was started is stopped."""
    stack = Stack(settings, progress=progress, end=end)
    status = 0
    try:
        _start(stack, settings, progress)
        stack.watch()
        progress.say("asked to stop")
    except Interrupted:
        progress.say("asked to stop while starting")
    except StackError as error:
        status = _fail(error)
    finally:
        forget_state(settings.run_directory)
        status = _stop(stack, progress) or status
    return status


def _stop(stack: Stack, progress: Progress) -> int:
    try:
        stack.stop()
    except StackError as error:
        return _fail(error)
    if stack.has_started:
        progress.say("everything is stopped")
    return 0


def _start(stack: Stack, settings: LocalSettings, progress: Progress) -> None:
    credentials, orders = (
        Credentials.load_or_make(settings.run_directory / "secrets", settings.publishers),
        demo_orders(),
    )
    stack.start(credentials)
    asyncio.run(publish_orders(settings.amqp_url(USER, credentials.rabbitmq[USER]), orders))
    progress.say(f"published {len(orders)} demo orders")
    stack.state(os.getpid()).write(settings.run_directory)
    progress.plain(welcome(settings, credentials, orders))


def _fail(error: StackError) -> int:
    print(f"make run: {error}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
