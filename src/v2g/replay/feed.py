"""The rows of a stimulus in the order in which they are taken, with what depends on the breaker put in."""

from __future__ import annotations

import numpy as np

from v2g.replay.stimulus import Samples, Stimulus
from v2g.replay.synthesis import I_TR, I_V2G, V_BUS, V_INV

_BLOCK_S = 1.0


class Feed:
    """Holds the newest ``keep`` rows and at most a second of rows that are still to come."""

    def __init__(self, stimulus: Stimulus, keep: int) -> None:
        self._blocks = stimulus.blocks(max(1, round(_BLOCK_S * stimulus.sample_rate_hz)))
        self._keep = keep
        self._rows: Samples = np.zeros((0, V_INV.stop))
        self._mains = np.zeros(0, bool)
        self._begin = 0
        """Index of the first row held."""
        self._taken = 0

    def take(self, index: int, closed: bool) -> Samples | None:
        """The rows from where the last call ended to before ``index``, with the breaker as it is; None when the
        stimulus ends before."""
        while self._begin + len(self._rows) < index:
            block = next(self._blocks, None)
            if block is None:
                return None
            rows, mains = block
            old = max(0, self._taken - self._keep - self._begin)
            self._rows = np.concatenate((self._rows[old:], rows))
            self._mains = np.concatenate((self._mains[old:], np.full(len(rows), mains)))
            self._begin += old
        fresh = self._rows[self._taken - self._begin : index - self._begin]
        if closed:
            fresh[:, V_INV] = fresh[:, V_BUS]
        else:
            fresh[:, I_TR] -= fresh[:, I_V2G]
            fresh[:, I_V2G] = 0.0
        self._taken = index
        return fresh

    @property
    def window(self) -> Samples:
        """The newest ``keep`` rows taken; fewer at the start."""
        end = self._taken - self._begin
        return self._rows[max(0, end - self._keep) : end]

    @property
    def mains_present(self) -> bool:
        """At the newest row taken."""
        return bool(self._mains[self._taken - self._begin - 1])
