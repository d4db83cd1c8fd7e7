"""A grid code for one vehicle's inverter in neither standard's words, and what the inverter says of itself.

Voltages are line to neutral, per unit of ``nominal_voltage_v`` where a name ends in ``_pu``; frequencies in Hz, times
in s. Powers per unit of the inverter's own rating. Injected (into the grid, over-excited) counts positive here, as
grid codes count it, and only here: elsewhere in this package power into the vehicle is positive.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyiso15118.der.functions import NO_ALARM, DerAlarm, DerFunction

Points = tuple[tuple[float, float], ...]
"""Of a curve, x ascending; flat beyond the ends."""


@dataclass(frozen=True, slots=True)
class TripPoint:
    """Beyond ``threshold`` (p.u. or Hz) for ``time_s``."""

    threshold: float
    time_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TripCurves:
    """Steps: each point by itself. Voltages of any phase, in p.u.; frequencies in Hz.

    Of what must trip: beyond a point for its time, the inverter has ceased. Of what may trip: before that time it has
    to stay.
    """

    over_voltage: tuple[TripPoint, ...] = ()
    under_voltage: tuple[TripPoint, ...] = ()
    over_frequency: tuple[TripPoint, ...] = ()
    under_frequency: tuple[TripPoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cessation:
    """Momentary cessation: beyond these voltages no current flows, and it is back at once with the voltage. None: on
    that side there is none."""

    under_pu: float | None = None
    over_pu: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterService:
    """The window that must hold for ``delay_s``, and up to ``random_delay_s`` more, before the inverter enters service;
    its power may then rise to its rating over ``ramp_s`` (0: at once).

    ``permitted`` false: it may not, and leaves service if it is in it.
    """

    v_lo_pu: float
    v_hi_pu: float
    f_lo_hz: float
    f_hi_hz: float
    delay_s: float
    random_delay_s: float = 0.0
    ramp_s: float = 0.0
    permitted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequencyDroop:
    """Outside the dead bands power moves by ``(|df| - db) / (f_nominal * k)`` of the rating: less injected above
    nominal frequency, more below it. A side is None where it does not act. ``response_s``: 90 % of a step are reached.
    """

    db_of_hz: float | None = 0.036
    db_uf_hz: float | None = 0.036
    k_of: float = 0.05
    k_uf: float = 0.05
    response_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VoltVar:
    """Voltage (p.u.) to injected reactive power (per unit of apparent power)."""

    points: Points
    response_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VoltWatt:
    """Voltage (p.u.) to the most that may be injected (per unit of the active rating); below 0 it has to absorb."""

    points: Points
    response_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WattVar:
    """Injected active power (per unit, absorbed negative) to injected reactive power (per unit of apparent power)."""

    points: Points


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerFactor:
    """Held at any active power. ``over_excited``: reactive power is injected."""

    power_factor: float
    over_excited: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCode:
    """What an inverter has to keep to while it is connected here. What is None or empty is not asked for.

    At most one of ``volt_var``, ``watt_var``, ``power_factor`` and ``set_var_pu`` (injected reactive power, per unit of
    apparent power). ``discharge_limit_pu``: the most that may be injected, of the active rating.
    """

    nominal_voltage_v: float
    nominal_frequency_hz: float
    must_trip: TripCurves = TripCurves()
    may_trip: TripCurves = TripCurves()
    cessation: Cessation = Cessation()
    enter_service: EnterService | None = None
    frequency_droop: FrequencyDroop | None = None
    volt_var: VoltVar | None = None
    volt_watt: VoltWatt | None = None
    watt_var: WattVar | None = None
    power_factor: PowerFactor | None = None
    set_var_pu: float | None = None
    discharge_limit_pu: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """What per-unit powers are of: the inverter's active (W), apparent (VA) and injected reactive power (var)."""

    active_w: float
    apparent_va: float
    injected_var: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DerNameplate:
    """What a vehicle's inverter is. Magnitudes: VA, var, W, V line to neutral, Wh.

    ``functions``: those it can carry out. ``normal_category`` A or B and ``abnormal_category`` I, II or III of IEEE
    1547-2018. ``certified_at_unix_s``: when it was certified to SAE J3072, 0 where it is not. Texts have 32 characters
    at most.
    """

    functions: frozenset[DerFunction]
    apparent_va: float
    injected_var: float
    absorbed_var: float
    nominal_voltage_v: float
    max_voltage_v: float
    min_voltage_v: float
    manufacturer: str
    model: str
    serial_number: str
    software_version: str
    hardware_version: str | None = None
    normal_category: str = "B"
    abnormal_category: str = "III"
    over_excited_power_factor: float = 1.0
    under_excited_power_factor: float = 1.0
    certified: bool = False
    certified_at_unix_s: int = 0
    usable_wh: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DerState:
    """What a vehicle's inverter does now. ``present_voltage_v`` line to neutral, at its inlet.

    ``in_service``: it exchanges power or could. ``connected``: its own switch to the grid is closed. ``enabled``: the
    functions it carries out. ``grid_event``: something of the grid holds it back at this moment. AC_DER_IEC carries the
    last one only, AC_DER_SAE the others; what is not carried is None.
    """

    present_voltage_v: float | None = None
    present_frequency_hz: float | None = None
    in_service: bool | None = None
    connected: bool | None = None
    alarms: DerAlarm = NO_ALARM
    enabled: frozenset[DerFunction] = frozenset()
    grid_event: bool = False
