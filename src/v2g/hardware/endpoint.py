"""Where a Modbus device is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of Modbus/TCP Security: the device's CA, our certificate (chain, leaf first), its private key.

    ``server_name`` is what the device's certificate must bear, a name or an IP address; empty: the host.
    """

    ca: Path
    certificate: Path
    key: Path
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class ModbusEndpoint:
    """Where a device is: host, TCP port, unit identifier, and its TLS where it has any."""

    host: str
    port: int = 502
    unit: int = 1
    tls: TlsFiles | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port} unit {self.unit}{'' if self.tls is None else ' TLS'}"
