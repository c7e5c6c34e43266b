"""`make demo` against the stack that `docker compose up` started from this checkout, in demo mode.

Asks Docker where the parts are and what the demo shop may know, and then is deploy.local.demo.
"""

import json
import os
import subprocess
import sys
from urllib.parse import quote

from deploy.containers.credentials import RABBITMQ_PASSWORDS
from deploy.local import demo
from deploy.local.errors import StackError
from deploy.local.settings import REPOSITORY
from deploy.local.shop import USER

COMPOSE_LIMIT_S = 60


def main() -> int:
    try:
        os.environ.update(target())
    except StackError as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 1
    return demo.main()


def target() -> dict[str, str]:
    """The addresses and secrets that deploy.local.demo_target reads. Raises StackError where no such stack runs."""
    shown = _compose("run", "--rm", "--no-deps", "-T", "credentials", "deploy.containers.credentials", "show-demo")
    secrets: dict[str, str] = json.loads(shown)
    password = quote(secrets.pop(RABBITMQ_PASSWORDS[USER]), safe="")
    return {
        **secrets,
        "GATEWAY_URL": f"http://{_address('gateway', 8080)}",
        "MAIL_PAGE_URL": f"http://{_address('mail', 8025)}",
        "AMQP_URL": f"amqp://{USER}:{password}@{_address('rabbitmq', 5672)}/parley",
        "MAIL_DELAY": _compose("exec", "-T", "notifier", "printenv", "MAIL_DELAY").strip(),
    }


def _address(service: str, port: int) -> str:
    return _compose("port", service, str(port)).strip()


def _compose(*arguments: str) -> str:
    command = ["docker", "compose", *arguments]
    try:
        done = subprocess.run(
            command, cwd=REPOSITORY, capture_output=True, text=True, timeout=COMPOSE_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"Docker does not answer: {error}") from None
    if done.returncode != 0:
        raise StackError(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
