"""Envelopes: only what a member sealed for this mesh is opened. What keeps the others out, up to the signature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from support.mesh_pki import DAY_S, Kind, MeshPki
from support.mesh_post import (
    BOOT_US,
    CERTIFICATE,
    EXPIRES,
    ISSUED,
    KEY_ID,
    MESSAGE,
    NAME,
    NETWORK,
    NOW_S,
    PING,
    SENDER,
    SEQUENCE,
    VALID_S,
    VERSION,
    Bench,
    made,
    parts,
    sealed,
)
from v2g.mesh import envelope as module
from v2g.mesh.envelope import LARGEST_BYTES, Opened, Sealer, key_id
from v2g.mesh.identity import Identity, load_identity
from v2g.mesh.messages import MOST_MEMBERS, Range, Seen, State
from v2g.mesh.trust import Drop, Trust

NONE = Range(0.0, 0.0)


# ---- what is opened ----


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519"])
def test_what_a_member_sealed_is_opened_as_it_was(pki: MeshPki, kind: Kind) -> None:
    sealer = pki.sealer(f"tr-{kind}", boot_us=BOOT_US, kind=kind)
    sequence, data = sealer.seal(PING, NOW_S, VALID_S, with_certificate=True)
    assert pki.opener(f"tr-{kind}").open(data, 0.0, NOW_S) == Opened(
        sender=f"tr-{kind}",
        sequence=sequence,
        issued_unix_s=NOW_S,
        expires_unix_s=NOW_S + VALID_S,
        message=PING,
        missed=0,
    )
    assert sequence == BOOT_US + 1


def test_the_certificate_need_not_come_again(bench: Bench) -> None:
    bench.open(bench.seal())
    assert bench.open(bench.seal(certificate=False)).message == PING


def test_what_is_missing_between_two_is_counted_by_sender(bench: Bench) -> None:
    bench.open(bench.seal("tr-1"))
    bench.open(bench.seal("tr-2"))
    bench.seal("tr-1"), bench.seal("tr-1")
    assert bench.open(bench.seal("tr-1")).missed == 2
    assert bench.open(bench.seal("tr-2")).missed == 0


def test_the_largest_state_that_there_may_be_fits(bench: Bench) -> None:
    names = [f"{number:064}" for number in range(MOST_MEMBERS)]
    state = State(
        member=names[0], flow_w=1.5, base_w=1.5, floor=NONE, wish=NONE, claim=NONE, ask=NONE, capability=NONE,
        ahead=NONE, permit="a" * 160, version="a" * 160, links=tuple(names[:64]),
        seen={name: Seen(BOOT_US, 1 << 40) for name in names},
    )  # fmt: skip
    _, data = bench.sealer().seal(state, NOW_S, VALID_S, with_certificate=True)
    assert LARGEST_BYTES // 2 < len(data) < LARGEST_BYTES
    assert bench.open(data).message == state


# ---- size and shape ----


def test_more_bytes_than_an_envelope_may_have_are_not_read(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_envelopes", None)
    error = bench.refused(bytes(LARGEST_BYTES + 1))
    assert (error.reason, error.sender) == (Drop.MALFORMED, None)


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x92\xc4\x00\xc4\x00", b"\x90", b"\xff" * 99, b"\x91" * 60_000])
def test_bytes_that_are_no_envelope_are_malformed(bench: Bench, data: bytes) -> None:
    assert bench.refused(data).reason is Drop.MALFORMED


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (NAME, ""),
        (NAME, "a" * 161),
        (SENDER, ""),
        (SENDER, 7),
        (SENDER, "a" * 65),
        (SEQUENCE, 0),
        (SEQUENCE, -1),
        (SEQUENCE, 1 << 63),
        (SEQUENCE, 1.5),
        (ISSUED, 0),
        (EXPIRES, None),
        (KEY_ID, bytes(15)),
        (KEY_ID, bytes(17)),
        (CERTIFICATE, bytes(4097)),
        (MESSAGE, None),
        (VERSION, 2),
        (VERSION, "1"),
    ],
)
def test_a_field_out_of_bounds_is_malformed_though_its_sender_signed_it(
    bench: Bench, place: int, value: object
) -> None:
    body, _ = parts(bench.seal())
    body[place] = value
    assert bench.refused(sealed(bench.identities["tr-1"], body)).reason is Drop.MALFORMED


def test_more_fields_than_there_are_are_malformed(bench: Bench) -> None:
    data = bench.seal()
    body, signature = parts(data)
    assert bench.refused(sealed(bench.identities["tr-1"], [*body, 1])).reason is Drop.MALFORMED
    unsigned = msgspec.msgpack.encode([msgspec.msgpack.decode(data)[0], signature, b"more"])
    assert bench.refused(unsigned).reason is Drop.MALFORMED
    assert bench.refused(data + b"\x00").reason is Drop.MALFORMED
    bench.open(data)


def test_another_certificate_than_the_envelope_names_is_malformed(bench: Bench) -> None:
    body, _ = parts(bench.seal())
    body[KEY_ID] = bytes(16)
    assert bench.refused(sealed(bench.identities["tr-1"], body)).reason is Drop.MALFORMED


# ---- network and sender ----


def test_an_envelope_of_another_network_is_foreign(bench: Bench) -> None:
    _, data = Sealer("grid-8/flat", bench.identities["tr-1"], BOOT_US).seal(PING, NOW_S, 3.0, with_certificate=True)
    error = bench.refused(data)
    assert error.reason is Drop.FOREIGN
    assert "is for network 'grid-8/flat'" in str(error)


def test_a_certificate_of_the_authority_whose_name_is_no_voice_is_no_member(bench: Bench) -> None:
    error = bench.refused(bench.seal("stranger"))
    assert (error.reason, error.sender) == (Drop.NOT_A_MEMBER, "stranger")
    assert not bench.opener.by_sender, "senders that are not ours would be counted without end"


# ---- certificate ----


def test_without_a_certificate_a_sender_is_not_known_yet(bench: Bench) -> None:
    assert bench.refused(bench.seal(certificate=False)).reason is Drop.UNKNOWN_CERTIFICATE
    bench.open(bench.seal())
    bench.open(bench.seal(certificate=False))


def test_a_member_of_another_authority_is_not_trusted(bench: Bench, tmp_path: Path) -> None:
    other = MeshPki(tmp_path, NOW_S).identity("tr-1")
    _, data = Sealer(NETWORK, other, BOOT_US).seal(PING, NOW_S, VALID_S, with_certificate=True)
    error = bench.refused(data)
    assert error.reason is Drop.UNTRUSTED
    assert "is not of the mesh's authority" in str(error)


def test_a_member_does_not_speak_for_another(bench: Bench) -> None:
    """Whether with its own certificate or with that of the other."""
    body, _ = parts(bench.seal("tr-2"))
    other = bench.identities["tr-1"]
    own = [*body]
    own[KEY_ID], own[CERTIFICATE] = key_id(other.certificate_der), other.certificate_der
    error = bench.refused(sealed(other, own))
    assert (error.reason, error.sender) == (Drop.UNTRUSTED, "tr-2")
    assert "certificate that came from tr-2 is of CN=tr-1" in str(error)
    assert bench.refused(sealed(other, body)).reason is Drop.UNSIGNED


def test_a_certificate_that_was_never_proven_takes_no_place(bench: Bench, pki: MeshPki) -> None:
    """Certificates are no secret: who shows those of another must not push out the one that it uses."""
    bench.open(bench.seal())
    body, _ = parts(bench.seal())
    for _ in range(3):
        pki.node("tr-1", folder="older")
        der = pki.certificates["tr-1"].public_bytes(Encoding.DER)
        body[KEY_ID], body[CERTIFICATE] = key_id(der), der
        assert bench.refused(sealed(bench.identities["tr-2"], body)).reason is Drop.UNSIGNED
    assert bench.open(bench.seal(certificate=False)).message == PING


def test_a_renewed_certificate_is_taken_while_the_old_one_still_counts(bench: Bench, pki: MeshPki) -> None:
    bench.open(bench.seal())
    bench.wait(1.0)
    renewed = Sealer(NETWORK, pki.identity("tr-1"), BOOT_US + 1_000_000)
    bench.open(renewed.seal(PING, bench.unix_s, VALID_S, with_certificate=True)[1])
    bench.open(renewed.seal(PING, bench.unix_s, VALID_S, with_certificate=False)[1])
    assert len(bench.opener._senders["tr-1"].known) == 2


def test_a_revoked_certificate_is_dropped_as_such_with_and_without_it(
    pki: MeshPki, identities: dict[str, Identity], tmp_path: Path
) -> None:
    stolen = MeshPki(tmp_path, NOW_S)
    bench = made(stolen, {"tr-1": stolen.identity("tr-1"), "tr-2": stolen.identity("tr-2")})
    bench.open(bench.seal("tr-1"))
    bench.opener.trust_anew(stolen.trust(stolen.revoke("tr-1")))
    for certificate in (False, True, False):
        error = bench.refused(bench.seal("tr-1", certificate=certificate))
        assert error.reason is Drop.REVOKED
        assert "CN=tr-1 is revoked since" in str(error)
    assert bench.open(bench.seal("tr-2")).sender == "tr-2"
    bench.opener.trust_anew(stolen.trust())
    assert bench.refused(bench.seal("tr-1")).reason is Drop.REVOKED, "a list that is lost makes nobody good"
    bench.opener.trust_anew(stolen.trust(stolen.revoke(begins_s=-60.0)))
    assert bench.open(bench.seal("tr-1", certificate=False)).sender == "tr-1", "a newer list without it does, at once"


def test_new_authorities_silence_nobody_whose_certificate_still_counts(bench: Bench, pki: MeshPki) -> None:
    bench.open(bench.seal())
    bench.opener.trust_anew(pki.trust())
    assert bench.open(bench.seal(certificate=False)).message == PING


def test_a_certificate_that_expires_while_in_use_counts_no_longer_though_it_is_never_shown_again(
    pki: MeshPki,
) -> None:
    files = pki.node("tr-1", days=1.0 + 30.0 / DAY_S, folder="short")
    short = load_identity(files.chain, files.key, pki.trust(), "tr-1", NOW_S)
    bench = made(pki, {"tr-1": short})
    bench.open(bench.seal())
    bench.wait(29.0)
    bench.open(bench.seal(certificate=False))
    bench.wait(2.0)
    error = bench.refused(bench.seal(certificate=False))
    assert error.reason is Drop.UNTRUSTED
    assert "CN=tr-1 expired" in str(error)


def test_an_old_list_of_the_revoked_is_noticed_while_in_use(tmp_path: Path) -> None:
    pki = MeshPki(tmp_path, NOW_S)
    bench = made(pki, {"tr-1": pki.identity("tr-1")}, pki.trust(pki.revoke(days=1.0)))
    bench.open(bench.seal())
    bench.wait(DAY_S)
    assert "is old since" in str(bench.refused(bench.seal(certificate=False)))


def test_a_certificate_not_yet_valid_counts_as_soon_as_our_clock_is_set(
    pki: MeshPki, identities: dict[str, Identity]
) -> None:
    bench = made(pki, identities)
    bench.unix_s = 0.0
    assert bench.refused(bench.seal(at_s=NOW_S)).reason is Drop.UNTRUSTED
    bench.unix_s = NOW_S
    assert bench.open(bench.seal()).message == PING


def test_a_certificate_is_judged_once_a_minute_and_not_with_each_envelope(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[float] = []
    judge = Trust.judge

    def counted(self: Trust, der: bytes, sender: str, unix_s: float) -> Any:
        times.append(unix_s - NOW_S)
        return judge(self, der, sender, unix_s)

    monkeypatch.setattr(Trust, "judge", counted)
    for second in range(130):
        bench.open(bench.seal(certificate=second % 5 == 0))
        bench.wait(1.0)
    assert times == [0.0, 60.0, 120.0]


def test_a_certificate_that_was_refused_is_not_judged_with_each_envelope(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.identities = {"tr-1": MeshPki(tmp_path, NOW_S).identity("tr-1")}
    judged: list[str] = []
    judge = Trust.judge

    def counted(self: Trust, der: bytes, sender: str, unix_s: float) -> Any:
        judged.append(sender)
        return judge(self, der, sender, unix_s)

    monkeypatch.setattr(Trust, "judge", counted)
    for _ in range(59):
        assert bench.refused(bench.seal()).reason is Drop.UNTRUSTED
        bench.wait(1.0)
    assert judged == ["tr-1"]


# ---- signature ----


@given(place=st.integers(0, 10_000), bits=st.integers(1, 255))
def test_an_envelope_with_a_byte_changed_is_never_opened(
    pki: MeshPki, identities: dict[str, Identity], place: int, bits: int
) -> None:
    bench = made(pki, identities)
    sound = bench.seal()
    place %= len(sound)
    bench.refused(sound[:place] + bytes([sound[place] ^ bits]) + sound[place + 1 :])
    assert bench.open(sound).message == PING


@given(place=st.sampled_from([SEQUENCE, ISSUED, EXPIRES]), by=st.integers(-2000, 2000).filter(bool))
def test_a_body_with_another_field_does_not_pass_under_the_old_signature(
    pki: MeshPki, identities: dict[str, Identity], place: int, by: int
) -> None:
    bench = made(pki, identities)
    body, signature = parts(bench.seal())
    body[place] += by
    forged = msgspec.msgpack.encode([msgspec.msgpack.encode(body), signature])
    assert bench.refused(forged).reason is Drop.UNSIGNED


@pytest.mark.parametrize("signature", [b"", b"\x00", bytes(64), bytes(72), b"\x30\x06\x02\x01\x00\x02\x01\x00"])
@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519"])
def test_what_is_no_signature_at_all_does_not_hold(
    pki: MeshPki, identities: dict[str, Identity], signature: bytes, kind: Kind
) -> None:
    bench = made(pki, {"tr-1": pki.identity("tr-1", kind=kind)})
    body = msgspec.msgpack.decode(bench.seal())[0]
    assert bench.refused(msgspec.msgpack.encode([body, signature])).reason is Drop.UNSIGNED


def test_a_signature_of_something_else_by_the_same_key_does_not_hold(bench: Bench) -> None:
    body = msgspec.msgpack.decode(bench.seal())[0]
    bare = bench.identities["tr-1"].sign(body)
    assert bench.refused(msgspec.msgpack.encode([body, bare])).reason is Drop.UNSIGNED


# ---- content ----


@pytest.mark.parametrize("content", [b"", b"\xc0", b"\x81\xa4type\xa5order", msgspec.msgpack.encode({"type": "cap"})])
def test_what_a_member_signed_and_is_no_message_is_content(bench: Bench, content: bytes) -> None:
    body, _ = parts(bench.seal())
    body[MESSAGE] = content
    error = bench.refused(sealed(bench.identities["tr-1"], body))
    assert (error.reason, error.sender) == (Drop.CONTENT, "tr-1")
    assert str(error).startswith("from tr-1: not a message of this mesh")


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_dropped(pki: MeshPki, identities: dict[str, Identity], data: bytes) -> None:
    assert made(pki, identities).refused(data).reason is Drop.MALFORMED
