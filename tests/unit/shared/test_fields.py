"""What the contracts' field types take, and in which form it is kept."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.fields import Moment, in_milliseconds
from tests.extremes import MOMENTS, MOMENTS_BEYOND

MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_moment_within_the_calendar_in_utc_is_taken_as_it_was_written(moment: str) -> None:
    taken = MOMENT.validate_json(f'"{moment}"', strict=True)
    assert taken.isoformat()[:19] == moment[:19]
    assert 1 <= taken.astimezone(UTC).year <= 9999


@pytest.mark.parametrize("moment", MOMENTS_BEYOND)
def test_a_moment_that_leaves_the_calendar_in_utc_is_refused_with_what_it_must_be(moment: str) -> None:
    with pytest.raises(ValidationError, match="within the years 0001 to 9999 in UTC"):
        MOMENT.validate_json(f'"{moment}"', strict=True)


def test_a_moment_is_kept_in_utc_and_whole_milliseconds() -> None:
    written = datetime(2026, 3, 29, 2, 30, 0, 123_999, tzinfo=timezone(timedelta(hours=2)))
    kept = in_milliseconds(written)
    assert (kept.isoformat(), kept.utcoffset()) == ("2026-03-29T00:30:00.123000+00:00", timedelta(0))
