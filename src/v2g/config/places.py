"""Places within the network as the configuration writes them: where metrics are read, what is probed."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from v2g.config.paths import SUN_PATH_MAX, run_paths
from v2g.config.problems import Report
from v2g.config.schema import Config

ICMP: Final = "icmp:"
_METRICS_REMEDY: Final = "write 127.0.0.1:9464, [::1]:9464, or the absolute path of a Unix socket"
_PROBE_REMEDY: Final = "write host:port of a TCP service, as 192.0.2.1:443, or icmp:192.0.2.1 for an echo"


class PlaceError(ValueError):
    """``reason`` and ``remedy`` for people."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class TcpPlace:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class IcmpPlace:
    host: str

    def __str__(self) -> str:
        return f"{ICMP}{self.host}"


def metrics_place(config: Config) -> Path | TcpPlace:
    """Raises :class:`PlaceError`: only this host may read them."""
    listen = config.metrics.listen
    if not listen:
        return run_paths(config).run_dir / "metrics.sock"
    if listen.startswith("/"):
        if len(listen.encode()) > SUN_PATH_MAX:
            raise PlaceError(f"is longer than the {SUN_PATH_MAX} bytes the kernel takes", "choose a shorter path")
        return Path(listen)
    host, port = _host_port(listen, _METRICS_REMEDY)
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise PlaceError("is no IP address", _METRICS_REMEDY) from None
    if not loopback:
        raise PlaceError(
            "can be reached from other hosts, and metrics are served to this one only",
            f"{_METRICS_REMEDY}; a proxy or a Prometheus agent on this host carries them on",
        )
    return TcpPlace(host, port)


def probe_place(text: str) -> TcpPlace | IcmpPlace:
    """Of ``heartbeat.probe``. Raises :class:`PlaceError`."""
    if text.startswith(ICMP):
        host = text.removeprefix(ICMP).strip("[]")
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            raise PlaceError("an echo needs an IP address", _PROBE_REMEDY) from None
        return IcmpPlace(host)
    return TcpPlace(*_host_port(text, _PROBE_REMEDY))


def check_places(config: Config, report: Report) -> None:
    """Every place that cannot be, into ``report``."""
    try:
        metrics_place(config)
    except PlaceError as error:
        report.add("metrics.listen", repr(config.metrics.listen), error.reason, error.remedy)
    if config.metrics.group and not _is_socket(config):
        report.add(
            "metrics.group",
            repr(config.metrics.group),
            "is for a Unix socket: to a TCP port every process of this host may connect",
            "leave it out, or make listen a path",
        )
    if config.heartbeat.probe:
        try:
            probe_place(config.heartbeat.probe)
        except PlaceError as error:
            report.add("heartbeat.probe", repr(config.heartbeat.probe), error.reason, error.remedy)


def _is_socket(config: Config) -> bool:
    return not config.metrics.listen or config.metrics.listen.startswith("/")


def _host_port(text: str, remedy: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed) or any(letter.isspace() for letter in host):
        raise PlaceError("is no host with a port", remedy)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65_535):
        raise PlaceError(f"{port[:10]!r} is no port, 1..65535", remedy)
    return (host[1:-1] if bracketed else host), int(port)
