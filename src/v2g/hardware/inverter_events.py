"""What happened to an inverter between two of its readings. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.hardware.ports import InverterReading


@dataclass(frozen=True, slots=True)
class StateChanged:
    """In the device's own words; ``before`` is empty for the first that was told."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class AlarmRaised:
    name: str


@dataclass(frozen=True, slots=True)
class AlarmGone:
    name: str


InverterEvent = StateChanged | AlarmRaised | AlarmGone


def events(before: InverterReading | None, after: InverterReading) -> tuple[InverterEvent, ...]:
    """State first, then alarms in the order in which the device tells them.

    ``before`` None: nothing was read yet; alarms that stand already are raised. A state that is not told ("") is no
    change: the device has one nevertheless.
    """
    told_state = "" if before is None else before.state
    told_alarms = () if before is None else before.alarms
    happened: list[InverterEvent] = []
    if after.state and after.state != told_state:
        happened.append(StateChanged(told_state, after.state))
    happened += [AlarmRaised(name) for name in after.alarms if name not in told_alarms]
    happened += [AlarmGone(name) for name in told_alarms if name not in after.alarms]
    return tuple(happened)
