"""What the house asks of hardware: readings, commands and the Protocol classes that drivers fulfil.

Signs: power and current positive into the vehicle. ``as_of_s`` is CLOCK_MONOTONIC at the moment the value was
measured (read from the device); readers judge age by it. Every reading that a driver could not obtain is None or
absent, never an old value with a new time. Registers and wire formats stay inside the drivers.
"""

from __future__ import annotations

import enum
import math
from typing import Protocol

import msgspec


class DeviceError(Exception):
    """A device did not answer, answered nonsense or refused. The message names device, address and remedy."""


class InverterReading(msgspec.Struct, frozen=True, kw_only=True):
    """One read of a bidirectional inverter, whatever its driver. None: the device does not tell it."""

    evse_id: str
    as_of_s: float
    power_w: float
    """Active power at the AC terminals, positive: charges the vehicle."""
    reactive_var: float = 0.0
    """Positive: absorbs."""
    voltage_v: float = 0.0
    """Line-to-neutral, mean of phases."""
    frequency_hz: float = 0.0
    setpoint_w: float = 0.0
    """The set-point as read back from the device (0 when it is not enabled or cannot be read back)."""
    setpoint_enabled: bool = False
    reversion_armed: bool = False
    """Reversion to zero is written, read back and was seen counting; or heartbeats that stand for it are seen. Without
    it the device may not discharge."""
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
    dc_power_w: float | None = None
    """At its DC terminals, positive: into the vehicle."""
    temperature_c: float | None = None
    """Of its switches or heat sink: the hottest that it tells."""
    state: str = ""
    """Operating state in the device's own words (SunSpec names), for people and for events."""
    alarms: tuple[str, ...] = ()
    """By name; a subset of them makes a ``fault``."""


class InverterCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What an inverter shall do. ``reactive_var`` positive: absorbs; None: its own functions decide."""

    power_w: float
    reactive_var: float | None = None


class PilotState(enum.StrEnum):
    """IEC 61851-1 Annex A; SAE J1772."""

    A = "A"
    """No vehicle, +12 V."""
    B = "B"
    """Vehicle, not ready, +9 V."""
    C = "C"
    """Ready, +6 V."""
    D = "D"
    """Ready, ventilation required, +3 V."""
    E = "E"
    """0 V: shorted, or no supply."""
    F = "F"
    """-12 V: the EVSE is not available."""


class PilotReading(msgspec.Struct, frozen=True, kw_only=True):
    """The control pilot as the EVSE measures it. None: not measured there."""

    state: PilotState | None = None
    """What the device makes of it; judged by :mod:`v2g.hardware.pilot` where the levels are measured."""
    high_v: float | None = None
    """Positive level (the steady voltage without PWM)."""
    low_v: float | None = None
    """Negative level of the PWM; None without PWM."""
    duty_pct: float | None = None
    """0..100; 100: steady."""
    frequency_hz: float | None = None
    proximity_a: float | None = None
    """Rating of the cable by its proximity resistor."""
    earth_ohm: float | None = None
    """Protective-earth loop."""
    earth_ok: bool | None = None
    """Continuity as the device judges it."""
    toggles: int | None = None
    """B-C-B changes that the device itself counted since the vehicle was plugged in."""


class Insulation(enum.StrEnum):
    UNKNOWN = "unknown"
    TESTING = "testing"
    VALID = "valid"
    FAULT = "fault"


class DcEvseReading(msgspec.Struct, frozen=True, kw_only=True, tag="dc"):
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
    charged_energy_wh: float = math.nan
    """A total that only grows, like ``discharged_energy_wh``; NaN: the device counts none."""
    discharged_energy_wh: float = math.nan
    fault: str | None = None
    pilot: PilotReading | None = None
    """None: the device measures none."""


class DcEvseCommand(msgspec.Struct, frozen=True, kw_only=True, tag="dc"):
    """What the output stage shall do until the next command or until the lease ends."""

    target_voltage_v: float = 0.0
    current_limit_a: float = 0.0
    """Magnitude, both directions."""
    close_contactors: bool = False
    test_insulation: bool = False
    lock_connector: bool = False
    pilot_error: bool = False
    """State F on the pilot for as long as it is true: a vehicle whose powerline link failed begins anew."""


class AcEvseReading(msgspec.Struct, frozen=True, kw_only=True, tag="ac"):
    """One read of an AC EVSE: contactor, meter, pilot.

    Per-phase values are those of the EVSE's L1, L2, L3; of a single-phase EVSE the first counts and the others are 0.
    """

    evse_id: str
    as_of_s: float
    contactor_closed: bool
    """Feedback of its auxiliary contact, not the command."""
    contactor_commanded: bool
    plugged: bool
    connector_locked: bool
    voltage_v: tuple[float, float, float]
    """Line to neutral, RMS, on the supply side of the contactor."""
    current_a: tuple[float, float, float]
    """RMS, magnitude."""
    power_w: tuple[float, float, float]
    """Active, positive: into the vehicle."""
    reactive_var: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Positive: the vehicle takes it as a coil does."""
    max_current_a: float
    """Rating of contactor and meter, a phase."""
    charged_energy_wh: float = math.nan
    """A total that only grows, like ``discharged_energy_wh``; NaN: the device counts none."""
    discharged_energy_wh: float = math.nan
    pilot: PilotReading | None = None
    fault: str | None = None

    @property
    def total_w(self) -> float:
        """Active power of all phases, positive: into the vehicle."""
        return sum(self.power_w)

    @property
    def most_a(self) -> float:
        """Current of the phase that carries most, whatever sign a meter gives it and whatever phases are in use; NaN
        where one is not known."""
        return max(map(abs, self.current_a)) if all(map(math.isfinite, self.current_a)) else math.nan


class AcEvseCommand(msgspec.Struct, frozen=True, kw_only=True, tag="ac"):
    """What an AC EVSE shall do until the next command or until the lease ends."""

    close_contactor: bool = False
    lock_connector: bool = False
    pilot_duty_pct: float = 100.0
    """100: steady +12 V (no energy offered); 5: digital communication (IEC 61851-1, ISO 15118)."""
    pilot_error: bool = False
    """State F on the pilot: the EVSE is not available."""


class Quantity(enum.StrEnum):
    """What a transducer measures; names of channels in sensor_map.conf."""

    TOP_OIL_C = "top_oil_c"
    AMBIENT_C = "ambient_c"
    WINDING_C = "winding_c"
    WINDING_STRESS_MPA = "winding_stress_mpa"
    """Mechanical stress of the winding's clamping or conductor, by a strain sensor."""


class TransducerReading(msgspec.Struct, frozen=True, kw_only=True):
    quantity: Quantity
    as_of_s: float
    value: float


class InverterPort(Protocol):
    """A bidirectional inverter. Calls raise :class:`DeviceError`; after a timeout the connection was closed."""

    async def read(self) -> InverterReading: ...

    async def apply(self, command: InverterCommand) -> None:
        """Command power; reversion to zero is written with it where the device has one. Clamped to ratings by the
        driver."""

    async def close(self) -> None: ...


class DcEvsePort(Protocol):
    """The DC output stage, contactors, insulation monitor and lock of an EVSE."""

    async def read(self) -> DcEvseReading: ...

    async def apply(self, command: DcEvseCommand) -> None: ...

    async def close(self) -> None: ...


class AcEvsePort(Protocol):
    """Contactor, lock, meter and pilot of an AC EVSE."""

    async def read(self) -> AcEvseReading: ...

    async def apply(self, command: AcEvseCommand) -> None: ...

    async def close(self) -> None: ...


class HarmonicFilterPort(Protocol):
    """The one figure of an inverter by which its distortion is lowered. Calls raise :class:`DeviceError`."""

    @property
    def unit(self) -> str:
        """``Hz`` for a carrier frequency, empty for a vendor's level."""

    @property
    def steps(self) -> tuple[float, ...]:
        """What may be written, from the least filtering (its normal setting) to the most."""

    async def read(self) -> float:
        """What is set in the device."""

    async def temperature_c(self) -> float | None:
        """Of its switches; None: not told here."""

    async def apply(self, value: float) -> None:
        """Write one of :attr:`steps` where another is set, read back."""


class BreakerOutputPort(Protocol):
    """Hold-to-close output: ``hold(True)`` at least every 100 ms, the device opens after 500 ms without."""

    def hold(self, close: bool, now_s: float) -> None: ...

    def is_closed(self, now_s: float) -> bool | None:
        """Position feedback (52a contact); None when it is unknown or older than 500 ms."""
