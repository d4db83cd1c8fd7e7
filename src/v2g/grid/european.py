"""European profiles, 50 Hz: examples, not verified against the standards' own texts. Their times are those of the relay
(:attr:`~v2g.grid.settings.Timing.OPERATE`): the breaker's own time comes on top.
"""

from __future__ import annotations

from dataclasses import dataclass

from v2g.grid.settings import EnterServiceSettings, Measured, Side, Timing, TripSetting

NOMINAL_HZ = 50.0


@dataclass(frozen=True, slots=True)
class Example:
    """``standard`` as people call it."""

    standard: str
    elements: tuple[TripSetting, ...]
    enter_service: EnterServiceSettings


def _elements(clause: str, rows: tuple[tuple[str, Measured, Side, float, float], ...]) -> tuple[TripSetting, ...]:
    return tuple(
        TripSetting(name, quantity, side, threshold, time_s, clause, Timing.OPERATE)
        for name, quantity, side, threshold, time_s in rows
    )


_V, _V_10MIN, _F, _ROCOF = Measured.VOLTAGE, Measured.VOLTAGE_10MIN, Measured.FREQUENCY, Measured.ROCOF
_OVER, _UNDER = Side.OVER, Side.UNDER
_VDE = "VDE-AR-N 4105:2018"
_G99 = "ENA EREC G99, type A, low voltage"
_EN = "EN 50549-1"


def _enter_service(clause: str) -> EnterServiceSettings:
    # A gradient of 10 % a minute: rated power after 600 s.
    return EnterServiceSettings(
        v_lo_pu=0.85, v_hi_pu=1.10, f_lo_hz=47.5, f_hi_hz=50.1, delay_s=60.0, ramp_s=600.0, clause=clause
    )


_ASSUMED = f"assumed as in {_VDE}; {{}} states none here"

EXAMPLES: dict[str, Example] = {
    "vde-ar-n-4105": Example(
        _VDE,
        _elements(
            f"{_VDE} (example)",
            (
                ("U>>", _V, _OVER, 1.25, 0.1),
                ("U>", _V_10MIN, _OVER, 1.10, 0.1),
                ("U<", _V, _UNDER, 0.80, 3.0),
                ("U<<", _V, _UNDER, 0.45, 0.3),
                ("f>", _F, _OVER, 51.5, 0.1),
                ("f<", _F, _UNDER, 47.5, 0.1),
            ),
        ),
        _enter_service(f"{_VDE} (example)"),
    ),
    "g99": Example(
        _G99,
        _elements(
            f"{_G99} (example)",
            (
                ("U>", _V, _OVER, 1.14, 1.0),
                ("U>>", _V, _OVER, 1.19, 0.5),
                ("U<", _V, _UNDER, 0.80, 2.5),
                ("f<", _F, _UNDER, 47.5, 20.0),
                ("f<2", _F, _UNDER, 47.0, 0.5),
                ("f>", _F, _OVER, 52.0, 0.5),
                ("LoM", _ROCOF, _OVER, 1.0, 0.5),
            ),
        ),
        _enter_service(_ASSUMED.format("G99")),
    ),
    "en50549-1": Example(
        _EN,
        _elements(
            f"{_EN} (example of a national choice)",
            (
                ("U>>", _V, _OVER, 1.20, 0.1),
                ("U>", _V_10MIN, _OVER, 1.10, 3.0),
                ("U<", _V, _UNDER, 0.85, 1.5),
                ("U<<", _V, _UNDER, 0.40, 0.1),
                ("f>", _F, _OVER, 51.5, 0.1),
                ("f<", _F, _UNDER, 47.5, 0.1),
            ),
        ),
        _enter_service(_ASSUMED.format("EN 50549-1")),
    ),
}
