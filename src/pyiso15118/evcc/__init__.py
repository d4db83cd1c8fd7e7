"""The vehicle's side of ISO 15118-20. ``transitions.TRANSITIONS`` is the protocol in one table."""

from pyiso15118.evcc.config import EvccConfig, ProvisioningCredential
from pyiso15118.evcc.machine import EvccMachine
from pyiso15118.evcc.transitions import TRANSITIONS, Outcome, State

__all__ = ["TRANSITIONS", "EvccConfig", "EvccMachine", "Outcome", "ProvisioningCredential", "State"]
