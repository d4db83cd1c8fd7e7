"""What the vehicle does not believe of an EVSE: answers that fit no request, numbers that cannot be."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118.checks import limits_problem
from pyiso15118.commands import StopCharging, UpdateAcVehicle, UpdateDcVehicle
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import EvccConfig, EvccMachine, State
from pyiso15118.events import (
    AcLimits,
    AcPower,
    ChargingStarted,
    ChargingStopped,
    ControlMode,
    DcLimits,
    EndReason,
    EnergyNeeds,
    EnergyService,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.timers import EvccTimers

Code = ct.responseCodeType
rational = ct.RationalNumberType.of


def told_lies(bench: Any, name: str, lie: Callable[[Any], Any], evse: Any = None, **config: Any) -> Any:
    """A whole session in which every ``name`` is changed by ``lie`` on its way to the vehicle."""
    session = bench(evse, **config)
    session.evse.bend(name, lie)
    return session.run(60.0)


def changing(**changes: Any) -> Callable[[Any], Any]:
    return lambda message: msgspec.structs.replace(message, **changes)


def changing_mode(field: str, **changes: float) -> Callable[[Any], Any]:
    def lie(message: Any) -> Any:
        mode = msgspec.structs.replace(getattr(message, field), **{k: rational(v) for k, v in changes.items()})
        return msgspec.structs.replace(message, **{field: mode})

    return lie


def zero_id(message: Any) -> Any:
    header = msgspec.structs.replace(message.Header, SessionID=bytes(8))
    return msgspec.structs.replace(message, Header=header)


@pytest.mark.parametrize(
    ("name", "lie", "complaint"),
    [
        ("supportedAppProtocolRes", changing(SchemaID=99), "SchemaID 99, offered was 1"),
        ("supportedAppProtocolRes", changing(SchemaID=None), "SchemaID None"),
        ("SessionSetupRes", changing(ResponseCode=Code.OK_OldSessionJoined), "did not ask for"),
        ("SessionSetupRes", zero_id, "names no session"),
        ("ServiceDetailRes", changing(ServiceID=1), "for service 1, asked was 6"),
        ("ServiceSelectionRes", changing(ResponseCode=Code.OK_OldSessionJoined), "does not belong to it"),
        ("DC_ChargeLoopRes", changing(ResponseCode=Code.OK_NewSessionEstablished), "does not belong to it"),
        ("DC_ChargeLoopRes", changing(EVSEPresentCurrent=rational(2e9)), "EVSEPresentCurrent is 2e+09"),
    ],
)
def test_an_answer_that_does_not_fit_the_request_ends_the_session(
    bench: Any, name: str, lie: Callable[[Any], Any], complaint: str
) -> None:
    session = told_lies(bench, name, lie)
    assert session.end.reason is EndReason.FAILED_BY_PEER
    assert complaint in session.end.detail
    kinds = [type(e) for e in session.told]
    assert (ChargingStopped in kinds) is (name == "DC_ChargeLoopRes")


@pytest.mark.parametrize("code", [c for c in Code if c.startswith("WARNING")])
def test_a_warning_at_power_delivery_start_is_no_start(bench: Any, code: Code) -> None:
    session = told_lies(bench, "PowerDeliveryRes", changing(ResponseCode=code))
    assert ChargingStarted not in [type(e) for e in session.told]
    assert ChargingStopped in [type(e) for e in session.told]
    sent = session.sent
    assert "DC_ChargeLoopReq" not in sent
    assert sent[-1] == "SessionStopReq"
    assert session.end.reason is EndReason.FAILED_BY_US
    assert code in session.end.detail


def test_stopping_right_after_session_setup_says_so_to_the_evse(bench: Any) -> None:
    session = bench()
    session.until(State.AUTHORIZATION_SETUP)
    session.command(StopCharging())
    session.run()
    assert session.sent[-1] == "SessionStopReq"
    assert session.end.reason is EndReason.STOPPED


@pytest.mark.parametrize(
    "changes",
    [
        {"EVSEMaximumChargePower": -1.0},
        {"EVSEMaximumChargeCurrent": 2e9},
        {"EVSEMinimumVoltage": 950.0},
        {"EVSEMinimumDischargePower": 30_000.0},
    ],
)
def test_impossible_limits_at_parameter_discovery_end_the_session_properly(bench: Any, changes: Any) -> None:
    lie = changing_mode("DC_CPDResEnergyTransferMode", **changes)
    session = told_lies(bench, "DC_ChargeParameterDiscoveryRes", lie)
    assert session.sent[-1] == "SessionStopReq"
    assert "the EVSE's m" in session.end.detail


@pytest.mark.parametrize(
    ("changes", "zero"),
    [
        ({"EVSEMaximumChargePower": -1.0}, "max_charge_power_w"),
        ({"EVSEMinimumChargePower": 30_000.0}, "max_charge_power_w"),
        ({"EVSEMaximumDischargeCurrent": 2e9}, "max_discharge_current_a"),
        ({"EVSEMaximumVoltage": -400.0}, "max_discharge_power_w"),
        ({"EVSEMinimumVoltage": 930.0}, "max_charge_power_w"),
    ],
)
def test_impossible_limits_in_the_loop_take_power_away(bench: Any, changes: Any, zero: str) -> None:
    session = told_lies(bench, "DC_ChargeLoopRes", changing_mode("CLResControlMode", **changes))
    answered = session.loop_answers[0]
    assert limits_problem(answered.limits) is None
    assert getattr(answered.limits, zero) == 0
    assert (answered.limits.min_voltage_v, answered.limits.max_voltage_v) == (150, 920)


# ---- the setup timer ----


def test_the_setup_timer_runs_from_plug_in() -> None:
    timers = EvccTimers(message_s=30.0)
    machine = EvccMachine(EvccConfig(evccid="X", timers=timers), random=bytes, unix_offset_s=0.0)
    machine.start(15.0, plugged_in_at=1.0)
    assert machine.next_deadline() == 21.0
    machine.handle_timer(20.9)
    assert not machine.closed
    machine.handle_timer(21.0)
    assert machine.closed


def test_the_message_timer_runs_from_the_start() -> None:
    machine = EvccMachine(EvccConfig(evccid="X"), random=bytes, unix_offset_s=0.0)
    machine.start(15.0, plugged_in_at=1.0)
    assert machine.next_deadline() == 17.0


def test_nobody_plugs_in_after_the_start() -> None:
    machine = EvccMachine(EvccConfig(evccid="X"), random=bytes, unix_offset_s=0.0)
    with pytest.raises(LocalProtocolError, match="later than now"):
        machine.start(15.0, plugged_in_at=15.1)
    machine.start(15.0)
    assert machine.next_deadline() == 17.0


def test_a_late_timer_gives_up_instead_of_asking_once_more(bench: Any) -> None:
    session = bench(timers=EvccTimers(ongoing_s=1.0, ongoing_period_s=2.0))
    session.evse.bend("AuthorizationRes", changing(EVSEProcessing=ct.processingType.Ongoing))
    session.run(stop=lambda: session.machine.state is State.AUTHORIZATION and not session.machine._awaiting)
    session.machine.handle_timer(session.now + 60.0)
    session.run()
    assert session.sent.count("AuthorizationReq") == 1
    assert "Authorization was not finished in time" in session.end.detail


# ---- AC ----


@pytest.mark.parametrize(
    "changes", [{"EVSEMaximumChargePower": -1.0}, {"EVSEMinimumChargePower": 30_000.0}, {"EVSEMaximumChargePower": 2e9}]
)
def test_impossible_ac_limits_end_the_session_properly(bench: Any, evse: Any, changes: Any) -> None:
    lie = changing_mode("AC_CPDResEnergyTransferMode", **changes)
    services = (EnergyService.AC,)
    session = told_lies(bench, "AC_ChargeParameterDiscoveryRes", lie, evse(services), services=services)
    assert session.sent[-1] == "SessionStopReq"
    assert "the EVSE's m" in session.end.detail


@pytest.mark.parametrize(
    ("service", "told", "kept"), [("AC", -500.0, 0.0), ("AC_BPT", -500.0, -500.0), ("AC", 2e9, 0.0)]
)
def test_impossible_ac_targets_become_zero(bench: Any, evse: Any, service: str, told: float, kept: float) -> None:
    services = (EnergyService[service],)
    lie = changing_mode("CLResControlMode", EVSETargetActivePower=told)
    session = told_lies(bench, "AC_ChargeLoopRes", lie, evse(services), services=services)
    assert session.loop_answers[0].target_active_power == AcPower(kept)
    assert session.end.reason is EndReason.STOPPED


def test_an_impossible_measurement_of_an_ac_evse_ends_the_session(bench: Any, evse: Any) -> None:
    services = (EnergyService.AC_BPT,)
    lie = changing_mode("CLResControlMode", EVSEPresentActivePower_L2=1.0, EVSEPresentActivePower=-2e9)
    session = told_lies(bench, "AC_ChargeLoopRes", lie, evse(services), services=services)
    assert session.end.reason is EndReason.FAILED_BY_PEER
    assert "EVSEPresentActivePower" in session.end.detail
    assert ChargingStopped in session.told_kinds


# ---- scheduled mode ----


def test_schedules_of_the_other_mode_end_the_session(bench: Any, scheduled: Any) -> None:
    lie = changing(Scheduled_SEResControlMode=None, Dynamic_SEResControlMode=cm.Dynamic_SEResControlModeType())
    session = told_lies(bench, "ScheduleExchangeRes", lie, scheduled)
    assert session.end.reason is EndReason.FAILED_BY_PEER
    assert "scheduled mode" in session.end.detail


def test_a_loop_response_of_the_other_mode_ends_the_session(bench: Any, evse: Any) -> None:
    station = evse(mode=ControlMode.SCHEDULED)
    session = bench(station, loops=1000).looped()
    station.mode = ControlMode.DYNAMIC
    session.run()
    assert "in the charge loop of scheduled mode" in session.end.detail
    assert ChargingStopped in session.told_kinds


# ---- the owner's nonsense ----


@pytest.mark.parametrize(
    "changes",
    [
        {"present_voltage_v": None},
        {"target_voltage_v": "400"},
        {"present_voltage_v": True},
        {"limits": "none"},
        {"limits": DcLimits(max_charge_power_w=None, max_charge_current_a=1, max_voltage_v=1, min_voltage_v=0)},
        {"needs": None},
        {"needs": EnergyNeeds(target_energy_wh="much")},
        {"needs": EnergyNeeds(departure_time_s=1.5)},
        {"needs": EnergyNeeds(min_soc_pct=True)},
        {"present_soc_pct": 50.0},
        {"battery_capacity_wh": float("nan")},
        {"target_current_a": float("inf")},
    ],
)
def test_a_vehicle_that_cannot_be_is_refused(vehicle: UpdateDcVehicle, changes: dict[str, Any]) -> None:
    machine = EvccMachine(EvccConfig(evccid="X"), random=bytes, unix_offset_s=0.0)
    with pytest.raises(LocalProtocolError):
        machine.command(replace(vehicle, **changes), 0.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"limits": DcLimits(max_charge_power_w=1, max_charge_current_a=1, max_voltage_v=1, min_voltage_v=0)},
        {"limits": AcLimits(max_charge_power=AcPower(-1.0))},
        {"limits": AcLimits(max_charge_power=AcPower(1.0, float("nan")))},
        {"present_active_power": None},
        {"present_reactive_power": 5.0},
        {"needs": None},
    ],
)
def test_an_ac_vehicle_that_cannot_be_is_refused(ac_vehicle: UpdateAcVehicle, changes: dict[str, Any]) -> None:
    machine = EvccMachine(EvccConfig(evccid="X"), random=bytes, unix_offset_s=0.0)
    with pytest.raises(LocalProtocolError):
        machine.command(replace(ac_vehicle, **changes), 0.0)
