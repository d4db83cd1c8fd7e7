"""What stops energy at once: faults, silence and late bad news of the EVSE, impossible numbers of the vehicle."""

from typing import Any

import msgspec
import pytest

from pyiso15118.checks import limits_problem
from pyiso15118.commands import Authorize, CableCheckFinished
from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import (
    ContactorRequested,
    EndReason,
    EnergyService,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    PreChargeRequested,
    SessionEnded,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import State

Code = ct.responseCodeType
Progress = cm.chargeProgressType
rational = ct.RationalNumberType.of


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"fault": "insulation lost"}, Code.FAILED),
        ({"contactors_closed": False}, Code.FAILED_ContactorError),
    ],
)
def test_a_fault_stops_energy_at_once_and_for_good(
    secc_bench: Any, state: dict[str, Any], code: Code, answered: bool
) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    if answered:
        bench.ask(bench.request(State.CHARGE_LOOP))
    good = bench.evse
    bench.update(**state)
    assert isinstance(bench.told[-1], PowerDeliveryStopped)
    assert bench.sent() == []
    bench.command(good)
    request = bench.request(State.CHARGE_LOOP) if answered else bench.request(State.POWER_DELIVERY)
    assert bench.ask(request).ResponseCode is code
    assert sum(isinstance(e, PowerDeliveryStopped) for e in bench.events) == 1
    assert (bench.end.reason, bench.end.response_code) == (EndReason.FAILED_BY_US, code)


def test_a_state_that_goes_stale_stops_energy_without_a_request(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    assert bench.machine.next_deadline() == bench.now + 1.0
    bench.advance(1.01)
    assert isinstance(bench.told[-1], PowerDeliveryStopped)
    assert not bench.machine.closed
    bench.update()
    assert bench.ask(bench.request(State.CHARGE_LOOP)).ResponseCode is Code.FAILED
    assert "no state of the EVSE younger than 1 s while charging" in bench.end.detail


def test_a_request_that_finds_a_stale_state_before_the_timer_does_is_failed(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.now += 1.5
    request = bench.request(State.POWER_DELIVERY, ChargeProgress=Progress.Standby)
    assert bench.ask(request).ResponseCode is Code.FAILED
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]


@pytest.mark.parametrize("state", [State.PRE_CHARGE, State.POWER_DELIVERY, State.CHARGE_LOOP])
@pytest.mark.parametrize("late", [CableCheckFinished(passed=False, detail="80 ohm/V"), Authorize(granted=False)])
def test_a_cable_check_that_fails_late_and_a_withdrawn_authorisation_end_the_session(
    secc_bench: Any, state: State, late: Any
) -> None:
    bench = secc_bench().reach(state)
    bench.command(late)
    stopped = state is not State.PRE_CHARGE
    assert isinstance(bench.told[-1], PowerDeliveryStopped) is stopped
    assert bench.ask(bench.request(state)).ResponseCode is Code.FAILED
    assert ("80 ohm/V" if isinstance(late, CableCheckFinished) else "withdrawn") in bench.end.detail


def test_a_request_that_waits_when_authorisation_is_withdrawn_fails_at_once(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.POWER_DELIVERY)
    bench.update(present_voltage_v=300.0)
    assert bench.feed(bench.frame(bench.request(State.POWER_DELIVERY))) == []
    bench.command(Authorize(granted=False))
    assert [r.ResponseCode for r in bench.sent()] == [Code.FAILED]


def test_good_news_at_the_wrong_time_is_refused(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.PRE_CHARGE)
    for command in (CableCheckFinished(passed=True), Authorize(granted=True)):
        with pytest.raises(LocalProtocolError, match="over"):
            bench.command(command)
    bench.command(CableCheckFinished(passed=False))
    with pytest.raises(LocalProtocolError, match="after the cable check had failed"):
        bench.command(CableCheckFinished(passed=True))
    assert bench.ask(bench.request(State.PRE_CHARGE)).ResponseCode is Code.FAILED


@pytest.mark.parametrize(
    ("changes", "zero"),
    [
        ({"EVMaximumChargePower": -5}, ("max_charge_power_w",)),
        ({"EVMaximumChargePower": 2e9}, ("max_charge_power_w",)),
        ({"EVMinimumChargePower": 12_000}, ("max_charge_power_w", "min_charge_power_w")),
        ({"EVMaximumChargeCurrent": -1}, ("max_charge_current_a",)),
        ({"EVMaximumDischargePower": 2e9}, ("max_discharge_power_w",)),
        ({"EVMaximumVoltage": 0}, ("max_charge_power_w", "max_discharge_power_w", "max_charge_current_a")),
        ({"EVMinimumVoltage": -10}, ("max_charge_power_w", "max_discharge_power_w")),
        ({"EVMinimumVoltage": 500}, ("max_charge_power_w", "max_discharge_power_w")),
        ({"EVMinimumEnergyRequest": -2e9}, ("max_charge_power_w", "max_discharge_power_w")),
    ],
)
def test_impossible_numbers_in_the_loop_take_power_away(
    secc_bench: Any, changes: dict[str, float], zero: tuple[str, ...]
) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    mode = bench.request(State.CHARGE_LOOP).CLReqControlMode
    mode = msgspec.structs.replace(mode, **{name: rational(value) for name, value in changes.items()})
    assert bench.ask(bench.request(State.CHARGE_LOOP, CLReqControlMode=mode)).ResponseCode is Code.OK
    limits = bench.told[-1].limits
    assert limits_problem(limits) is None
    assert [getattr(limits, name) for name in zero] == [0.0] * len(zero)
    assert (limits.min_voltage_v, limits.max_voltage_v) == (300, 450)


def test_the_vehicles_voltages_reach_the_owner_within_range(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.PRE_CHARGE)
    bench.ask(bench.request(State.PRE_CHARGE, EVPresentVoltage=rational(-20)))
    assert next(e for e in bench.told if isinstance(e, PreChargeRequested)).ev_present_voltage_v == 0
    bench.reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP, EVPresentVoltage=rational(3e12)))
    assert bench.told[-1].ev_present_voltage_v == 1e9


def test_an_impossible_energy_in_schedule_exchange_fails(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.SCHEDULE_EXCHANGE)
    mode = bench.request(State.SCHEDULE_EXCHANGE).Dynamic_SEReqControlMode
    mode = msgspec.structs.replace(mode, EVMaximumEnergyRequest=rational(2e9))
    request = bench.request(State.SCHEDULE_EXCHANGE, Dynamic_SEReqControlMode=mode)
    assert bench.ask(request).ResponseCode is Code.FAILED
    assert "max_energy_wh is 2e+09" in bench.end.detail


STARTS = [State.CHARGE_PARAMETER_DISCOVERY, State.CABLE_CHECK, State.PRE_CHARGE, State.POWER_DELIVERY]


@pytest.mark.parametrize("state", STARTS)
def test_no_charging_starts_on_a_faulted_dc_evse(secc_bench: Any, state: State) -> None:
    bench = secc_bench().reach(state)
    bench.update(fault="emergency stop")
    response = bench.ask(bench.request(state))
    assert response.ResponseCode.startswith("FAILED")
    assert "emergency stop" in bench.end.detail
    assert not any(isinstance(e, PowerDeliveryStarted) for e in bench.told)


@pytest.mark.parametrize("state", [State.CHARGE_PARAMETER_DISCOVERY, State.POWER_DELIVERY])
def test_no_charging_starts_on_a_faulted_ac_evse(secc_bench: Any, state: State) -> None:
    bench = secc_bench(service=EnergyService.AC).reach(state)
    bench.update(fault="emergency stop")
    assert bench.ask(bench.request(state)).ResponseCode.startswith("FAILED")
    assert not any(isinstance(e, PowerDeliveryStarted | ContactorRequested) for e in bench.told)


def test_a_fault_while_the_contactor_is_awaited_fails_at_once(secc_bench: Any) -> None:
    bench = secc_bench(service=EnergyService.AC).reach(State.POWER_DELIVERY)
    bench.answers.clear()
    assert bench.feed(bench.frame(bench.request(State.POWER_DELIVERY))) == []
    bench.update(fault="welded")
    assert [r.ResponseCode for r in bench.sent()] == [Code.FAILED_PowerDeliveryNotApplied]
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]


@pytest.mark.parametrize("state", [State.SCHEDULE_RENEGOTIATION, State.POWER_DELIVERY_AGAIN])
def test_a_fault_while_a_schedule_is_renegotiated_stops_energy_at_once(secc_bench: Any, state: State) -> None:
    bench = secc_bench().reach(state)
    bench.update(fault="hot")
    assert any(isinstance(e, PowerDeliveryStopped) for e in bench.told)
    assert bench.ask(bench.request(state)).ResponseCode is Code.FAILED
