"""Flicker severity by IEC 61000-4-15: Pst over ten minutes, Plt over two hours (IEEE 1547-2018 7.2.3: 0.35 and 0.25)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PST_S = 600.0
PLT_COUNT = 12


class Flickermeter:
    """One phase. Feeds at ``sample_rate_hz`` (decimated inside); 120 V and 230 V lamp weightings by ``lamp``."""

    def __init__(self, sample_rate_hz: float, nominal_frequency_hz: float, lamp: str = "120V") -> None:
        raise NotImplementedError

    def feed(self, voltages_v: NDArray[np.float64]) -> None:
        """Samples of one phase, ``[n]``. State is kept from block to block."""
        raise NotImplementedError

    @property
    def instantaneous(self) -> float:
        """The newest instantaneous flicker sensation, in units of the perception threshold."""
        raise NotImplementedError

    def pst(self) -> float | None:
        """Over what was fed since the last call of :meth:`restart`; None before the filters have settled (60 s)."""
        raise NotImplementedError

    def restart(self) -> None:
        """Begin the next interval of ten minutes; filters go on."""
        raise NotImplementedError


def plt(psts: tuple[float, ...]) -> float:
    """Long-term severity: the cubic mean of twelve Pst (of those there are)."""
    raise NotImplementedError
