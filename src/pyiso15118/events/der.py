"""Events of sessions in which the vehicle's inverter is a distributed energy resource (AC_DER_IEC, AC_DER_SAE)."""

from __future__ import annotations

from dataclasses import dataclass

from pyiso15118.der.functions import DerFunction
from pyiso15118.der.values import DerNameplate, DerState, GridCode
from pyiso15118.events.common import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class DerNameplateReceived(Event):
    """SECC, AC_DER_SAE: what the vehicle says of its inverter at parameter discovery. Not proven by anything."""

    nameplate: DerNameplate


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCodeSent(Event):
    """SECC: the vehicle was handed ``code``, at parameter discovery or (``in_loop``) because it changed.

    ``left_out``: what it asks for and the protocol has no words for. AC_DER_IEC has none for trips and for entering
    service, and only set-points in its loop: the rest of a change waits for the next parameter discovery.
    """

    code: GridCode
    in_loop: bool = False
    left_out: tuple[DerFunction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCodeWaits(Event):
    """SECC, AC_DER_IEC: the code was changed by what its charge loop cannot say. It reaches the vehicle with its next
    parameter discovery; a service renegotiation or a pause brings one about."""

    functions: tuple[DerFunction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DerStateReceived(Event):
    """SECC: what the vehicle's inverter does, told whenever it says another thing than before.

    ``not_enabled``: functions of the grid code that it does not carry out by its own word (AC_DER_SAE). Voltages and
    frequencies alone are no other thing.
    """

    state: DerState
    not_enabled: tuple[DerFunction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCodeReceived(Event):
    """EVCC: the code to keep to from now on, checked; it is told again whenever it changes (``in_loop``)."""

    code: GridCode
    in_loop: bool = False
