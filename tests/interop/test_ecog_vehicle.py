"""EcoG's vehicle against the whole daemon: a dispatch order reverses the current, and the vehicle sees it."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import Any

import pytest

pytestmark = pytest.mark.interop

FOREIGN = "US*V2G*EF1"
OURS = "US*V2G*E1"


def in_charge_loop(site: Any, evse_id: str) -> bool:
    session = site.evse(evse_id).get("session") or {}
    return session.get("state") in {"charging", "discharging"}


def discharge_is_seen_within_2_s(site: Any, vehicle: Any) -> None:
    site.wait_for("the peer's first loop requests", lambda: vehicle.requests() > 3, 10)
    ordered_at = time.monotonic()
    order = site.command("v2g-control", "--dispatch", "--mode=discharge", "--power=10kW", "--evse", FOREIGN)
    assert order.returncode == 0, order.stdout + order.stderr
    site.wait_for("a negative EVSEPresentCurrent", lambda: min(vehicle.loop_currents_a(), default=0) < -20, 5)
    site.wait_for("-10 kW at the plant", lambda: abs(site.plant_w(FOREIGN) + 10_000) <= 200, 5)
    took_s = time.monotonic() - ordered_at
    print(f"negative EVSEPresentCurrent at the peer and -10 kW at the plant {took_s:.2f} s after the order")
    assert took_s < 2.0


@pytest.mark.parametrize(("profile", "tls"), [("plain", "none"), ("compat", "tls-enforced")])
def test_peer_vehicle_discharges_10_kw_on_one_command(
    start_site: Any, start_peer_vehicle: Any, profile: str, tls: str
) -> None:
    site = start_site(profile=profile)
    vehicle = start_peer_vehicle(tls=tls, loops=200)
    site.wait_for("the peer's charge loop", lambda: in_charge_loop(site, FOREIGN))

    discharge_is_seen_within_2_s(site, vehicle)

    site.wait_for("SessionStop", lambda: "SessionStopRes received" in vehicle.log, 60)
    site.wait_for("the end of the session in comms.log", lambda: "SESSION_STOPPED" in site.log("comms.log"), 5)


def test_peer_vehicle_with_its_p256_certificate_is_refused_in_strict(start_site: Any, start_peer_vehicle: Any) -> None:
    site = start_site(profile="strict")
    assert site.evse(FOREIGN)["tls"] == "strict"
    start_peer_vehicle(tls="tls-enforced", loops=5)
    refusal = re.compile(rf"WARNING: \S+ .*{re.escape(FOREIGN)}: connection of \S+ failed: \[SSL: .*profile strict")
    line = site.wait_for("the refusal in comms.log", lambda: refusal.search(site.log("comms.log")))
    print(line[0])
    assert "SESSION_START" not in site.log("comms.log")


def test_vehicle_that_is_silent_for_a_second_in_the_loop_ends_in_secc_timeout(
    start_site: Any, start_peer_vehicle: Any
) -> None:
    site = start_site(profile="plain", loop_timeout_s=0.5)
    start_peer_vehicle(tls="none", loops=5, delay_s=1)
    site.wait_for("the timeout in comms.log", lambda: re.search(r"ERROR: SECC_TIMEOUT", site.log("comms.log")))


def test_peer_in_compat_and_ours_in_strict_are_served_by_one_process(start_site: Any, start_peer_vehicle: Any) -> None:
    site = start_site(profile="compat", vehicles=1)
    site.wait_for("our vehicle's charge loop", lambda: in_charge_loop(site, OURS))
    vehicle = start_peer_vehicle(tls="tls-enforced", loops=200)
    site.wait_for("the peer's charge loop", lambda: in_charge_loop(site, FOREIGN))

    order = site.command("v2g-control", "--dispatch", "--mode=discharge", "--power=10kW")
    assert order.returncode == 0, order.stdout + order.stderr

    site.wait_for("both to discharge", lambda: both_discharge(site), 5)
    assert site.evse(OURS)["tls"] == "strict"
    assert site.evse(FOREIGN)["tls"] == "compat"
    assert min(vehicle.loop_currents_a(), default=0) < 0


def test_peer_vehicle_in_scheduled_mode_charges_by_our_schedule_and_within_its_grant(
    start_site: Any, start_peer_vehicle: Any
) -> None:
    site = start_site(profile="plain")
    vehicle = start_peer_vehicle(tls="none", loops=200, mode="scheduled")
    site.wait_for("the peer's charge loop", lambda: in_charge_loop(site, FOREIGN))
    assert "SCHEDULE_OFFERED" in site.log("comms.log")
    site.wait_for("the peer's first loop requests", lambda: vehicle.requests() > 3, 10)
    order = site.command("v2g-control", "--dispatch", "--mode=charge", "--power=6kW", "--evse", FOREIGN)
    assert order.returncode == 0, order.stdout + order.stderr
    site.wait_for("a limit of 6 kW at the peer", lambda: 6_000.0 in vehicle.numbers("EVSEMaximumChargePower"), 5)
    site.wait_for("power at the plant", lambda: site.plant_w(FOREIGN) > 100.0, 5)
    assert site.plant_w(FOREIGN) < 6_200.0
    site.wait_for("SessionStop", lambda: "SessionStopRes received" in vehicle.log, 60)
    site.wait_for("the end of the session in comms.log", lambda: "SESSION_STOPPED" in site.log("comms.log"), 5)


@pytest.mark.parametrize(
    ("on_stop", "profile", "tls"), [("terminate", "compat", "tls-enforced"), ("pause", "plain", "none")]
)
def test_peer_vehicle_reaches_its_session_stop_when_the_daemon_stops_power_at_zero_before(
    start_site: Any, start_peer_vehicle: Any, on_stop: str, profile: str, tls: str
) -> None:
    """It breaks off at a Pause, and is told none: by configuration, or as it shows no certificate to be known by."""
    site = start_site(profile=profile, on_stop=on_stop)
    vehicle = start_peer_vehicle(tls=tls, loops=2000)
    site.wait_for("the peer's charge loop", lambda: in_charge_loop(site, FOREIGN))
    discharge_is_seen_within_2_s(site, vehicle)

    os.kill(site.daemon_pid(), signal.SIGTERM)

    site.wait_for("SessionStop", lambda: "SessionStopRes received" in vehicle.log, 25)
    site.wait_for("what became of it", lambda: "SESSION_DRAINED" in site.log("daemon.log"), 10)
    told = re.findall(r"DC_ChargeLoopRes.*", vehicle.log)
    asked = [line for line in told if re.search(r'"EVSENotification": ?"Terminate"', line)]
    assert asked, told[-1:]
    exponent, value = re.findall(r'"EVSEPresentCurrent": ?\{"Exponent": ?(-?\d+), ?"Value": ?(-?\d+)\}', asked[0])[0]
    assert abs(int(value) * 10.0 ** int(exponent)) < 1.0
    assert min(vehicle.loop_currents_a()) < -20.0
    assert "SESSION_STOPPED" in site.log("comms.log")
    assert "became=stopped" in site.log("daemon.log")


def both_discharge(site: Any) -> bool:
    """By their surplus over the minimum: the peer tells 10 % for ever, and gives the smaller part."""
    powers = [site.plant_w(evse_id) for evse_id in (OURS, FOREIGN)]
    return max(powers) < -500 and abs(sum(powers) + 10_000) <= 200
