"""The live view's frame: what it shows at each size, and that nothing breaks its lines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.watch_example import course, free, order, snapshot, thermal, vehicle
from v2g.cli.watch_frame import Snapshot, View, frame
from v2g.cli.watch_lines import BAD, cells, plain
from v2g.control.messages_course import CourseResult
from v2g.control.messages_mesh import MeshMemberLine, MeshResult


def member(number: int, *, present: bool) -> MeshMemberLine:
    fields = dict.fromkeys(MeshMemberLine.__struct_fields__)
    shares = dict.fromkeys(("import_share_w", "export_share_w", "worst_import_w", "worst_export_w"), 0.0)
    name = f"tr-{number}"
    words = {"id": name, "voice": name, "group": "feeder", "permit": ""}
    return MeshMemberLine(**{**fields, **shares, **words, "ourselves": number == 1, "present": present, "deaf": False})  # type: ignore[arg-type]


SIZES = [(40, 15), (80, 24), (160, 50)]


def drawn(shown: Snapshot, width: int = 80, height: int = 24, now_s: float = 100.0, **view: Any) -> list[str]:
    lines = frame(shown, View(width=width, height=height, **view), now_s, "18:04:02")
    assert len(lines) <= height
    assert all(cells(line) <= width for line in lines), [plain(line) for line in lines if cells(line) > width]
    return [plain(line) for line in lines]


def screen(shown: Snapshot, width: int = 80, height: int = 24, **view: Any) -> str:
    return "\n".join(drawn(shown, width, height, **view))


def test_a_plain_terminal_shows_everything_that_an_operator_asks_for() -> None:
    text = screen(snapshot(3, orders=(order(7),), problems=("inverter E2 does not answer",)))
    for expected in (
        "maple-street-12 · ready",
        "18:04:02",
        "energy may flow",
        "1.001/0.999/1.000 pu",
        "60.002 Hz",
        "breaker closed",
        "hot spot 97.3 °C → 103.0 of 120",
        "top oil 81.5 °C → 84.0 of 105",
        "load 210.00 kW, K 0.86",
        "HEADROOM discharge 120.00 kW [",
        "] 90.00 kW charge",
        "now discharge 2.00 kW",
        "30 min ago",
        "in 15 min",
        "US*V2G*E1 WMIV2G0001",
        "discharging 41 % dis 4.00 dis 4.20",
        "7: discharge 10.00 kW at all, granted discharge 9.00 kW, 14 min left, by alice",
        "! inverter E2 does not answer",
    ):
        assert expected in text, f"{expected!r} is not in\n{text}"


def test_a_wide_terminal_has_the_curve_beside_the_facts_and_words_in_full() -> None:
    lines = drawn(snapshot(12, 2), 160, 50)
    text = "\n".join(lines)
    assert any("│ GRID" in line for line in lines)
    assert "discharge 4.00" in text
    assert "EVMaximumDischargePower" in text
    assert "DEVICES 1 of 2 answer" in text
    assert "no room for" not in text


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("vehicles", [0, 1, 300])
def test_each_size_shows_grid_headroom_vehicles_orders_and_alarms(width: int, height: int, vehicles: int) -> None:
    text = screen(snapshot(vehicles, 1, orders=(order(1),), problems=("the oil sensor is lost",)), width, height)
    for expected in ("GRID", "HEADROOM", "EVSE", "ORDERS 1", "ALARMS", "the oil sensor is lost", "hot spot 97.3"):
        assert expected in text, f"{expected!r} is not in\n{text}"


def test_what_has_no_room_is_named() -> None:
    assert "no room for: curve, leaves, vehicle, grant" in screen(snapshot(3), 50, 14)
    assert "no room for 2 things here" in screen(snapshot(3), 26, 60) or "no room for" in screen(snapshot(3), 26, 60)
    assert "no room for" not in screen(snapshot(3), 80, 24)


def test_vehicles_that_have_no_room_are_counted_and_can_be_scrolled_to() -> None:
    shown = snapshot(300, 20)
    first = drawn(shown, keys=True)
    told = next(line for line in first if line.startswith("and "))
    visible = sum(line.startswith("US*V2G*") for line in first)
    assert told == f"and {300 - visible} more vehicles and 20 free EVSEs"
    later = drawn(shown, keys=True, first=100)
    assert any(line.startswith("US*V2G*E101 ") for line in later)
    assert any(
        line.startswith(f"and {200 - visible} more vehicles and 20 free EVSEs below, 100 more") for line in later
    )
    last = drawn(shown, keys=True, first=9999)
    assert any(line.startswith("US*V2G*E320 ") for line in last)


def test_faults_come_first_then_vehicles_then_what_is_free() -> None:
    evses = (free(1), vehicle(2), free(3, fault="inverter lost"), vehicle(4))
    lines = [line for line in drawn(snapshot(evses=evses)) if line.startswith("US*V2G*")]
    assert [line.split()[0] for line in lines] == ["US*V2G*E3", "US*V2G*E2", "US*V2G*E4", "US*V2G*E1"]
    assert "FAULT: inverter" in lines[0]
    narrow = [line for line in drawn(snapshot(evses=evses), 36, 20) if "US*V2G*" in line]
    assert narrow[0].startswith("!US*V2G")


def test_no_sign_of_a_power_is_ever_shown() -> None:
    for width, height in SIZES:
        text = screen(snapshot(4, orders=(order(1),)), width, height)
        assert "-4" not in text
        assert "−" not in text
        assert ("dis 4.00" in text) or ("discharge 4.00" in text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hot_spot_c": 121.0}, "hot spot 121.0 °C → 103.0 ABOVE ITS LIMIT 120"),
        ({"ahead_hot_spot_c": 118.0}, "→ 118.0 near its limit 120"),
        ({"top_oil_c": None, "ahead_top_oil_c": None}, "top oil ?"),
        ({"regime": "long_time_emergency", "regime_left_s": 7_200.0, "regime_by": "anna"}, "authorised by anna"),
        ({"lo_granted_in_s": 600.0}, "discharge again in about 10 min"),
    ],
)
def test_what_is_wrong_with_the_transformer_is_said_in_words(changes: dict[str, Any], words: str) -> None:
    assert words in screen(snapshot(heat=thermal(**changes)), 120, 29)


def test_power_beyond_what_is_permitted_is_said_in_words() -> None:
    evses = (vehicle(1, power_w=-130e3),)
    assert "now discharge 130.00 kW, beyond what is permitted" in screen(snapshot(evses=evses))
    unknown = (vehicle(1, power_w=None),)
    assert "now ?" in screen(snapshot(evses=unknown))


def test_a_trip_says_what_to_do() -> None:
    guard = msgspec.structs.replace(
        snapshot().status.guard, permit="tripped", trip="OV2", trip_value=1.21, trip_unit="pu", trip_phase="b"
    )
    text = screen(snapshot(guard=guard), 160, 50)
    assert "TRIPPED by OV2" in text
    assert "v2g-control trip reset" in " ".join(text.split())


def test_a_daemon_that_is_lost_is_said_with_since_when_and_why() -> None:
    shown = snapshot(problem="the daemon does not answer at /run/v2g/control.sock (Connection refused). Is it running?")
    lines = drawn(shown, now_s=172.0)
    assert lines[1].startswith("NO ANSWER for 1 min 12 s: what is shown is of 18:03:59. Trying again:")
    assert "does not answer at /run/v2g" in lines[2]
    styles = {span.style for span in frame(shown, View(width=80, height=24), 172.0, "18:05:11")[1]}
    assert styles == {BAD}


def test_a_daemon_that_hangs_is_said_before_its_answer_is_given_up() -> None:
    assert "NO ANSWER" not in "\n".join(drawn(snapshot(), now_s=103.0))
    assert "NO ANSWER for 4 s" in drawn(snapshot(), now_s=104.0)[1]


def test_notes_of_the_command_stand_behind_the_daemons_problems() -> None:
    text = screen(replace(snapshot(problems=("the oil sensor is lost",)), notes=("this command is newer",)))
    assert text.index("the oil sensor is lost") < text.index("! this command is newer")


def test_the_mesh_is_told_of_where_there_is_one() -> None:
    members = tuple(member(n, present=n != 3) for n in range(1, 6))
    mesh = MeshResult(
        problem="", members=members, import_w=40e3, import_by="room", islands=(("a",), ("b",)), loss_pct=1.25
    )
    for width, height in ((80, 24), (160, 50)):
        text = " ".join(screen(replace(snapshot(), mesh=mesh), width, height).split())
        for expected in ("MESH 4 of 5 heard", "import held to 40.00 kW by room", "2 islands"):
            assert expected in text, text
    assert "MESH" not in screen(replace(snapshot(), mesh=MeshResult(problem="there is no mesh")))


def test_the_most_severe_alarm_stands_in_full_and_the_rest_are_counted() -> None:
    problems = tuple(f"alarm number {n}: " + "words that explain it " * 5 for n in range(1, 31))
    text = screen(snapshot(problems=problems))
    assert "ALARMS 30" in text
    assert "alarm number 1: words" in text
    hidden = 30 - text.count("! alarm number")
    assert f"and {hidden} more alarms" in text


HOSTILE = [
    "[bold red]x[/]",
    "\x1b[2J\x1b]0;owned\x07",
    "a\nb\r\tc",
    "\u202edrow",
    "日本語の車両番号",
    "e\u0301" * 9,
    "",
    " ",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_vehicle_says_is_only_ever_text(text: str) -> None:
    evses = (vehicle(1, vehicle=text, bound_by=text, evse_id=text or "E1"), vehicle(2, fault=text or None))
    shown = snapshot(evses=evses, site=text, problems=(text,), orders=(order(1, by=text, evse_id=text or None),))
    for width, height in (*SIZES, (23, 9)):
        for line in drawn(shown, width, height):
            assert line.isprintable()
    if text.startswith("[bold"):
        assert "[bold red]x[/]" in screen(shown)


@settings(max_examples=examples(150), deadline=None)
@given(
    width=st.integers(1, 200),
    height=st.integers(1, 70),
    vehicles=st.integers(0, 40),
    problems=st.lists(st.text(max_size=300), max_size=9),
    name=st.text(max_size=60),
    lost=st.booleans(),
    keys=st.booleans(),
    ascii_only=st.booleans(),
)
def test_no_size_and_no_text_breaks_the_frame(
    width: int,
    height: int,
    vehicles: int,
    problems: list[str],
    name: str,
    lost: bool,
    keys: bool,
    ascii_only: bool,
) -> None:
    evses = tuple(vehicle(n, vehicle=name, bound_by=name) for n in range(1, vehicles + 1))
    shown = snapshot(evses=evses, site=name, problems=tuple(problems), problem=name or "gone" if lost else "")
    for line in drawn(shown, width, height, keys=keys, ascii_only=ascii_only):
        assert line.isprintable()
        assert not ascii_only or line.isascii()


def test_without_a_thermal_answer_the_status_still_tells_of_the_transformer() -> None:
    text = screen(replace(snapshot(), thermal=None, course=None))
    assert "hot spot 71.3 °C" in text
    assert "bound by thermal hot-spot" in text


def test_without_a_forecast_the_reason_stands_in_its_place() -> None:
    shown = replace(
        snapshot(heat=thermal(hot_spot_c=None, top_oil_c=None)),
        course=CourseResult(past=(), ahead=(), problem="no forecast: load is not known"),
    )
    assert "no forecast: load is not known" in screen(shown)


def test_ascii_terminals_get_letters_for_the_curve() -> None:
    text = screen(snapshot(), ascii_only=True)
    assert text.isascii()
    assert "HHH" in text
    assert "h h" in text


def braille_rows(shown: Snapshot, width: int = 100, height: int = 40) -> dict[int, list[int]]:
    """Columns of cells with dots, by line."""
    found: dict[int, list[int]] = {}
    for number, line in enumerate(drawn(shown, width, height)):
        columns = [at for at, char in enumerate(line) if 0x2800 < ord(char) < 0x2900]
        if columns:
            found[number] = columns
    return found


def test_the_curve_rises_where_the_temperature_rises_and_a_gap_stays_open() -> None:
    rising = course()
    rows = braille_rows(replace(snapshot(), course=rising))
    top, bottom = min(rows), max(rows)
    assert min(rows[top]) > min(rows[bottom])
    holes = tuple(p for p in rising.past if not 600.0 < p.ago_s < 1200.0)
    broken = braille_rows(replace(snapshot(), course=course(past=holes)))
    whole_columns = {at for columns in rows.values() for at in columns}
    broken_columns = {at for columns in broken.values() for at in columns}
    missing = sorted(whole_columns - broken_columns)
    assert len(missing) > 5
    assert missing == list(range(missing[0], missing[-1] + 1))


def test_the_hot_spot_without_v2g_is_drawn_where_it_makes_a_difference() -> None:
    assert "no V2G" in screen(snapshot(), 80, 40)
    same = tuple(msgspec.structs.replace(p, base_hot_spot_c=p.hot_spot_c) for p in course().ahead)
    assert "no V2G" not in screen(replace(snapshot(), course=course(ahead=same)), 80, 40)


def test_a_limit_that_is_near_is_in_the_curve_and_a_far_one_does_not_flatten_it() -> None:
    near = screen(snapshot(), 100, 40)
    assert "╌╌╌" in near
    assert " 120 ┤" in near
    far = screen(snapshot(heat=thermal(hot_spot_limit_c=200.0)), 100, 40)
    assert "╌╌╌" not in far
