"""Certificates, their keys and TLS, judged by what is on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyiso15118.security import TlsProfile
from support.authority import DAY_S
from support.pki_site import NOW, FakeServer, Utility, clock_at, make_config
from v2g.config.paths import pki_paths
from v2g.config.schema import Config
from v2g.host.preflight.model import Level, PreflightLine
from v2g.orchestrator.preflight.trust import certificate_lines, judge_profile, judge_tls, mesh_lines
from v2g.orchestrator.tls_report import TlsNote
from v2g.pki.key_home import key_home_for
from v2g.pki.overview import overview
from v2g.pki.provisioning import Provisioner
from v2g.pki.store import in_force

STRICT = TlsProfile.STRICT


@pytest.fixture(scope="module")
def utility() -> Utility:
    return Utility()


@pytest.fixture
def config(tmp_path: Path, utility: Utility) -> Config:
    """Of a site with a certificate for 90 days, one minute old."""
    config = make_config(tmp_path, enrolment={"protocol": "est", "url": "https://ca.example"})
    server = FakeServer(utility)
    Provisioner(config, STRICT, key_home_for(config, STRICT), lambda ca: server, clock_at(), lambda _: None).provision(
        utility.bundle(tmp_path)
    )
    return config


def key_of(config: Config) -> Path:
    return in_force(pki_paths(config)).strict_key


def of(config: Config, at_unix_s: float = NOW) -> list[PreflightLine]:
    return list(certificate_lines(config, at_unix_s))


def test_a_valid_certificate_passes_with_its_days_and_its_key_s_mode(config: Config) -> None:
    (line,) = of(config)
    assert line.level is Level.PASS
    assert line.found == "strict: DC=CPO,CN=US*V2G*E1, 90 days left, key 0600"


def test_a_key_that_is_open_to_others_fails_with_the_command_that_mends_it(config: Config) -> None:
    key = key_of(config)
    key.chmod(0o644)
    (line,) = of(config)
    assert (line.level, line.evses) == (Level.FAIL, ())
    assert f"chmod 600 {key}" in line.found
    key.chmod(0o600)
    assert [line.level for line in of(config)] == [Level.PASS]


def test_a_certificate_that_ends_soon_warns_and_one_that_has_ended_fails(config: Config) -> None:
    soon = of(config, NOW + 80 * DAY_S)
    assert {line.level for line in soon} == {Level.WARN, Level.PASS}
    assert any("expires in" in line.found for line in soon)
    late = of(config, NOW + 91 * DAY_S)
    assert Level.FAIL in {line.level for line in late}
    assert Level.PASS not in {line.level for line in late}


def test_without_a_certificate_the_remedy_is_to_provision_one(tmp_path: Path) -> None:
    lines = of(make_config(tmp_path))
    assert {line.level for line in lines} == {Level.FAIL}
    assert any("v2g-cert-manager provision" in line.found for line in lines)


def test_a_fail_of_one_profile_concerns_its_evses(config: Config) -> None:
    key_of(config).chmod(0o604)
    found = overview(config, STRICT, NOW)
    (line,) = judge_profile(found, 30, ["US*V2G*E2"], as_root=True)
    assert (line.level, line.evses) == (Level.FAIL, ("US*V2G*E2",))


def test_what_may_not_be_read_by_who_looks_is_no_fail_of_the_site(config: Config) -> None:
    from msgspec.structs import replace

    found = replace(overview(config, STRICT, NOW), problems=("private key x cannot be read: Permission denied: y",))
    (line,) = judge_profile(found, 30, (), as_root=False)
    assert (line.level, line.remedy) == (Level.WARN, "run this as root to have it checked")
    (as_root,) = judge_profile(found, 30, (), as_root=True)
    assert as_root.level is Level.FAIL


def test_without_a_mesh_there_is_no_certificate_to_look_at(config: Config) -> None:
    (line,) = mesh_lines(config, NOW)
    assert (line.level, line.found) == (Level.PASS, "there is no mesh")


def test_gaps_of_tls_warn_and_what_was_proved_is_told_in_short() -> None:
    notes = [
        TlsNote("TLS_IN_FORCE", "E1: TLSv1.3; groups x448; refused: TLS 1.2 (protocol_version)", False),
        TlsNote("TLS_GAP", "profile strict: no OCSP response is stapled", True),
    ]
    good, gap = judge_tls(notes)
    assert (good.level, good.found) == (Level.PASS, "E1: TLSv1.3; groups x448")
    assert (gap.level, gap.remedy) == (Level.WARN, "v2g-tool explain TLS_GAP")
    (none,) = judge_tls(())
    assert none.level is Level.WARN
