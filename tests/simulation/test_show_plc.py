"""Powerline shows: who is matched to whom on a line with crosstalk, what is said where nobody is, and what a lost link
does to a session. Real processes; frames over datagram sockets, so that no root is needed."""

from __future__ import annotations

import asyncio
import os
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from support.plc_rig import Rig
from v2g.control.messages_plc import PlcState
from v2g.hardware.ports import PilotState
from v2g.simulation.powerline_client import PowerlineClient

pytestmark = pytest.mark.soak

KEEP = "V2G_PLC_REPORT"
REPORT = Path(__file__).parents[1] / "bench" / "report_plc.md"
ROWS: list[tuple[str, str, str]] = []


@pytest.fixture(scope="module", autouse=True)
def report() -> Any:
    """What was measured, into the report where it is asked for."""
    yield
    if os.environ.get(KEEP) and ROWS:
        head = [
            "# Powerline: shows on a simulated line",
            "",
            "Real `kplc-driver` and powerline processes, frames over datagram sockets, a machine of two cores.",
            f"Written by `{KEEP}=1 pytest -m soak tests/simulation/test_show_plc.py`.",
            "",
            "| show | figure | measured |",
            "| --- | --- | --- |",
        ]
        REPORT.write_text("\n".join([*head, *(f"| {' | '.join(row)} |" for row in ROWS), ""]), encoding="utf-8")


def note(show: str, figure: str, measured: str) -> None:
    ROWS.append((show, figure, measured))


# ---- show 4 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crosstalk_db", [32.0, 14.0])
async def test_eight_vehicles_at_four_evses_are_each_matched_to_their_own(crosstalk_db: float) -> None:
    """Eight match at once: four are plugged in, four wait their turn beside them; then these take the places."""
    show = f"eight vehicles, four EVSEs, crosstalk {crosstalk_db:g} dB"
    evses, first, second = range(1, 5), range(1, 5), range(5, 9)
    async with Rig(4, spare=4) as rig:
        for evse in evses:
            for vehicle in (*first, *second):
                if vehicle not in (evse, evse + 4):
                    await rig.attenuate(f"EVSE {evse}", f"vehicle {vehicle}", crosstalk_db)
            await rig.attenuate(f"EVSE {evse}", f"vehicle {evse + 4}", 40.0)
        began_s = time.monotonic()
        for number in first:
            rig.plug(number, number)
        if crosstalk_db > 20.0:
            # Nearer than that they would be taken for plugged in, wherever they stand.
            for number in second:
                rig.vehicles[number].plug()
        await rig.until("each EVSE is linked", lambda: rig.all_in(PlcState.LINKED))
        note(show, "all four links up after", f"{time.monotonic() - began_s:.1f} s")
        await asyncio.sleep(1.0)
        for number in first:
            assert rig.line(number).vehicle_mac == rig.vehicles[number].mac
            assert rig.vehicles[number].linked
        assert not any(rig.vehicles[number].linked for number in second)
        told = [line.attenuation for number in first if (line := rig.line(number))]
        levels = [one.average_db for one in told if one is not None]
        assert levels == pytest.approx([8.0, 8.6, 9.2, 9.8], abs=0.5), "of the linked vehicle, not of the last heard"
        note(show, "average attenuation told, dB", ", ".join(f"{level:.1f}" for level in levels))
        nids = [rig.line(number).nid for number in first]
        assert len(set(nids)) == 4
        for number in first:
            await rig.unplug(number, number)
            await rig.vehicles[number + 4].unplug()
        await rig.until("all are free again", lambda: rig.all_in(PlcState.FREE))
        for evse in evses:
            await rig.attenuate(f"EVSE {evse}", f"vehicle {evse + 4}", 9.0)
        for number in second:
            rig.plug(number, number - 4)
        await rig.until("each EVSE is linked with the second", lambda: rig.all_in(PlcState.LINKED))
        for number in second:
            assert rig.line(number - 4).vehicle_mac == rig.vehicles[number].mac
        assert not set(nids) & {rig.line(evse).nid for evse in evses}, "keys are renewed for each session"
        await check_networks(rig)


async def test_of_two_vehicles_near_each_evse_the_one_that_toggles_its_pilot_is_matched() -> None:
    """Eight at once, all at 12 dB: only CM_VALIDATE can tell who is plugged in."""
    async with Rig(4, spare=4, plc={"validate": True}) as rig:
        for number in range(1, 5):
            await rig.attenuate(f"EVSE {number}", f"vehicle {number}", 12.0)
            await rig.attenuate(f"EVSE {number}", f"vehicle {number + 4}", 12.0)
        began_s = time.monotonic()
        for number in range(1, 5):
            rig.vehicles[number + 4].plug(toggle=lambda count, each_s: asyncio.sleep(2 * count * each_s))
            rig.plug(number, number, toggles=True)
        await rig.until("each EVSE is linked", lambda: rig.all_in(PlcState.LINKED), 40.0)
        note(
            "two vehicles at 12 dB beside each of four EVSEs, validated by the pilot",
            "all four links up after",
            f"{time.monotonic() - began_s:.1f} s",
        )
        await asyncio.sleep(1.0)
        for number in range(1, 5):
            assert rig.line(number).vehicle_mac == rig.vehicles[number].mac
            assert rig.vehicles[number].linked
            assert not rig.vehicles[number + 4].linked
        assert "has proved that it is at this plug: 3 toggles" in rig.log()


async def check_networks(rig: Rig) -> None:
    """What the line itself knows: in each network an EVSE and its vehicle, and nobody else."""
    measured = (await rig.line_do(do="measure"))["measurement"]
    networks = {one["name"]: set(one["network"]) for one in measured["stations"]}
    for evse in range(1, 5):
        assert networks[f"EVSE {evse}"] == {f"vehicle {evse + 4}"}, networks


async def test_at_35_db_everywhere_vehicles_refuse_and_the_log_explains() -> None:
    async with Rig(2) as rig:
        for evse in (1, 2):
            for vehicle in (1, 2):
                await rig.attenuate(f"EVSE {evse}", f"vehicle {vehicle}", 35.0)
            rig.plug(evse, evse)
        await rig.until("a failure of each EVSE", lambda: all(rig.log_lines("0xEF22", e) for e in (1, 2)), 40.0)
        assert not any(vehicle.linked for vehicle in rig.vehicles.values())
        assert all(line.vehicle_mac is None for line in rig.lines.values())
        for evse in (1, 2):
            line = next(one for one in rig.log_lines("0xEF22", evse) if "step=CM_SLAC_MATCH" in one)
            assert "ERROR: 0xEF22" in line
            level = float(re.search(r"attenuation_db=([\d.]+)", line)[1])  # type: ignore[index]
            assert level == pytest.approx(35.0, abs=1.0)
            assert "likely: the signal is too weak" in line
            assert "remedy: " in line
        said = " ".join(rig.vehicles[1].said)
        assert "not matched at CM_ATTEN_CHAR" in said
        assert "at most 20 dB" in said
        note("35 dB everywhere", "line in comms.log", line.split(" ", 1)[1].replace("|", "/"))


# ---- bad input ----------------------------------------------------------------------------------------------------


async def test_a_modem_that_stops_answering_is_told_and_found_again() -> None:
    async with Rig(1) as rig:
        rig.plug(1, 1)
        await rig.until("linked", lambda: rig.all_in(PlcState.LINKED))
        began_s = time.monotonic()
        await rig.line_do(do="answers", station="EVSE 1", answers=False)
        await rig.until("the link is not there any more", lambda: rig.line(1).vehicle_mac is None, 5.0)
        lost_s = time.monotonic() - began_s
        note("a modem stops answering", "no vehicle is matched any more after", f"{lost_s:.2f} s")
        await rig.until("it is told", lambda: rig.log_lines("PLC_MODEM"))
        assert rig.line(1).state is PlcState.NO_MODEM
        await rig.line_do(do="answers", station="EVSE 1", answers=True)
        await rig.until("linked again", lambda: rig.all_in(PlcState.LINKED), 40.0)


async def test_two_vehicles_with_one_mac_are_both_refused_and_named() -> None:
    async with Rig(1, spare=1) as rig:
        await rig.attenuate("EVSE 1", "vehicle 2", 9.0)
        rig.plug(1, 1)
        rig.vehicles[2].plug(mac=rig.vehicles[1].mac)
        line = await rig.until(
            "it is named",
            lambda: [one for one in rig.log_lines("0xEF22") if "call themselves" in one],
            30.0,
        )
        assert rig.vehicles[1].mac in line[0]
        assert "likely: two vehicles" in line[0]


async def test_a_thousand_frames_a_second_of_noise_do_not_keep_a_vehicle_out() -> None:
    async with Rig(1) as rig:
        await rig.line_do(do="noise", station="EVSE 1", per_s=1000, for_s=20)
        began_s = time.monotonic()
        rig.plug(1, 1)
        await rig.until("linked", lambda: rig.all_in(PlcState.LINKED), 15.0)
        note("1,000 frames a second of noise", "link up after", f"{time.monotonic() - began_s:.1f} s")
        assert rig.line(1).vehicle_mac == rig.vehicles[1].mac


async def test_a_vehicle_that_never_matches_is_shown_an_error_on_the_pilot() -> None:
    async with Rig(1, plc={"init_s": 20}) as rig:
        rig.pilots[rig.evse_ids[0]] = PilotState.B
        await rig.until("it is waited for", lambda: rig.line(1).state is PlcState.WAITING)
        began_s = time.monotonic()
        await rig.until("E or F is wanted on the pilot", lambda: rig.line(1).pilot_error, 25.0)
        waited_s = time.monotonic() - began_s
        assert waited_s == pytest.approx(20.0, abs=1.5)
        shown_s = time.monotonic()
        await rig.until("the error ends", lambda: not rig.line(1).pilot_error, 10.0)
        assert time.monotonic() - shown_s >= 3.8
        (line,) = rig.log_lines("0xEF22")
        assert "step=CM_SLAC_PARM" in line
        note("a vehicle that never matches", "error on the pilot", f"after {waited_s:.1f} s")


async def test_a_driver_that_is_restarted_resets_its_modems_and_the_vehicle_links_anew() -> None:
    async with Rig(1) as rig:
        rig.plug(1, 1)
        await rig.until("linked", lambda: rig.all_in(PlcState.LINKED))
        nid = rig.line(1).nid
        rig.driver.terminate()
        assert await asyncio.wait_for(rig.driver.wait(), 10) == 0
        await rig.start_driver()
        await rig.until("linked anew", lambda: rig.lines and rig.line(1).nid != nid and rig.line(1).vehicle_mac, 40.0)
        assert rig.vehicles[1].losses


# ---- show 5 -------------------------------------------------------------------------------------------------------

STORY = (
    "PLC_LINK ",
    "SDP request of",
    "CONNECTED",
    "SESSION_START",
    "phase=charging",
)
ENDS = ("SESSION_ABORTED", "PEER_CLOSED", "SECC_TIMEOUT")
"""Of the session: by the station, by the vehicle, whose modem misses the other, too, or by the silence between them;
whoever is first."""


def at(line: str) -> float:
    return datetime.fromisoformat(line.split(" ", 1)[0]).timestamp()


def check_story(log: str, lost: str) -> None:
    """What led to a loss is told before it, in order: the last of each kind, since a busy machine may begin twice."""
    lines = log.splitlines()
    before = lines[: lines.index(lost)]
    last = [max((number for number, line in enumerate(before) if words in line), default=-1) for words in STORY]
    assert -1 not in last, log
    assert last == sorted(last), [before[number] for number in last]


def lines_since(simulation: Any, since_unix_s: float, *codes: str) -> list[str]:
    lines = [line for line in simulation.log("comms.log").splitlines() if any(f" {code} " in line for code in codes)]
    return [line for line in lines if at(line) >= since_unix_s]


def test_a_lost_link_takes_the_power_and_ends_the_session_within_a_second(simulate: Any) -> None:
    simulation = simulate("--vehicles", "1", plc=True)
    simulation.wait_for("its vehicle is in the charge loop", simulation.charge_loops, 60)
    simulation.dispatch("5kW")
    simulation.wait_for("it discharges", lambda: simulation.steady(-5_000.0))
    assert simulation.evse("US*V2G*E1")["session"]
    with PowerlineClient(simulation.run_dir / "powerline.sock") as line:
        cut_unix_s, cut_s = time.time(), time.monotonic()
        line.ask(do="plug", station="vehicle 1", plugged=False)
    simulation.wait_for("no power", simulation.no_power, 5)
    (lost, *_) = simulation.wait_for(
        "the loss is told", lambda: lines_since(simulation, cut_unix_s, "PLC_LINK_LOST"), 5
    )
    (end, *_) = simulation.wait_for("the session's end is told", lambda: lines_since(simulation, cut_unix_s, *ENDS), 5)
    check_story(simulation.log("comms.log"), lost)
    seen_s = at(lost) - cut_unix_s
    closed_s = at(end) - cut_unix_s
    power_s = simulation.charger("US*V2G*E1").last_power_at_s - cut_s
    show = "the powerline is cut while 5 kW flow"
    note(show, "link loss seen after", f"{seen_s:.2f} s")
    note(show, "power zero after", f"{power_s:.2f} s")
    note(show, "session closed after", f"{closed_s:.2f} s")
    assert seen_s <= 1.0
    assert power_s <= 1.5
    assert closed_s <= 1.5
    assert "powerline link" in end or "SESSION_ABORTED" not in end
    simulation.wait_for("the contactors are open", lambda: not simulation.charger("US*V2G*E1").contactors_closed, 5)


def test_a_doubtful_vehicle_proves_by_the_pilot_that_it_is_at_this_plug(simulate: Any, tmp_path: Path) -> None:
    """The toggles pass vehicle, plant, device, guard, orchestrator and driver; then it charges as always."""
    overlay = tmp_path / "validate.yaml"
    overlay.write_text("plc: {validate: true}\n")
    simulation = simulate("--vehicles", "1", "--ac-vehicles", "1", "--overlay", str(overlay), plc=True)
    simulation.wait_for("both are in the charge loop", simulation.charge_loops, 60)
    assert "toggles of the pilot" not in simulation.log("comms.log"), "at 8 dB nobody doubts"
    with PowerlineClient(simulation.run_dir / "powerline.sock") as line:
        for number in (1, 2):
            line.ask(do="attenuation", one=f"EVSE {number}", other=f"vehicle {number}", db=15.0)
    for number in (1, 2):
        simulation.ask(do="unplug", evse_id=f"US*V2G*E{number}")
        proved = f"US*V2G*E{number}: vehicle 02:00:00:ee:00:{number:02x} has proved that it is at this plug"
        simulation.wait_for("it is proved", lambda words=proved: words in simulation.log("comms.log"), 40)
    simulation.wait_for("both charge again", simulation.charge_loops, 60)
    lines = [one for one in simulation.log("comms.log").splitlines() if "has proved" in one]
    assert all("3 toggles" in one for one in lines), lines
    assert "has not proved" not in simulation.log("comms.log")


def test_the_plug_pulled_while_power_flows_ends_link_and_session(simulate: Any) -> None:
    simulation = simulate("--vehicles", "1", plc=True)
    simulation.wait_for("its vehicle is in the charge loop", simulation.charge_loops, 60)
    simulation.dispatch("5kW")
    simulation.wait_for("it discharges", lambda: simulation.steady(-5_000.0))
    pulled_unix_s = time.time()
    simulation.ask(do="unplug", evse_id="US*V2G*E1")
    (lost, *_) = simulation.wait_for(
        "the link is lost", lambda: lines_since(simulation, pulled_unix_s, "PLC_LINK_LOST"), 5
    )
    note("the plug is pulled", "link loss seen after", f"{at(lost) - pulled_unix_s:.2f} s")
    assert at(lost) - pulled_unix_s <= 1.0
    simulation.wait_for("no power", simulation.no_power, 5)
    simulation.wait_for("it plugs in, is matched and charges again", simulation.charge_loops, 60)
    assert simulation.log("comms.log").count("PLC_LINK ") >= 2
