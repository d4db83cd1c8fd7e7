"""What both owners choose, and an EVSE that is slow or fails, ours against ours."""

from dataclasses import replace
from typing import Any

import pytest

from pyiso15118.commands import SelectSchedule, SetMobilityNeeds
from pyiso15118.events import (
    ChargingStarted,
    ChargingStopped,
    ControlMode,
    EndReason,
    EnergyService,
    EnergyServiceSelected,
    MobilityNeedsMode,
    PowerDeliveryStopped,
    PowerProfileReceived,
    SchedulesOffered,
)
from pyiso15118.schedules import PowerProfile, PowerSlot, flat_schedule
from pyiso15118.secc.config import ValueAddedOffer, ValueAddedSet

SERVICES = [EnergyService.DC_BPT, EnergyService.AC_BPT]
PLAN = PowerProfile(
    starts_at_unix_s=1_700_001_000,
    slots=(PowerSlot(duration_s=900, power_w=3_000.0), PowerSlot(duration_s=900, power_w=-2_000.0)),
    selected_tuple_id=2,
    tolerance_accepted=True,
)


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("after_s", [0.0, 3.0])
def test_a_vehicle_chooses_its_schedule_in_its_own_time(pair: Any, station: Any, service: Any, after_s: float) -> None:
    place = station()
    place.tuples = (flat_schedule(20_000.0), flat_schedule(5_000.0, discharge_power_w=-4_000.0, id=2))
    session = pair(place, services=(service,), control_modes=(ControlMode.SCHEDULED,), select_schedules=True)
    choose = SelectSchedule(profile=PLAN)
    if after_s:
        session.run(stop=lambda: bool(session.told_of(SchedulesOffered)))
        session.run(max_s=after_s)
        assert not session.told_of(ChargingStarted)
        session.command(choose)
    else:
        session.reactions[SchedulesOffered] = lambda _: session.command(choose)
    session.run()
    session.check_ended_well()
    assert [e.profile for e in session.told_of(PowerProfileReceived)] == [PLAN]
    assert session.end.reason is EndReason.STOPPED


def test_value_added_services_are_selected_beside(pair: Any, station: Any) -> None:
    offers = tuple(
        ValueAddedOffer(service_id=i, parameter_sets=(ValueAddedSet(id=3, parameters=(("Port", 80),)),))
        for i in (65, 66)
    )
    session = pair(station(value_added=offers), value_added=(66,)).run()
    session.check_ended_well()
    assert [e.value_added for e in session.told_of(EnergyServiceSelected)] == [((66, 3),), ((66, 3),)]


@pytest.mark.parametrize("service", SERVICES)
def test_the_evse_says_in_the_loop_what_it_wants_for_the_vehicle(pair: Any, service: Any) -> None:
    session = pair(services=(service,), mobility_needs_modes=(MobilityNeedsMode.BY_SECC,), loops=1000).looped(2)
    session.station.command(SetMobilityNeeds(departure_time_s=600, min_soc_pct=30, target_soc_pct=70))
    session.looped(2)
    needs = session.loop_answers[-1].needs
    assert (needs.min_soc_pct, needs.target_soc_pct) == (30, 70)
    assert 590 <= needs.departure_time_s <= 600


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("mode", list(ControlMode))
def test_an_evse_may_take_its_time(pair: Any, station: Any, service: Any, mode: Any) -> None:
    session = pair(station(delay_s=0.7), services=(service,), control_modes=(mode,)).run()
    session.check_ended_well()
    assert session.end.reason is EndReason.STOPPED
    assert len(session.loop_answers) == 3


@pytest.mark.parametrize("service", SERVICES)
def test_a_fault_of_the_evse_leaves_no_energy_on(pair: Any, service: Any) -> None:
    session = pair(services=(service,), loops=1000).looped(2)
    session.station.update(fault="overtemperature")
    session.run()
    session.check_ended_well()
    assert session.end.reason is EndReason.FAILED_BY_PEER
    assert session.told_of(ChargingStopped)
    assert session.told_of(PowerDeliveryStopped)


def test_vehicles_that_both_charge_ways_take_what_the_evse_has(pair: Any, station: Any) -> None:
    wanted = (EnergyService.AC_BPT, EnergyService.DC_BPT)
    for kept in wanted:
        place = station(services=tuple(o for o in station().config.services if o.service is kept))
        session = pair(place, services=wanted).run()
        session.check_ended_well()
        assert session.told_of(EnergyServiceSelected)[0].service is kept


def test_what_the_vehicle_can_do_may_change_in_the_loop(pair: Any) -> None:
    session = pair(services=(EnergyService.DC_BPT,), loops=1000).looped(2)
    less = replace(session.vehicle["dc"].limits, max_charge_power_w=2_000.0)
    session.command(replace(session.vehicle["dc"], limits=less))
    session.looped(2)
    loops = [e for e in session.station.events if type(e).__name__ == "DcChargeLoopReceived"]
    assert loops[-1].limits.max_charge_power_w == 2_000
