"""Grid-support functions of IEEE 1547-2018 clause 5: droop, volt-var, volt-watt, watt-var, constant power factor.

Configured into the inverter where it has them (:mod:`v2g.hardware.sunspec.functions`), computed here where it lacks
them. Signs: this is the one place beside drivers that thinks as the standard does; functions take and return our signs
(power positive into the vehicle), reactive power positive when it is *injected* (over-excited), as IEEE 1547 counts it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from v2g.grid.settings import SettingsError

Points = tuple[tuple[float, float], ...]
"""Of a curve, x ascending; flat beyond the ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequencyDroop:
    """6.5.2.7.2: outside the dead band power changes by ``(|df| - db) / (f_nominal * k)`` of rating."""

    db_of_hz: float = 0.036
    db_uf_hz: float = 0.036
    k_of: float = 0.05
    k_uf: float = 0.05
    response_s: float = 5.0
    """Open-loop response time: 90 % of a step are reached after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoltVar:
    """5.3.3: V p.u. to Q p.u. of rated apparent power."""

    points: Points = ((0.92, 0.44), (0.98, 0.0), (1.02, 0.0), (1.08, -0.44))
    response_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VoltWatt:
    """5.4.2: V p.u. to the largest injected power, p.u. of rated active power. For storage the second value may be
    below zero: it then absorbs."""

    points: Points = ((1.06, 1.0), (1.10, 0.2))
    response_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WattVar:
    """5.3.4: injected P p.u. (absorbed: negative) to Q p.u."""

    points: Points = ((0.2, 0.0), (0.5, 0.0), (1.0, -0.44))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantPowerFactor:
    """5.3.2. ``over_excited``: injects reactive power."""

    power_factor: float = 1.0
    over_excited: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportSettings:
    """What is enabled; None is off. At most one of volt-var, watt-var and constant power factor."""

    frequency_droop: FrequencyDroop | None = FrequencyDroop()
    volt_var: VoltVar | None = None
    volt_watt: VoltWatt | None = None
    watt_var: WattVar | None = None
    constant_pf: ConstantPowerFactor | None = None


# The fields of SupportSettings.
FUNCTIONS = frozenset({"frequency_droop", "volt_var", "volt_watt", "watt_var", "constant_pf"})
REACTIVE = frozenset({"volt_var", "watt_var", "constant_pf"})

_TELL_ABOVE_W = 0.5


def enabled(settings: SupportSettings) -> frozenset[str]:
    """The names of the functions that are on."""
    return frozenset(name for name in FUNCTIONS if getattr(settings, name) is not None)


def check(settings: SupportSettings, category: str, performance: str = "B") -> None:
    """Raises :class:`~v2g.grid.settings.SettingsError` naming value, clause and range.

    ``category``: I, II or III (abnormal performance; anything else is held to III). ``performance``: A or B (normal).
    The ranges are those of IEEE 1547-2018 with its reference voltage at 1 p.u.
    """
    if settings.frequency_droop is not None:
        _check_droop(settings.frequency_droop, category)
    reactive = sorted(enabled(settings) & REACTIVE)
    if len(reactive) > 1:
        raise SettingsError(f"{' and '.join(reactive)} exclude each other (IEEE 1547-2018 5.3.1): enable one of them")
    if settings.volt_var is not None:
        _check_volt_var(settings.volt_var, performance)
    if settings.volt_watt is not None:
        _check_volt_watt(settings.volt_watt)
    if settings.watt_var is not None:
        _check_watt_var(settings.watt_var)
    if settings.constant_pf is not None:
        _within("constant_pf power_factor", settings.constant_pf.power_factor, 0.0, 1.0, "5.3.2")


def interpolate(points: Points, x: float) -> float:
    """Flat beyond the ends; of two points at one x, the first holds there."""
    x0, y0 = points[0]
    if x <= x0:
        return y0
    for x1, y1 in points[1:]:
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
        x0, y0 = x1, y1
    return y0


def droop_pu(settings: FrequencyDroop, frequency_hz: float, nominal_hz: float) -> float:
    """Steady change of the *absorbed* power, p.u. of rating: positive on over-frequency. Not limited."""
    deviation_hz = frequency_hz - nominal_hz
    if deviation_hz > settings.db_of_hz:
        return (deviation_hz - settings.db_of_hz) / (nominal_hz * settings.k_of)
    if deviation_hz < -settings.db_uf_hz:
        return (deviation_hz + settings.db_uf_hz) / (nominal_hz * settings.k_uf)
    return 0.0


def constant_pf_var(settings: ConstantPowerFactor, power_w: float) -> float:
    """Reactive power to inject at an active power of either direction."""
    magnitude_var = abs(power_w) * math.tan(math.acos(settings.power_factor))
    return magnitude_var if settings.over_excited else -magnitude_var


@dataclass(frozen=True, slots=True)
class Support:
    """``power_w``: the set-point after droop and volt-watt. ``injected_var``: what is to be injected."""

    power_w: float
    injected_var: float
    bound_by: str | None
    """``frequency_droop`` or ``volt_watt`` where it changed the power."""


class _Response:
    """First order: 90 % of a step after ``response_s``."""

    __slots__ = ("_tau_s", "value")

    def __init__(self, response_s: float, value: float) -> None:
        self._tau_s = response_s / math.log(10.0)
        self.value = value

    def follow(self, target: float, dt_s: float) -> float:
        self.value += (target - self.value) * -math.expm1(-dt_s / self._tau_s)
        return self.value


class SupportFunctions:
    """Computes the functions that a device lacks, with their open-loop response times. Time is an argument.

    ``active``: names of those to compute, of :data:`FUNCTIONS`.
    """

    def __init__(
        self,
        settings: SupportSettings,
        active: frozenset[str],
        rated_w: float,
        rated_va: float,
        nominal_frequency_hz: float,
    ) -> None:
        self._droop = settings.frequency_droop if "frequency_droop" in active else None
        self._volt_var = settings.volt_var if "volt_var" in active else None
        self._volt_watt = settings.volt_watt if "volt_watt" in active else None
        self._watt_var = settings.watt_var if "watt_var" in active else None
        self._constant_pf = settings.constant_pf if "constant_pf" in active else None
        self._rated_w = rated_w
        self._rated_va = rated_va
        self._nominal_hz = nominal_frequency_hz
        self._droop_pu = _Response(self._droop.response_s, 0.0) if self._droop else None
        self._var_pu = _Response(self._volt_var.response_s, 0.0) if self._volt_var else None
        self._cap_pu = _Response(self._volt_watt.response_s, 1.0) if self._volt_watt else None
        self._stepped_s: float | None = None

    @property
    def reactive(self) -> bool:
        """Reactive power is among what is computed."""
        return not (self._volt_var is None and self._watt_var is None and self._constant_pf is None)

    def step(self, now_s: float, wanted_w: float, v_pu: float, frequency_hz: float | None) -> Support:
        """An unknown frequency changes nothing more; ``v_pu`` is the mean of the phases.

        A voltage that is no positive number changes nothing more either.
        """
        dt_s = 0.0 if self._stepped_s is None else max(0.0, now_s - self._stepped_s)
        self._stepped_s = now_s
        self._follow(dt_s, v_pu, frequency_hz)
        power_w, bound_by = wanted_w, None
        if self._droop_pu is not None:
            shifted_w = power_w + self._droop_pu.value * self._rated_w
            power_w = min(max(shifted_w, -self._rated_w), self._rated_w)
            if abs(power_w - wanted_w) > _TELL_ABOVE_W:
                bound_by = "frequency_droop"
        if self._cap_pu is not None:
            floor_w = -self._cap_pu.value * self._rated_w
            if floor_w - power_w > _TELL_ABOVE_W:
                power_w, bound_by = floor_w, "volt_watt"
        return Support(power_w, self._injected_var(power_w), bound_by)

    def _follow(self, dt_s: float, v_pu: float, frequency_hz: float | None) -> None:
        if self._droop_pu is not None and self._droop is not None and _is_measured(frequency_hz):
            self._droop_pu.follow(droop_pu(self._droop, frequency_hz or 0.0, self._nominal_hz), dt_s)
        if not _is_measured(v_pu):
            return
        if self._var_pu is not None and self._volt_var is not None:
            self._var_pu.follow(interpolate(self._volt_var.points, v_pu), dt_s)
        if self._cap_pu is not None and self._volt_watt is not None:
            self._cap_pu.follow(interpolate(self._volt_watt.points, v_pu), dt_s)

    def _injected_var(self, power_w: float) -> float:
        injected_var = 0.0
        if self._var_pu is not None:
            injected_var = self._var_pu.value * self._rated_va
        elif self._watt_var is not None:
            injected_var = interpolate(self._watt_var.points, -power_w / self._rated_w) * self._rated_va
        elif self._constant_pf is not None:
            injected_var = constant_pf_var(self._constant_pf, power_w)
        return min(max(injected_var, -self._rated_va), self._rated_va)


def _is_measured(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0


def _within(what: str, value: float, low: float, high: float, clause: str) -> None:
    # Sums of decimal figures miss the end of a range by a rounding error.
    if not low - 1e-9 <= value <= high + 1e-9:
        raise SettingsError(
            f"{what} = {value:g} is outside {low:g} .. {high:g} (IEEE 1547-2018 {clause}): set it inside"
        )


def _check_droop(droop: FrequencyDroop, category: str) -> None:
    weak = category in ("I", "II")
    clause = f"6.5.2.7.2, category {category if weak else 'III'}"
    for name in ("db_of_hz", "db_uf_hz"):
        _within(f"frequency_droop {name}", getattr(droop, name), 0.017, 1.0, clause)
    for name in ("k_of", "k_uf"):
        _within(f"frequency_droop {name}", getattr(droop, name), 0.03 if weak else 0.02, 0.05, clause)
    _within("frequency_droop response_s", droop.response_s, 1.0 if weak else 0.2, 10.0, clause)


def _check_volt_var(volt_var: VoltVar, performance: str) -> None:
    (v1, q1), (v2, q2), (v3, q3), (v4, q4) = _shaped("volt_var", volt_var.points, 4, "5.3.3")
    # Category A has no dead band.
    band = 0.0 if performance == "A" else 0.03
    _within("volt_var V2", v2, 1.0 - band, 1.0, "5.3.3")
    _within("volt_var V3", v3, 1.0, 1.0 + band, "5.3.3")
    _within("volt_var V1", v1, 0.82, v2 - 0.02, "5.3.3")
    _within("volt_var V4", v4, v3 + 0.02, 1.18, "5.3.3")
    _within("volt_var Q1", q1, 0.0, 1.0, "5.3.3")
    _within("volt_var Q4", q4, -1.0, 0.0, "5.3.3")
    for name, q in (("Q2", q2), ("Q3", q3)):
        _within(f"volt_var {name}", q, q4, q1, "5.3.3")
    _within("volt_var response_s", volt_var.response_s, 1.0, 90.0, "5.3.3")


def _check_volt_watt(volt_watt: VoltWatt) -> None:
    (v1, p1), (v2, p2) = _shaped("volt_watt", volt_watt.points, 2, "5.4.2")
    _within("volt_watt V1", v1, 1.05, 1.09, "5.4.2")
    _within("volt_watt V2", v2, v1 + 0.01, 1.10, "5.4.2")
    _within("volt_watt P1", p1, max(p2, 0.0), 1.0, "5.4.2")
    _within("volt_watt P2", p2, -1.0, p1, "5.4.2")
    _within("volt_watt response_s", volt_watt.response_s, 0.5, 60.0, "5.4.2")


def _check_watt_var(watt_var: WattVar) -> None:
    clause = "5.3.4"
    points = watt_var.points
    if len(points) == 6:
        absorbed = tuple((-p, q) for p, q in reversed(_shaped("watt_var", points, 6, clause)[:3]))
        _check_watt_var_half("watt_var P'", absorbed, clause)
        points = points[3:]
    _check_watt_var_half("watt_var P", _shaped("watt_var", points, 3, clause), clause)


def _check_watt_var_half(name: str, points: Points, clause: str) -> None:
    (p1, q1), (p2, q2), (p3, q3) = points
    _within(f"{name}2", p2, 0.4, 0.8, clause)
    _within(f"{name}1", p1, 0.0, p2 - 0.1, clause)
    _within(f"{name}3", p3, p2 + 0.1, 1.0, clause)
    for number, q in enumerate((q1, q2, q3), 1):
        _within(f"{name}{number}'s Q", q, -1.0, 1.0, clause)


def _shaped(name: str, points: Points, count: int, clause: str) -> Points:
    if len(points) != count:
        raise SettingsError(f"{name} has {len(points)} points; IEEE 1547-2018 {clause} asks for {count}")
    if not all(math.isfinite(value) for point in points for value in point):
        raise SettingsError(f"{name}: a point is not a finite number")
    if any(a[0] > b[0] for a, b in itertools.pairwise(points)):
        raise SettingsError(f"{name}: the points do not ascend; IEEE 1547-2018 {clause} counts them from the lowest")
    return points
