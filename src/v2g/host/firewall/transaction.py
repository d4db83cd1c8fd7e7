"""Apply, confirm, roll back. Each is one transaction of the kernel; what is pending is on the disk before it begins."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from v2g.clock import Clock
from v2g.host.firewall import kernel
from v2g.host.firewall.model import PLC_SET, Features
from v2g.host.firewall.nft import FirewallError, Nft
from v2g.host.firewall.render import REMOVAL, admission
from v2g.host.firewall.state import Applied, Confirmed, Login, Pending, Place, StateDir

Note = Callable[[str, str], None]
"""Tells somebody what was done: a code and words."""


class Watcher(Protocol):
    """Starts what rolls back in the end, and outlives us."""

    def start(self, pending: Pending, seconds: float) -> str:
        """Returns once it is at work; words for people on what it is. Raises :class:`FirewallError`."""
        ...

    def stop(self, pending: Pending) -> None:
        """It is not needed any more. It finds that out by itself, too."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What :meth:`Transactions.apply` has done. ``pending`` None: it holds without confirmation."""

    applied: Applied
    pending: Pending | None
    watcher: str = ""
    admitted: int = 0


@dataclass(frozen=True, slots=True)
class Looked:
    """What a watcher has found. ``until_s``: look again then (CLOCK_MONOTONIC); None: its rules are pending no more."""

    rolled_back: bool
    until_s: float | None


class Transactions:
    """The three changes, under the lock of ``state``."""

    def __init__(
        self, nft: Nft, state: StateDir, here: Place, clock: Clock, watcher: Watcher, note: Note | None = None
    ) -> None:
        self._nft = nft
        self._state = state
        self._here = here
        self._clock = clock
        self._watcher = watcher
        self._note = note or (lambda code, words: None)

    def apply(
        self,
        draw: Callable[[Features], str],
        within_s: float | None,
        login: Login | None = None,
        who: str = "",
        *,
        boot: bool = False,
    ) -> Outcome:
        """Put what ``draw`` makes for this kernel. ``within_s``: rolled back unless confirmed; None: it holds.

        ``boot``: what somebody confirmed last stays what it is. Raises :class:`FirewallError`; the old rules are then
        in force.
        """
        with self._state.locked():
            self._settle()
            features = self._nft.features()
            text = draw(features)
            self._nft.check(text)
            before = self._nft.table()
            vehicles = kernel.admitted(before)
            earlier = self._state.read(Pending)
            pending = self._pending(within_s, login, earlier)
            words = ""
            if pending is not None and within_s is not None:
                # The watcher first: killed at any point from here on, somebody rolls back.
                words = self._watcher.start(pending, within_s)
                self._state.write(pending)
            try:
                self._nft.load(text + _readmitted(vehicles, text))
            except FirewallError:
                self._restore_pending(earlier)
                raise
            if pending is not None and within_s is not None:
                # Much may take long: the time to confirm begins when there is something to confirm.
                pending = msgspec.structs.replace(pending, deadline_s=self._clock.monotonic_s() + within_s)
                self._state.write(pending)
            applied = Applied(
                text=text,
                shape=kernel.shape(self._nft.table()),
                place=self._here,
                at_unix_s=self._clock.unix_s(),
                lacking=features.lacking,
                features=features,
            )
            self._state.write(applied)
            if pending is None:
                if not boot:
                    self._state.write(Confirmed(text=text, at_unix_s=applied.at_unix_s))
                if earlier is not None:
                    self._state.forget(Pending)
        if earlier is not None:
            self._watcher.stop(earlier)
        told = "without confirmation" if within_s is None else f"to be confirmed within {within_s:g} s"
        self._note("FIREWALL_APPLIED", f"{who} {told}".strip())
        return Outcome(applied, pending, words, len(vehicles))

    def confirm(self, login: Login | None = None, who: str = "") -> None:
        """The rules that are pending hold. Raises :class:`FirewallError`."""
        with self._state.locked():
            pending = self._of_here(self._state.read(Pending))
            if pending is None:
                raise FirewallError("there is nothing to confirm: no rules are pending; see v2g-tool firewall status")
            if self._clock.monotonic_s() >= pending.deadline_s:
                self._roll_back(pending, "the time to confirm had passed")
                raise FirewallError("the time to confirm had passed: the rules from before are in force again")
            if login is not None and login == pending.login:
                raise FirewallError(
                    "this connection is older than the new rules and proves nothing of them: "
                    "open a new one and confirm there; who cannot gets the old rules back by waiting"
                )
            applied = self._state.read(Applied)
            if applied is None:
                raise FirewallError("what was applied is not known any more: apply again")
            self._state.write(Confirmed(text=applied.text, at_unix_s=self._clock.unix_s()))
            self._state.forget(Pending)
        self._watcher.stop(pending)
        self._note("FIREWALL_CONFIRMED", who)

    def roll_back(self, who: str = "") -> bool:
        """Back to the rules from before, at once. False: nothing is pending. Raises :class:`FirewallError`."""
        with self._state.locked():
            pending = self._of_here(self._state.read(Pending))
            if pending is None:
                return False
            self._roll_back(pending, who)
        self._watcher.stop(pending)
        return True

    def roll_back_if_due(self, pending_id: str) -> Looked:
        """Back to the rules from before when their time is over. Raises :class:`FirewallError`."""
        with self._state.locked():
            pending = self._of_here(self._state.read(Pending))
            if pending is None or pending.id != pending_id:
                return Looked(rolled_back=False, until_s=None)
            if self._clock.monotonic_s() < pending.deadline_s:
                return Looked(rolled_back=False, until_s=pending.deadline_s)
            self._roll_back(pending, "not confirmed in time")
        return Looked(rolled_back=True, until_s=None)

    def _settle(self) -> None:
        """Forget what was pending elsewhere; roll back what is overdue, where the watcher is gone."""
        pending = self._state.read(Pending)
        if pending is None:
            return
        if self._of_here(pending) is None:
            self._state.forget(Pending)
        elif self._clock.monotonic_s() >= pending.deadline_s:
            self._roll_back(pending, "not confirmed in time, and its watcher is gone")

    def _roll_back(self, pending: Pending, why: str) -> None:
        vehicles = kernel.admitted(self._nft.table())
        if pending.previous_text:
            flushed = "".join(f"flush set inet v2g {name}\n" for name in _sets_in(pending.previous_text))
            text = REMOVAL + pending.previous_text + flushed + _readmitted(vehicles, pending.previous_text)
        else:
            text = REMOVAL
        self._nft.load(text)
        if pending.previous is not None:
            self._state.write(pending.previous)
        else:
            self._state.forget(Applied)
        self._state.forget(Pending)
        self._note("FIREWALL_ROLLED_BACK", why)

    def _pending(self, within_s: float | None, login: Login | None, earlier: Pending | None) -> Pending | None:
        """Two applied one after the other go back to what was confirmed before both."""
        if within_s is None:
            return None
        return Pending(
            id=uuid.uuid4().hex,
            place=self._here,
            deadline_s=self._clock.monotonic_s() + within_s,
            previous_text=self._nft.table_text() if earlier is None else earlier.previous_text,
            previous=self._previous() if earlier is None else earlier.previous,
            login=login,
        )

    def _previous(self) -> Applied | None:
        applied = self._state.read(Applied)
        return applied if applied is not None and applied.place == self._here else None

    def _restore_pending(self, earlier: Pending | None) -> None:
        if earlier is None:
            self._state.forget(Pending)
        else:
            self._state.write(earlier)

    def _of_here(self, pending: Pending | None) -> Pending | None:
        return pending if pending is not None and pending.place == self._here else None


def _sets_in(text: str) -> list[str]:
    """PLC sets that a text of ours, or the kernel's listing of one, declares."""
    names = (line.split()[1] for line in text.splitlines() if line.startswith(f"\tset {PLC_SET}"))
    return sorted(set(names))


def _readmitted(vehicles: tuple[kernel.Admitted, ...], text: str) -> str:
    """Vehicles that were matched stay admitted for what is left of their time, where their link still is one."""
    there = set(_timed_sets(text))
    rows: dict[str, list[tuple[str, int, int]]] = {}
    for one in vehicles:
        if one.set_name in there and one.left_s > 0:
            rows.setdefault(one.set_name, []).append((one.mac, one.whole_s, one.left_s))
    return admission(rows)


def _timed_sets(text: str) -> list[str]:
    lines = text.splitlines()
    return [
        line.split()[1]
        for at, line in enumerate(lines)
        if line.startswith(f"\tset {PLC_SET}") and any("timeout" in later for later in lines[at + 1 : at + 5])
    ]
