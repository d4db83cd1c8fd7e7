"""Linear programmes of known solution, solved again and again for other objectives."""

from __future__ import annotations

from math import inf

import pytest

from v2g.planning.programme import DEADLINE, INFEASIBLE, Programme, Stopped, tangent


def corner() -> tuple[Programme, int, int, int]:
    """x + 2 y <= 14, 3 x - y >= 0, x - y <= 2: the textbook's, with its greatest 3 x + 4 y of 34 at (6, 4)."""
    programme = Programme()
    x, y = programme.column(-inf, inf), programme.column(-inf, inf)
    row = programme.row(-inf, 14.0, ((x, 1.0), (y, 2.0)))
    programme.row(0.0, inf, ((x, 3.0), (y, -1.0)))
    programme.row(-inf, 2.0, ((x, 1.0), (y, -1.0)))
    return programme, x, y, row


def test_the_greatest_value_is_at_the_corner_with_its_shadow_price() -> None:
    programme, x, y, row = corner()
    assert programme.minimise({x: -3.0, y: -4.0}, 10.0) == pytest.approx(-34.0)
    assert (programme.values[x], programme.values[y]) == (pytest.approx(6.0), pytest.approx(4.0))
    before = programme.duals[row]
    programme.bound_row(row, -inf, 15.0)
    assert programme.minimise({x: -3.0, y: -4.0}, 10.0) == pytest.approx(-34.0 + before)


def test_another_objective_rows_and_bounds_count_in_the_next_solution() -> None:
    programme, x, y, _ = corner()
    programme.minimise({x: -3.0, y: -4.0}, 10.0)
    assert programme.minimise({x: -1.0}, 10.0) == pytest.approx(-6.0)
    programme.row(-inf, 5.0, ((x, 1.0),))
    assert programme.minimise({x: -1.0}, 10.0) == pytest.approx(-5.0)
    programme.bound_column(x, -inf, 4.0)
    assert programme.minimise({x: -1.0}, 10.0) == pytest.approx(-4.0)


def test_tangents_hold_a_convex_function_from_below() -> None:
    programme = Programme()
    along, height = programme.column(-3.0, 3.0), programme.column(-inf, inf)
    for at in (-2.0, -1.0, 0.0, 1.0, 2.0):
        tangent(programme, height, along, at, at * at, 2.0 * at)
    programme.bound_column(along, 1.5, 3.0)
    assert programme.minimise({height: 1.0}, 10.0) == pytest.approx(2.0)


def test_an_attempt_that_ends_without_a_status_is_made_anew_with_other_options(monkeypatch: pytest.MonkeyPatch) -> None:
    once, statuses = Programme._once, ["Not Set", "Unknown", "Solve error"]
    monkeypatch.setattr(
        Programme, "_once", lambda self, within_s: statuses.pop(0) if statuses else once(self, within_s)
    )
    programme, x, y, _ = corner()
    assert programme.minimise({x: -3.0, y: -4.0}, 10.0) == pytest.approx(-34.0)
    assert (programme.restarts, statuses) == (3, [])
    assert programme.minimise({x: -1.0}, 10.0) == pytest.approx(-6.0)
    assert programme.restarts == 3


def test_where_no_attempt_ends_with_a_status_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Programme, "_once", lambda self, within_s: "Not Set")
    programme, x, _, _ = corner()
    with pytest.raises(Stopped) as stopped:
        programme.minimise({x: -1.0}, 10.0)
    assert stopped.value.reason == "Not Set"


def test_an_infeasible_programme_is_only_believed_from_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    once, statuses = Programme._once, ["Optimal", "Infeasible"]

    def misled(programme: Programme, within_s: float) -> str:
        status = once(programme, within_s)
        return statuses.pop(0) if statuses else status

    monkeypatch.setattr(Programme, "_once", misled)
    programme, x, y, _ = corner()
    programme.minimise({x: -3.0, y: -4.0}, 10.0)
    assert programme.minimise({x: -1.0}, 10.0) == pytest.approx(-6.0)


def test_nothing_is_said_on_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    programme, x, _, _ = corner()
    programme.minimise({x: -1.0}, 10.0)
    assert capfd.readouterr().out == ""


def test_what_has_no_solution_and_what_has_no_time_are_told_apart() -> None:
    programme, x, _, _ = corner()
    with pytest.raises(Stopped) as stopped:
        programme.minimise({x: 1.0}, 0.0)
    assert stopped.value.reason == DEADLINE
    programme.row(100.0, inf, ((x, 1.0),))
    with pytest.raises(Stopped) as stopped:
        programme.minimise({x: 1.0}, 10.0)
    assert stopped.value.reason == INFEASIBLE
