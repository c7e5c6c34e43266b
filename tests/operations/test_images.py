"""What the images leave out is nothing that a service reads."""

import re

from deploy.local.settings import REPOSITORY
from services.notifier.languages import LANGUAGES

DOCKERFILE = REPOSITORY / "deploy" / "Dockerfile"


def test_the_images_keep_the_formats_of_every_language_that_mails_are_written_in() -> None:
    kept = re.search(r'^ARG LANGUAGES="([a-z ]+)"$', DOCKERFILE.read_text(), re.MULTILINE)
    assert kept
    assert kept[1].split() == list(LANGUAGES)
