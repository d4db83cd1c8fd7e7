"""Whatever bytes come as a chain: an answer or a ChainError, soon."""

from __future__ import annotations

import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from pyiso15118.security import ChainError, ChainProblem, Pki, Role, TlsProfile, TrustAnchors, validate_chain
from pyiso15118.security.chain import LONGEST_CERTIFICATE, MOST_SUB_CERTIFICATES
from support.examples import examples

EMAID = "USV2GC123456786"
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")


def trust(pki: Pki) -> TrustAnchors:
    return TrustAnchors.from_certificates(pki.mo_root.credential.certificate)


def problem_of(leaf: bytes, subs: list[bytes], anchors: TrustAnchors, now: float) -> ChainProblem | None:
    try:
        validate_chain(leaf, subs, anchors, role=Role.CONTRACT, profile=TlsProfile.STRICT, at_unix_s=now)
    except ChainError as error:
        found, words = error.problem, str(error)
    else:
        return None
    assert len(words) < 600
    assert words.isprintable()
    return found


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


@pytest.fixture(scope="module")
def good(strict_pki: Pki) -> tuple[bytes, ...]:
    """The chain of one contract."""
    return strict_pki.contract(EMAID).chain_der()


def check_change(good: tuple[bytes, ...], place: int, changed: bytes, pki: Pki, now: float) -> None:
    """A chain with one certificate changed is refused, unless all that is signed is as it was.

    The count of unused bits before a signature has one bit to spare, for one.
    """
    chain = list(good)
    original = x509.load_der_x509_certificate(chain[place])
    chain[place] = changed
    if problem_of(chain[0], chain[1:], trust(pki), now) is None:
        assert x509.load_der_x509_certificate(changed).tbs_certificate_bytes == original.tbs_certificate_bytes


@settings(max_examples=examples(150), deadline=None)
@given(bit=st.integers(0, 8 * 1600), place=st.integers(0, 1))
def test_a_changed_bit_never_makes_another_certificate_valid(
    bit: int, place: int, good: tuple[bytes, ...], strict_pki: Pki, now: float
) -> None:
    check_change(good, place, flip(good[place], bit), strict_pki, now)


@settings(max_examples=examples(150), deadline=None)
@given(start=st.integers(0, 700), junk=st.binary(max_size=60), keep=st.booleans(), place=st.integers(0, 1))
def test_certificates_with_pieces_replaced_are_refused(
    start: int, junk: bytes, keep: bool, place: int, good: tuple[bytes, ...], strict_pki: Pki, now: float
) -> None:
    changed = good[place][:start] + junk + (good[place][start + len(junk) :] if keep else b"")
    check_change(good, place, changed, strict_pki, now)


@settings(max_examples=examples(100), deadline=None)
@given(leaf=st.binary(max_size=1700), subs=st.lists(st.binary(max_size=1700), max_size=6))
def test_garbage_is_no_certificate(leaf: bytes, subs: list[bytes], strict_pki: Pki, now: float) -> None:
    assert problem_of(leaf, subs, trust(strict_pki), now) is ChainProblem.INVALID


def test_a_thousand_certificates_are_not_even_read(strict_pki: Pki, now: float) -> None:
    leaf, sub = strict_pki.contract(EMAID).chain_der()
    started = time.perf_counter()
    assert problem_of(leaf, [sub] * 1000, trust(strict_pki), now) is ChainProblem.INVALID
    assert problem_of(leaf, [b"\x30" * 1600] * 1000, trust(strict_pki), now) is ChainProblem.INVALID
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize("size", [LONGEST_CERTIFICATE, LONGEST_CERTIFICATE + 1, 10**6])
def test_long_garbage_is_refused(size: int, strict_pki: Pki, now: float) -> None:
    leaf, sub = strict_pki.contract(EMAID).chain_der()
    for junk in (b"\0" * size, b"\x30\x82" + b"\xff" * (size - 2), leaf.ljust(size, b"\0")):
        assert problem_of(junk, [sub], trust(strict_pki), now) is ChainProblem.INVALID
        assert problem_of(leaf, [sub, junk], trust(strict_pki), now) is ChainProblem.INVALID


def test_certificates_that_issue_each_other_end_soon(strict_pki: Pki, recipe: Any, now: float) -> None:
    def name(n: int) -> tuple[Any, ...]:
        return ((NameOID.COMMON_NAME, f"Ring {n}"),)

    first = recipe(None, subject=name(0), identifiers=False).authority(None).make()
    last, ring = first, []
    for n in (1, 2, 3):
        last = recipe(last, subject=name(n), identifiers=False).authority(None).make()
        ring.append(last)
    closing = recipe(last, subject=name(0), key=first.key, identifiers=False).authority(None).make()
    leaf = recipe(closing, identifiers=False).make()
    subs = [c.chain_der()[0] for c in (closing, *ring)]
    assert len(subs) == MOST_SUB_CERTIFICATES
    assert problem_of(leaf.chain_der()[0], subs, trust(strict_pki), now) is not None


def test_many_authorities_of_one_name_end_soon(strict_pki: Pki, recipe: Any, now: float) -> None:
    """Each may have issued each other by name: all orders are tried and none holds."""
    same = ((NameOID.COMMON_NAME, "Same"),)
    other = recipe(None, subject=((NameOID.COMMON_NAME, "Other"),)).authority(None).make()
    twins = [recipe(other, subject=same, identifiers=False).authority(None).make() for _ in range(4)]
    leaf = recipe(twins[0], identifiers=False).make()
    started = time.perf_counter()
    subs = [c.chain_der()[0] for c in twins]
    assert problem_of(leaf.chain_der()[0], subs, trust(strict_pki), now) is not None
    assert time.perf_counter() - started < 0.5


def test_names_meant_to_spoil_a_log_do_not(recipe: Any, now: float) -> None:
    nasty = recipe(None, subject=((NameOID.COMMON_NAME, "x\n2026-01-01 INFO: all is well\x1b[2J" + "y" * 1000),)).make
    with pytest.raises(ValueError, match="64"):
        nasty()
    shown = recipe(None, subject=((NameOID.COMMON_NAME, "x\nINFO: all well\x1b[2J"),)).make()
    with pytest.raises(ChainError) as caught:
        validate_chain(
            *(shown.chain_der()[0], [], TrustAnchors()), role=Role.CONTRACT, profile=TlsProfile.STRICT, at_unix_s=now
        )
    assert str(caught.value).isprintable()
