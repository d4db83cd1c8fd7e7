"""The history of a time summed up as the report tells it. Pure: rows in, figures out, in memory that does not grow with
the time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final

from v2g.cli.report_series import Series, Window
from v2g.telemetry.history_rows import EvseMinute, MinuteRow, TripRow

_MINUTE_S: Final = 60.0
_HOUR_MIN: Final = 60.0
MOST_VEHICLES: Final = 5_000
OTHERS: Final = "(all others)"
_QUANTITIES: Final = (
    "hot_spot_c", "top_oil_c", "ambient_c", "base_w", "load_w", "v2g_w", "lo_w", "hi_w", "k_pu", "frequency_hz",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Day:
    """One local day; energies in Wh, magnitudes; None: not recorded."""

    name: str
    minutes: int = 0
    hot_spot_c: float | None = None
    k_pu: float | None = None
    ageing_h: float = 0.0
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    trips: int = 0


@dataclass(slots=True, kw_only=True)
class Vehicle:
    """By the name it claims. ``soc_first_pct`` and ``soc_last_pct``: of what was recorded of it."""

    name: str
    evses: set[str] = field(default_factory=set)
    minutes: int = 0
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    soc_first_pct: float | None = None
    soc_last_pct: float | None = None


@dataclass(slots=True)
class Peak:
    """The highest value and when."""

    value: float | None = None
    unix_s: float = 0.0

    def see(self, value: float | None, unix_s: float) -> None:
        if value is not None and (self.value is None or value > self.value):
            self.value, self.unix_s = value, unix_s


class Summary:
    """What a report is made of. Rows may come in any number; each is seen once."""

    def __init__(self, window: Window, zone: tzinfo | None) -> None:
        self.window = window
        self.zone = zone
        self.series = {name: Series(window) for name in _QUANTITIES}
        self.recorded = Series(window)
        """Has a value wherever there is a minute."""
        self.soc: dict[str, Series] = {}
        """By EVSE; a bucket in which the vehicle changed is a gap."""
        self.days: dict[str, Day] = {}
        self.vehicles: dict[str, Vehicle] = {}
        self.evse_wh: dict[str, float] = {}
        """What went through each EVSE in either direction."""
        self.trips: list[TripRow] = []
        self.minutes = 0
        self.hottest = Peak()
        self.most_loaded = Peak()
        self.ageing_h = 0.0
        self.ageing_min = 0
        self.charged_wh = self.discharged_wh = 0.0
        self._at_evse: dict[str, str] = {}

    def add_minutes(self, rows: Iterable[MinuteRow]) -> None:
        for row in rows:
            self._add_minute(row)

    def add_evses(self, rows: Iterable[EvseMinute]) -> None:
        for row in rows:
            self._add_evse(row)

    def add_trips(self, rows: Iterable[TripRow]) -> None:
        for trip in rows:
            self.trips.append(trip)
            self._day(trip.unix_s).trips += 1

    def _add_minute(self, row: MinuteRow) -> None:
        # A minute is told by its end and stands for the time before.
        at_s = (row.unix_min - 0.5) * _MINUTE_S
        if self.window.index(at_s) is None:
            return
        self.minutes += 1
        self.recorded.add(at_s, 1.0)
        for name, series in self.series.items():
            if name == "frequency_hz":
                series.add(at_s, row.frequency_hz, row.frequency_min_hz, row.frequency_max_hz)
            else:
                series.add(at_s, getattr(row, name))
        self.hottest.see(row.hot_spot_c, at_s)
        self.most_loaded.see(row.k_pu, at_s)
        day = self._day(at_s)
        day.minutes += 1
        day.hot_spot_c = _greater(day.hot_spot_c, row.hot_spot_c)
        day.k_pu = _greater(day.k_pu, row.k_pu)
        if row.ageing_rate is not None:
            self.ageing_min += 1
            self.ageing_h += row.ageing_rate / _HOUR_MIN
            day.ageing_h += row.ageing_rate / _HOUR_MIN

    def _add_evse(self, row: EvseMinute) -> None:
        at_s = (row.unix_min - 0.5) * _MINUTE_S
        if self.window.index(at_s) is None:
            return
        charged_wh = max(row.power_w or 0.0, 0.0) / _HOUR_MIN
        discharged_wh = max(-(row.power_w or 0.0), 0.0) / _HOUR_MIN
        self.charged_wh += charged_wh
        self.discharged_wh += discharged_wh
        day = self._day(at_s)
        day.charged_wh += charged_wh
        day.discharged_wh += discharged_wh
        self.evse_wh[row.evse_id] = self.evse_wh.get(row.evse_id, 0.0) + charged_wh + discharged_wh
        if self._at_evse.get(row.evse_id, row.vehicle) == row.vehicle:
            self.soc.setdefault(row.evse_id, Series(self.window)).add(at_s, row.soc_pct)
        self._at_evse[row.evse_id] = row.vehicle
        if row.vehicle:
            self._add_vehicle(row, charged_wh, discharged_wh)

    def _add_vehicle(self, row: EvseMinute, charged_wh: float, discharged_wh: float) -> None:
        name = row.vehicle
        if name not in self.vehicles and len(self.vehicles) >= MOST_VEHICLES:
            name = OTHERS
        vehicle = self.vehicles.setdefault(name, Vehicle(name=name))
        vehicle.evses.add(row.evse_id)
        vehicle.minutes += 1
        vehicle.charged_wh += charged_wh
        vehicle.discharged_wh += discharged_wh
        if row.soc_pct is not None and name != OTHERS:
            if vehicle.soc_first_pct is None:
                vehicle.soc_first_pct = row.soc_pct
            vehicle.soc_last_pct = row.soc_pct

    def _day(self, unix_s: float) -> Day:
        name = f"{datetime.fromtimestamp(unix_s, UTC).astimezone(self.zone):%Y-%m-%d}"
        return self.days.setdefault(name, Day(name=name))


def _greater(known: float | None, value: float | None) -> float | None:
    if value is None or known is None:
        return known if value is None else value
    return max(known, value)
