"""Addresses of devices, from the configuration to what a connection takes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from v2g.config.schema import DcEvse, Evse, ModbusAddress, ModbusTls
from v2g.hardware.endpoint import ModbusEndpoint, TlsFiles

_PLAIN_MODBUS_PORT = 502


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


def device_of(address: ModbusAddress) -> str:
    """Which device it is, whatever the way to it."""
    return f"{address.host}:{address.port} unit {address.unit}"


def address_suspicions(path: str, address: ModbusAddress) -> Iterator[str]:
    if address.tls is not None and address.port == _PLAIN_MODBUS_PORT:
        yield (
            f"{path} has tls with port {_PLAIN_MODBUS_PORT}, which is plain Modbus; Modbus/TCP Security has port 802"
        )


def is_this_host(host: str) -> bool:
    """Whether only processes of this host can be behind it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
