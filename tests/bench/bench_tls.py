"""A SECC's TLS by pyOpenSSL beside that by ``ssl``, in one run: handshakes, messages, memory.

    python tests/bench/bench_tls.py

Writes ``report_tls.md`` beside this file. Both ends are in memory, in one thread; the vehicle is always by ``ssl``.
"""

from __future__ import annotations

import datetime
import os
import platform
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from OpenSSL import SSL

from pyiso15118.security import (
    Pki,
    TlsEndpoint,
    TlsProfile,
    check_connection,
    client_context,
    server_context,
    stdlib_server_context,
    write_credential,
    write_trust_anchor,
)

REPORT = Path(__file__).with_name("report_tls.md")
SERIES = 30
HANDSHAKES = 10
MESSAGES = 500
MESSAGE = bytes(160)
CONNECTIONS = 1000
MAKERS: dict[str, Callable[..., TlsEndpoint]] = {"ssl": stdlib_server_context, "pyOpenSSL": server_context}


class Site:
    def __init__(self, folder: Path) -> None:
        pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1))
        self.secc = write_credential(pki.secc("SECC"), folder, "secc")
        vehicle = write_credential(pki.vehicle("VEHICLE"), folder, "vehicle")
        self.oem = write_trust_anchor(pki.oem_root, folder, "oem")
        v2g = write_trust_anchor(pki.v2g_root, folder, "v2g")
        self.client = client_context(TlsProfile.STRICT, vehicle.chain, vehicle.key, [v2g])

    def server(self, library: str, **options: Any) -> TlsEndpoint:
        return MAKERS[library](TlsProfile.STRICT, self.secc.chain, self.secc.key, [self.oem], **options)


class Pair:
    """Both ends; ``station_s`` is the station's share of the handshake."""

    def __init__(self, site: Site, server: TlsEndpoint) -> None:
        self.to_station, self.to_vehicle = ssl.MemoryBIO(), ssl.MemoryBIO()
        began = time.perf_counter()
        self.station = server.wrap_bio(self.to_station, self.to_vehicle, server_side=True)
        self.station_s = time.perf_counter() - began
        self.vehicle = site.client.wrap_bio(self.to_vehicle, self.to_station)
        self._step(self.vehicle)
        for _ in range(2):
            began = time.perf_counter()
            self._step(self.station)
            self.station_s += time.perf_counter() - began
            self._step(self.vehicle)
        began = time.perf_counter()
        check_connection(TlsProfile.STRICT, self.station, server.trust)
        self.station_s += time.perf_counter() - began

    @staticmethod
    def _step(side: Any) -> None:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass

    def turn(self) -> None:
        """A request read and a response written, as the stream does it."""
        self.vehicle.write(MESSAGE)
        self.read_and_answer()
        self.vehicle.read(16_384)

    def read_and_answer(self) -> None:
        self.station.read(16_384)
        if self.to_station.pending or self.station.pending():
            try:
                self.station.read(16_384)
            except ssl.SSLWantReadError:
                pass
        self.station.write(MESSAGE)


def handshake_ms(site: Site, servers: dict[str, TlsEndpoint]) -> dict[str, float]:
    """Of the station, the libraries in turn: of each series the quickest, of those the median."""
    found: dict[str, list[float]] = {library: [] for library in servers}
    for _ in range(SERIES):
        for library, server in servers.items():
            found[library].append(min(Pair(site, server).station_s for _ in range(HANDSHAKES)))
    return {library: 1e3 * statistics.median(times) for library, times in found.items()}


def turn_us(site: Site, servers: dict[str, TlsEndpoint]) -> dict[str, float]:
    pairs = {library: Pair(site, server) for library, server in servers.items()}
    found: dict[str, list[float]] = {library: [] for library in servers}
    for _ in range(SERIES):
        for library, pair in pairs.items():
            spent = 0.0
            for _ in range(MESSAGES):
                pair.vehicle.write(MESSAGE)
                began = time.perf_counter()
                pair.read_and_answer()
                spent += time.perf_counter() - began
                pair.vehicle.read(16_384)
            found[library].append(spent / MESSAGES)
    return {library: 1e6 * min(times) for library, times in found.items()}


def memory_kb(library: str) -> None:
    """In a process of its own: what each of many open connections adds, both ends, less the vehicles' ends."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        servers = {name: site.server(name) for name in MAKERS}
        for server in servers.values():
            Pair(site, server).turn()
        vehicles = [Pair(site, servers[library]) for _ in range(20)]
        before = _resident_kb()
        kept = [Pair(site, servers[library]) for _ in range(CONNECTIONS)]
        for pair in kept:
            pair.turn()
        print((_resident_kb() - before) / CONNECTIONS, len(vehicles))


def _resident_kb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        servers = {library: site.server(library) for library in MAKERS}
        handshakes, turns = handshake_ms(site, servers), turn_us(site, servers)

        def nobody(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
            return False

        with_hook = handshake_ms(site, {"pyOpenSSL": site.server("pyOpenSSL", is_revoked=nobody)})["pyOpenSSL"]
    memory = {}
    for library in MAKERS:
        command = [sys.executable, __file__, "memory", library]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        memory[library] = float(done.stdout.split()[0])
    rows = (
        ("handshake, station's part, ms", handshakes, 2),
        ("request read and response written, station's part, µs", turns, 1),
        ("resident memory of both ends of an open connection, kB", memory, 0),
    )
    lines = [
        "# TLS of a SECC by two libraries",
        "",
        f"Written by `python tests/bench/bench_tls.py`: Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"{ssl.OPENSSL_VERSION.split(' (')[0]} below `ssl`, "
        f"{SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode()} below pyOpenSSL.",
        "Profile strict, P-521 chains of three, both libraries in turn in one run. The handshake holds all checks of",
        "the vehicle's chain: by pyOpenSSL of every signature, curve and usage; by `ssl`, which does not tell the",
        "chain, of the leaf alone beyond what OpenSSL verifies. Memory has the vehicle's end by `ssl` in both columns.",
        "",
        "| | ssl | pyOpenSSL | ratio |",
        "|---|---:|---:|---:|",
    ]
    for name, found, digits in rows:
        ours, other = found["pyOpenSSL"], found["ssl"]
        lines.append(f"| {name} | {other:.{digits}f} | {ours:.{digits}f} | {ours / other:.2f} |")
    lines += [
        "",
        f"With a revocation hook that knows at once: {with_hook:.2f} ms a handshake.",
        f"64 vehicles at 4 Hz: {64 * 4 * (turns['pyOpenSSL'] - turns['ssl']) / 1e4:.2f} % of a core more than `ssl`.",
        "",
    ]
    REPORT.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        memory_kb(sys.argv[2])
    else:
        main()
