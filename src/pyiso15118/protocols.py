"""Which namespace carries the energy messages of a service."""

from __future__ import annotations

from pyiso15118.events import EnergyService
from pyiso15118.messages import Namespace

AC_PROTOCOLS = frozenset({Namespace.AC, Namespace.AC_DER_IEC, Namespace.AC_DER_SAE})
"""Their messages are those of AC; those of DER have more ways to say them."""
DER_PROTOCOLS = frozenset({Namespace.AC_DER_IEC, Namespace.AC_DER_SAE})


def protocol_of(service: EnergyService) -> Namespace:
    """The protocol that supportedAppProtocol has to agree on for ``service``."""
    match service:
        case EnergyService.AC_DER_IEC:
            return Namespace.AC_DER_IEC
        case EnergyService.AC_DER_SAE:
            return Namespace.AC_DER_SAE
        case _:
            return Namespace.AC if service.is_ac else Namespace.DC
