"""What the house asks of hardware: readings, commands and the Protocol classes that drivers fulfil.

Signs: power and current positive into the vehicle. ``as_of_s`` is CLOCK_MONOTONIC at the moment the value was
measured (read from the device); readers judge age by it. Every reading that a driver could not obtain is None or
absent, never an old value with a new time. Registers and wire formats stay inside the drivers.
"""

from __future__ import annotations

import enum
from typing import Protocol

import msgspec


class DeviceError(Exception):
    """A device did not answer, answered nonsense or refused. The message names device, address and remedy."""


class InverterReading(msgspec.Struct, frozen=True, kw_only=True):
    """One read of a bidirectional inverter (SunSpec 701, 702, 704)."""

    evse_id: str
    as_of_s: float
    power_w: float
    """Active power at the AC terminals, positive: charges the vehicle."""
    reactive_var: float = 0.0
    voltage_v: float = 0.0
    """Line-to-neutral, mean of phases."""
    frequency_hz: float = 0.0
    setpoint_w: float = 0.0
    """The set-point as read back from the device (0 when it is not enabled)."""
    setpoint_enabled: bool = False
    reversion_armed: bool = False
    """Reversion to zero is written, read back and was seen counting: without it the device may not discharge."""
    reversion_remaining_s: float = 0.0
    max_charge_w: float = 0.0
    """Rating, magnitude."""
    max_discharge_w: float = 0.0
    """Rating, magnitude."""
    connected: bool = False
    """The device says that it is connected to the grid and able to deliver."""
    fault: str | None = None
    anti_islanding: bool = False
    """Its own active islanding detection, read back as enabled."""


class InverterCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What an inverter shall do. ``reactive_var`` positive: absorbs; None: its own functions decide."""

    power_w: float
    reactive_var: float | None = None


class Insulation(enum.StrEnum):
    UNKNOWN = "unknown"
    TESTING = "testing"
    VALID = "valid"
    FAULT = "fault"


class DcEvseReading(msgspec.Struct, frozen=True, kw_only=True):
    """One read of a DC EVSE's output stage."""

    evse_id: str
    as_of_s: float
    present_voltage_v: float
    """At the EVSE's output, on the EVSE side of its contactors."""
    present_current_a: float
    """Positive into the vehicle."""
    contactors_closed: bool
    """Feedback of the EVSE's own contactors, not the command."""
    contactors_commanded: bool
    insulation: Insulation
    insulation_ohm: float
    connector_locked: bool
    plugged: bool
    max_voltage_v: float
    min_voltage_v: float
    max_current_a: float
    max_power_w: float
    charged_energy_wh: float = 0.0
    discharged_energy_wh: float = 0.0
    fault: str | None = None


class DcEvseCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What the output stage shall do until the next command or until the lease ends."""

    target_voltage_v: float = 0.0
    current_limit_a: float = 0.0
    """Magnitude, both directions."""
    close_contactors: bool = False
    test_insulation: bool = False
    lock_connector: bool = False


class Quantity(enum.StrEnum):
    """What a transducer measures; the names of sections in sensor_map.conf."""

    TOP_OIL_C = "top_oil_c"
    AMBIENT_C = "ambient_c"
    WINDING_C = "winding_c"


class TransducerReading(msgspec.Struct, frozen=True, kw_only=True):
    quantity: Quantity
    as_of_s: float
    value: float


class InverterPort(Protocol):
    """A bidirectional inverter. Calls raise :class:`DeviceError`; after a timeout the connection was closed."""

    async def read(self) -> InverterReading: ...

    async def apply(self, command: InverterCommand) -> None:
        """Command power, with reversion to zero armed first. Clamped to ratings by the driver."""

    async def close(self) -> None: ...


class DcEvsePort(Protocol):
    """The DC output stage, contactors, insulation monitor and lock of an EVSE."""

    async def read(self) -> DcEvseReading: ...

    async def apply(self, command: DcEvseCommand) -> None: ...

    async def close(self) -> None: ...


class TransducerPort(Protocol):
    async def read(self) -> tuple[TransducerReading, ...]: ...

    async def close(self) -> None: ...


class BreakerOutputPort(Protocol):
    """Hold-to-close output: ``hold(True)`` at least every 100 ms, the device opens after 500 ms without."""

    def hold(self, close: bool, now_s: float) -> None: ...

    def is_closed(self, now_s: float) -> bool | None:
        """Position feedback (52a contact); None when it is unknown or older than 500 ms."""
