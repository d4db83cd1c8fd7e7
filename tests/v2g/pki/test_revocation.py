"""The policy: what follows from each verdict, and how sources are put together."""

from __future__ import annotations

from itertools import product

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from support.authority import CN, DAY_S, TestAuthority, name
from v2g.config.schema_pki import OldData
from v2g.pki.crl import CrlShelf, read_crls
from v2g.pki.revocation import Finding, Verdict, combine, decide

AT = 1_800_000_000.0
SUB = TestAuthority("OEM Sub CA", AT)
STRANGER = TestAuthority("OEM Sub CA", AT)
LEAF = SUB.leaf(name((CN, "WMIV1")), ec.generate_private_key(ec.SECP256R1()).public_key())

# state of the data, is the certificate on the list -> accepted under refuse, accepted under warn, told
TABLE = {
    ("fresh", "revoked"): (False, False, True),
    ("fresh", "good"): (True, True, False),
    ("old", "revoked"): (False, False, True),
    ("old", "good"): (False, True, True),
    ("missing", "revoked"): (False, True, True),
    ("missing", "good"): (False, True, True),
    ("unverifiable", "revoked"): (False, True, True),
    ("unverifiable", "good"): (False, True, True),
    ("never there", "revoked"): (True, True, False),
    ("never there", "good"): (True, True, False),
}


def shelf(state: str, listed: bool) -> CrlShelf:
    who = [LEAF] if listed else []
    ders = {
        "fresh": lambda: SUB.crl(*who),
        "old": lambda: SUB.crl(*who, this_update=AT - 30 * DAY_S),
        "unverifiable": lambda: STRANGER.crl(*who),
    }
    return CrlShelf(read_crls(ders[state](), "oem.crl")) if state in ders else CrlShelf()


@pytest.mark.parametrize(
    ("state", "status", "old_data"), [(*row, old_data) for row, old_data in product(TABLE, OldData)]
)
def test_the_table_of_what_follows(state: str, status: str, old_data: OldData) -> None:
    missing = "it was here" if state == "missing" else ""
    finding = shelf(state, status == "revoked").look_up(LEAF, SUB.certificate, at_unix_s=AT, missing=missing)
    decision = decide(finding, old_data)
    refuse, warn, told = TABLE[state, status]
    assert decision.accepted is (refuse if old_data is OldData.REFUSE else warn)
    assert bool(decision.told) is told
    assert decision.revoked is (status == "revoked" and state in ("fresh", "old"))


GOOD, REVOKED = Finding(Verdict.GOOD), Finding(Verdict.REVOKED, "revoked")
UNKNOWN, NOT_COVERED = Finding(Verdict.UNKNOWN, "why"), Finding(Verdict.NOT_COVERED)


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([], Verdict.NOT_COVERED),
        ([NOT_COVERED, NOT_COVERED], Verdict.NOT_COVERED),
        ([GOOD, REVOKED], Verdict.REVOKED),
        ([UNKNOWN, REVOKED], Verdict.REVOKED),
        ([UNKNOWN, GOOD], Verdict.GOOD),
        ([NOT_COVERED, GOOD], Verdict.GOOD),
        ([NOT_COVERED, UNKNOWN], Verdict.UNKNOWN),
    ],
)
def test_sources_together(findings: list[Finding], expected: Verdict) -> None:
    assert combine(findings).verdict is expected
    assert combine(reversed(findings)).verdict is expected


def test_what_is_unknown_is_told_of_each_source() -> None:
    assert combine([Finding(Verdict.UNKNOWN, "a"), Finding(Verdict.UNKNOWN, "b")]).reason == "a; b"
