"""How far each inverter's harmonic filter is moved, by the distortion that the guard measures. Pure.

The measure is the THD of the V2G feeder's current in its worst phase, of the fundamental. All inverters share it, so
they move one after another, and only while they carry power: who is filtered least goes up first, of several the one
with the most power; who is filtered most comes down first, of several the one with the least. After each move nothing
is judged before the measuring windows lie behind it.

THD says nothing where little flows: below :data:`LEAST_CURRENT_PU` of the feeder's rated current all is held. Even a
THD of 20 % is 1 % of the rated current there (TRD, which IEEE 1547-2018 7.3 limits to 5 %).

A step is lowered only if what is known of it does not say that the threshold would be exceeded again: each step is
remembered by the ratio of THD below and above it, and by the power at which it made the switches too hot.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from v2g.guard.quality_report import QualityReport
from v2g.guard.quality_watch import QualityEvent

THRESHOLD_RANGE = (0.005, 0.2)
LEAST_CURRENT_PU = 0.05
LEAST_POWER_PU = 0.05
"""An inverter with less power than this of its rating adds nothing that its filter could take away."""
SETTLE_S = 1.5
"""From a move to the centre of the first ten cycles that count."""
CONFIRMED_BY = 3
"""So many records in a row exceed the threshold before a step is taken: a motor start is no distortion."""
LOWER_SHARE = 0.6
LOWER_AFTER_S = 60.0
STALE_S = 60.0
"""Without a measurement for this long, of the distortion or of the switches' temperature, filters go back to normal."""
RETURN_EVERY_S = 1.0
HEAT_EVERY_S = 30.0
"""Between two steps back for the switches' temperature: they cool slower than that."""
HEAT_MARGIN_K = 5.0
COOLER_SHARE = 0.8
"""A step that was too hot is tried again below this share of the power that it had then."""
MEMORY_S = 6 * 3600.0
REFUSED_S = 300.0
"""A device that refused is not asked to move for this long."""
_SAME_CURRENT = 0.2
_MARGIN = 0.95
_MAX_RECORDS = 256


@dataclass(frozen=True, slots=True)
class FeederThd:
    """``thd``: share of the fundamental, 0.03 is 3 %; None where too little current flows."""

    as_of_s: float
    thd: float | None
    current_pu: float = 0.0
    """Fundamental, of the feeder's rated current."""


def feeder_thd(report: QualityReport | None) -> FeederThd | None:
    """Of the worst phase that carries :data:`LEAST_CURRENT_PU`; None where nothing is measured at present."""
    if report is None or report.not_measured:
        return None
    worst = FeederThd(report.as_of_s, None)
    for phase in range(3):
        of_fundamental = report.thd_i_pct[phase]
        # One distortion on two bases: their ratio is the fundamental.
        of_rated = math.sqrt(sum(order[phase] ** 2 for order in report.harmonics_i_pct))
        if not (math.isfinite(of_fundamental) and math.isfinite(of_rated)):
            return None
        current_pu = of_rated / of_fundamental if of_fundamental > 0.0 else 0.0
        if current_pu >= LEAST_CURRENT_PU and of_fundamental / 100.0 > (worst.thd or 0.0):
            worst = FeederThd(report.as_of_s, of_fundamental / 100.0, current_pu)
    return worst


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterRange:
    """What is fixed of one inverter. ``steps`` ascend from its normal setting to the most filtering."""

    steps: tuple[float, ...]
    unit: str
    temperature_limit_c: float
    rated_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterReading:
    """What is known of one inverter at a decision. None: unknown."""

    evse_id: str
    value: float | None
    """What is set in the device."""
    threshold: float | None
    """None: not set."""
    power_w: float | None
    temperature_c: float | None


@dataclass(slots=True)
class _Movement:
    """Steps in one direction until all is at rest."""

    direction: int
    from_value: float
    thd_before: float | None
    threshold: float | None
    """When it began: it may be another, or none, when the filter comes to rest."""


@dataclass(slots=True)
class _Heat:
    """Step ``index`` was too hot at ``power_w``."""

    index: int
    power_w: float
    at_s: float


@dataclass(slots=True)
class _Trial:
    """A step of one inverter alone, whose effect is to be learned."""

    evse_id: str
    upper: int
    direction: int
    thd: float
    current_pu: float


@dataclass(slots=True)
class _Unit:
    evse_id: str
    range: FilterRange
    reading: FilterReading
    index: int | None = None
    managed: bool = False
    """A threshold was set since the start; before, the device is left as it is."""
    ratios: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Of step k: THD at k-1 over THD at k, and when it was learned."""
    heat: _Heat | None = None
    heat_at_s: float = -math.inf
    return_at_s: float = -math.inf
    watched_at_s: float = -math.inf
    """When the temperature of its switches was known last; of one that was never known, its first reading."""
    refused_until_s: float = -math.inf
    movement: _Movement | None = None
    thd_before: float | None = None
    limited_by: str = ""
    told: str = ""

    @property
    def power_w(self) -> float:
        return abs(self.reading.power_w) if self.reading.power_w is not None else 0.0

    @property
    def carries(self) -> bool:
        return self.power_w >= LEAST_POWER_PU * self.range.rated_w

    @property
    def share(self) -> float:
        return (self.index or 0) / (len(self.range.steps) - 1)


class HarmonicControl:
    """One for the feeder. Times are CLOCK_MONOTONIC seconds."""

    def __init__(self, ranges: Mapping[str, FilterRange]) -> None:
        """``ranges`` by EVSE, each with two steps or more."""
        blank = {"value": None, "threshold": None, "power_w": None, "temperature_c": None}
        self._units = {
            evse_id: _Unit(evse_id, each, FilterReading(evse_id=evse_id, **blank)) for evse_id, each in ranges.items()
        }
        self._records: deque[FeederThd] = deque(maxlen=_MAX_RECORDS)
        self._newest_s = -math.inf
        self._moved_at_s = -math.inf
        self._measured_at_s: float | None = None
        self._trial: _Trial | None = None
        self._lowered_last: str | None = None
        self._events: list[QualityEvent] = []

    def decide(self, readings: Iterable[FilterReading], measured: FeederThd | None, now_s: float) -> dict[str, float]:
        """What is to be written now, by EVSE: each one step away from what is set. Call about once a second."""
        for reading in readings:
            _take(self._units[reading.evse_id], reading, now_s)
        self._measure(measured, now_s)
        steps = self._cool(now_s)
        if self._measured_at_s is None or now_s - self._measured_at_s >= STALE_S:
            steps |= self._return(list(self._units.values()), steps, now_s)
        else:
            steps |= self._return([u for u in self._units.values() if u.reading.threshold is None], steps, now_s)
            steps |= self._return_unwatched(steps, now_s)
        if not steps:
            settled = self._settled()
            if settled is not None:
                self._learn(settled, now_s)
                steps = self._raise(settled, now_s) or self._lower(settled, now_s)
            if not steps and (settled is not None or now_s - self._moved_at_s >= STALE_S):
                self._rest(settled)
        return self._move(steps, now_s)

    def refused(self, evse_id: str, now_s: float) -> None:
        """The device did not take what :meth:`decide` gave."""
        unit = self._units[evse_id]
        unit.refused_until_s = now_s + REFUSED_S
        unit.limited_by, self._trial = "device", None
        if unit.movement is not None and unit.reading.value == unit.movement.from_value:
            unit.movement = None

    def limited_by(self, evse_id: str) -> str:
        return self._units[evse_id].limited_by

    def active(self, evse_id: str) -> bool:
        """It is away from its normal setting."""
        return bool(self._units[evse_id].index)

    def thd_before(self, evse_id: str) -> float | None:
        """When its last movement began."""
        return self._units[evse_id].thd_before

    def events(self) -> tuple[QualityEvent, ...]:
        """What is to be told since the last call."""
        told, self._events = tuple(self._events), []
        return told

    # ---- what is known --------------------------------------------------------------------------------------------

    def _measure(self, measured: FeederThd | None, now_s: float) -> None:
        if measured is None:
            self._records.clear()
            if self._measured_at_s is None:
                self._measured_at_s = now_s
            return
        self._measured_at_s = now_s
        if measured.thd is None:
            self._records.clear()
        elif measured.as_of_s > self._newest_s and measured.as_of_s >= self._moved_at_s + SETTLE_S:
            self._newest_s = measured.as_of_s
            self._records.append(measured)

    def _settled(self) -> FeederThd | None:
        last = list(self._records)[-CONFIRMED_BY:]
        if len(last) < CONFIRMED_BY:
            return None
        thd = median(record.thd for record in last if record.thd is not None)
        return FeederThd(last[-1].as_of_s, thd, median(record.current_pu for record in last))

    def _learn(self, settled: FeederThd, now_s: float) -> None:
        trial, self._trial = self._trial, None
        if trial is None or settled.thd is None:
            return
        unit = self._units[trial.evse_id]
        moved_to = trial.upper if trial.direction > 0 else trial.upper - 1
        same = abs(settled.current_pu - trial.current_pu) <= _SAME_CURRENT * trial.current_pu
        if unit.index != moved_to or not same or min(settled.thd, trial.thd) <= 0.0:
            return
        below, above = (trial.thd, settled.thd) if trial.direction > 0 else (settled.thd, trial.thd)
        unit.ratios[trial.upper] = below / above, now_s

    # ---- moves ----------------------------------------------------------------------------------------------------

    def _cool(self, now_s: float) -> dict[str, int]:
        steps = {}
        for unit in self._units.values():
            temperature_c = unit.reading.temperature_c
            if not unit.index or temperature_c is None:
                continue
            if temperature_c <= unit.range.temperature_limit_c or now_s - unit.heat_at_s < HEAT_EVERY_S:
                continue
            unit.heat, unit.heat_at_s = _Heat(unit.index, unit.power_w, now_s), now_s
            unit.limited_by = "temperature"
            steps[unit.evse_id] = -1
        return steps

    def _return(self, units: Iterable[_Unit], taken: Mapping[str, int], now_s: float) -> dict[str, int]:
        steps = {}
        for unit in units:
            due = now_s - unit.return_at_s >= RETURN_EVERY_S and now_s >= unit.refused_until_s
            if unit.managed and unit.index and due and unit.evse_id not in taken:
                unit.return_at_s = now_s
                steps[unit.evse_id] = -1
            if unit.limited_by != "device" or now_s >= unit.refused_until_s:
                unit.limited_by = ""
        return steps

    def _return_unwatched(self, taken: Mapping[str, int], now_s: float) -> dict[str, int]:
        """Those whose switches nobody has measured for a while: they may be hot by what the filter costs."""
        blind = [u for u in self._units.values() if u.index and now_s - u.watched_at_s >= STALE_S]
        steps = self._return(blind, taken, now_s)
        for unit in blind:
            unit.limited_by = unit.limited_by or "temperature unknown"
        return steps

    def _raise(self, settled: FeederThd, now_s: float) -> dict[str, int]:
        able = []
        for unit in self._units.values():
            threshold = unit.reading.threshold
            if threshold is None or unit.index is None or not unit.carries:
                continue
            last = list(self._records)[-CONFIRMED_BY:]
            if not all(record.thd is not None and record.thd > threshold for record in last):
                unit.limited_by = ""
                continue
            unit.limited_by = self._obstacle(unit, now_s)
            if not unit.limited_by:
                able.append(unit)
            elif unit.limited_by != unit.told:
                self._events.append(_limited(unit, settled))
            unit.told = unit.limited_by
        if not able:
            return {}
        # A lowering that proved wrong is taken back by the same inverter, so that what it taught holds exactly.
        unit = min(able, key=lambda u: (u.evse_id != self._lowered_last, u.share, -u.power_w, u.evse_id))
        return self._try(unit, 1, settled)

    def _obstacle(self, unit: _Unit, now_s: float) -> str:
        index, temperature_c, heat = unit.index or 0, unit.reading.temperature_c, unit.heat
        if index + 1 >= len(unit.range.steps):
            return "end of range"
        if now_s < unit.refused_until_s:
            return "device"
        if temperature_c is None:
            return "temperature unknown"
        if heat is not None and (unit.power_w < COOLER_SHARE * heat.power_w or now_s - heat.at_s >= MEMORY_S):
            heat = unit.heat = None
        too_hot = temperature_c > unit.range.temperature_limit_c - HEAT_MARGIN_K
        return "temperature" if too_hot or (heat is not None and index + 1 >= heat.index) else ""

    def _lower(self, settled: FeederThd, now_s: float) -> dict[str, int]:
        able = [unit for unit in self._units.values() if self._may_lower(unit, settled, now_s)]
        if not able:
            return {}
        unit = min(able, key=lambda u: (-u.share, u.power_w, u.evse_id))
        return self._try(unit, -1, settled)

    def _may_lower(self, unit: _Unit, settled: FeederThd, now_s: float) -> bool:
        threshold = unit.reading.threshold
        if threshold is None or not unit.index or not unit.carries or now_s < unit.refused_until_s:
            return False
        if settled.as_of_s - self._records[0].as_of_s < LOWER_AFTER_S or settled.thd is None:
            return False
        recent = [r for r in self._records if r.as_of_s >= settled.as_of_s - LOWER_AFTER_S]
        if not all(record.thd is not None and record.thd < LOWER_SHARE * threshold for record in recent):
            return False
        ratio, learned_at_s = unit.ratios.get(unit.index, (1.0, now_s))
        if now_s - learned_at_s >= MEMORY_S:
            del unit.ratios[unit.index]
            return True
        return settled.thd * ratio <= _MARGIN * threshold

    def _try(self, unit: _Unit, direction: int, settled: FeederThd) -> dict[str, int]:
        if unit.index is None or settled.thd is None:
            return {}
        upper = unit.index + 1 if direction > 0 else unit.index
        self._trial = _Trial(unit.evse_id, upper, direction, settled.thd, settled.current_pu)
        self._lowered_last = unit.evse_id if direction < 0 else None
        return {unit.evse_id: direction}

    def _move(self, steps: Mapping[str, int], now_s: float) -> dict[str, float]:
        if not steps:
            return {}
        if self._trial is not None and set(steps) != {self._trial.evse_id}:
            self._trial = None
        thd = self._records[-1].thd if self._records else None
        commands = {}
        for evse_id, direction in steps.items():
            unit = self._units[evse_id]
            if unit.index is None or unit.reading.value is None:
                continue
            if unit.movement is not None and unit.movement.direction != direction:
                self._close(unit, thd)
            if unit.movement is None:
                unit.movement = _Movement(direction, unit.reading.value, thd, unit.reading.threshold)
                unit.thd_before = thd
            commands[evse_id] = unit.range.steps[unit.index + direction]
        self._records.clear()
        self._moved_at_s = now_s
        return commands

    def _rest(self, settled: FeederThd | None) -> None:
        for unit in self._units.values():
            if unit.movement is not None:
                self._close(unit, settled.thd if settled is not None else None)

    def _close(self, unit: _Unit, thd: float | None) -> None:
        movement, unit.movement = unit.movement, None
        if movement is None or unit.reading.value in (None, movement.from_value):
            return
        self._events.append(
            QualityEvent(
                "info",
                "HARMONIC_FILTER",
                f"{unit.evse_id}: moved {'up' if movement.direction > 0 else 'back'}, THD of the feeder's current "
                f"{_pct(movement.thd_before)} before, {_pct(thd)} after",
                {
                    "evse": unit.evse_id,
                    **_quantity("from", movement.from_value, unit),
                    **_quantity("to", unit.reading.value, unit),
                    "thd_before_pct": _rounded(movement.thd_before),
                    "thd_after_pct": _rounded(thd),
                    "threshold_pct": "none" if movement.threshold is None else _rounded(movement.threshold),
                    "limited_by": unit.limited_by or "nothing",
                },
            )
        )


def _take(unit: _Unit, reading: FilterReading, now_s: float) -> None:
    unit.reading = reading
    if reading.temperature_c is not None or unit.watched_at_s == -math.inf:
        unit.watched_at_s = now_s
    if reading.threshold is not None:
        unit.managed = True
    unit.index = None
    if reading.value is not None and math.isfinite(reading.value):
        # A device may stand between two steps when somebody else has set it.
        unit.index = max((i for i, step in enumerate(unit.range.steps) if step <= reading.value), default=0)


def _limited(unit: _Unit, settled: FeederThd) -> QualityEvent:
    temperature_c = unit.reading.temperature_c
    return QualityEvent(
        "warning",
        "HARMONIC_FILTER_LIMITED",
        f"{unit.evse_id}: the THD of the feeder's current exceeds the threshold, and its filter goes no further: "
        f"{unit.limited_by}",
        {
            "evse": unit.evse_id,
            **_quantity("set", unit.reading.value, unit),
            "thd_pct": _rounded(settled.thd),
            "threshold_pct": _rounded(unit.reading.threshold),
            "temperature_c": "unknown" if temperature_c is None else round(temperature_c, 1),
        },
    )


def _quantity(name: str, value: float | None, unit: _Unit) -> dict[str, object]:
    suffix = f"_{unit.range.unit.lower()}" if unit.range.unit else ""
    return {f"{name}{suffix}": value}


def _rounded(share: float | None) -> object:
    return "unknown" if share is None else round(100.0 * share, 2)


def _pct(share: float | None) -> str:
    return "unknown" if share is None else f"{100.0 * share:.2f} %"
