"""What the EVCC remembers of a session, and what its functions are told and return. Immutable, all of it."""

from __future__ import annotations

from dataclasses import dataclass

from pyiso15118.commands import UpdateVehicle
from pyiso15118.evcc.config import EvccConfig
from pyiso15118.evcc.transitions import Outcome
from pyiso15118.events import DcLimits, EnergyService, Event
from pyiso15118.machine import SESSION_ID_BYTES
from pyiso15118.messages import common_types as ct


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Grows as the sequence advances. ``gave_up``: why the vehicle ends a session it did not want to end so."""

    session_id: bytes = bytes(SESSION_ID_BYTES)
    set_up: bool = False
    candidates: tuple[EnergyService, ...] = ()
    """Services that both sides have, the most wanted first; the first one is being looked at."""
    parameter_set_id: int = 0
    evse_limits: DcLimits | None = None
    pre_charge_reached: bool = False
    pre_charge_finished: bool = False
    contactors_closed: bool = False
    welding_checked: bool = False
    stopping: bool = False
    pausing: bool = False
    gave_up: str = ""

    @property
    def service(self) -> EnergyService:
        """Raises ``IndexError`` before ServiceDiscovery."""
        return self.candidates[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that a builder or handler may know. ``series_s``: how long the present request has been repeated."""

    config: EvccConfig
    session: Session
    header: ct.MessageHeaderType
    vehicle: UpdateVehicle | None
    series_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What an answer means. ``pause_s``: wait this long before the next request."""

    outcome: Outcome
    session: Session
    events: tuple[Event, ...] = ()
    pause_s: float = 0.0
