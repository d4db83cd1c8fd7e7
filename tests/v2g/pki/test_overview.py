"""What people are told of what lies on the disk, and of what ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyiso15118.security import TlsProfile
from support.authority import CN, DAY_S, TestAuthority, name, pem
from support.pki_site import NOW, FakeServer, Utility, clock_at, make_config, p521
from v2g.config.schema import Config
from v2g.control.messages_pki import CertificateLine
from v2g.pki.facts import ANCHOR, ISSUER, OWN, ROOT, aged, certificate_line, expiry_problems, is_due
from v2g.pki.key_home import key_home_for
from v2g.pki.overview import overview
from v2g.pki.provisioning import Provisioner

STRICT = TlsProfile.STRICT


@pytest.fixture(scope="module")
def utility() -> Utility:
    return Utility()


@pytest.fixture
def config(tmp_path: Path, utility: Utility) -> Config:
    """Of a site with a certificate for 90 days, one minute old."""
    config = make_config(tmp_path, enrolment={"protocol": "est", "url": "https://ca.example"})
    server = FakeServer(utility)
    provisioner = Provisioner(
        config, STRICT, key_home_for(config, STRICT), lambda ca: server, clock_at(), lambda _: None
    )
    provisioner.provision(utility.bundle(tmp_path))
    return config


def test_everything_is_told_of_a_site_in_order(config: Config, tmp_path: Path) -> None:
    found = overview(config, STRICT, NOW)
    assert [(line.use, line.subject) for line in found.certificates] == [
        (OWN, "DC=CPO,CN=US*V2G*E1"),
        (ISSUER, "DC=CPO,CN=Grid CPO CA"),
        (ROOT, "DC=V2G,CN=Grid Root"),
        (ANCHOR, "DC=V2G,CN=Grid Root"),
    ]
    own = found.certificates[0]
    assert own.days_left == pytest.approx(90.0, abs=0.01)
    assert own.life_used == pytest.approx(0.0, abs=0.001)
    assert own.issuer == "DC=CPO,CN=Grid CPO CA"
    assert own.key_type == "secp521r1"
    assert (found.key_location, found.key_mode) == (f"file {tmp_path / 'ssl/private.key'}", "0600")
    assert found.key_matches is True
    assert not found.renewal_due
    assert found.pending_request == ""
    assert found.problems == ()


@pytest.mark.parametrize(
    ("days", "due", "words"),
    [
        (53.0, False, []),
        (55.0, True, []),
        (61.0, True, ["our certificate DC=CPO,CN=US*V2G*E1", "expires in 28 days: v2g-cert-manager renew"]),
        (89.0, True, ["expires in 24 h"]),
        (92.0, True, ["expired 2 days ago: vehicles refuse us"]),
    ],
)
def test_its_end_is_told_long_before(config: Config, days: float, due: bool, words: list[str]) -> None:
    found = overview(config, STRICT, NOW + days * DAY_S)
    assert found.renewal_due is due
    assert len(found.problems) == (1 if words else 0)
    for each in words:
        assert each in found.problems[0]


def test_a_key_that_is_not_the_certificates_is_told(config: Config, tmp_path: Path) -> None:
    _, other = key_home_for(config, STRICT).generate()
    (tmp_path / "ssl/private.key").write_bytes(other.content)
    found = overview(config, STRICT, NOW)
    assert found.key_matches is False
    assert "is not that of DC=CPO,CN=US*V2G*E1" in found.problems[0]


def test_wrong_permissions_are_told_once_with_the_command(config: Config, tmp_path: Path) -> None:
    key = tmp_path / "ssl/private.key"
    key.chmod(0o644)
    found = overview(config, STRICT, NOW)
    assert found.problems == (f"private key {key} is open to others (mode 0644): chmod 600 {key}",)
    assert (found.key_matches, found.key_mode) == (None, "0644")


def test_a_site_without_anything_is_told_what_is_missing(tmp_path: Path) -> None:
    found = overview(make_config(tmp_path), STRICT, NOW)
    assert found.certificates == ()
    assert found.key_matches is None
    missing = [f"{tmp_path}/ssl/{name}" for name in ("chain.pem", "trust.pem", "private.key")]
    for path in missing:
        assert any(path in problem for problem in found.problems), path


@pytest.mark.parametrize("file", ["chain.pem", "trust.pem", "ca-bundle.pem", "private.key"])
def test_garbage_in_any_file_is_told_and_the_rest_is_shown(config: Config, tmp_path: Path, file: str) -> None:
    (tmp_path / "ssl" / file).write_bytes(b"-----BEGIN CERTIFICATE-----\n\xff\x00")
    found = overview(config, STRICT, NOW)
    assert any(file in problem for problem in found.problems)
    assert len(found.certificates) >= 2


# ---- what ends ----


def line(use: str, days: float, common_name: str = "X") -> CertificateLine:
    authority = TestAuthority("CA", NOW, key=p521())
    certificate = authority.leaf(name((CN, common_name)), p521().public_key(), begins=NOW - 10 * DAY_S, days=10 + days)
    return certificate_line(certificate, use, "file.pem", NOW)


def test_the_most_urgent_comes_first_and_each_use_is_told_once() -> None:
    anchor = line(ANCHOR, 20.0)
    told = list(expiry_problems([line(OWN, 29.0), anchor, line(ROOT, -3.0), anchor, line(ISSUER, 31.0)], 30))
    assert [code for code, _ in told] == ["CERT_EXPIRED", "CERT_EXPIRES", "CERT_EXPIRES"]
    assert "the root of our chain CN=X (file.pem) expired 3 days ago: vehicles refuse us" in told[0][1]
    assert "the trust anchor CN=X (file.pem) expires in 20 days: get the new root" in told[1][1]
    assert "our certificate CN=X (file.pem) expires in 29 days" in told[2][1]


def test_a_line_grows_old() -> None:
    fresh = line(OWN, 90.0)
    assert fresh.life_used == pytest.approx(0.1)
    old = aged(fresh, NOW + 50 * DAY_S)
    assert (old.days_left, old.life_used) == (pytest.approx(40.0), pytest.approx(0.6))
    assert is_due(old, 0.6)
    assert not is_due(fresh, 0.6)


def test_a_certificate_of_a_strange_kind_is_a_line_too(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    authority = TestAuthority("CA", NOW)
    certificate = authority.leaf(name((CN, "R")), key.public_key())
    assert certificate_line(certificate, ANCHOR, "f", NOW).key_type == "other"
    assert pem(certificate)
