"""What of the TLS profiles is in force, for people: at every start in the log, and in ``--check-config``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pyiso15118.security import InForce, TlsError, TlsProfile, describe_gaps
from v2g.config.schema import Config, TlsProfileName


@dataclass(frozen=True, slots=True)
class TlsNote:
    """One line. ``is_gap``: less than ISO 15118-20 wants, or not known."""

    code: str
    text: str
    is_gap: bool


def tls_notes(config: Config, in_force: Mapping[TlsProfile, InForce | TlsError]) -> Iterator[TlsNote]:
    """By profile, what was proved and what is missing; and which EVSEs are served with less than ``strict``."""
    for profile, found in in_force.items():
        where = _evses(config, TlsProfileName(profile.value))
        if isinstance(found, TlsError):
            yield TlsNote("TLS_GAP", f"{where}: what is in force could not be found out: {found}", True)
            continue
        yield TlsNote("TLS_IN_FORCE", f"{where}: {found}", False)
        for gap in describe_gaps(found):
            yield TlsNote("TLS_GAP", f"profile {profile}: {gap}", True)
    if where := _evses(config, TlsProfileName.COMPAT):
        yield TlsNote(
            "TLS_COMPAT",
            f"{where}: TLS profile compat by configuration, weaker than ISO 15118-20 wants: P-256, and vehicles "
            "without a vehicle certificate",
            True,
        )
    if where := _evses(config, TlsProfileName.PLAIN):
        yield TlsNote("TLS_PLAIN", f"{where}: no TLS, a test mode that ISO 15118-20 does not allow", True)


def _evses(config: Config, name: TlsProfileName) -> str:
    return ", ".join(evse.id for evse in config.evses if evse.tls is name)
