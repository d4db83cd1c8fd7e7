"""The harmonic filters of all inverters under ``wires``: once a second read, decide, write."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from v2g.clock import Clock
from v2g.config.schema import DcEvse
from v2g.guard.harmonic_control import (
    THRESHOLD_RANGE,
    FeederThd,
    FilterRange,
    FilterReading,
    HarmonicControl,
    feeder_thd,
)
from v2g.guard.link import FilterState
from v2g.guard.quality_report import read_report
from v2g.guard.wires_devices import DeviceWatch
from v2g.hardware.filter_registers import RegisterFilter
from v2g.hardware.modbus import ModbusLink
from v2g.hardware.ports import DeviceError, HarmonicFilterPort, InverterReading
from v2g.hardware.register_map import load_map
from v2g.telemetry import logs

PERIOD_S = 1.0
THRESHOLDS_HOLD_S = 60.0
"""Thresholds that no orchestrator repeats for this long are lifted: filters go back to normal."""
_READING_AGE_S = 2.0


@dataclass(slots=True)
class _Filter:
    evse_id: str
    port: HarmonicFilterPort
    link: ModbusLink
    watch: DeviceWatch
    range: FilterRange
    value: float | None = None
    temperature_c: float | None = None


class FilterTask:
    """``readings`` gives the last reading of each inverter; ``quality_file``: what ``v2g-guard quality`` publishes."""

    def __init__(self, quality_file: Path, readings: Callable[[], Iterable[InverterReading]], clock: Clock) -> None:
        self._quality_file = quality_file
        self._readings = readings
        self._clock = clock
        self._filters: dict[str, _Filter] = {}
        self._control = HarmonicControl({})
        self._thresholds: Mapping[str, float] = {}
        self._thresholds_at_s = -math.inf
        self._measured: FeederThd | None = None

    def add(self, evse: DcEvse, link: ModbusLink, config_dir: Path) -> None:
        """The filter of ``evse``, over its inverter's own connection; without one in the configuration no effect.

        Raises :class:`DeviceError` for a map that cannot be used.
        """
        configured = evse.inverter.harmonic_filter
        if configured is not None:
            port = RegisterFilter(link, load_map(configured.map, config_dir))
            rated_w = max(evse.max_charge_w, evse.max_discharge_w)
            self.put(evse.id, port, link, configured.temperature_limit_c, rated_w)

    def put(
        self, evse_id: str, port: HarmonicFilterPort, link: ModbusLink, temperature_limit_c: float, rated_w: float
    ) -> None:
        """Before :meth:`run`."""
        limits = FilterRange(steps=port.steps, unit=port.unit, temperature_limit_c=temperature_limit_c, rated_w=rated_w)
        self._filters[evse_id] = _Filter(evse_id, port, link, DeviceWatch(link), limits)
        self._control = HarmonicControl({each.evse_id: each.range for each in self._filters.values()})

    def take(self, thresholds: Mapping[str, float]) -> None:
        """Of a frame of set-points, by EVSE; one outside the bounds counts as none."""
        low, high = THRESHOLD_RANGE
        self._thresholds = {evse_id: value for evse_id, value in thresholds.items() if low <= value <= high}
        self._thresholds_at_s = self._clock.monotonic_s()

    async def run(self) -> None:
        """Until cancelled; without filters it ends at once."""
        while self._filters:
            await self.step()
            await asyncio.sleep(PERIOD_S)

    async def step(self) -> None:
        await asyncio.gather(*(self._read(each) for each in self._filters.values()))
        report = await asyncio.to_thread(read_report, self._quality_file, self._clock.monotonic_s())
        now_s = self._clock.monotonic_s()
        self._measured = feeder_thd(report)
        commands = self._control.decide(list(self._known(now_s)), self._measured, now_s)
        await asyncio.gather(*(self._apply(self._filters[evse_id], value) for evse_id, value in commands.items()))
        for event in self._control.events():
            log = logs.power_quality_log()
            (log.warning if event.level == "warning" else log.info)(event.code, event.message, **event.fields)

    def states(self) -> tuple[FilterState, ...]:
        thd = self._measured.thd if self._measured is not None else None
        return tuple(
            FilterState(
                evse_id=each.evse_id,
                threshold=self._threshold(each.evse_id, self._clock.monotonic_s()) or 0.0,
                value=each.value,
                unit=each.range.unit,
                active=self._control.active(each.evse_id),
                thd_before=self._control.thd_before(each.evse_id),
                thd_now=thd,
                limited_by=self._control.limited_by(each.evse_id),
            )
            for each in self._filters.values()
        )

    def _known(self, now_s: float) -> Iterable[FilterReading]:
        inverters = {reading.evse_id: reading for reading in self._readings()}
        for each in self._filters.values():
            reading = inverters.get(each.evse_id)
            if reading is not None and not 0.0 <= now_s - reading.as_of_s <= _READING_AGE_S:
                reading = None
            yield FilterReading(
                evse_id=each.evse_id,
                value=each.value,
                threshold=self._threshold(each.evse_id, now_s),
                power_w=_finite(reading.power_w if reading is not None else None),
                temperature_c=_hottest(each.temperature_c, reading.temperature_c if reading is not None else None),
            )

    def _threshold(self, evse_id: str, now_s: float) -> float | None:
        held = now_s - self._thresholds_at_s <= THRESHOLDS_HOLD_S
        return self._thresholds.get(evse_id) if held else None

    async def _read(self, each: _Filter) -> None:
        each.value = each.temperature_c = None
        if await self._try(each, "filter", lambda: self._fetch(each)):
            each.watch.succeeded("filter")

    async def _fetch(self, each: _Filter) -> None:
        value = await each.port.read()
        each.temperature_c = await each.port.temperature_c()
        each.value = value

    async def _apply(self, each: _Filter, value: float) -> None:
        if await self._try(each, "filter setting", lambda: each.port.apply(value)):
            each.value = value
            each.watch.succeeded("filter setting")
        else:
            self._control.refused(each.evse_id, self._clock.monotonic_s())

    async def _try(self, each: _Filter, what: str, ask: Callable[[], Awaitable[None]]) -> bool:
        try:
            await ask()
        except Exception as error:
            # A lost connection is told by whoever commands its power.
            if each.link.state.online or not isinstance(error, DeviceError):
                each.watch.failed(what, error)
            return False
        return True


def _hottest(*temperatures_c: float | None) -> float | None:
    known = [value_c for value_c in map(_finite, temperatures_c) if value_c is not None]
    return max(known, default=None)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
