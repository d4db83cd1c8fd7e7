from __future__ import annotations

import math

import numpy as np
import pytest

from v2g.grid.filters import BlockFilter, butterworth_low_pass, first_order


def response(sections, hz: float, rate_hz: float = 1000.0, block: int = 32) -> float:
    """Amplitude behind the filter of a sine of one, measured."""
    run = BlockFilter(sections, rate_hz, block)
    time_s = np.arange(200 * block) / rate_hz
    out = np.concatenate([run(part) for part in np.sin(2 * np.pi * hz * time_s).reshape(-1, block)])[100 * block :]
    return math.sqrt(2 * np.mean(out**2))


@pytest.mark.parametrize("hz", [5.0, 35.0, 60.0])
def test_butterworth_falls_as_the_analogue_one_does(hz):
    wanted = 1 / math.sqrt(1 + (hz / 35.0) ** 12)
    assert response(butterworth_low_pass(6, 35.0), hz) == pytest.approx(wanted, rel=0.08)
    assert response(butterworth_low_pass(6, 35.0), 35.0) == pytest.approx(math.sqrt(0.5), rel=1e-3)


def test_what_is_measured_is_what_gain_says_for_any_length_of_block():
    sections = [first_order(0.02, high_pass=True), *butterworth_low_pass(4, 40.0)]
    for block in (1, 7, 64):
        assert response(sections, 25.0, block=block) == pytest.approx(
            BlockFilter(sections, 1000.0, block).gain(25.0), rel=0.02
        )


def test_a_settled_filter_begins_at_its_level():
    run = BlockFilter([first_order(27.3)], 800.0, 16)
    run.settle(5.0)
    assert run(np.full(16, 5.0)) == pytest.approx(np.full(16, 5.0))


def test_a_first_order_step_reaches_63_per_cent_after_its_time_constant():
    run = BlockFilter([first_order(0.3)], 1000.0, 300)
    assert run(np.ones(300))[-1] == pytest.approx(1 - math.exp(-1), abs=1e-3)
