"""What is told of a mesh in the log: links, members, drops, clocks, loss, islands, limits that bind. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal

from v2g.mesh.book import Book
from v2g.mesh.messages import printable
from v2g.mesh.node_settings import NodeSettings
from v2g.mesh.ports import LinkStatus
from v2g.mesh.roster import Roster
from v2g.mesh.topology import graph, islands
from v2g.mesh.trust import Drop

if TYPE_CHECKING:
    from v2g.mesh.node import Verdict

REPEAT_S: Final = 60.0
"""A drop for the same reason by the same sender is told again after this, with the count."""
CERTIFICATE_WAIT_S: Final = 10.0
"""A member without a certificate is told of after this."""
LOSS_LIMIT: Final = 0.05
"""Over a minute: a warning above it."""
LOSS_OVER: Final = 0.02
_LOOK_S: Final = 0.5
_BINDS_FOR_S: Final = 3.0
_MOST_REPEATS: Final = 1024
_LONGEST_WORDS: Final = 400
_NOT_TOLD: Final = ("", "ramp", "acknowledgement", "room", "flow not known")


@dataclass(frozen=True, slots=True)
class MeshEvent:
    """``code``: of the catalogue."""

    level: Literal["info", "warning", "error"]
    code: str
    words: str
    fields: Mapping[str, Any] = field(default_factory=dict)


class Watch:
    """Of one node."""

    def __init__(self, roster: Roster, voice: str, settings: NodeSettings) -> None:
        self._roster = roster
        self._voice = voice
        self._settings = settings
        self._events: list[MeshEvent] = []
        self._present: dict[str, bool] = {}
        self._links: dict[str, bool] = {}
        self._islands: tuple[tuple[str, ...], ...] = ()
        self._drops: dict[tuple[str, str], tuple[float, int]] = {}
        self._uncertified: dict[str, tuple[float, float]] = {}
        self._binding: dict[str, tuple[str, float, bool]] = {}
        self._caps: dict[str, str] = {}
        self._unexplained: dict[str, bool] = {}
        self._lossy = False
        self._looked_at_s = -inf
        self._began_at_s: float | None = None
        self.refusals: Counter[str] = Counter()
        """By sender: messages whose signature holds, and which it may not say."""
        self.loss: float | None = None
        """Share 0..1 of what members sent within the last minute and was not heard, of all that are heard."""

    def events(self) -> tuple[MeshEvent, ...]:
        found, self._events = tuple(self._events), []
        return found

    def dropped(self, reason: Drop, sender: str | None, words: str, now_s: float) -> None:
        code = "MESH_CLOCK" if reason is Drop.CLOCK else "MESH_DROP"
        # Names that are no member's are anybody's, and without number.
        who = sender if sender is not None and self._roster.member_of(sender) is not None else "somebody"
        if reason is Drop.UNKNOWN_CERTIFICATE and not self._waits_long(who, now_s):
            return
        self._repeat(code, reason.value, who, words, now_s)

    def _waits_long(self, who: str, now_s: float) -> bool:
        """Who comes anew is heard before its certificate is: it sends that every few seconds, and once it is asked."""
        first_s, last_s = self._uncertified.get(who, (now_s, now_s))
        if now_s - last_s > CERTIFICATE_WAIT_S:
            first_s = now_s
        self._uncertified[who] = first_s, now_s
        return now_s - first_s >= CERTIFICATE_WAIT_S

    def refused(self, sender: str, words: str, now_s: float) -> None:
        """``sender`` is a voice of the roster."""
        self.refusals[sender] += 1
        self._repeat("MESH_DROP", "not_entitled", sender, words, now_s)

    def unexplained(self, group: str, excess_w: float, now_s: float) -> None:
        was = self._unexplained.get(group, False)
        if bool(excess_w) is was:
            return
        self._unexplained[group] = bool(excess_w)
        if excess_w:
            way = "downstream" if excess_w > 0 else "upstream"
            words = (
                f"{group}: the meter shows {abs(excess_w) / 1e3:.1f} kW {way} that no member tells of; the members' "
                "limit is lower by so much"
            )
            self._say("warning", "MESH_UNEXPLAINED", words, group=group, excess_w=round(excess_w))
        else:
            self._say("info", "MESH_UNEXPLAINED", f"{group}: meter and members agree again", group=group)

    def step(
        self,
        book: Book,
        links: Sequence[LinkStatus],
        verdict: Verdict | None,
        limits_w: Mapping[str, tuple[float, float]],
        now_s: float,
    ) -> None:
        if self._began_at_s is None:
            self._began_at_s = now_s
        if now_s - self._looked_at_s < _LOOK_S:
            return
        self._looked_at_s = now_s
        self._look_at_links(links)
        self._look_at_members(book, now_s)
        self._look_at_islands(book, links, now_s)
        self._look_at_loss(book, now_s)
        self._look_at_caps(book, now_s)
        if verdict is not None:
            self._look_at_limits(verdict, limits_w, now_s)

    def _look_at_links(self, links: Sequence[LinkStatus]) -> None:
        for link in links:
            name = link.node or link.address
            if self._links.get(name, False) is link.up:
                continue
            self._links[name] = link.up
            if link.up:
                self._say("info", "MESH_LINK", f"link to {name} is up", node=name, address=link.address)
            else:
                self._say("warning", "MESH_LINK", f"link to {name} is lost", node=name, address=link.address)

    def _look_at_members(self, book: Book, now_s: float) -> None:
        for member in self._roster.members.values():
            if self._voice in member.voices:
                continue
            heard = book.heard(member.id)
            present = heard is not None and heard.fresh(now_s)
            known = member.id in self._present
            if not present and not known and now_s - (self._began_at_s or 0.0) < self._settings.deaf_after_s:
                continue
            if self._present.get(member.id) is present:
                continue
            self._present[member.id] = present
            if present:
                self._say("info", "MESH_MEMBER", f"{member.id} is heard", member=member.id)
            else:
                last = f"for {now_s - heard.at_s:.1f} s" if heard is not None else "yet"
                counts = f"it counts with {member.import_w / 1e3:g} kW import and {member.export_w / 1e3:g} kW export"
                worst = counts if member.import_w or member.export_w else "it has no transformer"
                self._say("warning", "MESH_MEMBER", f"{member.id} was not heard {last}: {worst}", member=member.id)

    def _look_at_islands(self, book: Book, links: Sequence[LinkStatus], now_s: float) -> None:
        found = islands_now(self._roster, self._voice, book, links, now_s)
        if found == self._islands or now_s - (self._began_at_s or 0.0) < self._settings.deaf_after_s:
            return
        before, self._islands = self._islands, found
        if len(found) == 1:
            if len(before) > 1:
                self._say("info", "MESH_ISLAND", "the mesh is whole again")
            return
        ours = next((island for island in found if self._voice in island), ())
        words = f"{len(found)} islands by what is heard; ours: {', '.join(ours[:8])}{' …' if len(ours) > 8 else ''}"
        self._say("warning", "MESH_ISLAND", words, islands=len(found), ours=len(ours))

    def _look_at_loss(self, book: Book, now_s: float) -> None:
        missed = total = 0
        for heard in book.all_heard():
            if heard.loss(now_s) is not None:
                lost = sum(count for _, count in heard.arrivals)
                missed, total = missed + lost, total + lost + len(heard.arrivals)
        self.loss = missed / total if total else None
        if self.loss is None:
            return
        if not self._lossy and self.loss > LOSS_LIMIT:
            self._lossy = True
            self._say("warning", "MESH_LOSS", f"{self.loss:.0%} of the members' messages are lost", loss=self.loss)
        elif self._lossy and self.loss < LOSS_OVER:
            self._lossy = False
            self._say("info", "MESH_LOSS", "the members' messages arrive again", loss=self.loss)

    def _look_at_caps(self, book: Book, now_s: float) -> None:
        for group in self._roster.groups.values():
            cap = book.cap(group.id, now_s)
            words = ""
            if cap is not None:
                reason = f": {cap.cap.reason}" if cap.cap.reason else ""
                words = (
                    f"{cap.by} caps {group.id} at {cap.cap.import_w / 1e3:g} kW import, "
                    f"{cap.cap.export_w / 1e3:g} kW export{reason}"
                )
            plain = "".join(letter for letter in words if not letter.isdigit())
            if self._caps.get(group.id, "") == plain:
                continue
            self._caps[group.id] = plain
            if words:
                self._say("info", "MESH_CAP", words, group=group.id)
            elif group.capped:
                alone = f"{group.alone_import_w / 1e3:g} kW import, {group.alone_export_w / 1e3:g} kW export"
                self._say("warning", "MESH_CAP", f"no gateway caps {group.id}: it has {alone}", group=group.id)
            else:
                self._say("info", "MESH_CAP", f"the cap of {group.id} is over", group=group.id)

    def _look_at_limits(self, verdict: Verdict, limits_w: Mapping[str, tuple[float, float]], now_s: float) -> None:
        for name, by, which in (("import", verdict.import_by, 0), ("export", verdict.export_by, 1)):
            before, since_s, told = self._binding.get(name, ("", now_s, False))
            group = by if by not in _NOT_TOLD else ""
            if by in _NOT_TOLD and by:
                continue
            if group != before:
                if told and not group:
                    self._say("info", "MESH_LIMIT", f"no limit of the mesh binds our {name} now", side=name)
                self._binding[name] = (group, now_s, False)
            elif group and not told and now_s - since_s >= _BINDS_FOR_S:
                self._binding[name] = (group, since_s, True)
                limit_w = limits_w.get(group, (inf, inf))[which]
                words = f"{group} binds our {name}: {limit_w / 1e3:g} kW for all below it"
                self._say("info", "MESH_LIMIT", words, side=name, group=group)

    def _repeat(self, code: str, reason: str, who: str, words: str, now_s: float) -> None:
        key = (reason, who)
        at_s, count = self._drops.get(key, (-inf, 0))
        if now_s - at_s < REPEAT_S:
            self._drops[key] = (at_s, count + 1)
            return
        if len(self._drops) >= _MOST_REPEATS:
            self._drops.clear()
        self._drops[key] = (now_s, 0)
        more = f" ({count} more since)" if count else ""
        self._say("warning", code, f"{words}{more}", reason=reason, sender=who, count=count + 1)

    def _say(self, level: Literal["info", "warning", "error"], code: str, words: str, **fields: Any) -> None:
        # Names and reasons in them may be anybody's.
        self._events.append(MeshEvent(level, code, printable(words[:_LONGEST_WORDS]), fields))


def islands_now(
    roster: Roster, voice: str, book: Book, links: Sequence[LinkStatus], now_s: float
) -> tuple[tuple[str, ...], ...]:
    """Voices by what is connected, as this node knows it: who is not heard is an island of its own."""
    edges = edges_now(voice, book, links, now_s)
    standing = {each.voice for each in book.all_heard() if each.fresh(now_s)}
    voices = {
        next((each for each in member.voices if each == voice or each in standing), member.voices[0])
        for member in roster.members.values()
    }
    return islands(voices, edges)


def edges_now(voice: str, book: Book, links: Sequence[LinkStatus], now_s: float) -> Mapping[str, frozenset[str]]:
    """Links by the states that are fresh, and our own, between nodes that are heard."""
    links_of: dict[str, tuple[str, ...]] = {voice: tuple(link.node for link in links if link.up and link.node)}
    for heard in book.all_heard():
        if heard.fresh(now_s):
            links_of[heard.voice] = heard.state.links
    known = graph(links_of)
    return {
        node: frozenset(other for other in others if other in links_of)
        for node, others in known.items()
        if node in links_of
    }
