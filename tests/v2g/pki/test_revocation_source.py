"""Revocation as the daemon asks for it: CRL files, restarts; and as a command asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pyiso15118.security.chain import ChainError, ChainProblem, Role, TrustAnchors, validate_chain
from pyiso15118.security.tls import TlsProfile
from support.authority import DAY_S
from support.revocation_world import AT, World, check, refusal, revocation_world
from v2g.config.schema_pki import OldData, Revocation
from v2g.pki.clock_sync import JudgedTime
from v2g.pki.revocation_source import RevocationSource, offline_check


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with revocation_world(tmp_path) as world:
        yield world


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
