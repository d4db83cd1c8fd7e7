"""Minutes of the history out of the control cycle: means over what was measured, and trips as they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf, isfinite, nan, sqrt
from typing import Final, Protocol

from v2g.dispatch.orders import Grant
from v2g.guard.status import MAX_AGE_S, GuardStatus
from v2g.sessions.watch import PowerReading, is_fresh
from v2g.telemetry.history_rows import EvseMinute, MinuteRow, TripRow
from v2g.thermal.sensed import AMBIENT, TOP_OIL, WINDING
from v2g.thermal.view import ThermalView
from v2g.units import finite

MINUTE_S: Final = 60.0
ENOUGH_S: Final = 0.3 * MINUTE_S
"""A minute, or a value in it, that was measured for less than this is none."""
_GAP_S: Final = 1.0
"""A cycle stands for the time since the one before, but for no more than this."""
_IDLE_W: Final = 1.0
_FREQUENCY_HZ: Final = (30.0, 90.0)
"""What is outside is no mains: a dead input, or the beat of two."""
_K: Final = 4
_MEANS: Final = (
    "base_w", "base_var", "load_w", "v2g_w", "k_pu", "f_hl", "ambient_read_c", "top_oil_read_c", "winding_read_c",
    "ambient_c", "top_oil_c", "hot_spot_c", "bias_k", "ageing_rate",
    "frequency_hz",
)  # fmt: skip


class Sink(Protocol):
    """What of :class:`v2g.telemetry.history.History` is needed here."""

    def put_minute(self, row: MinuteRow, evses: tuple[EvseMinute, ...] = ()) -> None: ...

    def put_trip(self, row: TripRow) -> None: ...


class Session(Protocol):
    """What of :class:`v2g.sessions.procedure.Procedure` is needed here."""

    evccid: str
    soc_pct: int | None


class Bay(Protocol):
    """What of :class:`v2g.sessions.bay.EvseBay` is needed here."""

    @property
    def procedure(self) -> Session | None: ...


class _EvseSums:
    __slots__ = ("granted_ws", "power_s", "power_ws", "soc_pct", "vehicle")

    def __init__(self) -> None:
        self.granted_ws = self.power_ws = self.power_s = 0.0
        self.vehicle = ""
        self.soc_pct: float | None = None


class _Sums:
    __slots__ = ("evses", "hi_hz", "hi_w", "lo_hz", "lo_w", "measured_s", "times", "totals")

    def __init__(self, evse_ids: Iterable[str]) -> None:
        self.measured_s = 0.0
        self.totals = [0.0] * len(_MEANS)
        self.times = [0.0] * len(_MEANS)
        self.lo_w, self.hi_w = -inf, inf
        self.lo_hz, self.hi_hz = inf, -inf
        self.evses = {evse_id: _EvseSums() for evse_id in evse_ids}


class Recorder:
    """Sums up each UTC minute, weighted by time, and hands it to the history when the next one begins.

    A clock that is set, ahead or back, ends the minute it was in; what was measured of it for long enough is handed
    over as that minute. :meth:`add` in every cycle.
    """

    def __init__(self, history: Sink, evse_ids: Iterable[str], *, speed: float = 1.0) -> None:
        """``speed``: seconds of Unix time a second, above 1 in a simulation that compresses time."""
        self._speed = speed
        self._history = history
        self._ids = tuple(evse_ids)
        self._trip: tuple[str, float] = ("", 0.0)
        self._last_s: float | None = None
        self._ends_min = 0
        self._sums = _Sums(self._ids)

    def add(
        self,
        view: ThermalView,
        guard: GuardStatus,
        powers: Iterable[PowerReading],
        grants: Mapping[str, Grant],
        bays: Mapping[str, Bay],
        unix_s: float,
        now_s: float,
    ) -> None:
        """One cycle's state, at ``unix_s`` and monotonic ``now_s``: of the transformer, of the EVSEs' powers (stale
        ones are left out), of the grants, and of the vehicles."""
        ends_min = int(unix_s // MINUTE_S) + 1
        if ends_min != self._ends_min:
            self._finish()
            self._ends_min = ends_min
        elapsed_s = 0.0 if self._last_s is None else min(max(now_s - self._last_s, 0.0), _GAP_S) * self._speed
        self._last_s = now_s
        self._sums.measured_s += elapsed_s
        self._add_site(view, guard, now_s, elapsed_s)
        self._add_evses(powers, grants, bays, now_s, elapsed_s)
        if guard.trip_element and (guard.trip_element, guard.trip_at_s) != self._trip:
            self._trip_seen(guard, unix_s, now_s)

    def close(self) -> None:
        """Hand over the minute that is under way, if it was measured for long enough."""
        self._finish()

    def _add_site(self, view: ThermalView, guard: GuardStatus, now_s: float, elapsed_s: float) -> None:
        fresh = guard.measured and abs(now_s - guard.as_of_s) <= MAX_AGE_S
        known = view.top_oil_c is not None
        k_pu = view.k_pu
        frequency_hz = guard.frequency_hz if fresh else None
        if frequency_hz is None or not _FREQUENCY_HZ[0] <= frequency_hz <= _FREQUENCY_HZ[1]:
            # Counts for nothing: neither as a mean nor as an extreme.
            frequency_hz = nan
        values = (
            view.base_load_w,
            guard.transformer_var - guard.feeder_var if fresh and guard.load_measured else None,
            view.load_w,
            guard.feeder_w if fresh else None,
            None if k_pu is None else k_pu * k_pu,
            view.f_hl,
            _read(view, AMBIENT),
            _read(view, TOP_OIL),
            _read(view, WINDING),
            view.ambient_c,
            view.top_oil_c,
            view.hot_spot_c,
            view.bias_k if known else None,
            view.ageing_rate,
            frequency_hz,
        )
        minute = self._sums
        totals, times = minute.totals, minute.times
        for position, value in enumerate(values):
            if value is not None:
                product = value * elapsed_s
                # Of a value that is no number neither value nor time counts.
                if isfinite(product):
                    totals[position] += product
                    times[position] += elapsed_s
        if view.lo_w > minute.lo_w:
            minute.lo_w = view.lo_w
        if view.hi_w < minute.hi_w:
            minute.hi_w = view.hi_w
        if frequency_hz < minute.lo_hz:
            minute.lo_hz = frequency_hz
        if frequency_hz > minute.hi_hz:
            minute.hi_hz = frequency_hz

    def _add_evses(
        self,
        powers: Iterable[PowerReading],
        grants: Mapping[str, Grant],
        bays: Mapping[str, Bay],
        now_s: float,
        elapsed_s: float,
    ) -> None:
        evses = self._sums.evses
        for reading in powers:
            sums = evses.get(reading.evse_id)
            if sums is not None and is_fresh(reading, now_s) and isfinite(reading.power_w):
                sums.power_ws += reading.power_w * elapsed_s
                sums.power_s += elapsed_s
        for evse_id, grant in grants.items():
            if (sums := evses.get(evse_id)) is not None:
                sums.granted_ws += grant.power_w * elapsed_s
        for evse_id, sums in evses.items():
            session = bays[evse_id].procedure
            if session is not None:
                sums.vehicle = session.evccid
                sums.soc_pct = session.soc_pct

    def _trip_seen(self, guard: GuardStatus, unix_s: float, now_s: float) -> None:
        self._trip = guard.trip_element, guard.trip_at_s
        self._history.put_trip(
            TripRow(
                unix_s=unix_s - max(0.0, now_s - guard.trip_at_s) * self._speed,
                element=guard.trip_element,
                value=guard.trip_value,
                unit=guard.trip_unit,
                phase=guard.trip_phase,
            )
        )

    def _finish(self) -> None:
        if self._sums.measured_s >= ENOUGH_S:
            evses = tuple(
                self._evse_minute(evse_id, sums) for evse_id, sums in self._sums.evses.items() if _is_busy(sums)
            )
            self._history.put_minute(self._minute(), evses)
        self._sums = _Sums(self._ids)

    def _minute(self) -> MinuteRow:
        means = [
            total / time_s if time_s >= ENOUGH_S else None
            for total, time_s in zip(self._sums.totals, self._sums.times, strict=True)
        ]
        square = means[_K]
        means[_K] = None if square is None else sqrt(square)
        return MinuteRow(
            unix_min=self._ends_min,
            lo_w=finite(self._sums.lo_w),
            hi_w=finite(self._sums.hi_w),
            frequency_min_hz=finite(self._sums.lo_hz),
            frequency_max_hz=finite(self._sums.hi_hz),
            **dict(zip(_MEANS, means, strict=True)),
        )

    def _evse_minute(self, evse_id: str, sums: _EvseSums) -> EvseMinute:
        return EvseMinute(
            unix_min=self._ends_min,
            evse_id=evse_id,
            vehicle=sums.vehicle,
            power_w=sums.power_ws / sums.power_s if sums.power_s >= ENOUGH_S else None,
            granted_w=sums.granted_ws / self._sums.measured_s,
            soc_pct=sums.soc_pct,
        )


def _is_busy(sums: _EvseSums) -> bool:
    """A vehicle was here, or power flowed or was granted: idle EVSEs take no room."""
    flowed = sums.power_s > 0.0 and abs(sums.power_ws) > _IDLE_W * sums.power_s
    return bool(sums.vehicle) or flowed or sums.granted_ws != 0.0


def _read(view: ThermalView, sensor: str) -> float | None:
    report = view.sensors.get(sensor)
    return None if report is None else report.read
