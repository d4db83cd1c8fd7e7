"""Enter service (IEEE 1547-2018 4.10): the grid must hold the window without a break before the breaker may close."""

from __future__ import annotations

from v2g.grid.settings import EnterServiceSettings


class EnterService:
    """Times the window on the grid side of the open breaker. Time is an argument; one call for each measurement."""

    def __init__(self, settings: EnterServiceSettings) -> None:
        self._settings = settings
        self._since_s: float | None = None
        self._now_s = 0.0

    @property
    def in_window(self) -> bool:
        """The newest measurement was inside the window."""
        return self._since_s is not None

    @property
    def remaining_s(self) -> float:
        """Of the delay; the whole of it while the grid is outside the window."""
        if self._since_s is None:
            return self._settings.delay_s
        return max(0.0, self._settings.delay_s - (self._now_s - self._since_s))

    @property
    def ready(self) -> bool:
        """The window has held for the delay."""
        return self._since_s is not None and self.remaining_s <= 0.0

    def step(self, now_s: float, v_pu: tuple[float, float, float], frequency_hz: float | None) -> bool:
        """Judge one measurement; returns :attr:`ready`. An unknown frequency is outside the window."""
        self._now_s = now_s
        if not self._settings.contains(v_pu, frequency_hz):
            self._since_s = None
        elif self._since_s is None or self._since_s > now_s:
            self._since_s = now_s
        return self.ready

    def reset(self) -> None:
        """Start over: nothing is known of the grid."""
        self._since_s = None
