"""Where the broker and the databases are: from the environment, or of the local stack that runs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.credentials import Credentials
from deploy.local.settings import LocalSettings
from deploy.local.state import StackState
from deploy.mongo_access import OPERATOR, with_user


@dataclass(frozen=True, slots=True)
class Target:
    """Addresses with the operator's own credentials."""

    amqp_url: str
    mongo_url: str
    threads_database: str = "threads"
    notifier_database: str = "notifier"

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> "Target":
        """AMQP_URL (of the user `operator`) and MONGO_URL, or without them the stack of `make run`.

        Raises StackError where neither is there.
        """
        databases = {
            "threads_database": environment.get("THREADS_DATABASE", "threads"),
            "notifier_database": environment.get("NOTIFIER_DATABASE", "notifier"),
        }
        if environment.get("AMQP_URL") and environment.get("MONGO_URL"):
            return cls(environment["AMQP_URL"], environment["MONGO_URL"], **databases)
        run_directory = Path(LocalSettings.read(environment).run_directory)
        state = StackState.read(run_directory)
        credentials = Credentials.load_or_make(run_directory / "secrets")
        amqp_url = f"amqp://operator:{credentials.rabbitmq['operator']}@127.0.0.1:{state.amqp_port}/parley"
        return cls(amqp_url, with_user(state.mongo_url, OPERATOR, credentials.mongo[OPERATOR]), **databases)
