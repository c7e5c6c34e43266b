"""Which secrets a start accepts, and who gets which; needs no Docker."""

import json
import stat
from pathlib import Path

import pytest

from deploy.containers import credentials
from deploy.containers.credentials import ALWAYS, BadSecretError, files, gather, hand_out
from shared.topology import PERMISSIONS

SHOPS_OWN = dict.fromkeys(credentials.SHOPS_OWN, "https://shop.test") | {"ADMIN_EMAIL": ""}


def _given() -> dict[str, str]:
    """What an operator may have written: every secret another one."""
    return {name: f"{number:02}" + "kX7qZ" * 8 for number, name in enumerate(ALWAYS)} | SHOPS_OWN


def _problems(environment: dict[str, str], kept: Path) -> str:
    with pytest.raises(BadSecretError) as raised:
        gather(environment, kept)
    return str(raised.value)


def test_in_demo_mode_secrets_are_made_up_once_and_kept(tmp_path: Path) -> None:
    first = gather({"DEMO": "1"}, tmp_path)
    assert gather({"DEMO": "1"}, tmp_path) == first
    assert len(set(first.values())) == len(first) == len(ALWAYS) + 1
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in tmp_path.iterdir())


def test_outside_demo_mode_nothing_is_made_up(tmp_path: Path) -> None:
    said = _problems({}, tmp_path)
    assert all(f"{name} is missing" in said for name in ALWAYS)
    assert not list(tmp_path.iterdir())


def test_each_of_the_shops_publishers_is_a_user_with_a_password_of_its_own(tmp_path: Path) -> None:
    given = _given() | {"ORDER_PUBLISHERS": "erp, wms-2"}
    said = _problems(given, tmp_path)
    assert said.splitlines() == [
        "RABBITMQ_ERP_PASSWORD is missing (or set DEMO=1, which makes secrets up)",
        "RABBITMQ_WMS_2_PASSWORD is missing (or set DEMO=1, which makes secrets up)",
    ]
    given |= {"RABBITMQ_ERP_PASSWORD": "e" * 20 + "1", "RABBITMQ_WMS_2_PASSWORD": "w" * 20 + "2"}
    access = json.loads(files(gather(given, tmp_path), given)["rabbitmq"]["access.json"])
    rights = {each["user"]: (each["configure"], each["write"], each["read"]) for each in access["permissions"]}
    assert rights["erp"] == rights["wms-2"] == PERMISSIONS["shop"]
    assert "shop" not in rights


@pytest.mark.parametrize("names", ["threads", "operator,shop", "Erp", "a b_c", ","])
def test_a_publisher_who_cannot_be_one_stops_the_start(tmp_path: Path, names: str) -> None:
    assert _problems(_given() | {"ORDER_PUBLISHERS": names}, tmp_path).startswith("ORDER_PUBLISHERS ")


def test_good_secrets_are_taken_as_they_are(tmp_path: Path) -> None:
    given = _given()
    assert gather(given, tmp_path) == {name: given[name] for name in ALWAYS}


def test_a_list_of_issuers_stands_in_the_place_of_one(tmp_path: Path) -> None:
    given = _given() | {"TOKEN_ISSUER": "", "TOKEN_JWKS_URL": ""}
    assert "TOKEN_ISSUER is missing" in _problems(given, tmp_path)
    assert gather(given | {"TOKEN_ISSUERS": "[…]"}, tmp_path) == {name: given[name] for name in ALWAYS}


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("LINK_SECRET", "tiny7", "LINK_SECRET is too short: at least 32 characters"),
        ("LINK_SECRET", "", "LINK_SECRET is missing"),
        ("RABBITMQ_SHOP_PASSWORD", "my-password-is-long-enough", "RABBITMQ_SHOP_PASSWORD is a well-known one"),
        ("MONGO_KEY", "not base64!" * 4, "MONGO_KEY must be up to 1024 characters of base64"),
        ("TOKEN_DEMO_SECRET", "x" * 40, "TOKEN_DEMO_SECRET is for demo mode alone"),
        ("THREAD_URL", "", "THREAD_URL is missing"),
    ],
)
def test_a_bad_one_is_named_and_its_value_is_not(tmp_path: Path, name: str, value: str, problem: str) -> None:
    said = _problems({**_given(), name: value}, tmp_path)
    assert problem in said
    assert not value or value not in said


def test_one_secret_for_two_purposes_is_refused(tmp_path: Path) -> None:
    given = _given()
    said = _problems({**given, "LINK_SECRET": given["COMMAND_ID_SECRET"]}, tmp_path)
    assert "LINK_SECRET is used for something else as well" in said


def test_each_part_gets_its_own_secrets_and_no_others(tmp_path: Path) -> None:
    given = gather(_given(), tmp_path)
    handed = files(given, {})
    assert set(handed["gateway"]) == {"amqp_url", "command_id_secret", "link_secret"}
    assert set(handed["threads"]) == {"amqp_url", "mongo_url", "link_secret", "address_key"}
    assert set(handed["notifier"]) == {"amqp_url", "mongo_url"}
    others = {name: value for name, value in given.items() if "NOTIFIER" not in name}
    assert not [name for name, value in others.items() if value in json.dumps(handed["notifier"])]


def test_what_an_earlier_start_handed_out_goes(tmp_path: Path) -> None:
    for part in ("gateway", "threads"):
        (tmp_path / part).mkdir()
    (tmp_path / "gateway" / "token_demo_secret").write_text("of an earlier start")
    hand_out({"gateway": {"amqp_url": "a"}, "threads": {}}, tmp_path)
    assert [path.name for path in (tmp_path / "gateway").iterdir()] == ["amqp_url"]
    assert stat.S_IMODE((tmp_path / "gateway" / "amqp_url").stat().st_mode) == 0o400
