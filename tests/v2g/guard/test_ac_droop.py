"""A vehicle that droops as it was handed is no vehicle that disobeys; one that does not droop gets no allowance."""

from __future__ import annotations

import pytest

from support.ac_hand import Hand
from support.wires import guard
from v2g.grid.support import FrequencyDroop
from v2g.guard.ac_droop import DroopAllowance

DROOP = FrequencyDroop(db_of_hz=0.04, db_uf_hz=0.04, k_of=0.05, k_uf=0.05, response_s=2.0)


def test_the_allowance_is_the_droop_of_the_rating_and_fades_with_its_response() -> None:
    allowance = DroopAllowance(DROOP, 60.0, 10_000.0)
    assert allowance.update(60.0, 0.0) == (0.0, 0.0)
    assert allowance.update(61.0, 0.1) == (0.0, pytest.approx(3_200.0))
    assert allowance.update(59.0, 0.1) == (pytest.approx(3_200.0), pytest.approx(3_200.0))
    less_w, more_w = allowance.update(60.0, 1.1)
    assert 1_500.0 < more_w < 3_200.0
    assert less_w == pytest.approx(more_w)
    assert allowance.update(60.0, 30.0) == (pytest.approx(0.0, abs=1.0), pytest.approx(0.0, abs=1.0))


def test_an_unknown_frequency_allows_nothing_new() -> None:
    allowance = DroopAllowance(DROOP, 60.0, 10_000.0)
    assert allowance.update(None, 0.0) == (0.0, 0.0)
    assert allowance.update(float("nan"), 0.1) == (0.0, 0.0)


@pytest.mark.parametrize("handed", [True, False])
def test_more_than_it_is_told_counts_as_droop_only_where_one_was_handed(handed: bool) -> None:
    hand = Hand(6_000.0, droop=DROOP if handed else None)
    hand.view = guard(frequency_hz=60.9)
    hand.measured = {"total_w": 11_000.0}
    hand.step(4.0)
    assert hand.closed is handed
    hand.view = guard(frequency_hz=60.0)
    hand.step(20.0)
    assert not hand.closed, "at nominal frequency there is nothing to droop by"


def test_one_that_is_told_nothing_has_nothing_to_droop() -> None:
    hand = Hand(0.0, droop=DROOP)
    hand.view = guard(frequency_hz=60.9)
    hand.measured = {"total_w": 3_000.0}
    hand.step(4.0)
    assert not hand.closed
