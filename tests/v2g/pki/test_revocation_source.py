"""Revocation as the daemon asks for it: files, fetched CRLs, OCSP responders behind real HTTP, restarts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from pyiso15118.security.chain import ChainError, ChainProblem, Role, TrustAnchors, ValidatedChain, validate_chain
from pyiso15118.security.tls import TlsProfile
from support.authority import CN, DAY_S, TestAuthority, crl_at, name, responder_at
from support.http_files import Published, publishing
from v2g.clock import ManualClock
from v2g.config.schema_pki import OldData, Revocation
from v2g.pki.clock_sync import JudgedTime
from v2g.pki.crl_fetch import DUE_AT, FIRST_RETRY_S
from v2g.pki.ocsp_client import FAILED_S
from v2g.pki.revocation import Verdict
from v2g.pki.revocation_source import RevocationSource, offline_check

AT = 1_800_000_000.0


class Lines:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def info(self, code: str, message: str = "", /, **_: object) -> None:
        self.lines.append((code, message))

    warning = info

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.lines]


@dataclass
class World:
    folder: Path
    root: TestAuthority
    sub: TestAuthority
    web: Published
    clock: ManualClock = field(default_factory=lambda: ManualClock(unix_s=AT))
    log: Lines = field(default_factory=Lines)
    issued: list[x509.Certificate] = field(default_factory=list)

    @property
    def crl_dir(self) -> Path:
        return self.folder / "crl"

    def source(self, refreshed: bool = True, **settings: Any) -> RevocationSource:
        source = RevocationSource(
            Revocation(**{"timeout_s": 1.0, **settings}),
            crl_dir=self.crl_dir,
            state_dir=self.folder / "state",
            clock=self.clock,
            log=self.log,
        )
        if refreshed:
            source.refresh()
        return source

    def put(self, der: bytes, file_name: str = "oem.crl") -> Path:
        path = self.crl_dir / file_name
        path.write_bytes(der)
        return path

    def vehicle(self, common_name: str = "WMIV1", **options: Any) -> x509.Certificate:
        return self.sub.leaf(name((CN, common_name)), ec.generate_private_key(ec.SECP256R1()).public_key(), **options)

    def chain(self, leaf: x509.Certificate) -> ValidatedChain:
        return validate_chain(
            leaf.public_bytes(Encoding.DER),
            [self.sub.certificate.public_bytes(Encoding.DER)],
            TrustAnchors((self.root.certificate,)),
            role=Role.VEHICLE,
            profile=TlsProfile.COMPAT,
            at_unix_s=AT,
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    root = TestAuthority("OEM Root", AT)
    for folder in ("crl", "state"):
        (tmp_path / folder).mkdir()
    with publishing() as web:
        yield World(tmp_path, root, TestAuthority("OEM Sub CA", AT, issuer=root), web)


def check(source: RevocationSource, chain: ValidatedChain) -> None:
    for pair in pairwise((chain.leaf, *chain.sub_certificates, chain.anchor)):
        source.is_revoked(*pair)


def ask(source: RevocationSource, chain: ValidatedChain) -> None:
    """As a handshake does, whatever comes of it."""
    for pair in pairwise((chain.leaf, *chain.sub_certificates, chain.anchor)):
        with suppress(ChainError):
            source.is_revoked_waiting(*pair)


def refusal(source: RevocationSource, chain: ValidatedChain) -> ChainError:
    with pytest.raises(ChainError) as caught:
        check(source, chain)
    return caught.value


# ---- files ----


def test_a_site_without_revocation_data_works_and_says_so(world: World) -> None:
    source = world.source()
    check(source, world.chain(world.vehicle()))
    source.announce()
    assert world.log.codes == ["REVOCATION_NOT_CONFIGURED"]
    assert "put CRLs into" in source.warnings()[0]


def test_checking_nothing_accepts_a_revoked_vehicle_and_says_so_at_start(world: World) -> None:
    leaf = world.vehicle()
    world.put(world.sub.crl(leaf))
    source = world.source(check=False)
    check(source, world.chain(leaf))
    source.announce()
    assert "REVOCATION_OFF" in world.log.codes


def test_a_revoked_vehicle_is_refused_with_date_reason_and_file(world: World) -> None:
    leaf, other = world.vehicle(), world.vehicle("WMIV2")
    path = world.put(world.sub.crl(leaf, reason=x509.ReasonFlags.key_compromise))
    source = world.source()
    error = refusal(source, world.chain(leaf))
    assert error.problem is ChainProblem.REVOKED
    assert str(error) == (
        f"CN=WMIV1 is revoked since 2027-01-15, keyCompromise ({path}): its holder needs a new certificate"
    )
    check(source, world.chain(other))


def test_a_vehicle_below_a_revoked_authority_is_refused(world: World) -> None:
    world.put(world.root.crl(world.sub.certificate))
    error = refusal(world.source(), world.chain(world.vehicle()))
    assert error.problem is ChainProblem.REVOKED
    assert "CN=OEM Sub CA is revoked" in str(error)


def test_validate_chain_takes_the_source(world: World) -> None:
    leaf = world.vehicle()
    world.put(world.sub.crl(leaf))
    with pytest.raises(ChainError) as caught:
        validate_chain(
            leaf.public_bytes(Encoding.DER),
            [world.sub.certificate.public_bytes(Encoding.DER)],
            TrustAnchors((world.root.certificate,)),
            role=Role.VEHICLE,
            profile=TlsProfile.COMPAT,
            at_unix_s=AT,
            is_revoked=world.source().is_revoked,
        )
    assert caught.value.problem is ChainProblem.REVOKED


def test_before_the_first_reading_nobody_is_let_in(world: World) -> None:
    error = refusal(world.source(refreshed=False), world.chain(world.vehicle()))
    assert error.problem is ChainProblem.INVALID
    assert "has not been read yet" in str(error)


def test_old_data_is_refused_or_accepted_as_the_configuration_says(world: World) -> None:
    world.put(world.sub.crl(1))
    world.clock.advance(30 * DAY_S)
    chain = world.chain(world.vehicle())
    error = refusal(world.source(), chain)
    assert error.problem is ChainProblem.INVALID
    assert "is old since" in str(error)
    world.log.lines.clear()
    check(world.source(old_data=OldData.WARN), chain)
    assert "REVOCATION_UNKNOWN" in world.log.codes


def test_files_are_read_again_when_they_change_and_only_then(world: World) -> None:
    leaf = world.vehicle()
    chain = world.chain(leaf)
    world.put(world.sub.crl(1))
    source = world.source()
    check(source, chain)
    source.refresh()
    assert world.log.codes == ["CRL_LOADED"]
    world.put(world.sub.crl(leaf))
    source.refresh()
    assert refusal(source, chain).problem is ChainProblem.REVOKED
    assert world.log.codes == ["CRL_LOADED", "CRL_LOADED"]


def test_a_list_that_is_lost_is_missed_also_after_a_restart(world: World) -> None:
    chain = world.chain(world.vehicle())
    path = world.put(world.sub.crl(1))
    check(world.source(), chain)
    path.unlink()
    source = world.source()
    error = refusal(source, chain)
    assert error.problem is ChainProblem.INVALID
    assert "was here is gone" in str(error)
    (world.folder / "state" / "revocation.json").unlink()
    check(world.source(), chain)


def test_a_file_that_cannot_be_read_is_told_once_and_refuses_those_it_may_be_about(world: World) -> None:
    path = world.put(b"no list at all", "new.pem")
    chain = world.chain(world.vehicle())
    source = world.source()
    source.refresh()
    assert world.log.codes.count("CRL_UNUSABLE") == 1
    assert f"{path} is no CRL" in str(refusal(source, chain)) or str(path) in str(refusal(source, chain))
    path.unlink()
    source.refresh()
    check(source, chain)


def test_what_is_no_file_stops_nothing(world: World) -> None:
    import os

    os.mkfifo(world.crl_dir / "pipe.crl")
    (world.crl_dir / "folder.pem").mkdir()
    (world.crl_dir / "loop.der").symlink_to("loop.der")
    (world.crl_dir / "README").write_text("hello")
    source = world.source()
    assert len(source.warnings()) == 3
    assert "README" not in " ".join(source.warnings())


@pytest.mark.parametrize("content", [b"", b"[]", b'{"issuers": ["!"], "points": {"x": "!"}}', b"\xff"])
def test_a_damaged_state_file_is_as_none(world: World, content: bytes) -> None:
    (world.folder / "state" / "revocation.json").write_bytes(content)
    check(world.source(), world.chain(world.vehicle()))


def test_a_state_directory_that_cannot_be_written_stops_nothing(world: World) -> None:
    (world.folder / "state").rmdir()
    world.put(world.sub.crl(1))
    check(world.source(), world.chain(world.vehicle()))


def test_a_clock_that_is_not_synchronised_makes_no_list_too_new(world: World) -> None:
    world.put(world.sub.crl(1))
    source = RevocationSource(
        Revocation(),
        crl_dir=world.crl_dir,
        state_dir=world.folder / "state",
        clock=world.clock,
        time=lambda: JudgedTime(AT - 90 * DAY_S, is_lower_bound=True),
    )
    source.refresh()
    check(source, world.chain(world.vehicle()))


# ---- OCSP ----


def responder(world: World, **options: Any) -> Any:
    def answer(question: bytes) -> bytes:
        asked = ocsp.load_der_ocsp_request(question)
        nonce = asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        certificate = next(c for c in world.issued if c.serial_number == asked.serial_number)
        return world.sub.ocsp(certificate, nonce=nonce, **options)

    return answer


@pytest.fixture
def asked(world: World) -> ValidatedChain:
    """Of a vehicle whose certificate and authority name our responder."""
    leaf = world.vehicle(extensions=[responder_at(world.web.url("ocsp"))])
    world.issued = [leaf]
    world.put(world.root.crl(), "root.crl")
    return world.chain(leaf)


def test_a_responder_is_asked_in_a_thread_and_its_answer_kept(world: World, asked: ValidatedChain) -> None:
    world.web.answers["ocsp"] = responder(world)
    source = world.source(ocsp=True)
    ask(source, asked)
    for _ in range(3):
        check(source, asked)
    ask(source, asked)
    assert world.web.asked == ["ocsp"]


def test_the_thread_of_a_handshake_waits_for_the_responder(world: World, asked: ValidatedChain) -> None:
    world.web.answers["ocsp"] = responder(world)
    source = world.source(ocsp=True)
    assert source.is_revoked_waiting(asked.leaf, world.sub.certificate) is False
    world.web.answers["ocsp"] = responder(world, revoked=True)
    with pytest.raises(ChainError, match="is revoked"):
        world.source(ocsp=True).is_revoked_waiting(asked.leaf, world.sub.certificate)


def test_a_revoked_vehicle_is_refused_by_the_responders_word(world: World, asked: ValidatedChain) -> None:
    world.web.answers["ocsp"] = responder(world, revoked=True)
    source = world.source(ocsp=True)
    ask(source, asked)
    assert refusal(source, asked).problem is ChainProblem.REVOKED


def test_an_answer_that_became_old_is_asked_for_again(world: World, asked: ValidatedChain) -> None:
    world.web.answers["ocsp"] = responder(world)
    source = world.source(ocsp=True)
    ask(source, asked)
    world.clock.advance(1.5 * DAY_S)
    world.put(world.root.crl(this_update=AT + DAY_S), "root.crl")
    source.refresh()
    world.web.answers["ocsp"] = responder(world, this_update=AT + DAY_S)
    ask(source, asked)
    check(source, asked)


def test_who_cannot_wait_has_the_responder_asked_meanwhile(world: World, asked: ValidatedChain) -> None:
    """As the contract chain of Plug and Charge: asked on the event loop, which must not stand still."""
    answered = threading.Event()
    inner = responder(world)

    def slowly(question: bytes) -> bytes:
        time.sleep(0.2)
        answered.set()
        return inner(question)

    world.web.answers["ocsp"] = slowly
    source = world.source(ocsp=True)
    began_s = time.monotonic()
    assert "has not answered yet" in str(refusal(source, asked))
    assert time.monotonic() - began_s < 0.15
    assert answered.wait(5)
    end_s = time.monotonic() + 5
    while source.finding(asked.leaf, world.sub.certificate).verdict is Verdict.UNKNOWN and time.monotonic() < end_s:
        time.sleep(0.01)
    check(source, asked)
    assert world.web.asked == ["ocsp"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: 500, "answers with status 500"),
        (lambda _: b"hello", "cannot be read"),
        (lambda _: b"x" * 100_000, "larger than 64 KiB"),
        (lambda _: time.sleep(5) or b"", "no whole answer within 1 s"),
    ],
    ids=["status", "garbage", "large", "stalls"],
)
def test_a_responder_that_fails_is_told_and_left_alone_for_a_while(
    world: World, asked: ValidatedChain, answer: Any, words: str
) -> None:
    world.web.answers["ocsp"] = answer
    source = world.source(ocsp=True)
    began_s = time.monotonic()
    ask(source, asked)
    assert time.monotonic() - began_s < 3.0
    assert words in str(refusal(source, asked))
    ask(source, asked)
    assert len(world.web.asked) == 1
    world.clock.advance(FAILED_S + 1.0)
    world.web.answers["ocsp"] = responder(world)
    ask(source, asked)
    check(source, asked)


def test_a_responder_that_is_not_there_is_told(world: World) -> None:
    leaf = world.vehicle(extensions=[responder_at("http://127.0.0.1:1/ocsp")])
    world.put(world.root.crl(), "root.crl")
    source = world.source(ocsp=True)
    chain = world.chain(leaf)
    ask(source, chain)
    assert "Connection refused" in str(refusal(source, chain))
    warned = world.source(ocsp=True, old_data=OldData.WARN)
    ask(warned, chain)
    check(warned, chain)


def test_with_ocsp_a_certificate_without_a_responder_needs_a_list(world: World) -> None:
    chain = world.chain(world.vehicle())
    world.put(world.root.crl(), "root.crl")
    source = world.source(ocsp=True)
    assert "names no OCSP responder" in str(refusal(source, chain))
    world.put(world.sub.crl(1))
    source.refresh()
    check(source, chain)


def test_a_list_that_says_revoked_is_not_lifted_by_a_responder(world: World, asked: ValidatedChain) -> None:
    world.web.answers["ocsp"] = responder(world)
    world.put(world.sub.crl(asked.leaf))
    source = world.source(ocsp=True)
    ask(source, asked)
    assert refusal(source, asked).problem is ChainProblem.REVOKED


def test_after_the_end_nothing_is_asked_and_nothing_raised(world: World, asked: ValidatedChain) -> None:
    source = world.source(ocsp=True)
    source.close()
    ask(source, asked)
    assert refusal(source, asked).problem is ChainProblem.INVALID
    assert world.web.asked == []


def at_once(source: RevocationSource, *certificates: x509.Certificate, issuer: x509.Certificate) -> list[str]:
    """What becomes of handshakes on threads of their own; empty: accepted."""
    outcomes: list[str] = []

    def handshake(certificate: x509.Certificate) -> None:
        try:
            source.is_revoked_waiting(certificate, issuer)
            outcomes.append("")
        except ChainError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=handshake, args=(certificate,)) for certificate in certificates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    return outcomes


def test_vehicles_of_one_authority_that_come_at_once_wait_for_the_same_answer(
    world: World, asked: ValidatedChain
) -> None:
    inner = responder(world)

    def slowly(question: bytes) -> bytes:
        time.sleep(0.3)
        return inner(question)

    world.web.answers["ocsp"] = slowly
    assert at_once(world.source(ocsp=True), *[asked.leaf] * 4, issuer=world.sub.certificate) == [""] * 4
    assert world.web.asked == ["ocsp"]


def test_a_responder_that_is_silent_holds_up_one_vehicle_and_not_each(world: World) -> None:
    world.web.answers["ocsp"] = lambda _: time.sleep(3) or b""
    vehicles = [world.vehicle(f"WMIV{n}", extensions=[responder_at(world.web.url("ocsp"))]) for n in range(8)]
    source = world.source(ocsp=True, old_data=OldData.WARN)
    began_s = time.monotonic()
    for vehicle in vehicles:
        source.is_revoked_waiting(vehicle, world.sub.certificate)
    assert time.monotonic() - began_s < 2.5
    assert len(world.web.asked) == 1


def test_a_responder_that_does_not_know_a_new_vehicle_yet_is_asked_again_soon(
    world: World, asked: ValidatedChain
) -> None:
    world.web.answers["ocsp"] = responder(world, unknown=True, next_update=AT + 7 * DAY_S)
    source = world.source(ocsp=True)
    ask(source, asked)
    assert "the OCSP responder does not know CN=WMIV1" in str(refusal(source, asked))
    world.web.answers["ocsp"] = responder(world)
    world.clock.advance(FAILED_S + 1.0)
    ask(source, asked)
    check(source, asked)


# ---- fetched lists ----


@pytest.fixture
def naming(world: World) -> ValidatedChain:
    """Of a vehicle whose certificate names where its issuer's CRL is had."""
    return world.chain(world.vehicle(extensions=[crl_at(world.web.url("sub.crl"), "ldap://x")]))


def test_a_list_is_fetched_before_the_first_vehicle_is_judged(world: World, naming: ValidatedChain) -> None:
    world.web.answers["sub.crl"] = lambda _: world.sub.crl(naming.leaf)
    source = world.source(fetch_crls=True)
    ask(source, naming)
    assert refusal(source, naming).problem is ChainProblem.REVOKED
    assert "CRL_FETCHED" in world.log.codes


def test_vehicles_that_come_at_once_wait_for_one_fetch(world: World, naming: ValidatedChain) -> None:
    def slowly(_: bytes) -> bytes:
        time.sleep(0.3)
        return world.sub.crl(1)

    world.web.answers["sub.crl"] = slowly
    assert at_once(world.source(fetch_crls=True), *[naming.leaf] * 4, issuer=world.sub.certificate) == [""] * 4
    assert world.web.asked == ["sub.crl"]


def test_the_end_cuts_what_is_fetched_and_begins_nothing_more(world: World) -> None:
    begun = threading.Event()

    def stalls(_: bytes) -> bytes:
        begun.set()
        time.sleep(3)
        return b""

    for n in range(3):
        world.web.answers[f"{n}.crl"] = stalls
    source = world.source(refreshed=False, fetch_crls=True)
    source.trust(
        TestAuthority(f"Root {n}", AT, extensions=[crl_at(world.web.url(f"{n}.crl"))]).certificate for n in range(3)
    )
    refreshing = threading.Thread(target=source.refresh)
    refreshing.start()
    assert begun.wait(5.0)
    began_s = time.monotonic()
    source.close()
    refreshing.join(10.0)
    assert time.monotonic() - began_s < 1.0
    assert len(world.web.asked) == 1
    assert "CRL_NOT_FETCHED" not in world.log.codes


def test_a_list_that_never_came_refuses(world: World, naming: ValidatedChain) -> None:
    source = world.source(fetch_crls=True)
    ask(source, naming)
    assert "could not be fetched yet" in str(refusal(source, naming))
    assert "CRL_NOT_FETCHED" in world.log.codes


def test_lists_are_fetched_again_when_they_are_due_also_after_a_restart(world: World, naming: ValidatedChain) -> None:
    world.web.answers["sub.crl"] = lambda _: world.sub.crl(1)
    source = world.source(fetch_crls=True)
    ask(source, naming)
    check(source, naming)
    source.refresh()
    world.clock.advance(DUE_AT * 7 * DAY_S - 3700.0)
    source.refresh()
    assert world.web.asked == ["sub.crl"]
    world.clock.advance(3700.0)
    world.web.answers["sub.crl"] = lambda _: world.sub.crl(naming.leaf, this_update=world.clock.unix_s())
    again = world.source(fetch_crls=True)
    assert world.web.asked == ["sub.crl", "sub.crl"]
    assert refusal(again, naming).problem is ChainProblem.REVOKED


def forged(world: World) -> bytes:
    return TestAuthority("OEM Sub CA", AT).crl(1)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (forged, "is not signed by CN=OEM Sub CA"),
        (lambda w: w.root.crl(), "is not signed by CN=OEM Sub CA"),
        (lambda w: w.sub.crl(1, this_update=AT - 30 * DAY_S), "is old since"),
        (lambda w: w.sub.crl(1, this_update=AT + 30 * DAY_S), "ahead of our clock"),
        (lambda w: b"hello", "no CRL that can be read"),
        (lambda w: 404, "status 404"),
        (lambda w: w.sub.crl(1, extensions=[(x509.DeltaCRLIndicator(1), True)]), "delta CRL"),
    ],
)
def test_a_list_that_cannot_be_used_does_not_replace_the_one_that_is_here(
    world: World, naming: ValidatedChain, answer: Any, words: str
) -> None:
    world.web.answers["sub.crl"] = lambda _: world.sub.crl(1)
    source = world.source(fetch_crls=True)
    ask(source, naming)
    [kept] = (world.folder / "state" / "crl").iterdir()
    before = kept.read_bytes()
    world.clock.advance(0.9 * 7 * DAY_S)
    real_at = world.clock.unix_s()
    world.web.answers["sub.crl"] = lambda _: answer(world)
    if words in ("ahead of our clock",):
        world.web.answers["sub.crl"] = lambda _: world.sub.crl(1, this_update=real_at + 30 * DAY_S)
    source.refresh()
    assert words in " ".join(message for _, message in world.log.lines)
    assert kept.read_bytes() == before
    assert list((world.folder / "state" / "crl").iterdir()) == [kept]
    check(source, naming)


def test_a_server_that_fails_is_asked_less_and_less(world: World, naming: ValidatedChain) -> None:
    source = world.source(fetch_crls=True)
    ask(source, naming)
    for _ in range(10):
        source.refresh()
    assert len(world.web.asked) == 1
    world.clock.advance(FIRST_RETRY_S + 1.0)
    source.refresh()
    source.refresh()
    assert len(world.web.asked) == 2
    world.clock.advance(FIRST_RETRY_S + 1.0)
    source.refresh()
    assert len(world.web.asked) == 2


def test_an_anchors_own_list_is_fetched(world: World) -> None:
    root = TestAuthority("Root", AT, extensions=[crl_at(world.web.url("root.crl"))])
    world.web.answers["root.crl"] = lambda _: root.crl(5)
    source = world.source(refreshed=False, fetch_crls=True)
    source.trust([root.certificate])
    source.refresh()
    assert world.web.asked == ["root.crl"]
    below = root.leaf(name((CN, "x")), root.key.public_key())
    assert source.finding(below, root.certificate).verdict is Verdict.GOOD


def test_nothing_is_fetched_where_that_is_not_configured(world: World, naming: ValidatedChain) -> None:
    source = world.source()
    ask(source, naming)
    source.refresh()
    check(source, naming)
    assert world.web.asked == []


# ---- commands ----


def test_our_own_chain_is_looked_up_in_the_files_that_are_there(world: World) -> None:
    leaf = world.vehicle()
    assert offline_check(world.crl_dir, clock=world.clock)(leaf, world.sub.certificate) is False
    world.put(world.sub.crl(leaf))
    with pytest.raises(ChainError, match="is revoked since"):
        offline_check(world.crl_dir, clock=world.clock)(leaf, world.sub.certificate)
    world.put(world.sub.crl(1))
    assert offline_check(world.crl_dir, clock=world.clock)(leaf, world.sub.certificate) is False
    world.clock.advance(90 * DAY_S)
    with pytest.raises(ChainError, match="is old since"):
        offline_check(world.crl_dir, clock=world.clock)(leaf, world.sub.certificate)
