"""Envelopes: a member's are opened now, once, in their order and at its rate. Also after restarts, by wrong clocks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.mesh_pki import MeshPki
from support.mesh_post import (
    BOOT_US,
    CERTIFICATE,
    EXPIRES,
    ISSUED,
    KEY_ID,
    NETWORK,
    NOW_S,
    PING,
    VALID_S,
    Bench,
    made,
    parts,
    sealed,
)
from v2g.mesh import envelope as module
from v2g.mesh.envelope import (
    BURST,
    CLOCK_TOLERANCE_S,
    JUDGED_BURST,
    LONGEST_VALID_S,
    MOST_PER_S,
    EnvelopeError,
    Sealer,
    key_id,
)
from v2g.mesh.identity import Identity
from v2g.mesh.trust import Drop, Judged, PublicKey, Trust

# ---- flood ----


def test_a_flood_is_dropped_before_any_cryptography(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.open(bench.seal())
    checked: list[bytes] = []

    def refuse(key: PublicKey, signature: bytes, data: bytes) -> bool:
        checked.append(data)
        return False

    monkeypatch.setattr(module, "verify", refuse)
    garbage = bench.seal()
    reasons = [bench.refused(garbage).reason for _ in range(1000)]
    most = int(BURST) - 1
    assert reasons == [Drop.UNSIGNED] * most + [Drop.FLOOD] * (1000 - most)
    assert len(checked) == most


def test_after_a_flood_a_sender_is_heard_at_its_rate(bench: Bench) -> None:
    for _ in range(200):
        bench.seal()
    for _ in range(int(BURST)):
        bench.open(bench.seal())
    assert bench.refused(bench.seal()).reason is Drop.FLOOD
    bench.wait(1.0)
    for _ in range(int(MOST_PER_S)):
        bench.open(bench.seal())
    assert bench.refused(bench.seal()).reason is Drop.FLOOD


def test_a_long_silence_saves_up_no_more_than_a_burst(bench: Bench) -> None:
    bench.open(bench.seal())
    bench.wait(1e6)
    for _ in range(int(BURST)):
        bench.open(bench.seal())
    assert bench.refused(bench.seal()).reason is Drop.FLOOD


def test_a_flood_by_one_does_not_silence_another(bench: Bench) -> None:
    for _ in range(100):
        try:
            bench.open(bench.seal("tr-1"))
        except EnvelopeError:
            continue
    assert bench.opener.counts == {Drop.FLOOD: 100 - int(BURST)}
    assert bench.open(bench.seal("tr-2")).sender == "tr-2"


def test_a_flood_in_anothers_name_silences_it_and_no_more(bench: Bench) -> None:
    """Said in the module: the price of dropping before cryptography. What is dropped so is counted as such."""
    bench.open(bench.seal("tr-1"))
    sound = bench.seal("tr-1")
    body, _ = parts(sound)
    forged = sealed(bench.identities["tr-2"], body)
    for _ in range(100):
        bench.refused(forged)
    assert bench.refused(sound).reason is Drop.FLOOD
    assert bench.opener.by_sender["tr-1", Drop.UNSIGNED] == int(BURST) - 1
    bench.wait(0.1)
    assert bench.open(bench.seal("tr-1")).message == PING


def test_certificates_in_plenty_are_not_all_judged_and_the_one_in_use_goes_on_counting(
    pki: MeshPki, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[bytes] = []
    judge = Trust.judge

    def counted(self: Trust, der: bytes, sender: str, unix_s: float) -> Judged:
        judged.append(der)
        return judge(self, der, sender, unix_s)

    bench.open(bench.seal())
    body, _ = parts(bench.seal())
    monkeypatch.setattr(Trust, "judge", counted)
    reasons = []
    for number in range(20):
        body[CERTIFICATE] = b"certificate %d" % number
        body[KEY_ID] = key_id(body[CERTIFICATE])
        reasons.append(bench.refused(sealed(bench.identities["tr-2"], body)).reason)
    most = int(JUDGED_BURST) - 1
    assert reasons == [Drop.UNTRUSTED] * most + [Drop.FLOOD] * (20 - most)
    assert len(judged) == most
    bench.unix_s += 61.0
    assert bench.open(bench.seal(certificate=False)).message == PING
    assert len(judged) == most + 1


def test_a_monotonic_clock_that_stands_still_or_goes_back_gives_no_more(bench: Bench) -> None:
    for _ in range(int(BURST)):
        bench.open(bench.seal())
    bench.now_s -= 10.0
    assert bench.refused(bench.seal()).reason is Drop.FLOOD


# ---- time ----


def test_a_clock_within_the_tolerance_counts(bench: Bench) -> None:
    bench.open(bench.seal(at_s=NOW_S + CLOCK_TOLERANCE_S))
    bench.open(bench.seal(at_s=NOW_S - VALID_S + 0.001))


@pytest.mark.parametrize("minutes", [-600.0, -10.0, -2.0, 1.0, 5.0, 600.0])
def test_a_clock_that_is_minutes_off_is_said_to_be_so(bench: Bench, minutes: float) -> None:
    error = bench.refused(bench.seal(at_s=NOW_S + 60.0 * minutes))
    assert error.reason is Drop.CLOCK
    way = "ahead of ours, or ours behind" if minutes > 0 else "behind ours, or ours ahead"
    assert str(error) == f"clock of tr-1 is {abs(60.0 * minutes):.1f} s {way}"


def test_a_clock_that_is_wrong_here_is_wrong_with_everybody(bench: Bench) -> None:
    bench.unix_s += 300.0
    reasons = {bench.refused(bench.seal(name, at_s=NOW_S)).reason for name in ("tr-1", "tr-2")}
    assert reasons == {Drop.CLOCK}


def test_one_just_beyond_the_tolerance_is_dropped(bench: Bench) -> None:
    assert bench.refused(bench.seal(at_s=NOW_S + CLOCK_TOLERANCE_S + 0.002)).reason is Drop.CLOCK


def test_an_envelope_counts_until_it_expires_and_not_at_that_moment(bench: Bench) -> None:
    first, second = bench.seal(), bench.seal()
    bench.wait(VALID_S - 0.002)
    bench.open(first)
    bench.wait(0.002)
    error = bench.refused(second)
    assert error.reason is Drop.EXPIRED
    assert str(error) == "envelope of tr-1 came 3.0 s after it was issued"


def test_one_that_was_held_back_for_long_says_nothing_of_a_clock(bench: Bench) -> None:
    old, new = bench.seal(), bench.seal()
    bench.open(new)
    bench.wait(3600.0)
    assert bench.refused(old).reason is Drop.EXPIRED
    assert bench.refused(new).reason is Drop.REPLAYED


@pytest.mark.parametrize("valid_ms", [-1, round(LONGEST_VALID_S * 1e3) + 1, 1 << 40])
def test_a_validity_that_is_none_or_without_end_is_refused(bench: Bench, valid_ms: int) -> None:
    body, _ = parts(bench.seal())
    body[EXPIRES] = body[ISSUED] + valid_ms
    error = bench.refused(sealed(bench.identities["tr-1"], body))
    assert error.reason is Drop.EXPIRED
    assert "must be 0 to 60" in str(error)


def test_the_longest_validity_is_taken_at_any_fraction_of_a_second(bench: Bench) -> None:
    for thousandth in range(30):
        bench.wait(0.9137)
        at_s = bench.unix_s + thousandth * 1e-4
        bench.open(bench.sealer().seal(PING, at_s, LONGEST_VALID_S, with_certificate=True)[1])


# ---- sequence ----


def test_the_same_envelope_twice_is_a_replay_also_by_another_way(bench: Bench) -> None:
    data = bench.seal()
    bench.open(data)
    bench.wait(1.0)
    error = bench.refused(data)
    assert error.reason is Drop.REPLAYED
    assert bench.opener.by_sender == {("tr-1", Drop.REPLAYED): 1}


def test_an_older_one_that_did_not_come_before_is_reordered_and_stays_missing(bench: Bench) -> None:
    first, second, third = bench.seal(), bench.seal(), bench.seal()
    bench.open(first)
    assert bench.open(third).missed == 1
    assert bench.refused(second).reason is Drop.REORDERED
    assert bench.open(bench.seal()).missed == 0


def test_an_envelope_that_was_dropped_changes_nothing_that_is_known_of_its_sender(bench: Bench) -> None:
    bench.open(bench.seal())
    lost = bench.seal()
    bench.refused(bench.seal(at_s=NOW_S + 3600.0))
    body, _ = parts(bench.seal())
    bench.refused(sealed(bench.identities["tr-2"], body))
    assert bench.open(lost).missed == 0


def test_a_sender_that_restarts_goes_on_and_nothing_is_missing(bench: Bench) -> None:
    bench.open(bench.seal())
    bench.wait(30.0)
    bench.sealers["tr-1"] = Sealer(NETWORK, bench.identities["tr-1"], BOOT_US + 30_000_000)
    assert bench.open(bench.seal()).missed == 0
    bench.seal()
    assert bench.open(bench.seal()).missed == 1


def test_what_a_sender_said_before_its_restart_is_not_taken_after_it(bench: Bench) -> None:
    bench.open(bench.seal())
    held = bench.seal()
    bench.wait(1.0)
    bench.sealers["tr-1"] = Sealer(NETWORK, bench.identities["tr-1"], BOOT_US + 30_000_000)
    bench.open(bench.seal())
    assert bench.refused(held).reason is Drop.REORDERED


def test_a_sender_whose_clock_was_ahead_when_it_started_before_is_heard_once_its_last_word_has_expired(
    bench: Bench,
) -> None:
    """It started ten minutes ahead, its clock was set, and it starts again."""
    bench.sealers["tr-1"] = Sealer(NETWORK, bench.identities["tr-1"], BOOT_US + 600_000_000)
    last = bench.seal()
    held = bench.seal()
    bench.open(last)
    bench.wait(1.0)
    bench.sealers["tr-1"] = Sealer(NETWORK, bench.identities["tr-1"], BOOT_US + 31_000_000)
    assert bench.refused(bench.seal()).reason is Drop.REORDERED
    bench.wait(VALID_S - 1.0)
    assert bench.open(bench.seal()).missed == 0
    assert bench.open(bench.seal()).missed == 0
    assert bench.refused(held).reason is Drop.EXPIRED
    assert bench.refused(last).reason is Drop.REPLAYED


def test_what_was_made_ahead_of_time_is_not_taken_after_the_clock_was_set_and_the_sender_restarted(
    bench: Bench,
) -> None:
    """Its sequence is above those of the life that is heard now, it has not expired, and it was issued before."""
    bench.sealers["tr-1"] = Sealer(NETWORK, bench.identities["tr-1"], BOOT_US + 600_000_000)
    held = bench.seal(at_s=NOW_S + 0.5)
    bench.sealers["tr-1"] = Sealer(NETWORK, bench.identities["tr-1"], BOOT_US + 1_000_000)
    bench.wait(1.0)
    bench.open(bench.seal())
    assert bench.refused(held).reason is Drop.REORDERED


def test_of_two_that_use_one_certificate_at_once_the_one_that_started_later_is_heard(bench: Bench) -> None:
    """A stolen key, or a copied machine. The other is counted, so that somebody sees it."""
    first = bench.sealer()
    second = Sealer(NETWORK, bench.identities["tr-1"], BOOT_US + 5_000_000)
    heard: list[str] = []
    for _ in range(10):
        bench.wait(0.5)
        for sealer in (first, second):
            sequence, data = sealer.seal(PING, bench.unix_s, VALID_S, with_certificate=True)
            try:
                bench.open(data)
            except EnvelopeError as error:
                heard.append(error.reason)
            else:
                heard.append("first" if sequence < BOOT_US + 1_000_000 else "second")
            bench.wait(0.01)
    assert heard[:2] == ["first", "second"]
    assert heard[2:] == [Drop.REORDERED, "second"] * 9


@given(order=st.permutations(range(6)), repeats=st.lists(st.integers(0, 5), max_size=6))
def test_in_whatever_order_they_come_each_is_taken_once_and_never_after_a_later_one(
    pki: MeshPki, identities: dict[str, Identity], order: list[int], repeats: list[int]
) -> None:
    bench = made(pki, identities)
    envelopes = [bench.seal() for _ in range(6)]
    taken: list[int] = []
    reasons: list[tuple[Drop, bool]] = []
    missed = 0
    for number in [*order, *repeats]:
        try:
            opened = bench.open(envelopes[number])
        except EnvelopeError as error:
            reasons.append((error.reason, number in taken))
        else:
            missed += opened.missed
            taken.append(number)
    assert set(reasons) <= {(Drop.REPLAYED, True), (Drop.REORDERED, False)}
    assert taken == sorted(set(taken))
    assert taken[-1] == 5
    assert missed == len(range(taken[0], 6)) - len(taken)


def test_every_reason_to_drop_one_has_a_test() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_envelope*.py"))
    assert [reason for reason in Drop if f"Drop.{reason.name}" not in text] == []
