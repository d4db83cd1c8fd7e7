"""What the owner tells a machine, through ``machine.command(command, now)``. Signs and units as in ``events``."""

from __future__ import annotations

from dataclasses import dataclass

from pyiso15118.events import DcLimits, EnergyNeeds


class Command:
    """Base of all commands."""

    __slots__ = ()


# ---- both machines ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort(Command):
    """End now without SessionStop: the stream is closed, ``SessionEnded(ABORTED)`` follows."""

    reason: str


# ---- SECC ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorize(Command):
    """Answer to ``AuthorizationRequested``. Refusal is WARNING_EIMAuthorizationFailure ([V2G20-2230]).

    ``granted=False`` later on withdraws: energy stops at once and the next request is answered FAILED. ``granted=True``
    later on is an error.
    """

    granted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CableCheckFinished(Command):
    """Answer to ``CableCheckRequested``. Not passed: FAILED, and the session ends.

    A failure may be told later, too: energy stops at once and the next request is answered FAILED. A failure stands;
    ``passed=True`` after it, or after the cable check, is an error.
    """

    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateEvse(Command):
    """The EVSE as it is now; give it often. Older than ``SeccConfig.evse_state_max_age_s`` counts as a fault.

    While charging, a fault, open contactors or stale state stop energy at once; the next request is answered FAILED.

    ``limits``: what the EVSE offers now; the machine never sends more than it offered at parameter discovery
    ([V2G20-2654]). ``present_current_a`` negative: discharge. ``fault``: a text, or None; a fault refuses
    PowerDelivery(Start) and ends a running charge loop. ``notify_stop``: ask the vehicle to terminate.
    """

    present_voltage_v: float
    present_current_a: float
    limits: DcLimits
    contactors_closed: bool
    fault: str | None = None
    power_limit_achieved: bool = False
    current_limit_achieved: bool = False
    voltage_limit_achieved: bool = False
    notify_stop: bool = False
    charged_energy_wh: int | None = None
    discharged_energy_wh: int | None = None


# ---- EVCC ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateVehicle(Command):
    """The vehicle as it is now."""

    present_voltage_v: float
    target_voltage_v: float
    limits: DcLimits
    needs: EnergyNeeds
    present_soc_pct: int | None = None
    battery_capacity_wh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactorsClosed(Command):
    """Answer to ``PreChargeReached``: the vehicle's contactors are closed, PowerDelivery(Start) may go out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCharging(Command):
    """PowerDelivery(Stop), welding detection and SessionStop(Terminate) follow."""
