"""The daemon's revocation, time and staple: joined to the endpoints, kept up to date, told in the status."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyiso15118.security import (
    Credential,
    Pki,
    TlsError,
    TlsProfile,
    client_context,
    write_credential,
    write_trust_anchor,
)
from support.kept_log import KeptLog
from v2g.clock import ManualClock, SystemClock
from v2g.config.schema import Config
from v2g.config.schema import Pki as PkiConfig
from v2g.config.schema_pki import Revocation
from v2g.orchestrator import trust
from v2g.orchestrator.endpoints import Endpoints
from v2g.orchestrator.trust import TrustData
from v2g.pki.staple import Stapler

DAY_S = 86_400.0
NOW_S = SystemClock().unix_s()


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki(not_before=datetime.fromtimestamp(NOW_S - DAY_S, UTC))


@pytest.fixture
def config(config_of: Callable[..., Config], pki: Pki, tmp_path: Path) -> Config:
    folder = tmp_path / "ssl"
    files = write_credential(pki.secc("US*V2G*E1"), folder, "secc")
    section = PkiConfig(
        dir=str(folder),
        strict_chain=str(files.chain),
        strict_key=str(files.key),
        strict_trust=str(write_trust_anchor(pki.oem_root, folder, "oem")),
    )
    (folder / "crl").mkdir()
    return msgspec.structs.replace(config_of(1), pki=section)


def data_of(config: Config, tmp_path: Path, log: KeptLog, **options: Any) -> TrustData:
    state = tmp_path / "state"
    state.mkdir(exist_ok=True)
    clock = options.get("clock", ManualClock(unix_s=NOW_S))
    data = TrustData(config, state, clock, log, log)
    data.start()
    return data


def connects(data: TrustData, config: Config, pki: Pki, vehicle: Credential, folder: Path) -> str:
    """A handshake of ``vehicle`` with the endpoint, in memory: empty where it succeeds, else why it does not."""
    [endpoint] = data.build(config).usable
    assert endpoint.tls is not None
    files = write_credential(vehicle, folder, "vehicle")
    root = write_trust_anchor(pki.v2g_root, folder, "v2g")
    vehicles = client_context(TlsProfile.STRICT, files.chain, files.key, (root,))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = vehicles.wrap_bio(to_client, to_server, server_side=False)
    server = endpoint.tls.wrap_bio(to_server, to_client, server_side=True)
    waiting = {"client": client, "server": server}
    for _ in range(20):
        for name, side in list(waiting.items()):
            try:
                side.do_handshake()
                del waiting[name]
            except ssl.SSLWantReadError:
                continue
            except (ssl.SSLError, TlsError) as error:
                return str(error)
        if not waiting:
            return ""
    raise AssertionError("the handshake does not end")


def test_a_site_without_revocation_data_serves_and_says_so(config: Config, pki: Pki, tmp_path: Path) -> None:
    log = KeptLog()
    data = data_of(config, tmp_path, log)
    assert connects(data, config, pki, pki.vehicle("WMIV1"), tmp_path) == ""
    assert "REVOCATION_NOT_CONFIGURED" in str(log.lines)
    assert any("no revocation data is configured" in problem for problem in data.problems())


def test_a_revoked_vehicle_is_refused_by_the_endpoints_and_another_is_not(
    config: Config, pki: Pki, tmp_path: Path
) -> None:
    bad, good = pki.vehicle("WMIV1"), pki.vehicle("WMIV2")
    (Path(config.pki.dir) / "crl" / "oem.crl").write_bytes(pki.oem_sub_ca.crl(bad.certificate))
    data = data_of(config, tmp_path, KeptLog())
    assert connects(data, config, pki, good, tmp_path) == ""
    assert "CN=WMIV1,O=v2g simulation,C=XX is revoked" in connects(data, config, pki, bad, tmp_path)
    assert data.problems() == ()


def test_checking_nothing_is_as_the_configuration_says(config: Config, pki: Pki, tmp_path: Path) -> None:
    bad = pki.vehicle("WMIV1")
    (Path(config.pki.dir) / "crl" / "oem.crl").write_bytes(pki.oem_sub_ca.crl(bad.certificate))
    section = msgspec.structs.replace(config.pki, revocation=Revocation(check=False))
    unchecked = msgspec.structs.replace(config, pki=section)
    assert connects(data_of(unchecked, tmp_path, KeptLog()), unchecked, pki, bad, tmp_path) == ""


async def test_a_new_list_counts_while_the_daemon_runs(
    config: Config, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "REFRESH_S", 0.01)
    bad = pki.vehicle("WMIV1")
    data = data_of(config, tmp_path, KeptLog())
    assert connects(data, config, pki, bad, tmp_path) == ""
    (Path(config.pki.dir) / "crl" / "oem.crl").write_bytes(pki.oem_sub_ca.crl(bad.certificate))
    running = asyncio.create_task(data.run())
    try:
        async with asyncio.timeout(10):
            while data.revocation.warnings():
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert "is revoked" in connects(data, config, pki, bad, tmp_path)


def test_after_a_boot_in_1970_our_own_certificate_says_what_time_it_is_at_least(
    config: Config, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("v2g.pki.clock_sync.is_synchronised", lambda: False)
    log = KeptLog()
    data = data_of(config, tmp_path, log, clock=ManualClock(unix_s=1000.0))
    data.time._probe = lambda: False
    assert connects(data, config, pki, pki.vehicle("WMIV1"), tmp_path) == ""
    expired = Pki(not_before=datetime.fromtimestamp(NOW_S - 400 * DAY_S, UTC))
    folder = Path(config.pki.dir)
    write_trust_anchor(expired.oem_root, folder, "oem")
    assert "expired" in connects(data, config, pki, expired.vehicle("WMIV1"), tmp_path)


def test_what_was_read_and_not_adopted_changes_nothing_of_what_is_stapled_and_trusted(
    config: Config, pki: Pki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Answering(Stapler):
        def __call__(self) -> bytes:
            return self._leaf.serial_number.to_bytes(20)

    def serial(endpoints: Endpoints) -> int:
        return int.from_bytes(endpoints.usable[0].tls.staple())  # type: ignore[union-attr]

    monkeypatch.setattr(trust, "Stapler", Answering)
    data = data_of(config, tmp_path, KeptLog())
    served = data.build(config)
    served.adopted()
    first = serial(served)
    another = write_credential(pki.secc("US*V2G*E2"), tmp_path / "other", "other")
    section = msgspec.structs.replace(
        config.pki,
        strict_chain=str(another.chain),
        strict_key=str(another.key),
        strict_trust=str(write_trust_anchor(pki.v2g_root, tmp_path / "other", "v2g")),
    )
    read = data.build(msgspec.structs.replace(config, pki=section))
    assert serial(served) == first != serial(read)
    assert data.revocation._anchors == (pki.oem_root.credential.certificate,)
    assert data._stapler is served.usable[0].tls.staple  # type: ignore[union-attr]
    read.adopted()
    assert serial(served) == first
    assert data.revocation._anchors == (pki.v2g_root.credential.certificate,)
    assert data._stapler is read.usable[0].tls.staple  # type: ignore[union-attr]
