"""What the daemon's checks go by beside files: the checks themselves are imported with the first look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from v2g.control.messages_sensors import SensorLine
from v2g.orchestrator.preflight.devices import DeviceFacts
from v2g.orchestrator.tls_report import TlsNote


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What only a running controller knows."""

    guard_realtime: bool | None
    """None: the guard does not speak."""
    relay_closed: bool | None
    sensors: tuple[SensorLine, ...]
    devices: tuple[DeviceFacts, ...] | None
    """None: ``wires`` is not connected."""
    guard_measures: bool | None
    """It has fresh samples; None: it does not speak."""
    unreachable: Mapping[str, str]
    """By EVSE, why no vehicle can connect."""
    tls: tuple[TlsNote, ...]
