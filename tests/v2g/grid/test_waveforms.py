"""The waveform tests of the reference data, a small sweep of each row; the whole one is in ``bench_estimation``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import waveform_metering, waveform_rows
from support.waveform_judge import Conditions
from support.waveform_tests import load_limits, load_spec

ROWS = [f"W{number:02}" for number in range(1, 21)]
SWEPT = Conditions((4000.0,), nominals_hz=(60.0,), angles_rad=tuple(np.radians([7, 97])), snrs_db=(60.0,))
COURSE = Conditions((4000.0,), nominals_hz=(60.0,), angles_rad=(0.1,), snrs_db=(60.0,))
METERING = Conditions((3200.0,), nominals_hz=(60.0,), angles_rad=(0.1,), snrs_db=(60.0,))
COURSES = {"W06", "W07", "W08", "W09", "W10", "W11", "W13", "W19"}
PROTECTION_IS_NOT_ASKED = {"W05"}
METERING_ROWS = ["W04", "W05", "W09", "W14", "W15", "W18"]
LONG = {"W02", "W03", "W05", "W06", "W07", "W09", "W10", "W11", "W14"}
"""More than a tenth of a second each."""


def marked(names: list[str]) -> list[Any]:
    return [pytest.param(name, marks=[pytest.mark.soak] if name in LONG else []) for name in names]


def row_of(shared_data: Path, name: str) -> dict:
    return next(row for row in load_spec(shared_data)["tests"] if row["id"] == name)


def failures(figures) -> dict[str, str]:
    assert figures
    return {f.name: f"{f.largest:.3g} of {f.limit} {f.unit} at {f.where}" for f in figures if not f.passes}


@pytest.mark.parametrize("name", marked([name for name in ROWS if name not in {*PROTECTION_IS_NOT_ASKED, "W20"}]))
def test_protection_keeps_its_limits(shared_data, name):
    conditions = COURSE if name in COURSES else SWEPT
    figures = waveform_rows.judge(row_of(shared_data, name), load_limits(shared_data), conditions)
    known = {figure for row, figure in waveform_rows.REASONS if row == name}
    assert {figure: told for figure, told in failures(figures).items() if figure not in known} == {}


@pytest.mark.soak
def test_a_dip_of_five_minutes_trips_nothing(shared_data):
    conditions = Conditions((3200.0,), nominals_hz=(50.0,))
    assert failures(waveform_rows.judge(row_of(shared_data, "W20"), load_limits(shared_data), conditions)) == {}


@pytest.mark.parametrize("name", marked(METERING_ROWS))
def test_metering_keeps_its_limits(shared_data, name):
    figures = waveform_metering.judge(row_of(shared_data, name), load_limits(shared_data), METERING)
    assert failures(figures) == {}
