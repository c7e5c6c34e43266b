"""One compose project for the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.containers.engine import Project, require_engine


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """The whole stack in demo mode, for all tests in turn; one that needs what another may have stopped calls `up` first."""
    require_engine()
    project = Project()
    try:
        project.compose("build")
        project.up()
        yield project
    finally:
        project.down()
