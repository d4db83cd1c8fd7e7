"""A roster is a tree of groups with members in it, and says what is wrong with one that is not."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.mesh.roster import Group, Member, Roster, RosterError

GROUPS = (
    Group(id="station", import_w=500e3, export_w=400e3),
    Group(id="north", parent="station", import_w=200e3, export_w=200e3),
    Group(id="south", parent="station"),
)


def member(id: str, group: str, **more: object) -> Member:
    return Member(**{"id": id, "group": group, "import_w": 100e3, "export_w": 50e3, **more})  # type: ignore[arg-type]


def roster(*members: Member, groups: tuple[Group, ...] = GROUPS, gateways: tuple[str, ...] = ()) -> Roster:
    return Roster("grid-7", "", groups, members, gateways)


SOUND = roster(
    member("a", "north"), member("b", "north"), member("c", "south"), member("h", "station", import_w=0.0, export_w=0.0)
)


def test_a_path_goes_from_the_innermost_group_outwards() -> None:
    assert SOUND.path("a") == ("north", "station")
    assert SOUND.path("c") == ("south", "station")
    assert SOUND.path("h") == ("station",)


def test_below_a_group_are_its_own_members_and_those_of_the_groups_in_it() -> None:
    assert SOUND.below == {"station": ("a", "b", "c", "h"), "north": ("a", "b"), "south": ("c",)}


def test_peers_are_those_with_whom_a_limit_is_shared_and_never_oneself() -> None:
    assert SOUND.peers("a") == {"b", "c", "h"}
    lonely = roster(member("a", "x"), member("b", "y"), groups=(Group(id="x"), Group(id="y")))
    assert lonely.peers("a") == frozenset()


def test_a_member_speaks_for_itself_and_a_region_by_its_speakers_alone() -> None:
    found = roster(member("r1", "north", speakers=("g1", "g2")), member("a", "south", head=True))
    assert [found.member_of(voice) for voice in ("g1", "g2", "a", "r1", "nobody")] == ["r1", "r1", "a", None, None]
    assert found.heads == {"a"}


def test_all_speakers_of_a_head_may_cap() -> None:
    assert roster(member("r1", "north", speakers=("g1", "g2"), head=True)).heads == {"g1", "g2"}


@pytest.mark.parametrize(
    ("members", "groups", "words"),
    [
        ((member("a", "north"), member("a", "south")), GROUPS, "two groups, or two members, have the same id"),
        ((), (Group(id="x"), Group(id="x")), "two groups, or two members, have the same id"),
        ((member("a", "west"),), GROUPS, "member a is in group 'west', which there is not"),
        ((member("a", "x"),), (Group(id="x", parent="y"),), "group x is in group 'y', which there is not"),
        ((), (Group(id="x", parent="y"),), "group x is in group 'y', which there is not"),
        ((member("a", "x"),), (Group(id="x", parent="x"),), "group x is its own parent: x < x"),
        ((), (Group(id="x", parent="y"), Group(id="y", parent="x")), "is its own parent"),
        ((member("r", "north", speakers=("a",)), member("a", "north")), GROUPS, "a speaks for r and for a"),
        ((member("r", "north", speakers=("a", "a")),), GROUPS, "a speaks for r and for r"),
    ],
)
def test_a_tree_that_contradicts_itself_is_refused_by_name(
    members: tuple[Member, ...], groups: tuple[Group, ...], words: str
) -> None:
    with pytest.raises(RosterError, match=words):
        roster(*members, groups=groups)


@pytest.mark.parametrize("value", [-1.0, inf, -inf, nan])
@pytest.mark.parametrize("name", ["import_w", "export_w"])
def test_a_rating_is_a_finite_magnitude(name: str, value: float) -> None:
    with pytest.raises(RosterError, match="member a: its rating is no power"):
        roster(member("a", "north", **{name: value}))


@pytest.mark.parametrize("value", [0.0, -1.0, inf, nan])
def test_a_weight_is_above_zero(value: float) -> None:
    with pytest.raises(RosterError, match=r"member a: weight .* is not above 0"):
        roster(member("a", "north", weight=value))


@pytest.mark.parametrize(
    "limits",
    [{"import_w": -1.0}, {"export_w": nan}, {"import_w": -inf}, {"alone_import_w": inf}, {"alone_export_w": -1.0}],
)
def test_a_limit_is_a_magnitude_or_none_and_that_of_a_region_alone_is_finite(limits: dict[str, float]) -> None:
    with pytest.raises(RosterError, match="group x: a limit of it is no power"):
        roster(groups=(Group(id="x", **limits),))  # type: ignore[arg-type]


@given(st.lists(st.integers(-1, 8), min_size=1, max_size=9))
def test_any_parents_make_a_tree_or_are_refused(parents: list[int]) -> None:
    groups = tuple(Group(id=f"g{n}", parent="" if p < 0 else f"g{p}") for n, p in enumerate(parents))
    try:
        found = roster(*(member(f"m{n}", f"g{n}") for n in range(len(parents))), groups=groups)
    except RosterError:
        return
    for name in found.members:
        path = found.path(name)
        assert len(set(path)) == len(path)
        assert not found.groups[path[-1]].parent
        assert all(name in found.below[group] for group in path)
