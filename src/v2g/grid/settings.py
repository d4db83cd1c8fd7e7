"""Trip and enter-service settings of IEEE 1547-2018, each value with its clause.

Voltages are per unit of nominal, line to neutral; frequencies in Hz; clearing times in s and counted as the standard
counts them: from the moment the quantity leaves its limit to the moment the breaker has parted.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

IEEE1547_NOMINAL_HZ = 60.0
FREQUENCY_CYCLES = 3
"""Nominal cycles that the frequency is estimated from."""


class SettingsError(ValueError):
    """Settings that cannot protect this site; the message names the value, the rule and the remedy."""


class Measured(enum.StrEnum):
    """The quantity an element looks at."""

    VOLTAGE = "voltage"
    """Per phase, per unit: one phase beyond the threshold picks the element up."""
    FREQUENCY = "frequency"
    """Of the system, Hz."""


class Side(enum.StrEnum):
    OVER = "over"
    UNDER = "under"


@dataclass(frozen=True, slots=True)
class TripSetting:
    """One element: beyond ``threshold`` for its time, the DER ceases to energise within ``clearing_time_s``."""

    element: str
    quantity: Measured
    side: Side
    threshold: float
    clearing_time_s: float
    clause: str

    def is_beyond(self, value: float) -> bool:
        """Strictly beyond: a voltage of exactly 1.20 p.u. does not pick OV2 up."""
        return value > self.threshold if self.side is Side.OVER else value < self.threshold


@dataclass(frozen=True, slots=True)
class TripSettings:
    """The elements of one abnormal-operating-performance category."""

    category: str
    nominal_frequency_hz: float
    elements: tuple[TripSetting, ...]

    def element(self, name: str) -> TripSetting:
        """Raises ``KeyError`` for an element that is not set."""
        for setting in self.elements:
            if setting.element == name:
                return setting
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class EnterServiceSettings:
    """The window the grid must hold for ``delay_s`` before the DER may energise it. Limits belong to the window."""

    v_lo_pu: float
    v_hi_pu: float
    f_lo_hz: float
    f_hi_hz: float
    delay_s: float
    clause: str = "IEEE 1547-2018 4.10.2, Table 4"

    def contains(self, v_pu: tuple[float, float, float], frequency_hz: float | None) -> bool:
        """All phases and a known frequency inside the window."""
        return (
            frequency_hz is not None
            and self.f_lo_hz <= frequency_hz <= self.f_hi_hz
            and self.v_lo_pu <= min(v_pu)
            and max(v_pu) <= self.v_hi_pu
        )


_V, _F, _OVER, _UNDER = Measured.VOLTAGE, Measured.FREQUENCY, Side.OVER, Side.UNDER

_TABLE_13 = "IEEE 1547-2018 6.4.1, Table 13 (category III, default)"
_CATEGORY_III_VOLTAGE = (
    TripSetting("OV2", _V, _OVER, 1.20, 0.16, _TABLE_13),
    TripSetting("OV1", _V, _OVER, 1.10, 13.0, _TABLE_13),
    TripSetting("UV1", _V, _UNDER, 0.88, 21.0, _TABLE_13),
    TripSetting("UV2", _V, _UNDER, 0.50, 2.0, _TABLE_13),
)

_TABLE_18 = "IEEE 1547-2018 6.5.1, Table 18 (all categories, default)"
_FREQUENCY = (
    TripSetting("OF2", _F, _OVER, 62.0, 0.16, _TABLE_18),
    TripSetting("OF1", _F, _OVER, 61.2, 300.0, _TABLE_18),
    TripSetting("UF1", _F, _UNDER, 58.5, 300.0, _TABLE_18),
    TripSetting("UF2", _F, _UNDER, 56.5, 0.16, _TABLE_18),
)

_VOLTAGE_BY_CATEGORY = {"III": _CATEGORY_III_VOLTAGE}


def default_trip_settings(category: str, nominal_frequency_hz: float) -> TripSettings:
    """The default trip settings of ``category`` ("III") at 60 Hz.

    Raises :class:`SettingsError` at any other nominal frequency: IEEE 1547 is written for 60 Hz and is never scaled.
    """
    _require_60_hz(nominal_frequency_hz)
    voltage = _VOLTAGE_BY_CATEGORY.get(category)
    if voltage is None:
        raise SettingsError(
            f"grid.category {category!r}: no default trip settings; set one of {', '.join(_VOLTAGE_BY_CATEGORY)}"
        )
    return TripSettings(category, nominal_frequency_hz, voltage + _FREQUENCY)


def default_enter_service_settings(nominal_frequency_hz: float, delay_s: float = 300.0) -> EnterServiceSettings:
    """The default window of Table 4 at 60 Hz; ``delay_s`` adjustable in 0-600 s. Raises :class:`SettingsError`."""
    _require_60_hz(nominal_frequency_hz)
    if not 0.0 <= delay_s <= 600.0:
        raise SettingsError(f"grid.enter_service_delay_s {delay_s:g}: IEEE 1547-2018 4.10.2, Table 4 allows 0 to 600 s")
    return EnterServiceSettings(v_lo_pu=0.917, v_hi_pu=1.05, f_lo_hz=59.5, f_hi_hz=60.1, delay_s=delay_s)


def _require_60_hz(nominal_frequency_hz: float) -> None:
    if nominal_frequency_hz != IEEE1547_NOMINAL_HZ:
        raise SettingsError(
            f"grid.nominal_frequency_hz {nominal_frequency_hz:g}: there are no verified trip settings for this "
            "frequency. IEEE 1547-2018 holds at 60 Hz and is not scaled; set 60, or do not run the guard on this grid"
        )
