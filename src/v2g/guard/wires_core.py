"""The rules of ``wires``, without input or output: leases, readings and the guard's word become commands.

Whatever is unknown, old or contradictory means zero power, and :class:`~v2g.guard.link.Applied` says why. What takes
power to zero comes before what bounds it; of several bounds the last one that changed the figure is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from v2g.grid.protection import Block
from v2g.grid.support import SupportFunctions
from v2g.guard.ac_core import AcCore, AcEvseLimits
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
from v2g.guard.link import Applied, PowerSetpoint, Setpoints
from v2g.guard.own_return import OwnReturn
from v2g.guard.view import GuardView
from v2g.hardware.pilot import PilotWatch
from v2g.hardware.ports import AcEvseCommand, DcEvseCommand, DcEvseReading, Insulation, InverterReading

OPEN_AFTER_S = 1.0
"""Contactors open once the current is below :data:`OPEN_BELOW_A`, or this long after they should."""
UNLOCK_BELOW_V = 60.0
"""A connector is unlocked only below this, with open contactors, by a fresh reading (IEC 61851-23)."""

# What also takes the current of the DC output to zero: the inverter may not hear us.
_BARRING = frozenset(
    {
        "breaker_failed",
        "no_permit",
        "momentary_cessation",
        "cease",
        "stale_measurement",
        "device_fault",
        "insulation",
        "pilot",
    }
)


class SetpointsRefused(ValueError):
    """A frame of set-points that is not used at all; the message says why."""


@dataclass(frozen=True, slots=True)
class EvseLimits:
    """What the site allows an EVSE. Magnitudes."""

    evse_id: str
    max_charge_w: float
    max_discharge_w: float
    max_voltage_v: float
    max_current_a: float


@dataclass(frozen=True, slots=True)
class Target:
    """What the devices of one EVSE shall do now. ``command`` is None while the DC output is to be left alone."""

    applied: Applied
    command: DcEvseCommand | None


@dataclass(frozen=True, slots=True)
class _Leased:
    """What the session wants of the output stage."""

    command: DcEvseCommand
    expires_at_s: float


@dataclass(slots=True)
class _Evse:
    limits: EvseLimits
    inverter: InverterReading | None = None
    output: DcEvseReading | None = None
    power: PowerSetpoint | None = None
    setpoint: _Leased | None = None
    support: SupportFunctions | None = None
    running_discharge_w: float = 0.0
    """Magnitude that was ordered and allowed last: all that may go on while no new discharge may begin."""
    own_return: OwnReturn = field(default_factory=OwnReturn)
    pilot: PilotWatch = field(default_factory=PilotWatch)
    opening_since_s: float | None = None
    last: DcEvseCommand = field(default_factory=DcEvseCommand)


@dataclass(frozen=True, slots=True)
class _Power:
    power_w: float
    bound_by: str | None
    reactive_var: float | None = None


class WiresCore:
    """State of all EVSEs. ``now_s`` is CLOCK_MONOTONIC everywhere.

    ``mains_input``: loss of mains is told to the guard by an input, so that an inverter may discharge without active
    islanding detection of its own. ``enter_service_delay_s``: the site's (:class:`~v2g.guard.own_return.OwnReturn`).
    """

    def __init__(
        self,
        limits: Iterable[EvseLimits],
        now_s: float,
        *,
        mains_input: bool = False,
        enter_service_delay_s: float = 0.0,
        ac_limits: Iterable[AcEvseLimits] = (),
    ) -> None:
        self.ac = AcCore(ac_limits, now_s, mains_input=mains_input)
        self.enter_service_delay_s = enter_service_delay_s
        self._mains_input = mains_input
        self._evses = {item.evse_id: _Evse(item) for item in limits}
        self._started_s = now_s
        self._sequence = -1
        self._stopping = False

    def new_peer(self) -> None:
        """Another orchestrator: its sequence starts anew; leases that run go on."""
        self._sequence = -1

    def stop(self) -> None:
        """From now on every lease is over."""
        self._stopping = True
        self.ac.stop()

    def accept(self, setpoints: Setpoints, now_s: float) -> tuple[str, ...]:
        """Take a frame: all of it or, with :class:`SetpointsRefused`, none.

        EVSEs that this configuration does not have are left out and returned: the orchestrator may have been started
        with a newer one, and its other vehicles need not suffer.
        """
        if setpoints.sequence <= self._sequence:
            raise SetpointsRefused(f"sequence {setpoints.sequence} after {self._sequence}")
        for items in (setpoints.powers, setpoints.evses):
            ids = [item.evse_id for item in items]
            if len(set(ids)) != len(ids):
                raise SetpointsRefused("an EVSE is named twice")
        for power in setpoints.powers:
            _require_finite(power.evse_id, power.power_w, power.expires_at_s)
        for evse in setpoints.evses:
            command = evse.command
            _require_finite(evse.evse_id, evse.expires_at_s)
            if evse.evse_id in (self._evses if isinstance(command, AcEvseCommand) else self.ac):
                raise SetpointsRefused(f"{evse.evse_id}: a command for the other kind of EVSE")
            if isinstance(command, AcEvseCommand):
                _require_finite(evse.evse_id, command.pilot_duty_pct)
                if not 0 <= command.pilot_duty_pct <= 100:
                    raise SetpointsRefused(f"{evse.evse_id}: a duty cycle is 0..100 %")
            else:
                _require_finite(evse.evse_id, command.target_voltage_v, command.current_limit_a)
                if command.target_voltage_v < 0 or command.current_limit_a < 0:
                    raise SetpointsRefused(f"{evse.evse_id}: voltage and current limit are magnitudes")
        latest_s = now_s + MAX_LEASE_S
        unknown: dict[str, None] = {}
        for power in setpoints.powers:
            if power.evse_id in self.ac:
                self.ac.lease_power(power, now_s)
                continue
            if (known := self._evses.get(power.evse_id)) is None:
                unknown[power.evse_id] = None
                continue
            lease_s = min(power.expires_at_s, latest_s)
            known.power = msgspec.structs.replace(power, expires_at_s=lease_s)
        for evse in setpoints.evses:
            if evse.evse_id in self.ac:
                self.ac.lease_evse(evse, now_s)
                continue
            if (known := self._evses.get(evse.evse_id)) is None:
                unknown[evse.evse_id] = None
                continue
            if isinstance(evse.command, DcEvseCommand):
                known.setpoint = _Leased(evse.command, min(evse.expires_at_s, latest_s))
        self._sequence = setpoints.sequence
        return tuple(unknown)

    def observe_inverter(self, reading: InverterReading) -> None:
        evse = self._evses[reading.evse_id]
        evse.inverter = reading
        evse.own_return.observe(reading.as_of_s, reading.connected)

    def observe_output(self, reading: DcEvseReading) -> None:
        evse = self._evses[reading.evse_id]
        evse.output = reading
        if reading.pilot is not None:
            evse.pilot.observe(reading.pilot, None, reading.as_of_s)

    def support(self, evse_id: str, functions: SupportFunctions | None) -> None:
        """The grid-support functions that this inverter lacks are computed by these from now on; None: by none."""
        self._evses[evse_id].support = functions

    def computes_support(self) -> bool:
        """Power follows voltage or frequency: it has to be decided again and again."""
        return any(evse.support is not None for evse in self._evses.values())

    def inverters(self) -> tuple[InverterReading, ...]:
        """The last reading of each, whatever its age."""
        return tuple(e.inverter for e in self._evses.values() if e.inverter is not None)

    def outputs(self) -> tuple[DcEvseReading, ...]:
        return tuple(e.output for e in self._evses.values() if e.output is not None)

    def decide(self, view: GuardView, now_s: float) -> Mapping[str, Target]:
        """Commands for every DC EVSE, by id; those for AC ones are :attr:`ac`'s."""
        return {evse_id: self._decide(evse, view, now_s) for evse_id, evse in self._evses.items()}

    def decide_one(self, evse_id: str, view: GuardView, now_s: float) -> Target:
        return self._decide(self._evses[evse_id], view, now_s)

    def next_change_s(self, now_s: float) -> float:
        """When a lease ends, a reading grows stale or contactors are to open; infinity when nothing is due."""
        moments = [self._started_s + START_GRACE_S, self.ac.next_change_s(now_s)]
        for evse in self._evses.values():
            moments += [lease.expires_at_s for lease in (evse.power, evse.setpoint) if lease is not None]
            moments += [reading.as_of_s + STALE_S for reading in (evse.inverter, evse.output) if reading is not None]
            moments.append(evse.own_return.until_s(self.enter_service_delay_s))
            if evse.opening_since_s is not None:
                moments.append(evse.opening_since_s + OPEN_AFTER_S)
        return min((moment for moment in moments if moment >= now_s), default=math.inf)

    def opening(self) -> bool:
        """Contactors are on their way to open."""
        dc_opening = any(e.opening_since_s is not None and e.last.close_contactors for e in self._evses.values())
        return dc_opening or self.ac.opening()

    def busy(self, evse_id: str) -> bool:
        """A vehicle is plugged in, or the contactors are commanded closed: its devices are worth frequent readings."""
        evse = self._evses[evse_id]
        return evse.last.close_contactors or (evse.output is not None and evse.output.plugged)

    def _decide(self, evse: _Evse, view: GuardView, now_s: float) -> Target:
        evse.own_return.permit(view.permit)
        wants_closed = not view.open_contactors and self._wants_closed(evse, now_s)
        power = self._power(evse, wants_closed, view, now_s)
        current = view.permit and power.bound_by not in _BARRING
        command = self._output_command(evse, wants_closed, current, view.open_contactors, now_s)
        applied = Applied(
            evse_id=evse.limits.evse_id,
            power_w=power.power_w,
            reactive_var=power.reactive_var,
            source=evse.power.source if evse.power is not None else "",
            bound_by=power.bound_by,
        )
        return Target(applied, command)

    def _lives(self, lease: PowerSetpoint | _Leased | None, now_s: float) -> bool:
        return lease is not None and not self._stopping and now_s < lease.expires_at_s

    def _power(self, evse: _Evse, wants_closed: bool, view: GuardView, now_s: float) -> _Power:
        refusal = self._refusal(evse, wants_closed, view, now_s)
        wanted_w = evse.power.power_w if evse.power is not None else 0.0
        if refusal is None and wanted_w != 0:
            return self._bounded(evse, wanted_w, view, now_s)
        # After momentary cessation the output comes back as it was (IEEE 1547-2018 6.4.2.7); any other end is an end.
        if refusal != "momentary_cessation":
            evse.running_discharge_w = 0.0
        return _Power(0.0, refusal, 0.0 if evse.support is not None and evse.support.reactive else None)

    def _refusal(self, evse: _Evse, wants_closed: bool, view: GuardView, now_s: float) -> str | None:
        """Why there is no power at all; None where there is, or where none is wanted."""
        if view.open_contactors:
            return view.emergency or "breaker_failed"
        if evse.power is None or not self._lives(evse.power, now_s) or not self._lives(evse.setpoint, now_s):
            return "lease_expired"
        inverter, output = evse.inverter, evse.output
        wanted_w = evse.power.power_w
        if wanted_w == 0:
            # Pre-charge needs current without power, but not on a cable that nobody has tested, nor without a vehicle
            # that is ready.
            barred = wants_closed and evse.setpoint is not None and evse.setpoint.command.current_limit_a > 0
            if barred and not _insulated(output):
                return "insulation"
            return "pilot" if barred and not _pilot_ready(evse) else None
        if not view.permit:
            return "no_permit"
        if view.stop:
            return view.stop
        if inverter is None or output is None or _stale(inverter, now_s) or _stale(output, now_s):
            return "stale_measurement"
        if inverter.fault is not None or output.fault is not None or not inverter.connected:
            return "device_fault"
        if now_s < evse.own_return.until_s(self.enter_service_delay_s):
            return "enter_service"
        if not _insulated(output):
            return "insulation"
        if not _pilot_ready(evse):
            return "pilot"
        if not (wants_closed and output.contactors_closed and output.plugged):
            return "contactors_open"
        return self._discharge_refusal(inverter, view) if wanted_w < 0 else None

    def _discharge_refusal(self, inverter: InverterReading, view: GuardView) -> str | None:
        if view.blocks & RELAY_BLOCKS:
            return "relay"
        if not inverter.reversion_armed:
            return "no_reversion"
        if not (self._mains_input or inverter.anti_islanding):
            return "no_anti_islanding"
        return None

    def _bounded(self, evse: _Evse, wanted_w: float, view: GuardView, now_s: float) -> _Power:
        """What is left of an order that nothing refuses. Its direction is the vehicle's consent: nothing turns it."""
        inverter, output = evse.inverter, evse.output
        if inverter is None or output is None:
            return _Power(0.0, "stale_measurement")
        sign = math.copysign(1.0, wanted_w)
        if wanted_w > 0:
            rated_w = least_magnitude(inverter.max_charge_w, evse.limits.max_charge_w, output.max_power_w)
            curtailed = fraction(view.curtail_charge)
        else:
            rated_w = least_magnitude(inverter.max_discharge_w, evse.limits.max_discharge_w, output.max_power_w)
            curtailed = fraction(view.curtail_discharge)
        bounds = Bounds(abs(wanted_w))
        bounds.at_most(rated_w, "rating")
        ramped_w = rated_w * fraction(view.service_fraction)
        bounds.at_most(ramped_w, "enter_service_ramp")
        if wanted_w < 0:
            if view.blocks & Block.NEW_DISCHARGE:
                bounds.at_most(evse.running_discharge_w, "frequency_window")
            evse.running_discharge_w = bounds.magnitude_w
        else:
            evse.running_discharge_w = 0.0
        reactive_var = None
        if evse.support is not None:
            supported = evse.support.step(now_s, sign * bounds.magnitude_w, view.v_pu, view.frequency_hz)
            # An inverter that does volt-var itself is not to be told a reactive power as well.
            reactive_var = 0.0 - supported.injected_var if evse.support.reactive else None
            # No support of the grid revives what a bound has taken to zero.
            if bounds.magnitude_w > 0 and supported.bound_by is not None:
                bounds.become(min(max(sign * supported.power_w, 0.0), ramped_w), supported.bound_by)
        bounds.at_most(bounds.magnitude_w * curtailed, "overcurrent")
        flows = bounds.magnitude_w > 0
        return _Power(
            sign * bounds.magnitude_w if flows else 0.0,
            bounds.bound_by,
            reactive_var if flows or reactive_var is None else 0.0,
        )

    def _wants_closed(self, evse: _Evse, now_s: float) -> bool:
        output, setpoint = evse.output, evse.setpoint
        return (
            setpoint is not None
            and self._lives(setpoint, now_s)
            and setpoint.command.close_contactors
            and output is not None
            and not _stale(output, now_s)
            and output.fault is None
            and output.plugged
            and (output.insulation is not Insulation.FAULT or _is_dead(setpoint.command))
        )

    def _output_command(
        self, evse: _Evse, wants_closed: bool, current: bool, must_open: bool, now_s: float
    ) -> DcEvseCommand | None:
        in_grace = evse.setpoint is None and not self._stopping and now_s < self._started_s + START_GRACE_S
        if in_grace and not must_open:
            return None
        output = evse.output
        alive = self._lives(evse.setpoint, now_s)
        wanted = evse.setpoint.command if alive and evse.setpoint is not None else None
        closed = output is None or output.contactors_closed or output.contactors_commanded
        opening = not wants_closed and self._still_opening(evse, closed, now_s)
        if wanted is not None:
            max_voltage_v = least_magnitude(evse.limits.max_voltage_v, output.max_voltage_v if output else 0.0)
            max_current_a = least_magnitude(evse.limits.max_current_a, output.max_current_a if output else 0.0)
            # A contactor opens without load: whatever the command says, the current goes first.
            current = current and not opening and _insulated(output)
            current_a = min(wanted.current_limit_a, max_current_a) if current else 0.0
            command = DcEvseCommand(
                target_voltage_v=min(wanted.target_voltage_v, max_voltage_v),
                current_limit_a=current_a,
                close_contactors=wants_closed or opening,
                test_insulation=wanted.test_insulation,
                lock_connector=wanted.lock_connector or wants_closed or opening or self._keeps_lock(evse, now_s),
                pilot_error=wanted.pilot_error and self._may_signal_error(evse, wanted, now_s),
            )
        else:
            command = DcEvseCommand(
                target_voltage_v=evse.last.target_voltage_v if opening else 0.0,
                close_contactors=opening,
                lock_connector=self._locked(evse),
            )
        if wants_closed:
            evse.opening_since_s = None
        evse.last = command
        return command

    def _locked(self, evse: _Evse) -> bool:
        """The connector is, or may be, locked."""
        return evse.last.lock_connector or evse.output is None or evse.output.connector_locked

    def _may_signal_error(self, evse: _Evse, wanted: DcEvseCommand, now_s: float) -> bool:
        """State F makes a vehicle open at once: only contactors that are known to be open are behind it."""
        output = evse.output
        if output is None or _stale(output, now_s) or wanted.close_contactors:
            return False
        return not (output.contactors_closed or output.contactors_commanded or evse.last.close_contactors)

    def _keeps_lock(self, evse: _Evse, now_s: float) -> bool:
        """A lock that is closed stays closed, whatever the session says, until the output is known to be dead."""
        output = evse.output
        dead = (
            output is not None
            and not _stale(output, now_s)
            and not output.contactors_closed
            and not output.contactors_commanded
            and abs(output.present_voltage_v) < UNLOCK_BELOW_V
        )
        return not dead and self._locked(evse)

    def _still_opening(self, evse: _Evse, closed: bool, now_s: float) -> bool:
        """Contactors are closed, should be open, and still carry current."""
        output = evse.output
        if not closed:
            evse.opening_since_s = None
            return False
        if evse.opening_since_s is None:
            evse.opening_since_s = now_s
        unknown = output is None or _stale(output, now_s) or not math.isfinite(output.present_current_a)
        loaded = unknown or (output is not None and abs(output.present_current_a) >= OPEN_BELOW_A)
        return loaded and now_s - evse.opening_since_s < OPEN_AFTER_S


def _stale(reading: InverterReading | DcEvseReading, now_s: float) -> bool:
    return is_stale(reading.as_of_s, now_s)


def _insulated(output: DcEvseReading | None) -> bool:
    return output is not None and output.insulation is Insulation.VALID


def _pilot_ready(evse: _Evse) -> bool:
    """A stage that measures no pilot judges it by itself."""
    return evse.output is None or evse.output.pilot is None or evse.pilot.energy


def _is_dead(command: DcEvseCommand) -> bool:
    """Neither voltage nor current: what the contactors need to close for, to test the cable once more."""
    return command.target_voltage_v == 0 and command.current_limit_a == 0


def _require_finite(evse_id: str, *values: float) -> None:
    if not all(map(math.isfinite, values)):
        raise SetpointsRefused(f"{evse_id}: a value is not a finite number")
