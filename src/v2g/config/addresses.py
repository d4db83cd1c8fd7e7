"""Addresses of Modbus devices, from the configuration to what a connection takes."""

from __future__ import annotations

from pathlib import Path

from v2g.config.schema import DcEvse, Evse, ModbusAddress, ModbusTls
from v2g.hardware.endpoint import ModbusEndpoint, TlsFiles


def tls_files(tls: ModbusTls | None, config_dir: Path) -> TlsFiles | None:
    """Relative paths are taken from the configuration directory."""
    if tls is None:
        return None
    return TlsFiles(config_dir / tls.ca, config_dir / tls.certificate, config_dir / tls.key, tls.server_name)


def endpoint(address: ModbusAddress, config_dir: Path) -> ModbusEndpoint:
    return ModbusEndpoint(address.host, address.port, address.unit, tls_files(address.tls, config_dir))


def modbus_addresses(evse: Evse) -> tuple[tuple[str, ModbusAddress], ...]:
    """The part of the EVSE's section, and its address."""
    if isinstance(evse, DcEvse):
        return ("inverter", evse.inverter.modbus), ("dc", evse.dc.modbus)
    return (("ac", evse.ac.modbus),)
