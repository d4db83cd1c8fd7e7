"""What dispatch is told of a vehicle: its minima, needs, capacity and departure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pyiso15118 import events as ev
from pyiso15118.events import AcLimits, AcPower
from support.ac_rig import AcRig
from v2g.sessions.bay import DcBay

DC_LIMITS = ev.DcLimits(
    max_charge_power_w=50_000.0,
    min_charge_power_w=1_500.0,
    max_charge_current_a=100.0,
    min_charge_current_a=5.0,
    max_voltage_v=450.0,
    min_voltage_v=300.0,
    max_discharge_power_w=15_000.0,
    min_discharge_power_w=1_200.0,
    max_discharge_current_a=60.0,
    min_discharge_current_a=2.0,
)


def test_nothing_is_told_before_and_after_the_charge_loop(rig: Any) -> None:
    assert rig.bay.vehicle is None
    rig.plug_in()
    assert rig.bay.vehicle is None
    assert rig.bay.announced.max_charge_w == 50_000.0
    rig.say(ev.PowerDeliveryStopped(reason="over"))
    assert rig.bay.vehicle is None


def test_needs_and_capacity_are_told_as_the_vehicle_says_them(rig: Any) -> None:
    rig.charge()
    needs = ev.EnergyNeeds(
        departure_time_s=3600,
        target_energy_wh=9_000.0,
        max_energy_wh=20_000.0,
        min_energy_wh=-4_000.0,
        max_v2x_energy_wh=15_000.0,
        min_v2x_energy_wh=-2_000.0,
        min_soc_pct=25,
        target_soc_pct=85,
    )
    rig.loop(55, needs=needs, capacity_wh=62_000.0)
    data = rig.bay.vehicle
    assert (data.target_energy_wh, data.max_energy_wh, data.min_energy_wh) == (9_000.0, 20_000.0, -4_000.0)
    assert (data.max_v2x_energy_wh, data.min_v2x_energy_wh) == (15_000.0, -2_000.0)
    assert (data.soc_pct, data.min_soc_pct, data.target_soc_pct, data.capacity_wh) == (55, 25, 85, 62_000.0)
    assert data.departs_at_s == rig.now + 3600.0


def test_a_departure_counts_from_its_message_and_a_later_one_renews_it(rig: Any) -> None:
    rig.plug_in()
    said_at = rig.now
    rig.say(ev.EnergyNeedsReceived(needs=ev.EnergyNeeds(departure_time_s=1800)))
    rig.cycle(100)
    assert rig.bay.announced.departs_at_s == said_at + 1800.0
    rig.say(ev.EnergyNeedsReceived(needs=ev.EnergyNeeds(departure_time_s=600)))
    assert rig.bay.announced.departs_at_s == rig.now + 600.0


def test_a_departure_that_is_past_stays_what_it_is(rig: Any) -> None:
    rig.plug_in()
    said_at = rig.now
    rig.say(ev.EnergyNeedsReceived(needs=ev.EnergyNeeds(departure_time_s=0)))
    rig.cycle(50)
    assert rig.bay.announced.departs_at_s == said_at < rig.now


def test_what_a_loop_leaves_out_holds_for_times_and_states_but_not_for_energies(rig: Any) -> None:
    rig.charge()
    rig.loop(needs=ev.EnergyNeeds(departure_time_s=900, min_energy_wh=500.0, min_soc_pct=40), capacity_wh=50_000.0)
    said_at = rig.now
    rig.cycle(3)
    rig.loop()
    data = rig.bay.vehicle
    assert (data.departs_at_s, data.min_soc_pct, data.capacity_wh) == (said_at + 900.0, 40, 50_000.0)
    assert data.min_energy_wh is None


@pytest.mark.parametrize(
    ("min_energy_wh", "power_w"), [(-20_000.0, -5_000.0), (0.0, -5_000.0), (1.0, 0.0), (None, 0.0)]
)
def test_a_minimum_said_before_the_loop_holds_unless_the_loop_says_that_it_is_covered(
    rig: Any, min_energy_wh: float | None, power_w: float
) -> None:
    rig.charge()
    rig.grant_w = -5_000.0
    rig.say(ev.EnergyNeedsReceived(needs=ev.EnergyNeeds(min_soc_pct=70)))
    rig.loop(60, needs=ev.EnergyNeeds(min_energy_wh=-1.0))
    rig.loop(60, needs=ev.EnergyNeeds(min_energy_wh=min_energy_wh))
    assert rig.cycle().power_w == power_w


def test_a_dc_minimum_is_the_higher_of_power_and_current_at_the_ac_terminals(rig: Any) -> None:
    rig.bay = DcBay(replace(rig.bay.profile, inverter_efficiency=0.96), rig.bay._policy)
    rig.charge()
    rig.cycle(2)
    volts = rig.evse.present_voltage_v
    rig.loop(limits=DC_LIMITS)
    data = rig.bay.vehicle
    assert data.min_charge_w == pytest.approx(5.0 * volts / 0.96)
    assert data.min_discharge_w == 1_200.0
    rig.loop(limits=replace(DC_LIMITS, max_charge_power_w=1_000.0, min_charge_power_w=1_000.0))
    assert rig.bay.vehicle.min_charge_w == 1_000.0


def test_an_ac_vehicles_minimum_is_that_of_all_its_phases() -> None:
    rig = AcRig()
    rig.limits = AcLimits(
        max_charge_power=AcPower(3_600.0, 3_600.0, 0.0),
        min_charge_power=AcPower(700.0, 700.0, 0.0),
        max_discharge_power=AcPower(3_600.0, 3_600.0, 0.0),
        min_discharge_power=AcPower(300.0),
    )
    rig.charge()
    data = rig.bay.vehicle
    assert data is not None
    assert (data.min_charge_w, data.min_discharge_w) == (1_400.0, 300.0)
    assert rig.bay.phases_used == 2
    rig.limits = replace(rig.limits, max_charge_power=AcPower(7_000.0))
    rig.cycle()
    assert rig.bay.phases_used is None


def test_modes_are_told_once_the_service_is_selected(rig: Any) -> None:
    rig.bay.begin(rig.now)
    rig.mode = ev.ControlMode.SCHEDULED
    rig.plug_in()
    procedure = rig.bay.procedure
    assert procedure.control_mode is ev.ControlMode.SCHEDULED
    assert procedure.mobility_needs_mode is ev.MobilityNeedsMode.BY_EVCC
    assert rig.bay.phases_used is None


def test_a_vehicle_that_gave_its_power_in_all_is_seen_to_load_one_phase() -> None:
    rig = AcRig()
    rig.limits = AcLimits(max_charge_power=AcPower(7_000.0))
    rig.charge()
    rig.obeys = False
    rig.change(power_w=(4_000.0, 3_900.0, 4_100.0), current_a=(17.0, 17.0, 17.0))
    rig.cycle(30)
    assert rig.bay.phases_used == 3
    rig.change(power_w=(4_000.0, 20.0, -10.0), current_a=(17.0, 0.1, 0.1))
    rig.cycle(19)
    assert rig.bay.phases_used == 3
    rig.cycle(5)
    assert rig.bay.phases_used == 1
    rig.change(power_w=(100.0, 90.0, 80.0), current_a=(0.5, 0.5, 0.5))
    rig.cycle(40)
    assert rig.bay.phases_used == 1
