"""The procedure of an AC session: protocol events and readings in, protocol commands and the EVSE's command out. Pure.

The sequence is lock, authorisation, contactor, energy, rest, open, unlock. The vehicle's own inverter exchanges the
power: the set-point goes to it with each turn of the charge loop; the EVSE closes its contactor for it, and measures. A
fault on the way leads to rest and stays until the session ends.

The contactor closes only onto a pilot in state C or D by a fresh reading (IEC 61851-1), onto a locked connector, and
while the guard permits energy. When the guard opens it (V2G breaker open, grid outside its limits, a vehicle that takes
more than it was told) the session goes on in the loop with a set-point of zero, and the contactor closes again onto a
vehicle that is still in state C: one that sees its supply come back begins at zero, as after any power cut. The
standard's only other way out would be FAILED_ContactorError, which sends the vehicle away until somebody plugs it in
anew. After :data:`SUPPLY_WAIT_S` without a supply the session ends.
"""

from __future__ import annotations

import math

from pyiso15118 import events as ev
from pyiso15118.commands import Command, UpdateAcEvse
from pyiso15118.events import AcLimits, AcPower
from pyiso15118.messages.common_types import responseCodeType
from v2g.dispatch.ac_vehicle import ac_vehicle_bounds
from v2g.dispatch.constraints import Bound
from v2g.dispatch.vehicle import VehicleData
from v2g.hardware.ports import AcEvseCommand, AcEvseReading, PilotState
from v2g.sessions.ac_limits import AcEvseProfile
from v2g.sessions.authorization import AuthorizationPolicy
from v2g.sessions.der_session import DerSession
from v2g.sessions.procedure import (
    EvseView,
    Phase,
    Procedure,
    Share,
    Step,
    meter_of,
    sane,
)
from v2g.sessions.schedules import Room
from v2g.sessions.scheduling import Notice
from v2g.sessions.watch import STALE_AFTER_S, Lasting, is_fresh
from v2g.units import format_power

CLOSE_LIMIT_S = 20.0
"""From the vehicle's wish for a contactor until it is closed. A vehicle that says it is still preparing may take
longer than the protocol waits for the contactor otherwise."""
NOT_READY_S = 3.0
"""A vehicle that left state C in the charge loop for longer wants no energy and does not say so."""
UNPLUGGED_S = 0.5
SUPPLY_WAIT_S = 600.0
"""Longer than the enter-service delay of IEEE 1547-2018 (300 s by default)."""
HLC_DUTY_PCT = 5.0
"""Digital communication: the vehicle shall talk ISO 15118 (IEC 61851-1 Annex A)."""
CONTACTOR_ERROR = responseCodeType.FAILED_ContactorError.value
_READY = (PilotState.C, PilotState.D)
PROFILE = "vehicle's power profile"
TELLING_W = 500.0
"""Of the phase that carries most: below it the meter does not tell which phases a vehicle uses."""
IDLE_PHASE = 0.1
"""Of that phase: another one that carries no more is not used."""
SEEN_FOR_S = 2.0
AS_PLANNED_W = 1.0
"""A vehicle that is granted what it announced needs no set-point in scheduled mode."""


class AcProcedure(Procedure):
    """One session at one AC EVSE, from SessionSetup until the connector is unlocked."""

    def __init__(self, profile: AcEvseProfile, policy: AuthorizationPolicy, vehicle_max_age_s: float = 1.0) -> None:
        super().__init__(profile.evse_id, policy, vehicle_max_age_s)
        self.profile = profile
        self.vehicle_limits: AcLimits | None = None
        self.note: str | None = None
        """Why the vehicle is told less than it was granted, for people."""
        self._evse: AcEvseReading | None = None
        self._not_ready = Lasting()
        self._unplugged = Lasting()
        self._unsupplied = Lasting()
        self._phases_seen: int | None = None
        self._seen_differently = Lasting()
        self.der = DerSession()

    # ---- what the protocol says ----

    def handle(self, event: ev.Event, now_s: float) -> tuple[Command, ...]:
        if isinstance(event, ev.SessionEnded) and event.response_code == CONTACTOR_ERROR:
            # The protocol knows only that the contactor is open; people want to know what it waited for.
            missing = self._missing(now_s)
            if missing:
                self._fail(f"the contactor was not closed in time: waited for {missing}", now_s)
        self.der.handle(event)
        return super().handle(event, now_s)

    def _take(self, event: ev.Event, now_s: float) -> None:
        match event:
            case ev.VehicleLimitsReceived():
                if isinstance(event.limits, AcLimits):
                    self.vehicle_limits = event.limits
            case ev.ContactorRequested():
                self._enter(Phase.CLOSING, now_s, (Phase.SETUP,))
            case ev.PowerDeliveryStarted():
                self._enter(Phase.CHARGING, now_s, (Phase.CLOSING,))
                self._vehicle = self._vehicle_data(self._first_loop(now_s))
            case ev.AcChargeLoopReceived():
                self.vehicle_limits = event.limits
                self._take_loop(event, now_s)

    def _vehicle_data(self, until_s: float) -> VehicleData | None:
        limits = self.vehicle_limits
        if limits is None:
            return None
        evse = self.profile.rated
        return self._data(
            until_s,
            charge_w=(_higher(limits.min_charge_power, evse.min_charge_power), limits.max_charge_power.total),
            discharge_w=(
                _higher(limits.min_discharge_power, evse.min_discharge_power),
                limits.max_discharge_power.total,
            ),
        )

    # ---- what dispatch may do with it ----

    @property
    def limits_w(self) -> tuple[float, float]:
        limits = self.vehicle_limits
        return (limits.max_charge_power.total, limits.max_discharge_power.total) if limits is not None else (0.0, 0.0)

    def _bounds_of(self, vehicle: VehicleData, now_s: float) -> tuple[Bound, ...]:
        if self._evse is None:
            return ()
        bounds = ac_vehicle_bounds(
            self.profile,
            vehicle,
            self._evse,
            STALE_AFTER_S,
            now_s,
            wants=self._wants,
            bidirectional=self._is_bpt,
            vehicle_phases=self.phases_used,
        )
        planned_w = self._planned_w(now_s)
        if planned_w is not None:
            bounds = (*bounds, Bound(min(0.0, planned_w), max(0.0, planned_w), PROFILE, vehicle.expires_at_s))
        if not self._evse.contactor_closed:
            return (Bound(0.0, 0.0, "contactor open", math.inf), *bounds)
        if out := self.der.out_of_service:
            return (Bound(0.0, 0.0, out, vehicle.expires_at_s), *bounds)
        return bounds

    @property
    def _is_bpt(self) -> bool:
        return self.service is not None and self.service.is_bpt

    def take_notices(self) -> tuple[Notice, ...]:
        return (*super().take_notices(), *self.der.take_notices())

    @property
    def phases_used(self) -> int | None:
        """How many phases the vehicle uses, where it gave its limits by phase; else as many as it was seen to load, and
        None before."""
        values = self.vehicle_limits.max_charge_power.phases if self.vehicle_limits is not None else ()
        declared = sum(1 for value in values if value > 0.0) if len(values) > 1 else 0
        return declared or self._phases_seen

    def _see_phases(self, evse: AcEvseReading | None, now_s: float) -> None:
        """A vehicle that gave its power in all may still load one phase only, and no phase may pass its current."""
        loads_w = [abs(sane(watts)) for watts in evse.power_w[: self.profile.phases]] if evse is not None else [0.0]
        seen = sum(1 for load_w in loads_w if load_w > IDLE_PHASE * max(loads_w))
        telling = max(loads_w) > TELLING_W and seen != self._phases_seen
        if self._seen_differently.update(telling, now_s) > SEEN_FOR_S:
            self._phases_seen = seen

    @property
    def _room(self) -> Room | None:
        limits = self.vehicle_limits
        if limits is None:
            return None
        rated, share = self.profile.rated, self._share
        least = limits.min_charge_power.total, limits.min_discharge_power.total
        discharge_w = min(rated.max_discharge_power.total, limits.max_discharge_power.total)
        return Room(
            charge_w=min(rated.max_charge_power.total, limits.max_charge_power.total),
            discharge_w=discharge_w if self._is_bpt else None,
            site_charge_w=max(0.0, share.site_hi_w),
            site_discharge_w=max(0.0, -share.site_lo_w),
            least_charge_w=least[0],
            least_discharge_w=least[1],
            rated_w=rated.max_charge_power.total,
        )

    @property
    def _min_soc_pct(self) -> float:
        return self.profile.min_soc_pct

    # ---- one control cycle ----

    def look(self, view: EvseView, now_s: float) -> None:
        evse = view.evse if isinstance(view.evse, AcEvseReading) else None
        self._view, self._evse = view, evse
        self._bounds = None
        active = self.phase in (Phase.CLOSING, Phase.CHARGING)
        unplugged_s = self._unplugged.update(active and evse is not None and not evse.plugged, now_s)
        charging = self.phase is Phase.CHARGING
        self._see_phases(evse if charging else None, now_s)
        # Without a supply a vehicle may take its readiness back.
        waited_for = charging and view.supplied and evse is not None
        not_ready_s = self._not_ready.update(waited_for and not self._ready(), now_s)
        held_open = charging and evse is not None and not (evse.contactor_closed and view.supplied)
        unsupplied_s = self._unsupplied.update(held_open, now_s)
        if not active:
            return
        if view.fault is not None:
            self._fail(view.fault, now_s)
        elif unplugged_s > UNPLUGGED_S:
            self._fail("the connector was pulled during the session", now_s)
        elif not_ready_s > NOT_READY_S:
            self._fail(f"the vehicle left pilot state C in the charge loop ({self._pilot()})", now_s)
        elif unsupplied_s > SUPPLY_WAIT_S:
            self._fail(f"no supply for {SUPPLY_WAIT_S:.0f} s: the guard holds the contactor open", now_s)
        elif self.phase is Phase.CLOSING and now_s - self._since_s > CLOSE_LIMIT_S:
            missing = self._missing(now_s)
            if missing:
                self._fail(f"the contactor was not closed within {CLOSE_LIMIT_S:.0f} s: waited for {missing}", now_s)

    def _obstacle(self) -> str | None:
        """A vehicle that is let in without a supply would fail at its contactor and not come back."""
        if self._view.fault is None and not self._view.supplied:
            return "no supply: the guard does not permit energy"
        return self._view.fault

    def _ready(self) -> bool:
        pilot = self._evse.pilot if self._evse is not None else None
        return pilot is not None and pilot.state in _READY

    def _pilot(self) -> str:
        pilot = self._evse.pilot if self._evse is not None else None
        return "unknown" if pilot is None or pilot.state is None else f"state {pilot.state.value}"

    def _missing(self, now_s: float) -> str:
        """What the contactor waits for; empty: it is closed."""
        evse, view = self._evse, self._view
        if not view.available:
            return "the previous session to release the EVSE"
        if evse is None or not is_fresh(evse, now_s):
            return "a reading from the AC EVSE"
        if not evse.plugged:
            return "the plug"
        if not evse.connector_locked:
            return "the connector lock"
        if not self._ready():
            return f"pilot state C (it is {self._pilot()})"
        if not view.supplied:
            return "a supply: the guard does not permit energy"
        return "" if evse.contactor_closed else "the contactor to close"

    def step(self, share: Share, now_s: float) -> Step:
        commands: list[Command] = list(self._take_share(share, now_s))
        if self.phase is not Phase.ENDED:
            commands += self.der.commands(self._view.grid_code, self._view.supplied)
        if self.phase in (Phase.STOPPING, Phase.ENDED):
            self._come_to_rest(now_s)
        else:
            wanted = self.phase in (Phase.CLOSING, Phase.CHARGING) and self._view.fault is None
            self._close = wanted and self._missing(now_s) in ("", "the contactor to close")
        power_w = self._power_w(now_s)
        if self.phase is not Phase.ENDED:
            commands.append(self._update(power_w, now_s))
        return Step(commands=tuple(commands), evse=self._evse_command(), power_w=power_w)

    def _come_to_rest(self, now_s: float) -> None:
        """Asked to open at once: ``wires`` opens after the current, within the time that a vehicle has to end it."""
        self._close = False
        if self.phase is Phase.ENDED and self._evse is not None and is_fresh(self._evse, now_s):
            self.released = not self._evse.contactor_closed

    # ---- outputs ----

    def _power_w(self, now_s: float) -> float:
        self.note = None
        if not self.charging or self._evse is None or not self._evse.contactor_closed or not self._close:
            return 0.0
        granted_w = self._granted_w(now_s)
        limits = self.vehicle_limits
        if limits is None or granted_w == 0.0:
            return 0.0
        least = limits.min_charge_power if granted_w > 0 else limits.min_discharge_power
        if abs(granted_w) < least.total:
            self.note = (
                f"told 0 W: {format_power(abs(granted_w))} is less than the {format_power(least.total)} that the "
                "vehicle needs at least"
            )
            return 0.0
        return granted_w

    def _evse_command(self) -> AcEvseCommand:
        if self.released:
            return AcEvseCommand(pilot_duty_pct=HLC_DUTY_PCT)
        return AcEvseCommand(close_contactor=self._close, lock_connector=True, pilot_duty_pct=HLC_DUTY_PCT)

    def _update(self, power_w: float, now_s: float) -> UpdateAcEvse:
        evse = self._evse
        closed = evse is not None and evse.contactor_closed
        present_w = sane(evse.total_w) if evse is not None else 0.0
        return UpdateAcEvse(
            # Open by the guard's hand and to be closed again is no contactor error of this session.
            contactor_closed=closed or self.charging,
            target_active_power=self._target(power_w, now_s),
            present_active_power=AcPower(present_w),
            fault=self.fault or self._view.fault,
            notification=self._notification(now_s),
            notification_max_delay_s=self._notified_within_s,
            meter=meter_of(self.evse_id, evse),
        )

    def _target(self, power_w: float, now_s: float) -> AcPower | None:
        """The set-point; in scheduled mode the vehicle follows its profile without one where it is granted as much."""
        planned_w = self._planned_w(now_s)
        if planned_w is not None and self.charging and abs(planned_w - power_w) <= AS_PLANNED_W:
            return None
        return AcPower(power_w)


def _higher(one: AcPower, other: AcPower) -> float:
    return max(one.total, other.total)
