"""The steps of an update, and from which of them what may follow after a crash or a loss of power. Pure.

The journal names the step that is under way; it is on the disk before the step begins. Until ``swapping`` nothing of
what runs has changed, from there on the way is either to the end or back. Every step may be done again.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from v2g.host.firmware.errors import FirmwareError

SCHEMA: Final = 1
SLOTS: Final = ("a", "b")
PACKAGE: Final = "package"
"""What the host's package manager put there: a version to come from and to go back to, never emptied or filled."""


class Step(enum.StrEnum):
    STAGING = "staging"
    """The other slot is emptied and filled."""
    CHECKING = "checking"
    """It is whole and on the disk; its code is tried beside what runs."""
    STOPPING = "stopping"
    """Services end, then the databases are copied."""
    SWAPPING = "swapping"
    """The link is moved; copies of the databases are on the disk."""
    TRIAL = "trial"
    """The new version is started and has to prove itself."""
    RETURNING = "returning"
    """Back: services end, the link is moved back, migrated databases are put back, services start."""


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """An update that has not come to its end. ``origin``: the slot to go back to; None: there was none.

    ``digest``: SHA-256 of the manifest. ``id``: names its copies of the databases.
    """

    schema: int = SCHEMA
    id: str
    step: Step
    slot: str
    origin: str | None
    version: str
    origin_version: str
    digest: str
    began_unix_s: float
    reason: str = ""
    """Of ``returning``."""

    def at(self, step: Step, reason: str = "") -> Journal:
        return msgspec.structs.replace(self, step=step, reason=reason)


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """How the last update ended: ``outcome`` is ``applied``, ``rolled_back``, or ``taken_back`` by a person."""

    schema: int = SCHEMA
    id: str
    outcome: str
    slot: str
    origin: str | None
    version: str
    origin_version: str
    at_unix_s: float
    reason: str = ""


def other(active: str | None) -> str:
    """The slot that may be filled."""
    return "b" if active == "a" else "a"


def link_may_have_moved(journal: Journal) -> bool:
    """Whether giving up means to go back, and not only to forget."""
    return journal.step in (Step.SWAPPING, Step.TRIAL, Step.RETURNING)


def services_may_be_stopped(journal: Journal) -> bool:
    return journal.step in (Step.STOPPING, Step.SWAPPING, Step.TRIAL, Step.RETURNING)


def resumes_at(journal: Journal, digest: str, *, slot_is_whole: bool, active: str | None) -> Step:
    """Where ``apply`` of the bundle ``digest`` goes on: ``staging``, ``checking``, ``trial`` or ``returning``.

    Raises :class:`FirmwareError` where it may not.
    """
    if journal.step is Step.RETURNING:
        return Step.RETURNING
    if journal.digest != digest:
        if link_may_have_moved(journal):
            raise FirmwareError(
                f"the update to {journal.version} is under way ({journal.step}): apply that bundle again to go on with "
                "it, or go back with v2g-tool firmware rollback"
            )
        return Step.STAGING
    if not slot_is_whole:
        return Step.STAGING
    if link_may_have_moved(journal) and active == journal.slot:
        return Step.TRIAL
    # What was tried and copied before a crash is tried and copied again: the site has run on meanwhile.
    return Step.CHECKING


def words(journal: Journal) -> str:
    """For people: what was under way, and what to do."""
    target = f"the update from {journal.origin_version or 'nothing'} to {journal.version} (slot {journal.slot})"
    match journal.step:
        case Step.STAGING:
            return f"{target} was filling the slot; apply it again, or forget it with rollback"
        case Step.CHECKING:
            return f"{target} was being tried beside what runs; apply it again, or forget it with rollback"
        case Step.STOPPING:
            return f"{target} was stopping the services; apply it again, or start them with rollback"
        case Step.SWAPPING:
            return f"{target} was moving the link; apply it again to go on, or go back with rollback"
        case Step.TRIAL:
            return f"{target} is in place and has not proved itself; apply it again to go on, or go back with rollback"
        case Step.RETURNING:
            return f"{target} was being taken back ({journal.reason}); rollback finishes that"
