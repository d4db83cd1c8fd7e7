"""Grid-support functions of IEEE 1547-2018 clause 5: droop, volt-var, volt-watt, watt-var, constant power factor.

Configured into the inverter where it has them (:mod:`v2g.hardware.sunspec.functions`), computed here where it lacks them.
Signs: this is the one place beside drivers that thinks as the standard does; functions take and return our signs
(power positive into the vehicle), reactive power positive when it is *injected* (over-excited), as IEEE 1547 counts it.
"""

from __future__ import annotations

from dataclasses import dataclass

Points = tuple[tuple[float, float], ...]
"""Of a curve, x ascending; flat beyond the ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequencyDroop:
    """5.8.2: outside the dead band power changes by ``(|df| - db) / (f_nominal * k)`` of rating."""

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
    """5.4.2: V p.u. to the largest injected power, p.u. of rated active power. For storage the second value may be below
    zero: it then absorbs."""

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


def check(settings: SupportSettings, category: str, performance: str = "B") -> None:
    """Raises :class:`~v2g.grid.settings.SettingsError` naming value, clause and range."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Support:
    """``power_w``: the set-point after droop and volt-watt. ``injected_var``: what is to be injected."""

    power_w: float
    injected_var: float
    bound_by: str | None
    """``frequency_droop`` or ``volt_watt`` where it changed the power."""


class SupportFunctions:
    """Computes the functions that a device lacks, with their open-loop response times. Time is an argument.

    ``active``: names of those to compute (``frequency_droop``, ``volt_var``, ``volt_watt``, ``watt_var``, ``constant_pf``).
    """

    def __init__(
        self,
        settings: SupportSettings,
        active: frozenset[str],
        rated_w: float,
        rated_va: float,
        nominal_frequency_hz: float,
    ) -> None:
        raise NotImplementedError

    def step(self, now_s: float, wanted_w: float, v_pu: float, frequency_hz: float | None) -> Support:
        """An unknown frequency changes nothing more; ``v_pu`` is the mean of the phases."""
        raise NotImplementedError
