"""From raw readings to a value that may be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from v2g.hardware.sensing import Sensing
from v2g.hardware.sensor_map import Channel, FileSource, Filter

NONE = Filter()


def sensing(filter_: Filter = NONE, factor: float = 1.0) -> Sensing:
    channel = Channel(
        name="top_oil_c", source=FileSource(Path("/x")), scale=0.1, offset=-5.0, minimum=-40.0, maximum=150.0,
        filter=filter_, max_age_s=5.0,
    )  # fmt: skip
    return Sensing(channel, factor)


def test_scale_offset_and_calibrated_factor_make_the_value() -> None:
    oil = sensing(factor=1.02)
    assert oil.look(0.0) == (None, None, "not read yet", None)
    oil.take(650, 10.0)
    assert oil.look(12.0) == (pytest.approx((65.0 - 5.0) * 1.02), 10.0, "", 650)


@pytest.mark.parametrize("raw", [32767, float("nan"), float("inf"), -400])
def test_an_implausible_value_is_not_believed_and_the_one_before_ages(raw: float) -> None:
    oil = sensing()
    oil.take(650, 10.0)
    oil.take(raw, 11.0)
    assert oil.look(14.0).value == 60.0
    assert "outside -40..150" in oil.look(14.0).problem
    old = oil.look(15.5)
    assert old.value is None
    assert old.problem.startswith("5.5 s old, 5 s are allowed: top_oil_c reads")


def test_an_old_value_is_none_and_so_is_one_of_an_unknown_age() -> None:
    oil = sensing()
    oil.take(650, 10.0)
    assert oil.look(float("nan")).value is None


def test_the_median_takes_a_single_outlier_away() -> None:
    oil = sensing(Filter(median=3))
    values = []
    for at_s, raw in enumerate((650, 650, 1400, 660, 660)):
        oil.take(raw, float(at_s))
        values.append(oil.look(float(at_s)).value)
    assert values == [60.0, 60.0, 60.0, 61.0, 61.0]


def test_the_first_order_filter_reaches_63_percent_after_its_time_constant_and_begins_anew_after_a_gap() -> None:
    oil = sensing(Filter(time_constant_s=2.0))
    oil.take(50, 0.0)
    oil.take(1050, 2.0)
    assert oil.look(2.0).value == pytest.approx(100.0 * 0.63212, abs=0.01)
    oil.take(1050, 20.0)
    assert oil.look(20.0).value == pytest.approx(100.0)
