"""Thermal constants of a transformer: by cooling mode, from the nameplate, or its own.

Symbols as in IEC 60076-7: ``k11, k21, k22`` thermal model constants, ``x`` oil exponent, ``y`` winding exponent,
``R`` ratio of load losses to no-load losses at rated current, ``Δθor`` top-oil rise, ``Δθhr`` hot-spot-to-top-oil
gradient, both in steady state at rated losses, ``τo`` oil time constant, ``τw`` winding time constant.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Final


class ParameterError(ValueError):
    """A nameplate or constant that no transformer has. The message names it, its range and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingConstants:
    """One column of the table of thermal characteristics; time constants in minutes, as printed there."""

    k11: float
    k21: float
    k22: float
    x: float
    y: float
    tau_o_min: float
    tau_w_min: float


COOLING: Final[Mapping[str, CoolingConstants]] = MappingProxyType(
    {
        "DIST_ONAN": CoolingConstants(k11=1.0, k21=1.0, k22=2.0, x=0.8, y=1.6, tau_o_min=180.0, tau_w_min=4.0),
        "ONAN_RESTRICTED": CoolingConstants(k11=0.5, k21=3.0, k22=2.0, x=0.8, y=1.3, tau_o_min=210.0, tau_w_min=10.0),
        "ONAN": CoolingConstants(k11=0.5, k21=2.0, k22=2.0, x=0.8, y=1.3, tau_o_min=210.0, tau_w_min=10.0),
        "ONAF_RESTRICTED": CoolingConstants(k11=0.5, k21=3.0, k22=2.0, x=0.8, y=1.3, tau_o_min=150.0, tau_w_min=7.0),
        "ONAF": CoolingConstants(k11=0.5, k21=2.0, k22=2.0, x=0.8, y=1.3, tau_o_min=150.0, tau_w_min=7.0),
        "OF_RESTRICTED": CoolingConstants(k11=1.0, k21=1.45, k22=1.0, x=1.0, y=1.3, tau_o_min=90.0, tau_w_min=7.0),
        "OF": CoolingConstants(k11=1.0, k21=1.3, k22=1.0, x=1.0, y=1.3, tau_o_min=90.0, tau_w_min=7.0),
        "OD": CoolingConstants(k11=1.0, k21=1.0, k22=1.0, x=1.0, y=2.0, tau_o_min=90.0, tau_w_min=7.0),
    }
)
"""IEC 60076-7:2005 Table 5, recommended thermal characteristics.

Distribution transformers (``DIST_ONAN``) and power transformers, oil circulation free or restricted. Second-hand: the
standard was not at hand; for the restricted columns τo is taken equal to that of the unrestricted ones.
"""

# Ranges outside of which a value is a slip of the unit or of the sign. x >= 0.5 and y >= 1 also keep temperatures
# convex in power, on which the search in headroom.py rests.
_RANGES: Final[Mapping[str, tuple[float, float, str]]] = MappingProxyType(
    {
        "dtheta_or_k": (5.0, 120.0, "top-oil rise over ambient at rated load in K, usually 40..65"),
        "dtheta_hr_k": (2.0, 80.0, "hot-spot-to-top-oil gradient at rated load in K, usually 15..35"),
        "r": (0.1, 2000.0, "load losses / no-load losses at rated current, usually 4..10"),
        "x": (0.5, 1.2, "oil exponent, 0.8..1.0 in IEC 60076-7"),
        "y": (1.0, 2.5, "winding exponent, 1.3..2.0 in IEC 60076-7"),
        "k11": (0.1, 2.0, "0.5..1.0 in IEC 60076-7"),
        "k21": (1.0, 5.0, "1.0..3.0 in IEC 60076-7"),
        "k22": (0.5, 5.0, "1.0..2.0 in IEC 60076-7"),
        "tau_o_s": (600.0, 86_400.0, "oil time constant in seconds, usually 5400..12600"),
        "tau_w_s": (30.0, 3600.0, "winding time constant in seconds, usually 240..600"),
        "rated_va": (1e3, 2e9, "rated apparent power in VA, not in kVA or MVA"),
        "load_loss_factor": (1.0, 10.0, "load losses over those of the nameplate, from harmonics and hot ambient"),
    }
)


_ABSOLUTE_ZERO_C: Final = -273.15


def _slip(name: str, value: float) -> str:
    """What the value looks like, where another unit would make it an ordinary one; else empty."""
    low, high, _ = _RANGES[name]
    others: tuple[tuple[str, float], ...] = ()
    if name in ("dtheta_or_k", "dtheta_hr_k"):
        others = (("an absolute temperature in K", value + _ABSOLUTE_ZERO_C), ("a rise in °F", value / 1.8))
    elif name in ("tau_o_s", "tau_w_s"):
        others = (("minutes", value * 60.0), ("hours", value * 3600.0), ("milliseconds", value / 1e3))
    elif name == "rated_va":
        others = (("kVA", value * 1e3), ("MVA", value * 1e6))
    elif name == "r" and value > 0.0:
        others = (("no-load losses / load losses", 1.0 / value),)
    elif value > 1.0:
        others = (("%", value / 100.0),)
    for unit, meant in others:
        if low <= meant <= high:
            return f"; {value:g} looks like {unit}: give {meant:.6g}"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermalParameters:
    """All that the model needs to know of a transformer. Rises in K, times in s, ``rated_va`` in VA.

    Raises :class:`ParameterError` for a value outside the range that a transformer can have.
    """

    dtheta_or_k: float
    """Top-oil rise over ambient at rated load."""
    dtheta_hr_k: float
    """Hot-spot-to-top-oil gradient at rated load (H·g)."""
    r: float
    """Load losses over no-load losses at rated current."""
    x: float
    y: float
    k11: float
    k21: float
    k22: float
    tau_o_s: float
    tau_w_s: float
    rated_va: float
    load_loss_factor: float = 1.0
    """Load losses over those of the nameplate at the same K: harmonics, hot ambient (:mod:`v2g.thermal.losses`)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high, meaning = _RANGES[field.name]
            if not low <= value <= high:
                raise ParameterError(
                    f"transformer parameter {field.name} = {value:g} is outside {low:g}..{high:g}: {meaning}"
                    + _slip(field.name, value)
                )

    def k_pu(self, active_w: float, reactive_var: float) -> float:
        """Load factor K = |S| / S_rated, whatever the direction of flow."""
        return math.hypot(active_w, reactive_var) / self.rated_va


def from_nameplate(
    *,
    cooling: str,
    rated_kva: float,
    top_oil_rise_k: float,
    hot_spot_gradient_k: float,
    loss_ratio_r: float,
) -> ThermalParameters:
    """Parameters from the nameplate and the constants of a cooling mode (a key of :data:`COOLING`).

    Raises :class:`ParameterError` for an unknown mode or an impossible nameplate.
    """
    constants = COOLING.get(cooling)
    if constants is None:
        raise ParameterError(f"cooling mode {cooling!r} is unknown; use one of {', '.join(COOLING)}")
    if not 1.0 <= rated_kva <= 2e6:
        slip = ""
        if 1.0 <= rated_kva * 1e3 <= 2e6:
            slip = f"; {rated_kva:g} looks like MVA: give {rated_kva * 1e3:.6g}"
        elif 1.0 <= rated_kva / 1e3 <= 2e6:
            slip = f"; {rated_kva:g} looks like VA: give {rated_kva / 1e3:.6g}"
        raise ParameterError(
            f"rated power of {rated_kva:g} kVA is outside 1..2000000 kVA: give kVA, as printed on the nameplate{slip}"
        )
    return ThermalParameters(
        dtheta_or_k=top_oil_rise_k,
        dtheta_hr_k=hot_spot_gradient_k,
        r=loss_ratio_r,
        x=constants.x,
        y=constants.y,
        k11=constants.k11,
        k21=constants.k21,
        k22=constants.k22,
        tau_o_s=constants.tau_o_min * 60.0,
        tau_w_s=constants.tau_w_min * 60.0,
        rated_va=rated_kva * 1e3,
    )
