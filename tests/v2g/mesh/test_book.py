"""What a node knows of the others, and for how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.mesh_nodes import state_of
from v2g.mesh.book import LOSS_WINDOW_S, Book, Heard
from v2g.mesh.messages import Cap, Seen
from v2g.mesh.roster import Group, Member, Roster

DEAF_AFTER_S = 5.0
VALID_S = 3.0
ROSTER = Roster(
    "grid-7",
    "r1",
    [Group(id="root", import_w=500e3, export_w=400e3, capped=True), Group(id="feeder", parent="root")],
    [
        Member(id="us", group="feeder", import_w=1e5, export_w=1e5),
        Member(id="b", group="feeder", import_w=1e5, export_w=1e5),
        Member(id="r2", group="root", import_w=1e5, export_w=1e5, speakers=("g1", "g2")),
        Member(id="head", group="root", import_w=0.0, export_w=0.0, head=True),
    ],
    gateways=("b",),
)


@pytest.fixture
def book() -> Book:
    return Book(ROSTER, "us", DEAF_AFTER_S)


def hear(
    book: Book,
    voice: str,
    now_s: float,
    *,
    member: str = "",
    sequence: int = 1,
    missed: int = 0,
    seen: Seen | None = None,
    valid_s: float = VALID_S,
) -> Heard:
    member = member or ROSTER.member_of(voice) or ""
    state = state_of(member, seen={"us": seen} if seen is not None else {})
    heard = book.take_state(voice, state, sequence, missed, valid_s, now_s)
    assert heard is not None
    return heard


# ---- who is heard ----


@pytest.mark.parametrize(("voice", "member"), [("b", "us"), ("b", "r2"), ("g1", "b"), ("g1", "g1"), ("x", "b")])
def test_a_voice_that_speaks_for_another_is_not_heard_at_all(book: Book, voice: str, member: str) -> None:
    assert book.take_state(voice, state_of(member), 1, 0, VALID_S, 10.0) is None
    assert book.all_heard() == ()


def test_a_state_counts_until_it_expires_and_not_at_that_moment(book: Book) -> None:
    hear(book, "b", 10.0)
    assert [each.voice for each in book.present("b", 12.9)] == ["b"]
    assert book.present("b", 13.0) == ()
    assert book.seen(12.9)
    assert not book.seen(13.0)
    last = book.heard("b")
    assert last is not None
    assert not last.fresh(13.0)


def test_one_that_was_never_heard_is_not_there(book: Book) -> None:
    assert book.heard("b") is None
    assert book.present("b", 0.0) == ()


def test_one_that_never_says_that_it_has_seen_us_is_deaf_after_a_while(book: Book) -> None:
    for tenth in range(60):
        hear(book, "b", tenth / 10)
        deaf = tenth / 10 > DEAF_AFTER_S
        assert bool(book.present("b", tenth / 10)) is not deaf


def test_one_that_says_so_again_is_no_longer_deaf(book: Book) -> None:
    for second in range(7):
        hear(book, "b", float(second))
    assert not book.present("b", 6.0)
    book.sent(77, 6.0)
    hear(book, "b", 7.0, seen=Seen(77, 0))
    assert book.present("b", 7.0)


def test_the_same_old_state_of_ours_said_again_and_again_is_deaf_too(book: Book) -> None:
    book.sent(77, 0.0)
    for second in range(12):
        hear(book, "b", float(second), seen=Seen(77, 0))
    assert not book.present("b", 11.0)


def test_one_that_comes_back_has_as_long_again_before_it_counts_as_deaf(book: Book) -> None:
    hear(book, "b", 0.0)
    hear(book, "b", 100.0)
    assert book.present("b", 100.0)


@pytest.mark.parametrize("echo", [Seen(76, 0), Seen(78, 0), Seen(1 << 62, 0), Seen(0, 0)])
def test_a_sequence_that_was_never_ours_is_no_acknowledgement(book: Book, echo: Seen) -> None:
    book.sent(77, 9.0)
    heard = hear(book, "b", 10.0, seen=echo)
    assert (heard.acknowledged, heard.acknowledged_at_s, heard.round_trip_s) == (0, None, None)


def test_an_acknowledgement_is_of_its_last_state_alone(book: Book) -> None:
    """One that has restarted has seen nothing of ours."""
    book.sent(77, 9.0)
    assert hear(book, "b", 10.0, seen=Seen(77, 0)).acknowledged == 77
    assert hear(book, "b", 11.0).acknowledged == 0


def test_of_two_voices_of_a_region_both_count_and_the_fresher_is_shown(book: Book) -> None:
    hear(book, "g1", 10.0)
    hear(book, "g2", 11.0)
    assert [each.voice for each in book.present("r2", 11.0)] == ["g1", "g2"]
    shown = book.heard("r2")
    assert shown is not None
    assert shown.voice == "g2"
    assert [each.voice for each in book.present("r2", 13.5)] == ["g2"]


def test_a_region_one_of_whose_voices_is_deaf_counts_as_absent(book: Book) -> None:
    for second in range(7):
        book.sent(100 + second, float(second))
        hear(book, "g1", float(second), seen=Seen(100 + second, 0))
        hear(book, "g2", float(second))
    assert book.present("r2", 6.0) == ()


def test_what_we_say_that_we_have_seen_is_each_voice_with_its_age(book: Book) -> None:
    hear(book, "g1", 10.0, sequence=5)
    hear(book, "b", 10.75, sequence=9)
    assert book.seen(11.0) == {"g1": Seen(5, 1000), "b": Seen(9, 250)}


# ---- round trip ----


def test_a_round_trip_leaves_out_how_long_the_other_held_it(book: Book) -> None:
    book.sent(77, 10.0)
    heard = hear(book, "b", 10.5, seen=Seen(77, 400))
    assert heard.round_trip_s == pytest.approx(0.1)


def test_round_trips_are_smoothed(book: Book) -> None:
    book.sent(77, 10.0)
    hear(book, "b", 10.1, seen=Seen(77, 0))
    book.sent(78, 11.0)
    heard = hear(book, "b", 11.6, seen=Seen(78, 0))
    assert heard.round_trip_s == pytest.approx(0.2)


@pytest.mark.parametrize("held_ms", [1001, 1 << 40])
def test_one_that_says_it_held_it_longer_than_that_took_has_no_round_trip(book: Book, held_ms: int) -> None:
    book.sent(77, 10.0)
    heard = hear(book, "b", 11.0, seen=Seen(77, held_ms))
    assert (heard.round_trip_s, heard.acknowledged) == (None, 77)


def test_an_acknowledgement_as_old_as_that_says_nothing_of_a_round_trip(book: Book) -> None:
    book.sent(77, 0.0)
    assert hear(book, "b", DEAF_AFTER_S + 0.1, seen=Seen(77, 0)).round_trip_s is None


def test_of_very_old_states_of_ours_nothing_is_kept(book: Book) -> None:
    for sequence in range(1, 2000):
        book.sent(sequence, sequence / 100)
    assert len(book._sent) == 512
    assert hear(book, "b", 20.0, seen=Seen(1, 0)).acknowledged == 0
    assert hear(book, "b", 20.0, seen=Seen(1999, 0)).acknowledged == 1999


# ---- loss ----


def test_loss_is_what_is_missing_of_what_was_sent_within_the_last_minute(book: Book) -> None:
    for second in range(10):
        heard = hear(book, "b", float(second), missed=1 if second % 5 == 4 else 0)
    assert heard.loss(9.0) == pytest.approx(2 / 12)
    assert heard.missed == 2


def test_what_was_lost_longer_ago_is_forgotten(book: Book) -> None:
    hear(book, "b", 0.0)
    hear(book, "b", 1.0, missed=9)
    for second in range(2, 120):
        heard = hear(book, "b", float(second))
    assert heard.loss(119.0) == 0.0
    assert heard.missed == 9
    assert heard.loss(119.0 + LOSS_WINDOW_S + 1.0) is None


def test_after_a_long_silence_only_the_last_minute_of_it_counts_as_lost(book: Book) -> None:
    hear(book, "b", 0.0)
    heard = hear(book, "b", 600.0, missed=599)
    assert heard.loss(600.0) == pytest.approx(60 / 61)
    assert heard.missed == 599


@given(st.lists(st.tuples(st.floats(0.05, 90.0), st.integers(0, 3000)), min_size=1, max_size=40))
def test_loss_is_a_share_whatever_comes(steps: list[tuple[float, int]]) -> None:
    book, now_s = Book(ROSTER, "us", DEAF_AFTER_S), 0.0
    for wait_s, missed in steps:
        now_s += wait_s
        loss = hear(book, "b", now_s, missed=missed).loss(now_s)
        assert loss is not None
        assert 0.0 <= loss < 1.0


# ---- caps ----


def cap(group: str, import_w: float = 100e3, export_w: float = 100e3) -> Cap:
    return Cap(group=group, import_w=import_w, export_w=export_w)


@pytest.mark.parametrize(
    ("voice", "group", "taken"),
    [
        ("head", "root", True),
        ("head", "feeder", True),
        ("b", "root", True),
        ("b", "feeder", False),
        ("us", "root", False),
        ("g1", "root", False),
        ("nobody", "root", False),
        ("head", "elsewhere", False),
    ],
)
def test_a_head_may_cap_any_group_a_gateway_its_region_and_nobody_else_any(
    book: Book, voice: str, group: str, taken: bool
) -> None:
    assert book.take_cap(voice, cap(group), VALID_S, 10.0) is taken
    assert (book.cap(group, 10.0) is not None) is taken


def test_a_cap_stands_until_it_expires(book: Book) -> None:
    book.take_cap("head", cap("root"), VALID_S, 10.0)
    assert book.cap("root", 12.9) is not None
    assert book.cap("root", 13.0) is None
    assert book.cap("feeder", 11.0) is None


def test_a_later_cap_of_the_same_voice_replaces_its_own_even_by_a_looser_one(book: Book) -> None:
    book.take_cap("head", cap("root", 10e3), VALID_S, 10.0)
    book.take_cap("head", cap("root", 50e3), VALID_S, 11.0)
    standing = book.cap("root", 11.0)
    assert standing is not None
    assert standing.cap.import_w == 50e3


def test_of_two_that_cap_the_tighter_holds_on_each_side(book: Book) -> None:
    book.take_cap("head", cap("root", 10e3, 90e3), VALID_S, 10.0)
    book.take_cap("b", cap("root", 50e3, 20e3), VALID_S, 11.0)
    standing = book.cap("root", 11.5)
    assert standing is not None
    assert (standing.cap.import_w, standing.cap.export_w, standing.valid_until_s) == (10e3, 20e3, 13.0)
    alone = book.cap("root", 13.5)
    assert alone is not None
    assert (alone.cap.import_w, alone.cap.export_w, alone.by) == (50e3, 20e3, "b")


def test_on_a_link_faster_than_the_rounding_of_its_echoes_the_round_trip_is_known_and_not_below_zero(
    book: Book,
) -> None:
    book.sent(77, 10.0)
    heard = hear(book, "b", 10.0996, seen=Seen(77, 100))
    assert heard.round_trip_s == 0.0
