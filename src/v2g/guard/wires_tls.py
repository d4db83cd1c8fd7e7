"""The files of Modbus/TCP Security that the configuration names."""

from __future__ import annotations

from pathlib import Path

from v2g.config.schema import ModbusAddress
from v2g.hardware.modbus_tls import TlsFiles


def tls_files(address: ModbusAddress, config_dir: Path) -> TlsFiles | None:
    """None for an address without ``tls``. Relative paths are taken from the configuration directory."""
    tls = address.tls
    if tls is None:
        return None
    return TlsFiles(config_dir / tls.ca, config_dir / tls.certificate, config_dir / tls.key, tls.server_name)
