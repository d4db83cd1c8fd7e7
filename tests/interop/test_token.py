"""The SECC's key in a token of SoftHSM2: made, certified, used, pulled, put back; and a module that goes wrong.

Nothing here is played but the faults: the module is SoftHSM2's, sockets and TLS are real, the signing process is ours.
"""

from __future__ import annotations

import asyncio
import datetime
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from pyiso15118.aio import NetworkError, SeccServer, connect
from pyiso15118.evcc import EvccConfig
from pyiso15118.events import EndReason, SessionEnded
from pyiso15118.security import Pki, TlsError, TlsProfile, client_context, write_credential, write_trust_anchor
from pyiso15118.security.tls_token import KeyUnavailable, TokenTlsContext
from support import softhsm
from support.authority import pem
from support.config_dir import write_config
from support.fleet.parts import EVSE_LIMITS, VEHICLE
from support.pki_site import Utility, config_tree
from support.softhsm import PIN, SoftHsm, soft_hsm
from support.stations import QUICK, STRICT, Station, charge, drive
from v2g.config.loader import load
from v2g.config.paths import pki_paths
from v2g.config.schema_pki import KeyKind
from v2g.orchestrator.endpoints import build_endpoints
from v2g.pki import token_context
from v2g.pki.model import PkiError
from v2g.pki.signer import AGAIN_S, TokenSigner
from v2g.pki.token import TokenKeys

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(bool(softhsm.missing()), reason=softhsm.missing() or "SoftHSM2 is here"),
]
SUBJECT = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "US*V2G*E1")])
CKR_PIN_LOCKED, CKR_DEVICE_MEMORY, CKR_SESSION_HANDLE_INVALID = 0xA4, 0x31, 0xB3
CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED = 0x20000, 0x40000


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    with soft_hsm(tmp_path / "hsm", monkeypatch) as found:
        found.add_token()
        yield found
    for signer in token_context._signers.values():
        signer.close()
    token_context._signers.clear()


@pytest.fixture
def keys(hsm: SoftHsm) -> TokenKeys:
    return TokenKeys(hsm.settings(), KeyKind.P521)


class Said:
    """What a signer tells the log."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, code: str, words: str) -> None:
        self.lines.append((code, words))


@pytest.fixture
def said() -> Said:
    return Said()


# ---- keys ----


def test_a_key_is_made_and_signs_a_request_without_ever_leaving_the_token(hsm: SoftHsm, keys: TokenKeys) -> None:
    key, reference = keys.generate()
    request = x509.CertificateSigningRequestBuilder().subject_name(SUBJECT).sign(key, hashes.SHA512())
    assert request.is_signature_valid
    assert keys.load(reference.content).public_key() == key.public_key()
    # A tool that is not ours sees the key and its attributes.
    listed = subprocess.run(
        ["pkcs11-tool", "--module", hsm.module, "--login", "--pin", PIN, "--list-objects", "--type", "privkey"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "sensitive" in listed
    assert "never extractable" in listed
    assert PIN not in reference.content.decode()


def test_a_discarded_key_is_gone_and_the_others_are_not(keys: TokenKeys) -> None:
    (_, kept), (_, dropped) = keys.generate(), keys.generate()
    keys.discard(dropped.content)
    keys.discard(dropped.content)
    with pytest.raises(PkiError, match="no public EC key"):
        keys.load(dropped.content)
    keys.load(kept.content)


def test_a_token_that_is_full_says_so(hsm: SoftHsm) -> None:
    shim = hsm.shim()
    hsm.tell(generate_rv=CKR_DEVICE_MEMORY)
    with pytest.raises(PkiError, match=r"token 'v2g' .* is full"):
        TokenKeys(hsm.settings(module=shim), KeyKind.P521).generate()


def test_two_tokens_of_one_label_are_told_apart_by_serial(hsm: SoftHsm) -> None:
    hsm.add_token()
    with pytest.raises(PkiError, match=r"2 tokens match pkcs11:token=v2g: add serial=") as refused:
        TokenKeys(hsm.settings(), KeyKind.P521).generate()
    serial = str(refused.value).rpartition("(serial ")[2].rstrip(")")
    _, reference = TokenKeys(hsm.settings(uri=f"pkcs11:token=v2g;serial={serial}"), KeyKind.P521).generate()
    assert f"serial={serial}" in reference.content.decode()


def test_no_such_token_lists_those_that_are_there(hsm: SoftHsm) -> None:
    with pytest.raises(PkiError, match=r"no token pkcs11:token=other: present: 'v2g' \(serial "):
        TokenKeys(hsm.settings(uri="pkcs11:token=other"), KeyKind.P521).generate()


# ---- the PIN ----


def test_a_wrong_pin_is_tried_once_until_its_file_has_changed(hsm: SoftHsm, keys: TokenKeys, said: Said) -> None:
    _, reference = keys.generate()
    uri = reference.content.decode().strip()
    signer = TokenSigner(hsm.settings(module=hsm.shim()), said)
    hsm.write_pin("000000")
    for _ in range(3):
        with pytest.raises(KeyUnavailable, match=r"is wrong for token 'v2g' .* it is not tried again") as refused:
            signer.sign(uri, bytes(64))
        time.sleep(AGAIN_S)
    assert "000000" not in str(refused.value)
    assert hsm.logins() == 1
    hsm.write_pin(PIN)
    signer.sign(uri, bytes(64))
    assert hsm.logins() == 2
    assert [code for code, _ in said.lines] == ["TOKEN_LOST", "TOKEN_BACK"]
    signer.close()


@pytest.mark.parametrize(
    ("told", "words", "tries"),
    [
        ({"login_rv": CKR_PIN_LOCKED}, "PIN of token 'v2g' .* is locked: its security officer", 1),
        ({"token_flags": CKF_USER_PIN_LOCKED}, "PIN of token 'v2g' .* is locked: its security officer", 0),
        ({"token_flags": CKF_USER_PIN_FINAL_TRY}, "one try left before its PIN is locked, and it is not spent", 0),
    ],
)
def test_a_pin_that_is_locked_or_nearly_so_is_not_tried_on(
    hsm: SoftHsm, keys: TokenKeys, said: Said, told: dict[str, int], words: str, tries: int
) -> None:
    _, reference = keys.generate()
    signer = TokenSigner(hsm.settings(module=hsm.shim()), said)
    hsm.tell(**told)
    for _ in range(2):
        with pytest.raises(KeyUnavailable, match=words):
            signer.sign(reference.content.decode().strip(), bytes(64))
        time.sleep(AGAIN_S)
    assert hsm.logins() == tries
    signer.close()


def test_the_pin_is_in_no_argument_and_no_environment_of_the_signing_process(
    hsm: SoftHsm, keys: TokenKeys, said: Said
) -> None:
    _, reference = keys.generate()
    signer = TokenSigner(hsm.settings(), said)
    signer.sign(reference.content.decode().strip(), bytes(64))
    process = Path(f"/proc/{signer.pid}")
    shown = process.joinpath("cmdline").read_bytes() + process.joinpath("environ").read_bytes()
    assert PIN.encode() not in shown
    assert b"v2g.pki.signer_process" in shown
    (core,) = [line for line in (process / "limits").read_text().splitlines() if line.startswith("Max core file size")]
    assert core.split()[4] == "0"
    signer.close()


# ---- the SECC ----


class Site:
    """A configuration whose certificate was provisioned by the command, its daemon's endpoint, and a vehicle."""

    def __init__(self, folder: Path, hsm: SoftHsm, module: Path | None = None) -> None:
        self.folder = folder
        self.utility = Utility(time.time())
        settings = hsm.settings(module=module)
        token = {"uri": settings.uri, "module": settings.module, "pin_file": settings.pin_file}
        self.config_dir = folder / "etc"
        tree = config_tree(folder, token=token, revocation={"check": False})
        for evse in tree["evses"]:
            evse["kind"] = "DC"
        write_config(self.config_dir, tree)
        (folder / "ssl").mkdir(mode=0o750)
        self.oem = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1))
        self.vehicle = write_credential(self.oem.vehicle("WMIV1234567890ABCDEX"), folder, "vehicle")
        self.oem_root = write_trust_anchor(self.oem.oem_root, folder, "oem")
        self.bundle = self.utility.write_bundle(folder)

    def command(self, *words: str | Path) -> str:
        """``v2g-cert-manager``, in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "v2g.cli.cert_manager", *map(str, words), "--config", str(self.config_dir)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def provision(self) -> str:
        said = self.command("--provision", f"--ca-bundle={self.bundle}", "--trust", self.oem_root)
        (request,) = (self.folder / "ssl").rglob("*.csr")
        chain = self.folder / "signed.pem"
        csr = x509.load_pem_x509_csr(request.read_bytes())
        assert csr.is_signature_valid
        chain.write_bytes(pem(*self.utility.chain_for(csr)))
        return said + self.command("install", chain, "--ca-bundle", self.bundle, "--trust", self.oem_root)

    def client(self) -> Any:
        return client_context(STRICT, self.vehicle.chain, self.vehicle.key, [self.bundle])


@asynccontextmanager
async def station_of(site: Site) -> AsyncIterator[tuple[SeccServer, Station]]:
    config = load(site.config_dir).config
    endpoint = build_endpoints(config).usable[0]
    assert isinstance(endpoint.tls, TokenTlsContext)
    station = Station(limits=EVSE_LIMITS)
    ours = replace(station.endpoint(1, tls=endpoint.tls), profile=TlsProfile.STRICT)
    async with SeccServer([ours], station.serve) as server:
        yield server, station


@pytest.fixture
def site(tmp_path: Path, hsm: SoftHsm) -> Site:
    found = Site(tmp_path, hsm)
    found.provision()
    return found


def test_provisioning_puts_the_key_into_the_token_and_a_reference_beside_the_chain(
    tmp_path: Path, hsm: SoftHsm
) -> None:
    said = Site(tmp_path, hsm).provision()
    ssl_dir = tmp_path / "ssl"
    reference = ssl_dir / "private.key.uri"
    assert reference.read_text().startswith("pkcs11:token=v2g;id=%")
    assert reference.stat().st_mode & 0o777 == 0o600
    assert not (ssl_dir / "private.key").exists()
    assert PIN not in said
    assert not [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes() and path.name != "vehicle.key"
    ]


async def test_a_vehicle_charges_over_tls_with_the_tokens_key(site: Site) -> None:
    async with station_of(site) as (server, station):
        told = await charge(server.address("US*V2G*E1"), VEHICLE, tls=site.client(), loops=20)
        ended = told[-1]
    assert isinstance(ended, SessionEnded)
    assert ended.reason is EndReason.STOPPED
    assert station.connections[0].peer_identity is not None
    assert station.connections[0].peer_identity.common_name == "WMIV1234567890ABCDEX"


async def test_a_pulled_token_harms_no_session_refuses_new_ones_and_serves_again_when_it_is_back(
    site: Site, hsm: SoftHsm, caplog: pytest.LogCaptureFixture
) -> None:
    """One run: a session before, through and after the removal; vehicles that come while the token is away."""
    async with station_of(site) as (server, station):
        address = server.address("US*V2G*E1")
        running = await connect(
            address,
            EvccConfig(evccid="WMIV1234567890ABCDEX", timers=QUICK),
            tls=site.client(),
            profile=STRICT,
            vehicle=VEHICLE,
        )
        pulled, loops_then = asyncio.Event(), 0

        def at_loop(n: int) -> None:
            nonlocal loops_then
            if n == 5:
                hsm.remove()
                pulled.set()
            if pulled.is_set():
                loops_then += 1

        session = asyncio.create_task(drive(running, 150, at_loop))
        await asyncio.wait_for(pulled.wait(), 10)
        context = server._evses["US*V2G*E1"].endpoint.tls
        assert isinstance(context, TokenTlsContext)
        failures = []
        for _ in range(5):
            try:
                await _handshake(context, site)
            except Exception as error:
                failures.append(str(error))
        told = await asyncio.wait_for(session, 30)
        ended = told[-1]
        assert isinstance(ended, SessionEnded)
        assert ended.reason is EndReason.STOPPED
        assert loops_then >= 100
        assert len(failures) == 5
        assert all("our private key cannot be used: no token pkcs11:token=v2g" in text for text in failures)

        with pytest.raises((NetworkError, OSError)):
            await charge(address, VEHICLE, tls=site.client())
        assert any("plug it in" in record.getMessage() for record in caplog.records)

        hsm.put_back()
        await asyncio.sleep(AGAIN_S)
        told = await charge(address, VEHICLE, tls=site.client())
        assert isinstance(told[-1], SessionEnded)
        assert told[-1].reason is EndReason.STOPPED
        assert station.end(1).reason is EndReason.STOPPED


async def _handshake(context: TokenTlsContext, site: Site) -> None:
    """The server's side beside the running session, whose EVSE takes no second vehicle."""
    client = site.client()

    def run() -> None:
        a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
        secc, vehicle = context.wrap_bio(a, b), client.wrap_bio(b, a)
        for _ in range(3):
            for end in (vehicle, secc):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    pass

    await asyncio.to_thread(run)


async def test_the_daemon_serves_once_a_token_comes_that_was_away_at_its_start(site: Site, hsm: SoftHsm) -> None:
    hsm.remove()
    async with station_of(site) as (server, _):
        with pytest.raises((NetworkError, OSError)):
            await charge(server.address("US*V2G*E1"), VEHICLE, tls=site.client())
        hsm.put_back()
        await asyncio.sleep(AGAIN_S)
        told = await charge(server.address("US*V2G*E1"), VEHICLE, tls=site.client())
    assert isinstance(told[-1], SessionEnded)
    assert told[-1].reason is EndReason.STOPPED


def test_a_key_that_is_not_the_certificates_keeps_the_evse_away_with_the_remedy(site: Site, keys: TokenKeys) -> None:
    _, other = keys.generate()
    (site.folder / "ssl" / "private.key.uri").write_bytes(other.content)
    with pytest.raises(TlsError, match=r"is not that of the certificate in .*chain\.pem: .*v2g-cert-manager"):
        build_endpoints(load(site.config_dir).config)


async def test_a_slow_token_does_not_hold_the_loop(tmp_path: Path, hsm: SoftHsm) -> None:
    site = Site(tmp_path, hsm, module=hsm.shim())
    site.provision()
    async with station_of(site) as (server, _):
        hsm.tell(sign_delay_ms=500)
        longest, stop = 0.0, False

        async def watch() -> None:
            nonlocal longest
            while not stop:
                before = time.perf_counter()
                await asyncio.sleep(0.005)
                longest = max(longest, time.perf_counter() - before)

        watcher = asyncio.create_task(watch())
        started = time.perf_counter()
        told = await charge(server.address("US*V2G*E1"), VEHICLE, tls=site.client())
        took = time.perf_counter() - started
        stop = True
        await watcher
    assert isinstance(told[-1], SessionEnded)
    assert told[-1].reason is EndReason.STOPPED
    assert took > 0.5
    assert longest < 0.25


async def test_a_module_that_crashes_or_loses_its_sessions_costs_one_handshake_at_most(
    tmp_path: Path, hsm: SoftHsm
) -> None:
    site = Site(tmp_path, hsm, module=hsm.shim())
    site.provision()
    async with station_of(site) as (server, _):
        address = server.address("US*V2G*E1")
        await charge(address, VEHICLE, tls=site.client())
        for fault in ({"sign_abort": 1}, {"sign_rv": CKR_SESSION_HANDLE_INVALID}):
            hsm.tell(**fault)
            with pytest.raises((NetworkError, OSError)):
                await charge(address, VEHICLE, tls=site.client())
            hsm.tell()
            await asyncio.sleep(AGAIN_S)
            told = await charge(address, VEHICLE, tls=site.client())
            assert isinstance(told[-1], SessionEnded)
            assert told[-1].reason is EndReason.STOPPED


async def test_another_key_is_served_after_a_renewal_without_a_restart(site: Site, hsm: SoftHsm) -> None:
    async with station_of(site) as (server, _):
        address = server.address("US*V2G*E1")
        first = await _serial(address, site)
        site.command("--provision", f"--ca-bundle={site.bundle}", "--force", "--trust", site.oem_root)
        (request,) = (site.folder / "ssl").rglob("*.csr")
        chain = site.folder / "renewed.pem"
        chain.write_bytes(pem(*site.utility.chain_for(x509.load_pem_x509_csr(request.read_bytes()))))
        site.command("install", chain)
        context = await asyncio.to_thread(lambda: build_endpoints(load(site.config_dir).config).usable[0].tls)
        assert context is not None
        server.replace_tls("US*V2G*E1", context)
        assert await _serial(address, site) != first
    # What is not in force any more has been removed from the token.
    listed = subprocess.run(
        ["pkcs11-tool", "--module", hsm.module, "--login", "--pin", PIN, "--list-objects", "--type", "privkey"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert listed.count("Private Key Object") == 1


async def _serial(address: Any, site: Site) -> int:
    connection = await connect(
        address,
        EvccConfig(evccid="WMIV1234567890ABCDEX", timers=QUICK),
        tls=site.client(),
        profile=STRICT,
        vehicle=VEHICLE,
    )
    assert connection.peer_identity is not None
    serial = connection.peer_identity.serial_number
    await drive(connection, 1)
    return serial


def test_paths_of_a_site_with_a_token_name_the_reference(site: Site) -> None:
    paths = pki_paths(load(site.config_dir).config)
    assert paths.strict_key.name == "private.key.uri"


CONFINED = """
import ctypes, ssl, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) != 0:
    sys.exit(77)
from pathlib import Path
from pyiso15118.security.tls_token import TokenTlsContext
from support.elsewhere import signer_of
chain, key, vehicle, vehicle_key, oem, v2g = map(Path, sys.argv[1:])
client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
client.check_hostname = False
client.load_verify_locations(v2g)
client.load_cert_chain(vehicle, vehicle_key)
client.set_ecdh_curve("secp521r1")
a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
ends = client.wrap_bio(b, a), TokenTlsContext(chain, signer_of(key), [oem]).wrap_bio(a, b)
for end in ends * 2:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        pass
print(ends[1].version(), ends[1].validated is not None)
"""
"""PR_SET_MDWE: as MemoryDenyWriteExecute=yes of systemd."""


def test_openssl_can_call_back_where_memory_is_never_writable_and_executable(tmp_path: Path) -> None:
    pki = Pki(not_before=datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1))
    secc = write_credential(pki.secc("US*V2G*E1"), tmp_path, "secc")
    vehicle = write_credential(pki.vehicle("WMIV1234567890ABCDEX"), tmp_path, "vehicle")
    roots = [write_trust_anchor(pki.oem_root, tmp_path, "oem"), write_trust_anchor(pki.v2g_root, tmp_path, "v2g")]
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, secc.chain, secc.key, vehicle.chain, vehicle.key, *roots],
        cwd=Path(__file__).parents[1],
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    if done.returncode == 77:
        pytest.skip("the kernel has no PR_SET_MDWE (6.3)")
    assert done.stdout.strip() == "TLSv1.3 True", done.stderr
