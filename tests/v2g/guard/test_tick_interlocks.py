"""Emergency stop, door and lockout through the whole tick: when the breaker opens, what is latched, what resets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from support.tick_site import START_S, Contact
from v2g.guard.interlocks import Interlock
from v2g.guard.status import Permit
from v2g.guard.tick import PERIOD_S

IN_SERVICE_S = 2.0


def steady(duration_s: float, f: float = 60.0) -> dict[str, object]:
    return {"d": duration_s, "v": [1.0, 1.0, 1.0], "f": f, "r": None}


@pytest.fixture
def site(make_site):
    site = make_site([steady(12.0)], interlocks={"emergency_stop": Contact(), "door": Contact()})
    assert site.run_until(IN_SERVICE_S).permit is Permit.GRANTED
    return site


def first_open_command(site) -> float:
    """Seconds from the end of :data:`IN_SERVICE_S` to the first status with the breaker commanded open."""
    return next(
        status.as_of_s - START_S - IN_SERVICE_S
        for status in site.statuses
        if status.as_of_s > START_S + IN_SERVICE_S and not status.breaker_commanded_closed
    )


@pytest.mark.parametrize(("name", "element"), [("emergency_stop", "EMERGENCY_STOP"), ("door", "DOOR")])
def test_a_contact_that_opens_trips_within_two_ticks_and_is_latched(site, name: str, element: str) -> None:
    site.interlocks[name].closed = False
    status = site.run_until(IN_SERVICE_S + 0.1)
    assert first_open_command(site) <= 2 * PERIOD_S + 1e-6
    assert (status.permit, status.trip_element) == (Permit.TRIPPED, element)
    assert status.interlocks_open is Interlock[element]
    assert {"INTERLOCK_OPEN", "TRIP"} <= set(site.codes)
    site.interlocks[name].closed = True
    assert site.run_until(4.0).permit is Permit.TRIPPED
    site.start()
    assert site.run_until(6.0).permit is Permit.TRIPPED


def test_a_contact_that_bounces_for_one_tick_is_no_trip(site) -> None:
    for _ in range(5):
        site.interlocks["door"].closed = False
        site.run_until(site.elapsed_s + PERIOD_S)
        site.interlocks["door"].closed = True
        site.run_until(site.elapsed_s + PERIOD_S)
    assert site.run_until(3.0).permit is Permit.GRANTED
    assert not site.breaker.opened_at_s


def test_a_contact_that_chatters_with_every_tick_trips(site) -> None:
    for _ in range(60):
        site.interlocks["emergency_stop"].closed = not site.interlocks["emergency_stop"].closed
        site.run_until(site.elapsed_s + PERIOD_S)
    site.interlocks["emergency_stop"].closed = False
    status = site.run_until(site.elapsed_s + PERIOD_S)
    assert (status.permit, status.trip_element) == (Permit.TRIPPED, "EMERGENCY_STOP")
    site.interlocks["emergency_stop"].closed = True
    assert site.run_until(site.elapsed_s + PERIOD_S).interlocks_open is Interlock.EMERGENCY_STOP
    assert not site.run_until(site.elapsed_s + 0.2).interlocks_open


def test_a_reset_is_refused_while_it_is_pressed_and_afterwards_enter_service_starts_over(site) -> None:
    site.interlocks["emergency_stop"].closed = False
    site.run_until(2.5)
    reply = site.command("reset_trip")
    assert not reply.accepted
    assert "emergency stop pressed" in reply.message
    site.interlocks["emergency_stop"].closed = None
    site.run_until(2.6)
    assert "no word from the contact of the emergency stop" in site.command("reset_trip").message
    site.interlocks["emergency_stop"].closed = True
    site.run_until(2.7)
    assert site.command("reset_trip").accepted
    assert site.run_until(2.9).permit is Permit.ENTER_SERVICE_DELAY
    assert site.run_until(4.0).permit is Permit.GRANTED


def test_a_position_that_is_unknown_opens_at_once_latches_nothing_and_starts_over_when_it_is_back(site) -> None:
    site.interlocks["door"].closed = None
    status = site.run_until(IN_SERVICE_S + 0.1)
    assert first_open_command(site) <= PERIOD_S + 1e-6
    assert (status.permit, status.interlocks_lost) == (Permit.INTERLOCK, Interlock.DOOR)
    assert site.latch.trip is None
    assert any("INTERLOCK_LOST no word from the contact of the door" in line for line in site.told)
    site.interlocks["door"].closed = True
    assert site.run_until(2.3).permit is Permit.ENTER_SERVICE_DELAY
    assert site.run_until(4.0).permit is Permit.GRANTED
    assert site.codes.count("INTERLOCK_BACK") == 1


def test_open_at_the_start_is_a_trip_and_unknown_at_the_start_is_no_permit(make_site) -> None:
    site = make_site([steady(6.0)], interlocks={"door": Contact(None)})
    assert site.run_until(1.0).permit is Permit.INTERLOCK
    assert "INTERLOCK_LOST" not in site.codes, "nobody has told it yet"
    site.run_until(2.5)
    assert "INTERLOCK_LOST" in site.codes
    site.interlocks["door"].closed = False
    assert site.run_until(3.0).trip_element == "DOOR"
    assert not any(status.breaker_commanded_closed for status in site.statuses)


def test_a_contact_that_closes_for_bad_news_is_read_the_other_way_round(site) -> None:
    site.new_settings = lambda: replace(site.settings(), healthy_open=frozenset({"door"}))
    site.interlocks["door"].closed = False
    assert site.command("adopt_settings").accepted
    site.run_until(site.elapsed_s + 0.1)
    site.interlocks["door"].closed = True
    assert site.run_until(site.elapsed_s + 0.1).interlocks_open is Interlock.DOOR


def test_an_emergency_stop_behind_another_trip_is_shown_and_keeps_the_reset_away(make_site) -> None:
    site = make_site([steady(IN_SERVICE_S), steady(0.5, f=63.0), steady(8.0)], interlocks={"emergency_stop": Contact()})
    tripped = site.run_until(4.0).trip_element
    assert tripped.startswith("OF")
    site.interlocks["emergency_stop"].closed = False
    status = site.run_until(4.2)
    assert (status.trip_element, status.interlocks_open) == (tripped, Interlock.EMERGENCY_STOP)
    assert not site.command("reset_trip").accepted


class TestLockout:
    def test_it_opens_stays_across_a_restart_and_no_reset_releases_it(self, site) -> None:
        reply = site.command("lockout", note="replacing CT 2")
        assert reply.accepted
        assert [(lock.by, lock.note) for lock in reply.locks] == [("anna", "replacing CT 2")]
        status = site.run_until(3.0)
        assert (status.permit, status.locked_by) == (Permit.LOCKOUT, "anna")
        assert first_open_command(site) <= 2 * PERIOD_S + 1e-6
        site.start()
        assert site.run_until(5.0).permit is Permit.LOCKOUT
        assert site.command("reset_trip").accepted
        assert site.run_until(6.0).permit is Permit.LOCKOUT
        assert site.command("lockout", enabled=False).accepted
        assert site.run_until(8.0).permit is Permit.GRANTED
        assert {"LOCKOUT_ON", "LOCKOUT_OFF"} <= set(site.codes)

    def test_each_takes_away_his_own_lock_and_anothers_only_by_name(self, site) -> None:
        lockout = site.tick._lockout
        lockout.lock("ben", "", 5.0)
        site.command("lockout")
        assert "still locked out by ben" in site.command("lockout", enabled=False).message
        reply = site.command("lockout", enabled=False)
        assert not reply.accepted
        assert "anna has no lock here: locks are on by ben" in reply.message
        assert site.run_until(3.0).locked_by == "ben"
        assert site.command("lockout", enabled=False, name="ben").accepted
        assert site.run_until(5.0).permit is Permit.GRANTED

    def test_what_cannot_be_kept_is_locked_all_the_same_and_not_taken_away(self, site) -> None:
        lockout = site.tick._lockout
        kept = lockout.path
        lockout.path = site.latch_path / "absent" / "x.json"
        reply = site.command("lockout")
        assert reply.accepted
        assert "a restart would forget it" in reply.message
        assert site.run_until(3.0).permit is Permit.LOCKOUT
        lockout.path = kept
        site.command("lockout")
        lockout.path = Path("/proc/self/mem/x.json")
        reply = site.command("lockout", enabled=False)
        assert not reply.accepted
        assert "the lock stays" in reply.message
        assert site.run_until(4.0).permit is Permit.LOCKOUT

    def test_a_file_that_cannot_be_read_is_a_lock(self, site) -> None:
        site.latch_path.with_name("lockout.json").write_text("{")
        site.start()
        assert site.run_until(4.0).locked_by == "lockout-file"
        assert site.command("lockout", enabled=False, name="lockout-file").accepted
        assert site.run_until(6.0).permit is Permit.GRANTED

    def test_who_when_and_why_are_kept(self, site) -> None:
        site.command("lockout", note="CT 2")
        kept = json.loads(site.latch_path.with_name("lockout.json").read_text())["locks"]
        assert [(lock["by"], lock["note"]) for lock in kept] == [("anna", "CT 2")]
        assert kept[0]["unix_s"] > 1.7e9
        assert site.command("show_lockout").locks[0].by == "anna"
