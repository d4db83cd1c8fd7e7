"""The output stage's interlocks, the circuit with a battery, and that no energy is lost or invented."""

from __future__ import annotations

import pytest

from v2g.hardware.ports import DcEvseCommand, Insulation, PilotState
from v2g.simulation.battery import Battery, BatteryModel
from v2g.simulation.dc_stage import DcStage
from v2g.simulation.grid_source import GridSource
from v2g.simulation.inverter import EFFICIENCY, SimInverter
from v2g.simulation.site import Charger, PluggedVehicle, Site
from v2g.simulation.switchgear import Stuck
from v2g.simulation.thermal_plant import TransformerPlant

DT = 0.005
CHECK = DcEvseCommand(close_contactors=True, test_insulation=True, lock_connector=True)
PRE_CHARGE = DcEvseCommand(target_voltage_v=400.0, current_limit_a=2.0, close_contactors=True, lock_connector=True)
LOOP = DcEvseCommand(target_voltage_v=400.0, current_limit_a=60.0, close_contactors=True, lock_connector=True)


class Bench:
    """A stage under a hand that repeats its command."""

    def __init__(self, stage: DcStage | None = None) -> None:
        self.stage = stage or DcStage()
        self.now_s = 100.0

    def run(self, command: DcEvseCommand | None, seconds: float, *, supplied: bool = True) -> DcStage:
        for _ in range(round(seconds / DT)):
            self.now_s += DT
            if command is not None:
                self.stage.apply(command, self.now_s)
            self.stage.step(self.now_s, DT, supplied=supplied, battery_v=None)
        return self.stage


def test_contactors_close_only_with_a_locked_plug() -> None:
    bench = Bench()
    assert not bench.run(LOOP, 1.0).contactors.closed
    bench.stage.plug()
    assert not bench.run(DcEvseCommand(close_contactors=True), 1.0).contactors.closed
    assert bench.run(LOOP, 0.5).contactors.closed
    bench.stage.unplug()
    assert not bench.run(LOOP, 0.2).contactors.closed
    assert not bench.stage.locked


def test_a_cable_check_takes_its_time_and_finds_a_healthy_cable_valid() -> None:
    bench = Bench()
    bench.stage.plug()
    bench.run(CHECK, 0.8)
    assert bench.stage.insulation is Insulation.TESTING
    assert bench.stage.voltage_v > 100.0
    assert bench.run(CHECK, 1.5).insulation is Insulation.VALID
    assert bench.run(LOOP, 0.5).insulation is Insulation.VALID, "the result stays until the plug is out"
    bench.stage.unplug()
    assert bench.stage.insulation is Insulation.UNKNOWN


def test_a_cable_check_finds_a_fault() -> None:
    bench = Bench()
    bench.stage.plug()
    bench.stage.lose_insulation(20_000.0)
    assert bench.run(CHECK, 2.5).insulation is Insulation.FAULT
    assert bench.stage.faults(bench.now_s) == (), "a failed test is a result, not a fault of the device"


def test_insulation_lost_while_energised_is_a_fault_that_opens() -> None:
    bench = Bench()
    bench.stage.plug()
    bench.run(CHECK, 2.5)
    bench.run(LOOP, 0.5)
    bench.stage.lose_insulation(20_000.0)
    bench.run(LOOP, 1.0)
    assert bench.stage.faults(bench.now_s) == ("insulation fault while energised",)
    assert not bench.stage.contactors.closed


def test_the_output_slews_to_its_target_and_decays_without_supply() -> None:
    bench = Bench()
    bench.stage.plug()
    bench.run(PRE_CHARGE, 0.6)
    assert bench.run(PRE_CHARGE, 1.0).voltage_v == pytest.approx(400.0)
    assert bench.run(PRE_CHARGE, 2.0, supplied=False).voltage_v == 0.0


def test_a_pre_charge_out_of_tolerance_settles_beside_its_target() -> None:
    bench = Bench(DcStage(output_gain=0.85))
    bench.stage.plug()
    assert bench.run(PRE_CHARGE, 2.0).voltage_v == pytest.approx(340.0)


def test_silence_opens_the_contactors_and_keeps_the_lock() -> None:
    bench = Bench()
    bench.stage.plug()
    bench.run(LOOP, 1.0)
    assert bench.run(None, 2.9).contactors.closed
    assert not bench.run(None, 0.3).contactors.closed
    assert bench.stage.watchdog_expired
    assert bench.stage.locked


@pytest.mark.parametrize(
    ("stuck", "command", "fault"),
    [
        (Stuck.CLOSED, DcEvseCommand(lock_connector=True), "contactor welded"),
        (Stuck.OPEN, LOOP, "contactor does not close"),
    ],
)
def test_a_contactor_that_does_not_obey_is_reported(stuck: Stuck, command: DcEvseCommand, fault: str) -> None:
    bench = Bench()
    bench.stage.plug()
    bench.run(LOOP, 1.0)
    bench.stage.contactors.stuck = stuck
    bench.run(command, 1.0)
    assert fault in bench.stage.faults(bench.now_s)


def test_a_tripped_device_stays_open_until_closing_is_commanded_anew() -> None:
    bench = Bench()
    bench.stage.plug()
    bench.run(LOOP, 1.0)
    bench.stage.tripped = "emergency stop pressed"
    bench.run(LOOP, 0.2)
    assert not bench.stage.contactors.closed
    bench.stage.tripped = None
    assert not bench.run(LOOP, 1.0).contactors.closed
    bench.run(DcEvseCommand(lock_connector=True), 0.1)
    assert bench.run(LOOP, 0.5).contactors.closed


def charger(soc: float = 0.7, *, auto: bool = True, limit: DcStage | None = None) -> Charger:
    made = Charger(
        evse_id="E1",
        inverter=SimInverter(rated_w=22_000.0, nominal_voltage_v=277.0, nominal_frequency_hz=60.0),
        stage=limit or DcStage(),
    )
    made.plug(PluggedVehicle(name="v", battery=Battery(BatteryModel(), soc), auto=auto))
    return made


def site_with(one: Charger) -> Site:
    return Site(
        grid=GridSource(nominal_voltage_v=277.0, nominal_frequency_hz=60.0),
        transformer=TransformerPlant(ambient_c=25.0, load_pu=0.3),
        chargers={"E1": one},
        rated_va=250_000.0,
        breaker_commanded=True,
    )


class Clockwork:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.now_s = 50.0

    def run(self, seconds: float, command: DcEvseCommand | None = LOOP) -> None:
        for _ in range(round(seconds / DT)):
            self.now_s += DT
            for one in self.site.chargers.values():
                if command is not None:
                    one.stage.apply(command, self.now_s)
            self.site.step(self.now_s, DT)


def test_an_automatic_vehicle_joins_when_the_voltage_matches() -> None:
    one = charger()
    clockwork = Clockwork(site_with(one))
    clockwork.run(3.0)
    assert one.vehicle is not None
    assert one.vehicle.contactor_closed
    assert one.stage.inrush_events == 0
    clockwork.run(0.5, DcEvseCommand(lock_connector=True))
    assert not one.vehicle.contactor_closed


def test_ten_kilowatts_out_of_the_inverter_cost_the_battery_its_losses() -> None:
    one = charger()
    clockwork = Clockwork(site_with(one))
    clockwork.run(3.0)
    battery = one.vehicle.battery
    one.inverter.setpoint_w = -10_000.0
    one.inverter.enable(True, clockwork.now_s)
    clockwork.run(1.0)
    out_wh, stored_wh, exported_wh = battery.energy_out_wh, battery.stored_wh, one.inverter.exported_wh
    clockwork.run(60.0)
    assert clockwork.site.feeder_w == pytest.approx(-10_000.0)
    assert one.inverter.exported_wh - exported_wh == pytest.approx(10_000.0 / 60.0, rel=1e-3)
    assert battery.energy_out_wh - out_wh == pytest.approx(10_000.0 / 60.0 / EFFICIENCY, rel=1e-3)
    heat_wh = one.stage.current_a**2 * battery.model.resistance_ohm / 60.0
    assert stored_wh - battery.stored_wh == pytest.approx(10_000.0 / 60.0 / EFFICIENCY + heat_wh, rel=1e-3)
    assert one.stage.discharged_wh == pytest.approx(battery.energy_out_wh)


def test_charging_loses_on_the_way_in() -> None:
    one = charger()
    clockwork = Clockwork(site_with(one))
    clockwork.run(3.0)
    one.inverter.setpoint_w = 10_000.0
    one.inverter.enable(True, clockwork.now_s)
    clockwork.run(31.0)
    assert one.vehicle.battery.energy_in_wh == pytest.approx(one.inverter.imported_wh * EFFICIENCY)
    assert one.vehicle.battery.soc > 0.7


def test_the_stage_s_current_limit_holds_against_the_set_point() -> None:
    one = charger()
    clockwork = Clockwork(site_with(one))
    clockwork.run(3.0)
    one.inverter.setpoint_w = -10_000.0
    one.inverter.enable(True, clockwork.now_s)
    clockwork.run(2.0, DcEvseCommand(current_limit_a=5.0, close_contactors=True, lock_connector=True))
    assert one.stage.current_a == pytest.approx(-5.0)
    assert one.inverter.power_w == pytest.approx(-5.0 * one.stage.voltage_v * EFFICIENCY)


@pytest.mark.parametrize(("soc", "power_w"), [(0.0, -5_000.0), (1.0, 5_000.0)])
def test_an_empty_battery_gives_nothing_and_a_full_one_takes_nothing(soc: float, power_w: float) -> None:
    one = charger(soc)
    clockwork = Clockwork(site_with(one))
    clockwork.run(
        3.0,
        DcEvseCommand(
            target_voltage_v=one.vehicle.battery.emf_v, close_contactors=True, lock_connector=True, current_limit_a=50.0
        ),
    )
    assert one.vehicle.contactor_closed
    one.inverter.setpoint_w = power_w
    one.inverter.enable(True, clockwork.now_s)
    clockwork.run(1.0)
    assert one.inverter.power_w == 0.0


def test_opening_the_breaker_takes_the_power_away() -> None:
    one = charger()
    clockwork = Clockwork(site_with(one))
    clockwork.run(3.0)
    one.inverter.setpoint_w = -10_000.0
    one.inverter.enable(True, clockwork.now_s)
    clockwork.run(1.0)
    clockwork.site.breaker_commanded = False
    opened_s = clockwork.now_s
    clockwork.run(0.06)
    assert clockwork.site.feeder_w == 0.0
    assert clockwork.site.breaker.changed_at_s == pytest.approx(opened_s + 0.05, abs=2 * DT)


def test_a_vehicle_that_closes_onto_a_wrong_voltage_is_noticed() -> None:
    one = charger(auto=False)
    clockwork = Clockwork(site_with(one))
    clockwork.run(3.0, DcEvseCommand(target_voltage_v=300.0, close_contactors=True, lock_connector=True))
    one.vehicle.close_contactor(one.stage, True)
    assert one.stage.inrush_events == 1


def test_a_second_plug_is_refused() -> None:
    one = charger()
    with pytest.raises(ValueError, match="plugged in already"):
        one.plug(PluggedVehicle(name="other", battery=Battery(BatteryModel(), 0.5)))


def test_battery_power_beyond_what_it_can_give_is_bounded() -> None:
    battery = Battery(BatteryModel(resistance_ohm=1.0), 0.7)
    current_a = battery.current_for_power_a(-1e9)
    assert current_a == pytest.approx(-200.0)
    assert battery.terminal_voltage_v(current_a) * current_a == pytest.approx(-40_000.0)


def test_state_f_is_on_the_wire_while_it_is_ordered_and_the_controller_is_heard() -> None:
    bench = Bench()
    bench.stage.plug()
    failed = DcEvseCommand(pilot_error=True)
    reading = bench.run(failed, DT).pilot()
    assert (reading.state, reading.high_v, reading.low_v, reading.duty_pct) == (PilotState.F, -12.0, None, 100.0)
    assert bench.run(DcEvseCommand(), DT).pilot().state is PilotState.B
    bench.run(failed, DT)
    assert bench.run(None, 2.9).true_state is PilotState.F
    assert bench.run(None, 0.2).true_state is PilotState.B, "its watchdog has expired"
    bench.stage.unplug()
    assert bench.run(failed, DT).pilot().state is PilotState.F, "whoever comes now finds no EVSE that is available"


def test_a_vehicles_toggles_are_counted_until_the_plug_is_out() -> None:
    bench = Bench()
    bench.stage.plug()

    def counted(ready: bool) -> int | None:
        bench.stage.vehicle_ready = ready
        return bench.run(DcEvseCommand(), 0.02).pilot().toggles

    assert [counted(ready) for ready in (False, True, False, True, False)] == [0, 0, 1, 1, 2]
    bench.stage.vehicle_ready = True
    bench.stage.unplug()
    assert not bench.stage.vehicle_ready
    bench.run(DcEvseCommand(), DT)
    bench.stage.plug()
    assert counted(False) == 0
