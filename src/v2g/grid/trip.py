"""The trip functions: pick-up, timers and the moment to command the breaker (IEEE 1547-2018 6.4.1, 6.5.1)."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.grid.settings import Measured, SettingsError, TripSetting, TripSettings

PHASES = ("a", "b", "c")

MIN_INTENTIONAL_DELAY_S = 0.020
"""A three-phase jump of 20 degrees, to be ridden through (6.5.2.6), shows as more than 62 Hz for 15 ms in the
three-cycle estimate. A timer shorter than that and one tick would trip on it."""


@dataclass(frozen=True, slots=True)
class TripTiming:
    """What lies between the event and the parted contact, besides the intentional delay. Seconds.

    ``voltage_latency_s`` and ``frequency_latency_s`` are worst cases from the event to the tick that sees it: the
    estimator's window, the age of the newest samples and the tick period. ``margin_s`` allows one tick to be late.
    """

    opening_time_s: float
    voltage_latency_s: float
    frequency_latency_s: float
    margin_s: float = 0.010

    def intentional_delay_s(self, setting: TripSetting) -> float:
        """From pick-up to command."""
        return setting.clearing_time_s - self.opening_time_s - self._latency_s(setting) - self.margin_s

    def require_fast_enough(self, settings: TripSettings) -> None:
        """Raises :class:`SettingsError`, naming the strictest element, when the breaker is too slow for one."""
        strictest = min(settings.elements, key=self.intentional_delay_s)
        short_s = MIN_INTENTIONAL_DELAY_S - self.intentional_delay_s(strictest)
        if short_s > 1e-9:
            raise SettingsError(
                f"breaker.opening_time_s {self.opening_time_s:g}: {strictest.element} must clear in "
                f"{strictest.clearing_time_s:g} s ({strictest.clause}) and its detection takes up to "
                f"{self._latency_s(strictest):.3f} s; the breaker must open within "
                f"{self.opening_time_s - short_s:.3f} s"
            )

    def _latency_s(self, setting: TripSetting) -> float:
        return self.voltage_latency_s if setting.quantity is Measured.VOLTAGE else self.frequency_latency_s


@dataclass(frozen=True, slots=True)
class Trip:
    """Why the breaker has to open. ``value`` and ``threshold`` in p.u. or Hz; ``phase`` empty for frequency."""

    element: str
    quantity: Measured
    phase: str
    value: float
    threshold: float
    clearing_time_s: float
    picked_up_at_s: float
    at_s: float


class TripLogic:
    """Timers of all elements. Time is an argument; one call for each measurement while the DER is in service.

    Raises :class:`SettingsError` when the breaker is too slow for an element.
    """

    def __init__(self, settings: TripSettings, timing: TripTiming) -> None:
        timing.require_fast_enough(settings)
        self._elements = tuple((setting, timing.intentional_delay_s(setting)) for setting in settings.elements)
        self._picked_up_at_s: list[float | None] = [None] * len(self._elements)

    @property
    def picked_up(self) -> tuple[str, ...]:
        """Elements whose timer runs."""
        return tuple(
            setting.element
            for (setting, _), since_s in zip(self._elements, self._picked_up_at_s, strict=True)
            if since_s is not None
        )

    def step(self, now_s: float, v_pu: tuple[float, float, float], frequency_hz: float | None) -> Trip | None:
        """Judge one measurement. A quantity that is back, or a frequency that is unknown, resets its timers.

        Of several elements that are due, the one that has waited longest beyond its delay is named.
        """
        due: Trip | None = None
        longest_overdue_s = -1.0
        for index, (setting, delay_s) in enumerate(self._elements):
            if setting.quantity is Measured.FREQUENCY:
                value, phase = frequency_hz, ""
            else:
                value = max(v_pu) if setting.side == "over" else min(v_pu)
                phase = PHASES[v_pu.index(value)]
            if value is None or not setting.is_beyond(value):
                self._picked_up_at_s[index] = None
                continue
            since_s = self._picked_up_at_s[index]
            if since_s is None or since_s > now_s:
                self._picked_up_at_s[index] = since_s = now_s
            overdue_s = now_s - since_s - delay_s
            if overdue_s >= 0.0 and overdue_s > longest_overdue_s:
                longest_overdue_s = overdue_s
                due = Trip(
                    element=setting.element,
                    quantity=setting.quantity,
                    phase=phase,
                    value=value,
                    threshold=setting.threshold,
                    clearing_time_s=setting.clearing_time_s,
                    picked_up_at_s=since_s,
                    at_s=now_s,
                )
        return due

    def reset(self) -> None:
        """Forget every pick-up."""
        self._picked_up_at_s = [None] * len(self._elements)
