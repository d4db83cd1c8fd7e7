"""An inverter that trips by itself behind the closed breaker waits before it gets power; the site does not twice."""

from __future__ import annotations

import pytest

from support.wires import E1, T0, core_with, guard, inverter, output, setpoints
from v2g.guard.wires_core import WiresCore

DELAY_S = 300.0


class Rig:
    def __init__(self) -> None:
        self.core: WiresCore = core_with(enter_service_delay_s=DELAY_S)
        self.now_s = T0
        self.sequence = 1

    def see(self, connected: bool, after_s: float = 0.2, permit: bool = True) -> tuple[float, str | None]:
        """One reading ``after_s`` later, and what is commanded then."""
        self.now_s += after_s
        self.sequence += 1
        self.core.accept(setpoints(sequence=self.sequence, now_s=self.now_s), self.now_s)
        self.core.observe_output(output(as_of_s=self.now_s))
        self.core.observe_inverter(inverter(as_of_s=self.now_s, connected=connected))
        applied = self.core.decide_one(E1, guard(permit=permit), self.now_s).applied
        return applied.power_w, applied.bound_by


@pytest.fixture
def rig() -> Rig:
    made = Rig()
    assert made.see(connected=True) == (-10_000, None)
    return made


def test_it_waits_the_sites_delay_from_when_it_is_connected_again(rig: Rig) -> None:
    assert rig.see(connected=False) == (0, "device_fault")
    assert rig.see(connected=False, after_s=50) == (0, "device_fault")
    assert rig.see(connected=True) == (0, "enter_service")
    assert rig.core.next_change_s(rig.now_s + 100) == rig.now_s + DELAY_S
    assert rig.see(connected=True, after_s=DELAY_S - 0.1) == (0, "enter_service")
    assert rig.see(connected=True) == (-10_000, None)


def test_leaving_again_starts_the_delay_anew(rig: Rig) -> None:
    rig.see(connected=False)
    rig.see(connected=True)
    rig.see(connected=False, after_s=200)
    assert rig.see(connected=True) == (0, "enter_service")
    assert rig.see(connected=True, after_s=DELAY_S - 0.1) == (0, "enter_service")
    assert rig.see(connected=True) == (-10_000, None)


def test_what_the_open_breaker_disconnected_does_not_wait_a_second_time(rig: Rig) -> None:
    rig.see(connected=True, permit=False)
    rig.see(connected=False, permit=False)
    assert rig.see(connected=False) == (0, "device_fault"), "the breaker is closed; the inverter starts"
    assert rig.see(connected=True) == (-10_000, None)
    rig.see(connected=False)
    assert rig.see(connected=True) == (0, "enter_service"), "the next time is its own"


def test_an_inverter_that_sees_the_breaker_open_before_the_guards_word_does_not_wait(rig: Rig) -> None:
    rig.see(connected=False)
    rig.see(connected=False, permit=False)
    assert rig.see(connected=True) == (-10_000, None)


def test_the_guards_enter_service_stands_for_one_that_runs(rig: Rig) -> None:
    rig.see(connected=False)
    assert rig.see(connected=True) == (0, "enter_service")
    rig.see(connected=True, permit=False)
    assert rig.see(connected=True) == (-10_000, None)


def test_one_that_was_out_of_service_when_wires_started_waits() -> None:
    rig = Rig()
    rig.see(connected=False)
    assert rig.see(connected=True) == (0, "enter_service")


def test_without_a_delay_it_gets_its_power_at_once() -> None:
    rig = Rig()
    rig.core.enter_service_delay_s = 0.0
    rig.see(connected=False)
    assert rig.see(connected=True) == (-10_000, None)
