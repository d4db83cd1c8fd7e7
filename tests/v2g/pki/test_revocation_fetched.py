"""Revocation by CRLs that are fetched over real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from pyiso15118.security.chain import ChainProblem, ValidatedChain
from support.authority import CN, DAY_S, TestAuthority, crl_at, name
from support.revocation_world import AT, World, ask, at_once, check, refusal, revocation_world
from v2g.pki.crl_fetch import DUE_AT, FIRST_RETRY_S
from v2g.pki.revocation import Verdict


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with revocation_world(tmp_path) as world:
        yield world


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
