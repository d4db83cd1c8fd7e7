"""One temperature sensor, judged: what may be believed of it. Pure.

Range and number first, then speed (a jump), then the model's disbelief (far below), then silence of movement (stuck).
A sensor that jumped, or that moves again after it was stuck, is believed again once it has stayed for a while, has
moved no faster than nature meanwhile, and is near enough to the model.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final

DISBELIEF_K: Final = 25.0
"""A reading this far below what the model expects is a broken sensor."""
_DEAD_BAND_K: Final = 3.0
_SAME_K: Final = 1e-6
_STUCK_STEPS: Final = 4.0
_STUCK_SHARE: Final = 0.3
_KELVIN: Final = (180.0, 450.0)


class Health(enum.StrEnum):
    """``NEVER_SEEN``: no reading since the start. The last four are not believed, or not as they are."""

    OK = "ok"
    NEVER_SEEN = "never seen"
    LOST = "lost"
    IMPLAUSIBLE = "implausible"
    """Outside of what can be (range, or physically impossible beside the model)."""
    JUMPED = "jumped"
    """Moved faster than oil or air can; believed again when it stays, and agrees with physics, for a while."""
    STUCK = "stuck"
    """The same value while what it measures must have moved."""
    DRIFTING = "drifting"
    """Departs from the model as sensors do, not as wrong parameters do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorReport:
    """``value``: believed, or None. ``read``: what it said, or None. ``words``: what is wrong, and the remedy."""

    health: Health
    value: float | None
    read: float | None
    since_s: float
    """When it came into this health, on the caller's clock."""
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorNature:
    """What a quantity can do. Temperatures in °C, rates in K/s."""

    name: str
    """As people read it: ``top-oil``."""
    low_c: float
    high_c: float
    fastest_k_s: float
    """Faster than this is a jump of the sensor, once ``noise_k`` is allowed for."""
    noise_k: float
    stuck_after_k: float | None
    """The model moved this far while the reading did not change at all; None: a steady value is no sign (ambient).
    Less is enough for a sensor that has shown finer steps: four of them, or three tenths of this."""
    believed_again_s: float
    """A jump that stays for so long, and moves plausibly meanwhile, is taken as the new truth."""
    disbelief_k: float = DISBELIEF_K
    """So far below what is expected, a reading is not believed; 3 K less, above or below, before it is again."""


class SensorWatch:
    """Follows one sensor. :meth:`judge` at every step."""

    def __init__(self, nature: SensorNature) -> None:
        self._nature = nature
        self._report: SensorReport | None = None
        self._good_c: float | None = None
        self._good_at_s = 0.0
        self._candidate_c: float | None = None
        self._candidate_at_s = 0.0
        self._candidate_since_s = 0.0
        self._jump_k = 0.0
        self._same_c: float | None = None
        self._finest_k = inf
        self._driven_low_c = 0.0
        self._driven_high_c = 0.0

    def judge(
        self, read_c: float | None, expected_c: float | None, now_s: float, driven_c: float | None = None
    ) -> SensorReport:
        """``read_c``: the newest fresh reading; ``expected_c``: the model's, None where nothing is expected;
        ``driven_c``: what moves as the inputs move the model, without what it may have begun or learned wrong. By its
        movement a sensor is found stuck; without it, by that of ``expected_c``.

        Whether a jump up is dangerous is the caller's affair (:mod:`v2g.thermal.estimator` takes the hotter).
        """
        nature, last = self._nature, self._report
        if read_c is None:
            self._forget_candidate()
            self._same_c = None
            never = last is None or last.health is Health.NEVER_SEEN
            return self._say(
                Health.NEVER_SEEN if never else Health.LOST, None, None, now_s, f"no {nature.name} reading"
            )
        if not nature.low_c <= read_c <= nature.high_c:
            self._forget_candidate()
            self._same_c = None
            return self._say(Health.IMPLAUSIBLE, None, read_c, now_s, self._out_of_range(read_c))
        stuck = self._is_stuck(read_c, expected_c if driven_c is None else driven_c)
        before = Health.OK if last is None else last.health
        if stuck:
            self._forget_candidate()
            self._good_c = None
            words = (
                f"{nature.name} transducer reads {read_c:.1f} °C and does not move; check it (frozen, loose, driver)"
            )
            return self._say(Health.STUCK, None, read_c, now_s, words)
        if before is Health.STUCK or self._candidate_c is not None or self._jumps(read_c, now_s):
            if self._candidate_c is not None and self._back(read_c, now_s):
                self._forget_candidate()
            elif not self._stayed(read_c, expected_c, now_s):
                words = f"{nature.name} transducer jumped to {read_c:.1f} °C: not used; check it and its cable"
                return self._say(Health.JUMPED, None, read_c, now_s, words)
        if expected_c is not None:
            allowed_k = nature.disbelief_k - (_DEAD_BAND_K if before is Health.IMPLAUSIBLE else 0.0)
            if read_c < expected_c - allowed_k:
                words = (
                    f"{nature.name} transducer reads {read_c:.1f} °C, {expected_c:.1f} °C is expected: not used; "
                    "check it"
                )
                return self._say(Health.IMPLAUSIBLE, None, read_c, now_s, words)
        self._good_c, self._good_at_s = read_c, now_s
        return self._say(Health.OK, read_c, read_c, now_s, "")

    def _is_stuck(self, read_c: float, driven_c: float | None) -> bool:
        most_k = self._nature.stuck_after_k
        if most_k is None:
            return False
        if self._same_c is None or abs(read_c - self._same_c) > _SAME_K:
            if self._same_c is not None:
                self._finest_k = min(self._finest_k, abs(read_c - self._same_c))
            self._same_c = None if driven_c is None else read_c
            if driven_c is not None:
                self._driven_low_c = self._driven_high_c = driven_c
            return False
        if driven_c is not None:
            self._driven_low_c = min(self._driven_low_c, driven_c)
            self._driven_high_c = max(self._driven_high_c, driven_c)
        moved_k = self._driven_high_c - self._driven_low_c
        return moved_k > min(most_k, max(_STUCK_STEPS * self._finest_k, _STUCK_SHARE * most_k))

    def _jumps(self, read_c: float, now_s: float) -> bool:
        return self._good_c is not None and not self._moved_naturally(self._good_c, self._good_at_s, read_c, now_s)

    def _back(self, read_c: float, now_s: float) -> bool:
        """Where it was before the jump, as far as nature may have moved since; and by half of the jump at least."""
        return (
            self._good_c is not None
            and abs(read_c - self._good_c) <= 0.5 * self._jump_k
            and self._moved_naturally(self._good_c, self._good_at_s, read_c, now_s)
        )

    def _moved_naturally(self, from_c: float, from_s: float, to_c: float, now_s: float) -> bool:
        return abs(to_c - from_c) <= self._nature.noise_k + self._nature.fastest_k_s * max(0.0, now_s - from_s)

    def _stayed(self, read_c: float, expected_c: float | None, now_s: float) -> bool:
        at_c = self._candidate_c
        if at_c is None and self._good_c is not None:
            self._jump_k = abs(read_c - self._good_c)
        agrees = expected_c is None or abs(read_c - expected_c) <= self._nature.disbelief_k - _DEAD_BAND_K
        if at_c is None or not agrees or not self._moved_naturally(at_c, self._candidate_at_s, read_c, now_s):
            self._candidate_since_s = now_s
        self._candidate_c, self._candidate_at_s = read_c, now_s
        if now_s - self._candidate_since_s < self._nature.believed_again_s:
            return False
        self._forget_candidate()
        return True

    def _forget_candidate(self) -> None:
        self._candidate_c = None

    def _out_of_range(self, read_c: float) -> str:
        name, low_c, high_c = self._nature.name, self._nature.low_c, self._nature.high_c
        if not isfinite(read_c):
            return f"{name} transducer gives no number; check its register and its scale in sensor_map"
        if _KELVIN[0] <= read_c <= _KELVIN[1]:
            return (
                f"{name} transducer reads {read_c:g}, which is {read_c - 273.15:.1f} °C if it is in kelvin: not used; "
                "give it an offset of -273.15 in sensor_map"
            )
        return (
            f"{name} transducer reads {read_c:g} °C, outside of {low_c:g}..{high_c:g} °C: not used; check it, its "
            "cable and its scale in sensor_map"
        )

    def _say(self, health: Health, value: float | None, read: float | None, now_s: float, words: str) -> SensorReport:
        last = self._report
        same = last is not None and last.health is health
        if last is not None and same and last.read == read and last.words == words:
            return last
        since_s = last.since_s if last is not None and same else now_s
        self._report = SensorReport(health=health, value=value, read=read, since_s=since_s, words=words)
        return self._report
