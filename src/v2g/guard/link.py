"""What orchestrator and ``wires`` say to each other over ``<run_dir>/wires.sock``.

A Unix stream socket, one peer at a time (a newer orchestrator replaces an older one). Each frame is a 4-byte
big-endian length and one msgpack value. ``Setpoints`` goes to ``wires`` every control cycle, ``Image`` comes back
every 100 ms. Times are CLOCK_MONOTONIC seconds. All of a frame is checked before any of it is used.
"""

from __future__ import annotations

import msgspec

from v2g.hardware.ports import DcEvseCommand, DcEvseReading, InverterReading, TransducerReading

MAX_FRAME_BYTES = 1 << 20


class PowerSetpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A leased power of one inverter: after ``expires_at_s`` it is zero, whatever else holds."""

    evse_id: str
    power_w: float
    source: str
    expires_at_s: float


class EvseSetpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A leased command of one DC EVSE: after expiry current goes to zero, then the contactors open."""

    evse_id: str
    command: DcEvseCommand
    source: str
    expires_at_s: float


class Setpoints(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One control cycle's commands. An EVSE that is absent keeps its lease until it ends, then goes to zero; one that
    ``wires`` does not know is left out."""

    sequence: int
    sent_at_s: float
    inverters: tuple[PowerSetpoint, ...] = ()
    evses: tuple[EvseSetpoint, ...] = ()


class DeviceHealth(msgspec.Struct, frozen=True, kw_only=True):
    """State of one Modbus connection, for status and logs. ``name`` is ``inverter US*V2G*E1`` or ``transducers``."""

    name: str
    address: str
    online: bool
    last_answer_s: float | None = None
    error: str | None = None
    timeouts: int = 0
    reconnects: int = 0
    lacks: tuple[str, ...] = ()
    """Functions of an inverter that it does not do as the site wants them; comms.log has the reasons."""


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What ``wires`` really commanded an inverter, and what bound it: the name of a clamp, or None.

    ``bound_by`` is one of these. Power is zero for

    - ``breaker_failed``: the V2G breaker did not open; every contactor opens in its place;
    - ``lease_expired``; ``no_permit``;
    - ``momentary_cessation``, ``cease``: ride-through (IEEE 1547-2018 6.4.2); the permit stands;
    - ``stale_measurement``, ``device_fault``, ``insulation`` (not proved valid), ``contactors_open``;
    - discharge only: ``relay`` (the hardware relay's setting, feedback or failure), ``no_reversion``,
      ``no_anti_islanding`` (neither the inverter's own detection nor a mains input).

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

    sequence: int
    as_of_s: float
    permit: bool
    permit_reason: str
    inverters: tuple[InverterReading, ...] = ()
    evses: tuple[DcEvseReading, ...] = ()
    transducers: tuple[TransducerReading, ...] = ()
    applied: tuple[Applied, ...] = ()
    devices: tuple[DeviceHealth, ...] = ()
