"""One EVSE as the control cycle sees it: its watch, its session, and what an earlier session left behind. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pyiso15118.commands import Command
from v2g.dispatch.constraints import Bound
from v2g.hardware.ports import DcEvseCommand, DcEvseReading, InverterReading
from v2g.sessions.authorization import AuthorizationPolicy
from v2g.sessions.limits import EvseProfile
from v2g.sessions.procedure import SAFE_VOLTAGE_V, EvseView, Phase, Procedure, Share
from v2g.sessions.watch import EvseWatch, Verdict, is_fresh


@dataclass(frozen=True, slots=True, kw_only=True)
class BayStep:
    """What one EVSE gets this cycle: a command for its devices, a power, and commands for its vehicle's session."""

    evse_id: str
    evse: DcEvseCommand
    power_w: float
    commands: tuple[Command, ...]


class EvseBay:
    """Owns an EVSE across sessions. At most one session holds it; the next waits until it is open and unlocked."""

    def __init__(self, profile: EvseProfile, policy: AuthorizationPolicy, vehicle_max_age_s: float = 1.0) -> None:
        self.profile = profile
        self.procedure: Procedure | None = None
        self._readings: tuple[DcEvseReading | None, InverterReading | None, Verdict] = (
            None,
            None,
            Verdict(fault="no reading yet"),
        )
        self.view = EvseView(fault="no reading yet")
        self.commanded = DcEvseCommand()
        self.commanded_w = 0.0
        self._ending = ""
        self._policy = policy
        self._vehicle_max_age_s = vehicle_max_age_s
        self._watch = EvseWatch()
        self._leaving: Procedure | None = None

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
        self.procedure = Procedure(self.profile, self._policy, self._vehicle_max_age_s)
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
        # One that had to wait for its predecessor never touched the EVSE and leaves nothing behind.
        if procedure is not None and self._leaving is None:
            self._leaving = procedure

    def observe(
        self,
        evse: DcEvseReading | None,
        inverter: InverterReading | None,
        permitted: bool,
        now_s: float,
        ending: str = "",
    ) -> None:
        """This cycle's readings, and whether energy is permitted at all. ``ending``: why no session may go on, in
        words; empty: they may."""
        self._ending = ending
        verdict = self._watch.observe(evse, inverter, self.commanded, self.commanded_w, permitted, now_s)
        self._readings = evse, inverter, verdict
        if self.procedure is None and self._leaving is None and not _at_rest(evse, now_s):
            # Contactors are closed only onto what is known to be closed.
            closed = evse is not None and is_fresh(evse, now_s) and evse.contactors_closed
            self._leaving = Procedure.of_lost_session(self.profile, self._policy, now_s, closed=closed)
        self._look(now_s)

    def _look(self, now_s: float) -> None:
        evse, inverter, verdict = self._readings
        self.view = EvseView(
            evse=evse,
            inverter=inverter,
            fault=self._ending or verdict.fault,
            hold=verdict.hold,
            available=self._leaving is None,
        )
        for procedure in (self.procedure, self._leaving):
            if procedure is not None:
                procedure.look(self.view, now_s)

    def bounds(self, now_s: float) -> tuple[Bound, ...] | None:
        """Limits of the vehicle here, or None where none is in its charge loop."""
        if self.procedure is None or not self.charging or self._leaving is not None:
            return None
        return self.procedure.bounds(now_s)

    def step(self, grant_w: float, site_lo_w: float, site_hi_w: float, stopping: bool, now_s: float) -> BayStep:
        """This cycle's commands. Without a session: open, unlocked, zero."""
        command, power_w = DcEvseCommand(), 0.0
        commands: tuple[Command, ...] = ()
        if self.procedure is not None:
            share = Share(site_lo_w=site_lo_w, site_hi_w=site_hi_w, grant_w=grant_w, stopping=stopping)
            step = self.procedure.step(share, now_s)
            command, power_w, commands = step.evse, step.power_w, step.commands
        if self._leaving is not None:
            command, power_w = self._leaving.step(Share(), now_s).evse, 0.0
            if self._leaving.released:
                self._leaving = None
        self.commanded, self.commanded_w = command, power_w
        return BayStep(evse_id=self.profile.evse_id, evse=command, power_w=power_w, commands=commands)

    @property
    def charging(self) -> bool:
        """A session here is in its charge loop, and energy may flow as far as it is concerned."""
        return self.procedure is not None and self.procedure.charging

    @property
    def phase(self) -> Phase | None:
        return self.procedure.phase if self.procedure is not None else None


def _at_rest(evse: DcEvseReading | None, now_s: float) -> bool:
    """Nothing is left of a session here: known, open, and unlocked or without voltage."""
    if evse is None or not is_fresh(evse, now_s) or evse.contactors_closed:
        return False
    return not evse.connector_locked or abs(evse.present_voltage_v) < SAFE_VOLTAGE_V
