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
        "the frequency is outside the alarm window, or was within the last minute",
        "vehicles that discharge go on; a new discharge may begin a minute after the frequency is back",
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
