"""An EVSE that is only readings, with its bay and a vehicle that says what a test wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pyiso15118 import events as ev
from pyiso15118.commands import CableCheckFinished, UpdateDcEvse
from v2g.dispatch.wants import Wants
from v2g.hardware.ports import DcEvseReading, Insulation, InverterReading
from v2g.sessions.authorization import GrantUnlessFaulted
from v2g.sessions.bay import BayStep, DcBay
from v2g.sessions.drain import Parting
from v2g.sessions.limits import EvseProfile
from v2g.sessions.procedure import Phase
from v2g.sessions.scheduling import NO_OUTLOOK, Outlook

EVSE = "US*V2G*E1"
PROFILE = EvseProfile(
    evse_id=EVSE,
    max_voltage_v=920.0,
    min_voltage_v=150.0,
    max_current_a=80.0,
    max_charge_w=22_000.0,
    max_discharge_w=20_000.0,
)
VEHICLE = ev.DcLimits(
    max_charge_power_w=50_000.0,
    max_charge_current_a=100.0,
    max_voltage_v=450.0,
    min_voltage_v=300.0,
    max_discharge_power_w=15_000.0,
    max_discharge_current_a=60.0,
)


class Rig:
    """An EVSE that obeys at once, a vehicle that says what the test wants, and a clock in the test's hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.bay = DcBay(PROFILE, GrantUnlessFaulted())
        self.evse = DcEvseReading(
            evse_id=EVSE,
            as_of_s=self.now,
            present_voltage_v=0.0,
            present_current_a=0.0,
            contactors_closed=False,
            contactors_commanded=False,
            insulation=Insulation.UNKNOWN,
            insulation_ohm=1e6,
            connector_locked=False,
            plugged=True,
            max_voltage_v=900.0,
            min_voltage_v=150.0,
            max_current_a=75.0,
            max_power_w=25_000.0,
        )
        self.inverter = InverterReading(
            evse_id=EVSE,
            as_of_s=self.now,
            power_w=0.0,
            max_charge_w=21_000.0,
            max_discharge_w=18_000.0,
            connected=True,
            reversion_armed=True,
        )
        self.obeys = True
        self.fresh = True
        self.grant_w = 0.0
        self.site = (-1e6, 1e6)
        self.parting: Parting | None = None
        self.permitted = True
        self.last: BayStep | None = None
        self.outlook: Outlook = NO_OUTLOOK
        self.wants: Wants | None = None
        self.mode = ev.ControlMode.DYNAMIC
        self.needs_by = ev.MobilityNeedsMode.BY_EVCC
        self._testing = 0

    def change_evse(self, **changes: Any) -> None:
        self.evse = msgspec.structs.replace(self.evse, **changes)

    def change_inverter(self, **changes: Any) -> None:
        self.inverter = msgspec.structs.replace(self.inverter, **changes)

    def cycle(self, count: int = 1) -> BayStep:
        for _ in range(count):
            self.now += 0.1
            if self.fresh:
                self.change_evse(as_of_s=self.now)
                self.change_inverter(as_of_s=self.now)
            self.bay.observe(self.evse, self.inverter, self.permitted, self.now, wants=self.wants)
            site = self.site if self.permitted else (0.0, 0.0)
            self.last = self.bay.step(self.grant_w, *site, self.parting, self.now, self.outlook)
            if self.obeys:
                command = self.last.evse
                self._testing = self._testing + 1 if command.test_insulation else 0
                result = Insulation.TESTING if self._testing == 1 else Insulation.VALID
                self.change_evse(
                    contactors_closed=command.close_contactors,
                    contactors_commanded=command.close_contactors,
                    connector_locked=command.lock_connector,
                    insulation=result if command.test_insulation else self.evse.insulation,
                    present_voltage_v=command.target_voltage_v if command.close_contactors else 0.0,
                )
        assert self.last is not None
        return self.last

    def until(self, done: Callable[[BayStep], bool], limit: int = 100) -> BayStep:
        for _ in range(limit):
            if done(step := self.cycle()):
                return step
        raise AssertionError(f"not reached in {limit} cycles; phase {self.bay.phase}, fault {self.bay.fault}")

    def say(self, *events: ev.Event) -> tuple[Any, ...]:
        assert self.bay.procedure is not None
        return tuple(c for event in events for c in self.bay.procedure.handle(event, self.now))

    def plug_in(self) -> None:
        self.cycle(2)
        self.bay.begin(self.now)
        self.say(
            ev.SessionStarted(session_id=b"12345678", evccid="WMIV1", evse_id=EVSE),
            ev.EnergyServiceSelected(
                service=ev.EnergyService.DC_BPT,
                control_mode=self.mode,
                parameter_set_id=1,
                mobility_needs_mode=self.needs_by,
            ),
            ev.VehicleLimitsReceived(limits=VEHICLE),
        )

    def insulate(self) -> CableCheckFinished:
        self.say(ev.CableCheckRequested())
        return self.find(self.until(lambda step: self.finished(step) is not None), CableCheckFinished)

    def loop(
        self,
        soc_pct: int | None = 60,
        limits: ev.DcLimits = VEHICLE,
        needs: ev.EnergyNeeds | None = None,
        target_a: float | None = None,
        capacity_wh: float | None = None,
    ) -> None:
        self.say(
            ev.DcChargeLoopReceived(
                ev_present_voltage_v=400.0,
                limits=limits,
                needs=needs or ev.EnergyNeeds(),
                present_soc_pct=soc_pct,
                battery_capacity_wh=capacity_wh,
                target_current_a=target_a,
            )
        )

    def ask_schedule(self, *, points: int = 1024, departure_s: int | None = None, again: bool = False) -> None:
        needs = ev.EnergyNeeds(departure_time_s=departure_s)
        self.say(
            ev.EnergyNeedsReceived(needs=needs),
            ev.ScheduleRequested(
                control_mode=self.mode,
                mobility_needs_mode=self.needs_by,
                needs=needs,
                max_supporting_points=points,
                renegotiation=again,
            ),
        )

    def charge(self, soc_pct: int | None = 60) -> None:
        self.plug_in()
        assert self.insulate().passed
        self.say(ev.PreChargeRequested(target_voltage_v=400.0, ev_present_voltage_v=400.0))
        self.cycle(2)
        self.say(ev.PowerDeliveryStarted())
        self.loop(soc_pct)

    @property
    def phase(self) -> Phase | None:
        return self.bay.phase

    def find(self, step: BayStep, kind: type[Any]) -> Any:
        return next(command for command in step.commands if isinstance(command, kind))

    def finished(self, step: BayStep) -> CableCheckFinished | None:
        return next((c for c in step.commands if isinstance(c, CableCheckFinished)), None)

    def update(self, step: BayStep) -> UpdateDcEvse:
        return self.find(step, UpdateDcEvse)  # type: ignore[no-any-return]


@pytest.fixture
def rig() -> Rig:
    return Rig()
