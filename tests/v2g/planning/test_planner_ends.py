"""How a plan ends that runs out of time, of rounds or of solved programmes."""

from __future__ import annotations

from math import inf

import pytest

from support.plan_cases import STARTS, fleet, heat_wave, request, site, street_w, vehicle
from support.plan_judge import assert_honest, made, only
from v2g.planning import planner
from v2g.planning.planner import NEGLIGIBLE_K, Detail, solve
from v2g.planning.programme import Programme
from v2g.planning.types import Plan, PlanRequest


def test_a_deadline_that_is_over_leaves_an_even_charge_and_says_what_to_do() -> None:
    asked = request(vehicle())
    plan = solve(asked, lambda: 100.0)
    assert_honest(asked, plan)
    assert plan.limited_by_deadline
    assert plan.simpler == (
        "no better plan was found within its deadline; give planning.deadline_s more, or horizon_h less"
    )
    one = only(plan)
    assert one.energy_wh[55] == pytest.approx(48_000.0, abs=50.0)
    assert max(one.power_w) < 1_500.0, "18 kWh in 14 h"


@pytest.mark.parametrize("seed", [43, 44])
def test_a_programme_that_fails_on_the_last_round_s_basis_is_solved_from_the_beginning(seed: int) -> None:
    asked = heat_wave(seed)
    plan = made(asked)
    assert_honest(asked, plan)
    assert not plan.simpler
    assert not plan.limited_by_deadline


def failing(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """HiGHS solves so many programmes and then no more."""
    once, calls = Programme._once, [0]

    def failed(programme: Programme, within_s: float) -> str:
        calls[0] += 1
        return once(programme, within_s) if calls[0] <= after else "Not Set"

    monkeypatch.setattr(Programme, "_once", failed)


def test_without_any_programme_solved_there_is_a_plan_within_all_limits_and_it_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing(monkeypatch, 0)
    eager = [
        vehicle(f"E{n}", target_wh=60_000.0, departs_in_s=6 * 3600.0, phases=(1.0, 0.0, 0.0) if n < 2 else (1 / 3,) * 3)
        for n in range(12)
    ]
    where = site(rated_va=100e3, base_w=(90e3,) * 96, ambient_c=(35.0,) * 96, hot_spot_limit_c=110.0, phase_w=30e3)
    asked = PlanRequest(starts_unix_s=STARTS, steps=96, site=where, vehicles=tuple(eager))
    plan = made(asked)
    assert_honest(asked, plan)
    assert plan.simpler == "no better plan was found: Not Set"
    assert not plan.limited_by_deadline
    assert sum(plan.net_w) > 0.0
    told = [each.because for each in plan.relaxations if each.evse_id]
    assert told
    assert all(because.endswith("the search for a better plan ended without one") for because in told)


def test_where_a_later_round_fails_the_verified_one_before_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "_COOL_K", inf)
    asked, whole = request(*fleet(4)), Detail()
    made(asked, whole)
    assert len(whole.stages) > 1
    failing(monkeypatch, len(whole.stages[0]))
    plan = made(asked)
    assert_honest(asked, plan)
    assert (plan.simpler, plan.limited_by_deadline) == ("", False)


def test_rounds_that_never_keep_a_limit_end_in_the_last_powers_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    where = site(
        48, rated_va=48e3, base_w=street_w(48, 48e3, 0.95), ambient_c=(36.0,) * 48, hot_spot_limit_c=110.0
    )  # fmt: skip
    eager = [vehicle(f"E{n}", target_wh=60_000.0, departs_in_s=6 * 3600.0, max_discharge_w=0.0) for n in range(12)]
    asked = PlanRequest(starts_unix_s=STARTS, steps=48, site=where, vehicles=tuple(eager))
    served_wh = sum(made(asked).net_w)
    monkeypatch.setattr(planner, "_UNTIL_KEPT", 1)
    whole = Detail()
    plan = made(asked, whole)
    assert whole.over_k[0] > NEGLIGIBLE_K
    assert_honest(asked, plan)
    assert plan.simpler == "no better plan that keeps all limits by the thermal model was found in 1 rounds"
    assert 0.8 * served_wh < sum(plan.net_w) <= 1.01 * served_wh


def after_one_round(asked: PlanRequest) -> Plan:
    """As if the deadline passed when the first round is over."""
    calls, whole = [0], Detail()
    made(asked, whole)

    def elapsed() -> float:
        calls[0] += 1
        return 0.0 if calls[0] <= len(whole.stages[0]) else 100.0

    plan = solve(asked, elapsed)
    assert plan.rounds == 1
    assert_honest(asked, plan)
    return plan


def test_one_round_that_agrees_with_the_model_is_enough_where_time_is_short() -> None:
    assert not after_one_round(request(*fleet(4))).limited_by_deadline


@pytest.mark.soak
def test_a_round_that_does_not_agree_is_told_to_be_all_there_was_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "AGREES_K", 0.0)
    assert after_one_round(request(*fleet(4))).limited_by_deadline


def test_a_deadline_before_the_drivers_are_served_is_what_stands_in_their_way() -> None:
    calls = [0]

    def elapsed() -> float:
        calls[0] += 1
        return 0.0 if calls[0] == 1 else 100.0

    plan = solve(request(vehicle("low", energy_wh=6_000.0), vehicle("high")), elapsed)
    assert plan.limited_by_deadline
    assert plan.vehicles[0].energy_wh[8] >= 17_900.0, "the first stage was solved"
    assert {each.because for each in plan.relaxations} == {"the search for a better plan ended at its deadline"}
