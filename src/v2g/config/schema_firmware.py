"""The section ``firmware``: where updates go, whose are taken, and what a new version has to show."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from v2g.config.schema_base import Section

Words = Annotated[tuple[str, ...], Meta(max_length=32)]


class Firmware(Section, frozen=True, kw_only=True):
    """Counts only from files of root's: what it names is run as root."""

    dir: str = "/opt/v2g"
    """Has the slots, and the link ``current`` to the one that runs."""
    trusted_keys: Annotated[tuple[str, ...], Meta(max_length=32)] = ("/etc/v2g/firmware-keys/*.pem",)
    """Public keys or certificates of makers (PEM; Ed25519 or P-521), as paths or patterns; files of root's alone."""
    health_s: Annotated[float, Meta(ge=5, le=900)] = 90.0
    """Within it a new version has to be well, or what ran before comes back."""
    steady_s: Annotated[float, Meta(ge=1, le=300)] = 10.0
    """So long it has to stay well, without a restart."""
    services: Words = (
        "v2g-orchestrator.service",
        "v2g-guard-tick.service",
        "v2g-guard-wires.service",
        "v2g-guard-quality.service",
        "kplc-driver.service",
    )
    """Units that are stopped and started; those that are not enabled or running before are left alone."""
    stop: Words = ()
    """Command instead of ``systemctl stop`` for a host without systemd; ends when the daemons have ended."""
    start: Words = ()
    """Command instead of ``systemctl start``, likewise."""
    keep_backups: Annotated[int, Meta(ge=1, le=20)] = 2
    """Copies of the databases, of the last updates."""
