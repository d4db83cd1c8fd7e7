"""An update as one transaction: to its end, or back to what ran; and the same from wherever it was interrupted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from v2g.clock import Clock
from v2g.host.firmware import databases
from v2g.host.firmware.bundle import Bundle, extract
from v2g.host.firmware.errors import FirmwareError
from v2g.host.firmware.slots import Mark, Slots
from v2g.host.firmware.steps import (
    Journal,
    Last,
    Step,
    link_may_have_moved,
    other,
    resumes_at,
    services_may_be_stopped,
)

Note = Callable[[str, str], None]
"""Tells the audit log and the system's log what was done: a code and words."""

APPLIED: Final = "FIRMWARE_APPLIED"
BEGUN: Final = "FIRMWARE_BEGUN"
ROLLED_BACK: Final = "FIRMWARE_ROLLED_BACK"
FAILED: Final = "FIRMWARE_FAILED"
ROLLBACK_FAILED: Final = "FIRMWARE_ROLLBACK_FAILED"
ROOM_FACTOR: Final = 6
"""The wheels themselves, and what they become: unpacked, with byte code."""


class RolledBack(FirmwareError):
    """The new version was in place, failed, and what ran before runs again."""


class Daemon(Protocol):
    """The services of this host, and the daemon that they are about. Methods raise :class:`FirmwareError`."""

    def hold(self, *, drain: bool) -> tuple[str, ...]:
        """No new sessions from now on. With ``drain`` those that run end, power at zero first: what became of each.
        Without it they are a reason to refuse. No daemon: nothing to hold."""
        ...

    def release(self) -> None:
        """Sessions may begin again. Never raises."""
        ...

    def stop(self) -> None: ...

    def start(self) -> None: ...

    def prove(self, version: str) -> None:
        """Returns once the daemon of this version is well and has stayed so; new sessions are held off meanwhile."""
        ...


class Slotmaker(Protocol):
    """What fills a slot and tries it. Methods raise :class:`FirmwareError`."""

    def install(self, wheels: Sequence[Path], slot: Path) -> None: ...

    def check(self, slot: Path, version: str) -> None:
        """Its commands start, its code imports, and the configuration holds with it."""
        ...

    def migrate_copies(self, slot: Path, folder: Path) -> None:
        """Its code takes the databases in ``folder``, which are copies."""
        ...


class Progress(Protocol):
    def step(self, name: str, words: str) -> None:
        """Something begins: ``stage``, ``install``, ``check``, ``copies``, ``hold``, ``stop``, ``backup``, ``swap``,
        ``start``, ``prove``, ``finish``; on the way back ``back``, ``link``, ``databases``, ``restart``."""
        ...

    def advance(self, size: int) -> None:
        """Bytes of the step ``stage``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """``sessions``: what became of those that were drained."""

    version: str
    origin_version: str
    slot: str
    resumed: bool = False
    sessions: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    """Put back."""


class Transactions:
    """Apply and go back, under the lock of ``slots``. ``kept``: the databases, by name."""

    def __init__(
        self,
        slots: Slots,
        daemon: Daemon,
        maker: Slotmaker,
        kept: Sequence[tuple[str, Path]],
        clock: Clock,
        progress: Progress,
        note: Note,
        *,
        keep_backups: int = 2,
    ) -> None:
        self._slots = slots
        self._daemon = daemon
        self._maker = maker
        self._kept = tuple(kept)
        self._clock = clock
        self._progress = progress
        self._note = note
        self._keep_backups = keep_backups

    def apply(self, bundle: Bundle, origin_version: str, *, drain: bool, who: str = "") -> Done:
        """Raises :class:`RolledBack`, and :class:`FirmwareError` where nothing of what runs was changed."""
        with self._slots.locked():
            journal = self._slots.journal()
            step = Step.STAGING
            if journal is not None:
                mark = self._slots.mark(journal.slot)
                whole = mark is not None and mark.digest == journal.digest
                step = resumes_at(journal, bundle.digest, slot_is_whole=whole, active=self._slots.active())
            if journal is not None and step is Step.RETURNING:
                self._return(journal)
                raise RolledBack(
                    f"the update to {journal.version} that was being taken back ({journal.reason}) is taken back now: "
                    "apply the bundle again if it is still meant"
                )
            resumed = journal is not None and step is not Step.STAGING
            if journal is None or step is Step.STAGING:
                journal = self._begin(bundle, origin_version, restarted=journal)
            return self._run(journal, step, bundle, drain=drain, who=who, resumed=resumed)

    def roll_back(self, *, drain: bool, who: str = "") -> Done:
        """Finish, or forget, the update that is under way; without one, go back to what ran before the last.

        Raises :class:`FirmwareError`.
        """
        with self._slots.locked():
            journal = self._slots.journal()
            if journal is None:
                return self._take_back(drain=drain, who=who)
            if not services_may_be_stopped(journal):
                self._slots.tidy()
                self._slots.forget()
                self._note(FAILED, f"{who} forgot the update to {journal.version}")
                return _done(journal)
            self._hold(drain=drain)
            put = self._return(journal.at(Step.RETURNING, journal.reason or f"{who}: asked for"))
            if journal.origin is not None:
                self._prove_again(journal.origin_version)
            return replace(_done(journal), databases=put)

    def after_boot(self) -> Done | None:
        """Before the services start: a version that was put in place and never proved itself is taken back. None:
        there is nothing to do. Raises :class:`FirmwareError`."""
        with self._slots.locked():
            journal = self._slots.journal()
            if journal is None or not link_may_have_moved(journal):
                return None
            journal = journal.at(Step.RETURNING, journal.reason or "the host went down before it had proved itself")
            put = self._put_back(journal)
            self._ended(journal, "rolled_back")
            return replace(_done(journal), databases=put)

    def _begin(self, bundle: Bundle, origin_version: str, restarted: Journal | None) -> Journal:
        active = self._slots.active()
        if restarted is not None and services_may_be_stopped(restarted):
            # Another bundle was about to be put in place: what ran must run before anything else is begun.
            self._daemon.start()
        if active is not None and self._slots.mark(active) is None:
            # What an installer has put there is a place to go back to like any other.
            self._slots.seal(active, Mark(version=origin_version, digest=""))
        began_unix_s = self._clock.unix_s()
        return Journal(
            id=f"{began_unix_s:.0f}-{bundle.manifest.version}",
            step=Step.STAGING,
            slot=other(active),
            origin=active,
            version=bundle.manifest.version,
            origin_version=origin_version,
            digest=bundle.digest,
            began_unix_s=began_unix_s,
        )

    def _run(self, journal: Journal, step: Step, bundle: Bundle, *, drain: bool, who: str, resumed: bool) -> Done:
        sessions: tuple[str, ...] = ()
        self._note(BEGUN, f"{who} {journal.origin_version or 'none'} -> {journal.version}, slot {journal.slot}, {step}")
        try:
            if step in (Step.STAGING, Step.CHECKING):
                if not drain:
                    self._hold(drain=False)
                if step is Step.STAGING:
                    self._stage(journal, bundle)
                self._try(journal)
                sessions = self._hold(drain=drain)
                self._slots.write_journal(journal := journal.at(Step.STOPPING))
                self._stop_and_copy(journal)
                if journal.origin is not None:
                    self._slots.call_proven(journal.origin)
                self._slots.write_journal(journal := journal.at(Step.SWAPPING))
                self._progress.step("swap", f"slot {journal.slot} is put in place")
                self._slots.point_to(journal.slot)
                self._slots.write_journal(journal := journal.at(Step.TRIAL))
            self._progress.step("start", f"{journal.version} is started")
            self._daemon.start()
            self._progress.step("prove", f"{journal.version} has to prove itself")
            self._daemon.prove(journal.version)
            self._progress.step("finish", "")
            self._slots.call_proven(journal.slot)
            self._ended(journal, "applied")
        except BaseException as error:
            self._give_up(journal, error)
            raise
        self._daemon.release()
        self._note(APPLIED, f"{who} {journal.origin_version or 'none'} -> {journal.version}, slot {journal.slot}")
        return Done(
            version=journal.version,
            origin_version=journal.origin_version,
            slot=journal.slot,
            resumed=resumed,
            sessions=sessions,
        )

    def _hold(self, *, drain: bool) -> tuple[str, ...]:
        self._progress.step("hold", "sessions are drained" if drain else "new sessions are held off")
        return self._daemon.hold(drain=drain)

    def _stage(self, journal: Journal, bundle: Bundle) -> None:
        slots = self._slots
        self._require_room(bundle)
        slots.write_journal(journal)
        self._progress.step("stage", f"slot {journal.slot} is filled")
        slots.clear(journal.slot)
        wheels = extract(bundle, slots.staging, self._progress.advance)
        self._progress.step("install", f"{len(wheels)} packages are installed into slot {journal.slot}")
        self._maker.install(wheels, slots.path(journal.slot))
        slots.seal(journal.slot, Mark(version=journal.version, digest=journal.digest))

    def _require_room(self, bundle: Bundle) -> None:
        databases_size = sum(path.stat().st_size for _, path in self._kept if path.is_file())
        needed, free = ROOM_FACTOR * bundle.size + 2 * databases_size, shutil.disk_usage(self._slots.root).free
        if needed > free:
            raise FirmwareError(
                f"{self._slots.root} has {free >> 20} MiB left, and {needed >> 20} MiB are needed: make room there"
            )

    def _try(self, journal: Journal) -> None:
        slots = self._slots
        slots.write_journal(journal.at(Step.CHECKING))
        self._progress.step("check", f"{journal.version} is tried beside what runs")
        self._maker.check(slots.path(journal.slot), journal.version)
        self._progress.step("copies", "copies of the databases are migrated")
        databases.copy_all(self._kept, slots.probe)
        self._maker.migrate_copies(slots.path(journal.slot), slots.probe)
        slots.tidy()

    def _stop_and_copy(self, journal: Journal) -> None:
        self._progress.step("stop", "services end")
        self._daemon.stop()
        self._progress.step("backup", "databases are copied")
        databases.copy_all(self._kept, self._slots.backups / journal.id)

    def _give_up(self, journal: Journal, error: BaseException) -> None:
        """What ran before runs again when this returns, or :class:`FirmwareError` says that it does not."""
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        # The disk is asked, not what we believe: writing the journal itself may have failed.
        written = self._slots.journal() or journal
        if link_may_have_moved(written):
            self._return(written.at(Step.RETURNING, reason))
            raise RolledBack(f"{journal.version} failed, and {self._runs_again(journal)}: {error}") from error
        if services_may_be_stopped(written):
            self._daemon.start()
        self._slots.tidy()
        self._slots.forget()
        self._daemon.release()
        self._note(FAILED, f"{journal.version} was not put in place: {reason}")

    def _runs_again(self, journal: Journal) -> str:
        if journal.origin is None:
            return "nothing is in place again"
        try:
            self._daemon.prove(journal.origin_version)
        except FirmwareError as error:
            return f"{journal.origin_version} is in place again but is not well ({error})"
        self._daemon.release()
        return f"{journal.origin_version} runs again"

    def _return(self, journal: Journal) -> tuple[str, ...]:
        self._progress.step("back", f"back to {journal.origin_version or 'nothing'}: {journal.reason}")
        try:
            # A full disk must not keep the services down: what the journal says already is enough to do this again.
            with suppress(FirmwareError):
                self._slots.write_journal(journal)
            self._daemon.stop()
            put = self._put_back(journal)
            self._progress.step("restart", f"{journal.origin_version or 'nothing'} is started")
            if journal.origin is not None:
                self._daemon.start()
            self._ended(journal, "rolled_back")
        except FirmwareError as error:
            self._note(ROLLBACK_FAILED, f"{journal.version}: {error}")
            raise FirmwareError(
                f"{journal.version} failed ({journal.reason}), and going back failed as well: {error}. Put that right, "
                "then: v2g-tool firmware rollback"
            ) from None
        self._note(ROLLED_BACK, f"{journal.version} -> {journal.origin_version or 'none'}: {journal.reason}")
        return put

    def _put_back(self, journal: Journal) -> tuple[str, ...]:
        self._progress.step("link", "the link is moved back")
        self._slots.point_to(journal.origin)
        self._progress.step("databases", "migrated databases are put back")
        return databases.put_back(self._slots.backups / journal.id)

    def _ended(self, journal: Journal, outcome: str) -> None:
        self._slots.finish(
            Last(
                id=journal.id,
                outcome=outcome,
                slot=journal.slot,
                origin=journal.origin,
                version=journal.version,
                origin_version=journal.origin_version,
                at_unix_s=self._clock.unix_s(),
                reason=journal.reason,
            )
        )
        self._slots.tidy()
        databases.keep_newest(self._slots.backups, self._keep_backups)

    def _take_back(self, *, drain: bool, who: str) -> Done:
        last, active = self._slots.last(), self._slots.active()
        if last is None or last.outcome != "applied" or last.slot != active or last.origin is None:
            raise FirmwareError(
                "there is nothing to go back to: no update is under way, and none was applied here last"
            )
        if self._slots.mark(last.origin) is None:
            raise FirmwareError(f"slot {last.origin} is not whole any more: apply a bundle of {last.origin_version}")
        sessions = self._hold(drain=drain)
        journal = Journal(
            id=last.id,
            step=Step.RETURNING,
            slot=last.slot,
            origin=last.origin,
            version=last.version,
            origin_version=last.origin_version,
            digest="",
            began_unix_s=self._clock.unix_s(),
            reason=f"{who}: asked for",
        )
        put = self._return(journal)
        self._prove_again(last.origin_version)
        return Done(
            version=last.version,
            origin_version=last.origin_version,
            slot=last.origin,
            sessions=sessions,
            databases=put,
        )

    def _prove_again(self, version: str) -> None:
        self._progress.step("prove", f"{version} has to prove itself")
        try:
            self._daemon.prove(version)
        except FirmwareError as error:
            raise FirmwareError(f"{version} is in place again but is not well: {error}") from None
        self._daemon.release()


def _done(journal: Journal) -> Done:
    return Done(version=journal.version, origin_version=journal.origin_version, slot=journal.origin or "")
