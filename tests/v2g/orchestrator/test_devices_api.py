"""What is told of single devices: efficiency by band, and pilots against their limits."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from support.control_world import ALICE, E1, E2
from v2g.clock import ManualClock
from v2g.config.schema import Config
from v2g.control.messages_devices import EfficiencyParams, PilotCheckParams, PilotLine
from v2g.control.server import Refused
from v2g.guard.link import EfficiencyState, Image
from v2g.hardware.ports import (
    AcEvseCommand,
    AcEvseReading,
    DcEvseCommand,
    DcEvseReading,
    Insulation,
    InverterReading,
    PilotReading,
    PilotState,
)
from v2g.orchestrator.devices_api import DevicesApi

AC = "US*V2G*E9"
GOOD = PilotReading(state=PilotState.C, high_v=6.0, low_v=-12.0, duty_pct=5.0, frequency_hz=1000.0, earth_ohm=2.0)


@dataclass
class Site:
    """What the methods ask of a site."""

    config: Config
    image: Any
    steps: dict[str, Any]


class Rig:
    def __init__(self, config: Config) -> None:
        self.clock = ManualClock(50.0)
        self.site = Site(config, None, {})
        self.api = DevicesApi(self.site, self.clock)  # type: ignore[arg-type]

    def show(self, **image: Any) -> None:
        known = Image(sequence=1, as_of_s=50.0, permit=True, permit_reason="", **image)
        self.site.image = SimpleNamespace(wires=known)

    async def pilot(self, reading: DcEvseReading | AcEvseReading | None, evse_id: str = E1) -> PilotLine:
        self.show(evses=() if reading is None else (reading,))
        result = await self.api.pilot_check(PilotCheckParams(evse_id=evse_id), ALICE)
        return result.evses[0]


@pytest.fixture
def rig() -> Rig:
    raw = {
        "site": {"id": "test"},
        "transformer": {"id": "T1", "rated_kva": 250.0},
        "grid": {"nominal_voltage_v": 277.0},
        "evses": [
            {
                "id": evse_id,
                "kind": "DC",
                "interface": f"e{number}",
                "inverter": {"modbus": {"host": f"10.0.0.{number}"}},
                "dc": {"modbus": {"host": f"10.0.1.{number}"}},
            }
            for number, evse_id in enumerate((E1, E2), 1)
        ]
        + [{"id": AC, "kind": "AC", "interface": "e9", "ac": {"modbus": {"host": "10.0.2.1"}}}],
    }
    return Rig(msgspec.convert(raw, Config))


def dc(pilot: PilotReading | None, as_of_s: float = 50.0) -> DcEvseReading:
    return DcEvseReading(
        evse_id=E1,
        as_of_s=as_of_s,
        present_voltage_v=0.0,
        present_current_a=0.0,
        contactors_closed=False,
        contactors_commanded=False,
        insulation=Insulation.UNKNOWN,
        insulation_ohm=0.0,
        connector_locked=False,
        plugged=True,
        max_voltage_v=920.0,
        min_voltage_v=150.0,
        max_current_a=80.0,
        max_power_w=22_000.0,
        pilot=pilot,
    )


def ac(pilot: PilotReading) -> AcEvseReading:
    return AcEvseReading(
        evse_id=AC,
        as_of_s=50.0,
        contactor_closed=False,
        contactor_commanded=False,
        plugged=True,
        connector_locked=True,
        voltage_v=(277.0,) * 3,
        current_a=(0.0,) * 3,
        power_w=(0.0,) * 3,
        max_current_a=32.0,
        pilot=pilot,
    )


async def test_a_pilot_within_its_limits_passes(rig: Rig) -> None:
    line = await rig.pilot(dc(GOOD))
    assert (line.verdict, line.state, line.findings) == ("pass", "C", ())
    assert (line.duty_pct, line.expected_duty_pct, line.earth_ohm) == (5.0, 5.0, 2.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"high_v": 7.4}, "positive level"),
        ({"low_v": -10.9}, "negative level -10.9 V, allowed -12.6..-11.4 V"),
        ({"duty_pct": 5.9}, "duty cycle 5.9 %, allowed 4.5..5.5 %"),
        ({"frequency_hz": 1040.0}, "frequency 1040 Hz"),
        ({"earth_ohm": 5_000.0}, "protective earth"),
        ({"high_v": -12.0, "state": PilotState.F}, "state F: the EVSE offers nothing"),
        ({"high_v": None, "state": None}, "no state is measured"),
    ],
)
async def test_the_limit_that_failed_is_named(rig: Rig, change: dict[str, Any], said: str) -> None:
    line = await rig.pilot(dc(msgspec.structs.replace(GOOD, **change)))
    assert line.verdict == "fail"
    assert any(said in finding for finding in line.findings), line.findings


async def test_an_old_reading_and_none_at_all_are_unknown(rig: Rig) -> None:
    assert (await rig.pilot(dc(GOOD, as_of_s=48.9))).verdict == "unknown"
    assert (await rig.pilot(None)).verdict == "unknown"


async def test_a_state_f_that_is_ordered_is_no_failure_of_the_pilot_and_its_levels_are_judged(rig: Rig) -> None:
    low = PilotReading(state=PilotState.F, high_v=-12.0, earth_ohm=2.0)
    rig.site.steps = {E1: SimpleNamespace(evse=DcEvseCommand(pilot_error=True))}
    line = await rig.pilot(dc(low))
    assert (line.verdict, line.state) == ("pass", "F")
    assert line.findings == ("state F, as ordered: the powerline link failed, the vehicle shall begin anew",)
    assert (await rig.pilot(dc(msgspec.structs.replace(low, high_v=-11.1)))).verdict == "fail"
    assert (await rig.pilot(dc(msgspec.structs.replace(low, state=PilotState.E, high_v=0.0)))).verdict == "fail"
    rig.site.steps = {E1: SimpleNamespace(evse=DcEvseCommand())}
    assert (await rig.pilot(dc(low))).verdict == "fail"


async def test_a_device_without_a_pilot_says_so(rig: Rig) -> None:
    line = await rig.pilot(dc(None))
    assert line.verdict == "not measured"
    assert "pilot" in line.findings[0]


async def test_an_ac_evse_is_held_to_the_duty_that_it_was_told(rig: Rig) -> None:
    steady = msgspec.structs.replace(GOOD, duty_pct=100.0, low_v=None)
    rig.site.steps = {AC: SimpleNamespace(evse=AcEvseCommand(pilot_duty_pct=100.0))}
    assert (await rig.pilot(ac(steady), AC)).verdict == "pass"
    rig.site.steps = {AC: SimpleNamespace(evse=AcEvseCommand(pilot_duty_pct=5.0))}
    assert (await rig.pilot(ac(steady), AC)).findings == ("duty cycle 100 %, allowed 4.5..5.5 %",)


async def test_efficiency_is_told_in_watts_of_each_inverter(rig: Rig) -> None:
    inverter = InverterReading(evse_id=E1, as_of_s=50.0, power_w=0.0, max_charge_w=20_000.0, max_discharge_w=18_000.0)
    state = EfficiencyState(evse_id=E1, bands=(("discharge", 0.25, 0.5, 0.965, 80),))
    rig.show(inverters=(inverter,), efficiencies=(state,))
    first, second = (await rig.api.efficiency(EfficiencyParams(), ALICE)).inverters
    (band,) = first.bands
    assert (band.direction, band.low_w, band.high_w, band.efficiency) == ("discharge", 5_000.0, 10_000.0, 0.965)
    assert second.evse_id == E2
    assert "nothing measured yet" in second.problem


async def test_what_cannot_be_is_passed_on(rig: Rig) -> None:
    state = EfficiencyState(evse_id=E1, bands=(("charge", 0.1, 0.25, 1.02, 80),), problem="more comes out")
    rig.show(efficiencies=(state,))
    (line,) = (await rig.api.efficiency(EfficiencyParams(evse_id=E1), ALICE)).inverters
    assert line.problem == "more comes out"


async def test_unknown_evses_and_those_without_an_inverter_are_refused(rig: Rig) -> None:
    with pytest.raises(Refused, match="there is no EVSE 'US"):
        await rig.api.pilot_check(PilotCheckParams(evse_id="US*V2G*E7"), ALICE)
    with pytest.raises(Refused, match="the inverter is the vehicle's"):
        await rig.api.efficiency(EfficiencyParams(evse_id=AC), ALICE)
