"""Bringing users to an existing MongoDB: `python -m deploy.mongo_access`."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from deploy.ctl.target import Target
from deploy.local.settings import REPOSITORY
from deploy.local.state import StackState
from deploy.mongo_access import DATABASES, OPERATOR, make_services_users, with_user
from tests.security.conftest import GuardedMongo
from tests.servers.parley import CREDENTIALS


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.mongo_access"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MONGO")}
    return subprocess.run(
        command, cwd=REPOSITORY, env=inherited | environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_passwords_and_roles_become_what_they_are_said_to_be(guarded_mongo: GuardedMongo) -> None:
    new = {f"MONGO_{name.upper()}_PASSWORD": f"new-{name}-password" for name in DATABASES}
    done = run(MONGO_URL=guarded_mongo.url_of(OPERATOR), **new)
    assert (done.returncode, done.stderr) == (0, "")
    try:
        for name in DATABASES:
            with MongoClient[dict[str, object]](with_user(guarded_mongo.url, name, f"new-{name}-password")) as client:
                client[name]["anything"].insert_one({})
                with pytest.raises(OperationFailure, match="not authorized"):
                    client[name].drop_collection("anything")
    finally:
        with MongoClient[dict[str, object]](guarded_mongo.url_of(OPERATOR)) as operator:
            make_services_users(operator, CREDENTIALS.mongo)


def test_what_is_missing_or_refused_is_named_and_no_password_is(guarded_mongo: GuardedMongo) -> None:
    missing = run(MONGO_URL=guarded_mongo.url, MONGO_THREADS_PASSWORD="a-password-of-threads")
    assert (missing.returncode, missing.stderr.strip()) == (1, "mongo_access: MONGO_NOTIFIER_PASSWORD is missing")
    wrong = run(
        MONGO_URL=with_user(guarded_mongo.url, OPERATOR, "a-wrong-password"),
        MONGO_THREADS_PASSWORD="a-password-of-threads",
        MONGO_NOTIFIER_PASSWORD="a-password-of-notifier",
    )
    assert wrong.returncode == 1
    assert "Authentication failed" in wrong.stderr
    assert "a-password" not in wrong.stderr
    assert "a-wrong-password" not in wrong.stderr


def test_the_operators_tools_sign_in_to_the_local_stack(guarded_mongo: GuardedMongo, tmp_path: Path) -> None:
    """Secrets are files of the stack's directory, and no address that it writes down or prints holds one."""
    state = StackState(
        pid=os.getpid(),
        gateway_url="http://127.0.0.1:1",
        threads_url="http://127.0.0.1:2",
        notifier_url="http://127.0.0.1:3",
        mail_page_url="http://127.0.0.1:4",
        amqp_port=5,
        mongo_url=guarded_mongo.url,
        mail_delay_s=0,
    )
    state.write(tmp_path)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "mongo_root").write_text(CREDENTIALS.mongo[OPERATOR])
    target = Target.read({"RUN_DIR": str(tmp_path)})
    with MongoClient[dict[str, object]](target.mongo_url) as client:
        assert client["threads"]["entries"].count_documents({}) == 0
    made = list((tmp_path / "secrets").iterdir())
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in made if path.name != "mongo_root")
    assert CREDENTIALS.mongo[OPERATOR] not in (tmp_path / "state.json").read_text()
