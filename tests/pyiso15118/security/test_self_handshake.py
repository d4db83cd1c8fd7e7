"""What the self-handshake finds out, of contexts that do and of such that do not what they should."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.security import (
    Curve,
    InForce,
    TlsError,
    TlsProfile,
    describe_gaps,
    openssl_conf_active,
    self_handshake,
    stdlib_server_context,
    write_credential,
)
from pyiso15118.security.client_hello import ALERTS, Answer, client_hello, read_answer
from support.tls_vehicle import Site

STRICT, COMPAT = TlsProfile.STRICT, TlsProfile.COMPAT


@pytest.fixture(scope="module")
def p521(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("p521"))


@pytest.fixture(scope="module")
def strict(p521: Site) -> InForce:
    return self_handshake(p521.server())


def test_strict_is_proved_by_what_is_taken_and_by_what_is_refused(strict: InForce) -> None:
    assert (strict.version, strict.suite) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")
    assert (strict.group, strict.signature) == ("secp521r1", "ecdsa_secp521r1_sha512")
    assert strict.groups == ("secp521r1", "x448")
    assert strict.suites == ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
    assert strict.refused == {
        "TLS 1.2": "protocol_version",
        "TLS_AES_128_GCM_SHA256": "handshake_failure",
        "group X25519": "handshake_failure",
        "group P-256": "handshake_failure",
        "signature ecdsa_secp256r1_sha256": "handshake_failure",
        "no certificate": "certificate required",
    }
    assert strict.taken == ()
    assert strict.certificate_required
    assert not strict.p256_asked
    assert strict.chain_judged
    assert strict.authorities == 1


def test_the_line_for_the_log_names_all_of_it(strict: InForce) -> None:
    line = str(strict)
    assert "\n" not in line
    for part in ("profile strict: TLSv1.3", "groups secp521r1 x448", "TLS 1.2 (protocol_version)", "1 authorities"):
        assert part in line


def test_strict_by_pyopenssl_lacks_what_no_library_offers_and_a_response_to_staple(strict: InForce) -> None:
    assert [gap.split(":")[0] for gap in describe_gaps(strict)] == [
        "no OCSP response is stapled",
        "our chain is not chosen by the authorities that a vehicle names",
    ]


def test_an_ed448_station_is_proved_as_well(tmp_path: Path) -> None:
    found = self_handshake(Site(tmp_path, Curve.ED448).server())
    assert (found.signature, found.taken, found.groups) == ("ed448", (), ("secp521r1", "x448"))


def test_compat_tells_what_it_takes(tmp_path: Path) -> None:
    found = self_handshake(Site(tmp_path, Curve.SECP256R1).server(COMPAT, require_client_certificate=False))
    assert found.groups == ("secp521r1", "x448", "secp256r1")
    assert found.signature == "ecdsa_secp256r1_sha256"
    assert not found.certificate_required
    gaps = " ".join(describe_gaps(found))
    assert "P-256" in gaps
    assert "vehicles without a certificate pass" in gaps
    assert set(found.refused) == {"TLS 1.2", "TLS_AES_128_GCM_SHA256", "group X25519"}


@pytest.mark.skipif(openssl_conf_active(), reason="with our lists ssl does better than here is said")
def test_what_ssl_leaves_open_is_told_as_gaps(p521: Site) -> None:
    context = stdlib_server_context(STRICT, p521.secc.chain, p521.secc.key, [p521.oem_root])
    found = self_handshake(context)
    assert found.groups == ("secp521r1",)
    assert found.taken == ("TLS_AES_128_GCM_SHA256",)
    assert found.p256_asked
    assert found.authorities == 0
    gaps = " ".join(describe_gaps(found))
    for part in (
        "TLS_AES_128_GCM_SHA256 is taken in the handshake; such a vehicle is refused right after it",
        "the group x448 is not offered",
        "names no authorities",
        "sign with P-256",
    ):
        assert part in gaps


class Lax:
    """A context that asks for no certificate and takes TLS 1.2, though it says that it is strict."""

    def __init__(self, site: Site) -> None:
        self.profile, self.server_side, self.trust = STRICT, True, None
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(site.secc.chain, site.secc.key)

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, server_side: bool = False) -> Any:
        return self._context.wrap_bio(incoming, outgoing, server_side=server_side)


@pytest.mark.skipif(openssl_conf_active(), reason="with our lists TLS 1.2 is refused")
def test_a_context_that_is_lax_does_not_pass_for_strict(p521: Site) -> None:
    found = self_handshake(Lax(p521))
    assert "TLS 1.2" in found.taken
    assert "group X25519" in found.taken
    assert not found.certificate_required
    assert any("without a certificate pass" in gap for gap in describe_gaps(found))


def test_a_context_with_which_nothing_comes_about_is_an_error(p521: Site) -> None:
    class Broken(Lax):
        def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, server_side: bool = False) -> Any:
            tls = super().wrap_bio(incoming, outgoing, server_side)

            def do_handshake() -> None:
                raise ssl.SSLError(1, "the token is away")

            tls.do_handshake = do_handshake
            return tls

    with pytest.raises(TlsError, match="no vehicle could connect: the token is away"):
        self_handshake(Broken(p521))


def test_gaps_follow_from_what_was_found(strict: InForce) -> None:
    worse = replace(strict, groups=("x448",), suites=(), taken=("TLS 1.2",), chain_judged=False, stapled=True)
    gaps = " ".join(describe_gaps(worse))
    for part in (
        "the group secp521r1 is not offered",
        "the suite TLS_AES_256_GCM_SHA384 is not offered",
        "TLS 1.2 is taken",
        "only the leaf",
        "for our leaf alone",
    ):
        assert part in gaps


# ---- a ClientHello by hand ----


def test_an_alert_is_read_by_name() -> None:
    assert read_answer(bytes.fromhex("15030300020246")) == Answer(alert="protocol_version")
    assert read_answer(bytes.fromhex("150303000202ff")) == Answer(alert="alert 255")
    assert ALERTS[116] == "certificate_required"


def test_our_hello_is_understood_by_a_library_of_others(p521: Site, tmp_path: Path) -> None:
    files = write_credential(p521.pki.secc("OTHER"), tmp_path, "other")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.chain, files.key)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = server.wrap_bio(incoming, outgoing, server_side=True)
    from cryptography.hazmat.primitives.asymmetric import x25519

    share = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
    incoming.write(
        client_hello(
            suites=["TLS_AES_256_GCM_SHA384"],
            groups=["x25519"],
            signatures=["ecdsa_secp521r1_sha512"],
            shares={"x25519": share},
        )
    )
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    answer = read_answer(outgoing.read())
    assert answer == Answer(version="TLSv1.3", suite="TLS_AES_256_GCM_SHA384", group="x25519")
    assert not answer.refused


@given(
    st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda b: b"\x16\x03\x03" + len(b).to_bytes(2) + b))
)
def test_whatever_comes_back_is_read_or_refused(data: bytes) -> None:
    try:
        read_answer(data)
    except RemoteProtocolError:
        pass
