"""A station's process under many vehicles: nothing times out, nothing grows. ``SOAK_FULL=1``: the whole hour."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from support.fleet import scenarios
from support.fleet.run import write_pki
from support.fleet.scenarios import Figures, Void

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not socket.has_ipv6, reason="ISO 15118 needs IPv6, which this host does not have"),
    pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux"),
]

FULL = os.environ.get("SOAK_FULL") == "1"
TURNS = 64 * 4 * 3600 // (1 if FULL else 10)
CONNECTS = 10_000 if FULL else 1_000
SECONDS = 60.0 if FULL else 5.0
MOST_GROWTH_KB = 5 * 1024
MOST_KB_A_VEHICLE = 160.0
MOST_CPU_RATIO = 1.2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fleet")
    write_pki(folder)
    return folder


def fair(attempt: Callable[[], Figures]) -> Figures:
    try:
        return scenarios.fair(attempt)
    except Void as void:
        pytest.skip(f"void: {void}")


def test_500_vehicles_at_4_hz_are_served_in_time_in_160_kb_each_at_the_price_of_10(folder: Path) -> None:
    few = fair(lambda: scenarios.load(folder, 10, SECONDS))
    many = fair(lambda: scenarios.load(folder, 500, SECONDS))
    for figures in (few, many):
        assert figures["in_loop"] == figures["vehicles"]
        assert (figures["timeouts"], figures["lost"], figures["ends"]) == (0, {}, {})
        assert figures["wrong"] == 0
        assert figures["turns"] > 3.9 * SECONDS * figures["vehicles"]
    assert many["kb_a_vehicle"] <= MOST_KB_A_VEHICLE
    assert many["cpu_us_a_session_second"] <= MOST_CPU_RATIO * few["cpu_us_a_session_second"]


@pytest.mark.parametrize("over_s", [1.0, 0.0])
def test_64_vehicles_charge_on_while_64_more_connect(folder: Path, over_s: float) -> None:
    figures = fair(lambda: scenarios.join(folder, 64, 64, over_s))
    assert figures["in_loop"] == {"here": 64, "more": 64}
    assert figures["lost"] == {"here": {}, "more": {}}
    assert (figures["timeouts"], figures["ends"]) == (0, {})


def test_a_stopped_process_times_nobody_out_whose_request_lay_waiting(folder: Path) -> None:
    figures = fair(lambda: scenarios.stop(folder, 64, (0.4, 0.45)))
    assert figures["max_ms"] > 350.0
    assert (figures["timeouts"], figures["lost"], figures["ends"]) == (0, {}, {})


def test_an_hour_of_64_vehicles_leaves_no_memory_behind(folder: Path) -> None:
    figures = fair(lambda: scenarios.hours(folder, 64, TURNS))
    assert figures["turns"] >= TURNS
    assert (figures["timeouts"], figures["lost"], figures["ends"]) == (0, {}, {})
    assert figures["growth_kb"] < MOST_GROWTH_KB


def test_thousands_of_connects_and_disconnects_leave_no_memory_behind(folder: Path) -> None:
    figures = fair(lambda: scenarios.churn(folder, CONNECTS))
    assert figures["reasons"] == {"quit": CONNECTS * 3 // 4, "SESSION_STOPPED": CONNECTS // 4}
    assert figures["sessions"] == 0
    assert set(figures["ends"]) == {"PEER_CLOSED", "SESSION_STOPPED"}
    assert figures["growth_kb"] < MOST_GROWTH_KB
