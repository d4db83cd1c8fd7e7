"""The charger's side of ISO 15118-20. ``transitions.TRANSITIONS`` is the protocol in one table."""

from pyiso15118.secc.config import (
    DC_SERVICES,
    ParameterSet,
    SeccConfig,
    ServiceOffer,
    ValueAddedOffer,
    ValueAddedSet,
)
from pyiso15118.secc.machine import SeccMachine
from pyiso15118.secc.transitions import TRANSITIONS, Outcome, State

__all__ = [
    "DC_SERVICES",
    "TRANSITIONS",
    "Outcome",
    "ParameterSet",
    "SeccConfig",
    "SeccMachine",
    "ServiceOffer",
    "State",
    "ValueAddedOffer",
    "ValueAddedSet",
]
