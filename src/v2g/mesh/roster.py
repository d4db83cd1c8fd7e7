"""Who belongs to a mesh, and which limits they share: a tree of groups with transformers in it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf, isfinite


class RosterError(ValueError):
    """A roster that contradicts itself; the message names the member or group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A feeder, a substation, a busbar: a limit on the sum of the flows below it, W, magnitudes; inf: none of its own.

    ``parent``: the group that it is part of, empty: none. ``capped``: its limits hold only while a signed cap for it
    stands (a region's, from its gateway); without one those ``alone_…`` do.
    """

    id: str
    import_w: float = inf
    export_w: float = inf
    parent: str = ""
    capped: bool = False
    alone_import_w: float = 0.0
    alone_export_w: float = 0.0

    @property
    def uncapped_w(self) -> tuple[float, float]:
        """(import, export) while no cap for it stands."""
        if self.capped:
            return min(self.import_w, self.alone_import_w), min(self.export_w, self.alone_export_w)
        return self.import_w, self.export_w


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A transformer below a group, or a region as its parent sees it.

    ``import_w``, ``export_w``: the worst it can do within its rating, W, magnitudes; it counts with that while it is
    not heard. ``weight``: its part where not all can have what they wish. ``speakers``: nodes that may speak for it,
    by the common name of their certificates; of a region its gateways, the first of them by preference. ``head``: it
    may publish caps; one that has no transformer has a rating of 0.
    """

    id: str
    group: str
    import_w: float
    export_w: float
    weight: float = 1.0
    speakers: tuple[str, ...] = ()
    head: bool = False

    @property
    def voices(self) -> tuple[str, ...]:
        return self.speakers or (self.id,)


class Roster:
    """All members of one region and their groups. Frozen once made."""

    def __init__(
        self,
        network: str,
        region: str,
        groups: Iterable[Group],
        members: Iterable[Member],
        gateways: Iterable[str] = (),
    ) -> None:
        """Raises :class:`RosterError`. ``region``: empty where the mesh is flat. ``gateways``: voices that may cap the
        region's groups that are ``capped``."""
        self.network = network
        self.region = region
        self.gateways = frozenset(gateways)
        self.scope = f"{network}/{region or 'flat'}"
        """What envelopes are for, and keys are under: of this mesh alone."""
        groups, members = tuple(groups), tuple(members)
        self.groups: Mapping[str, Group] = {group.id: group for group in groups}
        self.members: Mapping[str, Member] = {member.id: member for member in members}
        if len(self.groups) != len(groups) or len(self.members) != len(members):
            raise RosterError("two groups, or two members, have the same id")
        for group in groups:
            alone_w = (group.alone_import_w, group.alone_export_w)
            if not (group.import_w >= 0.0 and group.export_w >= 0.0 and all(map(_is_power, alone_w))):
                raise RosterError(f"group {group.id}: a limit of it is no power")
            self._path(group.parent, f"group {group.id}")
        self._paths = {member.id: self._path(member.group, f"member {member.id}") for member in members}
        self._of_voice: dict[str, str] = {}
        for member in members:
            if not (_is_power(member.import_w) and _is_power(member.export_w)):
                raise RosterError(f"member {member.id}: its rating is no power")
            if not (isfinite(member.weight) and member.weight > 0.0):
                raise RosterError(f"member {member.id}: weight {member.weight:g} is not above 0")
            for voice in member.voices:
                if voice in self._of_voice:
                    raise RosterError(f"{voice} speaks for {self._of_voice[voice]} and for {member.id}")
                self._of_voice[voice] = member.id
        self.heads = frozenset(voice for member in members if member.head for voice in member.voices)
        self.below: Mapping[str, tuple[str, ...]] = {
            group: tuple(member.id for member in members if group in self._paths[member.id]) for group in self.groups
        }
        """Members below a group, whether directly or not."""

    def path(self, member_id: str) -> tuple[str, ...]:
        """The groups of a member, the innermost first."""
        return self._paths[member_id]

    def member_of(self, voice: str) -> str | None:
        """For whom a node speaks; None: for nobody here."""
        return self._of_voice.get(voice)

    def peers(self, member_id: str) -> frozenset[str]:
        """The members with whom it shares a limit."""
        return frozenset(other for group in self._paths[member_id] for other in self.below[group]) - {member_id}

    def _path(self, group: str, below: str) -> tuple[str, ...]:
        """From ``group``, in which ``below`` is, up to the root."""
        path: list[str] = []
        while group:
            if group not in self.groups:
                who = f"group {path[-1]}" if path else below
                raise RosterError(f"{who} is in group {group!r}, which there is not")
            if group in path:
                raise RosterError(f"group {group} is its own parent: {' < '.join([*path, group])}")
            path.append(group)
            group = self.groups[group].parent
        return tuple(path)


def _is_power(value_w: float) -> bool:
    return isfinite(value_w) and value_w >= 0.0
