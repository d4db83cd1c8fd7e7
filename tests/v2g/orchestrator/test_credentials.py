"""New certificates come into force under a running daemon; bad ones do not; what ends is told in time."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509

from pyiso15118.aio import Address, NetworkError, SeccConnection, SeccServer, local_address
from pyiso15118.security import Credential, Pki, TlsError, TlsProfile, client_context, write_credential
from support.kept_log import KeptLog
from v2g.clock import ManualClock, SystemClock
from v2g.config.schema import Config, Evse, TlsProfileName
from v2g.config.schema import Pki as PkiConfig
from v2g.control.messages import NoParams
from v2g.control.server import Caller, Refused, Role
from v2g.orchestrator.credentials import TELL_EVERY_S, Credentials
from v2g.orchestrator.endpoints import build_endpoints
from v2g.orchestrator.pki_api import PkiApi
from v2g.pki.store import CHAIN, KEY, ROOTS, TRUST, Store

DAY_S = 86_400.0
E1, E2 = "US*V2G*E1", "US*V2G*E2"
ENGINEER = Caller(uid=0, gid=0, pid=1, user="root", role=Role.ENGINEER)
Install = Callable[..., Credential]


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(not_before=datetime.fromtimestamp(SystemClock().unix_s() - DAY_S, UTC))


@pytest.fixture
def install(pki: Pki, tmp_path: Path) -> Install:
    """Put a new pair in force on the disk, as v2g-cert-manager does."""

    def install(common_name: str = E1, folder: str = "", authority: Pki = pki, **files: bytes) -> Credential:
        credential = authority.secc(common_name)
        new = {
            KEY: credential.key_pem(),
            CHAIN: credential.chain_pem(),
            TRUST: pki.oem_root.certificate_pem,
            ROOTS: authority.v2g_root.certificate_pem,
        }
        store = Store(tmp_path / "ssl" / folder)
        with store.locked():
            store.install(new | {name: files[name] for name in files}, lambda staging: None)
        return credential

    return install


@pytest.fixture
def config(config_of: Callable[..., Config], tmp_path: Path) -> Config:
    """Two strict EVSEs on free ports."""
    config = msgspec.structs.replace(config_of(2), pki=PkiConfig(dir=str(tmp_path / "ssl")))
    return msgspec.structs.replace(config, evses=tuple(open_port(evse) for evse in config.evses))


def open_port(evse: Evse, **changes: Any) -> Evse:
    return msgspec.structs.replace(evse, tcp_port=0, sdp_port=None, **changes)


@pytest.fixture
def log() -> KeptLog:
    return KeptLog()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(unix_s=SystemClock().unix_s())


@pytest.fixture
def credentials(config: Config, clock: ManualClock, log: KeptLog) -> Credentials:
    return Credentials(config, clock, log)  # type: ignore[arg-type]


@pytest.fixture
async def secc(credentials: Credentials, install: Install) -> AsyncIterator[SeccServer]:
    try:
        local_address("lo")
    except NetworkError as error:
        pytest.skip(str(error))
    install()

    async def stay(connection: SeccConnection) -> None:
        await connection.closed()

    async with SeccServer(credentials.start(), stay) as server:
        yield server


@pytest.fixture
def vehicle(pki: Pki, tmp_path: Path) -> Any:
    files = write_credential(pki.vehicle("WMIV2G0001"), tmp_path, "vehicle")
    root = tmp_path / "v2g-root.pem"
    root.write_bytes(pki.v2g_root.certificate_pem)
    return client_context(TlsProfile.STRICT, files.chain, files.key, [root])


async def served_with(address: Address, vehicle: Any) -> x509.Certificate:
    """What a vehicle is shown that connects now."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = vehicle.wrap_bio(incoming, outgoing, server_side=False)
    try:
        async with asyncio.timeout(10.0):
            while True:
                try:
                    tls.do_handshake()
                    return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    incoming.write(await reader.read(65_536))
    finally:
        writer.close()


async def test_whoever_connects_after_a_reload_sees_the_new_certificate(
    credentials: Credentials, secc: SeccServer, install: Install, vehicle: Any
) -> None:
    first = credentials.status().profiles[0].certificates[0]
    assert (await served_with(secc.address(E1), vehicle)).serial_number == int(first.serial, 16)
    new = install("SECC-2")
    assert (await served_with(secc.address(E1), vehicle)).serial_number == int(first.serial, 16)
    result = await credentials.reload(secc)
    assert result.evses == (E1, E2)
    assert "2 EVSEs serve with DC=CPO,CN=SECC-2" in result.message
    for evse_id in (E1, E2):
        assert await served_with(secc.address(evse_id), vehicle) == new.certificate
    assert credentials.status().profiles[0].certificates[0].serial == f"{new.certificate.serial_number:x}"


def mismatched(folder: Path, pki: Pki) -> None:
    (folder / KEY).write_bytes(pki.secc("other").key_pem())


def open_key(folder: Path, pki: Pki) -> None:
    (folder / KEY).chmod(0o644)


def no_key(folder: Path, pki: Pki) -> None:
    (folder / KEY).unlink()


def garbage_trust(folder: Path, pki: Pki) -> None:
    (folder / TRUST).write_bytes(b"garbage")


def linked_key(folder: Path, pki: Pki) -> None:
    (folder / KEY).rename(folder / "real.key")
    (folder / KEY).symlink_to("real.key")


def expired(folder: Path, pki: Pki) -> None:
    old = Pki(not_before=datetime.fromtimestamp(SystemClock().unix_s() - 400 * DAY_S, UTC)).secc(E1)
    (folder / KEY).write_bytes(old.key_pem())
    (folder / CHAIN).write_bytes(old.chain_pem())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (mismatched, "cannot be used"),
        (open_key, "chmod 600"),
        (no_key, "cannot be read"),
        (garbage_trust, "trust"),
        (linked_key, "symbolic link"),
        (expired, "has expired, and the one in force is valid"),
    ],
)
async def test_a_bad_new_pair_is_refused_and_the_old_one_stays_in_force(
    credentials: Credentials,
    secc: SeccServer,
    pki: Pki,
    install: Install,
    vehicle: Any,
    tmp_path: Path,
    log: KeptLog,
    spoil: Callable[[Path, Pki], None],
    words: str,
) -> None:
    before = credentials.status().profiles
    spoil(tmp_path / "ssl", pki)
    api = PkiApi(credentials, lambda: secc, log)  # type: ignore[arg-type]
    with pytest.raises(Refused, match=f"{words}.*what was in force stays so") as refused:
        await api.reload(NoParams(), ENGINEER)
    assert refused.value.code == "PKI_REFUSED"
    assert log.codes()[-1] == "PKI_REFUSED"
    assert (await served_with(secc.address(E1), vehicle)).serial_number == int(before[0].certificates[0].serial, 16)
    assert [each.certificates[0].serial for each in credentials.status().profiles] == [before[0].certificates[0].serial]
    assert any(problem.startswith("new certificates are not in force: ") for problem in credentials.problems())
    new = install("SECC-3")
    await api.reload(NoParams(), ENGINEER)
    assert await served_with(secc.address(E1), vehicle) == new.certificate
    assert credentials.problems() == ()


async def test_an_evse_that_had_no_certificate_is_opened_once_it_has_one(
    config: Config, clock: ManualClock, log: KeptLog, install: Install, vehicle: Any, pki: Pki
) -> None:
    first, second = config.evses
    mixed = msgspec.structs.replace(config, evses=(first, open_port(second, tls=TlsProfileName.COMPAT)))
    credentials = Credentials(mixed, clock, log)  # type: ignore[arg-type]
    install()

    async def stay(connection: SeccConnection) -> None:
        await connection.closed()

    async with SeccServer(credentials.start(), stay) as server:
        assert list(credentials.unusable) == [E2]
        new = install("SECC-C", folder="compat")
        result = await credentials.reload(server)
        assert result.evses == (E1, E2)
        assert "1 of them for the first time" in result.message
        assert credentials.unusable == {}
        assert await served_with(server.address(E2), vehicle) == new.certificate
        assert [each.profile for each in credentials.status().profiles] == ["strict", "compat"]


async def test_what_was_committed_and_not_yet_moved_is_served(
    credentials: Credentials, secc: SeccServer, vehicle: Any, pki: Pki, tmp_path: Path
) -> None:
    new = pki.secc("SECC-N")
    staging = tmp_path / "ssl" / "next"
    staging.mkdir()
    for name, content in ((KEY, new.key_pem()), (CHAIN, new.chain_pem())):
        (staging / name).write_bytes(content)
        (staging / name).chmod(0o600)
    await credentials.reload(secc)
    assert await served_with(secc.address(E1), vehicle) == new.certificate


def test_files_replaced_while_they_are_read_are_read_again(
    config: Config, clock: ManualClock, log: KeptLog, install: Install
) -> None:
    install("SECC-1")
    calls = []

    def build(config: Config) -> Any:
        calls.append(1)
        if len(calls) == 1:
            install("SECC-2")
            raise TlsError("key and certificate do not match")
        built = build_endpoints(config)
        if len(calls) == 2:
            install("SECC-3")
        return built

    credentials = Credentials(config, clock, log, build)  # type: ignore[arg-type]
    credentials.start()
    assert len(calls) == 3
    subject = credentials.status().profiles[0].certificates[0].subject
    assert "SECC-3" in subject


def test_nothing_usable_at_the_start_is_an_error_with_the_command(
    credentials: Credentials, install: Install, tmp_path: Path
) -> None:
    install()
    (tmp_path / "ssl" / KEY).chmod(0o644)
    with pytest.raises(TlsError, match=rf"chmod 600 {tmp_path}/ssl/private\.key"):
        credentials.start()


def test_what_ends_is_told_at_the_start_once_a_day_and_in_the_status(
    credentials: Credentials, clock: ManualClock, log: KeptLog, install: Install, pki: Pki
) -> None:
    install()
    credentials.start()
    assert log.said == []
    assert credentials.problems() == ()
    clock.advance(339.5 * DAY_S)
    credentials.on_cycle(clock.monotonic_s())
    assert log.codes() == ["CERT_EXPIRES"]
    assert log.lines[0][0] == "WARNING"
    assert "CN=US*V2G*E1" in log.said[0][1]
    assert "expires in 24 days: v2g-cert-manager renew" in log.said[0][1]
    assert credentials.problems() == (log.said[0][1],)
    for _ in range(23):
        clock.advance(3600.0)
        credentials.on_cycle(clock.monotonic_s())
    assert len(log.said) == 1
    clock.advance(TELL_EVERY_S - 23 * 3600.0)
    credentials.on_cycle(clock.monotonic_s())
    assert len(log.said) == 2
    clock.advance(30 * DAY_S)
    assert "expired" in credentials.problems()[0]
    credentials.on_cycle(clock.monotonic_s())
    assert (log.lines[-1][0], log.codes()[-1]) == ("ERROR", "CERT_EXPIRED")


async def test_the_status_grows_old_with_the_clock(
    credentials: Credentials, clock: ManualClock, install: Install
) -> None:
    install()
    credentials.start()
    begin = credentials.status().profiles[0].certificates[0]
    clock.advance(100 * DAY_S)
    later = credentials.status().profiles[0].certificates[0]
    assert later.days_left == pytest.approx(begin.days_left - 100.0)
    uses = [line.use for line in credentials.status().profiles[0].certificates]
    assert uses == ["own", "issuer", "own root", "trust anchor"]


async def test_a_reload_before_the_sockets_are_made_is_refused(credentials: Credentials, log: KeptLog) -> None:
    api = PkiApi(credentials, lambda: None, log)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="is starting"):
        await api.reload(NoParams(), ENGINEER)
    assert {method.name: method.role for method in api.methods()} == {
        "pki.status": Role.VIEWER,
        "pki.reload": Role.ENGINEER,
    }


async def test_a_pair_with_which_no_handshake_succeeds_is_refused(
    config: Config, clock: ManualClock, log: KeptLog, install: Install, vehicle: Any
) -> None:
    spoiled = False

    def build(config: Config) -> Any:
        built = build_endpoints(config)
        broken = {profile: TlsError("our key does not sign") for profile in built.in_force}
        return replace(built, in_force=broken) if spoiled else built

    credentials = Credentials(config, clock, log, build)  # type: ignore[arg-type]
    first = install()

    async def stay(connection: SeccConnection) -> None:
        await connection.closed()

    async with SeccServer(credentials.start(), stay) as server:
        install("SECC-2")
        spoiled = True
        with pytest.raises(Refused, match="a handshake with ourselves failed: our key does not sign"):
            await credentials.reload(server)
        assert await served_with(server.address(E1), vehicle) == first.certificate
