"""When what a plan was made under has moved so far that another one is due."""

from __future__ import annotations

from typing import Any

import pytest

from v2g.orchestrator.plan_basis import DEPARTURE_S, MATERIAL_S, Basis, Drift

RATED_VA = 250e3
NOW_S = 1000.0


def basis(**changes: Any) -> Basis:
    fields: dict[str, Any] = {
        "clock_s": 1.7e9, "headroom_w": (-300e3, 150e3), "base_w": 80e3, "departs_at_s": {"E1": 30_000.0},
    }  # fmt: skip
    return Basis(**(fields | changes))


@pytest.fixture
def drift() -> Drift:
    drift = Drift(RATED_VA)
    drift.begin(basis())
    return drift


def test_before_the_first_request_nothing_has_moved() -> None:
    assert Drift(RATED_VA).look(basis(clock_s=0.0), NOW_S) == ""


@pytest.mark.parametrize(
    "moved", [{"headroom_w": (-270e3, 150e3)}, {"headroom_w": (-300e3, 120e3)}, {"base_w": 110e3}, {"base_w": 50e3}]
)
def test_headroom_or_base_load_that_stays_elsewhere_for_a_minute_is_material(drift: Drift, moved: Any) -> None:
    assert drift.look(basis(**moved), NOW_S) == ""
    assert drift.look(basis(**moved), NOW_S + MATERIAL_S - 1.0) == ""
    assert "headroom or base load" in drift.look(basis(**moved), NOW_S + MATERIAL_S)
    drift.begin(basis(**moved))
    assert drift.look(basis(**moved), NOW_S + 2.0 * MATERIAL_S) == ""


def test_what_comes_back_within_the_minute_or_is_small_is_not(drift: Drift) -> None:
    for second in range(0, 300, 10):
        there_w = 110e3 if second % 60 < 50 else 80e3
        assert drift.look(basis(base_w=there_w), NOW_S + second) == ""
    for second in range(300, 600, 10):
        assert drift.look(basis(base_w=104e3), NOW_S + second) == ""


def test_another_departure_counts_at_once_and_its_rounding_does_not(drift: Drift) -> None:
    assert drift.look(basis(departs_at_s={"E1": 30_000.0 + DEPARTURE_S}), NOW_S) == ""
    assert drift.look(basis(departs_at_s={"E1": 30_000.0, "E2": 5.0}), NOW_S) == ""
    assert "E1 leaves at another time" in drift.look(basis(departs_at_s={"E1": 20_000.0}), NOW_S)


def test_a_clock_that_was_put_right_counts_at_once_and_its_drift_does_not(drift: Drift) -> None:
    assert drift.look(basis(clock_s=1.7e9 + 59.0), NOW_S) == ""
    assert drift.look(basis(clock_s=1.7e9 - 61.0), NOW_S) == "the clock was put right"
