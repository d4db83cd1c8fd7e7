"""One session's procedure: protocol events and readings in, protocol commands and the EVSE's command out. Pure.

The sequence is lock, contactors, insulation, pre-charge, energy, rest, open, unlock. A fault on the way leads to rest
and stays until the session ends: contactors that opened by themselves are never closed again onto a battery.

What the vehicle is told: at parameter discovery the ratings, since loop limits may never exceed those ([V2G20-2654]);
in the loop the ratings within what the site permits now. The share that dispatch grants is not sent as a limit: in
dynamic mode the EVSE sets the power, and a limit that followed each order would look like a failing charger.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from pyiso15118 import events as ev
from pyiso15118.commands import Authorize, CableCheckFinished, Command, UpdateDcEvse
from pyiso15118.events import DcLimits
from pyiso15118.messages.common_types import evseNotificationType
from v2g.dispatch.constraints import Bound, intersect
from v2g.dispatch.vehicle import SOC_MAX_AGE_S, VehicleData, vehicle_bounds
from v2g.hardware.ports import DcEvseCommand, DcEvseReading, Insulation, InverterReading
from v2g.sessions.authorization import AuthorizationPolicy, AuthorizationRequest
from v2g.sessions.limits import EvseProfile, offered, within_site
from v2g.sessions.watch import STALE_AFTER_S, is_fresh

REFUSE_AFTER_S = 5.0
"""So long an EVSE's fault may last before authorisation is refused for it; the vehicle is told Ongoing."""
CABLE_CHECK_LIMIT_S = 30.0
"""Below the SECC's own 38 s and the vehicle's 40 s."""
PLUG_WAIT_S = 3.0
"""Readings may lag behind the plug by a poll."""
OLD_FAULT_AFTER_S = 3.0
"""An insulation fault that stood before the test counts after this long. A good result that stood before it never
does: a monitor that was not seen to begin anew has tested nothing."""
PRE_CHARGE_LIMIT_S = 9.0
"""Below the vehicle's 10 s."""
PRE_CHARGE_CURRENT_A = 2.0
PRE_CHARGE_TOLERANCE_V = 20.0
REST_CURRENT_A = 1.0
"""Contactors open below this."""
FORCED_OPEN_AFTER_S = 2.0
"""Contactors open under load when current does not come to rest: worse for them than for what feeds on."""
SAFE_VOLTAGE_V = 60.0
"""The connector unlocks and the cable check ends below this (IEC 61851-23)."""
FIRST_LOOP_WITHIN_S = 2.0
MAX_TOLD = 1e6
METER_ID_CHARS = 32


class Phase(enum.StrEnum):
    """Where a session stands, as people read it."""

    SETUP = "setup"
    CABLE_CHECK = "cable check"
    INSULATED = "insulation tested"
    PRE_CHARGE = "pre-charge"
    CHARGING = "charging"
    STOPPING = "stopping"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseView:
    """What is known of one EVSE at one moment.

    ``fault`` and ``hold``: the verdict of :class:`v2g.sessions.watch.EvseWatch`. ``available``: no earlier session
    holds the EVSE.
    """

    evse: DcEvseReading | None = None
    inverter: InverterReading | None = None
    fault: str | None = None
    hold: str | None = None
    available: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one EVSE is allowed at one moment. Powers signed, in W.

    ``site_lo_w..site_hi_w``: what the site permits now. ``stopping``: its vehicle shall be asked to end.
    """

    site_lo_w: float = 0.0
    site_hi_w: float = 0.0
    grant_w: float = 0.0
    stopping: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What shall happen now. ``power_w`` is nonzero only in the charge loop with contactors closed by feedback."""

    commands: tuple[Command, ...]
    evse: DcEvseCommand
    power_w: float = 0.0


class Procedure:
    """One session at one EVSE, from SessionSetup until the connector is unlocked."""

    def __init__(self, profile: EvseProfile, policy: AuthorizationPolicy, vehicle_max_age_s: float = 1.0) -> None:
        """``vehicle_max_age_s``: a charge-loop request older than this no longer speaks for its vehicle."""
        self.profile = profile
        self.phase = Phase.SETUP
        self.fault: str | None = None
        self.released = False
        self.evccid = ""
        self.service: ev.EnergyService | None = None
        self.vehicle_limits: ev.DcLimits | None = None
        self.needs: ev.EnergyNeeds | None = None
        self.soc_pct: int | None = None
        self._policy = policy
        self._vehicle_max_age_s = vehicle_max_age_s
        self._vehicle: VehicleData | None = None
        self._soc_until_s = -math.inf
        self._since_s = 0.0
        self._close = False
        self._test_since_s: float | None = None
        self._tested = False
        self._fresh_result = False
        self._target_v = 0.0
        self._off_target_since_s: float | None = None
        self.refusal: str | None = None
        """Why authorisation was last refused."""
        self._authorization_since_s: float | None = None
        self._view = EvseView(fault="no reading yet")
        self._share = Share()
        self._bounds: tuple[float, tuple[Bound, ...]] | None = None
        self._offered = profile.rated
        self._offered_for: tuple[float, ...] | None = None
        self._told = self._offered
        self._told_for: tuple[DcLimits, float, float] | None = None

    @classmethod
    def of_lost_session(
        cls, profile: EvseProfile, policy: AuthorizationPolicy, now_s: float, *, closed: bool
    ) -> Procedure:
        """For an EVSE without a session that is not known to be dead: brings it to rest, opens it if its contactors are
        ``closed``, and unlocks it once it is dead."""
        procedure = cls(profile, policy)
        procedure.phase = Phase.ENDED
        procedure._close = closed
        procedure._since_s = now_s
        return procedure

    # ---- what the protocol says ----

    def handle(self, event: ev.Event, now_s: float) -> tuple[Command, ...]:
        """Take one event; the commands that answer it at once. Events that concern nobody here are ignored."""
        self._bounds = None
        match event:
            case ev.SessionStarted():
                self.evccid = event.evccid
            case ev.AuthorizationRequested():
                self._authorization_since_s = now_s
                return self._authorize(now_s)
            case ev.EnergyServiceSelected():
                self.service = event.service
            case ev.VehicleLimitsReceived():
                if isinstance(event.limits, DcLimits):
                    self.vehicle_limits = event.limits
            case ev.EnergyNeedsReceived():
                self.needs = event.needs
            case ev.CableCheckRequested():
                self._enter(Phase.CABLE_CHECK, now_s, (Phase.SETUP,))
            case ev.PreChargeRequested():
                self._start_pre_charge(event.target_voltage_v, now_s)
            case ev.PowerDeliveryStarted():
                self._start_energy(now_s)
            case ev.DcChargeLoopReceived():
                self.vehicle_limits, self.needs = event.limits, event.needs
                if event.present_soc_pct is not None:
                    self.soc_pct, self._soc_until_s = event.present_soc_pct, now_s + SOC_MAX_AGE_S
                self._vehicle = self._vehicle_data(now_s + self._vehicle_max_age_s)
            case ev.PowerDeliveryStopped():
                self._rest(now_s)
            case ev.SessionEnded():
                self.finish(now_s)
        return ()

    def finish(self, now_s: float) -> None:
        """There is no session any more: come to rest, open, unlock."""
        self._rest(now_s)
        self.phase = Phase.ENDED

    def _authorize(self, now_s: float) -> tuple[Command, ...]:
        """The answer to a request that waits for one. A refusal waits a little: the fault may be a device starting."""
        since_s = self._authorization_since_s
        if since_s is None:
            return ()
        request = AuthorizationRequest(evse_id=self.profile.evse_id, evccid=self.evccid, fault=self._view.fault)
        answer = self._policy.decide(request)
        if not answer.granted and self._view.fault is not None and now_s - since_s < REFUSE_AFTER_S:
            return ()
        self._authorization_since_s = None
        self.refusal = answer.reason if not answer.granted else None
        return (Authorize(granted=answer.granted),)

    def _start_pre_charge(self, target_v: float, now_s: float) -> None:
        if self.phase is not Phase.PRE_CHARGE:
            self._enter(Phase.PRE_CHARGE, now_s, (Phase.INSULATED,))
            self._off_target_since_s = now_s
        # A target above the EVSE's limit is served up to the limit ([V2G20-2188]).
        self._target_v = min(target_v, self._ceiling_v())
        if self._target_v < self.profile.min_voltage_v:
            least_v = self.profile.min_voltage_v
            self._fail(f"pre-charge to {target_v:g} V asked for, this EVSE starts at {least_v:g} V", now_s)

    def _start_energy(self, now_s: float) -> None:
        if self.phase is Phase.PRE_CHARGE and self._voltage_off():
            present_v = self._view.evse.present_voltage_v if self._view.evse else math.nan
            self._fail(f"pre-charge out of tolerance: {present_v:.0f} V of {self._target_v:.0f} V", now_s)
            return
        self._enter(Phase.CHARGING, now_s, (Phase.PRE_CHARGE,))
        self._vehicle = self._vehicle_data(now_s + max(FIRST_LOOP_WITHIN_S, self._vehicle_max_age_s))

    def _vehicle_data(self, until_s: float) -> VehicleData | None:
        limits, needs = self.vehicle_limits, self.needs or ev.EnergyNeeds()
        if limits is None:
            return None
        return VehicleData(
            expires_at_s=until_s,
            max_charge_w=limits.max_charge_power_w,
            max_discharge_w=limits.max_discharge_power_w,
            max_charge_a=limits.max_charge_current_a,
            max_discharge_a=limits.max_discharge_current_a,
            soc_pct=self.soc_pct,
            soc_expires_at_s=self._soc_until_s,
            min_soc_pct=needs.min_soc_pct,
            min_energy_wh=needs.min_energy_wh,
            max_energy_wh=needs.max_energy_wh,
        )

    def _enter(self, phase: Phase, now_s: float, allowed: tuple[Phase, ...]) -> None:
        if self.phase in allowed:
            self.phase = phase
            self._since_s = now_s
        elif self.fault is None:
            self._fail(f"{phase} asked for during {self.phase}", now_s)

    # ---- what dispatch may do with it ----

    @property
    def charging(self) -> bool:
        """Energy may flow as far as this session is concerned."""
        return self.phase is Phase.CHARGING and self.fault is None

    def bounds(self, now_s: float) -> tuple[Bound, ...]:
        """Every limit of this vehicle and its EVSE by the last look at it; none: no power."""
        evse, inverter, vehicle = self._view.evse, self._view.inverter, self._vehicle
        if not self.charging or evse is None or inverter is None or vehicle is None:
            return ()
        if self._bounds is None or self._bounds[0] != now_s:
            bounds = vehicle_bounds(self.profile, vehicle, evse, inverter, STALE_AFTER_S, now_s)
            if self._view.hold is not None:
                bounds = (Bound(0.0, 0.0, self._view.hold, math.inf), *bounds)
            self._bounds = now_s, bounds
        return self._bounds[1]

    # ---- one control cycle ----

    def look(self, view: EvseView, now_s: float) -> None:
        """Take readings and judge them, before :meth:`bounds` and :meth:`step` of the same cycle."""
        self._view = view
        self._bounds = None
        self._offer(view.evse, view.inverter)
        if self.phase in (Phase.INSULATED, Phase.PRE_CHARGE, Phase.CHARGING):
            if view.fault is not None:
                self._fail(view.fault, now_s)
            elif view.evse is not None and not view.evse.contactors_closed:
                self._fail("the DC contactors opened by themselves", now_s)
            elif view.evse is not None and view.evse.insulation is Insulation.FAULT:
                self._fail(f"insulation fault: {view.evse.insulation_ohm:.0f} ohm", now_s)
        if self.phase is Phase.PRE_CHARGE:
            self._watch_pre_charge(now_s)

    def _offer(self, evse: DcEvseReading | None, inverter: InverterReading | None) -> None:
        known = (
            *((evse.max_power_w, evse.max_current_a, evse.max_voltage_v, evse.min_voltage_v) if evse else ()),
            *((inverter.max_charge_w, inverter.max_discharge_w) if inverter else ()),
        )
        # Ratings hardly ever change, and this is asked for ten times a second.
        if known != self._offered_for:
            self._offered, self._offered_for = offered(self.profile, evse, inverter), known

    def step(self, share: Share, now_s: float) -> Step:
        """After :meth:`look`: what to say to vehicle and EVSE."""
        self._share = share
        commands: list[Command] = list(self._authorize(now_s))
        if self.phase is Phase.CABLE_CHECK:
            commands += self._check_cable(now_s)
        if self.phase in (Phase.STOPPING, Phase.ENDED):
            self._come_to_rest(now_s)
        if self.phase is not Phase.ENDED:
            commands.append(self._update())
        return Step(commands=tuple(commands), evse=self._evse_command(), power_w=self._power_w(now_s))

    def _check_cable(self, now_s: float) -> list[Command]:
        view, evse = self._view, self._view.evse
        missing = "the previous session to release the EVSE"
        problem = None
        if view.fault is not None or evse is None:
            problem = view.fault or "no reading from the DC output stage"
        elif view.available:
            missing, problem = self._advance_cable_check(evse, now_s)
        if problem is None and not missing:
            self.phase = Phase.INSULATED
            return [CableCheckFinished(passed=True)]
        if problem is None and now_s - self._since_s > CABLE_CHECK_LIMIT_S:
            problem = f"cable check waited {CABLE_CHECK_LIMIT_S:.0f} s for {missing}"
        if problem is None:
            return []
        self._fail(problem, now_s)
        return [CableCheckFinished(passed=False, detail=problem)]

    def _advance_cable_check(self, evse: DcEvseReading, now_s: float) -> tuple[str, str | None]:
        """What is still waited for (empty: passed), and what failed."""
        if not evse.plugged:
            late = now_s - self._since_s > PLUG_WAIT_S
            return "the plug", "no connector is plugged in" if late else None
        if not evse.connector_locked:
            return "the connector lock", None
        self._close = True
        if not evse.contactors_closed:
            return "the DC contactors to close", None
        if self._test_since_s is None:
            self._test_since_s = now_s
        if evse.insulation in (Insulation.TESTING, Insulation.UNKNOWN):
            self._fresh_result = True
        elif evse.insulation is Insulation.FAULT:
            if self._fresh_result or evse.as_of_s > self._test_since_s + OLD_FAULT_AFTER_S:
                return "", f"insulation fault: {evse.insulation_ohm:.0f} ohm"
        elif not self._fresh_result:
            return "the insulation monitor to begin a test: it shows an old result", None
        elif evse.as_of_s > self._test_since_s:
            # The test voltage on its way down must not pass for pre-charge at a vehicle that closes on a match.
            self._tested = True
            discharged = abs(evse.present_voltage_v) < SAFE_VOLTAGE_V
            return "" if discharged else "the test voltage to fall below 60 V", None
        return "the insulation test", None

    def _watch_pre_charge(self, now_s: float) -> None:
        if not self._voltage_off():
            self._off_target_since_s = None
            return
        if self._off_target_since_s is None:
            self._off_target_since_s = now_s
        elif now_s - self._off_target_since_s > PRE_CHARGE_LIMIT_S:
            present_v = self._view.evse.present_voltage_v if self._view.evse else math.nan
            self._fail(
                f"pre-charge not reached: {present_v:.0f} V of {self._target_v:.0f} V after {PRE_CHARGE_LIMIT_S:g} s",
                now_s,
            )

    def _voltage_off(self) -> bool:
        evse = self._view.evse
        return evse is None or not abs(evse.present_voltage_v - self._target_v) <= PRE_CHARGE_TOLERANCE_V

    def _fail(self, text: str, now_s: float) -> None:
        if self.fault is None:
            self.fault = text
        self._rest(now_s)

    def _rest(self, now_s: float) -> None:
        if self.phase not in (Phase.STOPPING, Phase.ENDED):
            self.phase = Phase.STOPPING
            self._since_s = now_s

    def _come_to_rest(self, now_s: float) -> None:
        evse = self._view.evse if is_fresh(self._view.evse, now_s) else None
        if self._close and evse is not None:
            self._close = evse.contactors_closed and not abs(evse.present_current_a) < REST_CURRENT_A
        if now_s - self._since_s >= FORCED_OPEN_AFTER_S:
            self._close = False
        if self.phase is Phase.ENDED and not self._close and evse is not None:
            self.released = not evse.contactors_closed and abs(evse.present_voltage_v) < SAFE_VOLTAGE_V

    # ---- outputs ----

    def _power_w(self, now_s: float) -> float:
        evse, share = self._view.evse, self._share
        if share.grant_w == 0.0 or not math.isfinite(share.grant_w):
            return 0.0
        if not self.charging or evse is None or not evse.contactors_closed:
            return 0.0
        site = Bound(min(0.0, share.site_lo_w), max(0.0, share.site_hi_w), "site", math.inf)
        allowed = intersect((*self.bounds(now_s), site), now_s)
        return max(allowed.lo_w, min(allowed.hi_w, share.grant_w))

    def _evse_command(self) -> DcEvseCommand:
        if self.released:
            return DcEvseCommand()
        voltage_v = current_a = 0.0
        if self.phase is Phase.PRE_CHARGE:
            voltage_v, current_a = self._target_v, PRE_CHARGE_CURRENT_A
        elif self.phase is Phase.CHARGING:
            voltage_v, current_a = self._ceiling_v(), self._current_limit_a()
        return DcEvseCommand(
            target_voltage_v=voltage_v,
            current_limit_a=current_a,
            close_contactors=self._close,
            test_insulation=self.phase is Phase.CABLE_CHECK and self._test_since_s is not None and not self._tested,
            lock_connector=True,
        )

    def _ceiling_v(self) -> float:
        """The highest voltage that both sides bear."""
        vehicle_v = self.vehicle_limits.max_voltage_v if self.vehicle_limits is not None else 0.0
        return min(self._offered.max_voltage_v, vehicle_v) if vehicle_v > 0 else self._offered.max_voltage_v

    def _current_limit_a(self) -> float:
        vehicle = self.vehicle_limits
        if vehicle is None:
            return 0.0
        towards_grid = self._share.grant_w < 0
        vehicle_a = vehicle.max_discharge_current_a if towards_grid else vehicle.max_charge_current_a
        return min(self._offered.max_charge_current_a, abs(vehicle_a))

    def _update(self) -> UpdateDcEvse:
        view, evse = self._view, self._view.evse
        limits = self._offered
        if self.phase is Phase.CHARGING:
            wanted = limits, self._share.site_lo_w, self._share.site_hi_w
            if wanted != self._told_for:
                self._told, self._told_for = within_site(*wanted), wanted
            limits = self._told
        voltage_v = _sane(evse.present_voltage_v) if evse is not None else 0.0
        current_a = _sane(evse.present_current_a) if evse is not None else 0.0
        power_w = voltage_v * current_a
        limit_w = limits.max_charge_power_w if power_w >= 0 else limits.max_discharge_power_w
        active = self.phase is Phase.CHARGING and abs(current_a) >= REST_CURRENT_A
        return UpdateDcEvse(
            present_voltage_v=voltage_v,
            present_current_a=current_a,
            limits=limits,
            contactors_closed=evse is not None and evse.contactors_closed,
            fault=self.fault or view.fault,
            power_limit_achieved=active and abs(power_w) >= 0.98 * limit_w,
            current_limit_achieved=active and abs(current_a) >= 0.98 * limits.max_charge_current_a,
            voltage_limit_achieved=active and voltage_v >= limits.max_voltage_v,
            notification=evseNotificationType.Terminate if self._share.stopping else None,
            meter=_meter(self.profile.evse_id, evse),
        )


def _sane(value: float) -> float:
    """A reading that no message could carry is told as 0; the watch has made it a fault."""
    return value if math.isfinite(value) and abs(value) < MAX_TOLD else 0.0


def _meter(evse_id: str, evse: DcEvseReading | None) -> ev.MeterReading | None:
    charged_wh = _meter_wh(evse.charged_energy_wh) if evse is not None else None
    if evse is None or charged_wh is None:
        return None
    return ev.MeterReading(
        meter_id=evse_id[:METER_ID_CHARS],
        charged_energy_wh=charged_wh,
        discharged_energy_wh=_meter_wh(evse.discharged_energy_wh),
    )


def _meter_wh(value: float) -> int | None:
    return int(value) if math.isfinite(value) and value >= 0 else None
