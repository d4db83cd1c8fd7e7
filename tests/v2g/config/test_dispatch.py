"""Contradictions of the section ``dispatch``, with place and remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from v2g.config.loader import ConfigError, load

Configure = Callable[..., Path]


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("dispatch: {min_soc_pct: 90, max_soc_pct: 80}", "dispatch.min_soc_pct", "is above dispatch.max_soc_pct (80 %"),
        (
            "dispatch: {max_soc_pct: 80}\nevses: [{id: US*V2G*E2, min_soc_pct: 81}]",
            "evses[1].min_soc_pct",
            "is above dispatch.max_soc_pct (80 %",
        ),
        (
            "dispatch: {max_soc_pct: 80, min_soc_by_vehicle: {CN=a: 85}}",
            "dispatch.min_soc_by_vehicle.CN=a",
            "is above dispatch.max_soc_pct (80 %",
        ),
        ('dispatch: {min_soc_by_vehicle: {"": 40}}', "dispatch.min_soc_by_vehicle.''", "is empty"),
        ('dispatch: {min_soc_by_vehicle: {"a\\nb": 40}}', "dispatch.min_soc_by_vehicle.'a\\nb'", "control characters"),
        ("dispatch: {min_soc_by_vehicle: {CN=a: 101}}", "dispatch.min_soc_by_vehicle.CN=a", "must be at most 100"),
        (
            "dispatch: {planning: {every_s: 60, deadline_s: 61}}",
            "dispatch.planning.deadline_s",
            "is above every_s (60 s)",
        ),
    ],
)
def test_what_contradicts_itself_is_named(configure: Configure, text: str, path: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(configure(site=text))
    problems = caught.value.problems
    assert [problem.path for problem in problems] == [path]
    assert reason in problems[0].reason
    assert problems[0].remedy
    assert problems[0].file.endswith("site.yaml")


def test_more_than_a_thousand_vehicles_are_refused(configure: Configure) -> None:
    def many(count: int) -> Path:
        return configure(site="dispatch: {min_soc_by_vehicle: {" + ", ".join(f"V{n}: 40" for n in range(count)) + "}}")

    assert len(load(many(1000)).config.dispatch.min_soc_by_vehicle) == 1000
    with pytest.raises(ConfigError, match="1001 vehicles: are more than 1000"):
        load(many(1001))


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("dispatch: {min_soc_pct: 0.3}", "dispatch.min_soc_pct is 0.3 %; is 30 % meant?"),
        ("evses: [{id: US*V2G*E1, min_soc_pct: 0.5}]", "evses[0].min_soc_pct is 0.5 %; is 50 % meant?"),
        ("dispatch: {min_soc_by_vehicle: {V1: 1}}", "dispatch.min_soc_by_vehicle.V1 is 1 %; is 100 % meant?"),
        ("dispatch: {assumed_capacity_kwh: 50000}", "for 50000 Wh write 50"),
    ],
)
def test_what_looks_like_a_wrong_unit_is_a_warning(configure: Configure, text: str, warning: str) -> None:
    assert any(warning in each for each in load(configure(site=text)).warnings)
