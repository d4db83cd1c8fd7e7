"""What of the TLS profiles is told at every start."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from pyiso15118.security import Curve, InForce, Pki, TlsError, TlsProfile, write_credential, write_trust_anchor
from v2g.config.schema import Config, Paths, TlsProfileName
from v2g.config.schema import Pki as PkiConfig
from v2g.orchestrator.endpoints import build_endpoints
from v2g.orchestrator.tls_report import tls_notes
from v2g.telemetry import catalogue


@pytest.fixture
def both(config_of: Callable[..., Config], tmp_path: Path) -> Config:
    """Two EVSEs of profile strict and one of compat, with their files."""
    start = datetime.now(UTC) - timedelta(hours=1)
    p521, p256 = Pki(not_before=start), Pki(not_before=start, curve=Curve.SECP256R1)
    strict, compat = (write_credential(pki.secc("SECC1"), tmp_path, name) for pki, name in ((p521, "s"), (p256, "c")))
    section = PkiConfig(
        strict_chain=str(strict.chain),
        strict_key=str(strict.key),
        strict_trust=str(write_trust_anchor(p521.oem_root, tmp_path, "so")),
        compat_chain=str(compat.chain),
        compat_key=str(compat.key),
        compat_trust=str(write_trust_anchor(p256.oem_root, tmp_path, "co")),
    )
    config = config_of(3)
    third = msgspec.structs.replace(config.evses[2], tls=TlsProfileName.COMPAT)
    return msgspec.structs.replace(
        config, pki=section, paths=Paths(state_dir=str(tmp_path)), evses=(*config.evses[:2], third)
    )


def test_each_profile_in_use_is_proved_by_a_handshake_when_endpoints_are_made(both: Config) -> None:
    found = build_endpoints(both).in_force
    assert set(found) == {TlsProfile.STRICT, TlsProfile.COMPAT}
    strict, compat = found[TlsProfile.STRICT], found[TlsProfile.COMPAT]
    assert isinstance(strict, InForce)
    assert isinstance(compat, InForce)
    assert (strict.groups, strict.taken, strict.certificate_required) == (("secp521r1", "x448"), (), True)
    assert "secp256r1" in compat.groups


def test_evses_are_named_and_compat_is_said_at_every_start(both: Config) -> None:
    notes = list(tls_notes(both, build_endpoints(both).in_force))
    strict, compat = (note.text for note in notes if note.code == "TLS_IN_FORCE")
    assert strict.startswith("US*V2G*E1, US*V2G*E2: profile strict: TLSv1.3, ")
    assert compat.startswith("US*V2G*E3: profile compat: TLSv1.3, ")
    (warned,) = (note for note in notes if note.code == "TLS_COMPAT")
    assert warned.is_gap
    assert warned.text.startswith("US*V2G*E3: TLS profile compat by configuration")
    assert {note.code for note in notes} == {"TLS_IN_FORCE", "TLS_GAP", "TLS_COMPAT"}
    assert all(catalogue.find(note.code) is not None for note in notes)


def test_what_could_not_be_found_out_is_a_gap_and_no_silence(both: Config) -> None:
    notes = list(tls_notes(both, {TlsProfile.STRICT: TlsError("the token is away")}))
    assert notes[0].code == "TLS_GAP"
    assert notes[0].text == "US*V2G*E1, US*V2G*E2: what is in force could not be found out: the token is away"


def test_an_evse_without_tls_is_said_too(both: Config) -> None:
    plain = msgspec.structs.replace(both.evses[0], tls=TlsProfileName.PLAIN)
    notes = list(tls_notes(msgspec.structs.replace(both, evses=(plain,)), {}))
    assert [note.code for note in notes] == ["TLS_PLAIN"]
