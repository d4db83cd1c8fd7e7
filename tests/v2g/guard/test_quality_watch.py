from __future__ import annotations

import pytest

from v2g.guard.quality_watch import Watch


def judged(watch: Watch, values: list[float], step_s: float = 0.2):
    events = [watch.judge(number * step_s, value, "B") for number, value in enumerate(values)]
    return [(round(number * step_s, 1), event) for number, event in enumerate(events) if event]


def test_an_excess_is_told_after_a_second_and_its_end_with_worst_value_and_duration():
    watch = Watch("THD_HIGH", "THD_BACK", "distortion", 8.0)
    (begin_s, begin), (end_s, end) = judged(watch, [5.0] * 5 + [9.0] * 10 + [12.0] + [9.0] * 5 + [5.0] * 20)
    assert (begin_s, begin.level, begin.code) == (2.0, "warning", "THD_HIGH")
    assert begin.fields == {"phase": "B", "value_pct": 9.0, "limit_pct": 8.0}
    assert (end_s, end.level, end.code) == (7.2, "info", "THD_BACK")
    assert end.fields == {"value_pct": 5.0, "limit_pct": 8.0, "worst_pct": 12.0, "duration_s": 3.2}


def test_an_excess_of_less_than_a_second_is_not_told():
    assert judged(Watch("A", "B", "x", 8.0), ([9.0] * 5 + [5.0]) * 10) == []


@pytest.mark.parametrize("low", [7.3, 7.9])
def test_a_value_about_the_limit_does_not_chatter(low):
    watch = Watch("A", "B", "x", 8.0)
    assert [event.code for _, event in judged(watch, [9.0] * 10 + [low, 8.1] * 300)] == ["A"]
    assert watch.active


def test_a_short_return_is_no_end():
    watch = Watch("A", "B", "x", 8.0)
    assert len(judged(watch, [9.0] * 10 + ([2.0] * 14 + [9.0]) * 5)) == 1


def test_what_it_is_called_names_its_order():
    assert Watch("HARMONIC_HIGH", "HARMONIC_BACK", "a harmonic", 4.0, order=5).name == "HARMONIC_HIGH 5"
