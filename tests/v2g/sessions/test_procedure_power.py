"""How much power a session lets flow: its vehicle's state of charge and minimum, and powers that contradict."""

from __future__ import annotations

from typing import Any

import pytest

from pyiso15118 import events as ev


@pytest.mark.parametrize(("soc_pct", "power_w"), [(60, -5_000.0), (30, 0.0), (None, 0.0)])
def test_min_soc_and_unknown_soc_forbid_discharge(rig: Any, soc_pct: int | None, power_w: float) -> None:
    rig.charge(soc_pct)
    rig.grant_w = -5_000.0
    assert rig.cycle().power_w == power_w
    rig.grant_w = 5_000.0
    assert rig.cycle().power_w == 5_000.0


def test_soc_that_is_not_repeated_holds_for_a_minute_and_then_is_unknown(rig: Any) -> None:
    rig.charge()
    rig.grant_w = -5_000.0
    for _ in range(590):
        rig.loop(None)
        assert rig.cycle().power_w == -5_000.0
    for _ in range(20):
        rig.loop(None)
        rig.cycle()
    assert rig.cycle().power_w == 0.0


V2X_RANGE: dict[str, Any] = {"min_v2x_energy_wh": -4_000.0, "max_v2x_energy_wh": 10_000.0}


@pytest.mark.parametrize(("min_energy_wh", "power_w"), [(-2_000.0, -5_000.0), (0.0, -5_000.0), (300.0, 0.0)])
def test_vehicle_without_soc_is_discharged_within_its_v2x_range_while_its_own_minimum_is_covered(
    rig: Any, min_energy_wh: float, power_w: float
) -> None:
    rig.charge(None)
    rig.loop(None, needs=ev.EnergyNeeds(min_energy_wh=min_energy_wh, **V2X_RANGE))
    rig.grant_w = -5_000.0
    assert rig.cycle().power_w == power_w
    rig.loop(None, needs=ev.EnergyNeeds(min_energy_wh=min_energy_wh))
    assert rig.cycle().power_w == 0.0


@pytest.mark.parametrize(("soc_pct", "max_energy_wh"), [(100, 5_000.0), (90, 0.0)])
def test_full_vehicle_is_not_charged(rig: Any, soc_pct: int, max_energy_wh: float) -> None:
    rig.charge()
    rig.loop(soc_pct, needs=ev.EnergyNeeds(max_energy_wh=max_energy_wh))
    rig.grant_w = 5_000.0
    assert rig.cycle().power_w == 0.0
    rig.grant_w = -5_000.0
    assert rig.cycle().power_w == -5_000.0


def test_no_discharge_below_the_vehicles_own_minimum(rig: Any) -> None:
    rig.charge()
    rig.loop(60, needs=ev.EnergyNeeds(min_soc_pct=65))
    rig.grant_w = -5_000.0
    assert rig.cycle().power_w == 0.0


def test_vehicles_last_word_at_discovery_holds_until_its_first_loop(rig: Any) -> None:
    rig.plug_in()
    rig.say(ev.EnergyNeedsReceived(needs=ev.EnergyNeeds(min_energy_wh=-4_000.0, **V2X_RANGE)))
    assert rig.insulate().passed
    rig.say(ev.PreChargeRequested(target_voltage_v=400.0, ev_present_voltage_v=400.0))
    rig.cycle(2)
    rig.say(ev.PowerDeliveryStarted())
    rig.grant_w = -5_000.0
    assert rig.cycle().power_w == -5_000.0
    assert rig.cycle(25).power_w == 0.0


def flow(rig: Any, ac_w: float, dc_w: float) -> None:
    rig.change_inverter(power_w=ac_w)
    rig.change_evse(present_current_a=dc_w / 400.0)
    rig.change_evse(present_voltage_v=400.0)


def seconds_until_fault(rig: Any, ac_w: float, dc_w: float) -> float:
    started = rig.now
    for _ in range(80):
        flow(rig, ac_w, dc_w)
        rig.loop()
        if rig.update(rig.cycle()).fault is not None:
            break
    return rig.now - started


@pytest.mark.parametrize(
    ("grant_w", "ac_w", "dc_w", "text"),
    [
        (0.0, -5_000.0, -5_200.0, "does not follow: 0 W commanded, -5000 W measured"),
        (-5_000.0, 5_000.0, 4_800.0, "does not follow: -5000 W commanded, 5000 W measured"),
        (-5_000.0, -9_000.0, -9_200.0, "does not follow: -5000 W commanded, -9000 W measured"),
        (-5_000.0, -5_000.0, 0.0, "the inverter measures -5000 W and the DC output stage 0 W"),
        (-5_000.0, -5_000.0, 5_000.0, "the inverter measures -5000 W and the DC output stage 5000 W"),
    ],
)
def test_powers_that_contradict_each_other_or_the_command_end_the_session(
    rig: Any, grant_w: float, ac_w: float, dc_w: float, text: str
) -> None:
    rig.charge()
    rig.grant_w = grant_w
    rig.cycle()
    assert 5.0 < seconds_until_fault(rig, ac_w, dc_w) < 5.5
    assert text in str(rig.update(rig.cycle()).fault)
    assert rig.cycle().power_w == 0.0


@pytest.mark.parametrize(
    ("ac_w", "dc_w"), [(0.0, 0.0), (-2_000.0, -2_100.0), (-5_000.0, -5_300.0), (-5_800.0, -6_000.0)]
)
def test_less_than_commanded_and_losses_are_no_contradiction(rig: Any, ac_w: float, dc_w: float) -> None:
    rig.charge()
    rig.grant_w = -5_000.0
    rig.cycle()
    assert seconds_until_fault(rig, ac_w, dc_w) > 7.9


def test_a_new_order_may_be_followed_late(rig: Any) -> None:
    rig.charge()
    rig.grant_w = -5_000.0
    for n in range(100):
        if n % 45 == 0:
            rig.grant_w = -rig.grant_w
        flow(rig, *(rig.grant_w * factor for factor in ((1.0, 0.97) if n % 45 == 44 else (-1.0, -0.97))))
        rig.loop()
        assert rig.update(rig.cycle()).fault is None


def test_a_power_far_above_the_inverters_rating_is_a_fault_at_once(rig: Any) -> None:
    rig.charge()
    rig.change_inverter(power_w=-1e6)
    assert "not plausible at a rating of 21000 W" in str(rig.update(rig.cycle()).fault)
