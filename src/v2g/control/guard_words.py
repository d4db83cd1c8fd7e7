"""The guard's words for people: what it blocks and what it does, by the names the status carries. Light to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """``what`` is the case, ``remedy`` what to do about it."""

    what: str
    remedy: str


_BLOCKS = {
    "new_discharge": Words(
        "the frequency is outside the alarm window, or was within the last ten seconds",
        "vehicles that discharge go on; a new discharge may begin ten seconds after the frequency is back",
    ),
    "relay_setting": Words(
        "the hardware relay is set above 1.10 per unit, or its setting is not stated",
        "set the relay to at most 1.10 per unit and state relay.setting_pu",
    ),
    "relay_feedback": Words(
        "hardware relay feedback is missing, or says what it cannot",
        "check relay.feedback_path, the contact's wiring and the driver of the input",
    ),
    "relay_failed": Words(
        "the voltage exceeded the hardware relay's setting for its delay and it did not open",
        "repair the relay, then v2g-tool --test-relay",
    ),
}

PHASE_MISMATCH = "Phase Mismatch"
"""Its element and its error: the inverter side is not in phase with the grid."""

_TRIP_REMEDIES = {
    PHASE_MISMATCH: "when the wiring named in power_quality.log is checked",
    "LOM": "once the upstream switch is closed",
    "50": "when the fault is found and cleared",
    "51": "when the overload or the fault is found and cleared",
    "LATCH_FILE": "when the trip is understood (its file could not be read)",
}

_OPERATIONS = {
    "mandatory": "rides through a disturbance and goes on exchanging power",
    "permissive": "rides through a disturbance",
    "momentary_cessation": "no power while the grid's voltage is disturbed; it is restored at once when it is back",
    "cease": "no power: the grid's voltage is beyond what is ridden through",
}


def block_words(name: str) -> Words:
    """Of a :class:`v2g.grid.protection.Block` by its name in lower case."""
    return _BLOCKS.get(name) or Words(name.replace("_", " "), "see v2g-tool explain and power_quality.log")


def operation_words(name: str) -> str:
    """Of a :class:`v2g.grid.settings.Operation` by its name in lower case; empty for continuous operation."""
    return "" if name == "continuous" else _OPERATIONS.get(name, name.replace("_", " "))


def trip_words(element: str, value: float) -> str:
    """``OF2 at 62.500 Hz``; without a value for what has none (loss of mains, a latch file that cannot be read)."""
    if element.startswith(("50", "51")):
        return f"{element} at {value:.0f} A"
    if element == PHASE_MISMATCH:
        return f"{element} at {value:+.1f} degrees"
    if element[:1] == "f" or element[1:2] == "F":
        return f"{element} at {value:.3f} Hz"
    if element[:1] == "U" or element[1:2] == "V":
        return f"{element} at {value:.3f} per unit"
    return element


def trip_remedy(element: str) -> str:
    """What to do before ``v2g-control trip reset``."""
    return _TRIP_REMEDIES.get(element[:2]) or _TRIP_REMEDIES.get(element) or "once the grid is back"
