"""Enter service (IEEE 1547-2018 4.10): the grid must hold the window without a break before the breaker may close."""

from __future__ import annotations

from collections.abc import Callable

from v2g.grid.settings import EnterServiceSettings


class EnterService:
    """Times the window on the grid side of the open breaker, and the ramp after it has closed.

    Time is an argument; one call for each measurement while out of service. ``draw`` returns a number of [0, 1): the
    part of ``random_delay_s`` that is waited in addition, drawn anew whenever the delay starts.
    """

    def __init__(self, settings: EnterServiceSettings, draw: Callable[[], float] = lambda: 0.0) -> None:
        self._settings = settings
        self._draw = draw
        self._delay_s = settings.delay_s
        self._since_s: float | None = None
        self._in_window = False
        self._now_s = 0.0
        self._entered_at_s: float | None = None

    @property
    def in_window(self) -> bool:
        """The newest measurement was inside the window."""
        return self._in_window

    @property
    def remaining_s(self) -> float:
        """Of the delay, the random part included once it is drawn; the whole of it while it does not run."""
        if self._since_s is None:
            return self._settings.delay_s
        return max(0.0, self._delay_s - (self._now_s - self._since_s))

    @property
    def ready(self) -> bool:
        """The window has held for the delay."""
        return self._since_s is not None and self.remaining_s <= 0.0

    def step(self, now_s: float, v_pu: tuple[float, float, float], frequency_hz: float | None) -> bool:
        """Judge one measurement; returns :attr:`ready`. An unknown frequency is outside the window."""
        self._now_s = now_s
        self._in_window = self._settings.contains(v_pu, frequency_hz)
        if not self._in_window:
            self._since_s = None
        elif self._since_s is None or self._since_s > now_s:
            self._since_s = now_s
            self._delay_s = self._settings.delay_s
            if self._settings.random_delay_s > 0.0:
                self._delay_s += self._draw() * self._settings.random_delay_s
        return self.ready

    def hold(self, now_s: float, v_pu: tuple[float, float, float], frequency_hz: float | None) -> None:
        """Judge the window without letting the delay run: something else keeps the DER out of service."""
        self.step(now_s, v_pu, frequency_hz)
        self._since_s = None

    def enter(self, now_s: float) -> None:
        """The breaker is commanded closed: the ramp begins."""
        self._entered_at_s = now_s

    def fraction(self, now_s: float) -> float:
        """Of rated power that may flow, 0 to 1: a straight line over ``ramp_s`` from the entry; 0 out of service.

        With a randomised delay power rises at once (4.10.3).
        """
        if self._entered_at_s is None:
            return 0.0
        if self._settings.ramp_s <= 0.0 or self._settings.random_delay_s > 0.0:
            return 1.0
        return min(1.0, max(0.0, (now_s - self._entered_at_s) / self._settings.ramp_s))

    def adopt(self, settings: EnterServiceSettings) -> None:
        """New settings: the delay starts anew; in service the ramp goes on from when the breaker closed."""
        self._settings = settings
        self._delay_s = settings.delay_s
        self._since_s = None

    def reset(self) -> None:
        """Start over: out of service, nothing is known of the grid."""
        self._since_s = None
        self._in_window = False
        self._entered_at_s = None
