"""Cases of the reference file through synthesised waveforms, the production tick and a breaker of 50 ms.

Chosen: category III with its default settings, at most 40 s long, of the families below; and the cases of ``all``
categories whose verdict rests on the frequency table or on OV2, which the categories share. Of the phase jumps, which
are longer, the steady waiting time before, between and after the jumps is cut to 2 s.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).resolve().parents[3] / "../shared/data/grid/cases.csv"
FAMILIES = {"freq_trip", "freq_no_trip", "frt", "hvrt_curve", "lvrt_curve", "rocof", "timer_reset", "transient"} | {
    "distortion",
    "volt_no_trip",
    "volt_trip",
    "phase_jump",
}
LONGEST_S = 40.0
STEADY_S = 2.0


def chosen() -> list[Any]:
    if not CASES.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"reference data absent: {CASES}"))]
    found = []
    with CASES.open(newline="") as file:
        for row in csv.DictReader(file):
            settings = json.loads(row["settings"])
            own = settings == {"profile": "default_III"} or row["category"] == "all"
            if row["nominal_hz"] != "60" or row["family"] not in FAMILIES or not own:
                continue
            segments = json.loads(row["stimulus"])
            if row["family"] == "phase_jump":
                segments = [segment | {"d": min(segment["d"], STEADY_S)} for segment in segments]
            if sum(segment["d"] for segment in segments) <= LONGEST_S:
                found.append(pytest.param((row, segments), id=f"{row['id']}-{row['family']}"))
    return found


@pytest.mark.parametrize("case", chosen())
def test_the_breaker_opens_as_the_case_expects(case: tuple[dict[str, str], list[dict[str, Any]]], make_site) -> None:
    row, segments = case
    site = make_site(segments)
    reference_s = sum(segment["d"] for segment in segments[: int(row["ref_segment"])])
    assert site.run_until(reference_s).breaker_closed, "in service before the event"
    status = site.run_until(sum(segment["d"] for segment in segments))
    opened_s = site.opened_after_s(reference_s)
    if row["expect"] == "NO_TRIP":
        assert opened_s is None, site.events
        assert status.trip_element == ""
    else:
        assert status.trip_element == row["element"]
        assert opened_s is not None
        assert float(row["tmin_s"]) <= opened_s <= float(row["tmax_s"])
