"""The trip functions: pick-up, timers and the moment to command the breaker (IEEE 1547-2018 6.4.1, 6.5.1)."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.grid.settings import FREQUENCY_CYCLES, Measured, SettingsError, TripSetting, TripSettings

PHASES = ("a", "b", "c")

TICK_PERIOD_S = 0.010
"""How often the guard judges the newest samples."""
BATCH_S = 0.005
"""Usual time between two writes of the waveform buffer."""
MIN_INTENTIONAL_DELAY_S = 0.020 + BATCH_S + TICK_PERIOD_S
"""A three-phase jump of 20 degrees, to be ridden through (6.5.2.6), shows as more than 62 Hz for 15 ms in the
three-cycle estimate. Timers run from the last samples that were not beyond, a batch and a tick before those that are:
one shorter than all of that would trip on the jump."""
UNKNOWN_HELD_S = 1.0
"""How long a slow frequency element keeps its timer while the frequency is unknown: a sag or a phase jump hides the
frequency for some cycles and must not start 300 s over."""


@dataclass(frozen=True, slots=True)
class TripTiming:
    """What lies between the event and the parted contact, besides the intentional delay. Seconds.

    ``voltage_latency_s`` and ``frequency_latency_s``: the estimator's window and one tick period. The age of the
    samples is not among them: :class:`TripLogic` is told when the last samples before the event were taken.
    ``margin_s`` allows one tick to be late.
    """

    opening_time_s: float
    voltage_latency_s: float
    frequency_latency_s: float
    margin_s: float = 0.010

    def intentional_delay_s(self, setting: TripSetting) -> float:
        """From the newest samples that were not beyond the threshold to the command."""
        return setting.clearing_time_s - self.opening_time_s - self._latency_s(setting) - self.margin_s

    def require_fast_enough(self, settings: TripSettings) -> None:
        """Raises :class:`SettingsError`, naming the strictest element, when the breaker is too slow for one."""
        strictest = min(settings.elements, key=self.intentional_delay_s)
        short_s = MIN_INTENTIONAL_DELAY_S - self.intentional_delay_s(strictest)
        if short_s > 1e-9:
            raise SettingsError(
                f"breaker.opening_time_s {self.opening_time_s:g}: {strictest.element} must clear in "
                f"{strictest.clearing_time_s:g} s ({strictest.clause}) and its detection takes up to "
                f"{self._latency_s(strictest) + MIN_INTENTIONAL_DELAY_S:.3f} s; the breaker must open within "
                f"{self.opening_time_s - short_s:.3f} s"
            )

    def max_age_s(self, settings: TripSettings) -> float:
        """The oldest that the newest samples may be for every element to clear in time."""
        return min(self.intentional_delay_s(setting) for setting in settings.elements)

    def _latency_s(self, setting: TripSetting) -> float:
        return self.voltage_latency_s if setting.quantity is Measured.VOLTAGE else self.frequency_latency_s


def tick_timing(opening_time_s: float, nominal_frequency_hz: float) -> TripTiming:
    """Worst cases of the guard: one cycle for voltage, three for frequency, plus its tick period."""
    return TripTiming(
        opening_time_s=opening_time_s,
        voltage_latency_s=1.0 / nominal_frequency_hz + TICK_PERIOD_S,
        frequency_latency_s=FREQUENCY_CYCLES / nominal_frequency_hz + TICK_PERIOD_S,
    )


def require_young_samples(timing: TripTiming, settings: TripSettings, max_age_s: float) -> None:
    """Raises :class:`SettingsError` when samples of ``max_age_s`` are too old for the strictest clearing time."""
    allowed_s = timing.max_age_s(settings)
    if max_age_s > allowed_s + 1e-9:
        raise SettingsError(
            f"waveform.max_age_s {max_age_s:g}: with a breaker of {timing.opening_time_s:g} s samples older than "
            f"{allowed_s:.3f} s cannot keep the clearing time of "
            f"{min(settings.elements, key=timing.intentional_delay_s).element}; set at most that, or, where no "
            "clearing time has to be kept (a simulation), waveform.allow_slow: true"
        )


@dataclass(frozen=True, slots=True)
class Trip:
    """Why the breaker has to open. ``value`` and ``threshold`` in ``unit``; ``phase`` empty where it has none."""

    element: str
    """``OV2``, ``f<``, ``LOM``, ``51 feeder``, ``Phase Mismatch``."""
    quantity: str
    """``voltage``, ``frequency``, ``rocof``, ``current``, ``phase``, ``mains``."""
    phase: str
    value: float
    threshold: float
    clearing_time_s: float
    """From the event to the parted breaker; 0 where no such time is stated."""
    picked_up_at_s: float
    at_s: float
    unit: str = "pu"
    """``pu``, ``Hz``, ``Hz/s``, ``A``, ``deg`` or empty."""
    remedy: str = ""
    """For people: what to look at."""


class TripLogic:
    """Timers of all elements. Time is an argument; one call for each measurement while the DER is in service.

    Raises :class:`SettingsError` when the breaker is too slow for an element.
    """

    def __init__(self, settings: TripSettings, timing: TripTiming) -> None:
        timing.require_fast_enough(settings)
        self._elements = tuple((setting, timing.intentional_delay_s(setting)) for setting in settings.elements)
        self._picked_up_at_s: list[float | None] = [None] * len(self._elements)
        self._frequency_known_at_s = float("-inf")

    @property
    def picked_up(self) -> tuple[str, ...]:
        """Elements whose timer runs."""
        return tuple(
            setting.element
            for (setting, _), since_s in zip(self._elements, self._picked_up_at_s, strict=True)
            if since_s is not None
        )

    def step(
        self,
        now_s: float,
        v_pu: tuple[float, float, float],
        frequency_hz: float | None,
        since_s: float | None = None,
    ) -> Trip | None:
        """Judge one measurement. A quantity that is back resets its timers.

        ``since_s``: when the newest samples of the measurement judged before this one were taken; a timer that starts
        now runs from there, so that neither the age of samples nor a late batch lengthens the clearing time. Without
        it a timer runs from ``now_s``.

        An unknown frequency resets the timers that are shorter than :data:`UNKNOWN_HELD_S`, and the others when it
        lasts longer than that.

        Of several elements that are due, the one that has waited longest beyond its delay is named.
        """
        pick_up_at_s = now_s if since_s is None else min(since_s, now_s)
        if frequency_hz is not None:
            self._frequency_known_at_s = now_s
        unknown_s = now_s - self._frequency_known_at_s
        due: Trip | None = None
        longest_overdue_s = -1.0
        for index, (setting, delay_s) in enumerate(self._elements):
            if setting.quantity is Measured.FREQUENCY:
                value, phase = frequency_hz, ""
            else:
                value = max(v_pu) if setting.side == "over" else min(v_pu)
                phase = PHASES[v_pu.index(value)]
            if value is None:
                if delay_s <= UNKNOWN_HELD_S or not 0.0 <= unknown_s <= UNKNOWN_HELD_S:
                    self._picked_up_at_s[index] = None
                continue
            if not setting.is_beyond(value):
                self._picked_up_at_s[index] = None
                continue
            began_s = self._picked_up_at_s[index]
            if began_s is None or began_s > now_s:
                self._picked_up_at_s[index] = began_s = pick_up_at_s
            overdue_s = now_s - began_s - delay_s
            if overdue_s >= 0.0 and overdue_s > longest_overdue_s:
                longest_overdue_s = overdue_s
                due = Trip(
                    element=setting.element,
                    quantity=setting.quantity,
                    phase=phase,
                    value=value,
                    threshold=setting.threshold,
                    clearing_time_s=setting.clearing_time_s,
                    picked_up_at_s=began_s,
                    at_s=now_s,
                )
        return due

    def reset(self) -> None:
        """Forget every pick-up."""
        self._picked_up_at_s = [None] * len(self._elements)
