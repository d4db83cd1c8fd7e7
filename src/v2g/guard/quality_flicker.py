"""Flicker of the three phases over ten-minute intervals and two hours, with what must not count left out. Pure."""

from __future__ import annotations

from collections import deque

from v2g.grid.flicker import PLT_COUNT, PST_S, Flickermeter, plt
from v2g.grid.metering import Samples

PerPhase = tuple[float, float, float]


class Flicker:
    """A dip or an interruption is no flicker (IEC 61000-4-30 flags it): its ten minutes are told and not judged.

    The lamp is the one of 120 V at 60 Hz and the one of 230 V at 50 Hz.
    """

    def __init__(self, sample_rate_hz: float, nominal_frequency_hz: float) -> None:
        self._nominal_hz = nominal_frequency_hz
        self._lamp = "230V" if nominal_frequency_hz < 55.0 else "120V"
        self._psts: deque[PerPhase] = deque(maxlen=PLT_COUNT)
        self.pst: PerPhase | None = None
        """Of the last whole interval."""
        self.disturbed = False
        """:attr:`pst` is of an interval in which the voltage left its window."""
        self._disturbing = False
        self.begin_anew(sample_rate_hz)

    @property
    def plt(self) -> PerPhase | None:
        if not self._psts:
            return None
        a, b, c = (plt(tuple(pst[phase] for pst in self._psts)) for phase in range(3))
        return a, b, c

    def begin_anew(self, sample_rate_hz: float) -> None:
        """After a gap or a dead bus: the filters settle again, the interval begins anew."""
        self._rate_hz = sample_rate_hz
        self._meters = tuple(Flickermeter(self._rate_hz, self._nominal_hz, self._lamp) for _ in range(3))
        self._fed = 0
        self._disturbing = False

    def disturb(self) -> None:
        """The voltage is outside its window now."""
        self._disturbing = True

    def feed(self, voltages_v: Samples) -> bool:
        """Consecutive finite samples ``[n, 3]``. True: an interval has ended with them."""
        for phase, meter in enumerate(self._meters):
            meter.feed(voltages_v[:, phase])
        if not self._meters[0].settled:
            return False
        self._fed += len(voltages_v)
        if self._fed < PST_S * self._rate_hz:
            return False
        self._fed = 0
        a, b, c = (meter.pst() or 0.0 for meter in self._meters)
        for meter in self._meters:
            meter.restart()
        self.pst, self.disturbed, self._disturbing = (a, b, c), self._disturbing, False
        if not self.disturbed:
            self._psts.append(self.pst)
        return True
