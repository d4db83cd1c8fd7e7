"""Handshakes good and bad with a station in a process of its own: accepted or refused, which alert, which log line."""

from __future__ import annotations

import asyncio
import json
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from OpenSSL import SSL

from pyiso15118.aio import Address, connect
from pyiso15118.commands import UpdateDcVehicle
from pyiso15118.evcc import EvccConfig
from pyiso15118.events import EndReason, SessionEnded
from pyiso15118.security import Credential, CredentialFiles, Curve, TlsProfile, client_context, write_credential
from support.fleet.parts import VEHICLE
from support.handshake_rows import ALERTS, ROWS, Made, Report, Row
from support.stations import QUICK, drive
from support.tls_vehicle import EVCCID, NOW, Client, Faulty, Site

pytestmark = pytest.mark.interop
TESTS = Path(__file__).parents[1]
EVSES = {"strict": "US*V2G*E1", "compat": "US*V2G*E2"}
OTHERS = 11
"""Handshakes of this file that are no rows of ``ROWS``."""


class World:
    """Vehicles and their certificates, and the station that they meet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        p521, p256 = Site(folder / "p521"), Site(folder / "p256", Curve.SECP256R1)
        ed448, stranger = Site(folder / "ed448", Curve.ED448), Site(folder / "stranger")
        self.p521, self.p256 = p521, p256
        faulty = Faulty(p521.pki)
        revoked = p521.pki.oem_root.sub_ca("Revoked Sub CA", domain="OEM")
        shown: dict[str, Credential] = {
            "vehicle": p521.vehicle,
            "ed448": ed448.vehicle,
            "expired": faulty.expired(),
            "not_yet_valid": faulty.not_yet_valid(),
            "self_signed": faulty.self_signed(),
            "authority": faulty.authority(),
            "no_signature_usage": faulty.no_signature_usage(),
            "server_only": faulty.server_only(),
            "mobility_operator": faulty.of_role("MO"),
            "charge_point_operator": faulty.of_role("CPO"),
            "too_long": faulty.too_long(),
            "foreign_policy": faulty.foreign_policy(),
            "p256": p256.vehicle,
            "p384": replace(faulty.leaf, key=ec.generate_private_key(ec.SECP384R1())).make(),
            "p256_authority": faulty.p256_authority(),
            "stranger": stranger.vehicle,
            "alone": Credential(p521.vehicle.certificate, p521.vehicle.key),
            "revoked": p521.pki.vehicle("REVOKED"),
            "below_revoked": revoked.leaf(EVCCID, domain="OEM"),
        }
        self.files = {name: write_credential(credential, folder, name) for name, credential in shown.items()}
        self.provisioning = write_credential(p256.pki.provisioning("PCID1"), folder, "provisioning")
        gone = [shown["revoked"].certificate, revoked.credential.certificate]
        anchors = [str(p521.oem_root), str(p256.oem_root), str(ed448.oem_root)]
        common = {"trust": anchors, "revoked": [c.fingerprint(hashes.SHA256()).hex() for c in gone]}
        job = {
            "strict": {"chain": str(p521.secc.chain), "key": str(p521.secc.key), "staple": staple(p521), **common},
            "compat": {"chain": str(p256.secc.chain), "key": str(p256.secc.key), "staple": "", **common},
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.handshake_station"],
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        self.ports: dict[str, int] = self.wait_for(lambda said: "listening" in said)["listening"]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._told.put(json.loads(line))

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], timeout_s: float = 15.0) -> dict[str, Any]:
        end = time.monotonic() + timeout_s
        heard = []
        while (left := end - time.monotonic()) > 0:
            try:
                said = self._told.get(timeout=left)
            except queue.Empty:
                break
            heard.append(said)
            if wanted(said):
                return said
        raise AssertionError(f"the station did not say what was waited for, but {heard}")

    def outcome(self) -> dict[str, Any]:
        """A session, or the line of a refusal."""
        return self.wait_for(
            lambda said: "session" in said or bool(re.search("failed: |closed: ", said.get("log", "")))
        )

    def wait_until_free(self) -> dict[str, Any]:
        return self.wait_for(lambda said: "ended" in said)

    def address(self, evse: str) -> Address:
        return Address("::1", self.ports[evse])

    def s_client(self, evse: str, *options: str, shows: str) -> subprocess.Popen[str]:
        command = ["openssl", "s_client", "-connect", f"[::1]:{self.ports[evse]}", *options]
        if shows:
            files = self.files[shows]
            command += ["-cert", str(files.chain), "-key", str(files.key), "-cert_chain", str(files.chain)]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(15)


def staple(site: Site) -> str:
    authority = site.pki.cpo_sub_ca.credential
    leaf = x509.load_pem_x509_certificate(site.secc.chain.read_bytes())
    builder = ocsp.OCSPResponseBuilder().add_response(
        leaf, authority.certificate, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD, NOW, None, None, None
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, authority.certificate)
    return builder.sign(authority.key, hashes.SHA512()).public_bytes(Encoding.DER).hex()


@pytest.fixture(scope="module")
def report() -> Iterator[Report]:
    report = Report()
    yield report
    report.write(len(ROWS) + OTHERS)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    world = World(tmp_path_factory.mktemp("handshakes"))
    yield world
    world.close()


def words(log: str) -> str:
    """The station's line without what differs from run to run."""
    return re.sub(r"^\S+ connection of \S+ (failed|closed): ", "", log).replace("|", "/")


def alert_in(output: str) -> str:
    found = re.search(r"SSL alert number (\d+)", output)
    return ALERTS[int(found[1])] if found else ""


def end_quietly(client: subprocess.Popen[str], told: dict[str, Any], world: World) -> str:
    """s_client's output; a session that it began is over then."""
    if "session" in told:
        output = client.communicate("", timeout=10)[0]
        world.wait_until_free()
        return output
    return client.communicate(timeout=10)[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.evse}: {row.name}")
def test_a_handshake_of_openssl(world: World, report: Report, row: Row) -> None:
    client = world.s_client(row.evse, *row.offers.split(), shows=row.shows)
    told = world.outcome()
    output = end_quietly(client, told, world)
    if row.alert is None:
        assert told.get("session") == EVSES[row.evse], told
        assert row.said in output
    else:
        assert "session" not in told
        assert row.said in told["log"]
        assert alert_in(output) == row.alert, output[-1500:]
    outcome = "accepted" if row.alert is None else "refused"
    report.made.append(Made(row.evse, "s_client", row.name, outcome, alert_in(output), words(told.get("log", ""))))


def test_a_session_offered_again_is_a_new_one(world: World, report: Report) -> None:
    kept = world.folder / "session.pem"
    client = world.s_client("strict", "-sess_out", str(kept), shows="vehicle")
    told = world.outcome()
    time.sleep(0.3)
    end_quietly(client, told, world)
    assert kept.exists()
    client = world.s_client("strict", "-sess_in", str(kept), shows="vehicle")
    told = world.outcome()
    output = end_quietly(client, told, world)
    assert told["certificate"] is not None
    assert "New, TLSv1.3" in output
    assert "Reused" not in output
    report.made.append(Made("strict", "s_client", "resumption of a session", "accepted, as a new one", "", ""))


def keep_session(port: int, kept: Path) -> None:
    """From a server that may not listen yet."""
    end = time.monotonic() + 10.0
    while not kept.exists():
        assert time.monotonic() < end, "s_server gives no session"
        client = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"[::1]:{port}", "-sess_out", kept],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.3)
        client.communicate(b"", timeout=10)


def test_early_data_is_not_read(world: World, report: Report, unused_tcp_port: int) -> None:
    """With a session of a server that takes early data, for ours gives none that would."""
    kept, early = world.folder / "early.pem", world.folder / "early.txt"
    early.write_bytes(b"\x01\xfe\x80\x01" + bytes(8))
    secc = world.p521.secc
    server = subprocess.Popen(
        [*("openssl", "s_server", "-accept", f"[::1]:{unused_tcp_port}", "-early_data", "-quiet", "-tls1_3"),
         *("-cert", secc.chain, "-key", secc.key)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        keep_session(unused_tcp_port, kept)
    finally:
        server.kill()
        server.wait(5)
    client = world.s_client("strict", "-sess_in", str(kept), "-early_data", str(early), shows="vehicle")
    told = world.outcome()
    output = end_quietly(client, told, world)
    assert "Early data was rejected" in output
    assert "session" in told
    report.made.append(Made("strict", "s_client", "early data", "accepted, its early data not read", "", ""))


def raw(world: World, *pieces: bytes, wait: bool) -> bytes:
    """What comes back for bytes at the strict port; ``wait``: stay connected until the station closes."""
    with socket.create_connection(("::1", world.ports["strict"]), timeout=15) as sock:
        for piece in pieces:
            sock.sendall(piece)
        if not wait:
            return b""
        answer = b""
        try:
            while data := sock.recv(4096):
                answer += data
        except ConnectionResetError:
            pass
        return answer


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("random bytes", bytes(range(7, 250))),
        ("an HTTP request", b"GET / HTTP/1.1\r\n\r\n"),
        ("a V2GTP message without TLS", b"\x01\xfe\x80\x01\x00\x00\x00\x02\x80\x00"),
    ],
)
def test_what_is_no_tls_is_closed(world: World, report: Report, name: str, data: bytes) -> None:
    raw(world, data, wait=True)
    told = world.outcome()
    assert "failed: [SSL: " in told["log"]
    report.made.append(Made("strict", "socket", name, "refused", "", words(told["log"])))


def half_hello(world: World) -> bytes:
    client = Client(world.p521.vehicle)
    with pytest.raises(SSL.WantReadError):
        client.tls.do_handshake()
    hello = client.tls.bio_read(65_536)
    return hello[: len(hello) // 2]


def test_half_a_client_hello_and_silence_is_given_up_within_five_seconds(world: World, report: Report) -> None:
    began = time.monotonic()
    raw(world, half_hello(world), wait=True)
    took_s = time.monotonic() - began
    told = world.outcome()
    assert "did not finish the TLS handshake in time" in told["log"]
    assert 4.5 < took_s < 7.0
    report.made.append(Made("strict", "socket", "half a ClientHello, then silence", "refused", "", words(told["log"])))


def test_half_a_client_hello_and_gone_is_an_end(world: World, report: Report) -> None:
    raw(world, half_hello(world), wait=False)
    told = world.outcome()
    assert "closed during the TLS handshake" in told["log"]
    report.made.append(Made("strict", "socket", "half a ClientHello, then gone", "refused", "", words(told["log"])))


# ---- our own vehicle ----


async def charge(world: World, evse: str, files: CredentialFiles, evccid: str = EVCCID) -> SessionEnded:
    profile = TlsProfile(evse)
    anchor = world.p521.v2g_root if evse == "strict" else world.p256.v2g_root
    tls = client_context(profile, files.chain, files.key, [anchor])
    config = EvccConfig(evccid=evccid, timers=QUICK)
    vehicle: UpdateDcVehicle = VEHICLE
    connection = await connect(world.address(evse), config, tls=tls, profile=profile, vehicle=vehicle)
    last = (await drive(connection, 3))[-1]
    assert isinstance(last, SessionEnded)
    return last


@pytest.mark.parametrize(
    ("name", "evse", "shows"),
    [
        ("its vehicle certificate", "strict", "vehicle"),
        ("a P-256 vehicle certificate", "compat", "p256"),
        ("its provisioning certificate", "compat", "provisioning"),
    ],
)
def test_our_vehicle_charges(world: World, report: Report, name: str, evse: str, shows: str) -> None:
    files = world.provisioning if shows == "provisioning" else world.files[shows]
    assert asyncio.run(charge(world, evse, files)).reason is EndReason.STOPPED
    assert world.wait_until_free()["ended"] == "SESSION_STOPPED"
    report.made.append(Made(evse, "our EVCC", name, "accepted, charged", "", ""))


def test_our_vehicle_under_another_name_than_its_certificates_is_refused_in_strict(
    world: World, report: Report
) -> None:
    ended = asyncio.run(charge(world, "strict", world.files["vehicle"], "WMIV0000000000000X"))
    assert ended.response_code == "FAILED"
    told = world.wait_until_free()
    assert not told["begun"]
    assert f"EVCCID WMIV0000000000000X is not the name in the vehicle's certificate, {EVCCID}" in told["detail"]
    report.made.append(
        Made("strict", "our EVCC", "EVCCID other than its CN", "refused by SessionSetupRes FAILED", "", told["detail"])
    )


@pytest.fixture
def unused_tcp_port() -> int:
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::1", 0))
        return int(sock.getsockname()[1])
