"""Simulated vehicles in words, in a layout, and how one chooses within a schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pyiso15118.events import AcPower, ControlMode, EnergyService, MobilityNeedsMode
from pyiso15118.schedules import flat_schedule, profile_problem
from v2g.cli.orchestrator import cli
from v2g.clock import ManualClock
from v2g.config.loader import load
from v2g.sessions.schedules import PowerPlan, Room, planned_offer
from v2g.simulation import layout as layouts
from v2g.simulation import vehicle_config
from v2g.simulation.plant_config import read_config
from v2g.simulation.vehicle_ac import AcVehicle
from v2g.simulation.vehicle_body import JUMP_PU, Vehicle
from v2g.simulation.vehicle_dc import DcVehicle
from v2g.simulation.vehicle_schedule import choose
from v2g.simulation.vehicle_spec import VehicleSpec, VehicleSpecError, parse_vehicle

NOW = 1_800_000_000
WORDS = (
    "dc,v2g,soc=40,capacity=77kWh,power=7kW,min-power=2kW,departs=3h,target=90,min-soc=35,mode=scheduled",
    "ac,v2g,no-soc,departs=-1h,phases=1",
    "dc,lie-soc=90,needs=station",
    "ac,v2g,lie-soc=jumps,soc=40,ignore-limits",
)


def test_a_vehicle_in_words_is_what_the_words_say() -> None:
    assert [parse_vehicle(words) for words in WORDS] == [
        VehicleSpec(
            kind="DC",
            both_ways=True,
            soc_pct=40.0,
            capacity_wh=77_000.0,
            power_w=7_000.0,
            min_power_w=2_000.0,
            departure_s=10_800.0,
            target_soc_pct=90,
            min_soc_pct=35,
            control_mode="scheduled",
        ),
        VehicleSpec(kind="AC", both_ways=True, tells_soc=False, departure_s=-3600.0, phases=1),
        VehicleSpec(kind="DC", told_soc_pct=90, needs_by="station"),
        VehicleSpec(kind="AC", both_ways=True, soc_jumps=True, soc_pct=40.0, ignores_limits=True),
    ]


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("", "begin with dc, mcs or ac"),
        ("wpt,soc=40", "begin with dc, mcs or ac"),
        ("dc,soc=140", "whole percentage"),
        ("dc,soc=-1", "whole percentage"),
        ("dc,soc", "'soc' is not known"),
        ("dc,v2g=1", "'v2g=1' is not known"),
        ("dc,colour=red", "after the kind may come v2g"),
        ("dc,capacity=60", "write it like"),
        ("dc,capacity=60kW", "like 60kWh"),
        ("dc,capacity=0kWh", "above zero"),
        ("dc,departs=0h", "above zero"),
        ("dc,power=-5kW", "magnitude"),
        ("dc,mode=fast", "dynamic or scheduled"),
        ("ac,phases=2", "1 or 3"),
        ("dc,phases=1", "phases is for ac"),
        ("mcs,phases=3", "phases is for ac"),
        ("dc,ignore-limits", "the inverter sets the power"),
        ("ac,no-soc,lie-soc=90", "exclude each other"),
        ("dc,der=sae", "der is for ac"),
        ("mcs,der=iec", "der is for ac"),
        ("ac,der=ieee", "sae or iec"),
        ("dc,slow=0", "a time above zero"),
        ("dc,hangs=-4s", "hangs=-4s"),
        ("dc,slow=2h", "a time above zero"),
        ("dc,mode=scheduled,needs=station", "of dynamic mode"),
    ],
)
def test_words_that_are_no_vehicle_are_refused_with_the_remedy(words: str, remedy: str) -> None:
    with pytest.raises(VehicleSpecError, match=remedy):
        parse_vehicle(words)


@given(st.text(alphabet="dcav2g,=-socmin-t90kWh% ²", max_size=40) | st.text(max_size=20).map("ac,soc={}".format))
def test_any_words_are_a_vehicle_or_refused(words: str) -> None:
    try:
        spec = parse_vehicle(words)
    except VehicleSpecError:
        return
    assert words.startswith(spec.kind.lower())


def test_the_command_takes_vehicles_and_leaves_the_two_of_its_own_out(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr("v2g.cli.orchestrator._simulate", lambda options: given.append(options) or 0)
    run = CliRunner().invoke
    assert run(cli, ["--simulate", "--vehicle", WORDS[0], "--vehicle", WORDS[1]]).exit_code == 0
    assert run(cli, ["--simulate", "--vehicles", "3", "--vehicle", "dc"]).exit_code == 0
    assert [(options.vehicles, len(options.specs)) for options in given] == [(0, 2), (3, 1)]
    refused = run(cli, ["--simulate", "--vehicle", "dc,soc=x"])
    assert refused.exit_code == 2
    assert "soc=x: give a whole percentage" in refused.output
    assert run(cli, ["--vehicle", "dc"]).exit_code == 2
    assert run(cli, ["--simulate", "--demo", "--vehicle", "dc"]).exit_code == 2
    assert len(given) == 2


def test_a_vehicle_may_be_slow_and_its_computer_may_hang() -> None:
    spec = parse_vehicle("dc,slow=0.3,hangs=4s")
    assert (spec.slow_s, spec.hangs_after_s) == (0.3, 4.0)
    assert parse_vehicle("ac,slow=0.3s").slow_s == 0.3
    settings = vehicle_config.vehicle_settings(spec, soc=0.5, most_w=1.0)
    assert (settings["slow_s"], settings["hangs_after_s"]) == (0.3, 4.0)


def test_a_lorry_is_a_vehicle_at_an_evse_of_mcs_and_the_transformer_grows_with_it(tmp_path: Path) -> None:
    specs = [parse_vehicle(words) for words in ("mcs,v2g,soc=60", "mcs,capacity=300kWh,power=900kW", "dc,v2g")]
    layout = layouts.build(tmp_path, 0, None, ManualClock(), specs=specs, plc=True)
    with layout.port_reservation:
        config = load(layout.config_dir).config
        assert config.transformer.rated_kva == 8_250.0
        assert [evse.connector for evse in config.dc_evses] == ["mcs", "mcs", "ccs"]
        assert [evse.plc is not None for evse in config.dc_evses] == [False, False, True]
        assert [evse.max_charge_w for evse in config.dc_evses] == [3_750_000.0, 3_750_000.0, 22_000.0]
        plant = read_config(layout.plant_config)
        assert plant.rated_va == 8_250_000.0
        assert [(evse.rated_w, evse.max_current_a, evse.max_voltage_v) for evse in plant.evses] == [
            (3_750_000.0, 3_000.0, 1_250.0),
            (3_750_000.0, 3_000.0, 1_250.0),
            (22_000.0, 80.0, 920.0),
        ]
        configs = [vehicle_config.read_config(vehicle.config) for _, vehicle in layout.vehicles]
        assert [(c.max_charge_w, c.battery.capacity_wh, c.battery.nominal_voltage_v) for c in configs] == [
            (1_200_000.0, 700_000.0, 1_050.0),
            (900_000.0, 300_000.0, 1_050.0),
            (11_000.0, 60_000.0, 400.0),
        ]
        wanted = [DcVehicle(config, ManualClock()).evcc_config().services for config in configs]
        assert wanted == [
            (EnergyService.MCS_BPT, EnergyService.MCS),
            (EnergyService.MCS,),
            (EnergyService.DC_BPT, EnergyService.DC),
        ]


@pytest.mark.parametrize(
    ("protocol", "service"), [("sae", EnergyService.AC_DER_SAE), ("iec", EnergyService.AC_DER_IEC)]
)
def test_a_vehicle_that_takes_a_grid_code_over_stands_at_an_evse_that_hands_it_one(
    tmp_path: Path, protocol: str, service: EnergyService
) -> None:
    specs = [parse_vehicle(words) for words in (f"ac,der={protocol}", "ac,v2g")]
    assert [(spec.der, spec.both_ways) for spec in specs] == [(protocol, True), ("none", True)]
    layout = layouts.build(tmp_path, 0, None, ManualClock(), specs=specs)
    with layout.port_reservation:
        assert [evse.der.protocol for evse in load(layout.config_dir).config.ac_evses] == [protocol, "none"]
        configs = [vehicle_config.read_config(vehicle.config) for _, vehicle in layout.vehicles]
    der, plain = (AcVehicle(config, ManualClock()) for config in configs)
    assert der.services == (service, EnergyService.AC_BPT, EnergyService.AC)
    assert plain.services == (EnergyService.AC_BPT, EnergyService.AC)
    nameplate = der.nameplate()
    assert nameplate is not None
    assert (nameplate.manufacturer, nameplate.apparent_va, nameplate.usable_wh) == ("Simulated", 11_000.0, 60_000)
    assert plain.nameplate() is None


class Fleet:
    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        specs = [parse_vehicle(words) for words in WORDS]
        self.layout = layouts.build(path, 1, None, self.clock, ac_vehicles=1, specs=specs)
        self.configs = [vehicle_config.read_config(vehicle.config) for _, vehicle in self.layout.vehicles]

    def vehicle(self, number: int) -> Vehicle:
        """Of ``WORDS``, from 0."""
        config = self.configs[2 + number]
        return (AcVehicle if config.kind == "AC" else DcVehicle)(config, self.clock)


@pytest.fixture
def fleet(tmp_path: Path) -> Any:
    fleet = Fleet(tmp_path)
    with fleet.layout.port_reservation:
        yield fleet


def test_vehicles_in_words_come_after_the_counted_ones_each_at_an_evse_of_its_kind(fleet: Fleet) -> None:
    config = load(fleet.layout.config_dir).config
    kinds = [type(evse).__name__.removesuffix("Evse") for evse in config.evses]
    assert kinds == ["Dc", "Ac", "Dc", "Ac", "Dc", "Ac"]
    assert [(evse.phases, evse.rotation) for evse in config.ac_evses] == [(3, "abc"), (1, "b"), (1, "c")]
    described = fleet.configs[2]
    assert (described.soc, described.battery.capacity_wh) == (0.4, 77_000.0)
    assert (described.max_charge_w, described.max_discharge_w, described.min_power_w) == (7_000.0, 7_000.0, 2_000.0)
    assert [config.both_ways for config in fleet.configs] == [True, True, True, True, False, True]


def test_its_computer_wants_what_the_words_say(fleet: Fleet) -> None:
    scheduled, _, station, _ = (fleet.vehicle(number).evcc_config() for number in range(4))
    assert scheduled.control_modes[0] is ControlMode.SCHEDULED
    assert scheduled.select_schedules
    assert station.mobility_needs_modes[0] is MobilityNeedsMode.BY_SECC
    assert station.services == (EnergyService.DC,)
    assert not station.select_schedules


def test_a_departure_comes_nearer_and_one_that_is_past_is_now(fleet: Fleet) -> None:
    leaves, late = fleet.vehicle(0), fleet.vehicle(1)
    assert leaves._needs().departure_time_s == 10_800
    assert late._needs().departure_time_s == 0
    fleet.clock.advance(10_000.0)
    assert leaves._needs().departure_time_s == 800
    fleet.clock.advance(10_000.0)
    assert leaves._needs().departure_time_s == 0


def test_a_vehicle_without_soc_tells_energies_only(fleet: Fleet) -> None:
    vehicle = fleet.vehicle(1)
    needs = vehicle._needs()
    assert (vehicle._told_soc_pct, vehicle._told_capacity_wh) == (None, None)
    assert (needs.min_soc_pct, needs.target_soc_pct) == (None, None)
    assert needs.max_energy_wh == pytest.approx((1.0 - vehicle._battery.soc) * 60_000.0)


def test_lies_about_the_state_of_charge_are_in_the_energies_too(fleet: Fleet) -> None:
    constant, jumping = fleet.vehicle(2), fleet.vehicle(3)
    assert constant._told_soc_pct == 90
    assert constant._needs().max_energy_wh == pytest.approx(0.1 * 60_000.0)
    told = []
    for _ in range(4):
        told.append(jumping._told_soc_pct)
        fleet.clock.advance(30.0)
    assert told == [40, 40 + round(JUMP_PU * 100), 40, 40 + round(JUMP_PU * 100)]


def test_an_ac_vehicle_follows_its_set_point_and_one_that_ignores_it_takes_all_it_can(fleet: Fleet) -> None:
    good, bad = fleet.vehicle(1), fleet.vehicle(3)
    assert isinstance(good, AcVehicle)
    assert isinstance(bad, AcVehicle)
    assert [good._power_w(AcPower(told_w)) for told_w in (2_000.0, -3_000.0, 0.0)] == [2_000.0, -3_000.0, 0.0]
    assert good._power_w(None) == 0.0
    assert [bad._power_w(AcPower(told_w)) for told_w in (2_000.0, -3_000.0, 0.0)] == [7_000.0, -7_000.0, 7_000.0]


def test_a_profile_charges_where_it_is_cheap_and_gives_back_where_it_is_dearest() -> None:
    plan = PowerPlan(
        starts_unix_s=NOW,
        step_s=900.0,
        power_w=(8_000.0, 0.0, -8_000.0, 3_000.0),
        charge_limit_w=(11_000.0,) * 4,
        discharge_limit_w=(11_000.0,) * 4,
    )
    room = Room(charge_w=11_000.0, discharge_w=11_000.0, site_charge_w=9e9, site_discharge_w=9e9, rated_w=22_000.0)
    offered = planned_offer(plan, room, NOW)
    assert offered is not None
    profile = choose([offered], 7_000.0, 7_000.0)
    assert [(slot.duration_s, slot.power_w) for slot in profile.slots] == [
        (900, 7_000.0),
        (900, 0.0),
        (900, -7_000.0),
        (86_400 - 2_700, 4_100.0),
    ]
    assert profile_problem(profile, [offered]) is None
    assert [slot.power_w for slot in choose([offered], 7_000.0, 0.0).slots] == [7_000.0, 0.0, 4_100.0]


def test_a_flat_schedule_is_charged_with_all_the_vehicle_takes() -> None:
    offered = [flat_schedule(9_000.0, starts_at_unix_s=NOW, discharge_power_w=-9_000.0)]
    assert [slot.power_w for slot in choose(offered, 7_000.0, 7_000.0).slots] == [7_000.0]
