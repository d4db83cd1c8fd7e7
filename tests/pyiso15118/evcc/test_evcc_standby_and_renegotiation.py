"""Standby and both renegotiations, wished by the vehicle's owner or asked for by the EVSE."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118.commands import (
    Command,
    EnterStandby,
    LeaveStandby,
    PauseCharging,
    RenegotiateSchedule,
    RenegotiateService,
    SelectSchedule,
    StopCharging,
)
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import State
from pyiso15118.events import (
    ChargingStarted,
    ChargingStopped,
    ControlMode,
    EndReason,
    EnergyService,
    EnergyServiceSelected,
    SchedulesOffered,
    StandbyAnswered,
    StopRequested,
    WarningReceived,
)
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import PowerProfile, PowerSlot, flat_schedule

Code = ct.responseCodeType
Notification = ct.evseNotificationType
SERVICES = [EnergyService.DC_BPT, EnergyService.AC_BPT, EnergyService.DC, EnergyService.AC]
MODES = list(ControlMode)
NOW = 1_700_001_000


def charging(
    bench: Any, evse: Any, service: EnergyService = EnergyService.DC_BPT, mode: Any = ControlMode.DYNAMIC
) -> Any:
    return bench(evse((service,), mode), services=(service,), loops=10_000).looped()


def warned(session: Any, progress: str, code: ct.responseCodeType) -> None:
    """Answers PowerDelivery of this kind with a warning."""
    answer = session.evse._PowerDeliveryReq

    def bent(request: Any) -> Any:
        response = answer(request)
        return msgspec.structs.replace(response, ResponseCode=code) if request.ChargeProgress == progress else response

    session.evse._PowerDeliveryReq = bent


def stop(session: Any) -> Any:
    session.command(StopCharging())
    session.run()
    assert session.end.reason is EndReason.STOPPED
    assert session.told_of(ChargingStopped)
    return session


# ---- standby ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("mode", MODES)
def test_in_standby_the_loop_goes_on_and_wants_nothing(bench: Any, evse: Any, service: Any, mode: Any) -> None:
    session = charging(bench, evse, service, mode)
    session.command(EnterStandby())
    session.looped(3)
    assert session.machine.state is State.STANDBY
    assert [e.granted for e in session.told_of(StandbyAnswered)] == [True]
    loop = session.requests("AC_ChargeLoopReq" if service.is_ac else "DC_ChargeLoopReq")[-1].CLReqControlMode
    assert float(loop.EVMaximumChargePower) == 0
    if service.is_bpt:
        assert float(loop.EVMaximumDischargePower) == 0
    if mode is ControlMode.SCHEDULED and not service.is_ac:
        assert float(loop.EVTargetCurrent) == 0
    session.command(LeaveStandby())
    session.looped(2)
    assert session.progress == ["Start", "Standby", "Start"]
    loop = session.requests("AC_ChargeLoopReq" if service.is_ac else "DC_ChargeLoopReq")[-1].CLReqControlMode
    assert float(loop.EVMaximumChargePower) > 0
    assert len(session.told_of(ChargingStarted)) == 2
    assert stop(session).progress[-1] == "Stop"


def test_standby_is_asked_for_at_once_and_left_at_once(bench: Any, evse: Any) -> None:
    session = charging(bench, evse)
    before = session.now
    session.command(EnterStandby())
    session.run(stop=lambda: session.machine.state is State.STANDBY)
    assert session.now == before, "not only when the next loop request is due"
    session.looped()
    session.run(stop=lambda: session.machine._send_at is not None)
    before = session.now
    session.command(LeaveStandby())
    session.run(stop=lambda: session.machine.state is State.CHARGE_LOOP)
    assert session.now == before


def test_refused_standby_is_told_and_charging_goes_on(bench: Any, evse: Any) -> None:
    session = charging(bench, evse)
    warned(session, "Standby", Code.WARNING_StandbyNotAllowed)
    session.command(EnterStandby())
    session.looped(3)
    assert session.machine.state is State.CHARGE_LOOP
    assert [e.granted for e in session.told_of(StandbyAnswered)] == [False]
    assert session.told_of(WarningReceived)[0].response_code == "WARNING_StandbyNotAllowed"
    assert session.progress == ["Start", "Standby"], "asked once"
    stop(session)


def test_the_evse_may_end_the_standby(bench: Any, evse: Any) -> None:
    """[V2G20-1854]."""
    session = charging(bench, evse)
    session.command(EnterStandby())
    session.looped(2)
    session.evse.notification = Notification.ExitStandby
    session.looped(4)
    assert session.progress == ["Start", "Standby", "Start"]
    assert [e.notification for e in session.told_of(StopRequested)] == ["ExitStandby"], "told once while it stands"
    assert session.machine.state is State.CHARGE_LOOP
    stop(session)


def test_the_end_of_a_standby_that_is_none_changes_nothing(bench: Any, evse: Any) -> None:
    session = charging(bench, evse)
    session.evse.notification = Notification.ExitStandby
    session.looped(3)
    assert session.progress == ["Start"]
    session.evse.notification = None
    session.command(EnterStandby())
    session.looped(3)
    assert session.machine.state is State.STANDBY


def test_a_standby_taken_back_before_it_was_said_is_not_said(bench: Any, evse: Any) -> None:
    session = charging(bench, evse).until(State.CHARGE_LOOP)
    session.command(EnterStandby())
    session.command(LeaveStandby())
    session.looped(3)
    assert session.progress == ["Start"]


def test_a_standby_left_while_it_is_asked_for_is_left_when_it_is_granted(bench: Any, evse: Any) -> None:
    session = charging(bench, evse)
    session.command(EnterStandby())
    session.until(State.POWER_DELIVERY_STANDBY)
    session.command(LeaveStandby())
    session.looped(3)
    assert session.progress == ["Start", "Standby", "Start"]


@pytest.mark.parametrize("command", [StopCharging(), PauseCharging()])
def test_standby_ends_by_stop_and_pause(bench: Any, evse: Any, command: Command) -> None:
    session = charging(bench, evse)
    session.command(EnterStandby())
    session.looped(2)
    session.command(command)
    session.run()
    assert session.progress == ["Start", "Standby", "Stop"]
    assert session.end.reason in (EndReason.STOPPED, EndReason.PAUSED)
    assert session.told_of(ChargingStopped)


@pytest.mark.parametrize(
    "command",
    [EnterStandby(), LeaveStandby(), RenegotiateSchedule(), RenegotiateService()],
    ids=lambda c: type(c).__name__,
)
@pytest.mark.parametrize(
    "state", [State.SERVICE_DISCOVERY, State.PRE_CHARGE, State.POWER_DELIVERY_STOP, State.WELDING_DETECTION]
)
def test_what_belongs_to_the_loop_is_refused_elsewhere(bench: Any, command: Command, state: State) -> None:
    session = bench(loops=2).until(state)
    with pytest.raises(LocalProtocolError, match=type(command).__name__):
        session.command(command)
    assert session.run().end.reason is EndReason.STOPPED


@pytest.mark.parametrize("command", [EnterStandby(), RenegotiateSchedule()], ids=str)
def test_the_plan_that_holds_goes_along_with_all_but_stop(bench: Any, evse: Any, command: Command) -> None:
    """EcoG's SECC takes nothing else."""
    session = charging(bench, evse)
    session.command(command)
    session.looped(2)
    stop(session)
    plans = [r.EVPowerProfile for r in session.requests("PowerDeliveryReq")]
    assert plans[0] == plans[1]
    assert plans[0] is not None
    assert plans[-1] is None


# ---- schedule renegotiation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("by_evse", [False, True])
def test_another_schedule_is_agreed_while_charging(
    bench: Any, evse: Any, service: Any, mode: Any, by_evse: bool
) -> None:
    session = charging(bench, evse, service, mode)
    session.evse.tuples = (flat_schedule(2_000.0, id=5),)
    if by_evse:
        session.evse.notification = Notification.ScheduleRenegotiation
    else:
        session.command(RenegotiateSchedule())
    session.looped(5)
    assert session.progress == ["Start", "ScheduleRenegotiation", "Start"], "once, though the EVSE repeats itself"
    assert session.sent.count("ScheduleExchangeReq") == 2
    assert session.sent.count("DC_CableCheckReq") == (0 if service.is_ac else 1)
    assert ChargingStopped not in session.told_kinds
    assert [e.notification for e in session.told_of(StopRequested)] == ["ScheduleRenegotiation"] * by_evse
    if mode is ControlMode.SCHEDULED:
        assert [t.id for t in session.told_of(SchedulesOffered)[1].tuples] == [5]
        profile = session.requests("PowerDeliveryReq")[-1].EVPowerProfile
        assert profile.Scheduled_EVPPTControlMode.SelectedScheduleTupleID == 5
        assert float(profile.EVPowerProfileEntries.EVPowerProfileEntry[0].Power) == 2_000
    stop(session)


def test_the_owner_may_choose_from_the_new_offer(bench: Any, evse: Any) -> None:
    session = charging(bench, evse, mode=ControlMode.SCHEDULED)
    session.evse.tuples = (flat_schedule(2_000.0, id=5), flat_schedule(4_000.0, id=6))
    plan = PowerProfile(starts_at_unix_s=NOW, slots=(PowerSlot(duration_s=900, power_w=3_000.0),), selected_tuple_id=6)
    session.reactions[SchedulesOffered] = lambda _: session.command(SelectSchedule(profile=plan))
    session.command(RenegotiateSchedule())
    session.looped(3)
    sent = session.requests("PowerDeliveryReq")[-1].EVPowerProfile
    assert PowerProfile.from_message(sent) == plan


def test_a_plan_chosen_once_holds_after_standby_and_not_for_the_next_offer(bench: Any, evse: Any) -> None:
    plan = PowerProfile(starts_at_unix_s=NOW, slots=(PowerSlot(duration_s=900, power_w=3_000.0),), selected_tuple_id=1)
    session = bench(evse(mode=ControlMode.SCHEDULED), loops=10_000).until(State.CABLE_CHECK)
    session.command(SelectSchedule(profile=plan))
    session.looped()
    session.command(EnterStandby())
    session.looped(2)
    session.command(LeaveStandby())
    session.looped(2)
    session.command(RenegotiateSchedule())
    session.looped(2)
    starts = [r for r in session.requests("PowerDeliveryReq") if r.ChargeProgress == "Start"]
    plans = [PowerProfile.from_message(r.EVPowerProfile) for r in starts]
    assert plans[:2] == [plan, plan]
    assert plans[2].slots[0].power_w == 11_000


@pytest.mark.parametrize(("tuple_id", "used"), [(6, 6), (5, 5), (1, 5)])
def test_a_choice_given_while_charging_is_for_the_next_offer_if_it_fits(
    bench: Any, evse: Any, tuple_id: int, used: int
) -> None:
    session = charging(bench, evse, mode=ControlMode.SCHEDULED)
    plan = PowerProfile(
        starts_at_unix_s=NOW, slots=(PowerSlot(duration_s=900, power_w=1_500.0),), selected_tuple_id=tuple_id
    )
    session.command(SelectSchedule(profile=plan))
    session.evse.tuples = (flat_schedule(2_000.0, id=5), flat_schedule(4_000.0, id=6))
    session.command(RenegotiateSchedule())
    session.looped(3)
    sent = PowerProfile.from_message(session.requests("PowerDeliveryReq")[-1].EVPowerProfile)
    assert sent.selected_tuple_id == used
    assert (sent.slots[0].power_w == 1_500) is (tuple_id == used)


@pytest.mark.parametrize("where", ["PowerDeliveryRes", "ScheduleExchangeRes"])
def test_a_failed_renegotiation_keeps_the_old_schedule(bench: Any, evse: Any, where: str) -> None:
    session = charging(bench, evse, mode=ControlMode.SCHEDULED)
    session.evse.tuples = (flat_schedule(2_000.0, id=5),)
    code = Code.WARNING_ScheduleRenegotiationFailed
    if where == "PowerDeliveryRes":
        warned(session, "ScheduleRenegotiation", code)
    else:
        session.evse.bend(where, lambda m: msgspec.structs.replace(m, ResponseCode=code))
    session.command(RenegotiateSchedule())
    session.looped(3)
    assert session.told_of(WarningReceived)[0].response_code == code
    assert len(session.told_of(SchedulesOffered)) == 1
    profile = session.requests("PowerDeliveryReq")[0 if where == "PowerDeliveryRes" else -1].EVPowerProfile
    assert profile.Scheduled_EVPPTControlMode.SelectedScheduleTupleID == 1
    target = float(session.requests("DC_ChargeLoopReq")[-1].CLReqControlMode.EVTargetCurrent)
    assert target == pytest.approx(11_000 / 395, rel=1e-3)
    stop(session)


def test_a_renegotiation_in_standby_leaves_it_first(bench: Any, evse: Any) -> None:
    session = charging(bench, evse)
    session.command(EnterStandby())
    session.looped(2)
    session.command(RenegotiateSchedule())
    session.looped(4)
    assert session.progress == ["Start", "Standby", "Start", "ScheduleRenegotiation", "Start"]


# ---- service renegotiation ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_evse", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_another_dc_service_needs_cable_check_and_pre_charge_again(
    bench: Any, evse: Any, mode: Any, by_evse: bool
) -> None:
    station = evse((EnergyService.DC_BPT, EnergyService.DC), mode)
    session = bench(station, loops=10_000).looped()
    if by_evse:
        station.services = (EnergyService.DC,)
        station.notification = Notification.ServiceRenegotiation
    else:
        session.command(RenegotiateService(services=(EnergyService.DC,)))
    session.run(stop=lambda: len(session.told_of(ChargingStarted)) == 2)
    session.looped(3)
    names = session.sent_once
    at = names.index("SessionStopReq")
    assert names[at - 2 : at + 9] == [
        "PowerDeliveryReq",
        "DC_WeldingDetectionReq",
        "SessionStopReq",
        "ServiceDiscoveryReq",
        "ServiceDetailReq",
        "ServiceSelectionReq",
        "DC_ChargeParameterDiscoveryReq",
        "ScheduleExchangeReq",
        "DC_CableCheckReq",
        "DC_PreChargeReq",
        "PowerDeliveryReq",
    ]
    assert session.requests("SessionStopReq")[0].ChargingSession == "ServiceRenegotiation"
    assert session.sent.count("SessionStopReq") == 1
    assert [e.service for e in session.told_of(EnergyServiceSelected)] == [EnergyService.DC_BPT, EnergyService.DC]
    assert len({r.Header.SessionID for r in session.requests("ServiceDiscoveryReq")}) == 1
    assert session.sent.count("AuthorizationReq") == 1
    kinds = session.told_kinds
    assert kinds.index(ChargingStopped) > kinds.index(ChargingStarted)
    stop(session)


def test_an_ac_service_is_renegotiated_without_the_steps_of_dc(bench: Any, evse: Any) -> None:
    station = evse((EnergyService.AC_BPT, EnergyService.AC))
    session = bench(station, services=(EnergyService.AC_BPT, EnergyService.AC), loops=10_000).looped()
    session.command(RenegotiateService(services=(EnergyService.AC,)))
    session.looped(3)
    names = session.sent_once
    at = names.index("SessionStopReq")
    assert names[at - 1 : at + 2] == ["PowerDeliveryReq", "SessionStopReq", "ServiceDiscoveryReq"]
    assert session.told_of(EnergyServiceSelected)[1].service is EnergyService.AC
    stop(session)


def test_a_service_renegotiation_without_services_takes_those_of_the_configuration(bench: Any, evse: Any) -> None:
    session = charging(bench, evse)
    session.command(RenegotiateService())
    session.run(stop=lambda: len(session.told_of(ChargingStarted)) == 2)
    assert session.told_of(EnergyServiceSelected)[1].service is EnergyService.DC_BPT


def test_a_renegotiation_to_what_the_evse_does_not_offer_ends_the_session_properly(bench: Any, evse: Any) -> None:
    session = charging(bench, evse)
    session.command(RenegotiateService(services=(EnergyService.MCS,)))
    session.run()
    assert [r.ChargingSession for r in session.requests("SessionStopReq")] == ["ServiceRenegotiation", "Terminate"]
    assert session.end.reason is EndReason.FAILED_BY_US


@pytest.mark.parametrize(
    ("services", "complaint"), [((EnergyService.AC,), "this session speaks DC"), ((3,), "not all energy services")]
)
def test_impossible_services_are_refused(bench: Any, evse: Any, services: Any, complaint: str) -> None:
    session = charging(bench, evse)
    with pytest.raises(LocalProtocolError, match=complaint):
        session.command(RenegotiateService(services=services))
    stop(session)


def test_an_evse_without_service_renegotiation_is_not_asked_for_it(bench: Any, evse: Any) -> None:
    station = evse()
    station.bend("ServiceDiscoveryRes", lambda m: msgspec.structs.replace(m, ServiceRenegotiationSupported=False))
    session = bench(station, loops=10_000).looped()
    with pytest.raises(LocalProtocolError, match="does not support it"):
        session.command(RenegotiateService())


@pytest.mark.parametrize("state", [State.POWER_DELIVERY_STOP, State.WELDING_DETECTION])
@pytest.mark.parametrize(("command", "end"), [(StopCharging(), "Terminate"), (PauseCharging(), "Pause")])
def test_stop_and_pause_override_a_service_renegotiation(
    bench: Any, evse: Any, state: State, command: Command, end: str
) -> None:
    session = charging(bench, evse)
    session.command(RenegotiateService())
    session.until(state)
    session.command(command)
    session.run()
    assert [r.ChargingSession for r in session.requests("SessionStopReq")] == [end]
    assert session.machine.closed


def test_a_stop_after_the_renegotiation_was_said_ends_it_by_a_second_session_stop(bench: Any, evse: Any) -> None:
    session = charging(bench, evse)
    session.command(RenegotiateService())
    session.until(State.SESSION_STOP)
    with pytest.raises(LocalProtocolError, match="nothing to resume"):
        session.command(PauseCharging())
    session.command(StopCharging())
    session.run()
    assert [r.ChargingSession for r in session.requests("SessionStopReq")] == ["ServiceRenegotiation", "Terminate"]
    assert session.end.reason is EndReason.STOPPED


def test_limits_of_the_old_service_are_forgotten(bench: Any, evse: Any, vehicle: Any) -> None:
    session = charging(bench, evse, mode=ControlMode.SCHEDULED)
    session.evse.loop_power = {"EVSEMaximumChargeCurrent": 3.0}
    session.looped(2)
    session.evse.loop_power = {}
    session.command(replace(vehicle, target_current_a=20.0))
    session.command(RenegotiateService())
    session.run(stop=lambda: len(session.told_of(ChargingStarted)) == 2)
    session.looped()
    assert float(session.requests("DC_ChargeLoopReq")[-1].CLReqControlMode.EVTargetCurrent) == 20
