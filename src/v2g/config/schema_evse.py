"""The section ``evses``: each EVSE with its ratings and the devices it is made of."""

from __future__ import annotations

import enum
from typing import Annotated, Literal

from msgspec import Meta

from v2g.config.schema_base import EvseId, Percent, Port, Positive, Section
from v2g.config.schema_der import Der
from v2g.config.schema_plc import EvsePlc


class TlsProfileName(enum.StrEnum):
    STRICT = "strict"
    COMPAT = "compat"
    PLAIN = "plain"
    """Test mode: no TLS. Refused unless ``pki.allow_plain`` is true."""


class ModbusTls(Section, frozen=True, kw_only=True):
    """Modbus/TCP Security: mutual TLS. Paths of PEM files, absolute or relative to the configuration directory."""

    ca: str
    """The authority of the devices."""
    certificate: str
    """Ours, with the role that the device demands in its extension 1.3.6.1.4.1.50316.802.1."""
    key: str
    """Ours, mode 0600."""
    server_name: str = ""
    """Name that the device's certificate must bear; empty: ``host``."""


class ModbusAddress(Section, frozen=True, kw_only=True):
    host: Annotated[str, Meta(min_length=1)]
    """Address or name; a name is looked up when the connection is made."""
    port: Port = 502
    """802 is the registered port of Modbus/TCP Security."""
    unit: Annotated[int, Meta(ge=1, le=255)] = 1
    """Unit 0 is a broadcast behind a gateway: every device there would obey, and none answer."""
    tls: ModbusTls | None = None
    """None: Modbus TCP without TLS."""


class HarmonicFilter(Section, frozen=True, kw_only=True):
    """How this inverter's distortion can be lowered: by its PWM carrier frequency or its vendor's filter level.

    The range and the step are the register map's (role ``carrier_hz`` or ``filter_level``).
    """

    map: str
    """Register map with the roles of :mod:`v2g.hardware.filter_registers`, read over the inverter's own connection."""
    threshold: Annotated[float, Meta(ge=0.005, le=0.2)] | None = None
    """THD of the feeder's current, 0.03 is 3 %; None: the site's ``harmonic_filter.threshold``."""
    temperature_limit_c: Annotated[float, Meta(ge=30, le=150)] = 85.0
    """A higher carrier frequency heats the switches: above this the filter steps back."""


class Inverter(Section, frozen=True, kw_only=True):
    driver: Literal["sunspec", "register_map"] = "sunspec"
    """``sunspec``, or ``register_map`` for a vendor's own registers."""
    modbus: ModbusAddress
    """Where it is."""
    map: str = ""
    """With ``register_map``: name of a map in ``devices/`` of the configuration directory, a built-in one, or the path
    of a YAML file."""
    max_charge_w: Positive | None = None
    """Site limit below the device's own rating, magnitude."""
    max_discharge_w: Positive | None = None
    """As ``max_charge_w``, of discharge."""
    ramp_w_s: Positive | None = None
    """Ramp rate that is written into the device where it has one; None: the device's own."""
    efficiency: Annotated[float, Meta(gt=0.5, le=1)] = 0.97
    """DC to AC. A vehicle's limits are DC: so much of them is what it may be discharged with at the AC terminals."""
    accept_low_efficiency: bool = False
    """Discharge although the discharge test measured less than 97 %."""
    harmonic_filter: HarmonicFilter | None = None
    voltage_channels: tuple[str, str, str] | None = None
    """Channels of the waveform buffer that measure this inverter's own terminals; None: only the feeder's are."""
    phase_offset_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Calibrated offset of ``voltage_channels``."""
    configure_functions: bool = True
    """Write enter service, trip curves and grid-support functions into the device where it has the models."""
    poll_s: Annotated[float, Meta(ge=0.05, le=0.5)] = 0.2
    """How often it is read while a vehicle is plugged in. A reading older than 1 s is none and stops the power, so the
    longest leaves room for one that is late by as much again."""
    reversion_s: Annotated[int, Meta(ge=1, le=60)] = 3
    """The inverter's own reversion to zero (SunSpec 704 WSetRvrtTms, 124 InOutWRte_RvrtTms, a map's ``watchdog_s``)."""


class DcOutput(Section, frozen=True, kw_only=True):
    driver: Literal["register_map"] = "register_map"
    """Registers by ``map``."""
    modbus: ModbusAddress
    """Where it is."""
    map: str = "v2g-dc-evse"
    """As :attr:`Inverter.map`."""


class AcOutput(Section, frozen=True, kw_only=True):
    """Contactor, meter and pilot of an AC EVSE."""

    driver: Literal["register_map"] = "register_map"
    """Registers by ``map``."""
    modbus: ModbusAddress
    """Where it is."""
    map: str = "v2g-ac-evse"
    """As :attr:`Inverter.map`."""


class _Evse(Section, frozen=True, kw_only=True):
    """One EVSE: an id, a network interface or ports of its own, ratings and devices."""

    id: EvseId
    """EVSEID of ISO 15118: country, operator, E, id; by it orders name the EVSE."""
    interface: str
    """Network interface at which its vehicle is."""
    sdp_port: Port = 15118
    """UDP port of the SECC discovery protocol."""
    tcp_port: Port = 15118
    """Named in the SDP response. Stacks such as Josev/EcoG refuse a response with a port outside 49152..65535."""
    tls: TlsProfileName = TlsProfileName.STRICT
    """``strict``: P-521 and Ed448 only; ``compat``: also P-256; ``plain``: no TLS, for tests."""
    negative_discharge_limits: bool = False
    """Send discharge limits below zero, as some stacks expect them."""
    meter_discharge_reading: bool = True
    """Send BPT_DischargedEnergyReadingWh in MeterInfo; EcoG's EVCC rejects that element."""
    max_charge_w: Positive = 22_000.0
    """What it may charge a vehicle with."""
    max_discharge_w: Positive = 22_000.0
    """What it may discharge a vehicle with, a magnitude."""
    min_soc_pct: Percent | None = None
    """No discharge here of a vehicle at or below this; None: the site's ``dispatch.min_soc_pct``."""
    plc: EvsePlc | None = None
    """A powerline modem at ``interface``; None: an Ethernet cable."""


class DcEvse(_Evse, frozen=True, kw_only=True, tag_field="kind", tag="DC"):
    """The EVSE's inverter turns AC into DC: ``inverter`` carries the power, ``dc`` the contactors and the cable."""

    connector: Literal["ccs", "mcs"] = "ccs"
    """``ccs``: vehicles are offered the services DC and DC_BPT; ``mcs``: MCS and MCS_BPT, the megawatt charging system,
    up to 1250 V and 3000 A."""
    max_voltage_v: Positive = 920.0
    """Highest voltage of its output."""
    min_voltage_v: Positive = 150.0
    """Lowest voltage of its output."""
    max_current_a: Positive = 80.0
    """Of its output."""
    phases: Literal["abc", "a", "b", "c"] = "abc"
    """Phases of the bus that the inverter is connected to."""
    inverter: Inverter
    """Carries the power."""
    dc: DcOutput
    """Contactors and cable."""


class AcEvse(_Evse, frozen=True, kw_only=True, tag_field="kind", tag="AC"):
    """The vehicle inverts: set-points go through ISO 15118, the guard's actuator is the contactor in ``ac``."""

    phases: Literal[1, 3] = 3
    """How many it has."""
    rotation: Literal["abc", "bca", "cab", "acb", "cba", "bac", "a", "b", "c"] = "abc"
    """Phases of the bus at the EVSE's L1, L2, L3; one letter for a single-phase EVSE."""
    max_current_a: Positive = 32.0
    """A phase, RMS."""
    allow_discharge: bool = False
    """Discharge by AC_BPT: the vehicle's own inverter then is the DER, and its conformity to IEEE 1547 rests on it."""
    der: Der = Der()
    """The grid code that its inverter is handed (ISO 15118-20 Amendment 1); without, it is handed none."""
    ac: AcOutput
    """Contactor, meter and pilot."""


Evse = DcEvse | AcEvse


def kind_of(evse: Evse) -> Literal["AC", "DC", "MCS"]:
    """As people read it: a DC EVSE by its connector."""
    if isinstance(evse, AcEvse):
        return "AC"
    return "MCS" if evse.connector == "mcs" else "DC"
