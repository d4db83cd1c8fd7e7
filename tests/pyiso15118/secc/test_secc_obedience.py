"""A vehicle that does not keep to what it was granted is seen, once each time it begins."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyiso15118.events import AcPower, ControlMode, DcLimits, EnergyService, LimitIgnored
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import PowerWatch, flat_schedule, follow
from pyiso15118.secc import ParameterSet, SeccConfig, State
from pyiso15118.secc.obedience import Obedience, judge

Code = ct.responseCodeType
LIMITS = DcLimits(max_charge_power_w=1.0, max_charge_current_a=1.0, max_voltage_v=1.0, min_voltage_v=0.0)
CONFIG = SeccConfig(evse_id="E", limits=LIMITS, limit_tolerance=0.05, limit_tolerance_w=200.0, limit_follow_s=5.0)


def ignored(bench: Any) -> list[LimitIgnored]:
    return [e for e in bench.told if isinstance(e, LimitIgnored)]


def turn(bench: Any, seconds: float = 0.25) -> Any:
    bench.advance(seconds)
    bench.update()
    return bench.ask(bench.request(State.CHARGE_LOOP))


# ---- in the DC loop ----


def test_a_dc_vehicle_that_draws_more_than_granted_is_seen_once(secc_bench: Any, evse_limits: DcLimits) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.update(limits=replace(evse_limits, max_charge_power_w=8_000.0), present_current_a=22.0)
    turn(bench)
    for _ in range(3):
        turn(bench)
    assert ignored(bench) == [LimitIgnored(granted_w=8_000.0, measured_w=8_800.0)]
    bench.update(present_current_a=20.0)
    turn(bench)
    bench.update(present_current_a=30.0)
    turn(bench)
    assert ignored(bench)[1:] == [LimitIgnored(granted_w=8_000.0, measured_w=12_000.0)]


def test_a_dc_vehicle_that_gives_more_than_granted_is_seen(secc_bench: Any, evse_limits: DcLimits) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.update(limits=replace(evse_limits, max_discharge_power_w=0.0), present_current_a=-5.0)
    turn(bench)
    turn(bench)
    assert ignored(bench) == [LimitIgnored(granted_w=-0.0, measured_w=-2_000.0)]


def test_a_lowered_limit_may_be_followed_for_a_while(secc_bench: Any, evse_limits: DcLimits) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.update(present_current_a=50.0)
    turn(bench)
    bench.update(limits=replace(evse_limits, max_charge_power_w=4_000.0))
    lowered_at = bench.now
    turn(bench, 0.0)
    while bench.now - lowered_at < 5.0:
        assert ignored(bench) == []
        turn(bench)
    turn(bench)
    assert ignored(bench) == [LimitIgnored(granted_w=4_000.0, measured_w=20_000.0)]


def test_in_standby_nothing_is_granted(secc_bench: Any) -> None:
    bench = secc_bench(limit_follow_s=1.0).reach(State.CHARGE_LOOP)
    bench.update(present_current_a=50.0)
    bench.reach(State.STANDBY)
    for _ in range(5):
        turn(bench)
    assert ignored(bench) == [LimitIgnored(granted_w=0.0, measured_w=20_000.0)]


# ---- in the AC loop ----


@pytest.mark.parametrize("by_meter", [False, True])
def test_an_ac_vehicle_is_measured_by_the_evse_or_by_its_own_word(secc_bench: Any, by_meter: bool) -> None:
    bench = secc_bench(service=EnergyService.AC_BPT).reach(State.CHARGE_LOOP)
    bench.update(target_active_power=AcPower(6_000.0))
    if by_meter:
        bench.update(present_active_power=AcPower(2_000.0, 2_000.0, 2_000.0))
    turn(bench)
    turn(bench)
    assert ignored(bench) == ([] if by_meter else [LimitIgnored(granted_w=6_000.0, measured_w=9_000.0)])


def test_an_ac_set_point_bounds_both_directions(secc_bench: Any) -> None:
    bench = secc_bench(service=EnergyService.AC_BPT).reach(State.CHARGE_LOOP)
    bench.update(target_active_power=AcPower(-3_000.0), present_active_power=AcPower(1_000.0))
    turn(bench)
    turn(bench)
    assert ignored(bench) == [LimitIgnored(granted_w=0.0, measured_w=1_000.0)]


# ---- in scheduled mode ----


@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC_BPT])
def test_a_vehicle_off_its_plan_is_warned_as_long_as_it_is(secc_bench: Any, service: EnergyService) -> None:
    scheduled = ParameterSet(id=1, control_mode=ControlMode.SCHEDULED)
    bench = secc_bench(service=service, parameter_set=scheduled, limit_follow_s=1.0).reach(State.SCHEDULE_EXCHANGE)
    bench.offered = (flat_schedule(8_000.0),)
    bench.reach(State.CHARGE_LOOP)
    much = {"present_active_power": AcPower(9_500.0)} if service.is_ac else {"present_current_a": 23.75}
    less = {"present_active_power": AcPower(7_000.0)} if service.is_ac else {"present_current_a": 17.5}
    bench.update(**(less | ({"target_active_power": None} if service.is_ac else {})))
    assert turn(bench).ResponseCode is Code.OK
    bench.update(**much)
    assert [turn(bench).ResponseCode for _ in range(4)] == [Code.OK] * 4
    assert [turn(bench).ResponseCode for _ in range(2)] == [Code.WARNING_EVPowerProfileViolation] * 2
    bench.update(**less)
    assert turn(bench).ResponseCode is Code.OK
    assert bench.machine.state is State.CHARGE_LOOP
    assert ignored(bench) == []


# ---- alone ----


def test_nothing_is_judged_before_something_was_granted() -> None:
    assert judge(Obedience(), 1e6, now=0.0, unix_s=0.0, config=CONFIG) == (Obedience(), (), False)


def test_nothing_changes_while_the_vehicle_obeys() -> None:
    obedience = Obedience().grant(1_000.0, 500.0, 0.0, 5.0)
    assert obedience.grant(1_000.0, 500.0, 9.0, 5.0) is obedience
    for watts in (1_250.0, 0.0, -725.0):
        after, events, warned = judge(obedience, watts, now=9.0, unix_s=0.0, config=CONFIG)
        assert after is obedience
        assert (events, warned) == ((), False)


def test_a_limit_that_sinks_again_and_again_gives_no_endless_time() -> None:
    obedience, seen = Obedience().grant(10_000.0, 0.0, 0.0, 5.0), []
    for step in range(1, 60):
        now = step * 0.25
        obedience, events, _ = judge(obedience, 10_000.0, now=now, unix_s=0.0, config=CONFIG)
        seen += [(now, e) for e in events]
        obedience = obedience.grant(10_000.0 - 100.0 * step, 0.0, now, 5.0)
    assert len(seen) == 1
    # 0.75 s until a bound with tolerance first lies below the power, and five to follow it.
    assert 5.0 < seen[0][0] < 8.0


def test_a_raised_limit_holds_at_once() -> None:
    obedience = Obedience().grant(1_000.0, 0.0, 0.0, 5.0).grant(9_000.0, 0.0, 10.0, 5.0)
    assert obedience.passed_bound(9_000.0, 10.0, CONFIG) is None
    assert obedience.earlier_charge == ()


def test_being_off_the_plan_again_starts_the_time_anew() -> None:
    offer = flat_schedule(1_000.0, starts_at_unix_s=100)
    watch = PowerWatch(follow(offer), offer, margin_w=50.0)
    obedience, warned = Obedience(), []
    for now, watts in ((0.0, 2_000.0), (4.0, 2_000.0), (4.5, 900.0), (5.5, 2_000.0), (10.0, 2_000.0), (10.5, 2_000.0)):
        obedience, _, off = judge(obedience, watts, now=now, unix_s=200 + now, config=CONFIG, watch=watch)
        warned.append(off)
    assert warned == [False, False, False, False, False, True]


GRANTS = st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0.01, 3.0)), min_size=1, max_size=30)


@given(grants=GRANTS, watts=st.floats(-2e4, 2e4))
def test_what_some_grant_of_the_last_seconds_allows_is_obedience(grants: Any, watts: float) -> None:
    obedience, now, history = Obedience(), 0.0, []
    for charge, discharge, pause in grants:
        obedience = obedience.grant(charge, discharge, now, 5.0)
        history.append((now, charge, discharge))
        now += pause
    bounds = []
    for (since, charge, discharge), (until, *_) in zip(history, [*history[1:], (now + 1, 0, 0)], strict=True):
        if until + 5.0 > now or since == history[-1][0]:
            bounds.append(charge if watts >= 0 else discharge)
    within = abs(watts) <= max(bounds) * 1.05 + 200.0
    assert (obedience.passed_bound(watts, now, CONFIG) is None) is within
