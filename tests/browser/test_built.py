"""What the gateway serves is what `make pages` makes of the sources, to the byte."""

from pathlib import Path

from deploy.local.settings import REPOSITORY
from services.gateway.page_files import BUILT
from tests.clients.node import need_node, run


def test_what_is_served_is_made_of_todays_sources(tmp_path: Path) -> None:
    need_node()
    made = run("node", REPOSITORY / "deploy" / "pages" / "build.mjs", tmp_path)
    assert made.returncode == 0, made.stderr

    assert _contents(BUILT) == _contents(tmp_path), "services/gateway/pages/built is out of date: make pages"


def _contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
