"""Orchestrator and guard of different versions: what is told, and when there is no energy."""

from __future__ import annotations

import pytest

from v2g.guard.status_header import Header
from v2g.orchestrator.versions_part import skew_words


def words(tick: Header | None, *, alive: bool = True, wires: str = "0.1.0") -> tuple[str, ...]:
    return skew_words("0.1.0", 5, tick, tick_alive=alive, wires=wires)


@pytest.mark.parametrize(
    ("tick", "wires"),
    [
        (Header(5, "0.1.0"), "0.1.0"),
        (None, ""),
        (Header(5, ""), ""),
    ],
)
def test_nothing_is_told_where_all_are_of_one_version_or_tell_none(tick: Header | None, wires: str) -> None:
    assert words(tick, wires=wires) == ()


def test_other_versions_that_understand_each_other_are_told_with_what_to_restart() -> None:
    tick, wires = words(Header(5, "0.2.0"), wires="0.3.0")
    assert tick.startswith("v2g-guard tick is of version 0.2.0, and v2g-orchestrator of 0.1.0: they go on together")
    assert "systemctl restart v2g-guard-tick v2g-orchestrator" in tick
    assert wires.startswith("v2g-guard wires is of version 0.3.0")


def test_another_layout_says_that_there_is_no_energy_even_while_tick_is_silent() -> None:
    (found,) = words(Header(6, "0.2.0"), alive=False)
    assert "v2g-guard tick 0.2.0 writes its status in layout 6, and this v2g-orchestrator 0.1.0 reads 5" in found
    assert "no energy until both are of one version" in found


def test_a_status_that_an_ended_tick_left_behind_counts_for_nothing() -> None:
    assert words(Header(5, "0.2.0"), alive=False) == ()
