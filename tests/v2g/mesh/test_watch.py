"""What is told of a mesh: once when it changes, and no more often than a person can read."""

from __future__ import annotations

from math import inf

import pytest

from support.mesh_nodes import SETTINGS, state_of, up
from v2g.mesh.book import Book
from v2g.mesh.messages import Cap, Seen
from v2g.mesh.node import Verdict
from v2g.mesh.ports import LinkStatus
from v2g.mesh.roster import Group, Member, Roster
from v2g.mesh.trust import Drop
from v2g.mesh.watch import CERTIFICATE_WAIT_S, REPEAT_S, MeshEvent, Watch, islands_now

FLAT = Roster(
    "grid-7",
    "",
    [Group(id="feeder", import_w=200e3, export_w=200e3)],
    [Member(id=name, group="feeder", import_w=1e5, export_w=5e4) for name in ("us", "b", "c", "d")]
    + [Member(id="head", group="feeder", import_w=0.0, export_w=0.0, head=True)],
)
REGION = Roster(
    "grid-7",
    "r1",
    [Group(id="root", import_w=500e3, export_w=500e3, capped=True, alone_import_w=30e3)],
    [Member(id=name, group="root", import_w=1e5, export_w=1e5) for name in ("us", "g1")],
    gateways=("g1",),
)


class Scene:
    """A watch, and its book."""

    def __init__(self, roster: Roster = FLAT) -> None:
        self.roster = roster
        self.watch = Watch(roster, "us", SETTINGS)
        self.book = Book(roster, "us", SETTINGS.deaf_after_s)
        self.links: tuple[LinkStatus, ...] = ()
        self.verdict: Verdict | None = None
        self.sequence = 0

    def hear(self, now_s: float, *voices: str, missed: int = 0, links: tuple[str, ...] = ()) -> None:
        self.sequence += 1
        for voice in voices:
            state = state_of(voice, links=links, seen={"us": Seen(self.sequence, 0)})
            self.book.take_state(voice, state, self.sequence, missed, 3.0, now_s)

    def step(self, now_s: float) -> list[MeshEvent]:
        self.watch.step(self.book, self.links, self.verdict, {"feeder": (200e3, 150e3)}, now_s)
        return list(self.watch.events())

    def run(self, begin_s: float, end_s: float, *voices: str, missed: int = 0) -> list[MeshEvent]:
        found = []
        for half in range(round(begin_s * 2), round(end_s * 2)):
            if half % 2 == 0 and voices:
                self.hear(half / 2, *voices, missed=missed)
            found += self.step(half / 2)
        return found


def words(events: list[MeshEvent], code: str) -> list[tuple[str, str]]:
    return [(event.level, event.words) for event in events if event.code == code]


# ---- links ----


def test_a_link_is_told_when_it_comes_and_when_it_goes_and_not_while_it_never_came() -> None:
    scene = Scene()
    down = LinkStatus(node="b", address="tls/b:7447", up=False)
    scene.links = (down,)
    assert words(scene.step(0.0), "MESH_LINK") == []
    scene.links = up("b")
    assert words(scene.step(1.0), "MESH_LINK") == [("info", "link to b is up")]
    assert words(scene.step(2.0), "MESH_LINK") == []
    scene.links = (down,)
    assert words(scene.step(3.0), "MESH_LINK") == [("warning", "link to b is lost")]


# ---- members ----


def test_a_member_is_missed_only_after_it_has_had_the_time_to_come() -> None:
    scene = Scene()
    assert words(scene.run(0.0, 5.0, "b", "d", "head"), "MESH_MEMBER") == [
        ("info", "b is heard"),
        ("info", "d is heard"),
        ("info", "head is heard"),
    ]
    assert words(scene.run(5.0, 20.0, "b", "d", "head"), "MESH_MEMBER") == [
        ("warning", "c was not heard yet: it counts with 100 kW import and 50 kW export")
    ]


def test_a_member_that_falls_silent_is_told_with_what_it_counts_and_its_return() -> None:
    scene = Scene()
    scene.run(0.0, 10.0, "b", "c", "d", "head")
    assert words(scene.run(10.0, 20.0, "b", "d"), "MESH_MEMBER") == [
        ("warning", "c was not heard for 3.0 s: it counts with 100 kW import and 50 kW export"),
        ("warning", "head was not heard for 3.0 s: it has no transformer"),
    ]
    assert words(scene.run(20.0, 22.0, "b", "c", "d"), "MESH_MEMBER") == [("info", "c is heard")]


# ---- islands ----


def test_islands_are_told_once_and_their_end() -> None:
    scene = Scene()
    scene.links = up("b")

    def run(begin_s: float, end_s: float, *voices: str, links: tuple[str, ...]) -> list[tuple[str, str]]:
        found = []
        for half in range(round(begin_s * 2), round(end_s * 2)):
            scene.hear(half / 2, *voices, links=links)
            found += scene.step(half / 2)
        return words(found, "MESH_ISLAND")

    everybody = ("b", "c", "d", "head")
    assert run(0.0, 10.0, *everybody, links=everybody) == []
    assert run(10.0, 20.0, "b", links=("us",)) == [("warning", "4 islands by what is heard; ours: b, us")]
    assert run(20.0, 30.0, *everybody, links=everybody) == [("info", "the mesh is whole again")]


def test_who_is_not_heard_is_an_island_though_others_say_they_are_linked_with_it() -> None:
    scene = Scene()
    scene.hear(0.0, "b", links=("us", "c", "d"))
    assert islands_now(FLAT, "us", scene.book, up("b"), 0.0) == (("b", "us"), ("c",), ("d",), ("head",))


def test_a_region_in_the_north_is_the_voice_that_is_heard() -> None:
    north = Roster(
        "grid-7",
        "north",
        [Group(id="station")],
        [
            Member(id="r1", group="station", import_w=1e5, export_w=1e5, speakers=("us", "g2")),
            Member(id="r2", group="station", import_w=1e5, export_w=1e5, speakers=("g3", "g4")),
        ],
    )
    book = Book(north, "us", 5.0)
    book.take_state("g4", state_of("r2", links=("us",)), 1, 0, 3.0, 0.0)
    assert islands_now(north, "us", book, (), 0.0) == (("g4", "us"),)


# ---- loss ----


def test_loss_is_told_above_five_per_cent_and_again_when_it_is_over() -> None:
    scene = Scene()
    assert words(scene.run(0.0, 30.0, "b"), "MESH_LOSS") == []
    assert scene.watch.loss == 0.0
    found = words(scene.run(30.0, 60.0, "b", missed=1), "MESH_LOSS")
    assert [level for level, _ in found] == ["warning"]
    assert scene.watch.loss == pytest.approx(30 / 90, abs=0.02)
    assert words(scene.run(60.0, 150.0, "b"), "MESH_LOSS") == [("info", "the members' messages arrive again")]
    assert scene.watch.loss == 0.0


def test_where_nobody_is_heard_loss_is_not_known() -> None:
    scene = Scene()
    scene.run(0.0, 10.0)
    assert scene.watch.loss is None


# ---- drops ----


def test_drops_of_one_sender_for_one_reason_are_told_once_a_minute_with_their_number() -> None:
    watch = Scene().watch
    for tenth in range(int(REPEAT_S * 10) + 1):
        watch.dropped(Drop.UNSIGNED, "b", "signature of b does not hold", tenth / 10)
    found = watch.events()
    assert [event.words for event in found] == [
        "signature of b does not hold",
        "signature of b does not hold (599 more since)",
    ]
    assert (found[1].fields["reason"], found[1].fields["sender"], found[1].fields["count"]) == ("unsigned", "b", 600)


def test_each_reason_and_each_member_is_told_by_itself() -> None:
    watch = Scene().watch
    at_once = [reason for reason in Drop if reason is not Drop.UNKNOWN_CERTIFICATE]
    for reason in at_once:
        for sender in ("b", "c"):
            watch.dropped(reason, sender, "words", 0.0)
    assert len(watch.events()) == 2 * len(at_once)


def test_a_certificate_that_is_still_to_come_is_told_of_once_that_takes_long() -> None:
    watch = Scene().watch
    told = []
    for second in range(25):
        watch.dropped(Drop.UNKNOWN_CERTIFICATE, "b", "certificate of b has not come yet", float(second))
        told += [second for _ in watch.events()]
    assert told == [CERTIFICATE_WAIT_S]


def test_a_member_that_comes_anew_later_has_as_long_again() -> None:
    watch = Scene().watch
    for at_s in (0.0, 1.0, 100.0, 109.0):
        watch.dropped(Drop.UNKNOWN_CERTIFICATE, "b", "certificate of b has not come yet", at_s)
    assert watch.events() == ()


def test_a_wrong_clock_has_a_code_of_its_own() -> None:
    watch = Scene().watch
    watch.dropped(Drop.CLOCK, "b", "clock of b is 300.0 s ahead of ours, or ours behind", 0.0)
    assert [event.code for event in watch.events()] == ["MESH_CLOCK"]


def test_names_without_number_are_told_as_one() -> None:
    """Else somebody with a link fills the log, a line for each name that it makes up."""
    watch = Scene().watch
    for number in range(10_000):
        watch.dropped(Drop.NOT_A_MEMBER, f"stranger-{number}", f"stranger-{number} is no member", number / 1e3)
        watch.dropped(Drop.MALFORMED, None, "not an envelope", number / 1e3)
    assert [event.words for event in watch.events()] == ["stranger-0 is no member", "not an envelope"]
    assert len(watch._drops) == 2


def test_what_is_told_can_be_shown_whoever_wrote_it() -> None:
    watch = Scene().watch
    watch.dropped(Drop.CONTENT, "b", "from b: \x1b[2J\r\n" + "x" * 9000, 0.0)
    (event,) = watch.events()
    assert event.words.startswith("from b: ?[2J??xxx")
    assert len(event.words) == 400


def test_what_a_member_may_not_say_is_counted_by_member_however_it_varies() -> None:
    watch = Scene().watch
    for number in range(1000):
        watch.refused("b", f"b may not cap group-{number}", number / 20)
    assert [event.words for event in watch.events()] == ["b may not cap group-0"]
    assert watch.refusals == {"b": 1000}


# ---- caps, limits, what is unexplained ----


def test_a_cap_is_told_when_it_begins_when_it_is_another_and_when_it_is_over() -> None:
    scene = Scene()

    def cap(now_s: float, reason: str) -> None:
        scene.book.take_cap("head", Cap(group="feeder", import_w=50e3, export_w=0.0, reason=reason), 3.0, now_s)

    cap(0.0, "fire")
    assert words(scene.step(0.0), "MESH_CAP") == [
        ("info", "head caps feeder at 50 kW import, 0 kW export: fire"),
    ]
    cap(1.0, "fire")
    assert words(scene.step(1.0), "MESH_CAP") == []
    cap(2.0, "works")
    assert len(words(scene.step(2.0), "MESH_CAP")) == 1
    assert words(scene.step(6.0), "MESH_CAP") == [("info", "the cap of feeder is over")]


def test_a_region_without_a_gateways_cap_says_what_it_has_alone() -> None:
    scene = Scene(REGION)
    scene.book.take_cap("g1", Cap(group="root", import_w=50e3, export_w=0.0), 3.0, 0.0)
    scene.step(0.0)
    assert words(scene.step(4.0), "MESH_CAP") == [("warning", "no gateway caps root: it has 30 kW import, 0 kW export")]


def verdict(by: str) -> Verdict:
    return Verdict(import_w=10e3, export_w=inf, import_by=by, export_by="", expires_at_s=inf)


def test_a_limit_that_binds_is_told_once_it_has_for_some_seconds_and_its_end() -> None:
    scene = Scene()
    scene.verdict = verdict("feeder")
    assert words(scene.run(0.0, 2.5), "MESH_LIMIT") == []
    assert words(scene.run(2.5, 30.0), "MESH_LIMIT") == [
        ("info", "feeder binds our import: 200 kW for all below it"),
    ]
    scene.verdict = verdict("")
    assert words(scene.run(30.0, 40.0), "MESH_LIMIT") == [("info", "no limit of the mesh binds our import now")]


@pytest.mark.parametrize("by", ["ramp", "acknowledgement", "room", "flow not known"])
def test_what_is_no_group_is_no_limit_of_the_mesh(by: str) -> None:
    scene = Scene()
    scene.verdict = verdict(by)
    assert words(scene.run(0.0, 30.0), "MESH_LIMIT") == []


def test_a_limit_that_binds_again_after_each_step_of_the_ramp_is_told_once() -> None:
    scene = Scene()
    found = []
    for half in range(60):
        scene.verdict = verdict("feeder" if half % 2 else "ramp")
        found += scene.step(half / 2)
    assert words(found, "MESH_LIMIT") == [("info", "feeder binds our import: 200 kW for all below it")]


def test_a_limit_that_binds_for_moments_is_not_told() -> None:
    scene = Scene()
    found = []
    for second in range(60):
        scene.verdict = verdict("feeder" if second % 4 < 2 else "")
        found += scene.run(second, second + 1)
    assert words(found, "MESH_LIMIT") == []


def test_what_is_unexplained_is_told_when_it_begins_and_ends() -> None:
    watch = Scene().watch
    for now_s, excess_w in ((0.0, 0.0), (1.0, 50e3), (2.0, 60e3), (3.0, 0.0), (4.0, 0.0), (5.0, -20e3)):
        watch.unexplained("feeder", excess_w, now_s)
    assert [(event.level, event.words.split(";")[0]) for event in watch.events()] == [
        ("warning", "feeder: the meter shows 50.0 kW downstream that no member tells of"),
        ("info", "feeder: meter and members agree again"),
        ("warning", "feeder: the meter shows 20.0 kW upstream that no member tells of"),
    ]
