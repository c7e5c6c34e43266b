"""Runs every `sh` block of README.md and docs/api.md as it stands, in order, one shell a page, against a real Parley.

Behind `sh` a block may say what its last call is answered (`sh 409`), or that it is a stream (`sh live`), which is then left after a moment.
Every other call must be answered 2xx.
"""

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from deploy.local.settings import DEFAULT_PORTS, LocalSettings
from deploy.local.shop import demo_orders
from shared.tokens import mint_guest_link, mint_unsubscribe
from tests.docs import markdown
from tests.docs.markdown import ROOT, Block
from tests.servers.parley import CREDENTIALS, Parley

LOCAL_GATEWAY = LocalSettings(Path(), DEFAULT_PORTS).gateway_url
# Each call's status goes to a file; a stream is left after a moment. `sed` and redirections of the page work as they stand.
PRELUDE = """
curl() { command curl --silent --show-error --max-time "${LIVE:-40}" --write-out '%{stderr}%{http_code}\\n' "$@" 2>>"$STATUSES"; }
"""

pytestmark = pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="the snippets need curl")


def _script(blocks: list[Block], gateway_url: str) -> str:
    parts = [PRELUDE]
    for number, block in enumerate(blocks):
        live = "LIVE=2" if block.info.endswith("live") else "unset LIVE"
        parts.append(
            f"{live}\nSTATUSES=statuses.{number}\n: >$STATUSES\n{block.code.replace(LOCAL_GATEWAY, gateway_url)}"
        )
    return "\n".join(parts)


def _environment(parley: Parley) -> dict[str, str]:
    """What a reader has set: the tokens that `make run` prints, and what stands in the links of a guest's mail."""
    order, now = demo_orders()[0], time.time()
    vendor = next(each.seller for each in demo_orders() if each.seller is not None)
    guest = next(each for each in demo_orders() if each.order_id == "1007").customer
    secret = CREDENTIALS.link_secret
    return {
        "CUSTOMER": parley.customer(order.customer.id, order.customer.name),
        "SELLER": parley.seller(vendor.id, name=vendor.name),
        "ADMIN": parley.admin(),
        "SHOP": parley.service(),
        "LINK": mint_guest_link("1007", guest.id, guest.name, secret=secret, now=now),
        "UNSUBSCRIBE": mint_unsubscribe("guest:1007", secret=secret, now=now),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }


async def _run(script: str, environment: dict[str, str], directory: Path) -> str:
    (directory / "docs").symlink_to(ROOT / "docs")
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script,
        cwd=directory,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(shell.communicate(), timeout=120)
    return said.decode()


@pytest.mark.parametrize("page", ["README.md", "docs/api.md"])
async def test_every_snippet_does_what_the_page_says(page: str, demo_parley: Parley, tmp_path: Path) -> None:
    blocks = markdown.blocks(ROOT / page, "sh")
    said = await _run(_script(blocks, demo_parley.gateway_url), _environment(demo_parley), tmp_path)
    assert blocks
    for number, block in enumerate(blocks):
        lines = (tmp_path / f"statuses.{number}").read_text().splitlines()
        statuses = [line for line in lines if line.isdecimal()]
        expected = block.info.removeprefix("sh").strip()
        good = statuses[:-1] if expected.isdecimal() else statuses
        assert len(statuses) == block.code.count("curl "), (block.code, lines)
        assert all(status.startswith("2") for status in good), (block.code, statuses, said)
        if expected.isdecimal():
            assert statuses[-1] == expected, (block.code, statuses, said)


async def test_live_snippets_show_where_the_stream_is(demo_parley: Parley, tmp_path: Path) -> None:
    blocks = [block for block in markdown.blocks(ROOT / "docs" / "api.md", "sh") if block.info == "sh live"]
    setting = markdown.blocks(ROOT / "docs" / "api.md", "sh")[0]
    said = await _run(_script([setting, blocks[0]], demo_parley.gateway_url), _environment(demo_parley), tmp_path)
    assert "retry: " in said
