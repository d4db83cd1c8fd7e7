"""One case of each family that lasts at most 30 s, in real time: the real ``tick`` process, a plant that plays the case
into the waveform buffer, and the contact of its breaker. The times are those of the plant."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.sensors import TOP_OIL
from v2g.clock import SystemClock
from v2g.guard.status_block import StatusReader
from v2g.replay.case_file import read_cases
from v2g.replay.case_settings import PROFILES, is_entry
from v2g.replay.stimulus import Case

pytestmark = pytest.mark.soak

LONGEST_S = 30.0
PLANT_LATE_S = 0.02
"""Samples later than this, a tick and a batch on top, are so old that the guard has to open."""
ATTEMPTS = 3
"""A host that stops the plant for longer has shown nothing: the case is played anew, as often as this."""
PLAYED = {
    "distortion": "S001",
    "eu_lom": "S015",
    "eu_trip": "S025",
    "freq_no_trip": "S028",
    "freq_trip": "S046",
    "hvrt_curve": "S057",
    "island": "S060",
    "lvrt_curve": "S066",
    "range_corner": "S101",
    "rocof": "S108",
    "sync": "S115",
    "timer_reset": "S120",
    "transient": "S124",
    "volt_no_trip": "S125",
    "volt_trip": "S156",
}
"""Where a family has both, one that acts; of the corners of the ranges, one that no other
element of a site comes before."""
ALWAYS = ("freq_trip", "volt_trip", "island", "sync", "lvrt_curve")
EVERY = "V2G_EVERY_FAMILY"
"""In the environment: all of them, in five minutes, as ``bench_cases.py --real-time`` does."""
TICK = "import sys, pathlib; from v2g.guard.tick_main import main; sys.exit(main(pathlib.Path(sys.argv[1])))"


def duration_s(case: Case) -> float:
    return sum(segment.d for segment in case.segments)


def config(case: Case, directory: Path) -> dict:
    """A site whose guard has the settings of the case. Profiles without stated ranges keep their own waiting time."""
    profile = PROFILES.get(case.settings.get("profile", ""), "ieee1547-III")
    grid = {
        "nominal_voltage_v": 277,
        "nominal_frequency_hz": case.nominal_hz,
        "profile": profile,
        "confirm_unverified": not profile.startswith("ieee1547"),
        "trips": {
            element: {"threshold": change["v"], "time_s": change["t"]}
            for element, change in case.settings.get("override", {}).items()
        },
    }
    if profile.startswith("ieee1547"):
        grid["enter_service"] = {"delay_s": 0}
    return {
        "site": {"id": "replay"},
        "transformer": {"id": "T1", "rated_kva": 250},
        "grid": grid,
        "protection": {"feeder": {"rated_a": 100}, "mains_input_path": str(directory / "mains")},
        "paths": {"run_dir": str(directory), "state_dir": str(directory / "state"), "log_dir": str(directory / "log")},
        "evses": [
            {
                "id": "US*V2G*E1",
                "kind": "DC",
                "interface": "lo",
                "inverter": {"modbus": {"host": "127.0.0.1", "port": 5020}},
                "dc": {"modbus": {"host": "127.0.0.1", "port": 5021}},
            }
        ],
    }


def play(case: Case, cases: Path, directory: Path) -> tuple[dict, str]:
    """What the plant saw, and the element of the latched trip."""
    etc = directory / "etc"
    etc.mkdir()
    (etc / "v2g.yaml").write_text(yaml.safe_dump(config(case, directory)))
    (etc / "sensor_map.conf").write_text(TOP_OIL, encoding="utf-8")
    player = [sys.executable, "-m", "v2g.replay.player", str(cases), case.id]
    places = {"waveform": directory / "waveform", "breaker": directory / "breaker", "mains": directory / "mains"}
    for option, path in places.items():
        player += [f"--{option}", str(path)]
    with subprocess.Popen([sys.executable, "-c", TICK, str(etc)], stdout=subprocess.DEVNULL) as tick:
        try:
            done = subprocess.run(player, capture_output=True, text=True, timeout=240, check=False)
            assert done.returncode == 0, done.stderr
            assert tick.poll() is None, "the tick process still runs"
            reader = StatusReader(directory / "guard-status")
            status = reader.read(SystemClock().monotonic_s())
            tick.send_signal(signal.SIGTERM)
            assert tick.wait(10) == 0
        finally:
            tick.kill()
    return json.loads(done.stdout), status.trip_element


def play_in_time(case: Case, cases: Path, directory: Path) -> tuple[dict, str]:
    """As :func:`play`, of a plant that kept its time."""
    late = []
    for attempt in range(ATTEMPTS):
        place = directory / str(attempt)
        place.mkdir()
        seen, element = play(case, cases, place)
        print(json.dumps(seen), element)
        if seen["worst_lateness_s"] < PLANT_LATE_S:
            return seen, element
        late.append(seen["worst_lateness_s"])
    pytest.fail(f"the plant did not keep its time, nothing can be said: late by {late} s")


def test_every_family_with_a_case_that_short_is_played(shared_data: Path) -> None:
    cases = read_cases(shared_data / "grid/cases.csv")
    assert {case.family for case in cases if duration_s(case) <= LONGEST_S} == set(PLAYED)


@pytest.mark.parametrize("family", PLAYED if os.environ.get(EVERY) else ALWAYS)
def test_the_contact_moves_as_the_case_expects(family: str, shared_data: Path, tmp_path: Path) -> None:
    cases = shared_data / "grid/cases.csv"
    case = next(case for case in read_cases(cases) if case.id == PLAYED[family])
    assert case.family == family
    assert duration_s(case) <= LONGEST_S
    seen, element = play_in_time(case, cases, tmp_path)
    if is_entry(case):
        assert element == ""
        assert seen["commanded_closed_s"] is not None
        assert case.tmin_s <= seen["commanded_closed_s"] <= case.tmax_s
        assert seen["closed_s"] > seen["commanded_closed_s"]
    elif case.expect == "NO_TRIP":
        assert seen["opened_s"] is None, seen
        assert seen["commanded_open_s"] is None, seen
        assert element == ""
    else:
        assert element == case.element
        assert seen["opened_s"] is not None
        assert case.tmin_s <= seen["opened_s"] <= case.tmax_s, seen
