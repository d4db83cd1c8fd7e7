from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.firewall_kernel import HERE, FakeNft, FakeWatcher, rules
from v2g.clock import ManualClock
from v2g.host.firewall.nft import FirewallError
from v2g.host.firewall.state import Applied, Confirmed, Login, Pending, Place, StateDir
from v2g.host.firewall.transaction import Looked, Transactions
from v2g.host.firewall.watcher import watch

MAC = "00:e0:4c:68:00:1d"


class Host:
    def __init__(self, folder: Path) -> None:
        self.nft = FakeNft()
        self.state = StateDir(folder / "state")
        self.clock = ManualClock()
        self.watcher = FakeWatcher()
        self.told: list[str] = []
        self.at = self.booted(HERE)

    def booted(self, place: Place) -> Transactions:
        return Transactions(
            self.nft, self.state, place, self.clock, self.watcher, lambda code, words: self.told.append(code)
        )

    def apply(self, name: str, within_s: float | None = 60.0, login: Login | None = None) -> None:
        self.at.apply(lambda features: rules(name), within_s, login)

    @property
    def in_force(self) -> str:
        return self.nft.rules.partition("\t# ")[2].partition("\n")[0]

    @property
    def confirmed(self) -> str:
        found = self.state.read(Confirmed)
        return found.text.split()[1] if found is not None else ""

    @property
    def pending(self) -> Pending | None:
        return self.state.read(Pending)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_without_a_time_the_rules_hold_at_once(host: Host) -> None:
    host.apply("a", None)
    assert (host.in_force, host.confirmed, host.pending, host.watcher.started) == ("a", "a", None, [])


def test_confirmed_rules_hold_and_are_what_a_boot_puts(host: Host) -> None:
    host.apply("a", None)
    host.apply("b")
    assert (host.in_force, host.confirmed) == ("b", "a")
    host.at.confirm()
    assert (host.in_force, host.confirmed, host.pending) == ("b", "b", None)
    assert host.told == ["FIREWALL_APPLIED", "FIREWALL_APPLIED", "FIREWALL_CONFIRMED"]


def test_the_watcher_is_at_work_before_anything_is_changed(host: Host) -> None:
    host.apply("a", None)
    host.watcher.fails = True
    with pytest.raises(FirewallError, match="nothing was changed"):
        host.apply("b")
    assert (host.in_force, host.pending) == ("a", None)


def test_what_the_kernel_refuses_changes_nothing(host: Host) -> None:
    host.apply("a", None)
    with pytest.raises(FirewallError, match="syntax error"):
        host.apply("syntax error")
    host.nft.refuses = True
    with pytest.raises(FirewallError):
        host.apply("b")
    assert (host.in_force, host.pending, host.confirmed) == ("a", None, "a")


def test_a_refused_apply_leaves_an_earlier_one_pending(host: Host) -> None:
    host.apply("a", None)
    host.apply("b")
    earlier = host.pending
    host.nft.refuses = True
    with pytest.raises(FirewallError):
        host.apply("c")
    assert host.pending == earlier


def test_the_watcher_rolls_back_at_the_deadline(host: Host) -> None:
    host.apply("a", None)
    host.apply("b", 60.0)
    pending = host.watcher.started[0]
    began_s = host.clock.monotonic_s()
    assert watch(host.at, host.state, pending.id, pending.deadline_s, host.clock)
    assert host.clock.monotonic_s() - began_s == pytest.approx(60.0)
    assert (host.in_force, host.pending, host.told[-1]) == ("a", None, "FIREWALL_ROLLED_BACK")
    applied = host.state.read(Applied)
    assert applied is not None
    assert applied.text == rules("a")


def test_the_time_to_confirm_begins_when_the_rules_are_in_force(host: Host) -> None:
    """Many rules on a slow machine take longer than the time that was asked for."""
    host.apply("a", None)
    load = host.nft.load

    def slow(text: str) -> None:
        host.clock.advance(100.0)
        load(text)

    host.nft.load = slow  # type: ignore[method-assign]
    host.apply("b", 60.0)
    pending, started = host.pending, host.watcher.started[0]
    assert pending is not None
    assert pending.deadline_s == host.clock.monotonic_s() + 60.0
    assert host.at.roll_back_if_due(started.id) == Looked(rolled_back=False, until_s=pending.deadline_s)
    host.nft.load = load  # type: ignore[method-assign]
    assert watch(host.at, host.state, started.id, started.deadline_s, host.clock)
    assert host.clock.monotonic_s() == pytest.approx(pending.deadline_s)
    assert host.in_force == "a"


def test_the_first_rules_are_rolled_back_to_none(host: Host) -> None:
    host.apply("a")
    pending = host.watcher.started[0]
    assert watch(host.at, host.state, pending.id, pending.deadline_s, host.clock)
    assert (host.nft.rules, host.state.read(Applied)) == ("", None)


class Interrupted(ManualClock):
    """The host's clock, and something happens at a time."""

    def __init__(self, clock: ManualClock, at_s: float, what: Callable[[], None]) -> None:
        self._clock = clock
        self._at_s = at_s + clock.monotonic_s()
        self._what: Callable[[], None] | None = what

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

    def sleep_until(self, deadline_s: float) -> None:
        self._clock.sleep_until(deadline_s)
        if self._what is not None and self.monotonic_s() >= self._at_s:
            what, self._what = self._what, None
            what()


def test_a_watcher_of_confirmed_rules_ends_without_a_word(host: Host) -> None:
    host.apply("a")
    pending = host.watcher.started[0]
    began_s = host.clock.monotonic_s()
    assert not watch(
        host.at, host.state, pending.id, pending.deadline_s, Interrupted(host.clock, 10.0, host.at.confirm)
    )
    assert host.clock.monotonic_s() - began_s < 12.0
    assert host.in_force == "a"
    assert host.watcher.stopped == [pending.id]


def test_a_state_that_cannot_be_read_for_a_while_is_no_confirmation(host: Host) -> None:
    host.apply("a", None)
    host.apply("b")
    pending = host.watcher.started[0]
    path = host.state.path / "pending.json"
    kept = path.read_bytes()

    def damage() -> None:
        path.write_bytes(b"{")

    class Mended(Interrupted):
        def sleep_until(self, deadline_s: float) -> None:
            super().sleep_until(deadline_s)
            if self.monotonic_s() >= pending.deadline_s:
                path.write_bytes(kept)

    assert watch(host.at, host.state, pending.id, pending.deadline_s, Mended(host.clock, 10.0, damage))
    assert host.in_force == "a"


def test_a_rollback_that_fails_is_tried_again(host: Host) -> None:
    host.apply("a", None)
    host.apply("b")
    pending = host.watcher.started[0]
    host.nft.refuses = True

    def mend() -> None:
        host.nft.refuses = False

    assert watch(host.at, host.state, pending.id, pending.deadline_s, Interrupted(host.clock, 75.0, mend))
    assert host.in_force == "a"


def test_a_rollback_that_fails_for_a_minute_is_told(host: Host) -> None:
    host.apply("a", None)
    host.apply("b")
    pending = host.watcher.started[0]
    host.nft.refuses = True
    with pytest.raises(FirewallError):
        watch(host.at, host.state, pending.id, pending.deadline_s, host.clock)
    assert host.pending is not None


def test_two_unconfirmed_ones_go_back_to_what_was_before_both(host: Host) -> None:
    host.apply("a", None)
    host.apply("b", 60.0)
    host.apply("c", 60.0)
    first, second = host.watcher.started
    assert host.watcher.stopped == [first.id]
    host.clock.advance(61.0)
    assert host.at.roll_back_if_due(first.id) == Looked(rolled_back=False, until_s=None)
    assert host.in_force == "c"
    assert host.at.roll_back_if_due(second.id).rolled_back
    assert host.in_force == "a"


def test_an_overdue_rollback_whose_watcher_is_gone_is_done_by_the_next_command(host: Host) -> None:
    host.apply("a", None)
    host.apply("b", 60.0)
    host.clock.advance(61.0)
    with pytest.raises(FirewallError, match="the rules from before are in force again"):
        host.at.confirm()
    assert (host.in_force, host.pending) == ("a", None)


def test_an_apply_after_an_overdue_one_starts_from_the_rules_from_before(host: Host) -> None:
    host.apply("a", None)
    host.apply("b", 60.0)
    host.clock.advance(61.0)
    host.apply("c", 60.0)
    assert host.at.roll_back()
    assert host.in_force == "a"


@pytest.mark.parametrize("place", [Place(boot_id="boot-2", netns=7), Place(boot_id="boot-1", netns=8)])
def test_what_was_pending_elsewhere_or_before_a_boot_touches_nothing(host: Host, place: Place) -> None:
    host.apply("a", None)
    host.apply("b", 60.0)
    host.clock.advance(61.0)
    there = host.booted(place)
    assert not there.roll_back()
    with pytest.raises(FirewallError, match="nothing to confirm"):
        there.confirm()
    assert host.in_force == "b"


def test_the_connection_that_applied_does_not_confirm(host: Host) -> None:
    old, new = Login(pid=10, began=1), Login(pid=11, began=2)
    host.apply("a", 60.0, old)
    with pytest.raises(FirewallError, match="open a new one"):
        host.at.confirm(old)
    assert host.pending is not None
    host.at.confirm(new)
    assert host.confirmed == "a"


def test_at_the_console_one_may_confirm_at_once(host: Host) -> None:
    host.apply("a", 60.0, None)
    host.at.confirm(None)
    assert host.confirmed == "a"


def test_admitted_vehicles_stay_through_apply_and_rollback_for_what_is_left(host: Host) -> None:
    host.apply("a", None)
    host.nft.admitted = {"plc_macs_evse1": {MAC: (43200, 500)}, "plc_macs_gone": {MAC: (43200, 500)}}
    host.apply("b")
    assert host.nft.admitted == {"plc_macs_evse1": {MAC: (43200, 500)}}
    host.nft.admitted = {"plc_macs_evse1": {MAC: (43200, 400)}}
    assert host.at.roll_back()
    assert host.nft.admitted == {"plc_macs_evse1": {MAC: (43200, 400)}}
    assert "flush set inet v2g plc_macs_evse1\n" in host.nft.loads[-1]
