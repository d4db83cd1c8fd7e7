"""Standby: asked, granted, refused, left; what holds meanwhile."""

from dataclasses import replace
from typing import Any

import pytest

from pyiso15118.events import (
    BptChannel,
    ControlMode,
    DcLimits,
    EnergyService,
    PowerDeliveryStarted,
    PowerDeliveryStopped,
    SessionEnded,
    StandbyEntered,
    StandbyLeft,
)
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.secc import ParameterSet, State

Code = ct.responseCodeType
Progress = cm.chargeProgressType
rational = ct.RationalNumberType.of


@pytest.mark.parametrize("mode", ControlMode)
@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC_BPT])
def test_standby_is_granted_and_left(secc_bench: Any, service: EnergyService, mode: ControlMode) -> None:
    bench = secc_bench(service=service, parameter_set=ParameterSet(id=1, control_mode=mode)).reach(State.CHARGE_LOOP)
    bench.ask(bench.request(State.CHARGE_LOOP))
    assert bench.deliver(Progress.Standby).ResponseCode is Code.OK
    assert isinstance(bench.told[-1], StandbyEntered)
    for _ in range(3):
        assert bench.ask(bench.request(State.STANDBY)).ResponseCode is Code.OK
    assert bench.ask(bench.request(State.POWER_DELIVERY)).ResponseCode.startswith("OK")
    assert isinstance(bench.told[-1], StandbyLeft)
    assert bench.machine.state is State.CHARGE_LOOP
    kinds = [type(e) for e in bench.told]
    assert (kinds.count(PowerDeliveryStarted), kinds.count(PowerDeliveryStopped)) == (1, 0)


def test_dc_limits_are_zero_in_standby(secc_bench: Any, evse_limits: DcLimits) -> None:
    bench = secc_bench().reach(State.STANDBY)
    mode = bench.ask(bench.request(State.STANDBY)).CLResControlMode
    for name in ("ChargePower", "ChargeCurrent", "DischargePower", "DischargeCurrent"):
        assert float(getattr(mode, f"EVSEMaximum{name}")) == 0
    assert float(mode.EVSEMaximumVoltage) == evse_limits.max_voltage_v
    bench.reach(State.CHARGE_LOOP) if bench.ask(bench.request(State.POWER_DELIVERY)) else None
    assert float(bench.ask(bench.request(State.CHARGE_LOOP)).CLResControlMode.EVSEMaximumChargePower) == 22_000


def test_a_scheduled_dc_target_is_served_with_nothing_in_standby(secc_bench: Any) -> None:
    scheduled = ParameterSet(id=1, control_mode=ControlMode.SCHEDULED)
    bench = secc_bench(service=EnergyService.DC_BPT, parameter_set=scheduled).reach(State.STANDBY)
    bench.ask(bench.request(State.STANDBY))
    assert bench.told[-1].target_current_a == 0


@pytest.mark.parametrize("mode", ControlMode)
def test_the_ac_set_point_is_zero_in_standby(secc_bench: Any, mode: ControlMode) -> None:
    bench = secc_bench(service=EnergyService.AC_BPT, parameter_set=ParameterSet(id=1, control_mode=mode))
    bench.reach(State.STANDBY)
    sent = bench.ask(bench.request(State.STANDBY)).CLResControlMode
    assert [float(sent.EVSETargetActivePower), float(sent.EVSETargetActivePower_L2)] == [0, 0]
    bench.update(target_active_power=None)
    sent = bench.ask(bench.request(State.STANDBY)).CLResControlMode
    assert float(sent.EVSETargetActivePower) == 0


def test_refused_standby_leaves_the_loop_as_it_is(secc_bench: Any) -> None:
    bench = secc_bench(standby_allowed=False).reach(State.CHARGE_LOOP)
    assert bench.deliver(Progress.Standby).ResponseCode is Code.WARNING_StandbyNotAllowed
    assert bench.machine.state is State.CHARGE_LOOP
    mode = bench.ask(bench.request(State.CHARGE_LOOP)).CLResControlMode
    assert float(mode.EVSEMaximumChargePower) == 22_000
    assert not any(isinstance(e, StandbyEntered) for e in bench.told)


def test_standby_asked_again_is_still_standby(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.STANDBY)
    assert bench.deliver(Progress.Standby).ResponseCode is Code.OK
    assert bench.machine.state is State.STANDBY
    assert sum(isinstance(e, StandbyEntered) for e in bench.told) == 1


def test_contactors_may_open_in_standby_and_must_close_to_leave_it(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.STANDBY)
    bench.update(contactors_closed=False, present_voltage_v=0.0)
    assert bench.ask(bench.request(State.STANDBY)).ResponseCode is Code.OK
    assert bench.feed(bench.frame(bench.request(State.POWER_DELIVERY))) == []
    bench.update(contactors_closed=True, present_voltage_v=398.0)
    assert [r.ResponseCode for r in bench.sent()] == [Code.OK]
    bench = secc_bench().reach(State.STANDBY)
    bench.update(contactors_closed=False)
    assert bench.ask(bench.request(State.POWER_DELIVERY)).ResponseCode is Code.FAILED_ContactorError


def test_after_standby_the_voltage_is_held_against_the_vehicles_own(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.STANDBY)
    bench.ask(bench.request(State.STANDBY, EVPresentVoltage=rational(440)))
    bench.update(present_voltage_v=438.0)
    assert bench.ask(bench.request(State.POWER_DELIVERY)).ResponseCode is Code.OK
    bench = secc_bench().reach(State.STANDBY)
    bench.ask(bench.request(State.STANDBY, EVPresentVoltage=rational(440)))
    assert bench.ask(bench.request(State.POWER_DELIVERY)).ResponseCode is Code.FAILED_PowerDeliveryNotApplied
    assert "voltage after standby out of tolerance" in bench.end.detail


@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC_BPT])
def test_a_fault_in_standby_ends_it_at_once(secc_bench: Any, service: EnergyService) -> None:
    bench = secc_bench(service=service).reach(State.STANDBY)
    bench.update(fault="hot")
    assert any(isinstance(e, PowerDeliveryStopped) for e in bench.told)
    assert bench.ask(bench.request(State.STANDBY)).ResponseCode is Code.FAILED
    assert "hot" in bench.end.detail


def test_a_silent_evse_fails_the_loop_in_standby(secc_bench: Any) -> None:
    bench = secc_bench().reach(State.STANDBY)
    for _ in range(3):
        bench.advance(0.4)
        response = bench.ask(bench.request(State.STANDBY))
    assert response.ResponseCode is Code.FAILED
    assert [type(e) for e in bench.told[-2:]] == [PowerDeliveryStopped, SessionEnded]


@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC_BPT])
def test_charging_may_stop_from_standby(secc_bench: Any, service: EnergyService) -> None:
    bench = secc_bench(service=service).reach(State.STANDBY)
    assert bench.deliver(Progress.Stop).ResponseCode is Code.OK
    assert sum(isinstance(e, PowerDeliveryStopped) for e in bench.told) == 1


def test_another_channel_may_be_chosen_after_standby(secc_bench: Any) -> None:
    separate = ParameterSet(id=1, bpt_channel=BptChannel.SEPARATED)
    bench = secc_bench(service=EnergyService.DC_BPT, parameter_set=separate).reach(State.STANDBY)
    start = bench.request(State.POWER_DELIVERY, BPT_ChannelSelection=cm.channelSelectionType.Discharge)
    assert bench.ask(start).ResponseCode is Code.OK
    assert bench.told[-2:] == [StandbyLeft(), PowerDeliveryStarted(channel="Discharge")]
    mode = bench.ask(bench.request(State.CHARGE_LOOP)).CLResControlMode
    assert (float(mode.EVSEMaximumChargePower), float(mode.EVSEMaximumDischargePower)) == (0, 20_000)


@pytest.mark.parametrize("notification", ct.evseNotificationType)
def test_notifications_go_out_with_every_loop_and_power_delivery_response(
    secc_bench: Any, notification: ct.evseNotificationType
) -> None:
    bench = secc_bench().reach(State.CHARGE_LOOP)
    bench.command(replace(bench.evse, notification=notification, notification_max_delay_s=30))
    for response in (bench.ask(bench.request(State.CHARGE_LOOP)), bench.deliver(Progress.Standby)):
        status = response.EVSEStatus
        assert (status.EVSENotification, status.NotificationMaxDelay) == (notification, 30)
