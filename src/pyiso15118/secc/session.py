"""What the SECC remembers of a session, and what a handler is told and returns. Immutable, all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyiso15118.commands import CableCheckFinished, UpdateEvse
from pyiso15118.events import DcLimits, EndReason, Event
from pyiso15118.machine import SESSION_ID_BYTES
from pyiso15118.messages import common_types as ct
from pyiso15118.messages.app_protocol import supportedAppProtocolRes
from pyiso15118.secc.config import ParameterSet, SeccConfig, ServiceOffer
from pyiso15118.secc.transitions import Outcome

Response = ct.V2GResponseType | supportedAppProtocolRes


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why the next request, whatever it is, will be answered with ``code``."""

    code: ct.responseCodeType
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Grows as the sequence advances. ``*_since`` are monotonic seconds, None while the matter is not under way."""

    session_id: bytes = bytes(SESSION_ID_BYTES)
    evccid: str = ""
    authorization_since: float | None = None
    authorized: bool | None = None
    offer: ServiceOffer | None = None
    parameter_set: ParameterSet | None = None
    vehicle_limits: DcLimits | None = None
    cable_check_since: float | None = None
    cable_check: CableCheckFinished | None = None
    pre_charge_target_v: float | None = None
    live: bool = False
    """The owner was asked for voltage and not yet told to take it away."""
    charging: bool = False
    """Energy may flow. Implies ``live``."""
    loop_answered: bool = False
    failure: Failure | None = None
    meter_info_sent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that a handler may know besides the request.

    ``evse`` is None where no state was given or it is older than ``evse_state_max_age_s``. ``held_out``: this request
    has waited as long as its handler asked for; it must be answered now. ``header`` is that of the response.
    """

    config: SeccConfig
    session: Session
    now: float
    header: ct.MessageHeaderType
    evse: UpdateEvse | None = None
    held_out: bool = False
    random: Callable[[int], bytes] = bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Answer now. ``detail`` tells people why a FAILED response was chosen; ``end``: why the session ends with it."""

    response: Response
    session: Session
    outcome: Outcome | None
    """None: the response is a FAILED one."""
    events: tuple[Event, ...] = ()
    detail: str = ""
    end: EndReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Answer later: ask again when the owner gave a command, or ``for_s`` seconds after the request arrived."""

    for_s: float
    session: Session
    events: tuple[Event, ...] = ()
