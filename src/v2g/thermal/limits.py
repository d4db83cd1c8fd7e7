"""Limits of loading: by regime and size of transformer, and for cold oil. IEC 60076-7 loading limits. Pure.

What narrows a limit (cold oil, an ageing budget) names itself: the effective limits carry the source of each.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from v2g.thermal.parameters import ParameterError

HOT_SPOT: Final = "thermal hot-spot"
TOP_OIL: Final = "thermal top-oil"
CURRENT: Final = "thermal K"
RATED_CURRENT: Final = "thermal K at the guard's rated current"
COLD_OIL: Final = "thermal cold oil"
AGEING: Final = "thermal ageing budget"
HELD: Final = ", held"
"""Ends the source of an end that is held back while it widens (:mod:`v2g.thermal.throttle`)."""
UNKNOWN: Final = "thermal state unknown"


class SizeClass(enum.StrEnum):
    """Classes of IEC 60076-7: distribution up to 2.5 MVA three-phase, medium up to 100 MVA, large above."""

    DISTRIBUTION = "distribution"
    MEDIUM = "medium"
    LARGE = "large"


class Regime(enum.StrEnum):
    """Regimes of loading. The two emergencies hold by an engineer's authorisation that expires."""

    NORMAL_CYCLIC = "normal_cyclic"
    LONG_TIME_EMERGENCY = "long_time_emergency"
    SHORT_TIME_EMERGENCY = "short_time_emergency"


LONGEST_AUTHORISATION_S: Final[Mapping[Regime, float]] = {
    Regime.LONG_TIME_EMERGENCY: 14 * 86_400.0,
    Regime.SHORT_TIME_EMERGENCY: 1_800.0,
}
"""Short-time emergency: less than half an hour, after IEC 60076-7. Long-time may last weeks there; it is asked again
after two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermalLimits:
    """What must hold at every minute's end: temperatures in °C, load factor in per unit; and who says so.

    Raises :class:`~v2g.thermal.parameters.ParameterError` for limits that no transformer has.
    """

    hot_spot_c: float
    top_oil_c: float
    k_pu: float
    hot_spot_source: str = HOT_SPOT
    top_oil_source: str = TOP_OIL
    k_source: str = CURRENT

    def __post_init__(self) -> None:
        if not 40.0 <= self.hot_spot_c <= 200.0:
            raise ParameterError(
                f"hot-spot limit of {self.hot_spot_c:g} °C is outside 40..200 °C: give °C, usually 98..160"
                + _temperature_slip(self.hot_spot_c, 200.0)
            )
        if not 40.0 <= self.top_oil_c <= 150.0:
            raise ParameterError(
                f"top-oil limit of {self.top_oil_c:g} °C is outside 40..150 °C: give °C, usually 95..115"
                + _temperature_slip(self.top_oil_c, 150.0)
            )
        if not 0.0 <= self.k_pu <= 3.0:
            slip = f"; {self.k_pu:g} looks like %: give {self.k_pu / 100.0:g}" if 3.0 < self.k_pu <= 300.0 else ""
            raise ParameterError(
                f"load limit K = {self.k_pu:g} is outside 0..3: K is per unit of rated power, not %, "
                f"usually 1.3..2.0{slip}"
            )


def _temperature_slip(value: float, most_c: float) -> str:
    for unit, meant_c in (("K", value - 273.15), ("°F", (value - 32.0) / 1.8)):
        if 40.0 <= meant_c <= most_c:
            return f"; {value:g} looks like {unit}: give {meant_c:.0f}"
    return ""


_TABLE: Final[Mapping[tuple[Regime, SizeClass], tuple[float, float, float]]] = {
    (Regime.NORMAL_CYCLIC, SizeClass.DISTRIBUTION): (1.5, 120.0, 105.0),
    (Regime.NORMAL_CYCLIC, SizeClass.MEDIUM): (1.5, 120.0, 105.0),
    (Regime.NORMAL_CYCLIC, SizeClass.LARGE): (1.3, 120.0, 105.0),
    (Regime.LONG_TIME_EMERGENCY, SizeClass.DISTRIBUTION): (1.8, 140.0, 115.0),
    (Regime.LONG_TIME_EMERGENCY, SizeClass.MEDIUM): (1.5, 140.0, 115.0),
    (Regime.LONG_TIME_EMERGENCY, SizeClass.LARGE): (1.3, 140.0, 115.0),
    (Regime.SHORT_TIME_EMERGENCY, SizeClass.DISTRIBUTION): (2.0, 160.0, 115.0),
    (Regime.SHORT_TIME_EMERGENCY, SizeClass.MEDIUM): (1.8, 160.0, 115.0),
    (Regime.SHORT_TIME_EMERGENCY, SizeClass.LARGE): (1.5, 160.0, 115.0),
}
"""K, hot-spot and top-oil of IEC 60076-7:2005 Table 4, second-hand. Clause 7.2.1 sets distribution transformers no
temperature for short-time emergency and warns of gas bubbles above 140 °C; 160 °C and 115 °C are taken as for the
others. The table does not mean current and temperature limits to be exhausted at once: here all of them hold."""


def size_class(rated_va: float) -> SizeClass:
    """By rated three-phase power in VA."""
    if rated_va <= 2.5e6:
        return SizeClass.DISTRIBUTION
    return SizeClass.MEDIUM if rated_va <= 100e6 else SizeClass.LARGE


def limits_of(regime: Regime, size: SizeClass) -> ThermalLimits:
    """The table of loading limits (K, hot-spot, top-oil)."""
    k_pu, hot_spot_c, top_oil_c = _TABLE[regime, size]
    return ThermalLimits(hot_spot_c=hot_spot_c, top_oil_c=top_oil_c, k_pu=k_pu)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdOil:
    """Below ``full_load_above_c`` of top-oil, K is limited until the oil warms.

    IEEE C57.12.00 4.1.2.2: top liquid below -20 °C is no usual service condition. Cold oil hardly circulates, so the
    winding's heat stays where it is, which the equations do not know. At ``full_load_above_c`` the regime's limit holds
    in full; ``ramp_k`` below it and colder ``k_pu`` holds; linear between. The figures 0.5 and 10 K are ours, a
    site may state its own; ``k_pu`` of 0 means no V2G power with cold oil.
    """

    full_load_above_c: float = -20.0
    ramp_k: float = 10.0
    k_pu: float = 0.5

    def __post_init__(self) -> None:
        """Raises :class:`~v2g.thermal.parameters.ParameterError`."""
        if not -60.0 <= self.full_load_above_c <= 40.0:
            raise ParameterError(
                f"cold oil: full load above {self.full_load_above_c:g} °C is outside -60..40 °C: give the top-oil "
                "temperature from which the regime's K holds, usually -20"
            )
        if not 0.1 <= self.ramp_k <= 60.0:
            raise ParameterError(
                f"cold oil: ramp of {self.ramp_k:g} K is outside 0.1..60 K: give the width of the transition, "
                "usually 10"
            )
        if not 0.0 <= self.k_pu <= 1.5:
            raise ParameterError(
                f"cold oil: load limit K = {self.k_pu:g} is outside 0..1.5: K is per unit of rated power, not %; "
                "0 for no V2G power with cold oil"
            )

    def narrowed(self, limits: ThermalLimits, top_oil_c: float) -> ThermalLimits:
        """``limits`` as they are with oil of this temperature, naming cold oil where it is what binds."""
        k_pu = self.k_limit_pu(top_oil_c, limits.k_pu)
        return replace(limits, k_pu=k_pu, k_source=COLD_OIL) if k_pu < limits.k_pu else limits

    def k_limit_pu(self, top_oil_c: float, k_pu: float) -> float:
        """At a top-oil temperature, given the regime's ``k_pu``; never above it. NaN counts as the coldest."""
        if top_oil_c >= self.full_load_above_c:
            return k_pu
        cold_pu = min(self.k_pu, k_pu)
        share = (top_oil_c - (self.full_load_above_c - self.ramp_k)) / self.ramp_k
        return cold_pu + max(0.0, share) * (k_pu - cold_pu)
