"""What a node knows of the others: the last state of each, how fresh, how far away, how many were lost. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from v2g.mesh.messages import Cap, Seen, State
from v2g.mesh.roster import Roster

LOSS_WINDOW_S: Final = 60.0
_SENT_KEPT: Final = 512
_ECHO_STEP_S: Final = 0.501e-3
"""How long an echo was held is told in whole milliseconds, rounded: on a fast link the difference may be below zero."""
_SMOOTH: Final = 0.2
"""Of each new round trip in the one that is told."""


@dataclass(slots=True)
class Heard:
    """One voice as it was heard last. Times are monotonic, of this machine."""

    voice: str
    member: str
    state: State
    sequence: int
    at_s: float
    valid_until_s: float
    since_s: float
    """Heard without a gap since."""
    acknowledged: int = 0
    """The last state of ours that it has seen; 0: none."""
    acknowledged_at_s: float | None = None
    """When it said so last of one that was not old."""
    round_trip_s: float | None = None
    missed: int = 0
    """Since the start."""
    taken: int = 1
    """States, since the start."""
    arrivals: deque[tuple[float, int]] = field(default_factory=deque)
    """(when, how many were missing before it) within the last minute."""

    def fresh(self, now_s: float) -> bool:
        return now_s < self.valid_until_s

    def loss(self, now_s: float) -> float | None:
        """Share 0..1 of what it sent within the last minute and was not heard; None: nothing was heard."""
        while self.arrivals and self.arrivals[0][0] < now_s - LOSS_WINDOW_S:
            self.arrivals.popleft()
        missed = sum(count for _, count in self.arrivals)
        total = missed + len(self.arrivals)
        return missed / total if total else None


@dataclass(frozen=True, slots=True)
class StandingCap:
    cap: Cap
    by: str
    valid_until_s: float


class Book:
    """Of one node. ``voice``: its own."""

    def __init__(self, roster: Roster, voice: str, deaf_after_s: float) -> None:
        self._roster = roster
        self._voice = voice
        self._deaf_after_s = deaf_after_s
        self._heard: dict[str, Heard] = {}
        self._sent: dict[int, float] = {}
        self._caps: dict[tuple[str, str], StandingCap] = {}

    def take_state(
        self, voice: str, state: State, sequence: int, missed: int, valid_s: float, now_s: float
    ) -> Heard | None:
        """None: it speaks for a member that is not its own."""
        if self._roster.member_of(voice) != state.member:
            return None
        before = self._heard.get(voice)
        heard = Heard(
            voice=voice,
            member=state.member,
            state=state,
            sequence=sequence,
            at_s=now_s,
            valid_until_s=now_s + valid_s,
            since_s=before.since_s if before is not None and before.fresh(now_s) else now_s,
        )
        recent = missed
        if before is not None:
            heard.arrivals, heard.round_trip_s = before.arrivals, before.round_trip_s
            heard.acknowledged_at_s = before.acknowledged_at_s
            heard.missed = before.missed
            heard.taken = before.taken + 1
            if now_s - before.at_s > LOSS_WINDOW_S:
                recent = round(missed * LOSS_WINDOW_S / (now_s - before.at_s))
        heard.missed += missed
        heard.arrivals.append((now_s, recent))
        self._take_echo(heard, state.seen.get(self._voice), now_s)
        self._heard[voice] = heard
        return heard

    def take_cap(self, voice: str, cap: Cap, valid_s: float, now_s: float) -> bool:
        """False: it may not cap that group."""
        group = self._roster.groups.get(cap.group)
        gateway = group is not None and group.capped and voice in self._roster.gateways
        if group is None or not (gateway or voice in self._roster.heads):
            return False
        self._caps[cap.group, voice] = StandingCap(cap, voice, now_s + valid_s)
        return True

    def sent(self, sequence: int, now_s: float) -> None:
        self._sent[sequence] = now_s
        if len(self._sent) > _SENT_KEPT:
            del self._sent[next(iter(self._sent))]

    def heard(self, member: str) -> Heard | None:
        """The freshest voice of a member."""
        voices = (self._heard.get(voice) for voice in self._roster.members[member].voices)
        return max((each for each in voices if each is not None), key=lambda each: each.valid_until_s, default=None)

    def all_heard(self) -> tuple[Heard, ...]:
        return tuple(self._heard.values())

    def present(self, member: str, now_s: float) -> tuple[Heard, ...]:
        """Who is heard for a member and hears us; empty: it counts with the worst.

        One that does not say that it has seen us lately, and has had the time to, is deaf: it does not know what we
        take. Two voices of one region are both counted.
        """
        found = []
        for voice in self._roster.members[member].voices:
            heard = self._heard.get(voice)
            if heard is None or not heard.fresh(now_s):
                continue
            last_s = heard.since_s if heard.acknowledged_at_s is None else max(heard.since_s, heard.acknowledged_at_s)
            if now_s - last_s > self._deaf_after_s:
                return ()
            found.append(heard)
        return tuple(found)

    def seen(self, now_s: float) -> Mapping[str, Seen]:
        """For our next state."""
        return {
            each.voice: Seen(each.sequence, max(0, round((now_s - each.at_s) * 1e3)))
            for each in self._heard.values()
            if each.fresh(now_s)
        }

    def cap(self, group: str, now_s: float) -> StandingCap | None:
        """The tightest on the import side of those that stand, with the tightest export limit of all of them."""
        standing = [each for (of, _), each in self._caps.items() if of == group and now_s < each.valid_until_s]
        if not standing:
            return None
        first = min(standing, key=lambda each: each.cap.import_w)
        export_w = min(each.cap.export_w for each in standing)
        if export_w == first.cap.export_w:
            return first
        cap = Cap(group=group, import_w=first.cap.import_w, export_w=export_w, reason=first.cap.reason)
        return StandingCap(cap, first.by, min(each.valid_until_s for each in standing))

    def _take_echo(self, heard: Heard, echo: Seen | None, now_s: float) -> None:
        if echo is None:
            return
        sent_at_s = self._sent.get(echo.sequence)
        if sent_at_s is None:
            return
        heard.acknowledged = echo.sequence
        if now_s - sent_at_s <= self._deaf_after_s:
            heard.acknowledged_at_s = now_s
        round_trip_s = now_s - sent_at_s - echo.held_ms / 1e3
        if -_ECHO_STEP_S <= round_trip_s <= self._deaf_after_s:
            before_s = heard.round_trip_s
            smooth_s = round_trip_s if before_s is None else before_s + _SMOOTH * (round_trip_s - before_s)
            heard.round_trip_s = max(0.0, smooth_s)
