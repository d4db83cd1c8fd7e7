"""Values that events and commands carry. Signs: positive charges the vehicle, negative discharges it.

Limits are magnitudes (>= 0), those of discharge too. Volts, amperes, watts, watt-hours, seconds.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class EnergyService(enum.IntEnum):
    """ServiceID of an energy transfer service."""

    AC = 1
    DC = 2
    AC_BPT = 5
    DC_BPT = 6
    MCS = 8
    MCS_BPT = 9
    AC_DER_IEC = 10
    AC_DER_SAE = 11

    @property
    def is_ac(self) -> bool:
        """The vehicle rectifies and inverts; messages are those of the AC namespace, with DER those of its own."""
        return self in (EnergyService.AC, EnergyService.AC_BPT) or self.is_der

    @property
    def is_bpt(self) -> bool:
        """Power may flow both ways."""
        return self in (EnergyService.AC_BPT, EnergyService.DC_BPT, EnergyService.MCS_BPT) or self.is_der

    @property
    def is_der(self) -> bool:
        """The vehicle's own inverter follows a grid code that the EVSE hands over; always both ways."""
        return self in (EnergyService.AC_DER_IEC, EnergyService.AC_DER_SAE)

    @property
    def has_bpt_parameters(self) -> bool:
        """Its parameter sets name BPTChannel and GeneratorMode; those of DER do not, and have one path both ways."""
        return self.is_bpt and not self.is_der

    @property
    def is_mcs(self) -> bool:
        """Through the connector of the megawatt charging system; messages are those of the DC namespace."""
        return self in (EnergyService.MCS, EnergyService.MCS_BPT)


class ControlMode(enum.IntEnum):
    """Service parameter ControlMode: the vehicle follows a schedule it chose, or a set-point given in the loop."""

    SCHEDULED = 1
    DYNAMIC = 2


class MobilityNeedsMode(enum.IntEnum):
    """Service parameter MobilityNeedsMode: who says when the vehicle leaves and what it needs until then."""

    BY_EVCC = 1
    BY_SECC = 2


class BptChannel(enum.IntEnum):
    """Service parameter BPTChannel: one path for both directions, or one each, chosen at PowerDelivery."""

    UNIFIED = 1
    SEPARATED = 2


class McsConnector(enum.IntEnum):
    """Service parameter Connector of the services MCS and MCS_BPT. Values as in libiso15118 of EVerest."""

    MCS = 1
    CHAOJI = 2
    ULTRA_CHAOJI = 3
    R_MCS = 4
    X_MCS = 5
    AVIATION = 6
    MARINE = 7


class GeneratorMode(enum.IntEnum):
    """Service parameter GeneratorMode."""

    GRID_FOLLOWING = 1
    GRID_FORMING = 2


class EndReason(enum.StrEnum):
    """Why a session ended. The value is the code that operators see in comms.log."""

    STOPPED = "SESSION_STOPPED"
    """SessionStop(Terminate) was exchanged."""
    PAUSED = "SESSION_PAUSED"
    """SessionStop(Pause) was exchanged; ``machine.paused`` holds what a later machine needs to resume."""
    TIMEOUT_SECC = "SECC_TIMEOUT"
    """The vehicle was silent longer than the sequence timeout."""
    TIMEOUT_EVCC = "EVCC_TIMEOUT"
    """The SECC did not answer, or answered Ongoing for too long."""
    FAILED_BY_US = "SESSION_FAILED"
    """We answered FAILED_* (SECC), or gave up for a reason of ours."""
    FAILED_BY_PEER = "PEER_FAILED"
    """The peer answered FAILED_* or broke the protocol."""
    PROTOCOL_ERROR = "PROTOCOL_ERROR"
    """Bytes that are not V2GTP or EXI, or a message that is too large."""
    PEER_CLOSED = "PEER_CLOSED"
    """The stream ended without SessionStop."""
    ABORTED = "SESSION_ABORTED"
    """The owner gave :class:`pyiso15118.commands.Abort`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DcLimits:
    """Limits of one side of a DC connection: magnitudes, all >= 0. Discharge limits are 0 without BPT."""

    max_charge_power_w: float
    min_charge_power_w: float = 0.0
    max_charge_current_a: float
    min_charge_current_a: float = 0.0
    max_voltage_v: float
    min_voltage_v: float
    max_discharge_power_w: float = 0.0
    min_discharge_power_w: float = 0.0
    max_discharge_current_a: float = 0.0
    min_discharge_current_a: float = 0.0


@dataclass(frozen=True, slots=True)
class AcPower:
    """Active (W) or reactive (var) power of an AC connection.

    ``l1`` is that of all phases together where ``l2`` and ``l3`` are None, else that of phase L1: as the elements
    without suffix, with _L2 and with _L3 are read.
    """

    l1: float
    l2: float | None = None
    l3: float | None = None

    @property
    def total(self) -> float:
        """All phases together."""
        return self.l1 + (self.l2 or 0.0) + (self.l3 or 0.0)

    @property
    def phases(self) -> tuple[float, ...]:
        """The values that are there, L1 first."""
        return tuple(value for value in (self.l1, self.l2, self.l3) if value is not None)


ZERO_POWER = AcPower(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcLimits:
    """Active-power limits of one side of an AC connection in W: magnitudes, all >= 0. Discharge is 0 without BPT."""

    max_charge_power: AcPower
    min_charge_power: AcPower = ZERO_POWER
    max_discharge_power: AcPower = ZERO_POWER
    min_discharge_power: AcPower = ZERO_POWER


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyNeeds:
    """What the vehicle needs until departure; None where it did not say.

    ``departure_time_s`` counts from the message. Energy requests in Wh: positive to be charged, negative surplus.
    ``*_soc_pct`` in percent, 0..100.
    """

    departure_time_s: int | None = None
    target_energy_wh: float | None = None
    max_energy_wh: float | None = None
    min_energy_wh: float | None = None
    max_v2x_energy_wh: float | None = None
    min_v2x_energy_wh: float | None = None
    min_soc_pct: int | None = None
    target_soc_pct: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReading:
    """The EVSE's meter, in Wh since it was built in; shown to the vehicle and, in MeteringConfirmation, signed by it.

    ``signature``: what a fiscal meter signs, up to 64 bytes. ``at_unix_s``: when it was read.
    """

    meter_id: str
    charged_energy_wh: int
    discharged_energy_wh: int | None = None
    status: int | None = None
    signature: bytes | None = None
    at_unix_s: int | None = None
