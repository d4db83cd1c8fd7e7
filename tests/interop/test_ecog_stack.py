"""The package alone against EcoG's stack, in both directions: every energy service, control mode and transport."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.ecog import Cell, Ours, Peer, PeerKit, wait_for
from support.interop_table import CELLS, Row, Table

pytestmark = pytest.mark.interop

TURNS = 22
SESSION_S = 60.0
PEER_VEHICLE = "EcoG's vehicle at our station"
OUR_VEHICLE = "Our vehicle at EcoG's station"
DISCHARGE_AT_OUR_STATION = {
    ("AC_BPT", "dynamic"): ("EVSETargetActivePower", -10_000.0),
    ("DC_BPT", "dynamic"): ("EVSEPresentCurrent", -25.0),
}
DISCHARGE_AT_THE_PEERS_STATION = {
    ("AC_BPT", "scheduled"): ("EVPresentActivePower", -10_000.0),
    ("AC_BPT", "dynamic"): ("EVPresentActivePower", -10_000.0),
    # 10 kW are wanted, the peer's simulator allows 1 kW.
    ("DC_BPT", "scheduled"): ("EVTargetCurrent", -2.5),
}
"""What the peer's log shows of the discharge, where a message of this service and mode can show it."""


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    kept = Table()
    yield kept
    kept.write()


def story(ours: Ours, peer: Peer) -> Callable[[], str]:
    return lambda: f"--- ours\n{ours.story()}\n--- peer\n{peer.complaints()}"


def wait_for_the_end(ours: Ours, peer: Peer, peers_end: str) -> None:
    """Of the session, as both see it; or of ours alone, which then says why."""
    explain = story(ours, peer)
    wait_for("SessionEnded", lambda: "SessionEnded" in ours.log or ours.process.poll() is not None, explain, SESSION_S)
    ended = ours.one("SessionEnded")
    assert ended["reason"] == "SESSION_STOPPED", explain()
    wait_for(peers_end, lambda: peers_end in peer.log, explain, 5)


def judged(title: str, cell: Cell, ours: Ours, peer: Peer, began: float) -> Row:
    """The session as both sides' logs have it; our turns and the peer's are the same ones."""
    kind = "Ac" if cell.ac else "Dc"
    selected = ours.one("EnergyServiceSelected")
    assert (selected["service"], selected["control_mode"]) == (cell.service, cell.mode.upper())
    assert (ours.one("Connected")["cipher"] is not None) is cell.tls

    turn = "Received" if title.startswith(PEER_VEHICLE) else "Answered"
    turns = len(ours.all(f"{kind}ChargeLoop{turn}"))
    assert turns >= 20
    assert peer.count(cell.loop_element("Req")) == turns
    assert peer.count(cell.loop_element("Res")) == turns
    shown = DISCHARGE_AT_OUR_STATION if title.startswith(PEER_VEHICLE) else DISCHARGE_AT_THE_PEERS_STATION
    if expected := shown.get((cell.service, cell.mode)):
        element, least = expected
        assert min(peer.numbers(element)) == least
    session_s = ours.one("SessionEnded")["at_s"] - ours.one("SessionStarted")["at_s"]
    return Row(title, cell, turns, session_s, time.monotonic() - began)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_peer_vehicle_charges_at_our_station(
    cell: Cell, start_our_station: Any, start_peer_vehicle: Any, table: Table
) -> None:
    began = time.monotonic()
    station = start_our_station(ac=cell.ac, tls=cell.tls)
    vehicle = start_peer_vehicle(
        tls="tls-enforced" if cell.tls else "none", loops=TURNS, service=cell.service, mode=cell.mode
    )

    wait_for_the_end(station, vehicle, "SessionStopRes received")

    table.add(judged(PEER_VEHICLE, cell, station, vehicle, began))


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_our_vehicle_charges_at_the_peers_station(
    cell: Cell, start_peer_station: Any, start_our_vehicle: Any, table: Table
) -> None:
    began = time.monotonic()
    station = start_peer_station()
    vehicle = start_our_vehicle(cell, turns=TURNS)

    wait_for_the_end(vehicle, station, "Sent SessionStopRes")

    table.add(judged(OUR_VEHICLE, cell, vehicle, station, began))


def test_peer_vehicle_pays_with_its_contract_at_our_station(
    start_our_station: Any, start_peer_vehicle: Any, peer_kit: PeerKit, table: Table
) -> None:
    began, cell = time.monotonic(), Cell("DC_BPT", "dynamic", True)
    station = start_our_station(ac=False, tls=True, contract_roots=str(peer_kit.certs / "moRootCACert.pem"))
    vehicle = start_peer_vehicle(tls="tls-enforced", loops=TURNS)

    wait_for_the_end(station, vehicle, "SessionStopRes received")

    assert station.one("SignatureVerified") | {"at_s": 0} == {
        "at_s": 0,
        "event": "SignatureVerified",
        "message": "AuthorizationReq",
        "signed_info_form": "xmldsig",
    }
    assert station.one("AuthorizationRequested")["emaid"] == peer_kit.emaid
    table.add(judged(f"{PEER_VEHICLE}, Plug and Charge", cell, station, vehicle, began))


def test_our_vehicle_pays_with_a_contract_at_the_peers_station(
    start_peer_station: Any, start_our_vehicle: Any, peer_kit: PeerKit, tmp_path: Any, table: Table
) -> None:
    began, cell = time.monotonic(), Cell("DC_BPT", "dynamic", True)
    station = start_peer_station(authorization="PNC")
    vehicle = start_our_vehicle(cell, turns=TURNS, contract=peer_kit.contract(tmp_path))

    wait_for_the_end(vehicle, station, "Sent SessionStopRes")

    assert station.count('"SelectedAuthorizationService":"PnC"') == 1
    # Said of a chain only after the signature held.
    assert station.count("not used to verify signatures along the certificate chain") == 1
    table.add(judged(f"{OUR_VEHICLE}, Plug and Charge", cell, vehicle, station, began))


def test_peer_vehicle_in_scheduled_mode_is_seen_discharging(start_our_station: Any, start_peer_vehicle: Any) -> None:
    station = start_our_station(ac=False, tls=False)
    vehicle = start_peer_vehicle(tls="none", loops=TURNS, mode="scheduled", PEER_DC_POWER="-10000")

    wait_for_the_end(station, vehicle, "SessionStopRes received")

    asked = {event["target_current_a"] for event in station.all("DcChargeLoopReceived")}
    assert asked == {-25.0}
    seen = vehicle.loop_currents_a()
    assert min(seen) == -25.0, seen


def test_peer_vehicle_leaves_the_mobility_needs_to_our_station(start_our_station: Any, start_peer_vehicle: Any) -> None:
    station = start_our_station(ac=False, tls=False)
    vehicle = start_peer_vehicle(tls="none", loops=TURNS, mode="dynamic-secc")

    wait_for_the_end(station, vehicle, "SessionStopRes received")

    assert station.one("EnergyServiceSelected")["mobility_needs_mode"] == "BY_SECC"
    assert station.one("ScheduleRequested")["control_mode"] == "DYNAMIC"
    assert vehicle.count('"MinimumSOC":30,"TargetSOC":80') >= 20


def test_our_vehicle_leaves_the_mobility_needs_to_the_peers_station(
    start_peer_station: Any, start_our_vehicle: Any
) -> None:
    station = start_peer_station()
    vehicle = start_our_vehicle(Cell("DC_BPT", "dynamic", False), turns=TURNS, needs="BY_SECC")

    wait_for_the_end(vehicle, station, "Sent SessionStopRes")

    assert vehicle.one("EnergyServiceSelected")["mobility_needs_mode"] == "BY_SECC"
    needs = vehicle.all("MobilityNeedsReceived")[0]["needs"]
    assert (needs["departure_time_s"], needs["min_soc_pct"], needs["target_soc_pct"]) == (7200, 30, 80)


def test_peer_vehicle_stops_when_our_station_asks_it_to(start_our_station: Any, start_peer_vehicle: Any) -> None:
    station = start_our_station(ac=True, tls=False, stop_after=TURNS)
    vehicle = start_peer_vehicle(tls="none", loops=10 * TURNS, service="AC_BPT")

    wait_for_the_end(station, vehicle, "SessionStopRes received")

    assert vehicle.requests() in (TURNS, TURNS + 1)
    assert vehicle.count('"EVSENotification":"Terminate"') >= 1
