"""The guard's words for people: what it blocks and what it does, by the names the status carries. Light to import."""

from __future__ import annotations

from collections.abc import Iterable
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
    "EMERGENCY_STOP": "when it is known who pressed it and why, and it is released",
    "DOOR": "when nobody is inside and it is closed",
    "WINDING_STRESS": "when the transformer has been examined and the stress is within its limit",
    "LATCH_FILE": "when the trip is understood (its file could not be read)",
}

_INTERLOCKS = {
    "emergency_stop": Words("emergency stop pressed", "find out who pressed it and why, then release it"),
    "door": Words("door open", "see that nobody is inside, then close it"),
    "winding_stress": Words(
        "winding stress beyond its limit", "have the transformer examined before it carries a through-fault again"
    ),
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


def interlock_words(name: str) -> Words:
    """Of a :class:`v2g.guard.interlocks.Interlock` by its name, in either case."""
    name = name.lower()
    return _INTERLOCKS.get(name) or Words(f"{name.replace('_', ' ')} open", "see power_quality.log")


def is_interlock(element: str) -> bool:
    """Whether a trip's element is an interlock's."""
    return element.lower() in _INTERLOCKS


def lost_words(names: Iterable[str]) -> str:
    """``no word from the contact of the emergency stop``; empty without names."""
    told = " and ".join(f"the {name.replace('_', ' ')}" for name in names)
    return f"no word from the contact of {told}" if told else ""


def operation_words(name: str) -> str:
    """Of a :class:`v2g.grid.settings.Operation` by its name in lower case; empty for continuous operation."""
    return "" if name == "continuous" else _OPERATIONS.get(name, name.replace("_", " "))


def trip_words(element: str, value: float, unit: str, phase: str) -> str:
    """``OV2 on phase b at 1.213 per unit``, ``EMERGENCY_STOP (emergency stop pressed)``; without a value for what has
    none (loss of mains, a latch file that cannot be read), without a phase for what is of all of them. ``unit`` and
    ``phase`` as the guard's status has them."""
    if is_interlock(element):
        return f"{element} ({interlock_words(element).what})"
    where = f" on phase {phase}" if phase else ""
    return f"{element}{where} at {_value(value, unit)}" if unit else f"{element}{where}"


def trip_remedy(element: str) -> str:
    """What to do before ``v2g-control trip reset``."""
    return _TRIP_REMEDIES.get(element[:2]) or _TRIP_REMEDIES.get(element) or "once the grid is back"


def _value(value: float, unit: str) -> str:
    match unit:
        case "pu":
            return f"{value:.3f} per unit"
        case "Hz":
            return f"{value:.3f} Hz"
        case "A":
            return f"{value:.0f} A"
        case "deg":
            return f"{value:+.1f} degrees"
    return f"{value:.2f} {unit}"
