"""Sensor maps for tests."""

from __future__ import annotations


def entry(name: str, host: str = "192.0.2.10", port: int = 502, register: int = 0, scale: float = 0.1) -> str:
    """One temperature in an input register."""
    source = f"{{modbus: {{host: {host}, port: {port}, register: {register}}}}}"
    return f"  {name}: {{source: {source}, scale: {scale}, unit: °C, range: [-40, 150]}}\n"


TOP_OIL = "sensors:\n" + entry("top_oil_c")
"""The least that a site needs."""
