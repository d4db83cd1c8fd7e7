"""EST against a real HTTPS server: what is asked for, what proves who asks, and each way a server may fail us."""

from __future__ import annotations

import base64
import email.utils
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID

from pyiso15118.security.pki import Curve
from support import est_server
from support.authority import CN, DC, TestAuthority, key_pem, name, pem, request_for, write_private
from support.est_server import PASSWORD, PKCS7, USER, EstServer, running
from v2g.clock import ManualClock, SystemClock
from v2g.config.schema_pki import Enrolment, EnrolmentProtocol
from v2g.pki.enrol_est import EstEnroller
from v2g.pki.enrolment_answer import EnrolmentPending
from v2g.pki.model import Current, PkiError


@dataclass
class World:
    folder: Path
    root: TestAuthority
    server: EstServer
    bundle: Path

    def enroller(self, *, clock: Any = None, **settings: Any) -> EstEnroller:
        password = write_private(self.folder / "password", PASSWORD.encode() + b"\n")
        given = {"url": self.server.url, "user": USER, "password_file": str(password), "timeout_s": 5.0, **settings}
        return EstEnroller(Enrolment(protocol=EnrolmentProtocol.EST, **given), self.bundle, clock or SystemClock())

    def installed(self, **options: Any) -> Current:
        """A certificate that this authority gave us earlier."""
        key = ec.generate_private_key(ec.SECP521R1())
        leaf = self.server.authority.sign_request(request_for(key), **options)
        chain = self.folder / "chain.pem"
        chain.write_bytes(pem(leaf, *self.server.authority.chain))
        return Current(chain=chain, key=write_private(self.folder / "private.key", key_pem(key)))


@pytest.fixture(scope="module")
def authorities() -> tuple[TestAuthority, TestAuthority]:
    root = TestAuthority("Grid Root", time.time(), domain="V2G")
    return root, TestAuthority("CPO Sub CA", time.time(), issuer=root, domain="CPO")


@pytest.fixture
def world(tmp_path: Path, authorities: tuple[TestAuthority, TestAuthority]) -> Iterator[World]:
    root, sub = authorities
    bundle = tmp_path / "grid-ca.pem"
    bundle.write_bytes(pem(root.certificate))
    with running(EstServer(sub), *root.server_files(tmp_path), client_ca=bundle) as server:
        yield World(tmp_path, root, server, bundle)


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP521R1())


def refusal(world: World, key: Any, current: Current | None = None, **options: Any) -> str:
    with pytest.raises(PkiError) as caught:
        world.enroller(**options).enrol(request_for(key), key, current)
    text = str(caught.value)
    assert PASSWORD not in text
    assert base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode() not in text
    assert text.isprintable()
    assert len(text) < 700
    return text


# ---- what it does ----


@pytest.mark.parametrize("curve", [Curve.SECP521R1, Curve.ED448])
@pytest.mark.parametrize("wrapped", [True, False], ids=["base64 in lines", "base64 in one line"])
def test_the_first_certificate_is_had_with_a_password(world: World, curve: Curve, wrapped: bool) -> None:
    world.server.wrapped_base64 = wrapped
    private = curve.generate()
    csr = request_for(private)
    leaf, *others = world.enroller().enrol(csr, private, None)
    assert leaf.public_key() == private.public_key()
    assert others == world.server.authority.chain
    [(path, proof, seen)] = world.server.enrolled
    assert (path, proof, seen) == ("/.well-known/est/simpleenroll", "password", csr)


def test_a_renewal_shows_the_certificate_in_use_and_no_password(world: World, key: Any) -> None:
    current = world.installed()
    leaf, *_ = world.enroller().enrol(request_for(key), key, current)
    assert leaf.public_key() == key.public_key()
    assert [(path, proof) for path, proof, _ in world.server.enrolled] == [
        ("/.well-known/est/simplereenroll", "certificate")
    ]


def test_a_certificate_that_is_none_of_a_client_is_not_shown_where_there_is_a_password(world: World, key: Any) -> None:
    current = world.installed(purpose=[ExtendedKeyUsageOID.SERVER_AUTH])
    world.enroller().enrol(request_for(key), key, current)
    assert [proof for _, proof, _ in world.server.enrolled] == ["password"]
    text = refusal(world, key, current, user="", password_file="")
    assert "clientAuth" in text


def test_a_renewal_with_a_key_in_a_token_goes_by_the_password_or_is_refused(world: World, key: Any) -> None:
    current = Current(chain=world.installed().chain, key=world.folder / "private.key.uri", key_uri="pkcs11:token=v2g")
    world.enroller().enrol(request_for(key), key, current)
    assert [(path, proof) for path, proof, _ in world.server.enrolled] == [
        ("/.well-known/est/simplereenroll", "password")
    ]
    text = refusal(world, key, current, user="", password_file="")
    assert "in a token" in text
    assert "protocol cmp" in text


def test_the_label_names_one_of_several_authorities(world: World, key: Any) -> None:
    world.enroller(label="secc/p 521").enrol(request_for(key), key, None)
    assert world.server.requests == ["POST /.well-known/est/secc%2Fp%20521/simpleenroll"]


# ---- a server that takes its time ----


@contextmanager
def busy(world: World, times: int, retry_after: str) -> Iterator[None]:
    left = [times]

    def fault(handler: est_server.Handler, _: object) -> bool:
        if not left[0]:
            return False
        left[0] -= 1
        handler.answer(202, b"", "text/plain", {"Retry-After": retry_after} if retry_after else {})
        return True

    world.server.fault = fault
    yield


def test_a_server_that_wants_time_is_asked_again_when_it_says(world: World, key: Any) -> None:
    clock = ManualClock(unix_s=time.time())
    began_s = clock.monotonic_s()
    with busy(world, 2, "7"):
        leaf, *_ = world.enroller(clock=clock, timeout_s=20.0).enrol(request_for(key), key, None)
    assert leaf.public_key() == key.public_key()
    assert clock.monotonic_s() - began_s == 14.0
    assert world.server.requests == ["POST /.well-known/est/simpleenroll"] * 3


def test_a_server_that_wants_more_time_than_there_is_leaves_the_request_pending(world: World, key: Any) -> None:
    clock = ManualClock(unix_s=1_800_000_000.0)
    with (
        busy(world, 9, email.utils.formatdate(1_800_003_600.0, usegmt=True)),
        pytest.raises(EnrolmentPending) as caught,
    ):
        world.enroller(clock=clock).enrol(request_for(key), key, None)
    assert caught.value.retry_after_s == pytest.approx(3600.0)
    assert "2027-01-15 09:00:00 UTC" in str(caught.value)
    assert len(world.server.requests) == 1


@pytest.mark.parametrize("retry_after", ["", "soon", "-5", "1e9", "Mon, 99 Jan"])
def test_a_server_that_does_not_say_when_is_told(world: World, key: Any, retry_after: str) -> None:
    with busy(world, 9, retry_after):
        assert "Retry-After" in refusal(world, key, clock=ManualClock())


def test_a_server_that_is_never_ready_is_not_hammered(world: World, key: Any) -> None:
    with busy(world, 1000, "0"), pytest.raises(EnrolmentPending):
        world.enroller(clock=ManualClock(), timeout_s=5.0).enrol(request_for(key), key, None)
    assert len(world.server.requests) <= 5


# ---- a server that refuses ----


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            est_server.status(401, b"no such user", WWW_Authenticate="Basic"),
            "401 (no such user): check pki.enrolment.user",
        ),
        (est_server.status(401, b"", WWW_Authenticate="Digest realm=x"), "only Basic is spoken here"),
        (est_server.status(403, b"<html><b>not you</b>\n</html>", "text/html"), "403 (not you)"),
        (est_server.status(404, b"nothing here"), "check pki.enrolment.url and label"),
        (est_server.status(400, b"bad\x1b[31m subject\r\n"), "400 (bad?[31m subject)"),
        (est_server.status(500, b"oops " * 9999), "a fault of the server"),
        (est_server.status(503), "503: a fault of the server"),
        (est_server.status(302, Location="https://evil.example/x"), "redirects simpleenroll to https://evil.example/x"),
        (est_server.status(307, Location="/elsewhere"), "redirects are not followed"),
    ],
)
def test_a_refusal_is_told_in_the_servers_own_words(
    world: World, key: Any, fault: Callable[..., bool], words: str
) -> None:
    world.server.fault = fault
    assert words in refusal(world, key)
    assert len(world.server.requests) == 1


def test_what_a_server_repeats_of_our_password_is_not_told(world: World, key: Any) -> None:
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode())
    world.server.fault = est_server.status(401, b"bad login " + PASSWORD.encode() + b" in Basic " + basic)
    assert "bad login *** in Basic ***" in refusal(world, key)


def test_a_wrong_password_is_refused_by_the_server(world: World, key: Any) -> None:
    wrong = write_private(world.folder / "wrong", b"battery staple")
    assert "401 (who are you?)" in refusal(world, key, password_file=str(wrong))


def test_a_renewal_with_a_certificate_of_another_authority_is_refused(world: World, key: Any) -> None:
    current = world.installed()
    stranger = TestAuthority("Stranger", time.time())
    current.chain.write_bytes(pem(stranger.sign_request(request_for(key))))
    current.key.write_bytes(key_pem(key))
    assert "EST" in refusal(world, key, current)
    assert world.server.enrolled == []


# ---- a server that is slow, large or no EST server ----


@pytest.mark.parametrize("fault", [est_server.stall, est_server.trickle, est_server.trickling_header])
def test_a_server_that_stalls_is_left_when_the_time_is_over(world: World, key: Any, fault: Any) -> None:
    world.server.fault = fault
    began_s = time.monotonic()
    assert "no whole answer within 1 s" in refusal(world, key, timeout_s=1.0)
    assert time.monotonic() - began_s < 3.0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (est_server.flood, "larger than 256 KiB"),
        (est_server.status(200, b"M" * 300_000, PKCS7), "larger than 256 KiB"),
        (est_server.cut_short, "ended early"),
        (est_server.no_http, "no HTTP"),
        (
            est_server.status(200, b"<h1>Welcome</h1>", "text/html"),
            "content type 'text/html', not application/pkcs7-mime",
        ),
        (est_server.status(200, b"Welcome!", PKCS7), "no base64"),
        (est_server.status(200, b"", PKCS7), "no PKCS#7"),
        (est_server.status(200, base64.b64encode(b"\x30\x80 garbage"), PKCS7), "no PKCS#7"),
        (est_server.status(200, base64.b64encode(b"\xff" * 5000), PKCS7), "no PKCS#7"),
        (est_server.status(204), "status 204"),
    ],
)
def test_what_is_no_answer_is_told(world: World, key: Any, fault: Any, words: str) -> None:
    world.server.fault = fault
    assert words in refusal(world, key)


# ---- a server that lies ----


def test_a_certificate_for_another_key_is_refused(world: World, key: Any) -> None:
    other = ec.generate_private_key(ec.SECP521R1())
    world.server.sign = lambda _: [world.server.authority.sign_request(request_for(other))]
    assert "without a certificate for our key (but" in refusal(world, key)


def test_a_certificate_for_another_subject_is_refused(world: World, key: Any) -> None:
    wrong = name((CN, "US*V2G*E9"), (DC, "CPO"))
    world.server.sign = lambda _: [world.server.authority.sign_request(request_for(key, wrong))]
    text = refusal(world, key)
    assert "another subject" in text
    assert "common name 'US*V2G*E1'" in text
    assert "pki.subject" in text


def test_a_server_may_add_to_the_subject(world: World, key: Any) -> None:
    csr = request_for(key, name((CN, "US*V2G*E1")))
    more = request_for(key, name((CN, "US*V2G*E1"), (DC, "CPO")))
    world.server.sign = lambda _: [world.server.authority.sign_request(more)]
    leaf, *_ = world.enroller().enrol(csr, key, None)
    assert leaf.subject == more.subject


def test_an_answer_without_certificates_is_refused(world: World, key: Any) -> None:
    empty = bytes.fromhex("3023 06092a864886f70d010702 a016 3014 020101 3100 300b 06092a864886f70d010701 3100")
    world.server.fault = est_server.status(200, base64.b64encode(empty), PKCS7)
    assert "certificate" in refusal(world, key)


def test_two_certificates_for_our_key_are_refused(world: World, key: Any) -> None:
    world.server.sign = lambda csr: [world.server.authority.sign_request(csr) for _ in range(2)]
    assert "2 certificates for our key" in refusal(world, key)


def test_more_certificates_than_a_chain_has_are_refused(world: World, key: Any) -> None:
    many = [world.server.authority.sign_request(request_for(key)) for _ in range(17)]
    der = pkcs7.serialize_certificates(many, Encoding.DER)
    world.server.fault = est_server.status(200, base64.b64encode(der), PKCS7)
    assert "17 certificates" in refusal(world, key)


# ---- who the server is ----


def test_a_server_whose_root_is_not_in_the_bundle_is_not_spoken_to(world: World, key: Any) -> None:
    world.bundle.write_bytes(pem(TestAuthority("Other Root", time.time()).certificate))
    text = refusal(world, key)
    assert "its certificate is not accepted" in text
    assert "pki.enrolment.server_ca" in text
    assert world.server.requests == []


def test_a_server_with_a_certificate_for_another_name_is_not_spoken_to(
    tmp_path: Path, authorities: tuple[TestAuthority, TestAuthority], key: Any
) -> None:
    root, sub = authorities
    bundle = tmp_path / "grid-ca.pem"
    bundle.write_bytes(pem(root.certificate))
    with running(EstServer(sub), *root.server_files(tmp_path, hosts=["ca.utility.example"])) as server:
        world = World(tmp_path, root, server, bundle)
        assert "Hostname mismatch" in refusal(world, key)
        assert server.requests == []


def test_a_server_that_is_not_there_is_told(world: World, key: Any) -> None:
    assert "Connection refused" in refusal(world, key, url="https://localhost:1")


# ---- a configuration that cannot work ----


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "http://ca.example"}, "https only"),
        ({"url": "https://ca.example/.well-known/est"}, "the server alone"),
        ({"url": "https://user:secret@ca.example"}, "the server alone"),
        ({"url": "https://ca.example:notaport"}, "no URL"),
        ({"password_file": ""}, "needs password_file"),
        ({"password_file": "/nonexistent"}, "/nonexistent cannot be read"),
        ({"user": "a:b"}, "without ':'"),
    ],
)
def test_settings_that_cannot_work_are_told_before_anything_is_sent(
    world: World, settings: dict[str, str], words: str
) -> None:
    with pytest.raises(PkiError) as caught:
        world.enroller(**settings)
    assert words in str(caught.value)
    assert "secret@" not in str(caught.value)


def test_a_password_file_that_others_may_read_is_refused_with_the_remedy(world: World) -> None:
    open_file = world.folder / "open"
    open_file.write_bytes(PASSWORD.encode())
    open_file.chmod(0o640)
    with pytest.raises(PkiError, match=f"chmod 600 {open_file}"):
        world.enroller(password_file=str(open_file))


def test_an_empty_password_file_is_refused(world: World) -> None:
    with pytest.raises(PkiError, match="is empty"):
        world.enroller(password_file=str(write_private(world.folder / "empty", b"\n")))


@pytest.mark.parametrize("content", [b"", b"no certificate", None], ids=["empty", "garbage", "absent"])
def test_a_bundle_that_cannot_be_used_is_told(world: World, content: bytes | None) -> None:
    if content is None:
        world.bundle.unlink()
    else:
        world.bundle.write_bytes(content)
    with pytest.raises(PkiError, match=r"grid-ca\.pem cannot be used"):
        world.enroller()


@pytest.mark.parametrize("damage", ["open", "encrypted", "of another certificate", "absent"])
def test_a_renewal_whose_key_cannot_be_used_is_told(world: World, key: Any, damage: str) -> None:
    current = world.installed()
    if damage == "open":
        current.key.chmod(0o644)
    elif damage == "encrypted":
        current.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    elif damage == "absent":
        current.key.unlink()
    else:
        current.key.write_bytes(key_pem(key))
    assert "the renewal cannot prove itself" in refusal(world, key, current)
    assert world.server.requests == []


def test_a_password_that_was_put_into_the_url_is_not_in_the_error(world: World) -> None:
    for url in ("http://me:hush@ca.example", "https://me:hush@ca.example", "https://me:hush@ca.example:port"):
        with pytest.raises(PkiError, match=r"pki\.enrolment\.url") as caught:
            world.enroller(url=url)
        assert "hush" not in str(caught.value)
