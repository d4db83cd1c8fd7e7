"""What orchestrator and ``wires`` say to each other over ``<run_dir>/wires.sock``.

A Unix stream socket, one peer at a time (a newer orchestrator replaces an older one). Each frame is a 4-byte
big-endian length and one msgpack value. ``Setpoints`` goes to ``wires`` every control cycle, ``Image`` comes back
every 100 ms. Times are CLOCK_MONOTONIC seconds. All of a frame is checked before any of it is used.

Each says the protocol that it speaks: one of another protocol is not used, whatever else is in it.
"""

from __future__ import annotations

import msgspec

from v2g.hardware.ports import (
    AcEvseCommand,
    AcEvseReading,
    DcEvseCommand,
    DcEvseReading,
    InverterReading,
    TransducerReading,
)

LINK_PROTOCOL = 1
"""One more with each change after which an older program would misread a frame."""


class PowerSetpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A leased power of one EVSE: after ``expires_at_s`` it is zero, whatever else holds.

    DC: what its inverter is commanded. AC: what its vehicle was told and may take or give; a measured power beyond it
    opens the contactor.
    """

    evse_id: str
    power_w: float
    source: str
    expires_at_s: float


class EvseSetpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A leased command of one EVSE. After expiry: DC, the current goes to zero, then the contactors open; AC, the
    contactor opens at once."""

    evse_id: str
    command: DcEvseCommand | AcEvseCommand
    source: str
    expires_at_s: float


class Setpoints(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One control cycle's commands. An EVSE that is absent keeps its lease until it ends, then goes to zero; one that
    ``wires`` does not know is left out."""

    protocol: int = LINK_PROTOCOL
    sequence: int
    sent_at_s: float
    powers: tuple[PowerSetpoint, ...] = ()
    evses: tuple[EvseSetpoint, ...] = ()
    filter_thresholds: dict[str, float] = {}
    """EVSE id -> THD of the feeder's current above which its harmonic filter is moved, 0.03 is 3 %. Absent: not set."""


class Reload(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Read configuration and sensor map again; answered with :class:`Reloaded` of the same ``id``."""

    id: int
    by: str


class Reloaded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """``accepted`` False: all is as before, and ``message`` says file, place and reason."""

    id: int
    accepted: bool
    message: str = ""


class SensorState(msgspec.Struct, frozen=True, kw_only=True):
    """One channel of the sensor map that ``wires`` reads. ``value`` None: none that may be used."""

    name: str
    value: float | None
    as_of_s: float | None
    problem: str = ""
    """Why there is no value, for people: old, implausible, not answered."""
    raw: float | None = None
    """Before scale, offset and calibration, as it came last."""


class FilterState(msgspec.Struct, frozen=True, kw_only=True):
    """The harmonic filter of one inverter."""

    evse_id: str
    threshold: float
    """0.03 is 3 %; 0: not set."""
    value: float | None
    """Carrier frequency in Hz, or level; None: not read yet."""
    unit: str
    active: bool
    """It is moved away from its normal setting."""
    thd_before: float | None = None
    """THD when its last movement began, and ..."""
    thd_now: float | None = None
    """... as measured now; None: the guard measures none, or too little current flows."""
    limited_by: str = ""
    """``temperature``, ``temperature unknown``, ``end of range``, ``device``: why it goes no further; or empty."""


class EfficiencyState(msgspec.Struct, frozen=True, kw_only=True):
    """Measured efficiency of one inverter, by direction and load band (share of its rating)."""

    evse_id: str
    bands: tuple[tuple[str, float, float, float, int], ...]
    """(``charge`` or ``discharge``, lower edge, upper edge, efficiency, readings)."""
    problem: str = ""
    """What cannot be: the transducers contradict each other."""


class DeviceHealth(msgspec.Struct, frozen=True, kw_only=True):
    """State of one Modbus connection, for status and logs. ``name``: ``inverter``, ``DC output`` or ``AC EVSE``
    with the EVSE's id, or ``transducers``."""

    name: str
    address: str
    online: bool
    last_answer_s: float | None = None
    error: str | None = None
    timeouts: int = 0
    reconnects: int = 0
    lacks: tuple[str, ...] = ()
    """Functions of an inverter that it does not do as the site wants them; comms.log has the reasons."""


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long Modbus devices of one kind took to answer, since ``wires`` started."""

    kind: str
    """One of :data:`DEVICE_KINDS`."""
    counts: tuple[int, ...]
    """By the buckets of :data:`LATENCY_EDGES_S`, not added up; the last is beyond them."""
    total_s: float


DEVICE_KINDS = ("inverter", "DC output", "AC EVSE", "transducers")
LATENCY_EDGES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5)


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What ``wires`` really commanded an inverter, or allows a vehicle at an AC EVSE, and what bound it: the name of a
    clamp, or None.

    ``bound_by`` is one of these. Power is zero for

    - ``breaker_failed``: the V2G breaker did not open; every contactor opens in its place;
    - ``emergency_stop``, ``lockout``: pressed or latched, locked out by somebody; every contactor opens;
    - ``lease_expired``; ``no_permit``;
    - ``momentary_cessation``, ``cease``: ride-through (IEEE 1547-2018 6.4.2); the permit stands;
    - ``stale_measurement``, ``device_fault``, ``insulation`` (not proved valid), ``contactors_open``;
    - ``enter_service``: the inverter left service by itself and is back; it waits the site's enter-service delay;
    - ``pilot`` (state E, F or lost, protective earth), ``overdraw`` (an AC vehicle that takes or gives more than it was
      told), ``contactor_open`` (AC);
    - discharge only: ``ac_discharge_off`` (the site does not allow it), ``relay`` (the hardware relay's setting,
      feedback or failure), ``no_reversion``, ``no_anti_islanding`` (neither the inverter's own detection nor a mains
      input).

    It is less, or other, than ordered for ``rating``, ``enter_service_ramp``, ``frequency_window`` (a discharge that
    runs goes on and does not grow, a new one is refused), ``frequency_droop``, ``volt_watt``, ``overcurrent``.
    """

    evse_id: str
    power_w: float
    source: str
    bound_by: str | None = None
    reactive_var: float | None = None
    """Commanded reactive power, positive: absorbed. None: not commanded."""


class Image(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All that ``wires`` knows, published whole."""

    protocol: int = LINK_PROTOCOL
    version: str = ""
    """Of the program; empty: it does not tell."""
    sequence: int
    as_of_s: float
    permit: bool
    permit_reason: str
    inverters: tuple[InverterReading, ...] = ()
    evses: tuple[DcEvseReading | AcEvseReading, ...] = ()
    transducers: tuple[TransducerReading, ...] = ()
    applied: tuple[Applied, ...] = ()
    devices: tuple[DeviceHealth, ...] = ()
    sensors: tuple[SensorState, ...] = ()
    filters: tuple[FilterState, ...] = ()
    efficiencies: tuple[EfficiencyState, ...] = ()
    latencies: tuple[Latency, ...] = ()


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    protocol: int = LINK_PROTOCOL
    version: str = ""


def other_protocol(payload: bytes) -> str:
    """Why a frame must not be used, though it could be read: it is of another protocol. Empty: it is of ours.

    Also of a frame that cannot be read as a whole, for which that is the likely reason.
    """
    try:
        head = msgspec.msgpack.decode(payload, type=_Head)
    except msgspec.DecodeError:
        return ""
    if head.protocol == LINK_PROTOCOL:
        return ""
    version = f" (version {head.version[:40]})" if head.version.isprintable() and head.version else ""
    return (
        f"it speaks protocol {head.protocol}{version}, and this {LINK_PROTOCOL}: orchestrator and guard are of "
        "different versions; restart both"
    )
