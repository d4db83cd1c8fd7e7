"""The transformer as the control cycle follows it: guard and transducers in, :class:`ThermalView` out, once a second.

Everything thermal is :mod:`v2g.thermal.engine`; here its inputs are made of what the guard and the transducers say, and
what is too old is left out. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from v2g.config.schema import Config
from v2g.config.thermal_engine import engine_settings
from v2g.guard.status import GuardStatus, Permit
from v2g.hardware.ports import Quantity, TransducerReading
from v2g.orchestrator.local_time import SiteZone
from v2g.thermal.authorisation import Authorisation
from v2g.thermal.calendar import LocalTime
from v2g.thermal.day_ahead import Outlook
from v2g.thermal.engine import EngineMemory, Measured, ThermalEngine
from v2g.thermal.forecast import ForecastMemory
from v2g.thermal.sensed import Sensed
from v2g.thermal.view import ThermalView

STEP_S = 1.0
INTERVAL_VALID_S = 3.0
LOAD_MAX_AGE_S = 1.0
TRANSDUCER_MAX_AGE_S = 10.0
"""No older reading counts, whatever its own ``max_age_s``: that takes it out of the image, while ``wires`` is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One moment on the engine's clock, which in a simulation may run faster than the host's."""

    thermal_s: float
    unix_s: float
    local: LocalTime


@dataclass(slots=True)
class _Load:
    """Means over one step; K as root mean square, since losses go with its square."""

    count: int = 0
    k_squared: float = 0.0
    transformer_w: float = 0.0
    base_w: float = 0.0
    base_var: float = 0.0

    def add(self, guard: GuardStatus, rated_va: float) -> None:
        self.count += 1
        self.k_squared += (guard.transformer_va / rated_va) ** 2
        self.transformer_w += guard.transformer_w
        self.base_w += guard.transformer_w - guard.feeder_w
        self.base_var += guard.transformer_var - guard.feeder_var

    @property
    def k_pu(self) -> float:
        return math.sqrt(self.k_squared / self.count)


class TransformerModel:
    """Follows one transformer. :meth:`update` every cycle; the engine moves once a second of its clock."""

    def __init__(self, config: Config, memory: EngineMemory | None, moment: Moment) -> None:
        """Raises :class:`v2g.thermal.parameters.ParameterError` for a nameplate that no transformer has."""
        settings = engine_settings(config)
        self._rated_va = settings.rated_va
        self._engine = ThermalEngine(settings, memory, now_s=moment.thermal_s, now_unix_s=moment.unix_s)
        self._f_hl: float | None = None
        self._stepped_at_s: float | None = None
        self._load = _Load()
        self._view = ThermalView()

    @property
    def authorisation(self) -> Authorisation:
        return self._engine.authorisation

    @property
    def remarks(self) -> tuple[str, ...]:
        """What of the memory was dropped at the start, in words."""
        return tuple(self._engine.remarks)

    def memory(self, moment: Moment) -> EngineMemory:
        """What is to be kept across a restart."""
        return self._engine.memory(moment.thermal_s, moment.unix_s)

    def learned(self) -> ForecastMemory:
        """What the forecaster has learned, to be kept likewise, but more seldom."""
        return self._engine.learned()

    def day_ahead(self, zone: SiteZone, moment: Moment, steps: int) -> Outlook | None:
        """The transformer over the coming ``steps`` of a plan; None while load or temperatures are not known."""
        return self._engine.day_ahead(lambda unix_s: zone.local(unix_s).minute, moment.unix_s, steps)

    def set_harmonics(self, f_hl: float | None) -> None:
        """Harmonic loss factor of the transformer's current; None where it is not measured."""
        self._f_hl = f_hl

    def update(
        self,
        guard: GuardStatus,
        transducers: Iterable[TransducerReading],
        now_s: float,
        moment: Moment,
        load_problem: str | None = None,
    ) -> ThermalView:
        """This cycle's measurements at ``now_s``, which is ``moment`` to the engine. Returns the view, renewed once a
        second of the engine's clock.

        ``load_problem``: why the load, although measured, is not believed; it then counts as unknown.
        """
        if load_problem is not None:
            self._load = _Load()
        elif _load_known(guard, now_s):
            self._load.add(guard, self._rated_va)
        if self._stepped_at_s is not None and moment.thermal_s - self._stepped_at_s < STEP_S - 1e-6:
            return self._view
        load, self._load = self._load, _Load()
        self._stepped_at_s = moment.thermal_s
        readings = tuple(transducers)
        sensed = Sensed(
            k_pu=load.k_pu if load.count else None,
            ambient_c=_fresh(readings, Quantity.AMBIENT_C, now_s),
            top_oil_c=_fresh(readings, Quantity.TOP_OIL_C, now_s),
            winding_c=_fresh(readings, Quantity.WINDING_C, now_s),
            f_hl=self._f_hl,
        )
        measured = Measured(
            sensed=sensed,
            load_w=load.transformer_w / load.count if load.count else None,
            base_w=load.base_w / load.count if load.count else None,
            base_var=load.base_var / load.count if load.count else None,
            load_problem="" if load.count else load_problem or _load_problem(guard),
        )
        view = self._engine.step(measured, moment.thermal_s, moment.local)
        known = view.top_oil_c is not None
        self._view = replace(view, expires_at_s=now_s + INTERVAL_VALID_S) if known else view
        return self._view


def _load_problem(guard: GuardStatus) -> str:
    if guard.permit is not Permit.GUARD_STALE and guard.measured and not guard.load_measured:
        return (
            "a current channel of the transformer or the V2G feeder is dead or stuck: its load is unknown, no V2G "
            "power; check the current transducers and the driver of the waveform"
        )
    return "transformer load is not measured: no V2G power"


def _load_known(guard: GuardStatus, now_s: float) -> bool:
    return (
        guard.permit is not Permit.GUARD_STALE
        and guard.measured
        and guard.load_measured
        and abs(now_s - guard.as_of_s) <= LOAD_MAX_AGE_S
        and all(
            math.isfinite(value)
            for value in (
                guard.transformer_va,
                guard.transformer_w,
                guard.transformer_var,
                guard.feeder_w,
                guard.feeder_var,
            )
        )
    )


def _fresh(transducers: tuple[TransducerReading, ...], quantity: Quantity, now_s: float) -> float | None:
    """What is believed of it is the estimator's affair; here only its age counts."""
    for reading in transducers:
        if reading.quantity is quantity and abs(now_s - reading.as_of_s) <= TRANSDUCER_MAX_AGE_S:
            return reading.value
    return None
