"""Scheduled mode: needs, offers, the vehicle's plan, and the current it asks for."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118.commands import SelectSchedule, UpdateDcVehicle
from pyiso15118.errors import LocalProtocolError
from pyiso15118.evcc import State
from pyiso15118.events import (
    BptChannel,
    ChargingStarted,
    ControlMode,
    EndReason,
    EnergyService,
    SchedulesOffered,
    SessionEnded,
    WarningReceived,
)
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import (
    ChargingSchedule,
    EnergyOffer,
    PowerProfile,
    PowerSchedule,
    PowerSlot,
    PriceRule,
    PriceStack,
    ScheduleTuple,
    flat_schedule,
)

Code = ct.responseCodeType
NOW = 1_700_001_000
SCHEDULED = ControlMode.SCHEDULED
DAY = 86_400


def steps(*powers_w: float, seconds: int = 600, starts: int = 0, id: int = 1) -> ScheduleTuple:
    slots = tuple(PowerSlot(duration_s=seconds, power_w=power) for power in powers_w)
    return ScheduleTuple(id=id, charging=ChargingSchedule(power=PowerSchedule(starts_at_unix_s=starts, slots=slots)))


def profile(*powers_w: float, seconds: int = 600, tuple_id: int = 1, accepted: bool | None = True) -> PowerProfile:
    slots = tuple(PowerSlot(duration_s=seconds, power_w=power) for power in powers_w)
    return PowerProfile(starts_at_unix_s=NOW, slots=slots, selected_tuple_id=tuple_id, tolerance_accepted=accepted)


def sent_profile(session: Any, index: int = 0) -> list[tuple[int, float]]:
    starts = [r for r in session.requests("PowerDeliveryReq") if r.ChargeProgress == "Start"]
    entries = starts[index].EVPowerProfile.EVPowerProfileEntries.EVPowerProfileEntry
    return [(e.Duration, float(e.Power)) for e in entries]


def target_a(session: Any, index: int = 0) -> float:
    return float(session.requests("DC_ChargeLoopReq")[index].CLReqControlMode.EVTargetCurrent)


# ---- offer and plan -----------------------------------------------------------------------------------------------


def test_needs_and_energy_offer_are_sent(bench: Any, scheduled: Any, vehicle: UpdateDcVehicle) -> None:
    offer = EnergyOffer(
        starts_at_unix_s=NOW,
        slots=(PowerSlot(duration_s=3600, power_w=-5_000.0),),
        currency="EUR",
        stacks=(PriceStack(duration_s=3600, rules=(PriceRule(energy_fee=-0.3),)),),
    )
    session = bench(scheduled)
    session.start(vehicle=False)
    session.command(replace(vehicle, energy_offer=offer))
    session.run()
    (request,) = session.requests("ScheduleExchangeReq")
    mode = request.Scheduled_SEReqControlMode
    assert request.Dynamic_SEReqControlMode is None
    assert (mode.DepartureTime, float(mode.EVTargetEnergyRequest)) == (3600, 20_000)
    assert EnergyOffer.from_message(mode.EVEnergyOffer) == offer
    assert session.end.reason is EndReason.STOPPED


def test_without_a_word_of_the_owner_the_first_offer_is_followed_within_the_vehicles_limits(
    bench: Any, scheduled: Any
) -> None:
    scheduled.tuples = (steps(5_000, 22_000, 0), steps(1_000, id=2))
    session = bench(scheduled).run()
    (offered,) = session.told_of(SchedulesOffered)
    assert [t.id for t in offered.tuples] == [1, 2]
    assert offered.tuples[0].charging.power.starts_at_unix_s == NOW, "where no time is named, it starts now"
    assert sent_profile(session) == [(600, 5_000), (600, 11_000), (600, 0)]
    start = session.requests("PowerDeliveryReq")[0].EVPowerProfile
    assert start.Scheduled_EVPPTControlMode.SelectedScheduleTupleID == 1
    assert start.Scheduled_EVPPTControlMode.PowerToleranceAcceptance == "PowerToleranceConfirmed"


@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC])
def test_the_owner_may_choose_another_offer_and_plan(bench: Any, evse: Any, service: EnergyService) -> None:
    station = evse((service,), SCHEDULED)
    station.tuples = (steps(5_000), steps(4_000, 4_000, id=2))
    session = bench(station, services=(service,))
    session.reactions[SchedulesOffered] = lambda _: session.command(
        SelectSchedule(profile=profile(3_000, 1_000, tuple_id=2, accepted=None))
    )
    session.run()
    assert sent_profile(session) == [(600, 3_000), (600, 1_000)]
    start = session.requests("PowerDeliveryReq")[0].EVPowerProfile
    assert start.Scheduled_EVPPTControlMode.SelectedScheduleTupleID == 2
    assert start.Scheduled_EVPPTControlMode.PowerToleranceAcceptance is None
    assert session.end.reason is EndReason.STOPPED


@pytest.mark.parametrize("service", [EnergyService.DC, EnergyService.AC_BPT])
def test_power_delivery_says_ongoing_until_the_owner_has_chosen(bench: Any, evse: Any, service: EnergyService) -> None:
    session = bench(evse((service,), SCHEDULED), services=(service,), select_schedules=True)
    session.run(max_s=5.0)
    assert session.machine.state is State.POWER_DELIVERY_START
    waiting = session.requests("PowerDeliveryReq")
    assert len(waiting) > 20
    assert {(r.EVProcessing, r.ChargeProgress, r.EVPowerProfile) for r in waiting} == {("Ongoing", "Start", None)}
    assert ChargingStarted not in session.told_kinds
    session.command(SelectSchedule(profile=profile(2_000)))
    session.run()
    finished = session.requests("PowerDeliveryReq")[len(waiting)]
    assert (finished.EVProcessing, finished.ChargeProgress) == ("Finished", "Start")
    assert session.end.reason is EndReason.STOPPED


def test_an_owner_that_never_chooses_ends_the_session_properly(bench: Any, scheduled: Any) -> None:
    session = bench(scheduled, select_schedules=True).run()
    assert session.sent_once[-3:] == ["PowerDeliveryReq", "DC_WeldingDetectionReq", "SessionStopReq"]
    assert "no schedule was selected" in session.end.detail
    assert 60 <= session.now - 1000 < 62


@pytest.mark.parametrize(
    ("choice", "complaint"),
    [
        (profile(1_000, tuple_id=7), "schedule tuple 7 was chosen"),
        (profile(6_000), "6000 W"),
        (replace(profile(1_000), selected_tuple_id=None, tolerance_accepted=None), "names no schedule tuple"),
        (replace(profile(1_000), slots=()), "slots"),
        ("the cheap one", "must be PowerProfile"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(bench: Any, scheduled: Any, choice: Any, complaint: str) -> None:
    scheduled.tuples = (steps(5_000),)
    session = bench(scheduled).until(State.CABLE_CHECK)
    with pytest.raises(LocalProtocolError, match=complaint):
        session.command(SelectSchedule(profile=choice))
    assert session.run().end.reason is EndReason.STOPPED


def test_there_is_nothing_to_select_in_dynamic_mode(bench: Any) -> None:
    session = bench().until(State.CABLE_CHECK)
    with pytest.raises(LocalProtocolError, match="scheduled mode"):
        session.command(SelectSchedule(profile=profile(1_000)))


def test_a_tolerance_that_the_vehicle_declines_may_be_noted_by_the_evse_with_a_warning(
    bench: Any, scheduled: Any
) -> None:
    """[V2G20-1946]: it means that the EVSE will ask for renegotiation."""
    session = bench(scheduled)
    session.reactions[SchedulesOffered] = lambda _: session.command(
        SelectSchedule(profile=profile(3_000, accepted=False))
    )
    session.evse.bend(
        "PowerDeliveryRes", lambda m: msgspec.structs.replace(m, ResponseCode=Code.WARNING_PowerToleranceNotConfirmed)
    )
    session.run()
    assert session.loop_answers
    assert session.told_of(WarningReceived)[0].response_code == "WARNING_PowerToleranceNotConfirmed"


def test_the_end_of_the_offers_is_met_with_zero(bench: Any, scheduled: Any) -> None:
    scheduled.tuples = (steps(4_000, seconds=1),)
    session = bench(scheduled, loops=12).run()
    targets = [target_a(session, i) for i in range(12)]
    assert targets[0] == pytest.approx(4_000 / 395, rel=1e-3)
    assert targets[-1] == 0


# ---- the scheduled DC loop ----------------------------------------------------------------------------------------


def looping(bench: Any, scheduled: Any, vehicle: UpdateDcVehicle, **changes: Any) -> Any:
    session = bench(scheduled).start(vehicle=False)
    session.command(replace(vehicle, **changes))
    return session.run()


def test_the_plan_becomes_a_current_at_the_present_voltage(bench: Any, scheduled: Any, vehicle: Any) -> None:
    scheduled.tuples = (flat_schedule(7_900.0),)
    session = looping(bench, scheduled, vehicle)
    assert target_a(session) == pytest.approx(20.0)
    assert float(session.requests("DC_ChargeLoopReq")[0].CLReqControlMode.EVTargetVoltage) == 400


def test_the_owners_wish_comes_first_and_may_be_to_discharge(bench: Any, scheduled: Any, vehicle: Any) -> None:
    session = looping(bench, scheduled, vehicle, target_current_a=-12.5)
    assert target_a(session) == -12.5
    assert sent_profile(session) == [(DAY, -10_000)], "a vehicle that wants to discharge plans to"


@pytest.mark.parametrize(("wish", "asked"), [(500.0, 11_000 / 395), (-500.0, -10_000 / 395), (0.0, 0.0), (5.0, 5.0)])
def test_the_vehicles_own_limits_bind_its_wish(
    bench: Any, scheduled: Any, vehicle: Any, wish: float, asked: float
) -> None:
    session = looping(bench, scheduled, vehicle, target_current_a=wish)
    assert target_a(session) == pytest.approx(asked, rel=1e-3)


def test_the_evses_limits_of_the_last_answer_bind_the_wish(bench: Any, scheduled: Any, vehicle: Any) -> None:
    scheduled.loop_power = {
        "EVSEMaximumChargeCurrent": 6.0,
        "EVSEMaximumDischargePower": -790.0,
        "EVSEMinimumDischargePower": 0.0,
        "EVSEMaximumDischargeCurrent": 70.0,
    }
    assert target_a(looping(bench, scheduled, vehicle, target_current_a=20.0), 1) == 6
    assert target_a(looping(bench, scheduled, vehicle, target_current_a=-20.0), 1) == pytest.approx(-2.0)


def test_what_the_evse_leaves_out_holds_as_discovered(bench: Any, scheduled: Any) -> None:
    scheduled.loop_power = {}
    answer = bench(scheduled).run().loop_answers[0]
    assert (answer.limits.max_charge_power_w, answer.limits.max_charge_current_a) == (22_000, 80)
    assert (answer.limits.max_voltage_v, answer.limits.min_voltage_v) == (920, 150)
    assert answer.limits.max_discharge_power_w == 20_000


def test_a_discovered_minimum_above_the_maximum_of_the_loop_takes_no_power_away(bench: Any, scheduled: Any) -> None:
    def bend(message: Any) -> Any:
        mode = msgspec.structs.replace(
            message.DC_CPDResEnergyTransferMode, EVSEMinimumChargePower=ct.RationalNumberType.of(1_000)
        )
        return msgspec.structs.replace(message, DC_CPDResEnergyTransferMode=mode)

    scheduled.bend("DC_ChargeParameterDiscoveryRes", bend)
    scheduled.loop_power = {"EVSEMaximumChargePower": 500.0}
    answer = bench(scheduled).run().loop_answers[0]
    assert (answer.limits.min_charge_power_w, answer.limits.max_charge_power_w) == (500, 500)


def test_a_one_way_service_is_never_asked_to_discharge(bench: Any, evse: Any, vehicle: Any) -> None:
    station = evse((EnergyService.DC,), SCHEDULED)
    session = looping(bench, station, vehicle, target_current_a=-12.5)
    assert target_a(session) == 0
    assert session.end.reason is EndReason.STOPPED


# ---- channels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wish", "channel", "asked"), [(10.0, "Charge", 10.0), (-10.0, "Discharge", -10.0)])
def test_separate_channels_are_chosen_with_power_delivery(
    bench: Any, evse: Any, vehicle: Any, wish: float, channel: str, asked: float
) -> None:
    station = evse((EnergyService.DC_BPT,), SCHEDULED, channel=BptChannel.SEPARATED)
    session = looping(bench, station, vehicle, target_current_a=wish)
    start, stop = session.requests("PowerDeliveryReq")
    assert (start.BPT_ChannelSelection, stop.BPT_ChannelSelection) == (channel, None)
    assert target_a(session) == asked


def test_the_other_direction_is_not_asked_for_on_a_chosen_channel(bench: Any, evse: Any, vehicle: Any) -> None:
    station = evse((EnergyService.DC_BPT,), SCHEDULED, channel=BptChannel.SEPARATED)
    session = bench(station, loops=1000).looped()
    session.command(replace(vehicle, target_current_a=-10.0))
    session.looped(2)
    assert target_a(session, -1) == 0


def test_a_wish_to_charge_is_not_asked_for_on_the_channel_to_discharge(bench: Any, evse: Any, vehicle: Any) -> None:
    station = evse((EnergyService.DC_BPT,), SCHEDULED, channel=BptChannel.SEPARATED)
    session = bench(station, loops=1000).start(vehicle=False)
    session.command(replace(vehicle, target_current_a=-10.0))
    session.looped()
    session.command(replace(vehicle, target_current_a=10.0))
    session.looped(2)
    assert target_a(session, -1) == 0


@pytest.mark.parametrize("service", [EnergyService.DC, EnergyService.AC, EnergyService.AC_BPT])
def test_unified_or_one_way_services_choose_no_channel(bench: Any, evse: Any, service: EnergyService) -> None:
    channel = BptChannel.UNIFIED if service.is_bpt else BptChannel.SEPARATED
    session = bench(evse((service,), channel=channel), services=(service,)).run()
    assert session.requests("PowerDeliveryReq")[0].BPT_ChannelSelection is None
    assert isinstance(session.events[-1], SessionEnded)


def test_an_ac_plan_keeps_phases_apart(bench: Any, evse: Any) -> None:
    station = evse((EnergyService.AC,), SCHEDULED)
    slot = PowerSlot(duration_s=600, power_w=7_000.0, power_l2_w=7_000.0, power_l3_w=7_000.0)
    power = PowerSchedule(starts_at_unix_s=NOW, slots=(slot,))
    station.tuples = (ScheduleTuple(id=4, charging=ChargingSchedule(power=power)),)
    session = bench(station, services=(EnergyService.AC,)).run()
    entries = session.requests("PowerDeliveryReq")[0].EVPowerProfile.EVPowerProfileEntries.EVPowerProfileEntry
    assert [float(p) for p in (entries[0].Power, entries[0].Power_L2, entries[0].Power_L3)] == [3_600, 3_600, 3_600]
