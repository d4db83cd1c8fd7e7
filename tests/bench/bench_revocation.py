"""Times revocation lookups with a CRL of 100,000 entries, and how long reading it holds up everybody else.

    python tests/bench/bench_revocation.py [entries]

Writes ``report_revocation.md`` beside this file. "Held up": a thread sleeps 1 ms at a time while another reads the
list; the longest of these sleeps is what a vehicle's answer could be late by.
"""

from __future__ import annotations

import os
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.serialization import Encoding

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.authority import CN, TestAuthority, digest_for, name, utc
from v2g.pki.crl import CrlShelf, read_crls
from v2g.pki.revocation import Verdict

REPORT = Path(__file__).with_name("report_revocation.md")
AT = 1_800_000_000.0
SERIES, ROUNDS = 40, 500


def best_us(action: Callable[[], object]) -> float:
    times = []
    for _ in range(SERIES):
        start = time.perf_counter()
        for _ in range(ROUNDS):
            action()
        times.append((time.perf_counter() - start) / ROUNDS)
    return min(times) * 1e6


def once_ms(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return (time.perf_counter() - start) * 1e3, result


def held_up_ms(action: Callable[[], object]) -> tuple[float, float]:
    """The longest and the median sleep of 1 ms beside ``action``."""
    done = threading.Event()
    gaps: list[float] = []

    def look() -> None:
        last = time.perf_counter()
        while not done.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    thread = threading.Thread(target=look)
    thread.start()
    time.sleep(0.05)
    action()
    done.set()
    thread.join()
    gaps.sort()
    return gaps[-1] * 1e3, gaps[len(gaps) // 2] * 1e3


def large_crl(authority: TestAuthority, serials: list[int]) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(utc(AT - 3600.0))
        .next_update(utc(AT + 7 * 86400.0))
    )
    when = utc(AT - 86400.0)
    builder._revoked_certificates = [  # add_revoked_certificate copies the list each time
        x509.RevokedCertificateBuilder()
        .serial_number(serial)
        .revocation_date(when)
        .add_extension(x509.CRLReason(x509.ReasonFlags.superseded), critical=False)
        .build()
        for serial in serials
    ]
    return builder.sign(authority.key, digest_for(authority.key)).public_bytes(Encoding.DER)


def kept_mb(der: bytes) -> float:
    """Resident memory that a list takes, in a process that has nothing else to reuse."""
    with tempfile.NamedTemporaryFile(suffix=".crl") as file:
        file.write(der)
        file.flush()
        done = subprocess.run([sys.executable, "-c", _KEPT, file.name], capture_output=True, text=True, check=True)
    return float(done.stdout)


_KEPT = """
import gc, resource, sys
from pathlib import Path
from v2g.pki.crl import read_crls
def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
before = rss()
kept = read_crls(Path(sys.argv[1]).read_bytes(), "x.crl")
gc.collect()
print(rss() - before)
"""


def measure(entries: int, label: str, key: Any) -> list[str]:
    source = random.Random(1)
    authority = TestAuthority("OEM Sub CA", AT, key=key)
    good = authority.leaf(name((CN, "good")), key.public_key())
    bad = authority.leaf(name((CN, "bad")), key.public_key())
    serials = [source.getrandbits(159) | 1 for _ in range(entries - 1)]
    der = large_crl(authority, [*serials, bad.serial_number])
    read_ms, crls = once_ms(lambda: read_crls(der, "oem.crl"))
    shelf = CrlShelf(crls)

    def ask(certificate: x509.Certificate) -> Verdict:
        return shelf.look_up(certificate, authority.certificate, at_unix_s=AT).verdict

    first_ms, verdict = once_ms(lambda: ask(good))
    assert verdict is Verdict.GOOD
    hit_ms, verdict = once_ms(lambda: ask(bad))
    assert verdict is Verdict.REVOKED
    good_us, bad_us = best_us(lambda: ask(good)), best_us(lambda: ask(bad))
    small = CrlShelf(read_crls(authority.crl(1, 2, 3), "small.crl"))
    small_us = best_us(lambda: small.look_up(good, authority.certificate, at_unix_s=AT))
    longest_ms, median_ms = held_up_ms(lambda: read_crls(der, "oem.crl"))
    return [
        f"| {label}: file, MB | {len(der) / 1e6:.1f} |",
        f"| {label}: read, in a thread, ms | {read_ms:.0f} |",
        f"| {label}: memory kept, MB | {kept_mb(der):.0f} |",
        f"| {label}: others held up meanwhile, longest (median), ms | {longest_ms:.1f} ({median_ms:.1f}) |",
        f"| {label}: first lookup, which verifies the signature, ms | {first_ms:.2f} |",
        f"| {label}: lookup, not on the list, µs | {good_us:.1f} |",
        f"| {label}: lookup, on the list, first time, ms | {hit_ms:.2f} |",
        f"| {label}: lookup, on the list, again, µs | {bad_us:.1f} |",
        f"| {label}: lookup in a list of 3 entries, µs | {small_us:.1f} |",
    ]


def main() -> None:
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    lines = [
        *measure(entries, "P-521", ec.generate_private_key(ec.SECP521R1())),
        *measure(entries, "Ed448", ed448.Ed448PrivateKey.generate()),
    ]
    head = [
        f"# Revocation: a CRL of {entries:,} entries",
        "",
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores; quickest of {SERIES} "
        f"series of {ROUNDS} lookups. Every entry has a reason.",
        "",
        "| figure | value |",
        "|---|---|",
    ]
    text = "\n".join([*head, *lines]) + "\n"
    REPORT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
