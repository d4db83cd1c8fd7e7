"""Revocation by OCSP responders behind real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from pyiso15118.security.chain import ChainError, ChainProblem, ValidatedChain
from support.authority import DAY_S, responder_at
from support.revocation_world import AT, World, ask, at_once, check, refusal, revocation_world
from v2g.config.schema_pki import OldData
from v2g.pki.ocsp_client import FAILED_S
from v2g.pki.revocation import Verdict


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with revocation_world(tmp_path) as world:
        yield world


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
