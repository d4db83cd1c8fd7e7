"""The trip functions: pick-up, timers and the moment to command the breaker (IEEE 1547-2018 6.4.1, 6.5.1)."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.grid.settings import (
    FREQUENCY_CYCLES,
    ROCOF_WINDOW_S,
    Measured,
    SettingsError,
    Side,
    Timing,
    TripSetting,
    TripSettings,
)

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
NO_FREQUENCY = "81 unknown"
"""The element that trips on a healthy voltage without a frequency for :data:`NO_FREQUENCY_S`: it is none of one sine
that the guard could judge (below about 20 Hz, above about 105 Hz, or mostly distortion)."""
NO_FREQUENCY_S = 0.05
"""Longer than a step of the voltage hides the frequency (half of the three cycles), short enough to open within the
strictest clearing time."""
HEALTHY_VOLTAGE_PU = 0.5

_UNITS = {
    Measured.VOLTAGE: "pu",
    Measured.VOLTAGE_10MIN: "pu",
    Measured.FREQUENCY: "Hz",
    Measured.ROCOF: "Hz/s",
}
_VOLTAGES = (Measured.VOLTAGE, Measured.VOLTAGE_10MIN)


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
        """From the newest samples that were not beyond the threshold to the command; for ``OPERATE`` the shortest."""
        if setting.timing is Timing.OPERATE:
            return max(MIN_INTENTIONAL_DELAY_S, setting.time_s - self._latency_s(setting))
        return setting.time_s - self.opening_time_s - self._latency_s(setting) - self.margin_s

    def clearing_time_s(self, setting: TripSetting) -> float:
        """From the event to the parted breaker."""
        return setting.time_s + (self.opening_time_s if setting.timing is Timing.OPERATE else 0.0)

    def require_fast_enough(self, settings: TripSettings) -> None:
        """Raises :class:`SettingsError`, naming the strictest element, when the breaker is too slow for one."""
        clearing = [setting for setting in settings.elements if setting.timing is Timing.CLEARING]
        if not clearing:
            return
        strictest = min(clearing, key=self.intentional_delay_s)
        short_s = MIN_INTENTIONAL_DELAY_S - self.intentional_delay_s(strictest)
        if short_s > 1e-9:
            raise SettingsError(
                f"breaker.opening_time_s {self.opening_time_s:g}: {strictest.element} must clear in "
                f"{strictest.time_s:g} s ({strictest.clause}) and its detection takes up to "
                f"{self._latency_s(strictest) + MIN_INTENTIONAL_DELAY_S:.3f} s; the breaker must open within "
                f"{self.opening_time_s - short_s:.3f} s"
            )

    def max_age_s(self, settings: TripSettings) -> float:
        """The oldest that the newest samples may be for every element to come in time; infinity without any."""
        return min(map(self.intentional_delay_s, settings.elements), default=float("inf"))

    def _latency_s(self, setting: TripSetting) -> float:
        if setting.quantity in _VOLTAGES:
            return self.voltage_latency_s
        return self.frequency_latency_s + (ROCOF_WINDOW_S if setting.quantity is Measured.ROCOF else 0.0)


def tick_timing(opening_time_s: float, nominal_frequency_hz: float) -> TripTiming:
    """Worst cases of the guard: one cycle for voltage, three for frequency, plus its tick period."""
    return TripTiming(
        opening_time_s=opening_time_s,
        voltage_latency_s=1.0 / nominal_frequency_hz + TICK_PERIOD_S,
        frequency_latency_s=FREQUENCY_CYCLES / nominal_frequency_hz + TICK_PERIOD_S,
    )


def require_young_samples(timing: TripTiming, settings: TripSettings, max_age_s: float) -> None:
    """Raises :class:`SettingsError` when samples of ``max_age_s`` are too old for the strictest element."""
    allowed_s = timing.max_age_s(settings)
    if max_age_s > allowed_s + 1e-9:
        raise SettingsError(
            f"waveform.max_age_s {max_age_s:g}: with a breaker of {timing.opening_time_s:g} s samples older than "
            f"{allowed_s:.3f} s cannot keep the time of "
            f"{min(settings.elements, key=timing.intentional_delay_s).element}; set at most that, or, where no "
            "clearing time has to be kept (a simulation), waveform.allow_slow: true"
        )


@dataclass(frozen=True, slots=True)
class Trip:
    """Why the breaker has to open. ``value`` and ``threshold`` in ``unit``; ``phase`` empty where it has none."""

    element: str
    """``OV2``, ``f<``, ``LOM``, ``51 feeder``, ``Phase Mismatch``."""
    quantity: str
    """``voltage``, ``voltage_10min``, ``frequency``, ``rocof``, ``current``, ``phase``, ``mains``."""
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
        self._timing = timing
        self._half_cycle_s = 0.5 / settings.nominal_frequency_hz
        self._elements = tuple((setting, timing.intentional_delay_s(setting)) for setting in settings.elements)
        self._picked_up_at_s: list[float | None] = [None] * len(self._elements)
        self._due_at_s = [0.0] * len(self._elements)
        self._frequency_known_at_s = float("-inf")
        self._no_frequency_since_s: float | None = None

    @property
    def picked_up(self) -> tuple[str, ...]:
        """Elements whose timer runs."""
        names = tuple(
            setting.element
            for (setting, _), since_s in zip(self._elements, self._picked_up_at_s, strict=True)
            if since_s is not None
        )
        return names if self._no_frequency_since_s is None else (*names, NO_FREQUENCY)

    def step(
        self,
        now_s: float,
        v_pu: tuple[float, float, float],
        frequency_hz: float | None,
        since_s: float | None = None,
        *,
        as_of_s: float | None = None,
        centre_age_s: float = 0.0,
        rocof_hz_s: float | None = None,
        v_10min_pu: tuple[float, float, float] | None = None,
    ) -> Trip | None:
        """Judge one measurement. A quantity that is back resets its timers, and so does an unknown rate of change.

        ``since_s``: when the newest samples of the measurement judged before this one were taken; a timer that starts
        now runs from there, so that neither the age of samples nor a late batch lengthens the clearing time. Without
        it a timer runs from ``now_s``.

        ``as_of_s``: when the newest samples of this measurement were taken (None: now). ``centre_age_s``: how long
        before them the centre of the frequency window lies, which is the frequency's time tag; a voltage's lies half
        a cycle before them. An element of :attr:`Timing.OPERATE` counts its time from the tag of the first
        measurement beyond the threshold, a rate of change from that of the frequency which completed it.

        An unknown frequency resets the timers that are shorter than :data:`UNKNOWN_HELD_S`, and the others when it
        lasts longer than that. Beside a healthy voltage it is the element :data:`NO_FREQUENCY`.

        Of several elements that are due, the one that has waited longest beyond its delay is named.
        """
        pick_up_at_s = now_s if since_s is None else min(since_s, now_s)
        newest_s = now_s if as_of_s is None else min(as_of_s, now_s)
        if frequency_hz is not None:
            self._frequency_known_at_s = now_s
        unknown_s = now_s - self._frequency_known_at_s
        due, longest_overdue_s = -1, -1.0
        for index, (setting, delay_s) in enumerate(self._elements):
            value = _value(setting, v_pu, frequency_hz, rocof_hz_s, v_10min_pu)
            if value is None:
                held = setting.quantity is Measured.FREQUENCY and delay_s > UNKNOWN_HELD_S
                if not held or not 0.0 <= unknown_s <= UNKNOWN_HELD_S:
                    self._picked_up_at_s[index] = None
                continue
            if not setting.is_beyond(value):
                self._picked_up_at_s[index] = None
                continue
            began_s = self._picked_up_at_s[index]
            if began_s is None or began_s > now_s:
                self._picked_up_at_s[index] = pick_up_at_s
                due_at_s = pick_up_at_s + delay_s
                if setting.timing is Timing.OPERATE:
                    voltage = setting.quantity in _VOLTAGES
                    tag_s = newest_s - (self._half_cycle_s if voltage else centre_age_s)
                    due_at_s = max(tag_s + setting.time_s, pick_up_at_s + MIN_INTENTIONAL_DELAY_S)
                self._due_at_s[index] = due_at_s
            overdue_s = now_s - self._due_at_s[index]
            if overdue_s >= 0.0 and overdue_s > longest_overdue_s:
                due, longest_overdue_s = index, overdue_s
        unjudged = self._unjudged(now_s, v_pu, frequency_hz)
        if due < 0:
            return unjudged
        setting = self._elements[due][0]
        voltages = v_10min_pu if setting.quantity is Measured.VOLTAGE_10MIN and v_10min_pu is not None else v_pu
        value = _value(setting, v_pu, frequency_hz, rocof_hz_s, v_10min_pu) or 0.0
        return Trip(
            element=setting.element,
            quantity=setting.quantity.value,
            phase=PHASES[voltages.index(value)] if setting.quantity in _VOLTAGES else "",
            value=value,
            threshold=setting.threshold,
            clearing_time_s=self._timing.clearing_time_s(setting),
            picked_up_at_s=self._picked_up_at_s[due] or 0.0,
            at_s=now_s,
            unit=_UNITS[setting.quantity],
        )

    def reset(self) -> None:
        """Forget every pick-up."""
        self._picked_up_at_s = [None] * len(self._elements)
        self._no_frequency_since_s = None

    def _unjudged(self, now_s: float, v_pu: tuple[float, float, float], frequency_hz: float | None) -> Trip | None:
        if frequency_hz is not None or max(v_pu) < HEALTHY_VOLTAGE_PU:
            self._no_frequency_since_s = None
            return None
        since_s = self._no_frequency_since_s
        if since_s is None or since_s > now_s:
            self._no_frequency_since_s = since_s = now_s
        if now_s - since_s <= NO_FREQUENCY_S:
            return None
        value = max(v_pu)
        return Trip(
            element=NO_FREQUENCY,
            quantity=Measured.VOLTAGE.value,
            phase=PHASES[v_pu.index(value)],
            value=value,
            threshold=HEALTHY_VOLTAGE_PU,
            clearing_time_s=0.0,
            picked_up_at_s=since_s,
            at_s=now_s,
            remedy="the voltage is healthy and has no frequency: check the bus voltage channels and their converter",
        )


def _value(
    setting: TripSetting,
    v_pu: tuple[float, float, float],
    frequency_hz: float | None,
    rocof_hz_s: float | None,
    v_10min_pu: tuple[float, float, float] | None,
) -> float | None:
    quantity = setting.quantity
    if quantity is Measured.FREQUENCY:
        return frequency_hz
    if quantity is Measured.VOLTAGE:
        return max(v_pu) if setting.side is Side.OVER else min(v_pu)
    if quantity is Measured.ROCOF:
        return None if rocof_hz_s is None else abs(rocof_hz_s)
    if v_10min_pu is None:
        return None
    return max(v_10min_pu) if setting.side is Side.OVER else min(v_10min_pu)
