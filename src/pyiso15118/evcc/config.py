"""What a vehicle is and wants."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyiso15118.errors import LocalProtocolError
from pyiso15118.events import EnergyService
from pyiso15118.timers import EvccTimers


@dataclass(frozen=True, slots=True, kw_only=True)
class EvccConfig:
    """One vehicle. ``services`` in order of preference, each used in dynamic mode.

    ``pre_charge_tolerance_v``: largest difference between both sides' voltages at which the vehicle closes its
    contactors. ``welding_voltage_v``: below this the EVSE's output counts as free of voltage in welding detection,
    which ends after ``welding_detection_s`` seconds in any case.
    """

    evccid: str
    services: tuple[EnergyService, ...] = (EnergyService.DC_BPT, EnergyService.DC)
    timers: EvccTimers = field(default_factory=EvccTimers)
    pre_charge_tolerance_v: float = 20.0
    welding_voltage_v: float = 60.0
    welding_detection_s: float = 2.0
    max_payload_bytes: int = 16_384

    def __post_init__(self) -> None:
        if not 1 <= len(self.evccid) <= 255:
            raise LocalProtocolError(f"evccid has {len(self.evccid)} characters, must have 1..255")
        if not self.services:
            raise LocalProtocolError("a vehicle must want at least one service")
        for service in self.services:
            if service not in (EnergyService.DC, EnergyService.DC_BPT):
                raise LocalProtocolError(f"service {service.name} is not one this machine can use")
