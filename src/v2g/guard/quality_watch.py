"""One limit that is watched: told when it is exceeded for a while, and once more when it is kept again. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

BEGIN_S = 1.0
"""Exceeded for so long before it is told: a trip or a motor start is no distortion."""
END_S = 3.0
BACK_SHARE = 0.9
"""It is kept again below this share of the limit, for :data:`END_S`."""


@dataclass(frozen=True, slots=True)
class QualityEvent:
    """A line of power_quality.log. ``level`` is ``info`` or ``warning``."""

    level: str
    code: str
    message: str
    fields: dict[str, object] = field(default_factory=dict)


class Watch:
    """``high`` and ``back`` are codes, ``what`` names the quantity, ``unit`` ends the field names (``pct``)."""

    def __init__(
        self,
        high: str,
        back: str,
        what: str,
        limit: float,
        unit: str = "pct",
        *,
        begin_s: float = BEGIN_S,
        end_s: float = END_S,
        **fields: object,
    ) -> None:
        self.high = high
        self._back = back
        self._what = what
        self._limit = limit
        self._unit = f"_{unit}" if unit else ""
        self._begin_s, self._end_s = begin_s, end_s
        self._fields = fields
        self.active = False
        self._since_s: float | None = None
        """Above the limit since then."""
        self._kept_s: float | None = None
        self._worst = 0.0

    @property
    def name(self) -> str:
        return " ".join([self.high, *map(str, self._fields.values())])

    def judge(self, at_s: float, value: float, phase: str = "") -> QualityEvent | None:
        """``value`` of the worst ``phase`` at ``at_s``; times ascend."""
        if self.active:
            return self._judge_end(at_s, value)
        if value <= self._limit:
            self._since_s = None
            return None
        if self._since_s is None:
            self._since_s, self._worst = at_s, value
        self._worst = max(self._worst, value)
        if at_s - self._since_s < self._begin_s:
            return None
        self.active, self._kept_s = True, None
        where = {"phase": phase} if phase else {}
        return QualityEvent(
            "warning",
            self.high,
            f"{self._what} is above its limit",
            {**self._fields, **where, **self._numbers(value)},
        )

    def _judge_end(self, at_s: float, value: float) -> QualityEvent | None:
        self._worst = max(self._worst, value)
        if value > BACK_SHARE * self._limit:
            self._kept_s = None
            return None
        if self._kept_s is None:
            self._kept_s = at_s
        if at_s - self._kept_s < self._end_s:
            return None
        began_s = self._since_s if self._since_s is not None else self._kept_s
        self.active, self._since_s = False, None
        return QualityEvent(
            "info",
            self._back,
            f"{self._what} is within its limit again",
            {
                **self._fields,
                **self._numbers(value),
                f"worst{self._unit}": round(self._worst, 3),
                "duration_s": round(self._kept_s - began_s, 1),
            },
        )

    def _numbers(self, value: float) -> dict[str, object]:
        return {f"value{self._unit}": round(value, 3), f"limit{self._unit}": self._limit}
