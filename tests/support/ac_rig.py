"""A session at an AC EVSE that is only readings, with a vehicle that says what a test wants."""

from __future__ import annotations

from typing import Any

import msgspec

from pyiso15118 import events as ev
from pyiso15118.commands import UpdateAcEvse
from pyiso15118.events import AcLimits, AcPower, EnergyService
from v2g.hardware.ports import AcEvseCommand, AcEvseReading, PilotReading, PilotState
from v2g.sessions.ac_limits import AcEvseProfile
from v2g.sessions.authorization import GrantUnlessFaulted
from v2g.sessions.bay import AcBay, BayStep
from v2g.sessions.scheduling import NO_OUTLOOK, Outlook

EVSE = "US*V2G*E1"
PROFILE = AcEvseProfile(
    evse_id=EVSE,
    max_charge_w=22_000.0,
    max_discharge_w=22_000.0,
    max_current_a=32.0,
    phases=3,
    nominal_voltage_v=230.0,
    allow_discharge=True,
)
VEHICLE = AcLimits(
    max_charge_power=AcPower(11_000.0),
    min_charge_power=AcPower(1_400.0),
    max_discharge_power=AcPower(11_000.0),
)


class AcRig:
    """An EVSE that obeys at once unless ``obeys`` is false. The guard's contactor hand: ``permitted``."""

    def __init__(self, profile: AcEvseProfile = PROFILE) -> None:
        self.now = 100.0
        self.bay = AcBay(profile, GrantUnlessFaulted())
        self.evse = AcEvseReading(
            evse_id=EVSE,
            as_of_s=self.now,
            contactor_closed=False,
            contactor_commanded=False,
            plugged=True,
            connector_locked=False,
            voltage_v=(230.0, 230.0, 230.0),
            current_a=(0.0, 0.0, 0.0),
            power_w=(0.0, 0.0, 0.0),
            max_current_a=32.0,
            pilot=PilotReading(state=PilotState.B, earth_ok=True),
        )
        self.obeys = True
        self.permitted = True
        self.bound_by: str | None = None
        self.grant_w = 0.0
        self.soc_pct: int | None = 60
        self.limits = VEHICLE
        self.looping = False
        self.outlook: Outlook = NO_OUTLOOK
        self.mode = ev.ControlMode.DYNAMIC
        self.before_contactor: tuple[ev.Event, ...] = ()
        """What the vehicle says between its limits and its wish for a contactor."""

    def change(self, **changes: Any) -> None:
        self.evse = msgspec.structs.replace(self.evse, **changes)

    def pilot(self, state: PilotState | None, **changes: Any) -> None:
        self.change(pilot=PilotReading(state=state, **{"earth_ok": True, **changes}))

    def say(self, *events: ev.Event) -> tuple[Any, ...]:
        assert self.bay.procedure is not None
        return tuple(c for event in events for c in self.bay.procedure.handle(event, self.now))

    def cycle(self, count: int = 1) -> BayStep:
        for _ in range(count):
            self.now += 0.1
            if self.looping and self.bay.procedure is not None:
                self.loop()
            self.change(as_of_s=self.now)
            self.bay.observe(self.evse, None, self.permitted, self.now, bound_by=self.bound_by)
            step = self.bay.step(self.grant_w, -1e6, 1e6, None, self.now, self.outlook)
            command = step.evse
            assert isinstance(command, AcEvseCommand)
            if self.obeys:
                closed = command.close_contactor and self.permitted
                self.change(
                    contactor_closed=closed,
                    contactor_commanded=closed,
                    connector_locked=command.lock_connector,
                    power_w=(step.power_w / 3,) * 3 if closed else (0.0,) * 3,
                    current_a=(abs(step.power_w) / 690.0,) * 3 if closed else (0.0,) * 3,
                )
        return step

    def loop(self) -> None:
        self.say(
            ev.AcChargeLoopReceived(
                ev_present_active_power=AcPower(0.0),
                ev_present_reactive_power=None,
                limits=self.limits,
                needs=ev.EnergyNeeds(),
                present_soc_pct=self.soc_pct,
                battery_capacity_wh=None,
            )
        )

    def begin(self) -> None:
        self.cycle(2)
        self.bay.begin(self.now)
        self.say(ev.SessionStarted(session_id=bytes(8), evccid="WMIV1", evse_id=EVSE))

    def select(self, service: EnergyService = EnergyService.AC_BPT) -> None:
        self.say(
            ev.EnergyServiceSelected(service=service, control_mode=self.mode, parameter_set_id=1),
            ev.VehicleLimitsReceived(limits=self.limits),
        )

    def charge(self, service: EnergyService = EnergyService.AC_BPT) -> None:
        self.begin()
        self.select(service)
        self.cycle()
        for event in self.before_contactor:
            self.say(event)
            self.cycle()
        self.pilot(PilotState.C)
        self.say(ev.ContactorRequested())
        self.cycle(3)
        self.say(ev.PowerDeliveryStarted())
        self.looping = True
        self.cycle(2)
        assert self.bay.charging, self.bay.fault

    def told(self, step: BayStep) -> UpdateAcEvse:
        return next(c for c in step.commands if isinstance(c, UpdateAcEvse))

    @property
    def closes(self) -> bool:
        assert isinstance(self.bay.commanded, AcEvseCommand)
        return self.bay.commanded.close_contactor
