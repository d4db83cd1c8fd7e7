"""The control pilot judged: levels, duty cycle, frequency and protective earth. Pure.

IEC 61851-1:2017 Annex A; SAE J1772 has the same circuit and the same states. The EVSE puts +12 V, or a square wave of
±12 V, behind 1 kΩ on the pilot wire; the vehicle loads its positive half through a diode, and the level that remains
says in which state it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from v2g.hardware.ports import PilotReading, PilotState

SOURCE_V: Final = (11.4, 12.6)
"""Generator without load, magnitude of either half: 12 V ± 5 % (Table A.2)."""
FREQUENCY_HZ: Final = (995.0, 1005.0)
"""1 kHz ± 0.5 % (Table A.2). A vehicle has to accept 980..1020 Hz."""
DUTY_TOLERANCE_PCT: Final = 0.5
"""Of a pulse that is right within ± 5 µs of 1 ms (Table A.2): 4.5..5.5 % for digital communication (Table A.7)."""
DIGITAL_DUTY_PCT: Final = 5.0
STEADY_DUTY_PCT: Final = 100.0
MAX_EARTH_OHM: Final = 50.0 / 0.030
"""50 V of touch voltage at the 30 mA of the residual-current device that each connecting point has (IEC 60364-4-41
411.5.3, IEC 60364-7-722 722.531)."""

DETECTION_V: Final = {
    PilotState.A: (11.0, 13.0),
    PilotState.B: (8.0, 10.0),
    PilotState.C: (5.0, 7.0),
    PilotState.D: (2.0, 4.0),
    PilotState.E: (-1.0, 1.0),
    PilotState.F: (-13.0, -11.0),
}
"""Positive level by which the EVSE knows the state, nominal ± 1 V (Table A.4); between two ranges, either."""

_STEADY_ABOVE_PCT = 99.5
_DOWNWARDS = (PilotState.A, PilotState.B, PilotState.C, PilotState.D, PilotState.E)
_ENERGY = frozenset({PilotState.C, PilotState.D})
_FAULT_STATES: dict[PilotState | None, str] = {
    PilotState.E: "state E (shorted, or no supply)",
    PilotState.F: "state F (the EVSE says that it is not available)",
}


@dataclass(frozen=True, slots=True)
class PilotFinding:
    """One limit that is not kept. ``measured`` None: it is not measured."""

    limit: str
    measured: float | None
    low: float
    high: float
    unit: str

    def __str__(self) -> str:
        if self.limit == STATE:
            return "the level is that of no state" if self.measured is not None else "no state is measured"
        measured = "not measured" if self.measured is None else f"{self.measured:.4g} {self.unit}"
        allowed = f"at most {self.high:.4g}" if self.low == -math.inf else f"{self.low:.4g}..{self.high:.4g}"
        return f"{self.limit} {measured}, allowed {allowed} {self.unit}"


STATE: Final = "state"
HIGH: Final = "positive level"
LOW: Final = "negative level"
DUTY: Final = "duty cycle"
FREQUENCY: Final = "frequency"
EARTH: Final = "protective earth"

# A negative half that is not there says that the vehicle's diode is shorted, or that this is no vehicle; a lost
# protective conductor makes every fault of insulation dangerous.
_BARS_ENERGY = frozenset({STATE, LOW, EARTH})


@dataclass(frozen=True, slots=True)
class PilotVerdict:
    """``state`` by the measured level, else what the device says; None: none is known."""

    state: PilotState | None
    passed: bool
    findings: tuple[PilotFinding, ...] = ()

    @property
    def problem(self) -> str:
        """What is wrong, for people; empty: nothing."""
        said = [_FAULT_STATES[self.state]] if self.state in _FAULT_STATES else []
        return "; ".join([*said, *map(str, self.findings)])

    @property
    def energy(self) -> bool:
        """Energy may flow: the vehicle is ready (C, D), its diode is there, the protective conductor too."""
        return self.state in _ENERGY and not any(finding.limit in _BARS_ENERGY for finding in self.findings)


def judge(
    reading: PilotReading,
    expected_duty_pct: float | None,
    *,
    before: PilotState | None = None,
    max_earth_ohm: float = MAX_EARTH_OHM,
) -> PilotVerdict:
    """Every limit of the pilot as it is measured; what the device does not measure is not judged, but for the state.

    ``expected_duty_pct``: what the EVSE was told to set, 100 for steady; None: not known. ``before``: the state until
    now, kept while the level is between two states' ranges.
    """
    state = reading.state if reading.high_v is None else state_of_level(reading.high_v, before)
    findings: list[PilotFinding] = []
    if state is None:
        findings.append(PilotFinding(STATE, reading.high_v, -13.0, 13.0, "V"))
    if reading.high_v is not None and state is not None:
        low, high = SOURCE_V if state is PilotState.A else DETECTION_V[state]
        if state is PilotState.F:
            low, high = -SOURCE_V[1], -SOURCE_V[0]
        _add(findings, HIGH, reading.high_v, low, high, "V")
    if state is not PilotState.F:
        findings += _wave(reading, expected_duty_pct)
    if reading.earth_ohm is not None:
        _add(findings, EARTH, reading.earth_ohm, -math.inf, max_earth_ohm, "Ω")
    elif reading.earth_ok is False:
        findings.append(PilotFinding(EARTH, None, -math.inf, max_earth_ohm, "Ω"))
    failed = bool(findings) or state in (PilotState.E, PilotState.F)
    return PilotVerdict(state, not failed, tuple(findings))


def state_of_level(high_v: float, before: PilotState | None = None) -> PilotState | None:
    """The state that a positive level means (Table A.4); None for a level of none.

    Between two states' ranges it is ``before`` when that is one of the two, else E beside E, else the one that is
    further from energy: hysteresis without a figure of its own.
    """
    for state, (low, high) in DETECTION_V.items():
        if low <= high_v <= high:
            return state
    for upper, lower in pairwise(_DOWNWARDS):
        if DETECTION_V[lower][1] < high_v < DETECTION_V[upper][0]:
            if before in (upper, lower):
                return before
            return lower if lower is PilotState.E else upper
    return None


class PilotWatch:
    """The state over time: a change towards energy counts once it has lasted, any other at once.

    ``debounce_s``: how long C or D has to be seen. IEC 61851-1:2017 Table A.6 gives the EVSE 3 s to close and 0.1 s to
    open, so that only closing may wait.
    """

    def __init__(self, *, debounce_s: float = 0.1, max_earth_ohm: float = MAX_EARTH_OHM) -> None:
        self._debounce_s = debounce_s
        self._max_earth_ohm = max_earth_ohm
        self._state: PilotState | None = None
        self._energy_since_s: float | None = None
        self._energy = False

    def observe(self, reading: PilotReading, expected_duty_pct: float | None, now_s: float) -> PilotVerdict:
        verdict = judge(reading, expected_duty_pct, before=self._state, max_earth_ohm=self._max_earth_ohm)
        self._state = verdict.state
        if not verdict.energy:
            self._energy_since_s = None
        elif self._energy_since_s is None:
            self._energy_since_s = now_s
        self._energy = self._energy_since_s is not None and now_s - self._energy_since_s >= self._debounce_s
        return verdict

    @property
    def energy(self) -> bool:
        """Energy may flow, and for long enough."""
        return self._energy


def ampacity_a(duty_pct: float) -> float | None:
    """Current a phase that a duty cycle offers (Table A.8); None: no figure of its own (digital, steady, not allowed).

    The vehicle has tolerances that the EVSE has not: 8..10 % is 6 A, 96..97 % is 80 A.
    """
    if 8.0 <= duty_pct < 10.0:
        return 6.0
    if 10.0 <= duty_pct <= 85.0:
        return duty_pct * 0.6
    if 85.0 < duty_pct <= 96.0:
        return (duty_pct - 64.0) * 2.5
    return 80.0 if 96.0 < duty_pct <= 97.0 else None


def duty_for_pct(current_a: float) -> float:
    """The duty cycle that offers ``current_a`` a phase (Table A.7). ValueError outside 6..80 A."""
    if not 6.0 <= current_a <= 80.0:
        raise ValueError(f"the pilot can offer 6..80 A, not {current_a:g} A")
    return current_a / 0.6 if current_a <= 51.0 else current_a / 2.5 + 64.0


def _wave(reading: PilotReading, expected_duty_pct: float | None) -> list[PilotFinding]:
    findings: list[PilotFinding] = []
    duty_pct = reading.duty_pct
    known = [value for value in (duty_pct, expected_duty_pct) if value is not None]
    # A generator that stands still where a wave is ordered must not hide that nothing tests the diode.
    steady = bool(known) and all(map(_is_steady, known))
    if duty_pct is not None and expected_duty_pct is not None:
        low, high = expected_duty_pct - DUTY_TOLERANCE_PCT, expected_duty_pct + DUTY_TOLERANCE_PCT
        if _is_steady(expected_duty_pct):
            low, high = _STEADY_ABOVE_PCT, STEADY_DUTY_PCT
        _add(findings, DUTY, duty_pct, low, high, "%")
    if steady:
        return findings
    if reading.low_v is not None:
        _add(findings, LOW, reading.low_v, -SOURCE_V[1], -SOURCE_V[0], "V")
    if reading.frequency_hz is not None:
        _add(findings, FREQUENCY, reading.frequency_hz, *FREQUENCY_HZ, "Hz")
    return findings


def _is_steady(duty_pct: float | None) -> bool:
    return duty_pct is not None and duty_pct >= _STEADY_ABOVE_PCT


def _add(findings: list[PilotFinding], limit: str, measured: float, low: float, high: float, unit: str) -> None:
    if not low <= measured <= high:
        findings.append(PilotFinding(limit, measured, low, high, unit))
