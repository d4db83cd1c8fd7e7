"""One EVSE as the control cycle sees it: its watch, its session, and what an earlier session left behind. Pure."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from pyiso15118.commands import Command
from pyiso15118.der import GridCode
from v2g.dispatch.ac_vehicle import ac_rated_w
from v2g.dispatch.constraints import Bound
from v2g.dispatch.vehicle import VehicleData
from v2g.dispatch.wants import Wants
from v2g.hardware.ports import AcEvseCommand, AcEvseReading, DcEvseCommand, DcEvseReading, InverterReading
from v2g.sessions.ac_limits import AcEvseProfile
from v2g.sessions.ac_procedure import HLC_DUTY_PCT, AcProcedure
from v2g.sessions.ac_watch import AcWatch
from v2g.sessions.authorization import AuthorizationPolicy
from v2g.sessions.dc_procedure import SAFE_VOLTAGE_V, DcProcedure
from v2g.sessions.dc_watch import DcWatch
from v2g.sessions.der_session import DerSession
from v2g.sessions.drain import Parting
from v2g.sessions.limits import EvseProfile
from v2g.sessions.procedure import REST_CURRENT_A, EvseView, Phase, Procedure, Share
from v2g.sessions.scheduling import NO_OUTLOOK, Outlook
from v2g.sessions.watch import PowerReading, Verdict, is_fresh

_UNKNOWN = Verdict(fault="no reading yet")
_BARRED = {
    "overdraw": "the vehicle took or gave more than it was told",
    "ac_discharge_off": "the vehicle discharged, which is not allowed at this site",
}
"""What ``wires`` says of a vehicle that it will not let back: its session has nothing to wait for."""
PILOT_ERROR_S = 4.0
"""State F on the pilot, once begun, for at least so long (ISO 15118-3, T_step_EF)."""
EvseReading = DcEvseReading | AcEvseReading
EvseCommand = DcEvseCommand | AcEvseCommand


@dataclass(frozen=True, slots=True, kw_only=True)
class BayStep:
    """What one EVSE gets this cycle: a command for its devices, a power, and commands for its vehicle's session.

    ``power_w``: DC: for its inverter. AC: what the vehicle is told by these ``commands``.
    """

    evse_id: str
    evse: EvseCommand
    power_w: float
    commands: tuple[Command, ...]


class EvseBay(abc.ABC):
    """Owns an EVSE across sessions. At most one session holds it; the next waits until it is open and unlocked."""

    def __init__(self, evse_id: str) -> None:
        self.evse_id = evse_id
        self.procedure: Procedure | None = None
        self.view = EvseView(fault=_UNKNOWN.fault)
        self.commanded = self.idle()
        self.commanded_w = 0.0
        self._verdict = _UNKNOWN
        self._evse: EvseReading | None = None
        self._inverter: InverterReading | None = None
        self._permitted = self._supplied = False
        self._bound_by: str | None = None
        self._ending = ""
        self._pilot_error = False
        self._pilot_error_until_s: float | None = None
        self.wants: Wants | None = None
        """What the site asks for the vehicle here, by the last :meth:`observe`."""
        self._leaving: Procedure | None = None
        self._not_to_ask = ""
        """EVCCID of the vehicle that left when it was asked to renegotiate."""
        self.grid_code: GridCode | None = None
        """What the inverter of a vehicle at an AC EVSE is handed; whoever knows the configuration sets it anew."""
        self.paused_by = ""
        """EVCCID of the vehicle that may come back to its session here; whoever keeps paused sessions tells."""

    # ---- what differs between DC and AC ----

    reads: ClassVar[type[DcEvseReading] | type[AcEvseReading]]
    """The kind of reading that its devices give."""

    @property
    @abc.abstractmethod
    def power(self) -> PowerReading | None:
        """The last measured power: of a DC EVSE at its inverter's AC terminals, of an AC EVSE at its meter."""

    @property
    @abc.abstractmethod
    def note(self) -> str | None:
        """Why the vehicle gets less than it was granted, where only the session knows it."""

    @property
    @abc.abstractmethod
    def may_discharge(self) -> bool:
        """By the configuration."""

    @abc.abstractmethod
    def idle(self, *, locked: bool = False) -> EvseCommand:
        """Open and at zero; the connector as asked for."""

    @abc.abstractmethod
    def _new_procedure(self) -> Procedure: ...

    @abc.abstractmethod
    def _judge(self, now_s: float) -> Verdict: ...

    @abc.abstractmethod
    def _is_closed(self) -> bool:
        """By feedback."""

    @abc.abstractmethod
    def rests(self, now_s: float) -> bool:
        """The vehicle's side is known to carry no current; :attr:`power` is measured elsewhere, at another moment."""

    @abc.abstractmethod
    def _is_dead(self) -> bool:
        """Nothing is left of a session here, as far as an open EVSE can have anything left."""

    # ---- sessions ----

    @property
    def fault(self) -> str | None:
        """What is wrong here now: with the session first, then with the EVSE."""
        in_session = self.procedure.fault if self.procedure is not None else None
        return in_session or self.view.fault

    @property
    def releasing(self) -> bool:
        """An earlier session's contactors or lock are still being opened."""
        return self._leaving is not None

    def begin(self, now_s: float) -> Procedure:
        """A new session takes the EVSE; an unfinished one is brought to its end first."""
        self._retire(now_s)
        self.procedure = self._new_procedure()
        self._look(now_s)
        return self.procedure

    def end(self, procedure: Procedure, now_s: float) -> None:
        """The session of ``procedure`` is over; what it left closed is opened in the next cycles."""
        if self.procedure is procedure:
            self._retire(now_s)

    def _retire(self, now_s: float) -> None:
        procedure, self.procedure = self.procedure, None
        if procedure is not None:
            procedure.finish(now_s)
            if procedure.scheduling.left_when_asked:
                self._not_to_ask = procedure.evccid
        # One that had to wait for its predecessor never touched the EVSE and leaves nothing behind.
        if procedure is not None and self._leaving is None:
            self._leaving = procedure

    # ---- one control cycle ----

    def observe(
        self,
        evse: EvseReading | None,
        inverter: InverterReading | None,
        permitted: bool,
        now_s: float,
        *,
        supplied: bool | None = None,
        bound_by: str | None = None,
        ending: str = "",
        wants: Wants | None = None,
        pilot_error: bool = False,
    ) -> None:
        """This cycle's readings (``inverter``: of a DC EVSE), and whether energy is permitted at all.

        ``supplied``: an AC EVSE may hold its contactor closed; None: whenever energy is permitted. ``bound_by``: what
        ``wires`` says of its set-point, as in :class:`v2g.guard.link.Applied`. ``ending``: why no session may go on, in
        words; empty: they may. ``wants``: what the site asks for the vehicle here. ``pilot_error``: state F is wanted
        on the pilot; it comes once there is no session and nothing is closed.
        """
        self._evse, self._inverter, self._permitted = evse, inverter, permitted
        self._supplied = permitted if supplied is None else supplied
        self._bound_by, self._ending, self.wants, self._pilot_error = bound_by, ending, wants, pilot_error
        self._verdict = self._judge(now_s)
        if self.procedure is None and self._leaving is None:
            fresh = is_fresh(self._evse, now_s)
            closed = fresh and self._is_closed()
            if not fresh or closed or not self._is_dead():
                # Contactors are closed only onto what is known to be closed.
                self._leaving = self._new_procedure()
                self._leaving.come_to_rest_after_lost_session(now_s, closed=closed)
        self._look(now_s)

    def _look(self, now_s: float) -> None:
        verdict = self._verdict
        self.view = EvseView(
            evse=self._evse,
            inverter=self._inverter,
            fault=self._ending or verdict.fault,
            hold=verdict.hold,
            available=self._leaving is None,
            supplied=self._supplied,
            wants=self.wants,
            grid_code=self.grid_code,
        )
        for procedure in (self.procedure, self._leaving):
            if procedure is not None:
                procedure.look(self.view, now_s)

    def bounds(self, now_s: float) -> tuple[Bound, ...] | None:
        """Limits of the vehicle here, or None where none is in its charge loop."""
        if self.procedure is None or not self.charging or self._leaving is not None:
            return None
        return self.procedure.bounds(now_s)

    def step(
        self,
        grant_w: float,
        site_lo_w: float,
        site_hi_w: float,
        parting: Parting | None,
        now_s: float,
        outlook: Outlook = NO_OUTLOOK,
    ) -> BayStep:
        """This cycle's commands. Without a session: open, unlocked, zero."""
        command, power_w = self._idle_with_pilot(now_s), 0.0
        commands: tuple[Command, ...] = ()
        if self.procedure is not None:
            if self._not_to_ask:
                self.procedure.scheduling.ask = self.procedure.evccid != self._not_to_ask
            share = Share(site_lo_w=site_lo_w, site_hi_w=site_hi_w, grant_w=grant_w, parting=parting, outlook=outlook)
            step = self.procedure.step(share, now_s)
            command, power_w, commands = step.evse, step.power_w, step.commands
        if self._leaving is not None:
            command, power_w = self._leaving.step(Share(), now_s).evse, 0.0
            if self._leaving.released:
                self._leaving = None
        self.commanded, self.commanded_w = command, power_w
        return BayStep(evse_id=self.evse_id, evse=command, power_w=power_w, commands=commands)

    def _idle_with_pilot(self, now_s: float) -> EvseCommand:
        free = self.procedure is None and self._leaving is None and is_fresh(self._evse, now_s)
        if not free or self._is_closed():
            self._pilot_error_until_s = None
            return self.idle()
        until_s = self._pilot_error_until_s
        if self._pilot_error and until_s is None:
            until_s = self._pilot_error_until_s = now_s + PILOT_ERROR_S
        if not self._pilot_error and (until_s is None or now_s >= until_s):
            self._pilot_error_until_s = None
            return self.idle()
        return msgspec.structs.replace(self.idle(), pilot_error=True)

    @property
    def charging(self) -> bool:
        """A session here is in its charge loop, and energy may flow as far as it is concerned."""
        return self.procedure is not None and self.procedure.charging

    @property
    def vehicle(self) -> VehicleData | None:
        """What the vehicle here said last, while it is in its charge loop."""
        return self.procedure.vehicle if self.procedure is not None else None

    @property
    def announced(self) -> VehicleData | None:
        """What it said of itself so far, before its charge loop too: for a plan that it waits for."""
        return self.procedure.announced if self.procedure is not None else None

    @property
    def der(self) -> DerSession | None:
        """What the inverter of the vehicle here was told and says, where it keeps to a grid code."""
        procedure = self.procedure
        return procedure.der if isinstance(procedure, AcProcedure) and procedure.der.active else None

    @property
    def phases_used(self) -> int | None:
        """How many phases of an AC EVSE its vehicle uses, where it gave its limits by phase; None: not known."""
        return self.procedure.phases_used if isinstance(self.procedure, AcProcedure) else None

    @property
    def phase(self) -> Phase | None:
        return self.procedure.phase if self.procedure is not None else None


class DcBay(EvseBay):
    """An EVSE whose own inverter makes DC of the site's AC."""

    reads = DcEvseReading

    _evse: DcEvseReading | None
    commanded: DcEvseCommand

    def __init__(self, profile: EvseProfile, policy: AuthorizationPolicy, vehicle_max_age_s: float = 1.0) -> None:
        self.profile = profile
        self._policy = policy
        self._vehicle_max_age_s = vehicle_max_age_s
        self._watch = DcWatch()
        super().__init__(profile.evse_id)

    @property
    def power(self) -> InverterReading | None:
        return self._inverter

    @property
    def note(self) -> None:
        return None

    @property
    def may_discharge(self) -> bool:
        return True

    def idle(self, *, locked: bool = False) -> DcEvseCommand:
        return DcEvseCommand(lock_connector=locked)

    def _new_procedure(self) -> DcProcedure:
        return DcProcedure(self.profile, self._policy, self._vehicle_max_age_s)

    def _judge(self, now_s: float) -> Verdict:
        return self._watch.observe(self._evse, self._inverter, self.commanded, self.commanded_w, self._permitted, now_s)

    def _is_closed(self) -> bool:
        return self._evse is not None and self._evse.contactors_closed

    def rests(self, now_s: float) -> bool:
        evse = self._evse
        return evse is not None and is_fresh(evse, now_s) and abs(evse.present_current_a) < REST_CURRENT_A

    def _is_dead(self) -> bool:
        evse = self._evse
        return evse is not None and (not evse.connector_locked or abs(evse.present_voltage_v) < SAFE_VOLTAGE_V)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredPower:
    """All phases of an AC EVSE's meter together."""

    evse_id: str
    as_of_s: float
    power_w: float


class AcBay(EvseBay):
    """An EVSE whose vehicle inverts: a contactor, a meter and a pilot."""

    reads = AcEvseReading

    _evse: AcEvseReading | None
    commanded: AcEvseCommand

    def __init__(self, profile: AcEvseProfile, policy: AuthorizationPolicy, vehicle_max_age_s: float = 1.0) -> None:
        self.profile = profile
        self._policy = policy
        self._vehicle_max_age_s = vehicle_max_age_s
        self._watch = AcWatch(profile)
        super().__init__(profile.evse_id)

    @property
    def power(self) -> MeteredPower | None:
        evse = self._evse
        return MeteredPower(evse_id=self.evse_id, as_of_s=evse.as_of_s, power_w=evse.total_w) if evse else None

    @property
    def rated_w(self) -> tuple[float, float]:
        """What the EVSE carries by its last reading, (charge, discharge) in W, magnitudes; 0 without a reading."""
        return ac_rated_w(self.profile, self._evse) if self._evse is not None else (0.0, 0.0)

    @property
    def note(self) -> str | None:
        return self.procedure.note if isinstance(self.procedure, AcProcedure) else None

    @property
    def may_discharge(self) -> bool:
        return self.profile.allow_discharge

    def idle(self, *, locked: bool = False) -> AcEvseCommand:
        # A free connector shows the digital duty: a vehicle that is plugged in there begins to talk.
        return AcEvseCommand(lock_connector=locked, pilot_duty_pct=HLC_DUTY_PCT)

    def _new_procedure(self) -> AcProcedure:
        return AcProcedure(self.profile, self._policy, self._vehicle_max_age_s)

    def _judge(self, now_s: float) -> Verdict:
        verdict = self._watch.observe(self._evse, self.commanded, self.commanded_w, now_s)
        if verdict.fault is None and self._bound_by in _BARRED:
            return Verdict(
                fault=f"{_BARRED[self._bound_by]}: the guard keeps the contactor open until the plug was out"
            )
        return verdict

    def _is_closed(self) -> bool:
        return self._evse is not None and self._evse.contactor_closed

    def rests(self, now_s: float) -> bool:
        """Its meter is at the vehicle."""
        return True

    def _is_dead(self) -> bool:
        return True
