from __future__ import annotations

import msgspec
import pytest

from support.status_example import example_status
from v2g.cli import render, render_dispatch
from v2g.control.messages import EnergyLine, EvseLine, GuardLine, SessionLine

GUARD = GuardLine(
    permit="granted", tick_alive=True, wires_alive=True, breaker_closed=True, v_pu=None, frequency_hz=None, trip="",
    trip_value=0.0, enter_service_remaining_s=0.0, realtime=True, service_fraction=1.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "energy may flow"),
        ({"permit": "tripped", "trip": "OV2", "trip_value": 1.213, "trip_unit": "pu", "trip_phase": "b"},
         "TRIPPED by OV2 on phase b at 1.213 per unit"),
        ({"permit": "tripped", "trip": "OF1", "trip_value": 62.5, "trip_unit": "Hz"},
         "OF1 at 62.500 Hz; once the grid is back: v2g-"),
        ({"permit": "enter_service_delay", "enter_service_remaining_s": 185.0}, "enter-service delay, 3 min 5 s left"),
        ({"permit": "guard_stale", "wires_alive": False}, "v2g-guard-tick) does not answer; v2g-guard-wires"),
        ({"permit": "something_new"}, "no energy: something_new"),
        ({"permit": "permit_off", "enter_service_remaining_s": 300.0}, "with v2g-control permit on"),
        ({"permit": "tripped", "trip": "LOM"}, "TRIPPED by LOM; once the upstream switch is closed"),
        ({"permit": "tripped", "trip": "f>", "trip_value": 51.6, "trip_unit": "Hz"}, "f> at 51.600 Hz"),
        ({"permit": "tripped", "trip": "81R", "trip_value": 3.25, "trip_unit": "Hz/s"}, "81R at 3.25 Hz/s"),
        ({"permit": "tripped", "trip": "Phase Mismatch", "trip_value": 119.8, "trip_unit": "deg", "trip_phase": "b"},
         "TRIPPED by Phase Mismatch on phase b at +119.8 degrees; when the wiring"),
        ({"permit": "tripped", "trip": "81 unknown"}, "TRIPPED by 81 unknown;"),
        ({"operation": "momentary_cessation"}, "no power while the grid's voltage is disturbed"),
        ({"operation": "mandatory"}, "energy may flow; rides through a disturbance"),
    ],
)  # fmt: skip
def test_the_permit_is_a_sentence(changes: dict[str, object], text: str) -> None:
    assert text in render.guard_sentence(msgspec.structs.replace(GUARD, **changes))


@pytest.mark.parametrize(
    ("power_w", "text"),
    [(None, "?"), (0.0, "0 W"), (-0.4, "0 W"), (500.0, "charge 500 W"), (-10_000.0, "discharge 10.00 kW")],
)
def test_the_direction_is_a_word(power_w: float | None, text: str) -> None:
    assert render.flow(power_w) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (871, "14 min"), (7384, "2 h 3 min"), (-1, "0 s")],
)
def test_a_span_of_time_is_short(seconds: float, text: str) -> None:
    assert render.span(seconds) == text


def test_tables_are_aligned_and_empty_ones_said() -> None:
    assert render.table(("A", "LONG"), [("1234", "x"), ("1", "")]) == "A     LONG\n1234  x\n1"
    assert render.orders_text(()) == "no orders"
    assert render_dispatch.vehicles_text(()) == "no vehicles"


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({}, []),
        ({"blocks": ("relay_feedback",)}, [("refused", "discharge: hardware relay feedback is missing")]),
        ({"blocks": ("new_discharge",)}, [("refused", "new discharge: the frequency is outside the alarm window")]),
        ({"blocks": ("tomorrow_s_block",)}, [("refused", "discharge: tomorrow s block; see v2g-tool explain")]),
        ({"service_fraction": 0.25}, [("ramp", "25 % of rated power")]),
        ({"service_fraction": 0.0, "permit": "tripped"}, []),
        ({"curtail_charge": 0.8}, [("curtailed", "charge to 80 %")]),
        ({"permit_service": False, "permit": "tripped"}, [("permit off", "permit service is withdrawn")]),
    ],
)
def test_what_the_guard_takes_is_said_with_its_remedy(changes, facts) -> None:
    found = render.guard_facts(msgspec.structs.replace(GUARD, **changes))
    assert [name for name, _ in found] == [name for name, _ in facts]
    assert all(text.startswith(words) for (_, text), (_, words) in zip(found, facts, strict=True))


def test_a_table_shows_what_others_wrote_without_moving_the_cursor() -> None:
    shown = render.table(("EVSE", "VEHICLE"), [("E1", "WMI\x1b[2J\nANNA")])
    assert shown.splitlines() == ["EVSE  VEHICLE", "E1    WMI\\x1b[2J\\nANNA"]


def evse_line(**changes: object) -> EvseLine:
    energy = EnergyLine(
        needed_wh=4_800.0, surplus_wh=13_200.0, capacity_wh=60_000.0, capacity_assumed=False, departs_in_s=7_200.0,
        departure_assumed=True, floor_pct=50.0, floor_source="site", remarks=("DepartureTime was 5 min ago",),
    )  # fmt: skip
    session = SessionLine(
        state="charging", vehicle="WMIV1", identity=None, service="AC", soc_pct=72, max_charge_w=11e3,
        max_discharge_w=0.0, since_s=30.0, energy=energy,
    )  # fmt: skip
    line = EvseLine(
        evse_id="E1", interface="lo", tcp_port=15118, tls="strict", session=session, power_w=0.0, setpoint_w=0.0,
        granted_w=0.0, bound_by="waits for its turn", voltage_v=None, current_a=None, contactors_closed=True,
        fault=None, auto=True,
    )  # fmt: skip
    return msgspec.structs.replace(line, **changes)


@pytest.mark.parametrize(
    ("waits_s", "shown"),
    [(None, "waits for its turn  "), (0.2, "waits for its turn  "), (125.0, "(waits for 2 min 5 s)")],
)
def test_who_waits_for_a_turn_is_shown_with_the_time(waits_s: float | None, shown: str) -> None:
    text = render_dispatch.vehicles_text([evse_line(waits_s=waits_s)])
    assert shown in text
    assert text.splitlines()[-1] == "E1: DepartureTime was 5 min ago"
    assert "in 2 h 0 min (assumed)" in text
    assert "not authenticated" in text


def test_an_evse_whose_vehicle_paused_is_not_free() -> None:
    status = example_status()
    second = msgspec.structs.replace(status.evses[1], paused="WMIV2G0002")
    rows = render.evses_text((status.evses[0], second)).splitlines()
    assert rows[-1].split()[:4] == ["US*V2G*E2", "DC", "WMIV2G0002", "paused"]
    assert render.evses_text(status.evses).splitlines()[-1].split()[:3] == ["US*V2G*E2", "DC", "free"]
