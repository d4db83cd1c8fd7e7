"""Every service in every mode, ours against ours."""

from typing import Any

import pytest

from pyiso15118.events import (
    BptChannel,
    ContactorRequested,
    ControlMode,
    EndReason,
    EnergyNeedsReceived,
    EnergyService,
    EnergyServiceSelected,
    EvseLimitsReceived,
    GeneratorMode,
    MobilityNeedsMode,
    MobilityNeedsReceived,
    PowerDeliveryStarted,
    PowerProfileReceived,
    PreChargeRequested,
    SchedulesOffered,
    VehicleLimitsReceived,
)

BY_EVCC, BY_SECC = MobilityNeedsMode
CELLS = [
    (service, mode, mobility, channel, generator)
    for service in EnergyService
    for mode in ControlMode
    for mobility in MobilityNeedsMode
    for channel in BptChannel
    for generator in GeneratorMode
    if not service.is_der
    and (mode is ControlMode.DYNAMIC or mobility is BY_EVCC)
    and (service.is_bpt or (channel is BptChannel.UNIFIED and generator is GeneratorMode.GRID_FOLLOWING))
]


@pytest.mark.parametrize(
    ("service", "mode", "mobility", "channel", "generator"),
    CELLS,
    ids=["-".join(value.name for value in cell) for cell in CELLS],
)
def test_cell(
    pair: Any,
    service: EnergyService,
    mode: ControlMode,
    mobility: MobilityNeedsMode,
    channel: BptChannel,
    generator: GeneratorMode,
) -> None:
    session = pair(
        services=(service,),
        control_modes=(mode,),
        mobility_needs_modes=(mobility,),
        bpt_channels=(channel,),
        generator_modes=(generator,),
    ).run()
    session.check_ended_well()
    assert (session.end.reason, session.secc_end.reason) == (EndReason.STOPPED, EndReason.STOPPED)
    mine, theirs = session.told_of(EnergyServiceSelected)
    assert mine == theirs
    assert (mine.service, mine.control_mode, mine.mobility_needs_mode) == (service, mode, mobility)
    assert len(session.loop_answers) == 3
    assert session.told_of(VehicleLimitsReceived)[0].limits == session.vehicle[
        "ac" if service.is_ac else "dc"
    ].limits or (not service.is_bpt)
    assert session.told_of(EvseLimitsReceived)
    assert bool(session.told_of(PreChargeRequested)) is not service.is_ac
    assert bool(session.told_of(ContactorRequested)) is service.is_ac
    assert session.told_of(EnergyNeedsReceived)[0].needs.departure_time_s == 3600
    assert bool(session.told_of(SchedulesOffered)) is (mode is ControlMode.SCHEDULED)
    assert bool(session.told_of(MobilityNeedsReceived)) is (mobility is BY_SECC)
    if mode is ControlMode.SCHEDULED:
        (received,) = session.told_of(PowerProfileReceived)
        assert received.profile.selected_tuple_id == 1
    separate = service.is_bpt and channel is BptChannel.SEPARATED
    assert session.told_of(PowerDeliveryStarted)[0].channel == ("Charge" if separate else None)


@pytest.mark.parametrize("mine", [False, True])
@pytest.mark.parametrize("theirs", [False, True])
@pytest.mark.parametrize("service", [EnergyService.DC_BPT, EnergyService.AC_BPT])
def test_both_signs_of_discharge_limits_mean_the_same(
    pair: Any, station: Any, service: EnergyService, mine: bool, theirs: bool
) -> None:
    session = pair(station(negative_discharge_limits=theirs), services=(service,), negative_discharge_limits=mine).run()
    session.check_ended_well()
    vehicle, evse = session.told_of(VehicleLimitsReceived)[0].limits, session.told_of(EvseLimitsReceived)[0].limits
    if service.is_ac:
        assert (vehicle.max_discharge_power.l1, evse.max_discharge_power.l1) == (10_000, 11_000)
    else:
        assert (vehicle.max_discharge_power_w, evse.max_discharge_power_w) == (10_000, 20_000)
        assert session.loop_answers[0].limits.max_discharge_current_a == 70
    request = session.requests("AC_ChargeLoopReq" if service.is_ac else "DC_ChargeLoopReq")[0].CLReqControlMode
    assert (float(request.EVMaximumDischargePower) < 0) is mine
