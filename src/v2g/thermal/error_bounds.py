"""How far forecasts have been off, as bounds for the next ones. Pure, learned online.

The bound of minute n is ``factor[n] · scale``. The scale says how unsettled things are: the errors of the last minutes
(rising at once, falling slowly), or half of them and half of those usual at this time of day if that is more. The
factors are moved by each forecast that comes due: up by a large step if it was off by more than its bound, down by a
small one if it was not, in the ratio that leaves ``coverage`` of them within, whatever the errors' distribution is
(quantile tracking, as in adaptive conformal inference). So bounds widen within minutes and narrow over hours.

No bound is further out than a quarter beyond the largest error of the last week or so, or the prior: where a factor
was learned in a calm and the scale leaps, their product would be a load that was never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, sqrt
from typing import Final

from v2g.thermal.calendar import MINUTES_OF_DAY

_PARTS: Final = 48
_RISE: Final = 0.25
_FALL: Final = 0.03
_PART_WINDOW: Final = 300.0
_STEP: Final = 0.06
_FACTOR_RANGE: Final = (0.2, 100.0)
_PRIOR_COUNT: Final = 60.0
_BEYOND_LARGEST: Final = 1.25
_REMEMBERED: Final = 1.0 - 1.0 / (7.0 * MINUTES_OF_DAY)
_COUNT_LIMIT: Final = 1e6
"""Of minutes learned; a scale or factor is far below it too."""


class ErrorBounds:
    """Of the forecasts of one signal."""

    __slots__ = (
        "_counts", "_factors", "_floor", "_largest", "_narrow", "_parts", "_prior", "_recent", "_two_sided", "_widen",
        "minutes_learned",
    )  # fmt: skip

    def __init__(self, prior: Sequence[float], *, coverage: float, two_sided: bool, floor: float) -> None:
        """``prior``: bounds of the minutes ahead while nothing is learned, never falling; it counts as much as
        60 minutes of errors. ``two_sided``: bound the error's magnitude, else only how much more comes than forecast.
        ``floor``: least scale (a sensor's resolution)."""
        if not 0.5 <= coverage < 1.0:
            raise ValueError(f"coverage of the forecast's bounds is {coverage}: give 0.5 to 0.999")
        self._prior = tuple(prior)
        self._two_sided = two_sided
        self._floor = floor
        # Errors of forecasts further ahead overlap: as many come wrong in a row, so each moves the factor less.
        steps = [_STEP / sqrt(n) for n in range(1, len(self._prior) + 1)]
        self._widen = [exp(step * coverage) for step in steps]
        self._narrow = [exp(-step * (1.0 - coverage)) for step in steps]
        self._factors = [2.5 * sqrt(n) for n in range(1, len(self._prior) + 1)]
        self._largest = [0.0] * len(self._prior)
        self._recent = 0.0
        self._parts = [0.0] * _PARTS
        self._counts = [0.0] * _PARTS
        self.minutes_learned = 0.0

    def scale(self, minute: int) -> float:
        """How large errors are around this minute of the local day."""
        index = minute * _PARTS // MINUTES_OF_DAY % _PARTS
        usual = self._parts[index] if self._counts[index] else self._recent
        scale = max(self._recent, 0.5 * (self._recent + usual))
        return scale if scale > self._floor else self._floor

    def learn_next(self, minute: int, error: float) -> None:
        """``error`` (what came minus what was forecast) of a forecast for the very next minute, which is ``minute``."""
        size = error if error >= 0.0 else -error
        recent = self._recent
        self._recent = recent + (size - recent) * (_RISE if size > recent else _FALL)
        index = minute * _PARTS // MINUTES_OF_DAY % _PARTS
        count = self._counts[index] = min(self._counts[index] + 1.0, _PART_WINDOW)
        self._parts[index] += (size - self._parts[index]) / count
        if self.minutes_learned < _COUNT_LIMIT:
            self.minutes_learned += 1.0

    @property
    def factors(self) -> tuple[float, ...]:
        """Of the bounds made now; to be handed back to :meth:`learn`."""
        return tuple(self._factors)

    def learn(self, n: int, error: float, factor: float, scale: float) -> None:
        """The error of a forecast ``n`` minutes ahead (1 is the next), and its factor and scale when it was made."""
        if self._two_sided and error < 0.0:
            error = -error
        largest = self._largest[n - 1] * _REMEMBERED
        self._largest[n - 1] = error if error > largest else largest
        if error > factor * scale:
            factor = self._factors[n - 1] * self._widen[n - 1]
            self._factors[n - 1] = factor if factor < _FACTOR_RANGE[1] else _FACTOR_RANGE[1]
        elif scale > self._floor:
            # In a dead calm nothing is learned, or the factors would have to climb for hours when it ends.
            factor = self._factors[n - 1] * self._narrow[n - 1]
            self._factors[n - 1] = factor if factor > _FACTOR_RANGE[0] else _FACTOR_RANGE[0]

    def bounds(self, scale: float) -> tuple[float, ...]:
        """One for each minute ahead, >= 0, never falling."""
        prior_share = _PRIOR_COUNT / (_PRIOR_COUNT + self.minutes_learned)
        most = 0.0
        bounds = []
        for factor, largest, prior in zip(self._factors, self._largest, self._prior, strict=True):
            bound = factor * scale
            furthest = _BEYOND_LARGEST * largest
            if bound > furthest:
                bound = furthest if furthest > prior else min(bound, prior)
            least = prior * prior_share
            if least > bound:
                bound = least
            if bound > most:
                most = bound
            bounds.append(most)
        return tuple(bounds)

    def forget(self, days: float) -> None:
        """Nothing was seen for so long: half of what is learned counts for every 30 days, so the prior comes back."""
        self.minutes_learned *= 0.5 ** min(days / 30.0, 100.0)

    def memory(self) -> list[float]:
        return [self.minutes_learned, self._recent, *self._factors, *self._largest, *self._parts, *self._counts]

    def recall(self, kept: Sequence[float]) -> None:
        """Raises ValueError for what no :meth:`memory` of as many minutes gives."""
        size = len(self._factors)
        if len(kept) != 2 + 2 * size + 2 * _PARTS or not all(0.0 <= value <= _COUNT_LIMIT for value in kept):
            raise ValueError("the error bounds of the forecast are damaged")
        self.minutes_learned = kept[0]
        self._recent = kept[1]
        self._factors = [min(max(factor, _FACTOR_RANGE[0]), _FACTOR_RANGE[1]) for factor in kept[2 : 2 + size]]
        self._largest = list(kept[2 + size : 2 + 2 * size])
        self._parts = list(kept[2 + 2 * size : 2 + 2 * size + _PARTS])
        self._counts = list(kept[2 + 2 * size + _PARTS :])
