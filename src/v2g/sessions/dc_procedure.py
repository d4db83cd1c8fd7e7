"""The procedure of a DC session: protocol events and readings in, protocol commands and the EVSE's command out. Pure.

The sequence is lock, contactors, insulation, pre-charge, energy, rest, open, unlock. A fault on the way leads to rest
and stays until the session ends: contactors that opened by themselves are never closed again onto a battery.

What the vehicle is told: at parameter discovery the ratings, since loop limits may never exceed those ([V2G20-2654]);
in the loop the ratings within what the site permits now. The share that dispatch grants is not sent as a limit: in
dynamic mode the EVSE sets the power, and a limit that followed each order would look like a failing charger. In
scheduled mode the vehicle sets the power, and its limits follow its grant.
"""

from __future__ import annotations

import math

from pyiso15118 import events as ev
from pyiso15118.commands import CableCheckFinished, Command, UpdateDcEvse
from pyiso15118.events import DcLimits
from v2g.dispatch.constraints import Bound
from v2g.dispatch.vehicle import VehicleData, vehicle_bounds
from v2g.hardware.ports import DcEvseCommand, DcEvseReading, Insulation, InverterReading
from v2g.sessions.authorization import AuthorizationPolicy
from v2g.sessions.limits import EvseProfile, offered, within_site
from v2g.sessions.procedure import (
    REST_CURRENT_A,
    EvseView,
    Phase,
    Procedure,
    Share,
    Step,
    meter_of,
    sane,
)
from v2g.sessions.schedules import Room
from v2g.sessions.target import VehicleTarget
from v2g.sessions.watch import STALE_AFTER_S, is_fresh

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
FORCED_OPEN_AFTER_S = 2.0
"""Contactors open under load when current does not come to rest: worse for them than for what feeds on."""
SAFE_VOLTAGE_V = 60.0
"""The connector unlocks and the cable check ends below this (IEC 61851-23)."""


class DcProcedure(Procedure):
    """One session at one DC EVSE, from SessionSetup until the connector is unlocked."""

    def __init__(self, profile: EvseProfile, policy: AuthorizationPolicy, vehicle_max_age_s: float = 1.0) -> None:
        super().__init__(profile.evse_id, policy, vehicle_max_age_s)
        self.profile = profile
        self.vehicle_limits: ev.DcLimits | None = None
        self._evse: DcEvseReading | None = None
        self._target = VehicleTarget()
        self._test_since_s: float | None = None
        self._tested = False
        self._fresh_result = False
        self._target_v = 0.0
        self._off_target_since_s: float | None = None
        self._offered = profile.rated
        self._offered_for: tuple[float, ...] | None = None
        self._told = self._offered
        self._told_for: tuple[DcLimits, float, float] | None = None

    # ---- what the protocol says ----

    def _take(self, event: ev.Event, now_s: float) -> None:
        match event:
            case ev.VehicleLimitsReceived():
                if isinstance(event.limits, DcLimits):
                    self.vehicle_limits = event.limits
            case ev.CableCheckRequested():
                self._enter(Phase.CABLE_CHECK, now_s, (Phase.SETUP,))
            case ev.PreChargeRequested():
                self._start_pre_charge(event.target_voltage_v, now_s)
            case ev.PowerDeliveryStarted():
                self._start_energy(now_s)
            case ev.DcChargeLoopReceived():
                self.vehicle_limits = event.limits
                self._take_loop(event, now_s)
                if self.scheduled and event.target_current_a is not None:
                    volts = self._evse.present_voltage_v if self._evse is not None else event.ev_present_voltage_v
                    self._target.ask(event.target_current_a * sane(volts), now_s)

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
            present_v = self._evse.present_voltage_v if self._evse else math.nan
            self._fail(f"pre-charge out of tolerance: {present_v:.0f} V of {self._target_v:.0f} V", now_s)
            return
        self._enter(Phase.CHARGING, now_s, (Phase.PRE_CHARGE,))
        self._vehicle = self._vehicle_data(self._first_loop(now_s))

    def _vehicle_data(self, until_s: float) -> VehicleData | None:
        limits = self.vehicle_limits
        if limits is None:
            return None
        least_charge_w, least_discharge_w = self._least_w(limits)
        return self._data(
            until_s,
            charge_w=(least_charge_w, limits.max_charge_power_w),
            discharge_w=(least_discharge_w, limits.max_discharge_power_w),
            charge_a=limits.max_charge_current_a,
            discharge_a=limits.max_discharge_current_a,
        )

    def _least_w(self, limits: DcLimits) -> tuple[float, float]:
        """The higher of the vehicle's minimum and the EVSE's, as power and as current, (charge, discharge); never above
        what the vehicle takes at most."""
        volts = sane(self._evse.present_voltage_v) if self._evse is not None else 0.0
        evse, efficiency = self._offered, self.profile.inverter_efficiency
        charge_w = max(
            limits.min_charge_power_w,
            evse.min_charge_power_w,
            max(limits.min_charge_current_a, evse.min_charge_current_a) * volts,
        )
        discharge_w = max(
            limits.min_discharge_power_w,
            evse.min_discharge_power_w,
            max(limits.min_discharge_current_a, evse.min_discharge_current_a) * volts,
        )
        # Powers are shared at the AC terminals, of which the losses leave less to charge with.
        return min(limits.max_charge_power_w, charge_w / efficiency), min(limits.max_discharge_power_w, discharge_w)

    # ---- what dispatch may do with it ----

    @property
    def limits_w(self) -> tuple[float, float]:
        limits = self.vehicle_limits
        return (limits.max_charge_power_w, limits.max_discharge_power_w) if limits is not None else (0.0, 0.0)

    def _bounds_of(self, vehicle: VehicleData, now_s: float) -> tuple[Bound, ...]:
        evse, inverter = self._evse, self._view.inverter
        if evse is None or inverter is None:
            return ()
        bounds = vehicle_bounds(self.profile, vehicle, evse, inverter, STALE_AFTER_S, now_s, wants=self._wants)
        if not self.scheduled:
            return bounds
        return (*bounds, *self._target.bound(self.profile.inverter_efficiency, vehicle.expires_at_s))

    @property
    def _room(self) -> Room | None:
        limits = self.vehicle_limits
        if limits is None:
            return None
        offered, share = self._offered, self._share
        least_charge_w, least_discharge_w = self._least_w(limits)
        bidirectional = self.service is not None and self.service.is_bpt
        return Room(
            charge_w=min(offered.max_charge_power_w, limits.max_charge_power_w),
            discharge_w=min(offered.max_discharge_power_w, limits.max_discharge_power_w) if bidirectional else None,
            site_charge_w=max(0.0, share.site_hi_w),
            site_discharge_w=max(0.0, -share.site_lo_w),
            least_charge_w=least_charge_w,
            least_discharge_w=least_discharge_w,
            rated_w=offered.max_charge_power_w,
        )

    @property
    def _min_soc_pct(self) -> float:
        return self.profile.min_soc_pct

    # ---- one control cycle ----

    def look(self, view: EvseView, now_s: float) -> None:
        evse = view.evse if isinstance(view.evse, DcEvseReading) else None
        self._view, self._evse = view, evse
        self._bounds = None
        self._offer(evse, view.inverter)
        if self.phase in (Phase.INSULATED, Phase.PRE_CHARGE, Phase.CHARGING):
            if view.fault is not None:
                self._fail(view.fault, now_s)
            elif evse is not None and not evse.contactors_closed:
                self._fail("the DC contactors opened by themselves", now_s)
            elif evse is not None and evse.insulation is Insulation.FAULT:
                self._fail(f"insulation fault: {evse.insulation_ohm:.0f} ohm", now_s)
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
        commands: list[Command] = list(self._take_share(share, now_s))
        if self.phase is Phase.CABLE_CHECK:
            commands += self._check_cable(now_s)
        if self.phase in (Phase.STOPPING, Phase.ENDED):
            self._come_to_rest(now_s)
        if self.phase is not Phase.ENDED:
            commands.append(self._update(now_s))
        return Step(commands=tuple(commands), evse=self._evse_command(), power_w=self._power_w(now_s))

    def _check_cable(self, now_s: float) -> list[Command]:
        view, evse = self._view, self._evse
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
            present_v = self._evse.present_voltage_v if self._evse else math.nan
            self._fail(
                f"pre-charge not reached: {present_v:.0f} V of {self._target_v:.0f} V after {PRE_CHARGE_LIMIT_S:g} s",
                now_s,
            )

    def _voltage_off(self) -> bool:
        evse = self._evse
        return evse is None or not abs(evse.present_voltage_v - self._target_v) <= PRE_CHARGE_TOLERANCE_V

    def _come_to_rest(self, now_s: float) -> None:
        evse = self._evse if is_fresh(self._evse, now_s) else None
        if self._close and evse is not None:
            self._close = evse.contactors_closed and not abs(evse.present_current_a) < REST_CURRENT_A
        if now_s - self._since_s >= FORCED_OPEN_AFTER_S:
            self._close = False
        if self.phase is Phase.ENDED and not self._close and evse is not None:
            self.released = not evse.contactors_closed and abs(evse.present_voltage_v) < SAFE_VOLTAGE_V

    # ---- outputs ----

    def _power_w(self, now_s: float) -> float:
        if not self.charging or self._evse is None or not self._evse.contactors_closed:
            return 0.0
        granted_w = self._granted_w(now_s)
        return self._target.within(granted_w, self.profile.inverter_efficiency) if self.scheduled else granted_w

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

    def _update(self, now_s: float) -> UpdateDcEvse:
        view, evse = self._view, self._evse
        limits = self._offered
        if self.phase is Phase.CHARGING:
            wanted = limits, *self._told_range_w(now_s)
            if wanted != self._told_for:
                self._told, self._told_for = within_site(*wanted), wanted
            limits = self._told
        voltage_v = sane(evse.present_voltage_v) if evse is not None else 0.0
        current_a = sane(evse.present_current_a) if evse is not None else 0.0
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
            notification=self._notification(now_s),
            notification_max_delay_s=self._notified_within_s,
            meter=meter_of(self.evse_id, evse),
        )

    def _told_range_w(self, now_s: float) -> tuple[float, float]:
        """What the vehicle is told in the charge loop, signed: what the site permits, in scheduled mode no more than
        its grant."""
        lo_w, hi_w = self._share.site_lo_w, self._share.site_hi_w
        if not self.scheduled:
            return lo_w, hi_w
        least_w = self._least_w(self.vehicle_limits) if self.vehicle_limits is not None else (0.0, 0.0)
        efficiency = self.profile.inverter_efficiency
        charge_w, discharge_w = self._target.limits(self._granted_w(now_s), efficiency, *least_w)
        charge_w, discharge_w = min(charge_w, max(0.0, hi_w)), min(discharge_w, max(0.0, -lo_w) / efficiency)
        self._target.tell(charge_w, discharge_w, now_s)
        return -discharge_w, charge_w
