"""A drain: power first, then the vehicles, then those that stay; each step bounded."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from pyiso15118.messages.common_types import evseNotificationType
from v2g.sessions.drain import (
    END_WITHIN_S,
    GRACE_S,
    RAMP_AT_MOST_S,
    RELEASE_WITHIN_S,
    ZERO_WITHIN_S,
    Drain,
    Seen,
    Stage,
)

PAUSE, TERMINATE = evseNotificationType.Pause, evseNotificationType.Terminate
DELAY_S = 5
EMPTY = Seen(in_session=False, power_w=0.0, released=True)


@dataclass
class Rig:
    """EVSEs whose power follows the drain's share of 10 kW, and vehicles that do what a test says."""

    pause: bool = True
    ramp_pu_s: float = 0.5
    now: float = 1000.0
    seen: dict[str, Seen] = field(default_factory=lambda: {"E1": Seen(in_session=True, power_w=-10e3, released=False)})
    follows: bool = True
    ended: list[tuple[str, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.drain = Drain(pause=self.pause, delay_s=DELAY_S, ramp_pu_s=self.ramp_pu_s, began_at_s=self.now)
        self.began = self.now

    def run(self, for_s: float) -> None:
        for _ in range(round(for_s / 0.1)):
            self.now += 0.1
            if self.follows:
                power_w = -10e3 * self.drain.share(self.now)
                self.seen = {
                    evse_id: Seen(in_session=True, power_w=power_w, released=False) if each.in_session else each
                    for evse_id, each in self.seen.items()
                }
            if ended := self.drain.step(self.seen, self.now):
                self.ended.append(ended)

    def until(self, stage: Stage, limit_s: float = 40.0) -> float:
        """Seconds since its beginning."""
        while self.drain.stage is not stage:
            assert self.now - self.began < limit_s, self.drain.stage
            self.run(0.1)
        return self.now - self.began

    def asked(self, evse_id: str = "E1") -> tuple[evseNotificationType, int] | None:
        parting = self.drain.parting(evse_id, self.now)
        return None if parting is None else (parting.notification, parting.within_s)


def test_power_falls_by_the_ramp_and_nobody_is_asked_before_it_is_zero() -> None:
    rig = Rig()
    shares = []
    while rig.drain.stage is Stage.RAMP:
        shares.append(rig.drain.share(rig.now))
        assert rig.asked() is None
        rig.run(0.1)
    assert shares[0] == 1.0
    assert shares[10] == pytest.approx(0.5, abs=0.06)
    assert shares == sorted(shares, reverse=True)
    assert rig.now - rig.began == pytest.approx(2.0, abs=0.15)
    assert abs(rig.seen["E1"].power_w or 0.0) < 100.0
    assert rig.asked() == (PAUSE, DELAY_S)


def test_a_slow_ramp_of_the_site_does_not_make_a_stop_slow() -> None:
    assert Rig(ramp_pu_s=0.002).until(Stage.ASKED) <= RAMP_AT_MOST_S + 0.2


def test_power_that_is_not_known_is_not_zero_but_is_not_waited_for_for_ever() -> None:
    rig = Rig(follows=False, seen={"E1": Seen(in_session=True, power_w=None, released=False)})
    assert rig.until(Stage.ASKED) == pytest.approx(2.0 + ZERO_WITHIN_S, abs=0.15)


def test_a_vehicle_is_asked_only_when_its_own_side_rests_too_or_after_all_that_it_is_waited_for() -> None:
    rig = Rig(follows=False, seen={"E1": Seen(in_session=True, power_w=0.0, rests=False, released=False)})
    rig.run(3.0)
    assert rig.asked() is None
    rig.seen["E1"] = Seen(in_session=True, power_w=0.0, released=False)
    rig.run(0.1)
    assert rig.asked() is not None


def test_the_time_that_a_vehicle_has_counts_down() -> None:
    rig = Rig()
    rig.until(Stage.ASKED)
    rig.run(3.0)
    assert rig.asked() == (PAUSE, 2)


def test_vehicles_that_follow_end_it_and_it_waits_for_contactors() -> None:
    rig = Rig(seen={"E1": Seen(in_session=True, power_w=0.0, released=False), "E2": EMPTY})
    rig.until(Stage.ASKED)
    rig.seen["E1"] = Seen(in_session=False, power_w=0.0, released=False)
    rig.run(0.3)
    assert rig.drain.stage is Stage.RELEASE
    rig.seen["E1"] = EMPTY
    rig.run(0.1)
    assert rig.drain.over
    assert (rig.ended, rig.drain.forced) == ([], ())


def test_one_that_does_not_follow_a_pause_is_told_to_terminate_and_then_ended_once() -> None:
    rig = Rig()
    asked_s = rig.until(Stage.ASKED)
    assert rig.until(Stage.INSISTED) - asked_s == pytest.approx(DELAY_S + GRACE_S, abs=0.15)
    notification, within_s = rig.asked() or (None, 0)
    assert notification is TERMINATE
    assert 0 < within_s <= DELAY_S
    rig.until(Stage.RELEASE)
    assert rig.ended == [("E1",)]
    assert rig.drain.forced == ("E1",)
    rig.run(RELEASE_WITHIN_S + 0.2)
    assert rig.ended == [("E1",)]
    assert rig.drain.over


def test_terminate_is_asked_for_from_the_beginning_where_no_pause_is_wanted() -> None:
    rig = Rig(pause=False)
    rig.until(Stage.ASKED)
    assert rig.asked() == (TERMINATE, DELAY_S)


def test_one_that_could_not_come_back_to_a_pause_is_told_to_terminate_at_once() -> None:
    rig = Rig(
        follows=False,
        seen={
            "E1": Seen(in_session=True, power_w=0.0, released=False),
            "E2": Seen(in_session=True, power_w=0.0, released=False, may_pause=False),
        },
    )
    rig.until(Stage.ASKED)
    assert rig.asked("E1") == (PAUSE, DELAY_S)
    assert rig.asked("E2") == (TERMINATE, DELAY_S)


@pytest.mark.parametrize("ramp_pu_s", [0.002, 0.5, 10.0])
def test_all_of_it_is_bounded_even_when_nothing_obeys(ramp_pu_s: float) -> None:
    rig = Rig(follows=False, ramp_pu_s=ramp_pu_s)
    took_s = rig.until(Stage.OVER)
    assert took_s <= rig.drain.longest_s + 0.2
    assert took_s > DELAY_S + GRACE_S + END_WITHIN_S


def test_the_longest_configured_drain_fits_into_what_a_command_may_take() -> None:
    """``v2g.control.server.HANDLER_TIMEOUT_S``, and systemd's TimeoutStopSec beyond it."""
    assert Drain(pause=True, delay_s=10, ramp_pu_s=0.002, began_at_s=0.0).longest_s < 28.0


def test_nobody_there_is_over_at_once() -> None:
    rig = Rig(seen={"E1": EMPTY})
    rig.run(0.1)
    assert rig.drain.over


def test_no_power_is_granted_after_it_until_it_is_taken_away() -> None:
    rig = Rig(seen={"E1": EMPTY})
    rig.run(0.1)
    assert rig.drain.share(rig.now + 3600.0) == 0.0
