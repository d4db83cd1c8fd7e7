"""What is counted instead of written."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from v2g.telemetry.repeats import BURST, FIRST_WINDOW_S, LONGEST_WINDOW_S, Line, Repeats, Told


def line(body: str = "lost", code: str = "WIRES_DOWN", evse: str = "") -> Line:
    return Line("warning", code, f"WARNING: {code} {body}", evse)


def test_a_line_that_goes_on_repeating_is_told_ever_less_often() -> None:
    repeats, told_at = Repeats(), []
    for second in range(3000):
        if any(told.count for told in repeats.admit(line(), float(second), float(second))):
            told_at.append(second)
    gaps = [after - before for before, after in pairwise(told_at)]
    assert told_at[0] == FIRST_WINDOW_S
    assert gaps[:5] == [20, 40, 80, 160, 320]
    assert set(gaps[6:]) == {LONGEST_WINDOW_S}


def test_one_that_comes_back_after_silence_is_a_line_of_its_own_again() -> None:
    repeats = Repeats()
    assert repeats.admit(line(), 0.0, 0.0) == [Told(line())]
    assert repeats.admit(line(), FIRST_WINDOW_S, 0.0) == [Told(line())]
    assert not repeats.waiting


def test_lines_that_alternate_are_all_written() -> None:
    repeats = Repeats()
    for second in range(20):
        body = "lost" if second % 2 else "back"
        assert repeats.admit(line(body), second / 10, 0.0) == [Told(line(body))]


def test_a_repeat_does_not_use_up_the_budget() -> None:
    repeats = Repeats()
    for _ in range(10 * int(BURST)):
        repeats.admit(line(), 0.0, 0.0)
    assert repeats.admit(line("other"), 0.1, 0.0)[-1] == Told(line("other"))


def test_budgets_that_are_whole_again_make_room_for_other_codes() -> None:
    repeats = Repeats()
    for number in range(2000):
        repeats.admit(line(code=f"CODE_{number}"), 0.0, 0.0)
    later_s = 1000.0
    repeats.due(later_s)
    for number in range(1000):
        assert repeats.admit(line(code=f"NEW_{number}"), later_s, 0.0) == [Told(line(code=f"NEW_{number}"))]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["E1", "E2"]), st.floats(0.0, 3.0)), max_size=900
    )
)
def test_every_line_is_written_or_counted_exactly_once(events: list[tuple[str, str, float]]) -> None:
    repeats, now_s, seen = Repeats(), 0.0, 0
    for body, evse, wait_s in events:
        now_s += wait_s / 100
        for told in repeats.admit(line(body, evse=evse), now_s, now_s):
            seen += told.count or 1
    seen += sum(told.count for told in repeats.rest())
    assert seen == len(events)
    assert not repeats.waiting
