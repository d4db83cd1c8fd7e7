"""A vehicle at an AC EVSE is told what ``wires`` holds it to: one that obeys is never taken for one that overdraws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pyiso15118 import events as ev
from pyiso15118.events import AcLimits, AcPower, EnergyService
from v2g.clock import ManualClock
from v2g.config.schema import Config
from v2g.dispatch.orders import Mode
from v2g.grid.protection import Block
from v2g.guard.ac_core import AcCore
from v2g.guard.link import Image
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.view import view
from v2g.guard.wires_ac import ac_limits
from v2g.hardware.ports import AcEvseReading, PilotReading, PilotState, Quantity, TransducerReading
from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.site import Site
from v2g.orchestrator.thermal_clock import ThermalClock
from v2g.sessions.bay import AcBay

A1, D1 = "US*V2G*E1", "US*V2G*E2"
STEP_S = 0.1
PILOT = PilotReading(state=PilotState.C, high_v=6.0, low_v=-12.0, duty_pct=5.0, frequency_hz=1000.0, earth_ok=True)
VEHICLE = AcLimits(max_charge_power=AcPower(22_000.0), max_discharge_power=AcPower(22_000.0))


def config() -> Config:
    modbus = {"modbus": {"host": "127.0.0.1", "port": 1502}}
    port = {"interface": "lo", "sdp_port": 15118, "tcp_port": 15118}
    other = {"interface": "lo", "sdp_port": 15119, "tcp_port": 15119}
    stated = {
        "site": {"id": "test"},
        "transformer": {"id": "T1", "rated_kva": 400.0},
        "grid": {"nominal_voltage_v": 230.0},
        "pki": {"allow_plain": True},
        "dispatch": {"default_mode": "idle", "ramp_pu_s": 10.0},
        "protection": {"mains_input_path": "/run/v2g/mains"},
        "evses": [
            {
                "id": A1, "kind": "AC", **port, "ac": modbus, "phases": 3, "max_current_a": 32.0,
                "max_charge_w": 22_000.0, "max_discharge_w": 22_000.0, "allow_discharge": True,
            },
            {"id": D1, "kind": "DC", **other, "inverter": modbus, "dc": modbus, "max_charge_w": 100_000.0},
        ],
    }  # fmt: skip
    return msgspec.convert(stated, Config)


class World:
    """The site, the rules of ``wires`` for its AC EVSE, and a vehicle there that takes all that it is told."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.clock.advance(1000.0)
        conf = config()
        self.errors: list[str] = []
        self.site = Site(
            conf, ThermalClock(self.clock, SiteZone("UTC")), lambda evse_id, error: self.errors.append(repr(error))
        )
        self.core = AcCore(
            [ac_limits(evse, conf) for evse in conf.ac_evses], self.clock.monotonic_s() - 100.0, mains_input=True
        )
        self.guard: dict[str, Any] = {"service_fraction": 1.0}
        self.reading = AcEvseReading(
            evse_id=A1, as_of_s=0.0, contactor_closed=False, contactor_commanded=False, plugged=True,
            connector_locked=True, voltage_v=(230.0,) * 3, current_a=(0.0,) * 3, power_w=(0.0,) * 3,
            max_current_a=32.0, pilot=PILOT,
        )  # fmt: skip
        self.told_w = 0.0
        self.applied = self.core.decide(view(self.status()), self.clock.monotonic_s())[A1].applied
        self.looping = False
        self.keeps_w: float | None = None
        """What the vehicle takes whatever it is told."""

    def status(self) -> GuardStatus:
        return GuardStatus(
            as_of_s=self.clock.monotonic_s(), permit=Permit.GRANTED, breaker_commanded_closed=True,
            breaker_closed=True, measured=True, **self.guard,
        )  # fmt: skip

    def cycle(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.clock.advance(STEP_S)
            each()
            now_s = self.clock.monotonic_s()
            status = self.status()
            self.reading = msgspec.structs.replace(self.reading, as_of_s=now_s)
            self.core.observe(self.reading)
            self._orchestrate(status, now_s)
            target = self.core.decide(view(status), now_s)[A1]
            self.applied = target.applied
            closed = target.command is not None and target.command.close_contactor
            taken_w = self.told_w if self.keeps_w is None else self.keeps_w
            w = taken_w if closed else 0.0
            self.reading = msgspec.structs.replace(
                self.reading, contactor_closed=closed, contactor_commanded=closed, power_w=(w / 3,) * 3,
                current_a=(abs(w) / 690.0,) * 3,
            )  # fmt: skip

    def _orchestrate(self, status: GuardStatus, now_s: float) -> None:
        bay = self.site.bays[A1]
        if self.looping and bay.procedure is not None:
            bay.procedure.handle(LOOP, now_s)
        oil = TransducerReading(quantity=Quantity.TOP_OIL_C, as_of_s=now_s, value=40.0)
        air = TransducerReading(quantity=Quantity.AMBIENT_C, as_of_s=now_s, value=20.0)
        wires = Image(
            sequence=1, as_of_s=now_s, permit=True, permit_reason="", evses=(self.reading,), transducers=(oil, air),
            applied=(self.applied,),
        )  # fmt: skip
        image = self.site.observe(wires, True, status, now_s)
        # The transformer is no limit here.
        thermal = replace(image.transformer, lo_w=-400e3, hi_w=400e3, expires_at_s=now_s + 2.0)
        self.site.image = replace(image, transformer=thermal)
        self.site.decide(now_s)
        setpoints, steps = self.site.step(now_s)
        self.told_w = steps[A1].power_w
        for power in setpoints.powers:
            if power.evse_id == A1:
                self.core.lease_power(power, now_s)
        for evse in setpoints.evses:
            if evse.evse_id == A1:
                self.core.lease_evse(evse, now_s)

    def drive(self, mode: Mode, power_w: float) -> None:
        now_s = self.clock.monotonic_s()
        self.cycle(1.0)
        procedure = self.site.bays[A1].begin(now_s)
        procedure.service = EnergyService.AC_BPT
        procedure.handle(ev.VehicleLimitsReceived(limits=VEHICLE), now_s)
        procedure.handle(ev.ContactorRequested(), now_s)
        self.cycle(1.0)
        procedure.handle(ev.PowerDeliveryStarted(), self.clock.monotonic_s())
        self.looping = True
        self.order(mode, power_w)

    def order(self, mode: Mode, power_w: float) -> None:
        self.site.book.add(
            mode=mode, power_w=power_w, evse_id=A1, duration_s=900.0, by="test", now_s=self.clock.monotonic_s()
        )


LOOP = ev.AcChargeLoopReceived(
    ev_present_active_power=AcPower(0.0),
    ev_present_reactive_power=None,
    limits=VEHICLE,
    needs=ev.EnergyNeeds(),
    present_soc_pct=60,
    battery_capacity_wh=None,
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(("mode", "sign"), [(Mode.CHARGE, 1.0), (Mode.DISCHARGE, -1.0)])
def test_the_ramp_after_entering_service_is_told_beside_a_large_dc_evse(world: World, mode: Mode, sign: float) -> None:
    world.guard["service_fraction"] = 0.1
    world.drive(mode, 20_000.0)
    world.cycle(4.0)
    assert world.told_w == pytest.approx(sign * 2_200.0, abs=10.0)

    def rise() -> None:
        world.guard["service_fraction"] = min(1.0, world.guard["service_fraction"] + STEP_S / 30.0)

    world.cycle(30.0, rise)
    assert world.core.latched(A1) is None
    assert world.told_w == sign * 20_000.0
    assert not world.errors


def test_the_ramp_counts_from_what_the_cable_carries(world: World) -> None:
    world.reading = msgspec.structs.replace(world.reading, pilot=msgspec.structs.replace(PILOT, proximity_a=13.0))
    world.guard["service_fraction"] = 0.5
    world.drive(Mode.CHARGE, 20_000.0)
    world.cycle(4.0)
    assert world.core.latched(A1) is None
    assert world.told_w == pytest.approx(0.5 * 13.0 * 690.0)


def test_a_discharge_that_runs_outside_the_frequency_window_is_not_told_to_grow(world: World) -> None:
    world.drive(Mode.DISCHARGE, 3_000.0)
    world.cycle(2.0)
    world.guard["blocks"] = int(Block.NEW_DISCHARGE)
    world.cycle(1.0)
    world.order(Mode.DISCHARGE, 10_000.0)
    world.cycle(4.0)
    assert world.core.latched(A1) is None
    assert world.told_w == -3_000.0
    world.guard["blocks"] = 0
    world.cycle(1.0)
    assert world.told_w == -10_000.0


def test_a_curtailed_discharge_does_not_fade_in_the_frequency_window(world: World) -> None:
    world.drive(Mode.DISCHARGE, 8_000.0)
    world.guard |= {"blocks": 0, "curtail_discharge": 0.5}
    world.cycle(2.0)
    world.guard["blocks"] = int(Block.NEW_DISCHARGE)
    world.cycle(4.0)
    assert world.told_w == pytest.approx(-4_000.0)


def test_an_evse_without_a_figure_carries_nothing() -> None:
    bay = World().site.bays[A1]
    assert isinstance(bay, AcBay)
    assert bay.rated_w == (0.0, 0.0)


def test_a_vehicle_whose_session_is_lost_is_opened_within_three_seconds_and_not_accused(world: World) -> None:
    world.drive(Mode.CHARGE, 10_000.0)
    world.cycle(2.0)
    bay = world.site.bays[A1]
    procedure = bay.procedure
    assert procedure is not None
    world.keeps_w, world.looping = 10_000.0, False
    procedure.handle(ev.SessionEnded(reason=ev.EndReason.STOPPED, detail=""), world.clock.monotonic_s())
    bay.end(procedure, world.clock.monotonic_s())
    world.cycle(2.5)
    assert world.reading.contactor_closed
    world.cycle(1.0)
    assert not world.reading.contactor_closed
    assert world.core.latched(A1) is None
    world.cycle(1.0)
    assert bay.fault is None


def test_a_vehicle_that_was_cut_off_is_told_of_while_it_is_plugged_in(world: World) -> None:
    world.drive(Mode.CHARGE, 5_000.0)
    world.keeps_w = 15_000.0
    world.cycle(3.0)
    bay = world.site.bays[A1]
    procedure = bay.procedure
    assert procedure is not None
    bay.end(procedure, world.clock.monotonic_s())
    world.cycle(5.0)
    assert world.applied.bound_by == "overdraw"
    assert "until the plug was out" in str(bay.fault)
    world.reading = msgspec.structs.replace(world.reading, plugged=False)
    world.cycle(1.0)
    assert bay.fault is None
