"""What goes into the estimator and what comes out of it; the sensors by name, and what each of them can do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from v2g.thermal.model import ThermalState
from v2g.thermal.observer import ObserverGains
from v2g.thermal.parameters import ThermalParameters
from v2g.thermal.sensor_watch import SensorNature, SensorReport

TOP_OIL = "top_oil_c"
AMBIENT = "ambient_c"
WINDING = "winding_c"
"""Names of the sensors, as in sensor_map.conf. The winding sensor is taken for the hot-spot."""

TOP_OIL_NATURE: Final = SensorNature(
    name="top-oil",
    low_c=-50.0,
    high_c=150.0,
    fastest_k_s=0.02,
    noise_k=12.0,
    stuck_after_k=5.0,
    believed_again_s=600.0,
)
WINDING_NATURE: Final = SensorNature(
    name="winding",
    low_c=-50.0,
    high_c=250.0,
    fastest_k_s=0.5,
    noise_k=15.0,
    stuck_after_k=8.0,
    believed_again_s=600.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensed:
    """One step's inputs; None is what is not known. ``k_pu``: root mean square over the step, >= 0."""

    k_pu: float | None
    ambient_c: float | None
    top_oil_c: float | None
    winding_c: float | None = None
    f_hl: float | None = None
    """Harmonic loss factor of the load current; None: the last one for ten minutes, then 1 and a note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorSettings:
    params: ThermalParameters
    ambient_fallback_c: float = 40.0
    """Assumed at least, once ambient was lost for long."""
    eddy_share: float = 0.1
    gains: ObserverGains = field(default_factory=ObserverGains)
    margin_k_per_h: float = 2.0
    """How fast the margin widens while top-oil is not measured."""
    margin_limit_k: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """The state as it is to be counted on. ``ambient_c`` is without the bias."""

    state: ThermalState
    params: ThermalParameters
    """Effective: gradient factor and loss factor (harmonics, hot ambient) are in them. For the steps ahead."""
    k_pu: float
    """Counted with: measured, or assumed."""
    ambient_c: float
    bias_k: float
    margin_k: float
    """Add to every predicted temperature before it is compared with a limit."""
    no_power: str
    """Why no V2G power at all; empty where it may flow."""
    sensors: Mapping[str, SensorReport]
    notes: tuple[str, ...]
    """In words, each with its remedy; stable but for figures."""
