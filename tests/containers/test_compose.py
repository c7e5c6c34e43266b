"""`docker compose up` from this checkout: the demo runs against it, workers scale, and it does not start with bad secrets."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.containers.engine import Project, docker, require_engine

pytestmark = pytest.mark.timeout(900)

SERVICES = ("gateway", "threads", "threads-api", "notifier")


def test_the_demo_runs_against_it(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    done = project.demo()
    with capsys.disabled():
        print(f"\n{done.stdout}{done.stderr}{_sizes()}")
    assert done.returncode == 0, done.stderr


def test_it_runs_with_four_workers_and_two_notifiers(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.up("--scale", "threads=4", "--scale", "notifier=2")
    assert (len(project.running("threads")), len(project.running("notifier"))) == (4, 2)
    done = project.demo()
    with capsys.disabled():
        print(f"\nwith --scale threads=4 --scale notifier=2:\n{done.stdout}{done.stderr}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_can_do_nothing_but_its_work(project: Project, service: str) -> None:
    record: dict[str, Any] = project.state_of(service)
    assert record["Config"]["User"] == "10001:10001"
    host = record["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["SecurityOpt"]) == (True, ["ALL"], ["no-new-privileges:true"])
    said = json.dumps(record["Config"]["Env"])
    assert "password" not in said.casefold().replace("smtp_password=", "")
    assert "amqp://" not in said
    folders = project.compose("exec", "-T", service, "ls", "/secrets").stdout.split()
    assert folders == [service.removesuffix("-api")]


def test_a_services_mongodb_user_reaches_no_other_database(project: Project) -> None:
    script = (
        "import pathlib, pymongo; url = pathlib.Path('/secrets/notifier/mongo_url').read_text(); c = pymongo.MongoClient(url)\n"
        "print(len(list(c.notifier.mails.find().limit(1))))\n"
        "try: c.threads.entries.find_one()\n"
        "except pymongo.errors.OperationFailure as error: print(error.code)"
    )
    done = project.compose("exec", "-T", "notifier", "python", "-c", script)
    assert done.stdout.split()[-1] == "13"


def test_a_second_start_keeps_what_was_written(project: Project) -> None:
    project.compose("down", "--timeout", "30")
    project.up()
    done = project.demo()
    assert done.returncode == 0, done.stderr


def test_the_operators_tool_finds_everything_in_order(project: Project) -> None:
    assert project.compose("run", "--rm", "-T", "ctl", "dead", "list").stdout.splitlines()[-1] == "0 dead letters"
    assert project.compose("run", "--rm", "-T", "ctl", "audit").stdout.splitlines()[-1].endswith(" 0 findings")
    dumped = project.compose("run", "--rm", "-T", "ctl", "backup", "dump", "/tmp/parley.backup").stdout
    assert int(dumped.split()[0]) > 100


@pytest.mark.parametrize("service", ["threads", "notifier"])
def test_bringing_a_database_to_its_version_twice_changes_nothing(project: Project, service: str) -> None:
    migrate = ("run", "--rm", "-T", "--no-deps", "--entrypoint", f"python -m services.{service}.migrate", service)
    assert project.compose(*migrate).stdout.splitlines() == [f"{service}: at version 1; missing indexes: none"]


def test_the_gateway_and_the_workers_end_well_on_sigterm(project: Project) -> None:
    project.compose("stop", "--timeout", "20", *SERVICES)
    ended = {each["Service"]: each for each in project.containers() if each["Service"] in SERVICES}
    assert {name: int(each["ExitCode"]) for name, each in ended.items()} == dict.fromkeys(SERVICES, 0)


@pytest.fixture
def other_project() -> Iterator[Project]:
    require_engine()
    project = Project(DEMO="0", LINK_SECRET="changeme-changeme-changeme-changeme", MONGO_ROOT_PASSWORD="short")
    try:
        yield project
    finally:
        project.down()


def test_outside_demo_mode_it_does_not_start_with_bad_secrets(other_project: Project) -> None:
    done = other_project.compose("run", "--rm", "-T", "credentials", check=False)
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert "LINK_SECRET is a well-known one" in said
    assert "MONGO_ROOT_PASSWORD is too short" in said
    assert "COMMAND_ID_SECRET is missing" in said
    assert "THREAD_URL is missing" in said
    assert "changeme" not in said


def test_every_image_says_what_it_is(project: Project) -> None:
    assert project.containers()
    for name in ("gateway", "threads", "notifier"):
        record = json.loads(docker("image", "inspect", f"parley-{name}:latest"))[0]["Config"]
        assert record["Labels"]["org.opencontainers.image.title"] == f"Parley {name}"
        assert record["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
        assert record["Healthcheck"]["Test"][-1] == "/livez"


def _sizes() -> str:
    lines = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}").splitlines()
    return "\n".join(f"      image {line}" for line in sorted(lines) if line.startswith(("parley-", "local/")))
