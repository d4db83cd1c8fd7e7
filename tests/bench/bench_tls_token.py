"""TLS handshakes with the key in a token of SoftHSM2 and in a file; what removal and a slow token cost.

    python tests/bench/bench_tls_token.py [--quick]

Writes ``report_tls_token.md``. Needs SoftHSM2, a C compiler and python-pkcs11.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import platform
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pyiso15118.security import (
    Pki,
    TlsProfile,
    client_context,
    server_context,
    stdlib_server_context,
    write_credential,
    write_trust_anchor,
)
from pyiso15118.security.tls_token import KeyUnavailable, TokenTlsContext
from support import softhsm
from support.authority import TestAuthority, pem
from support.elsewhere import signer_of
from support.softhsm import SoftHsm
from v2g.config.schema_pki import KeyKind
from v2g.pki.signer import AGAIN_S, TokenSigner
from v2g.pki.token import TokenKeys

REPORT = Path(__file__).with_name("report_tls_token.md")
STRICT = TlsProfile.STRICT
MESSAGE = bytes(120)
"""A charge-loop message is about as long."""


@dataclass
class Row:
    name: str
    context: Any
    helper: Callable[[], int] = lambda: 0
    """CPU nanoseconds of another process that works for it."""
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    helper_s: list[float] = field(default_factory=list)


def cpu_ns_of(pid: int | None) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) if pid is not None else 0


def handshake(server: Any, client: ssl.SSLContext) -> tuple[Any, ssl.SSLObject, float, float]:
    """Both ends, and wall and CPU seconds of the server's steps alone."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    begun, cpu = time.perf_counter(), time.process_time()
    secc = server.wrap_bio(to_server, to_client, server_side=True)
    wall_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu
    vehicle = client.wrap_bio(to_client, to_server)
    waiting = {"vehicle", "secc"}
    while waiting:
        for name, end in (("vehicle", vehicle), ("secc", secc)):
            if name not in waiting:
                continue
            begun, cpu = time.perf_counter(), time.process_time()
            try:
                end.do_handshake()
                waiting.discard(name)
            except ssl.SSLWantReadError:
                pass
            if name == "secc":
                wall_s += time.perf_counter() - begun
                cpu_s += time.process_time() - cpu
    return secc, vehicle, wall_s, cpu_s


def measure(rows: list[Row], client: ssl.SSLContext, rounds: int) -> None:
    """In turns, so that whatever else the host does falls on all."""
    for number in range(rounds + 5):
        for row in rows:
            before = row.helper()
            _, _, wall_s, cpu_s = handshake(row.context, client)
            if number >= 5:
                row.wall_s.append(wall_s)
                row.cpu_s.append(cpu_s)
                row.helper_s.append((row.helper() - before) / 1e9)


def message_us(context: Any, client: ssl.SSLContext, rounds: int) -> float:
    """CPU of the SECC for one message in and one out."""
    secc, vehicle, _, _ = handshake(context, client)
    spent = 0.0
    for _ in range(rounds):
        vehicle.write(MESSAGE)
        begun = time.process_time()
        secc.read(16_384)
        secc.write(MESSAGE)
        spent += time.process_time() - begun
        vehicle.read(16_384)
    return spent / rounds * 1e6


async def held_loop_ms(context: Any, client: ssl.SSLContext) -> tuple[float, float]:
    """The longest that a loop beside the handshake's thread was held, and how long the handshake took."""
    longest = 0.0
    begun = time.perf_counter()
    worker = asyncio.get_running_loop().run_in_executor(None, handshake, context, client)
    while not worker.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - before - 0.001)
    await worker
    return longest * 1e3, (time.perf_counter() - begun) * 1e3


def recovery(signer: TokenSigner, uri: str, hsm: SoftHsm) -> list[str]:
    """What each step of a removal takes."""

    def timed() -> tuple[float, str]:
        begun = time.perf_counter()
        try:
            signer.sign(uri, bytes(64))
        except KeyUnavailable as error:
            return (time.perf_counter() - begun) * 1e3, str(error)
        return (time.perf_counter() - begun) * 1e3, "signs"

    signer.close()
    lines = []
    took, _ = timed()
    lines.append(f"| first signature: process, module, login, signature | {took:.0f} |")
    took, _ = timed()
    lines.append(f"| the next one | {took:.2f} |")
    hsm.remove()
    took, words = timed()
    lines.append(f"| token pulled: the first attempt, with a new process in vain | {took:.0f} |")
    reason = words
    took, _ = timed()
    lines.append(f"| a further one within {AGAIN_S:.0f} s | {took:.3f} |")
    hsm.put_back()
    time.sleep(AGAIN_S)
    took, words = timed()
    lines.append(f"| token back: the first attempt ({words}) | {took:.0f} |")
    lines += ["", f"What is said meanwhile: {reason}."]
    return lines


def memory_mb(pid: int | None) -> tuple[float, float]:
    """Resident, and the share that is its own."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kb = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    return kb["Rss"] / 1024, (kb["Private_Clean"] + kb["Private_Dirty"]) / 1024


def main() -> None:
    quick = "--quick" in sys.argv
    if reason := softhsm.missing():
        sys.exit(reason)
    patch = pytest.MonkeyPatch()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hsm = SoftHsm(folder / "hsm", patch)
        hsm.add_token()
        text = report(folder, hsm, 40 if quick else 400)
    patch.undo()
    if quick:
        print(text)
    else:
        REPORT.write_text(text)


def report(folder: Path, hsm: SoftHsm, rounds: int) -> str:
    pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1))
    vehicle = write_credential(pki.vehicle("WMIV1234567890ABCDEX"), folder, "vehicle")
    secc = write_credential(pki.secc("US*V2G*E1"), folder, "secc")
    oem, v2g = write_trust_anchor(pki.oem_root, folder, "oem"), write_trust_anchor(pki.v2g_root, folder, "v2g")
    # The token's certificate is of a root with the same depth of chain.
    key, reference = TokenKeys(hsm.settings(), KeyKind.P521).generate()
    root = TestAuthority("Grid Root", time.time(), domain="V2G", key=ec.generate_private_key(ec.SECP521R1()))
    cpo_key = ec.generate_private_key(ec.SECP521R1())
    cpo = TestAuthority("Grid CPO CA 1", time.time(), issuer=root, domain="CPO", key=cpo_key)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA512())
    chain = folder / "token.pem"
    chain.write_bytes(pem(cpo.sign_request(request), *cpo.chain))
    both_roots = folder / "roots.pem"
    both_roots.write_bytes(v2g.read_bytes() + pem(root.certificate))
    client = client_context(STRICT, vehicle.chain, vehicle.key, [both_roots])
    uri = reference.content.decode().strip()
    signer = TokenSigner(hsm.settings(), lambda code, words: None)
    rows = [
        Row(
            "key in a token, TLS by libssl's calls",
            TokenTlsContext(chain, signer.key(uri), [oem]),
            lambda: cpu_ns_of(signer.pid),
        ),
        Row("key in a file, TLS by libssl's calls", TokenTlsContext(secc.chain, signer_of(secc.key), [oem])),
        Row("key in a file, pyOpenSSL (as the daemon has it)", server_context(STRICT, secc.chain, secc.key, [oem])),
        Row("key in a file, ssl", stdlib_server_context(STRICT, secc.chain, secc.key, [oem])),
    ]
    measure(rows, client, rounds)
    lines = [
        "# TLS with the private key in a token",
        "",
        f"Host: {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        f"{ssl.OPENSSL_VERSION}, SoftHSM2; load",
        f"average at the end {os.getloadavg()[0]:.1f}. `python tests/bench/bench_tls_token.py` writes this.",
        "",
        "## Handshakes",
        "",
        f"TLS 1.3, mutual, P-521, {rounds} of each kind in turns in one run; the SECC's part alone. Medians, in ms.",
        "The ssl row does not judge the vehicle's chain by the profile in the handshake; the others do.",
        "",
        "| SECC | wall | CPU of the daemon | CPU of the signing process | CPU together | against the first file row |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    base = statistics.median(rows[1].cpu_s)
    for row in rows:
        wall, cpu, helper = (statistics.median(values) * 1e3 for values in (row.wall_s, row.cpu_s, row.helper_s))
        both = cpu + helper
        lines.append(f"| {row.name} | {wall:.2f} | {cpu:.2f} | {helper:.2f} | {both:.2f} | {both / base / 1e3:.2f} |")
    rss, own = memory_mb(signer.pid)
    lines += [
        "",
        f"Memory of the signing process: {rss:.0f} MB resident, {own:.0f} MB of it its own.",
        "",
        "## A message in a session",
        "",
        f"CPU of the SECC's TLS for {len(MESSAGE)} bytes in and out, µs; the key has no part in it.",
        "",
        "| TLS library | µs |",
        "|---|---:|",
        *(
            f"| {name} | {message_us(rows[index].context, client, rounds * 10):.1f} |"
            for index, name in ((0, "libssl's calls"), (2, "pyOpenSSL"), (3, "ssl"))
        ),
        "",
        "## A token that takes 0.5 s to sign",
        "",
    ]
    slow = TokenSigner(hsm.settings(module=hsm.shim()), lambda code, words: None)
    slow.sign(uri, bytes(64))
    hsm.tell(sign_delay_ms=500)
    held, took = asyncio.run(held_loop_ms(TokenTlsContext(chain, slow.key(uri), [oem]), client))
    slow.close()
    hsm.tell()
    lines += [
        f"The handshake took {took:.0f} ms on its thread; a loop beside it was held for {held:.1f} ms at most.",
        "",
        "## Removal and return",
        "",
        "| step | ms |",
        "|---|---:|",
        *recovery(signer, uri, hsm),
        "",
    ]
    signer.close()
    return "\n".join(lines)


if __name__ == "__main__":
    main()
