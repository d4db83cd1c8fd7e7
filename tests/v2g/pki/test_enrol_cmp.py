"""CMP by ``openssl cmp`` against its own mock server, and against servers that do not answer as they should."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pyiso15118.security.pki import Curve
from support import softhsm
from support.authority import CN, TestAuthority, key_pem, name, pem, request_for, write_private
from support.cmp_server import CmpServer, behind_tls, mock_server, tcp_server
from v2g.config.schema_pki import Enrolment, EnrolmentProtocol, KeyKind, Token
from v2g.pki.enrol_cmp import CmpEnroller, find_openssl, with_pin_source
from v2g.pki.enrolment_answer import EnrolmentPending
from v2g.pki.model import Current, PkiError
from v2g.pki.token import TokenKeys

SECRET = "correct horse battery"


@dataclass
class World:
    folder: Path
    root: TestAuthority
    sub: TestAuthority
    bundle: Path
    password: Path

    def enroller(self, url: str, *, token: Token | None = None, **settings: Any) -> CmpEnroller:
        given = {"user": "maple-street-12", "password_file": str(self.password), "timeout_s": 5.0, **settings}
        return CmpEnroller(Enrolment(protocol=EnrolmentProtocol.CMP, url=url, **given), self.bundle, token)

    def write(self, file_name: str, *certificates: x509.Certificate) -> Path:
        path = self.folder / file_name
        path.write_bytes(pem(*certificates))
        return path

    @contextmanager
    def server(self, issued: x509.Certificate, *more: str | Path, by_secret: bool = True) -> Iterator[CmpServer]:
        """That answers with ``issued``."""
        authorities = self.write("authorities.pem", self.sub.certificate)
        answer: list[str | Path] = ["-rsp_cert", self.write("issued.pem", issued), "-rsp_extracerts", authorities]
        if by_secret:
            proof: list[str | Path] = ["-srv_ref", "srv", "-srv_secret", f"file:{self.password}"]
        else:
            key = ec.generate_private_key(ec.SECP256R1())
            own = self.root.leaf(name((CN, "CMP server")), key.public_key())
            proof = [
                *("-srv_cert", self.write("cmp.pem", own)),
                *("-srv_key", write_private(self.folder / "cmp.key", key_pem(key))),
                *("-srv_trusted", self.bundle, "-srv_untrusted", authorities),
            ]
        with mock_server(self.folder, *proof, *answer, *more) as server:
            yield server

    def installed(self, curve: Curve = Curve.SECP521R1) -> Current:
        key = curve.generate()
        chain = self.write("chain.pem", self.sub.sign_request(request_for(key)), self.sub.certificate)
        return Current(chain=chain, key=write_private(self.folder / "private.key", key_pem(key)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    root = TestAuthority("Grid Root", time.time(), domain="V2G")
    sub = TestAuthority("CPO Sub CA", time.time(), issuer=root, domain="CPO")
    bundle = tmp_path / "grid-ca.pem"
    bundle.write_bytes(pem(root.certificate))
    return World(tmp_path, root, sub, bundle, write_private(tmp_path / "secret", SECRET.encode() + b"\n"))


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP521R1())


def refusal(enroller: CmpEnroller, key: Any, current: Current | None = None) -> str:
    with pytest.raises(PkiError) as caught:
        enroller.enrol(request_for(key), key, current)
    text = str(caught.value)
    assert SECRET not in text
    assert text.isprintable()
    assert len(text) < 1000
    return text


# ---- with the mock server of openssl ----


@pytest.mark.interop
@pytest.mark.parametrize("curve", [Curve.SECP521R1, Curve.ED448])
def test_the_first_certificate_is_had_with_a_shared_secret(world: World, curve: Curve) -> None:
    key = curve.generate()
    csr = request_for(key)
    with world.server(world.sub.sign_request(csr), "-rsp_capubs", world.bundle) as server:
        leaf, *others = world.enroller(server.url).enrol(csr, key, None)
        assert "PKIStatus: rejection" not in server.log
    assert leaf.public_key() == key.public_key()
    assert world.sub.certificate in others


@pytest.mark.interop
def test_a_renewal_is_protected_by_the_certificate_in_use(world: World, key: Any) -> None:
    csr = request_for(key)
    with world.server(world.sub.sign_request(csr), by_secret=False) as server:
        enroller = world.enroller(server.url, user="", password_file="")
        leaf, *_ = enroller.enrol(csr, key, world.installed())
    assert leaf.public_key() == key.public_key()


@pytest.mark.interop
def test_the_certificate_in_use_of_another_authority_protects_nothing(world: World, key: Any) -> None:
    csr = request_for(key)
    current = world.installed()
    stranger = TestAuthority("Stranger", time.time())
    other = ec.generate_private_key(ec.SECP521R1())
    world.write("chain.pem", stranger.sign_request(request_for(other)))
    current.key.write_bytes(key_pem(other))
    with world.server(world.sub.sign_request(csr), by_secret=False) as server:
        refusal(world.enroller(server.url), key, current)
        assert "received CP" not in server.log


@pytest.mark.interop
def test_an_ed448_key_in_use_cannot_protect_and_the_secret_does(world: World) -> None:
    key = Curve.ED448.generate()
    csr = request_for(key)
    current = world.installed(Curve.ED448)
    with world.server(world.sub.sign_request(csr)) as server:
        leaf, *_ = world.enroller(server.url).enrol(csr, key, current)
        assert leaf.public_key() == key.public_key()
    with world.server(world.sub.sign_request(csr), by_secret=False) as server:
        text = refusal(world.enroller(server.url, user="", password_file=""), key, current)
    assert "cannot protect messages with such a key: set pki.enrolment.user" in text


@pytest.mark.interop
def test_https_is_verified_by_the_bundle(world: World, key: Any) -> None:
    csr = request_for(key)
    files = world.root.server_files(world.folder)
    with world.server(world.sub.sign_request(csr)) as server, behind_tls(server.port, *files) as port:
        leaf, *_ = world.enroller(f"https://localhost:{port}/pkix/").enrol(csr, key, None)
        assert leaf.public_key() == key.public_key()
        world.bundle.write_bytes(pem(TestAuthority("Other Root", time.time()).certificate))
        text = refusal(world.enroller(f"https://localhost:{port}/pkix/"), key)
        assert "pki.enrolment.server_ca" in text
    wrong = world.root.server_files(world.folder, hosts=["ca.utility.example"])
    world.bundle.write_bytes(pem(world.root.certificate))
    with world.server(world.sub.sign_request(csr)) as server, behind_tls(server.port, *wrong) as port:
        assert "pki.enrolment.server_ca" in refusal(world.enroller(f"https://localhost:{port}/pkix/"), key)


@pytest.mark.interop
def test_a_rejection_is_told_with_its_status_and_reason(world: World, key: Any) -> None:
    mood = ["-pkistatus", "2", "-failure", "2", "-statusstring", "no such entity in our books"]
    with world.server(world.sub.sign_request(request_for(key)), *mood) as server:
        text = refusal(world.enroller(server.url), key)
    assert "PKIStatus: rejection; PKIFailureInfo: badRequest" in text
    assert "no such entity in our books" in text


@pytest.mark.interop
def test_a_secret_that_the_server_does_not_know_is_told(world: World, key: Any) -> None:
    wrong = write_private(world.folder / "wrong", b"another secret")
    with world.server(world.sub.sign_request(request_for(key))) as server:
        text = refusal(world.enroller(server.url, password_file=str(wrong)), key)
    assert "check pki.enrolment.user (the reference) and password_file" in text


@pytest.mark.interop
def test_a_server_that_only_knows_the_secret_by_hearsay_is_not_believed(world: World, key: Any) -> None:
    """Its answers are protected with another secret, though it accepts ours without looking."""
    other = write_private(world.folder / "other", b"another secret")
    with world.server(
        world.sub.sign_request(request_for(key)), "-srv_secret", f"file:{other}", "-accept_unprotected"
    ) as server:
        assert "check pki.enrolment.user" in refusal(world.enroller(server.url), key)


@pytest.mark.interop
def test_unprotected_answers_are_not_believed(world: World, key: Any) -> None:
    with world.server(world.sub.sign_request(request_for(key)), "-send_unprotected") as server:
        assert "protect" in refusal(world.enroller(server.url), key)


@pytest.mark.interop
def test_a_certificate_for_another_key_is_refused_and_the_server_is_told(world: World, key: Any) -> None:
    other = ec.generate_private_key(ec.SECP521R1())
    with world.server(world.sub.sign_request(request_for(other))) as server:
        assert "does not match our enrollment key" in refusal(world.enroller(server.url), key)
        assert "certificate rejected by client" in server.log


@pytest.mark.interop
def test_a_certificate_that_leads_to_no_root_of_the_bundle_is_refused(world: World, key: Any) -> None:
    stranger = TestAuthority("Stranger", time.time())
    with world.server(
        stranger.sign_request(request_for(key)), "-rsp_capubs", world.write("s.pem", stranger.certificate)
    ) as server:
        assert "leads to no root" in refusal(world.enroller(server.url), key)


@pytest.mark.interop
def test_a_certificate_for_another_subject_is_refused(world: World, key: Any) -> None:
    with world.server(world.sub.sign_request(request_for(key, name((CN, "US*V2G*E9"))))) as server:
        assert "another subject" in refusal(world.enroller(server.url), key)


@pytest.mark.interop
def test_a_server_that_wants_time_is_asked_again_when_it_says(world: World, key: Any) -> None:
    csr = request_for(key)
    with world.server(world.sub.sign_request(csr), "-poll_count", "1", "-check_after", "1") as server:
        leaf, *_ = world.enroller(server.url).enrol(csr, key, None)
    assert leaf.public_key() == key.public_key()


@pytest.mark.interop
def test_a_server_that_wants_more_time_than_there_is_leaves_the_request_pending(world: World, key: Any) -> None:
    csr = request_for(key)
    slow = ["-poll_count", "3", "-check_after", "600"]
    with world.server(world.sub.sign_request(csr), *slow) as server, pytest.raises(EnrolmentPending) as caught:
        world.enroller(server.url, timeout_s=1.0).enrol(csr, key, None)
    assert caught.value.retry_after_s == 600.0


@pytest.mark.interop
def test_nothing_is_left_of_a_request_and_no_secret_is_an_argument(
    world: World, key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = world.folder / "tmp"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    seen: list[str] = []
    modes: list[int] = []

    def look(connection: socket.socket) -> None:
        connection.recv(65536)
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if "p10cr" in words:
                    seen.append(words + (folder / "environ").read_bytes().decode(errors="replace"))
        modes.extend(path.stat().st_mode & 0o777 for path in place.iterdir())

    with tcp_server(look) as port:
        refusal(world.enroller(f"http://127.0.0.1:{port}/"), key)
    assert any(str(port) in words for words in seen)
    assert not any(SECRET in words for words in seen)
    assert modes == [0o700]
    assert list(place.iterdir()) == []


# ---- a key in a token ----


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[softhsm.SoftHsm]:
    if reason := softhsm.missing():
        pytest.skip(reason)
    if "pkcs11" not in subprocess.run(["openssl", "engine", "pkcs11"], capture_output=True, text=True).stdout:
        pytest.skip("libengine-pkcs11-openssl is not installed")
    with softhsm.soft_hsm(tmp_path / "hsm", monkeypatch) as found:
        found.add_token()
        yield found


def in_token(world: World, hsm: softhsm.SoftHsm) -> Current:
    key, reference = TokenKeys(hsm.settings(), KeyKind.P521).generate()
    csr = x509.CertificateSigningRequestBuilder().subject_name(name((CN, "US*V2G*E1"))).sign(key, hashes.SHA512())
    chain = world.write("chain.pem", world.sub.sign_request(csr), world.sub.certificate)
    uri_file = world.folder / reference.file_name
    uri_file.write_bytes(reference.content)
    return Current(chain=chain, key=uri_file, key_uri=reference.content.decode().strip())


@pytest.mark.interop
def test_a_renewal_is_protected_by_a_key_that_never_leaves_its_token(
    world: World, key: Any, hsm: softhsm.SoftHsm
) -> None:
    csr = request_for(key)
    current = in_token(world, hsm)
    with world.server(world.sub.sign_request(csr), by_secret=False) as server:
        enroller = world.enroller(server.url, token=hsm.settings(), user="", password_file="")
        leaf, *_ = enroller.enrol(csr, key, current)
    assert leaf.public_key() == key.public_key()


@pytest.mark.interop
def test_a_token_that_was_pulled_or_whose_pin_is_wrong_is_told(world: World, key: Any, hsm: softhsm.SoftHsm) -> None:
    current = in_token(world, hsm)
    enroller = world.enroller("http://127.0.0.1:1/", token=hsm.settings(), user="", password_file="")
    hsm.write_pin("000000")
    text = refusal(enroller, key, current)
    assert "pki.token" in text
    assert "000000" not in text
    hsm.write_pin(softhsm.PIN)
    hsm.remove()
    assert "pki.token" in refusal(enroller, key, current)


# ---- servers that are none ----


def answer_http(status: str, body: bytes = b"", headers: str = "") -> Any:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        connection.sendall(head.encode() + body)

    return serve


def stall(connection: socket.socket) -> None:
    time.sleep(20)


def trickle(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\nContent-Length: 9000\r\n\r\n\x30\x82\x23\x24"
    )
    for _ in range(400):
        connection.sendall(b"0")
        time.sleep(0.05)


def flood(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\n\r\n\x30\x84\x40\x00\x00\x00")
    for _ in range(1024):
        connection.sendall(b"0" * (1 << 20))


@pytest.mark.interop
@pytest.mark.parametrize("serve", [stall, trickle])
def test_a_server_that_stalls_is_left_when_the_time_is_over(world: World, key: Any, serve: Any) -> None:
    began_s = time.monotonic()
    with tcp_server(serve) as port:
        text = refusal(world.enroller(f"http://127.0.0.1:{port}/", timeout_s=1.0), key)
    assert "no whole answer within 1 s" in text
    assert time.monotonic() - began_s < 6.0


@pytest.mark.interop
@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (flood, "CMP server"),
        (answer_http("404 Not Found"), "check the path in pki.enrolment.url"),
        (answer_http("302 Found", headers="Location: http://evil.example/\r\n"), "CMP server"),
        (answer_http("200 OK", b"<h1>hello</h1>", "Content-Type: text/html\r\n"), "CMP server"),
        (answer_http("200 OK", b"\x30\x03\x02\x01\x01", "Content-Type: application/pkixcmp\r\n"), "CMP server"),
    ],
)
def test_what_is_no_answer_is_told(world: World, key: Any, serve: Any, words: str) -> None:
    with tcp_server(serve) as port:
        assert words in refusal(world.enroller(f"http://127.0.0.1:{port}/", timeout_s=2.0), key)


@pytest.mark.interop
def test_a_server_that_is_not_there_is_told(world: World, key: Any) -> None:
    assert "cannot be reached (Connection refused)" in refusal(world.enroller("http://127.0.0.1:1/"), key)


# ---- what cannot work ----


def fake_openssl(folder: Path, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "bin" / "openssl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


@pytest.mark.parametrize("says", ["OpenSSL 1.1.1w 11 Sep 2023", "LibreSSL 3.8.2", "hello"])
def test_an_openssl_that_has_no_cmp_is_told_with_the_remedy(
    world: World, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_openssl(world.folder, says, monkeypatch)
    with pytest.raises(PkiError, match=r"needs openssl 3\.0 or newer.*protocol est") as caught:
        world.enroller("http://ca.example/pkix/")
    assert says in str(caught.value)


def test_without_openssl_the_remedy_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(world.folder / "nowhere"))
    with pytest.raises(PkiError, match="not here: install openssl"):
        world.enroller("http://ca.example/pkix/")


@pytest.mark.parametrize("says", ["OpenSSL 3.0.19 27 Jan 2026", "OpenSSL 3.5.1 1 Jul 2025", "OpenSSL 4.0.0"])
def test_an_openssl_that_has_cmp_is_taken(tmp_path: Path, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_openssl(tmp_path, says, monkeypatch)
    assert find_openssl() == str(tmp_path / "bin" / "openssl")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "http://user:hidden@ca.example/pkix/"}, "without user"),
        ({"url": "https://ca.example:port/"}, "no URL"),
        ({"password_file": ""}, "needs password_file"),
        ({"password_file": "/nonexistent"}, "/nonexistent cannot be read"),
    ],
)
def test_settings_that_cannot_work_are_told_before_anything_is_sent(
    world: World, settings: dict[str, str], words: str
) -> None:
    with pytest.raises(PkiError) as caught:
        world.enroller(**{"url": "http://ca.example/pkix/", **settings})
    assert words in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_secret_that_others_may_read_is_refused_with_the_remedy(world: World) -> None:
    world.password.chmod(0o644)
    with pytest.raises(PkiError, match=f"chmod 600 {world.password}"):
        world.enroller("http://ca.example/pkix/")


@pytest.mark.parametrize("content", [b"", b"no certificate", None], ids=["empty", "garbage", "absent"])
def test_a_bundle_that_cannot_be_used_is_told(world: World, content: bytes | None) -> None:
    if content is None:
        world.bundle.unlink()
    else:
        world.bundle.write_bytes(content)
    with pytest.raises(PkiError, match=r"grid-ca\.pem cannot be used"):
        world.enroller("http://ca.example/pkix/")


def test_the_first_certificate_needs_a_secret(world: World, key: Any) -> None:
    enroller = world.enroller("http://127.0.0.1:1/pkix/", user="", password_file="")
    assert "set pki.enrolment.user" in refusal(enroller, key)


def test_a_renewal_with_a_key_open_to_others_is_refused(world: World, key: Any) -> None:
    current = world.installed()
    current.key.chmod(0o640)
    assert f"chmod 600 {current.key}" in refusal(world.enroller("http://127.0.0.1:1/"), key, current)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("pkcs11:token=v2g;object=a", "pkcs11:token=v2g;object=a?pin-source=file:/run/pin"),
        ("pkcs11:token=v2g?module-name=x", "pkcs11:token=v2g?module-name=x&pin-source=file:/run/pin"),
    ],
)
def test_a_tokens_pin_is_named_by_its_file(uri: str, expected: str) -> None:
    assert with_pin_source(uri, "/run/pin") == expected


def test_a_key_uri_with_a_pin_is_refused_and_the_pin_not_repeated() -> None:
    with pytest.raises(PkiError) as caught:
        with_pin_source("pkcs11:token=v2g?pin-value=1234", "/run/pin")
    assert "1234" not in str(caught.value)


def test_a_key_in_a_token_that_is_not_configured_is_told(world: World, key: Any) -> None:
    current = Current(chain=world.installed().chain, key=world.folder / "private.key.uri", key_uri="pkcs11:token=v2g")
    assert "pki.token" in refusal(world.enroller("http://127.0.0.1:1/"), key, current)
