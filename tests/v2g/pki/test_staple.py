"""What is stapled to our handshakes: fetched, verified, kept, renewed at half of its life."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from support.authority import CN, DAY_S, TestAuthority, name, responder_at
from support.http_files import Published, publishing
from v2g.clock import ManualClock
from v2g.pki.staple import FIRST_RETRY_S, Stapler

AT = 1_800_000_000.0


@dataclass
class World:
    folder: Path
    sub: TestAuthority
    web: Published
    leaf: x509.Certificate
    clock: ManualClock = field(default_factory=lambda: ManualClock(unix_s=AT))
    codes: list[str] = field(default_factory=list)

    def info(self, code: str, message: str = "", /, **_: object) -> None:
        self.codes.append(code)

    warning = error = info

    def stapler(self, *chain: x509.Certificate) -> Stapler:
        shown = chain or (self.leaf, self.sub.certificate)
        return Stapler(shown, state_dir=self.folder, timeout_s=1.0, clock=self.clock, log=self)

    def answers(self, **options: Any) -> None:
        def answer(question: bytes) -> bytes:
            asked = ocsp.load_der_ocsp_request(question)
            nonce = asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
            return self.sub.ocsp(self.leaf, nonce=nonce, this_update=self.clock.unix_s(), **options)

        self.web.answers["ocsp"] = answer


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    sub = TestAuthority("CPO Sub CA", AT, issuer=TestAuthority("V2G Root", AT))
    with publishing() as web:
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        leaf = sub.leaf(name((CN, "US*V2G*E1")), key, extensions=[responder_at(web.url("ocsp"))])
        yield World(tmp_path, sub, web, leaf)


def status_of(der: bytes | None) -> Any:
    assert der is not None
    return ocsp.load_der_ocsp_response(der).certificate_status


def test_before_the_first_answer_nothing_is_stapled_and_then_the_answer(world: World) -> None:
    world.answers()
    stapler = world.stapler()
    assert stapler() is None
    stapler.refresh()
    assert status_of(stapler()) is ocsp.OCSPCertStatus.GOOD
    assert world.codes == []


def test_the_answer_is_renewed_at_half_of_its_life_and_not_before(world: World) -> None:
    world.answers()
    stapler = world.stapler()
    stapler.refresh()
    world.clock.advance(0.4 * DAY_S)
    stapler.refresh()
    assert len(world.web.asked) == 1
    first = stapler()
    world.clock.advance(0.2 * DAY_S)
    stapler.refresh()
    assert len(world.web.asked) == 2
    assert stapler() != first


def test_the_answer_outlives_a_restart_and_is_verified_when_read(world: World) -> None:
    world.answers()
    stapler = world.stapler()
    stapler.refresh()
    again = world.stapler()
    assert again() == stapler()
    again.refresh()
    assert len(world.web.asked) == 1
    [kept] = (world.folder / "staples").iterdir()
    kept.write_bytes(TestAuthority("CPO Sub CA", AT).ocsp(world.leaf, issuer=world.sub.certificate))
    assert world.stapler()() is None


def test_an_old_answer_is_not_stapled(world: World) -> None:
    world.answers()
    stapler = world.stapler()
    stapler.refresh()
    world.web.answers.clear()
    world.clock.advance(2 * DAY_S)
    stapler.refresh()
    assert stapler() is None
    assert world.stapler()() is None
    assert world.codes == ["STAPLE_FAILED"]
    assert "status 404" in stapler.problem


def test_while_a_responder_fails_the_answer_at_hand_is_stapled_and_it_is_asked_less(world: World) -> None:
    world.answers()
    stapler = world.stapler()
    stapler.refresh()
    world.web.answers.clear()
    world.clock.advance(0.6 * DAY_S)
    for _ in range(5):
        stapler.refresh()
    assert len(world.web.asked) == 2
    assert stapler() is not None
    world.answers()
    world.clock.advance(FIRST_RETRY_S + 1.0)
    stapler.refresh()
    assert world.codes == ["STAPLE_FAILED", "STAPLE_OK"]
    assert stapler.problem == ""


def test_our_own_revocation_is_told_loudly(world: World) -> None:
    world.answers(revoked=True)
    stapler = world.stapler()
    stapler.refresh()
    assert status_of(stapler()) is ocsp.OCSPCertStatus.REVOKED
    assert world.codes == ["CERTIFICATE_REVOKED"]
    assert "provision a new one" in stapler.problem


def test_an_answer_that_does_not_know_us_is_not_stapled(world: World) -> None:
    world.answers(unknown=True)
    stapler = world.stapler()
    stapler.refresh()
    assert stapler() is None
    assert "does not know" in stapler.problem


def test_without_a_responder_or_an_issuer_there_is_nothing_to_staple(world: World) -> None:
    plain = world.sub.leaf(name((CN, "x")), world.sub.key.public_key())
    for chain in ((plain, world.sub.certificate), (world.leaf,)):
        stapler = world.stapler(*chain)
        stapler.refresh()
        assert stapler() is None
    assert world.web.asked == []


def test_a_disk_that_cannot_be_written_is_told_and_the_answer_stapled(world: World) -> None:
    world.answers()
    (world.folder / "staples").write_text("in the way")
    stapler = world.stapler()
    stapler.refresh()
    assert stapler() is not None
    assert world.codes == ["STAPLE_FAILED"]
