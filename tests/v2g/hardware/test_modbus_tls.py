"""Modbus/TCP Security: who is let in, who is refused, and what the operator reads then."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from support.modbus_peer import Ca, Peer, alerting, client_files, peer, reading, server_context
from v2g.clock import SystemClock
from v2g.hardware.endpoint import TlsFiles
from v2g.hardware.modbus import LinkTiming, ModbusEndpoint, ModbusLink
from v2g.hardware.modbus_tls import ROLE_OID, TlsClient, TlsProblem, load_context, role
from v2g.hardware.ports import DeviceError
from v2g.hardware.registers import Table

TIMING = LinkTiming(request_timeout_s=5.0, tls_connect_timeout_s=5.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pki")


@pytest.fixture(scope="module")
def ca(folder: Path) -> Ca:
    return Ca(folder)


@pytest.fixture(scope="module")
def device(ca: Ca) -> tuple[Path, Path]:
    return ca.issue("device")


@pytest.fixture(scope="module")
def ours(ca: Ca) -> tuple[Path, Path]:
    return ca.issue("guard", role="operator")


def link_to(port: int, files: TlsFiles, host: str = "127.0.0.1") -> ModbusLink:
    return ModbusLink("inverter X", ModbusEndpoint(host, port, 7, files), SystemClock(), lambda: 0.0, TIMING)


async def asked(made: Peer, files: TlsFiles) -> str:
    """The error of a read."""
    made.answers = [reading(1)]
    return await asked_at(made.port, files)


async def asked_at(port: int, files: TlsFiles) -> str:
    link = link_to(port, files)
    with pytest.raises(DeviceError) as error:
        await link.read(Table.HOLDING, 0, 1)
    assert not link.state.online
    assert str(error.value).startswith(f"inverter X at 127.0.0.1:{port} unit 7 TLS: ")
    return str(error.value)


async def test_it_is_tls_1_3_and_the_device_sees_our_role(
    ca: Ca, device: tuple[Path, Path], ours: tuple[Path, Path]
) -> None:
    context = server_context(ca, device)
    async with peer(context) as made:
        made.answers = [reading(42)]
        link = link_to(made.port, client_files(ca, ours))
        assert await link.read(Table.HOLDING, 0, 1) == [42]
        tls = made.writers[0].get_extra_info("ssl_object")
        assert tls.version() == "TLSv1.3"
        shown = x509.load_der_x509_certificate(tls.getpeercert(True))
        extension = shown.extensions.get_extension_for_oid(x509.ObjectIdentifier(ROLE_OID)).value
        assert isinstance(extension, x509.UnrecognizedExtension)
        assert extension.value == b"\x0c\x08operator"
        await link.close()


async def test_a_device_may_be_named_otherwise_than_it_is_reached(ca: Ca, ours: tuple[Path, Path]) -> None:
    async with peer(server_context(ca, ca.issue("named", host="inverter-7.site"))) as made:
        made.answers = [reading(42)]
        link = link_to(made.port, client_files(ca, ours, "inverter-7.site"))
        assert await link.read(Table.HOLDING, 0, 1) == [42]
        await link.close()
        told = await asked(made, client_files(ca, ours))
        assert "IP address mismatch" in told
        assert "it bears other names than 127.0.0.1: set tls.server_name" in told
        told = await asked(made, client_files(ca, ours, "inverter-8.site"))
        assert "it bears other names than inverter-8.site" in told


async def test_an_expired_certificate_of_the_device_is_refused(ca: Ca, ours: tuple[Path, Path]) -> None:
    async with peer(server_context(ca, ca.issue("expired", days=-1))) as made:
        told = await asked(made, client_files(ca, ours))
        assert "certificate has expired" in told
        assert "have it renewed, and compare the clocks" in told


async def test_a_device_of_an_unknown_ca_is_refused(ca: Ca, ours: tuple[Path, Path], tmp_path: Path) -> None:
    stranger = Ca(tmp_path, "other")
    async with peer(server_context(ca, stranger.issue("stranger"))) as made:
        assert f"put the CA that signed it into {ca.pem}" in await asked(made, client_files(ca, ours))


async def test_a_device_that_refuses_our_certificate_is_told_with_its_words(
    ca: Ca, device: tuple[Path, Path], tmp_path: Path
) -> None:
    other = Ca(tmp_path, "other")
    for days, made_role, said in (
        (1, None, "it does not know the CA that signed it; it bears no role"),
        (1, "viewer", "it does not know the CA that signed it; its role is 'viewer': is that the one"),
    ):
        pem, key = other.issue("guard", role=made_role, days=days)
        with alerting(server_context(ca, device)) as port:
            told = await asked_at(port, TlsFiles(ca.pem, pem, key))
            assert f"refuses our certificate {pem}: {said}" in told
    pem, key = ca.issue("old", role="operator", days=-1)
    with alerting(server_context(ca, device)) as port:
        assert "for it, the certificate has expired; compare its clock" in await asked_at(
            port, TlsFiles(ca.pem, pem, key)
        )


async def test_a_device_that_hangs_up_on_a_role_in_silence_is_told(
    ca: Ca, device: tuple[Path, Path], ours: tuple[Path, Path]
) -> None:
    async with peer(server_context(ca, device)) as made:
        made.answers = [lambda request: None]
        link = link_to(made.port, client_files(ca, ours))
        with pytest.raises(DeviceError, match=r"closed the connection; a device that demands another role"):
            await link.read(Table.HOLDING, 0, 1)


async def test_nothing_below_tls_1_3_is_spoken(ca: Ca, device: tuple[Path, Path], ours: tuple[Path, Path]) -> None:
    with alerting(server_context(ca, device, ssl.TLSVersion.TLSv1_2)) as port:
        assert "the device speaks no TLS 1.3" in await asked_at(port, client_files(ca, ours))


async def test_a_device_without_tls_is_told(ca: Ca, ours: tuple[Path, Path]) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\0\1\0\0\0\3\1\x83\1")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    link = link_to(server.sockets[0].getsockname()[1], client_files(ca, ours))
    with pytest.raises(DeviceError, match=r"speaks no TLS on this port; Modbus/TCP Security has port 802"):
        await link.read(Table.HOLDING, 0, 1)
    server.close()


def test_a_key_that_others_may_read_is_refused(ca: Ca) -> None:
    pem, key = ca.issue("open")
    key.chmod(0o640)
    with pytest.raises(TlsProblem, match=rf"open to others \(mode 0640\): chmod 600 {key}"):
        load_context(TlsFiles(ca.pem, pem, key))


def test_files_that_are_missing_or_do_not_belong_together_are_named(
    ca: Ca, ours: tuple[Path, Path], device: tuple[Path, Path], tmp_path: Path
) -> None:
    pem, key = ours
    for files, said in (
        (TlsFiles(tmp_path / "none.pem", pem, key), "none.pem cannot be"),
        (TlsFiles(ca.pem, tmp_path / "none.pem", key), "none.pem and .* cannot be used together"),
        (TlsFiles(ca.pem, pem, tmp_path / "none.key"), "none.key cannot be read: No such file"),
        (TlsFiles(key, pem, key), "guard.key cannot be used as CA"),
        (TlsFiles(ca.pem, pem, device[1]), "device.key cannot be used together .*key values mismatch"),
    ):
        with pytest.raises(TlsProblem, match=said):
            load_context(files)


def test_a_key_with_a_password_asks_nobody(ca: Ca, ours: tuple[Path, Path], tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(ours[1].read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.touch(mode=0o600)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
        )
    )
    with pytest.raises(TlsProblem, match=r"has a password, which nobody can enter here"):
        load_context(TlsFiles(ca.pem, ours[0], locked))


def test_the_role_is_read_from_our_certificate(ca: Ca, ours: tuple[Path, Path], device: tuple[Path, Path]) -> None:
    assert role(ours[0]) == "operator"
    assert role(device[0]) is None
    with pytest.raises(TlsProblem, match=r"cannot be read as a PEM certificate"):
        role(ours[1])


async def test_the_context_is_made_once_and_again_when_a_file_changed(ca: Ca) -> None:
    pem, key = ca.issue("changing")
    client = TlsClient(TlsFiles(ca.pem, pem, key))
    first = await client.context()
    assert await client.context() is first
    pem.unlink()
    with pytest.raises(TlsProblem, match=f"{pem} cannot be read"):
        await client.context()
    ca.issue("changing")
    second = await client.context()
    assert second is not first
    assert await client.context() is second
