"""Loading beyond normal cyclic, by an engineer's leave that ends. Times in s."""

from __future__ import annotations

import math

import msgspec
import pytest

from v2g.thermal.authorisation import Authorisation, AuthorisationError, KeptAuthorisation
from v2g.thermal.limits import LONGEST_AUTHORISATION_S, Regime

LONG, SHORT, NORMAL = Regime.LONG_TIME_EMERGENCY, Regime.SHORT_TIME_EMERGENCY, Regime.NORMAL_CYCLIC
NOON = 1_700_000_000.0


def given(regime: Regime = LONG, duration_s: float = 4 * 3600.0, now_s: float = 1000.0) -> Authorisation:
    leave = Authorisation()
    leave.authorise(regime, "anna", duration_s, now_s)
    return leave


def test_without_leave_loading_is_normal() -> None:
    leave = Authorisation()
    assert (leave.regime(0.0), leave.left_s(0.0), leave.by(0.0)) == (NORMAL, None, "")
    assert leave.kept(0.0, NOON) is None


def test_it_holds_for_its_time_and_ends_by_itself() -> None:
    leave = given(duration_s=600.0)
    assert (leave.regime(1000.0), leave.left_s(1150.0), leave.by(1599.9)) == (LONG, 450.0, "anna")
    assert (leave.regime(1600.0), leave.left_s(1600.0), leave.by(1600.0)) == (NORMAL, None, "")


def test_what_has_ended_does_not_come_back() -> None:
    leave = given(duration_s=600.0)
    assert leave.regime(1600.0) is NORMAL
    assert leave.regime(1500.0) is NORMAL


@pytest.mark.parametrize("now_s", [999.0, math.nan])
def test_a_clock_from_before_it_was_given_ends_it(now_s: float) -> None:
    assert given().regime(now_s) is NORMAL


def test_the_newest_takes_the_place_of_the_one_before() -> None:
    leave = given()
    leave.authorise(SHORT, "ben", 60.0, 1100.0)
    assert (leave.regime(1101.0), leave.left_s(1101.0), leave.by(1101.0)) == (SHORT, 59.0, "ben")
    leave.authorise(NORMAL, "ben", 0.0, 1102.0)
    assert leave.regime(1103.0) is NORMAL


@pytest.mark.parametrize("regime", [LONG, SHORT])
@pytest.mark.parametrize("excess", [-math.inf, 0.0, math.nan, math.inf, None])
def test_a_duration_beyond_its_range_is_refused_and_the_one_before_stands(regime: Regime, excess: float | None) -> None:
    leave, longest_s = given(), LONGEST_AUTHORISATION_S[regime]
    with pytest.raises(AuthorisationError, match=f"{regime.value} cannot be authorised"):
        leave.authorise(regime, "ben", longest_s + 1.0 if excess is None else excess, 1100.0)
    assert (leave.regime(1100.0), leave.by(1100.0)) == (LONG, "anna")
    leave.authorise(regime, "ben", longest_s, 1100.0)
    assert leave.regime(1100.0) is regime


def restarted(kept: KeptAuthorisation, unix_s: float) -> tuple[Authorisation, str]:
    kept = msgspec.json.decode(msgspec.json.encode(kept), type=KeptAuthorisation)
    leave = Authorisation()
    return leave, leave.recall(kept, 5.0, unix_s)


def test_it_survives_a_restart_and_not_its_end() -> None:
    kept = given(duration_s=3600.0).kept(1600.0, NOON)
    assert kept is not None
    leave, words = restarted(kept, NOON + 600.0)
    assert (words, leave.regime(5.0), leave.left_s(5.0), leave.by(5.0)) == ("", LONG, 2400.0, "anna")
    assert leave.regime(5.0 + 2400.0) is NORMAL
    assert restarted(kept, NOON + 3000.0)[0].regime(5.0) is NORMAL


def test_it_is_dropped_when_the_clock_went_back() -> None:
    kept = given().kept(1600.0, NOON)
    assert kept is not None
    leave, words = restarted(kept, NOON - 1.0)
    assert leave.regime(5.0) is NORMAL
    assert "authorisation of long_time_emergency by anna is dropped: the clock went back" in words


@pytest.mark.parametrize("until_s", [1801.0, math.inf])
def test_a_kept_one_that_nobody_could_have_given_is_dropped(until_s: float) -> None:
    leave = Authorisation()
    kept = KeptAuthorisation(regime=SHORT, by="anna", kept_unix_s=NOON, until_unix_s=NOON + until_s)
    assert "is dropped" in leave.recall(kept, 5.0, NOON)
    assert leave.regime(5.0) is NORMAL
