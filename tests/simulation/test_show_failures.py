"""The failure table: each row injected for real while vehicles discharge; what happened, when, and zero power.

Where a supervisor would restart what was lost it is stopped, so that the end is that of the failure itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from support.clock_ahead import ShiftedClock
from support.watched import Watched, bring_back
from v2g.guard.status import Permit

pytestmark = pytest.mark.soak

REPORT = Path(__file__).parents[1] / "bench" / "report_failures.md"
AC_TERMINALS = [f"inverter US*V2G*E{number}" for number in (1, 2)]
EVERY_DEVICE = [*AC_TERMINALS, "dc US*V2G*E1", "dc US*V2G*E2", "transducers"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One failure: what must be said of it, and how long power may flow. ``design`` is where the limit comes from.

    ``contact_s``: the breaker's contact opens within it; None: it stays closed. ``daemon``: what it says in its status;
    None: it does not answer. ``says``: codes that must be in the logs.
    """

    failure: str
    permit: Permit
    limit_s: float
    design: str
    contact_s: float | None = None
    daemon: str | None = None
    says: Sequence[str] = ()
    faults: Sequence[dict[str, Any]] = ()


@dataclass
class Table:
    lines: dict[str, str] = field(default_factory=dict)

    def add(self, row: Row, happened: str, zero_s: float, contact: str, end: str) -> None:
        cells = (row.failure, happened, f"{zero_s:.3f}", f"{row.limit_s:g}: {row.design}", contact, end)
        self.lines[row.failure] = f"| {' | '.join(cells)} |"

    def text(self, rows: Sequence[Row]) -> str:
        return (
            "# Failure table\n\n"
            "By `pytest -m soak tests/simulation/test_show_failures.py`: two vehicles discharge 10 kW in the whole\n"
            "simulation when the failure is injected, and the order stands. Seconds count from the injection, or from\n"
            "the step of the frequency where there is one. Power is what the plant measures at the inverters' AC\n"
            "terminals; zero is below 100 W, and at the end it stayed there for 2 s while the failure lasted and\n"
            "nobody restarted what was lost. Limits are sums of the design's times; 0.15 s in them is the lateness of\n"
            "a machine without real-time scheduling.\n\n"
            "| failure | what happened | power zero after s | limit s | breaker's contact | zero at the end |\n"
            "|---|---|---|---|---|---|\n" + "".join(f"{self.lines[row.failure]}\n" for row in rows)
        )


PROCESSES: list[tuple[str, signal.Signals, Row]] = [
    (
        "orchestrator",
        signal.SIGKILL,
        Row(
            failure="orchestrator killed",
            permit=Permit.GRANTED,
            limit_s=1.9,
            design="lease 1 + Modbus request 0.5 + inverter's ramp 0.23 + 0.15",
        ),
    ),
    (
        "wires",
        signal.SIGKILL,
        Row(
            failure="wires killed",
            permit=Permit.GRANTED,
            limit_s=3.4,
            design="reversion in the inverter 3 + its ramp 0.23 + 0.15",
            daemon="the link to v2g-guard wires is down",
        ),
    ),
    (
        "tick",
        signal.SIGKILL,
        Row(
            failure="tick killed",
            permit=Permit.GUARD_STALE,
            daemon="v2g-guard tick is silent",
            limit_s=0.7,
            design="hold-to-close 0.5 + opening 0.05 + 0.15",
            contact_s=0.7,
        ),
    ),
    (
        "tick",
        signal.SIGSTOP,
        Row(
            failure="tick stopped",
            permit=Permit.GUARD_STALE,
            daemon="v2g-guard tick is silent",
            limit_s=0.7,
            design="hold-to-close 0.5 + opening 0.05 + 0.15",
            contact_s=0.7,
        ),
    ),
]

LOSSES = [
    Row(
        failure="waveform buffer's writer dead (lock released)",
        faults=[{"fault": "sensor_loss", "sensor": "waveform_writer"}],
        permit=Permit.WAVEFORM_STALE,
        daemon="v2g-guard tick gets no fresh waveform samples",
        says=["WAVEFORM_STALE"],
        limit_s=0.23,
        design="writer seen gone 0.02 + tick 0.01 + opening 0.05 + 0.15",
        contact_s=0.23,
    ),
    Row(
        failure="waveform buffer frozen, heartbeat stands",
        faults=[{"fault": "sensor_loss", "sensor": "waveform"}],
        permit=Permit.WAVEFORM_STALE,
        daemon="v2g-guard tick gets no fresh waveform samples",
        says=["WAVEFORM_STALE"],
        limit_s=0.36,
        design="waveform.max_age_s 0.15 (here; 0.02 by default) + tick 0.01 + opening 0.05 + 0.15",
        contact_s=0.36,
    ),
    Row(
        failure="waveform buffer frozen, heartbeat lives",
        faults=[{"fault": "sensor_loss", "sensor": "waveform_frozen"}],
        # The last estimate before the samples were stuck for a whole cycle has a voltage and no frequency.
        permit=Permit.TRIPPED,
        daemon="grid protection tripped by",
        says=["TRIP", "WAVEFORM_STALE"],
        limit_s=0.27,
        design="a voltage without frequency for 0.05 + two ticks 0.02 + opening 0.05 + 0.15",
        contact_s=0.27,
    ),
    Row(
        failure="Modbus stalled: inverters never answer",
        faults=[{"fault": "stall", "device": device} for device in AC_TERMINALS],
        permit=Permit.GRANTED,
        daemon="is offline",
        says=["DEVICE_LOST"],
        limit_s=2.1,
        design="reading stale 1 + polled every 0.2 + DC output's request 0.5 + its ramp 0.23 + 0.15",
    ),
    Row(
        failure="Modbus stalled: no device answers",
        faults=[{"fault": "stall", "device": device} for device in EVERY_DEVICE],
        permit=Permit.GRANTED,
        daemon="is offline",
        says=["DEVICE_LOST"],
        limit_s=3.4,
        design="reversion in the inverter 3 + its ramp 0.23 + 0.15",
    ),
    Row(
        failure="late replies: every device answers after 2 s",
        faults=[{"fault": "late", "device": device, "delay_s": 2.0} for device in EVERY_DEVICE],
        permit=Permit.GRANTED,
        daemon="is offline",
        says=["DEVICE_LOST"],
        limit_s=3.4,
        design="reversion in the inverter 3 + its ramp 0.23 + 0.15",
    ),
]

RELAY = Row(
    failure="hardware relay's feedback missing",
    faults=[{"fault": "relay", "feedback": False}],
    permit=Permit.GRANTED,
    daemon="hardware relay feedback is missing",
    says=["RELAY_FEEDBACK"],
    limit_s=1.4,
    design="position unknown after 0.5 + tick 0.01 + Modbus request 0.5 + inverter's ramp 0.23 + 0.15",
)
WELDED = Row(
    failure="DC contactor welded, at a step to 62.5 Hz",
    faults=[{"fault": "contactor", "evse_id": "US*V2G*E1", "state": "closed"}],
    permit=Permit.TRIPPED,
    daemon="grid protection tripped by",
    says=["TRIP"],
    limit_s=0.16,
    design="clearing time of OF2, the breaker's opening included",
    contact_s=0.16,
)
BREAKER = Row(
    failure="breaker stuck closed, at a step to 62.5 Hz",
    faults=[{"fault": "breaker_stuck", "state": "closed"}],
    permit=Permit.BREAKER_FAILED,
    daemon="the V2G breaker FAILED TO OPEN",
    says=["TRIP", "BREAKER_FAILED_TO_OPEN"],
    limit_s=1.1,
    design="clearing time 0.16 + status to wires 0.02 + Modbus request 0.5 + inverter's ramp 0.23 + 0.15",
)
JUMPS = Row(
    failure="system clock jumps an hour ahead, then to an hour behind; then a step to 62.5 Hz",
    permit=Permit.TRIPPED,
    daemon="grid protection tripped by",
    says=["TRIP"],
    limit_s=0.16,
    design="clearing time of OF2, the breaker's opening included",
    contact_s=0.16,
)
ALL = [*(row for *_, row in PROCESSES), *LOSSES, RELAY, WELDED, BREAKER, JUMPS]


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    table = Table()
    yield table
    if set(table.lines) == {row.failure for row in ALL}:
        with contextlib.suppress(OSError):
            REPORT.write_text(table.text(ALL), encoding="utf-8")


@pytest.fixture(scope="module")
def site(simulate: Any) -> Any:
    simulation = simulate("--vehicles", "2")
    simulation.wait_for("both vehicles in the charge loop", simulation.charge_loops)
    return simulation


@pytest.fixture
def discharging(site: Any) -> Any:
    bring_back(site)
    return site


@pytest.fixture(scope="module")
def jumping_clock(tmp_path_factory: pytest.TempPathFactory) -> ShiftedClock:
    return ShiftedClock(tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def jumping_site(simulate: Any, jumping_clock: ShiftedClock) -> Any:
    simulation = simulate("--vehicles", "2", environment=jumping_clock.environment)
    simulation.wait_for("both vehicles in the charge loop", simulation.charge_loops)
    return simulation


def happened(watched: Watched, row: Row) -> str:
    """In the words of those who live, after what must be true of them."""
    site, codes = watched.site, watched.codes()
    assert watched.guard().permit is row.permit
    assert set(row.says) <= set(codes), codes
    words = watched.permit()
    if row.daemon is None:
        assert site.status() == {}
        words += "; the daemon does not answer"
    else:
        status = site.status()
        said = [problem for problem in status["problems"] if row.daemon in problem]
        assert said, status["problems"]
        words += f'; "{said[0]}"'
    return words + watched.epilogue()


@pytest.mark.parametrize(("name", "how", "row"), PROCESSES, ids=[row.failure for *_, row in PROCESSES])
def test_a_process_is_lost_and_nobody_restarts_it(
    discharging: Any, table: Table, name: str, how: signal.Signals, row: Row
) -> None:
    site = discharging
    watched = Watched(site)
    # The vehicles' computers would open their contactors without wires, and hide the reversion.
    vehicles = ("vehicle 1", "vehicle 2") if name == "wires" else ()
    with site.stopped("supervisor", *vehicles):
        watched.begin_s = time.monotonic()
        os.kill(site.pids()[name], how)
        zero_s = watched.power_ends(row.limit_s)
        table.add(row, happened(watched, row), zero_s, watched.contact(row.contact_s), "yes")


@pytest.mark.parametrize("row", LOSSES, ids=[row.failure for row in LOSSES])
def test_a_measurement_or_a_device_is_lost(discharging: Any, table: Table, row: Row) -> None:
    watched = Watched(discharging)
    watched.inject(row.faults)
    zero_s = watched.power_ends(row.limit_s)
    table.add(row, happened(watched, row), zero_s, watched.contact(row.contact_s), "yes")


def test_the_relays_feedback_is_missing(discharging: Any, table: Table) -> None:
    site = discharging
    watched = Watched(site)
    watched.inject(RELAY.faults)
    zero_s = watched.power_ends(RELAY.limit_s)
    assert "relay_feedback" in site.status()["guard"]["blocks"]
    what, contact = happened(watched, RELAY), watched.contact(RELAY.contact_s)
    site.dispatch("10kW", "charge")
    site.wait_for("+10 kW: charge needs no relay", lambda: site.steady(10_000.0), 10.0)
    site.command("v2g-control", "cancel", "--yes")
    site.wait_for("no power", site.no_power, 5.0)
    table.add(RELAY, f"{what}; discharge is refused, charge is allowed", zero_s, contact, "yes, of discharge")


def test_a_contactor_sticks_when_the_guard_trips(discharging: Any, table: Table) -> None:
    site = discharging
    watched = Watched(site)
    watched.inject(WELDED.faults)
    watched.step_of_frequency()
    zero_s = watched.power_ends(WELDED.limit_s)
    assert site.charger("US*V2G*E1").contactors_closed, "welded"
    what = f"{happened(watched, WELDED)}; the contactor stays closed"
    table.add(WELDED, what, zero_s, watched.contact(WELDED.contact_s), "yes")


def test_the_breaker_sticks_when_the_guard_trips(discharging: Any, table: Table) -> None:
    site = discharging
    watched = Watched(site)
    watched.inject(BREAKER.faults)
    watched.step_of_frequency()
    zero_s = watched.power_ends(BREAKER.limit_s)
    chargers = site.measure().chargers.values()
    assert not any(charger.contactors_closed for charger in chargers)
    assert all(charger.setpoint_w == 0.0 for charger in chargers)
    assert "breaker_failed" in watched.bound_by()
    what = f"{happened(watched, BREAKER)}; inverters at zero, every DC contactor open"
    table.add(BREAKER, what, zero_s, watched.contact(BREAKER.contact_s), "yes")


def test_the_system_clock_jumps_by_an_hour(jumping_site: Any, jumping_clock: ShiftedClock, table: Table) -> None:
    site = jumping_site
    bring_back(site)
    before, pids = identities(site), site.pids()
    watched = Watched(site)
    for ahead_s in (3600, -3600):
        jumping_clock.set(ahead_s)
        end_s = time.monotonic() + 3.0
        while time.monotonic() < end_s:
            assert site.steady(-10_000.0)
            time.sleep(0.05)
        status = site.status()
        assert watched.codes() == []
        assert site.pids() == pids
        assert identities(site) == before
        assert status["guard"]["permit"] == "granted"
        assert all(order["remaining_s"] > 600.0 for order in status["orders"])

    watched.step_of_frequency()
    zero_s = watched.power_ends(JUMPS.limit_s)
    what, contact = happened(watched, JUMPS), watched.contact(JUMPS.contact_s)
    (said_at,) = (at for at, code in watched.told() if code == "TRIP")
    assert abs(datetime.fromisoformat(said_at).timestamp() - ahead_s - time.time()) < 10.0
    what = f"both jumps: nothing, -10 kW go on, the log has the new time; the step: {what}"
    table.add(JUMPS, what, zero_s, contact, "yes")


def identities(site: Any) -> tuple[list[str | None], list[int]]:
    """Of the sessions and of the standing orders."""
    return [vehicle.session_id for vehicle in site.vehicles()], [each["order_id"] for each in site.status()["orders"]]
