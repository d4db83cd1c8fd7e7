"""Each step's failure has causes and a remedy; what was measured changes them."""

from __future__ import annotations

import pytest

from pyiso15118.slac.attenuation import Attenuation
from pyiso15118.slac.events import Step
from v2g.plc.causes import explain, notched_mhz, weak


def flat(db: float, groups: int = 58) -> Attenuation:
    return Attenuation(groups_db=(db,) * groups, sounds=10)


@pytest.mark.parametrize("step", list(Step))
def test_every_step_has_causes_and_a_remedy_of_its_own(step: Step) -> None:
    found = explain(step, None, warn_db=20.0)
    assert len(found.likely) > 20
    assert len(found.remedy) > 20
    assert not found.likely.endswith(".")
    others = [explain(other, None, warn_db=20.0) for other in Step if other is not step]
    assert found not in others


def test_a_weak_signal_is_the_first_suspicion_wherever_it_fails() -> None:
    for step in (Step.ATTEN_CHAR, Step.MATCH, Step.LINK):
        assert explain(step, flat(35.0), warn_db=20.0).likely.startswith("the signal is too weak")
        assert not explain(step, flat(12.0), warn_db=20.0).likely.startswith("the signal is too weak")
    assert weak(flat(25.0)).likely.startswith("the signal is too weak")


def test_a_pilot_without_five_percent_is_named_where_it_is_measured() -> None:
    assert "the pilot offers 100 %" in explain(Step.PARM, None, warn_db=20.0, pilot_duty_pct=100.0).likely
    assert "the pilot offers" not in explain(Step.PARM, None, warn_db=20.0, pilot_duty_pct=5.0).likely


def test_two_vehicles_with_one_address_and_a_crowd_are_named() -> None:
    twins = explain(Step.SOUND, None, warn_db=20.0, reason="two vehicles call themselves 02:00 and sound at once")
    assert "same MAC address" in twins.likely
    crowd = explain(Step.PARM, None, warn_db=20.0, reason="5 vehicles match here already")
    assert "plc.parallel_matchings" in crowd.remedy


def test_a_notch_is_found_and_named_by_its_frequencies() -> None:
    levels = [10.0] * 58
    levels[20] = 40.0
    ((low, high),) = notched_mhz(levels)
    assert (round(low, 1), round(high, 1)) == (10.8, 11.3)
    told = explain(Step.MATCH, Attenuation(groups_db=tuple(levels), sounds=10), warn_db=20.0)
    assert "(something takes the signal at 10.8-11.3 MHz)" in told.likely


def test_a_level_that_rises_towards_the_edge_is_no_notch() -> None:
    assert notched_mhz([10.0 + 0.4 * at for at in range(58)]) == []
    assert notched_mhz([]) == []
    assert notched_mhz([50.0]) == []
