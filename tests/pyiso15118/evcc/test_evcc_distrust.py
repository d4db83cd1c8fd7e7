"""What the vehicle does not believe of an EVSE: answers that fit no request, numbers that cannot be."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118.commands import StopCharging, UpdateVehicle
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import EvccConfig, EvccMachine, State
from pyiso15118.events import (
    ChargeLoopAnswered,
    ChargingStarted,
    ChargingStopped,
    DcLimits,
    EndReason,
    EnergyNeeds,
    MessageSent,
    SessionEnded,
)
from pyiso15118.machine import limits_problem
from pyiso15118.messages import common_types as ct
from pyiso15118.timers import EvccTimers

Code = ct.responseCodeType
rational = ct.RationalNumberType.of


def told_lies(pair: Any, name: str, lie: Callable[[Any], Any], **pair_args: Any) -> Any:
    """A whole session in which every ``name`` is changed by ``lie`` on its way to the vehicle."""
    session = pair(**pair_args)
    send = session.secc.machine._send

    def twisted(namespace: Any, message: Any) -> bool:
        result: bool = send(namespace, lie(message) if type(message).__name__ == name else message)
        return result

    session.secc.machine._send = twisted
    session.run(60.0)
    return session


def changing(**changes: Any) -> Callable[[Any], Any]:
    return lambda message: msgspec.structs.replace(message, **changes)


def changing_mode(field: str, **changes: float) -> Callable[[Any], Any]:
    def lie(message: Any) -> Any:
        mode = msgspec.structs.replace(getattr(message, field), **{k: rational(v) for k, v in changes.items()})
        return msgspec.structs.replace(message, **{field: mode})

    return lie


def end(session: Any) -> SessionEnded:
    last = session.evcc_events[-1]
    assert isinstance(last, SessionEnded)
    return last


def zero_id(message: Any) -> Any:
    header = msgspec.structs.replace(message.Header, SessionID=bytes(8))
    return msgspec.structs.replace(message, Header=header)


@pytest.mark.parametrize(
    ("name", "lie", "complaint"),
    [
        ("supportedAppProtocolRes", changing(SchemaID=99), "SchemaID 99, offered was 1"),
        ("supportedAppProtocolRes", changing(SchemaID=None), "SchemaID None"),
        ("SessionSetupRes", zero_id, "names no session"),
        ("ServiceDetailRes", changing(ServiceID=1), "for service 1, asked was 6"),
        ("ServiceSelectionRes", changing(ResponseCode=Code.OK_OldSessionJoined), "does not belong to it"),
        ("DC_ChargeLoopRes", changing(ResponseCode=Code.OK_NewSessionEstablished), "does not belong to it"),
        ("DC_ChargeLoopRes", changing(EVSEPresentCurrent=rational(2e9)), "EVSEPresentCurrent is 2e+09"),
    ],
)
def test_an_answer_that_does_not_fit_the_request_ends_the_session(
    pair: Any, name: str, lie: Callable[[Any], Any], complaint: str
) -> None:
    session = told_lies(pair, name, lie)
    assert end(session).reason is EndReason.FAILED_BY_PEER
    assert complaint in end(session).detail
    kinds = [type(e) for e in session.evcc_told]
    assert (ChargingStopped in kinds) is (name == "DC_ChargeLoopRes")


@pytest.mark.parametrize("code", [c for c in Code if c.startswith("WARNING")])
def test_a_warning_at_power_delivery_start_is_no_start(pair: Any, code: Code) -> None:
    session = told_lies(pair, "PowerDeliveryRes", changing(ResponseCode=code))
    assert ChargingStarted not in [type(e) for e in session.evcc_told]
    assert ChargingStopped in [type(e) for e in session.evcc_told]
    sent = [e.name for e in session.evcc_events if isinstance(e, MessageSent)]
    assert "DC_ChargeLoopReq" not in sent
    assert sent[-1] == "SessionStopReq"
    assert end(session).reason is EndReason.FAILED_BY_US
    assert code in end(session).detail


def test_stopping_right_after_session_setup_says_so_to_the_evse(pair: Any) -> None:
    session = pair()
    session.run(stop=lambda: session.evcc.state is State.AUTHORIZATION_SETUP)
    session.evcc.command(StopCharging(), session.now)
    session.run()
    assert [e.name for e in session.evcc_events if isinstance(e, MessageSent)][-1] == "SessionStopReq"
    assert end(session).reason is EndReason.STOPPED


@pytest.mark.parametrize(
    "changes",
    [
        {"EVSEMaximumChargePower": -1.0},
        {"EVSEMaximumChargeCurrent": 2e9},
        {"EVSEMinimumVoltage": 950.0},
        {"EVSEMinimumDischargePower": 30_000.0},
    ],
)
def test_impossible_limits_at_parameter_discovery_end_the_session_properly(pair: Any, changes: Any) -> None:
    lie = changing_mode("DC_CPDResEnergyTransferMode", **changes)
    session = told_lies(pair, "DC_ChargeParameterDiscoveryRes", lie)
    assert [e.name for e in session.evcc_events if isinstance(e, MessageSent)][-1] == "SessionStopReq"
    assert "the EVSE's m" in end(session).detail


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
def test_impossible_limits_in_the_loop_take_power_away(pair: Any, changes: Any, zero: str) -> None:
    session = told_lies(pair, "DC_ChargeLoopRes", changing_mode("CLResControlMode", **changes))
    answered = next(e for e in session.evcc_told if isinstance(e, ChargeLoopAnswered))
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


def test_a_late_timer_gives_up_instead_of_asking_once_more(pair: Any) -> None:
    session = pair(evcc={"timers": EvccTimers(ongoing_s=1.0, ongoing_period_s=2.0)})
    session.secc.answers.clear()
    session.run(stop=lambda: session.evcc.state is State.AUTHORIZATION and not session.evcc._awaiting)
    session.evcc.handle_timer(session.now + 60.0)
    session.run()
    assert [e.name for e in session.evcc_events if isinstance(e, MessageSent)].count("AuthorizationReq") == 1
    assert "Authorization was not finished in time" in end(session).detail


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
    ],
)
def test_a_vehicle_that_cannot_be_is_refused(vehicle: UpdateVehicle, changes: dict[str, Any]) -> None:
    machine = EvccMachine(EvccConfig(evccid="X"), random=bytes, unix_offset_s=0.0)
    with pytest.raises(LocalProtocolError):
        machine.command(replace(vehicle, **changes), 0.0)
