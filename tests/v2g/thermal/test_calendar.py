from __future__ import annotations

import pytest

from v2g.thermal.calendar import DayType, LocalMinute


def test_the_doubled_hour_is_told_apart_by_the_minute_that_never_repeats() -> None:
    before = LocalMinute(29_355_900, DayType.SUNDAY, 150)
    after = LocalMinute(29_355_960, DayType.SUNDAY, 150)
    assert before != after
    assert (before.day_type, before.minute) == (after.day_type, after.minute)


def test_a_kind_of_day_survives_being_kept_as_a_number() -> None:
    assert [DayType(int(kind)) for kind in DayType] == list(DayType)
    with pytest.raises(ValueError, match="3 is not a valid DayType"):
        DayType(3)
