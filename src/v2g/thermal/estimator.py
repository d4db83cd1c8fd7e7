"""What the transformer's state is, from whatever can be measured at the moment: the sensor ladder. Pure.

Every rung says what is assumed, and how uncertain temperatures are with it (``margin_k``):

1. All sensors: the observer.
2. Top-oil lost, stuck, jumped or drifting: open loop with the last bias; the margin widens with time.
3. Ambient lost: the last one, its margin widening until the configured fallback counts.
4. Load lost: no V2G power; the state goes on with the rated load or the last one, whichever is more.
5. Never any top-oil since the first start of this transformer: no V2G power.

The hotter counts wherever two sources contradict each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from v2g.thermal.model import ThermalState
from v2g.thermal.observer import ObserverGains
from v2g.thermal.parameters import ThermalParameters
from v2g.thermal.sensor_watch import SensorReport

TOP_OIL = "top_oil_c"
AMBIENT = "ambient_c"
WINDING = "winding_c"
"""Names of the sensors, as in sensor_map.conf. The winding sensor is taken for the hot-spot."""


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


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What survives a restart."""

    unix_s: float
    theta_o_c: float
    h1_k: float
    h2_k: float
    bias_k: float
    gradient_factor: float
    k_pu: float
    ambient_c: float


class Estimator:
    """Follows one transformer through time."""

    def __init__(self, settings: EstimatorSettings, kept: Kept | None = None, now_unix_s: float = 0.0) -> None:
        """``kept`` younger than :data:`KEPT_VALID_S`: the start is the safer (hotter) of it, carried forward over the
        outage under its own load, and the steady state of the first measured load and ambient; it also counts as a
        measured top-oil, with the margin that the outage has widened. Older, or from the future: only its bias and
        gradient factor are taken."""
        raise NotImplementedError

    def step(self, sensed: Sensed, now_s: float) -> Estimated | None:
        """One step to ``now_s`` (monotonic; earlier than the last one is ignored and gives the last result). None
        until there was a load and the sensors had :data:`START_WAIT_S` to be read."""
        raise NotImplementedError

    def kept(self, now_unix_s: float) -> Kept | None:
        """To be stored by the minute; None before the first step."""
        raise NotImplementedError
