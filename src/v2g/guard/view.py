"""What ``wires`` and the orchestrator obey of the guard's status. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from v2g.grid.protection import Block
from v2g.grid.settings import Operation
from v2g.guard.interlocks import Interlock
from v2g.guard.status import GuardStatus, Permit

_URGENT_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardView:
    """``permit``: energy may flow. ``stop``: why it may not although the permit stands; empty otherwise.

    ``open_contactors``: contactors open whatever their sessions want. ``emergency``: for what, ``emergency_stop`` or
    ``lockout``; empty: because the breaker failed to open, and they have to do its work.
    """

    permit: bool
    stop: str
    open_contactors: bool
    blocks: Block
    curtail_charge: float
    curtail_discharge: float
    service_fraction: float
    v_pu: float
    """Mean of the phases."""
    frequency_hz: float | None
    emergency: str = ""


def view(status: GuardStatus) -> GuardView:
    """Of a status that its reader has already found fresh (or ``GUARD_STALE``)."""
    permit = status.permit is Permit.GRANTED
    operation = Operation(min(max(status.operation, 0), int(Operation.CEASE)))
    stop = operation.name.lower() if permit and operation >= Operation.MOMENTARY_CESSATION else ""
    emergency = _emergency(status)
    return GuardView(
        permit=permit,
        stop=stop,
        open_contactors=status.permit is Permit.BREAKER_FAILED or bool(emergency),
        emergency=emergency,
        blocks=Block(status.blocks),
        curtail_charge=status.curtail_charge,
        curtail_discharge=status.curtail_discharge,
        service_fraction=status.service_fraction,
        v_pu=sum(status.v_pu) / 3,
        frequency_hz=status.frequency_hz,
    )


def _emergency(status: GuardStatus) -> str:
    """A latched emergency stop, one that is pressed while another trip is latched, or a lock: also of a status that
    is stale."""
    stop = Interlock.EMERGENCY_STOP
    if stop in status.interlocks_open or status.trip_element == stop.name:
        return "emergency_stop"
    return "lockout" if status.locked_by or status.permit is Permit.LOCKOUT else ""


def allowance(view: GuardView) -> tuple[float, float, float]:
    """What bounds power by a share of it, and changes steadily."""
    return view.service_fraction, view.curtail_charge, view.curtail_discharge


def urgent(before: GuardView, now: GuardView) -> bool:
    """Whether the change cannot wait: anything but a share that grows, or shrinks by less than a hundredth."""
    return (
        (before.permit, before.stop, before.open_contactors, before.blocks)
        != (now.permit, now.stop, now.open_contactors, now.blocks)
    ) or any(
        # A share that is no number counts as lost.
        not new > old - _URGENT_SHARE
        for old, new in zip(allowance(before), allowance(now), strict=True)
    )
