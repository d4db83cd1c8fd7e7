"""What is known of one meter: its last believable power, what is wrong with it, counts and the last day. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from v2g.units import format_duration, format_power
from v2g.utility.meter_check import DayHistory, Slip, beyond_rating, gross_w, slip_by_history
from v2g.utility.meter_reading import MeterSpec, Reading, ReadingRefused, Register
from v2g.utility.meter_view import MeterLine, Phases

FUTURE_S = 5.0
"""Clocks of adapters may be so far ahead."""
LONGEST_DAY_S = 86_400.0
LEAST_INTERVAL_S = 10.0
"""A register of whole Wh tells a power within 360 W after this."""


@dataclass(slots=True)
class Counts:
    """Since the start of the daemon."""

    used: int = 0
    late: int = 0
    """Older than what was known: not used."""
    repeated: int = 0
    refused: int = 0
    gaps: int = 0
    """Times without a reading for longer than ``max_age_s``."""


class MeterRecord:
    """``now_s`` is CLOCK_MONOTONIC, ``unix_s`` the wall clock at the same moment.

    An age is the longer one by the two clocks: a wall clock that goes back makes nothing fresh, nor does a host that
    was suspended, in which CLOCK_MONOTONIC stood still.
    """

    def __init__(self, spec: MeterSpec) -> None:
        self.spec = spec
        self.counts = Counts()
        self.history = DayHistory()
        self.slip: Slip | None = None
        self._power_w: Phases | None = None
        self._remark = ""
        self._told_w: Phases | None = None
        """The last reading, believed or not."""
        self._at_unix_s = -math.inf
        """Of the newest that arrived, used or not."""
        self._as_of_s = self._read_unix_s = -math.inf
        """Of ``_told_w``, by the two clocks."""
        self._register: Register | None = None
        self._energy = False
        self._phases: frozenset[str] = frozenset()
        """All that it ever told."""
        self._lost = ""
        self._rejected = ""

    # ---- what arrives -------------------------------------------------------------------------------------------

    def take(self, reading: Reading, now_s: float, unix_s: float) -> str:
        """Empty: used; else why not, though nothing is wrong with it. Raises :class:`ReadingRefused`."""
        self._lost = ""
        self._require_phases(reading.phases)
        if why := self._out_of_turn(reading.at_unix_s, unix_s, reading.power_w == self._told_w):
            return why
        self._energy = False
        self._phases |= set(reading.phases)
        self._use(reading, now_s, unix_s)
        return ""

    def take_register(self, register: Register, now_s: float, unix_s: float) -> str:
        """As :meth:`take`; the power is the mean since the reading before."""
        self._require_phases(register.phases)
        before = self._register
        same = before is not None and register.energy_wh == before.energy_wh
        if why := self._out_of_turn(register.at_unix_s, unix_s, same):
            return why
        if before is None or not self._energy or before.phases != register.phases:
            self._begin(register)
            return "a first reading of the register: power follows from the next"
        interval_s = register.at_unix_s - before.at_unix_s
        if interval_s < LEAST_INTERVAL_S:
            return f"ignored: less than {LEAST_INTERVAL_S:g} s after the reading before, too short for a power"
        self._begin(register)
        if interval_s > self.spec.max_age_s:
            self.counts.gaps += 1
            return (
                f"{format_duration(round(interval_s))} since the reading before, more than max_age_s "
                f"({self.spec.max_age_s:g} s): power follows from the next"
            )
        a, b, c = (
            (new - old) * 3600.0 / interval_s for new, old in zip(register.energy_wh, before.energy_wh, strict=True)
        )
        self._use(
            Reading(at_unix_s=register.at_unix_s, power_w=(a, b, c), remark=register.remark), now_s, unix_s, gap=False
        )
        return ""

    def lose(self, why: str) -> None:
        """The device does not answer, or makes no sense; what it told last holds until it is too old."""
        self._lost = why

    # ---- what is known ------------------------------------------------------------------------------------------

    def age_s(self, now_s: float, unix_s: float) -> float | None:
        if self._told_w is None:
            return None
        return max(now_s - self._as_of_s, unix_s - self._read_unix_s)

    def told_w(self, now_s: float, unix_s: float) -> Phases | None:
        """The last reading while it is fresh, plausible by itself or not."""
        age_s = self.age_s(now_s, unix_s)
        return self._told_w if age_s is not None and age_s <= self.spec.max_age_s else None

    def line(self, now_s: float, unix_s: float, of_sum: Slip | None = None) -> MeterLine:
        """``of_sum``: a slip that only the sum of all meters can tell."""
        age_s = self.age_s(now_s, unix_s)
        power_w, problem = self._power_w, self._remark
        if of_sum is not None and self.slip is None:
            power_w, problem = None, f"{self._slip_words(of_sum)}; the sum of all meters tells it"
        elif power_w is None:
            problem = self._rejected
        if age_s is None or age_s > self.spec.max_age_s:
            power_w, problem = None, self._missing_words(age_s)
        elif self._lost:
            problem = f"{problem}; {self._lost}" if problem else self._lost
        return MeterLine(id=self.spec.id, power_w=power_w, age_s=age_s, problem=problem)

    # ---- within -------------------------------------------------------------------------------------------------

    def _out_of_turn(self, at_unix_s: float, unix_s: float, same: bool) -> str:
        ahead_s = at_unix_s - unix_s
        if ahead_s > FUTURE_S:
            self.counts.refused += 1
            raise ReadingRefused(f"meter {self.spec.id}: {future_words(ahead_s, at_unix_s, unix_s)}")
        if self._at_unix_s > unix_s + FUTURE_S:
            # The host's clock was ahead and has been put right: what is known bears times that never were.
            self._at_unix_s, self._register, self.history = -math.inf, None, DayHistory()
        if at_unix_s > self._at_unix_s and unix_s - at_unix_s <= LONGEST_DAY_S:
            return ""
        if at_unix_s == self._at_unix_s:
            self.counts.repeated += 1
            if same:
                return "ignored: this reading is known"
            raise ReadingRefused(
                f"meter {self.spec.id}: another value was told for the same time before, which stays; give each "
                "reading its own time"
            )
        self.counts.late += 1
        if at_unix_s > self._at_unix_s:
            return "ignored: it is older than a day"
        return f"ignored: {format_duration(max(1, round(self._at_unix_s - at_unix_s)))} older than what is known"

    def _require_phases(self, phases: str) -> None:
        """A customer's connection does not lose phases; one that is left out is a gap in it, not 0."""
        if missing := self._phases - set(phases):
            self.counts.refused += 1
            raise ReadingRefused(
                f"meter {self.spec.id}: phase {', '.join(sorted(missing))} is missing, which it told before; write 0 "
                "where it draws nothing"
            )

    def _begin(self, register: Register) -> None:
        self._energy = True
        self._phases |= set(register.phases)
        self._register = register
        self._at_unix_s = register.at_unix_s

    def _use(self, reading: Reading, now_s: float, unix_s: float, gap: bool = True) -> None:
        if gap and reading.at_unix_s - self._at_unix_s > self.spec.max_age_s and math.isfinite(self._at_unix_s):
            self.counts.gaps += 1
        self._at_unix_s = self._read_unix_s = reading.at_unix_s
        self._as_of_s = now_s - max(0.0, unix_s - reading.at_unix_s)
        self._told_w = reading.power_w
        self.slip = slip_by_history(reading.power_w, self.history, self.slip)
        verdict: Slip | str = self.slip or beyond_rating(reading.power_w, self.spec.rated_w)
        if verdict:
            self._reject(reading.power_w, verdict)
        self._power_w, self._remark, self._rejected = reading.power_w, reading.remark, ""
        self.history.add(reading.at_unix_s, reading.power_w)
        self.counts.used += 1

    def _reject(self, power_w: Phases, verdict: Slip | str) -> None:
        self._power_w = None
        self.counts.refused += 1
        told = f"{format_power(gross_w(power_w))} told"
        if isinstance(verdict, Slip):
            usual_w = self.history.median_w()
            beside = "" if usual_w is None else f", {format_power(usual_w)} usual"
            self._rejected = f"{self._slip_words(verdict)} ({told}{beside}, {format_power(self.spec.rated_w)} rated)"
        else:
            self._rejected = (
                f"{told} {verdict} ({format_power(self.spec.rated_w)}); correct the meter's current transformer ratio, "
                "or rated_w in utility"
            )
        raise ReadingRefused(f"meter {self.spec.id}: {self._rejected}; the value is not used")

    def _slip_words(self, slip: Slip) -> str:
        if not self.spec.fed:
            return f"{slip}: check the scale factor W_SF and the current transformer ratio that are set in the meter"
        kilo, plain = ("kWh", "Wh") if self._energy else ("kW", "W")
        return f'{slip}: set "unit": "{kilo if slip is Slip.KW_AS_W else plain}" where its readings are written'

    def _missing_words(self, age_s: float | None) -> str:
        if age_s is None:
            nothing = "nothing heard of it yet"
            hint = f"write its readings to {self.spec.where}" if self.spec.fed else "it is being asked"
            return self._lost or f"{nothing}; {hint}"
        old = f"no reading for {format_duration(round(age_s))}, at most {self.spec.max_age_s:g} s are allowed"
        return f"{old}; {self._lost or 'is the process that writes them running?'}"


def future_words(ahead_s: float, at_unix_s: float, unix_s: float) -> str:
    if 0.5 * unix_s <= at_unix_s / 1000.0 <= 2.0 * unix_s:
        return f'"at" {at_unix_s:.0f} looks like milliseconds: give seconds since 1970, or ISO 8601'
    return (
        f'"at" is {format_duration(round(ahead_s))} in the future of this controller\'s clock: put the clocks right '
        "(timedatectl), or the time zone of the reading"
    )
