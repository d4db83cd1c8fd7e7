"""Parameters and results of the control-socket methods about certificates: ``pki.reload`` and ``pki.status``."""

from __future__ import annotations

import msgspec


class CertificateLine(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate. Times in seconds since 1970; ``life_used`` is 0 at its begin and 1 at its end."""

    use: str
    """``own``, ``issuer`` (of ours, sent with it), ``own root`` or ``trust anchor`` (of vehicles)."""
    subject: str
    issuer: str
    serial: str
    """Hexadecimal."""
    fingerprint: str
    """SHA-256 of the certificate, hexadecimal."""
    key_type: str
    not_before_unix_s: float
    not_after_unix_s: float
    days_left: float
    """Negative: it has expired."""
    life_used: float
    file: str
    """What it was read from."""


class ProfileInForce(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon serves the EVSEs of one TLS profile with."""

    profile: str
    loaded_at_unix_s: float
    certificates: tuple[CertificateLine, ...]
    """Our own first."""


class PkiStatusResult(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``pki.status``: what is in force, not what lies on the disk."""

    profiles: tuple[ProfileInForce, ...]
    problems: tuple[str, ...] = ()
    """What has expired or will soon, and why a reload was refused."""
    unusable: dict[str, str] = msgspec.field(default_factory=dict)
    """By EVSE, why no vehicle can connect to it for want of a certificate."""


class PkiReloadResult(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``pki.reload``: new connections get what was read; sessions go on as they are."""

    message: str
    evses: tuple[str, ...]
    """Those that serve with it."""
    unusable: dict[str, str] = msgspec.field(default_factory=dict)
