"""The rules of ``wires`` for AC EVSEs, without input or output: leases, readings and the guard's word move a contactor.

The vehicle's own inverter sets the power, by what ISO 15118 tells it. Here its contactor is closed while everything is
well, opened at once for the sake of safety, and opened after the current for an ordinary end of the session.
Whatever is unknown, old or contradictory means open, and :class:`~v2g.guard.link.Applied` says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from v2g.grid.protection import Block
from v2g.grid.support import FrequencyDroop
from v2g.guard.ac_droop import DroopAllowance
from v2g.guard.ac_watch import DISCHARGE_OFF, Latched, VehicleWatch
from v2g.guard.bounds import (
    MAX_LEASE_S,
    OPEN_BELOW_A,
    RELAY_BLOCKS,
    STALE_S,
    START_GRACE_S,
    Bounds,
    fraction,
    is_stale,
    least_magnitude,
)
from v2g.guard.link import Applied, EvseSetpoint, PowerSetpoint
from v2g.guard.view import GuardView
from v2g.hardware.pilot import PilotVerdict, PilotWatch
from v2g.hardware.ports import AcEvseCommand, AcEvseReading

OPEN_AFTER_S = 3.0
"""At the end of a session the current has this long to fall below :data:`OPEN_BELOW_A`: the time that a vehicle has to
stop when the EVSE ends the offer (IEC 61851-1:2017 Table A.6)."""


@dataclass(frozen=True, slots=True)
class AcEvseLimits:
    """What the site allows an EVSE. Magnitudes; ``rotation``: phases of the bus at its L1 to L3."""

    evse_id: str
    phases: int
    rotation: str
    max_current_a: float
    max_charge_w: float
    max_discharge_w: float
    allow_discharge: bool
    droop: FrequencyDroop | None = None
    """That vehicles here are handed; None: none."""
    nominal_hz: float = 60.0


@dataclass(frozen=True, slots=True)
class AcTarget:
    """What an AC EVSE shall do now. ``command`` is None while it is to be left alone.

    ``applied.power_w`` is what its vehicle may be told.
    """

    applied: Applied
    command: AcEvseCommand | None


@dataclass(frozen=True, slots=True)
class BusFlow:
    """By phase of the bus (a, b, c): amperes, RMS, and active power, positive: into the vehicle."""

    current_a: tuple[float, float, float]
    power_w: tuple[float, float, float]


def bus_currents(reading: AcEvseReading, rotation: str) -> BusFlow:
    """What an EVSE takes from each phase of the bus; ``rotation`` as in the configuration, one letter a line."""
    amperes, watts = dict.fromkeys("abc", 0.0), dict.fromkeys("abc", 0.0)
    for letter, current_a, power_w in zip(rotation, reading.current_a, reading.power_w, strict=False):
        amperes[letter], watts[letter] = current_a, power_w
    return BusFlow((amperes["a"], amperes["b"], amperes["c"]), (watts["a"], watts["b"], watts["c"]))


@dataclass(slots=True)
class _AcEvse:
    limits: AcEvseLimits
    reading: AcEvseReading | None = None
    power: PowerSetpoint | None = None
    setpoint: AcEvseCommand | None = None
    setpoint_until_s: float = -math.inf
    pilot: PilotWatch = field(default_factory=PilotWatch)
    verdict: PilotVerdict | None = None
    vehicle: VehicleWatch = field(default_factory=VehicleWatch)
    droop: DroopAllowance | None = None
    running_discharge_w: float = 0.0
    """Magnitude that was ordered and allowed last: all that may go on while no new discharge may begin."""
    opening_since_s: float | None = None
    last: AcEvseCommand = field(default_factory=AcEvseCommand)


class AcCore:
    """State of all AC EVSEs. ``now_s`` is CLOCK_MONOTONIC everywhere.

    ``mains_input``: loss of mains is told to the guard by an input. A vehicle's own islanding detection cannot be read
    back, so without one nothing is discharged.
    """

    def __init__(self, limits: Iterable[AcEvseLimits], now_s: float, *, mains_input: bool = False) -> None:
        self._mains_input = mains_input
        self._evses = {item.evse_id: _AcEvse(item, droop=_allowance(item)) for item in limits}
        self._started_s = now_s
        self._stopping = False

    def __contains__(self, evse_id: str) -> bool:
        return evse_id in self._evses

    def stop(self) -> None:
        """From now on every lease is over."""
        self._stopping = True

    def lease_power(self, power: PowerSetpoint, now_s: float) -> None:
        until_s = min(power.expires_at_s, now_s + MAX_LEASE_S)
        self._evses[power.evse_id].power = msgspec.structs.replace(power, expires_at_s=until_s)

    def lease_evse(self, setpoint: EvseSetpoint, now_s: float) -> None:
        if isinstance(setpoint.command, AcEvseCommand):
            evse = self._evses[setpoint.evse_id]
            evse.setpoint = setpoint.command
            evse.setpoint_until_s = min(setpoint.expires_at_s, now_s + MAX_LEASE_S)

    def observe(self, reading: AcEvseReading, *, sets_pilot: bool = True) -> None:
        """``sets_pilot``: the EVSE sets the duty cycle that it is commanded."""
        evse = self._evses[reading.evse_id]
        evse.reading = reading
        evse.vehicle.plugged(reading.plugged, reading.as_of_s)
        if reading.pilot is None:
            evse.verdict = None
            return
        expected = evse.last.pilot_duty_pct if sets_pilot else None
        evse.verdict = evse.pilot.observe(reading.pilot, expected, reading.as_of_s)

    def pilot(self, evse_id: str) -> PilotVerdict | None:
        """Of the last reading; None: the EVSE measures no pilot."""
        return self._evses[evse_id].verdict

    def commands_pilot_error(self, evse_id: str) -> bool:
        return self._evses[evse_id].last.pilot_error

    def latched(self, evse_id: str) -> Latched | None:
        """What holds the contactor open until the plug was out."""
        return self._evses[evse_id].vehicle.latched

    def readings(self) -> tuple[AcEvseReading, ...]:
        """The last one of each, whatever its age."""
        return tuple(evse.reading for evse in self._evses.values() if evse.reading is not None)

    def decide(self, view: GuardView, now_s: float) -> Mapping[str, AcTarget]:
        """Commands for every EVSE, by id."""
        return {evse_id: self._decide(evse, view, now_s) for evse_id, evse in self._evses.items()}

    def decide_one(self, evse_id: str, view: GuardView, now_s: float) -> AcTarget:
        return self._decide(self._evses[evse_id], view, now_s)

    def next_change_s(self, now_s: float) -> float:
        """When a lease ends, a reading grows stale or a contactor is to open; infinity when nothing is due."""
        moments = [self._started_s + START_GRACE_S]
        for evse in self._evses.values():
            moments.append(evse.setpoint_until_s)
            if evse.power is not None:
                moments.append(evse.power.expires_at_s)
            if evse.reading is not None:
                moments.append(evse.reading.as_of_s + STALE_S)
            if evse.opening_since_s is not None:
                moments.append(evse.opening_since_s + OPEN_AFTER_S)
        return min((moment for moment in moments if moment >= now_s), default=math.inf)

    def opening(self) -> bool:
        """A contactor is on its way to open."""
        return any(evse.opening_since_s is not None and evse.last.close_contactor for evse in self._evses.values())

    def busy(self, evse_id: str) -> bool:
        """A vehicle is plugged in, or may draw current: worth frequent readings."""
        evse = self._evses[evse_id]
        return evse.last.close_contactor or (evse.reading is not None and evse.reading.plugged)

    def _decide(self, evse: _AcEvse, view: GuardView, now_s: float) -> AcTarget:
        refusal = self._refusal(evse, view, now_s)
        power_w, bound_by = self._power(evse, refusal, view, now_s)
        reading = evse.reading
        evse.vehicle.tell(power_w, now_s)
        if reading is not None and not is_stale(reading.as_of_s, now_s) and _is_measured(reading):
            limits = evse.limits
            rated_a = _rated_a(evse, reading)
            order = self._order(evse, now_s)
            ending = order is None or not order.close_contactor
            # A reading counts once, however often it is looked at.
            at_s = reading.as_of_s
            droop_w = (0.0, 0.0) if evse.droop is None else evse.droop.update(view.frequency_hz, now_s)
            evse.vehicle.observe(
                reading, rated_a, limits.allow_discharge, at_s, ending=ending or bool(view.stop), droop_w=droop_w
            )
            if refusal is None and evse.vehicle.latched is not None:
                refusal = bound_by = evse.vehicle.latched.bound_by
                power_w = 0.0
        else:
            evse.vehicle.unknown()
        command = self._command(evse, refusal, view, now_s)
        applied = Applied(
            evse_id=evse.limits.evse_id,
            power_w=power_w,
            source=evse.power.source if evse.power is not None else "",
            bound_by=bound_by,
        )
        return AcTarget(applied, command)

    def _lives(self, until_s: float, now_s: float) -> bool:
        return not self._stopping and now_s < until_s

    def _order(self, evse: _AcEvse, now_s: float) -> AcEvseCommand | None:
        return evse.setpoint if self._lives(evse.setpoint_until_s, now_s) else None

    def _refusal(self, evse: _AcEvse, view: GuardView, now_s: float) -> str | None:
        """Why the contactor has to be open at once; None where it may be closed."""
        if view.open_contactors:
            return view.emergency or "breaker_failed"
        if self._order(evse, now_s) is None or evse.power is None or not self._lives(evse.power.expires_at_s, now_s):
            return "lease_expired"
        if not view.permit:
            return "no_permit"
        reading = evse.reading
        if reading is None or is_stale(reading.as_of_s, now_s) or not _is_measured(reading):
            return "stale_measurement"
        if reading.fault is not None:
            return "device_fault"
        if evse.vehicle.latched is not None:
            return evse.vehicle.latched.bound_by
        if not (reading.plugged and reading.connector_locked):
            return "contactor_open"
        if evse.verdict is None or not evse.verdict.energy:
            return "pilot"
        return None

    def _power(self, evse: _AcEvse, refusal: str | None, view: GuardView, now_s: float) -> tuple[float, str | None]:
        """What the vehicle may be told, and what bound it."""
        wanted_w = evse.power.power_w if evse.power is not None else 0.0
        order = self._order(evse, now_s)
        # Nobody asks for a closed contactor or for power: nothing is bound but a lease that ended.
        asks = wanted_w != 0 or (order is not None and order.close_contactor)
        if refusal is None and wanted_w != 0:
            refusal = self._power_refusal(evse, wanted_w, view)
        if refusal is None and wanted_w != 0 and evse.reading is not None:
            return self._bounded(evse, evse.reading, wanted_w, view)
        if refusal != view.stop or not view.stop:
            evse.running_discharge_w = 0.0
        # Who was cut off finds his contactor open in his next session too: that is to be known before it begins.
        told = asks or refusal == "lease_expired" or view.open_contactors or evse.vehicle.latched is not None
        return 0.0, refusal if told else None

    def _power_refusal(self, evse: _AcEvse, wanted_w: float, view: GuardView) -> str | None:
        if view.stop:
            return view.stop
        if evse.reading is None or not evse.reading.contactor_closed:
            return "contactor_open"
        if wanted_w > 0:
            return None
        if not evse.limits.allow_discharge:
            return DISCHARGE_OFF
        if not self._mains_input:
            return "no_anti_islanding"
        return "relay" if view.blocks & RELAY_BLOCKS else None

    def _bounded(
        self, evse: _AcEvse, reading: AcEvseReading, wanted_w: float, view: GuardView
    ) -> tuple[float, str | None]:
        """What is left of an order that nothing refuses. Its direction is the vehicle's consent: nothing turns it."""
        limits = evse.limits
        carried_w = _rated_a(evse, reading) * sum(max(0.0, volts) for volts in reading.voltage_v[: limits.phases])
        if wanted_w > 0:
            rated_w, curtailed = least_magnitude(limits.max_charge_w, carried_w), fraction(view.curtail_charge)
        else:
            rated_w, curtailed = least_magnitude(limits.max_discharge_w, carried_w), fraction(view.curtail_discharge)
        bounds = Bounds(abs(wanted_w))
        bounds.at_most(rated_w, "rating")
        bounds.at_most(rated_w * fraction(view.service_fraction), "enter_service_ramp")
        if wanted_w < 0:
            if view.blocks & Block.NEW_DISCHARGE:
                bounds.at_most(evse.running_discharge_w, "frequency_window")
            evse.running_discharge_w = bounds.magnitude_w
        else:
            evse.running_discharge_w = 0.0
        bounds.at_most(bounds.magnitude_w * curtailed, "overcurrent")
        power_w = math.copysign(bounds.magnitude_w, wanted_w) if bounds.magnitude_w > 0 else 0.0
        return power_w, bounds.bound_by

    def _command(self, evse: _AcEvse, refusal: str | None, view: GuardView, now_s: float) -> AcEvseCommand | None:
        reading, order = evse.reading, self._order(evse, now_s)
        in_grace = evse.setpoint is None and not self._stopping and now_s < self._started_s + START_GRACE_S
        if in_grace and view.permit:
            return None
        closed = reading is not None and reading.contactor_closed
        wants_closed = order is not None and order.close_contactor
        # Where the DER has to cease at once (IEEE 1547-2018 6.4.2) no message to a vehicle is quick enough: the
        # contactor is the actuator. None is closed before the vehicle has been ready for a moment.
        close = refusal is None and wants_closed and not view.stop and (closed or evse.pilot.energy)
        opening = refusal is None and not wants_closed and self._still_opening(evse, closed, now_s)
        if wants_closed or not closed:
            evse.opening_since_s = None
        stays_closed = close or opening
        lock = (order is not None and order.lock_connector) or stays_closed
        command = AcEvseCommand(
            close_contactor=stays_closed,
            lock_connector=lock or self._keeps_lock(evse, order is None, now_s),
            pilot_duty_pct=order.pilot_duty_pct if order is not None else 100.0,
            pilot_error=order is not None and order.pilot_error and not wants_closed and self._is_open(evse, now_s),
        )
        evse.last = command
        return command

    def _still_opening(self, evse: _AcEvse, closed: bool, now_s: float) -> bool:
        """The session ended; the contactor waits for the current to end."""
        if not closed or evse.reading is None:
            return False
        if evse.opening_since_s is None:
            evse.opening_since_s = now_s
        loaded = evse.reading.most_a >= OPEN_BELOW_A
        return loaded and now_s - evse.opening_since_s < OPEN_AFTER_S

    def _is_open(self, evse: _AcEvse, now_s: float) -> bool:
        """By a fresh reading, and nobody has it closed."""
        reading = evse.reading
        if reading is None or is_stale(reading.as_of_s, now_s) or evse.last.close_contactor:
            return False
        return not (reading.contactor_closed or reading.contactor_commanded)

    def _keeps_lock(self, evse: _AcEvse, nobody_orders: bool, now_s: float) -> bool:
        """A lock that is closed stays closed until an order opens it and the cable is known to be dead."""
        reading = evse.reading
        locked = evse.last.lock_connector or reading is None or reading.connector_locked
        dead = (
            reading is not None
            and not is_stale(reading.as_of_s, now_s)
            and not reading.contactor_closed
            and not reading.contactor_commanded
            and reading.most_a < OPEN_BELOW_A
        )
        return locked and (nobody_orders or not dead)


def _allowance(limits: AcEvseLimits) -> DroopAllowance | None:
    if limits.droop is None:
        return None
    return DroopAllowance(limits.droop, limits.nominal_hz, max(limits.max_charge_w, limits.max_discharge_w))


def _rated_a(evse: _AcEvse, reading: AcEvseReading) -> float:
    """What a phase may carry: the site's setting, the device's rating, the cable's."""
    cable_a = reading.pilot.proximity_a if reading.pilot is not None else None
    rated_a = least_magnitude(evse.limits.max_current_a, reading.max_current_a)
    return rated_a if cable_a is None else least_magnitude(rated_a, cable_a)


def _is_measured(reading: AcEvseReading) -> bool:
    """The meter says figures, and the device its rating."""
    figures = (*reading.current_a, *reading.power_w, *reading.voltage_v, reading.max_current_a)
    return all(map(math.isfinite, figures))
