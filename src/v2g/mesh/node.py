"""One node of a mesh: hears the others, computes its part, tells its own. Sans IO: bytes and time in, bytes out."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import Final, Literal

from v2g.mesh.book import Book, Heard
from v2g.mesh.envelope import CLOCK_TOLERANCE_S, EnvelopeError, Opener, Sealer
from v2g.mesh.head import Unexplained
from v2g.mesh.messages import MOST_C, MOST_VEHICLES, MOST_W, MOST_WH, Cap, Flexible, Message, Ping, Pong, Range, State
from v2g.mesh.node_settings import NodeSettings
from v2g.mesh.ports import LinkStatus
from v2g.mesh.roster import Member, Roster
from v2g.mesh.side import CLOSE_W, Own, Side, Told
from v2g.mesh.watch import MeshEvent, Watch

VERDICT_VALID_S: Final = 1.0
"""A verdict that nobody renews ends."""
_CERTIFICATE_EVERY_S: Final = 5.0
_FIRST_STATES: Final = 3
_CHANGE_PU: Final = 0.01
"""Of the rating: what changes by less waits for the next period."""
_PER_PEER_S: Final = 0.01
"""The more peers, the rarer are states on change, so that what all receive stays bounded."""
_PONGS_KEPT: Final = 64
_PONGS_PER_S: Final = 10
"""Others take a node that says more than ``MOST_PER_S`` for a flood: nobody's pings may make it do so."""
_NOTHING: Final = Range(0.0, 0.0)
_NO_VEHICLES: Final = Flexible()
Sign = Literal[1, -1]
"""The import side, the export side."""
_SIDES: Final[tuple[Sign, Sign]] = (1, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Of a region, as its gateway speaks for it: sums over its members, W. ``hi_w`` counts import, ``lo_w`` export.

    ``held``: what they take or have asked for, or their flow where that is more.
    """

    floor: Range
    wish: Range
    held: Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Of the own transformer now. Powers W, positive downstream and into vehicles; None: not known.

    ``want_lo_w`` (0 or below), ``want_hi_w`` (0 or above): V2G power that would be used if the mesh allowed it.
    """

    flow_w: float | None
    base_w: float | None
    want_lo_w: float = 0.0
    want_hi_w: float = 0.0
    capability: Range = _NOTHING
    ahead: Range = _NOTHING
    top_oil_c: float | None = None
    hot_spot_c: float | None = None
    flexible: Flexible = _NO_VEHICLES
    permit: str = ""
    sums: Sums | None = None
    """Of a region; they then count instead of flow, base and wants."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the own flow may be: ``-export_w <= flow <= import_w``, W; either may be negative. ``…_by``: what binds."""

    import_w: float
    export_w: float
    import_by: str
    export_by: str
    expires_at_s: float


@dataclass(frozen=True, slots=True)
class Outgoing:
    key: str
    payload: bytes


class MeshNode:
    """Speaks as ``voice`` for ``member`` among those of ``roster``. :meth:`step` about ten times a second."""

    def __init__(
        self,
        roster: Roster,
        voice: str,
        member: str,
        sealer: Sealer,
        opener: Opener,
        settings: NodeSettings,
        version: str = "",
    ) -> None:
        self.roster = roster
        self.voice = voice
        self.member: Member = roster.members[member]
        self.settings = settings
        self.book = Book(roster, voice, settings.deaf_after_s)
        self.watch = Watch(roster, voice, settings)
        self.pongs: dict[int, float] = {}
        """Token -> when it came back."""
        self.asked_caps: dict[str, tuple[Cap, float]] = {}
        """By group, what this head caps until when (unix)."""
        self.states_sent = 0
        self._version = version
        self._sealer = sealer
        self._opener = opener
        self._unexplained: dict[str, Unexplained] = {}
        """Of the groups that were ever measured."""
        # No state may count anywhere for longer than the sides believe.
        lapse_s = max(settings.deaf_after_s, settings.valid_s + CLOCK_TOLERANCE_S)
        self._import = Side(settings.ramp_w_s, lapse_s)
        self._export = Side(settings.ramp_w_s, lapse_s)
        self._peers = tuple(
            peer
            for peer in sorted(roster.peers(member))
            if roster.members[peer].import_w > 0.0 or roster.members[peer].export_w > 0.0
        )
        self._gap_s = min(settings.period_s, max(settings.least_gap_s, _PER_PEER_S * len(roster.members)))
        self._stepped_at_s = self._told_at_s = self._certificate_at_s = self._caps_at_s = -inf
        self._told: State | None = None
        self._answers_due = False
        self._dirty = True
        self._verdict: Verdict | None = None
        self._allowed_w: dict[Sign, float] = {1: -inf, -1: -inf}
        self._asked_pings: deque[tuple[str, int]] = deque(maxlen=_PONGS_KEPT)
        self._answered: deque[float] = deque(maxlen=_PONGS_PER_S)

    @property
    def opener(self) -> Opener:
        return self._opener

    @property
    def last_told(self) -> State | None:
        """The own state that was told last."""
        return self._told

    def missing(self, now_s: float) -> frozenset[str]:
        """Voices that were heard once and are not now."""
        return frozenset(each.voice for each in self.book.all_heard() if not each.fresh(now_s))

    def limits_w(self, now_s: float) -> Mapping[str, tuple[float, float]]:
        """(import, export) of each group as they hold now, magnitudes, without the reserve."""
        return {group: self._limit(group, now_s) for group in self.roster.groups}

    def receive(self, key: str, data: bytes, now_s: float, unix_s: float) -> tuple[Outgoing, ...]:
        """One envelope from the wire; what is not ours, old or wrong is counted and dropped. Answers to pings."""
        if key.rsplit("/", 1)[-1] == self.voice and "/ping/" not in key and "/pong/" not in key:
            return ()
        try:
            opened = self._opener.open(data, now_s, unix_s)
        except EnvelopeError as error:
            self.watch.dropped(error.reason, error.sender, str(error), now_s)
            return ()
        if opened.sender == self.voice:
            return ()
        valid_s = min(self.settings.valid_s, max(0.0, opened.expires_unix_s - unix_s))
        match opened.message:
            case State() as state:
                self._take_state(opened.sender, state, opened.sequence, opened.missed, valid_s, now_s)
            case Cap() as cap:
                if self.book.take_cap(opened.sender, cap, max(0.0, opened.expires_unix_s - unix_s), now_s):
                    self._dirty = True
                else:
                    self.watch.refused(opened.sender, f"{opened.sender} may not cap {cap.group}", now_s)
            case Ping(to=to, token=token) if to == self.voice and self._may_answer(now_s):
                return (self._seal(Pong(to=opened.sender, token=token), f"pong/{opened.sender}", unix_s),)
            case Pong(to=to, token=token) if to == self.voice and (opened.sender, token) in self._asked_pings:
                self._asked_pings.remove((opened.sender, token))
                self.pongs[token] = now_s
                while len(self.pongs) > _PONGS_KEPT:
                    del self.pongs[next(iter(self.pongs))]
        return ()

    def step(
        self,
        facts: Facts,
        links: Sequence[LinkStatus],
        now_s: float,
        unix_s: float,
        measured_w: Mapping[str, float] | None = None,
    ) -> tuple[Outgoing, ...]:
        """What is to be sent now. ``measured_w``: of a head, the flow of groups by its own meters."""
        outgoing: list[Outgoing] = []
        due = now_s - self._told_at_s >= self.settings.period_s
        if due or now_s - self._stepped_at_s >= (self._gap_s if self._dirty else self.settings.period_s / 2.0):
            self._stepped_at_s, self._dirty = now_s, False
            self._balance(facts, now_s)
        elif self._verdict is not None:
            self._renew(now_s)
        self.watch.step(self.book, links, self._verdict, self.limits_w(now_s), now_s)
        up = tuple(sorted({link.node for link in links if link.up and link.node}))
        state = self._state(facts, up, now_s)
        if due or (now_s - self._told_at_s >= self._gap_s and self._is_news(state)):
            outgoing.append(self._tell(state, now_s, unix_s))
        if self.voice in self.roster.heads or self.voice in self.roster.gateways:
            outgoing += self._caps(measured_w or {}, now_s, unix_s)
        return tuple(outgoing)

    def verdict(self, now_s: float) -> Verdict:
        """What holds now; nothing was computed, or not lately: no room either way."""
        if self._verdict is None or not now_s < self._verdict.expires_at_s:
            return Verdict(
                import_w=-inf,
                export_w=-inf,
                import_by="mesh not yet known",
                export_by="mesh not yet known",
                expires_at_s=now_s + VERDICT_VALID_S,
            )
        return self._verdict

    def ping(self, to: str, token: int, unix_s: float) -> Outgoing:
        """The answer, if one comes, is in :attr:`pongs`."""
        self._asked_pings.append((to, token))
        return self._seal(Ping(to=to, token=token), f"ping/{to}", unix_s)

    def set_cap(self, cap: Cap, until_unix_s: float) -> None:
        """Of a head or gateway: told every period until then. Raises ValueError where it may not."""
        group = self.roster.groups.get(cap.group)
        if group is None:
            raise ValueError(f"there is no group {cap.group!r}; there are {', '.join(self.roster.groups)}")
        if self.voice not in self.roster.heads and not (group.capped and self.voice in self.roster.gateways):
            raise ValueError(f"{self.voice} may not cap {cap.group}: it is no head of this mesh")
        before = self.asked_caps.get(cap.group)
        if before is None or _moved(before[0].import_w, cap.import_w) or _moved(before[0].export_w, cap.export_w):
            self._caps_at_s = -inf
        self.asked_caps[cap.group] = (cap, until_unix_s)

    def clear_cap(self, group: str) -> bool:
        """What was told holds until it expires, within ``valid_s``."""
        return self.asked_caps.pop(group, None) is not None

    def events(self) -> tuple[MeshEvent, ...]:
        """Those since the last call."""
        return self.watch.events()

    # ---- hearing ----

    def _may_answer(self, now_s: float) -> bool:
        if len(self._answered) == _PONGS_PER_S and now_s - self._answered[0] < 1.0:
            return False
        self._answered.append(now_s)
        return True

    def _take_state(self, sender: str, state: State, sequence: int, missed: int, valid_s: float, now_s: float) -> None:
        before = self.book.heard(state.member) if state.member in self.roster.members else None
        heard = self.book.take_state(sender, state, sequence, missed, valid_s, now_s)
        if heard is None:
            self.watch.refused(sender, f"{sender} speaks for {state.member}, which is not its own", now_s)
            return
        if before is None or not before.fresh(now_s) or self.voice not in state.seen:
            # It does not hear us: it may not have our certificate.
            self._certificate_at_s = -inf
        self._answers_due |= _asks_more(state, before)
        self._dirty = True

    # ---- balancing ----

    def _balance(self, facts: Facts, now_s: float) -> None:
        limits = self.limits_w(now_s)
        rest = 1.0 - self.settings.reserve_pu
        present = {peer: self.book.present(peer, now_s) for peer in self._peers}
        for side, sign in zip((self._import, self._export), _SIDES, strict=True):
            told = [self._told_of(peer, voices, sign) for peer, voices in present.items()]
            side_limits = {group: pair[0 if sign > 0 else 1] * rest for group, pair in limits.items()}
            own = self._own(facts, sign)
            side.step(own, told, side_limits, now_s)
            # Where there is no room above the base load, its margin is for its noise, not for vehicles.
            none_left = facts.sums is None and side.may_w <= side.floor_w + CLOSE_W
            self._allowed_w[sign] = side.may_w - (self.settings.margin_w if none_left else 0.0)
        self._renew(now_s)

    def _renew(self, now_s: float) -> None:
        self._verdict = Verdict(
            import_w=self._allowed_w[1],
            export_w=self._allowed_w[-1],
            import_by=self._import.binding,
            export_by=self._export.binding,
            expires_at_s=now_s + VERDICT_VALID_S,
        )

    def _own(self, facts: Facts, sign: Sign) -> Own:
        member = self.member
        worst_w = member.import_w if sign > 0 else member.export_w
        base_w, flow_w = _told_or_none(facts.base_w, MOST_W), _told_or_none(facts.flow_w, MOST_W)
        floor_w = wish_w = worst_w
        side_flow_w: float | None = None
        if facts.sums is not None:
            floor_w, wish_w = _of(facts.sums.floor, sign), _of(facts.sums.wish, sign)
            side_flow_w = _of(facts.sums.held, sign)
        elif flow_w is not None and base_w is not None:
            against_w = min(0.0, sign * (flow_w - base_w))
            want_w = max(0.0, facts.want_hi_w if sign > 0 else -facts.want_lo_w)
            floor_w = sign * base_w + against_w + self.settings.margin_w
            wish_w = sign * base_w + want_w + self.settings.margin_w
            side_flow_w = sign * flow_w
        return Own(
            id=member.id,
            groups=self.roster.path(member.id),
            weight=member.weight,
            worst_w=worst_w,
            floor_w=floor_w,
            wish_w=wish_w,
            flow_w=side_flow_w,
        )

    def _told_of(self, peer: str, voices: Sequence[Heard], sign: Sign) -> Told:
        member = self.roster.members[peer]
        worst_w = member.import_w if sign > 0 else member.export_w
        groups = self.roster.path(peer)
        if not voices:
            return Told(id=peer, groups=groups, weight=member.weight, worst_w=worst_w, present=False)
        return Told(
            id=peer,
            groups=groups,
            weight=member.weight,
            worst_w=worst_w,
            present=True,
            floor_w=max(_of(heard.state.floor, sign) for heard in voices),
            wish_w=max(_of(heard.state.wish, sign) for heard in voices),
            claim_w=max(_of(heard.state.claim, sign) for heard in voices),
            ask_w=max(_of(heard.state.ask, sign) for heard in voices),
            sequence=min(heard.acknowledged for heard in voices),
        )

    def _limit(self, group_id: str, now_s: float) -> tuple[float, float]:
        group = self.roster.groups[group_id]
        cap = self.book.cap(group_id, now_s)
        if cap is None:
            return group.uncapped_w
        return min(group.import_w, cap.cap.import_w), min(group.export_w, cap.cap.export_w)

    # ---- telling ----

    def _state(self, facts: Facts, links: tuple[str, ...], now_s: float) -> State:
        to_import, to_export = self._import, self._export
        return State(
            member=self.member.id,
            flow_w=_told_or_none(facts.flow_w, MOST_W),
            base_w=_told_or_none(facts.base_w, MOST_W),
            floor=_pair(to_export.floor_w, to_import.floor_w),
            wish=_range(to_export.wish_w, to_import.wish_w),
            claim=_range(to_export.claim_w, to_import.claim_w),
            ask=_range(max(to_export.ask_w, to_export.claim_w), max(to_import.ask_w, to_import.claim_w)),
            capability=_range(-facts.capability.lo_w, facts.capability.hi_w),
            ahead=_range(-facts.ahead.lo_w, facts.ahead.hi_w),
            top_oil_c=_told_or_none(facts.top_oil_c, MOST_C),
            hot_spot_c=_told_or_none(facts.hot_spot_c, MOST_C),
            flexible=_flexible(facts.flexible),
            permit=facts.permit[:160],
            seen=self.book.seen(now_s),
            links=links,
            version=self._version,
        )

    def _is_news(self, state: State) -> bool:
        told = self._told
        if told is None or self._answers_due or told.links != state.links or told.permit != state.permit:
            return True
        least_w = max(1.0, _CHANGE_PU * max(self.member.import_w, self.member.export_w))
        pairs = ((told.floor, state.floor), (told.claim, state.claim), (told.ask, state.ask))
        return any(abs(old.lo_w - new.lo_w) > least_w or abs(old.hi_w - new.hi_w) > least_w for old, new in pairs)

    def _tell(self, state: State, now_s: float, unix_s: float) -> Outgoing:
        with_certificate = self.states_sent < _FIRST_STATES or now_s - self._certificate_at_s >= _CERTIFICATE_EVERY_S
        if with_certificate:
            self._certificate_at_s = now_s
        sequence, payload = self._sealer.seal(state, unix_s, self.settings.valid_s, with_certificate=with_certificate)
        self._import.said(sequence, now_s)
        self._export.said(sequence, now_s)
        self.book.sent(sequence, now_s)
        self._told, self._told_at_s, self._answers_due = state, now_s, False
        self.states_sent += 1
        return Outgoing(self._key(f"state/{self.voice}"), payload)

    def _caps(self, measured_w: Mapping[str, float], now_s: float, unix_s: float) -> list[Outgoing]:
        for group, (_, until_unix_s) in list(self.asked_caps.items()):
            if unix_s >= until_unix_s:
                del self.asked_caps[group]
        told: dict[str, Cap] = {group: cap for group, (cap, _) in self.asked_caps.items()}
        for group in measured_w.keys() & self.roster.groups.keys():
            self._unexplained.setdefault(group, Unexplained())
        for group, unexplained in self._unexplained.items():
            standing = told.get(group)
            flow_w = measured_w.get(group, nan)
            cap = unexplained.cap(self.roster.groups[group], flow_w, *self._expected_w(group, now_s), now_s)
            self.watch.unexplained(group, unexplained.excess_w, now_s)
            if cap is not None:
                told[group] = cap if standing is None else _tighter(standing, cap)
        if not told or now_s - self._caps_at_s < self.settings.period_s:
            return []
        self._caps_at_s, self._dirty = now_s, True
        for cap in told.values():
            self.book.take_cap(self.voice, cap, self.settings.valid_s, now_s)
        return [self._seal(cap, f"cap/{self.voice}", unix_s) for cap in told.values()]

    def _expected_w(self, group: str, now_s: float) -> tuple[float, float]:
        """The least and the most that its members can draw by what they tell; who is not heard: by its rating."""
        low_w = high_w = 0.0
        for member_id in self.roster.below[group]:
            heard = self.book.heard(member_id)
            member = self.roster.members[member_id]
            state = heard.state if heard is not None and heard.fresh(now_s) else None
            if member_id == self.member.id:
                state = self._told
            if state is not None and state.flow_w is not None:
                low_w += state.flow_w
                high_w += state.flow_w
            else:
                low_w -= member.export_w
                high_w += member.import_w
        return low_w, high_w

    def _seal(self, message: Message, key: str, unix_s: float) -> Outgoing:
        _, payload = self._sealer.seal(message, unix_s, self.settings.valid_s, with_certificate=True)
        return Outgoing(self._key(key), payload)

    def _key(self, tail: str) -> str:
        return f"v2g/{self.roster.scope}/{tail}"


def _of(pair: Range, sign: Sign) -> float:
    return pair.hi_w if sign > 0 else -pair.lo_w


def _pair(export_w: float, import_w: float) -> Range:
    return Range(-_stated(export_w), _stated(import_w))


def _range(export_w: float, import_w: float) -> Range:
    lo_w, hi_w = -_stated(export_w), _stated(import_w)
    # Sides that contradict each other for a moment are told as the wider of both: nobody counts on less.
    return Range(min(lo_w, hi_w), max(lo_w, hi_w))


def _stated(value_w: float) -> float:
    return max(-MOST_W, min(MOST_W, value_w)) if value_w == value_w else 0.0


def _told_or_none(value: float | None, most: float) -> float | None:
    """What no receiver would take for a number is not known: it would cost the whole state."""
    return value if value is not None and abs(value) <= most else None


def _flexible(told: Flexible) -> Flexible:
    return Flexible(
        vehicles=min(told.vehicles, MOST_VEHICLES),
        needed_wh=_told_or_none(told.needed_wh, MOST_WH) or 0.0,
        surplus_wh=_told_or_none(told.surplus_wh, MOST_WH) or 0.0,
    )


def _moved(before_w: float, now_w: float) -> bool:
    return abs(now_w - before_w) > max(1.0, _CHANGE_PU * before_w)


def _asks_more(state: State, before: Heard | None) -> bool:
    """Somebody waits for us to say that we have seen this."""
    if state.ask.hi_w <= state.claim.hi_w + 1.0 and state.ask.lo_w >= state.claim.lo_w - 1.0:
        return False
    return before is None or before.state.ask.hi_w < state.ask.hi_w or before.state.ask.lo_w > state.ask.lo_w


def _tighter(one: Cap, other: Cap) -> Cap:
    reason = one.reason if one.import_w <= other.import_w else other.reason
    return Cap(
        group=one.group,
        import_w=min(one.import_w, other.import_w),
        export_w=min(one.export_w, other.export_w),
        reason=reason,
    )
