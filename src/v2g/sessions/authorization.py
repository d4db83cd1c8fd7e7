"""Who may charge: the answer to a vehicle's request for external identification (EIM)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """``evccid`` is what the vehicle claims. ``fault``: what is wrong with the EVSE now, or None."""

    evse_id: str
    evccid: str
    fault: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    granted: bool
    reason: str = ""


class AuthorizationPolicy(Protocol):
    def decide(self, request: AuthorizationRequest) -> Authorization: ...


class GrantUnlessFaulted:
    """Any vehicle at an EVSE that works: access is a matter of the site, as at a depot."""

    def decide(self, request: AuthorizationRequest) -> Authorization:
        if request.fault is not None:
            return Authorization(granted=False, reason=f"EVSE fault: {request.fault}")
        return Authorization(granted=True)
