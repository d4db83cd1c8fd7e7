"""Grid support that an inverter lacks: what ``wires`` makes of an order, and what no support changes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.wires import E1, T0, core_with, guard, inverter, one, output, setpoints
from v2g.grid.protection import Block
from v2g.grid.support import FUNCTIONS, FrequencyDroop, SupportFunctions, SupportSettings, VoltVar, VoltWatt
from v2g.guard.wires_core import WiresCore

RATED_W = 20_000.0
DROOP = SupportSettings(frequency_droop=FrequencyDroop(response_s=0.2))
VOLT_WATT = SupportSettings(frequency_droop=None, volt_watt=VoltWatt(response_s=0.5))
VOLT_VAR = SupportSettings(frequency_droop=None, volt_var=VoltVar(response_s=1.0))


def supported(power_w: float, settings: SupportSettings) -> WiresCore:
    core = core_with(power_w)
    core.support(E1, SupportFunctions(settings, FUNCTIONS, RATED_W, RATED_W, 60.0))
    return core


def settled(core: WiresCore, power_w: float, **changes: Any) -> tuple[float, str | None, float | None]:
    """Decided twice, with ten response times between, and everything renewed meanwhile."""
    one(core, T0, **changes)
    now_s = T0 + 20
    core.observe_inverter(inverter(as_of_s=now_s))
    core.observe_output(output(as_of_s=now_s))
    core.accept(setpoints(power_w, sequence=9, now_s=now_s), now_s)
    got = one(core, now_s, **changes).applied
    return got.power_w, got.bound_by, got.reactive_var


@pytest.mark.parametrize(
    ("power_w", "changes", "expected_w", "bound_by"),
    [
        (-10_000, {"frequency_hz": 60.336}, -8_000, "frequency_droop"),
        (10_000, {"frequency_hz": 60.336}, 12_000, "frequency_droop"),
        (-10_000, {"frequency_hz": 59.664}, -12_000, "frequency_droop"),
        (-14_000, {"frequency_hz": 59.364}, -15_000, "frequency_droop"),
        (-1_000, {"frequency_hz": 60.636}, 0, "frequency_droop"),
        (1_000, {"frequency_hz": 59.364}, 0, "frequency_droop"),
        (0, {"frequency_hz": 61.0}, 0, None),
        (-10_000, {"frequency_hz": None}, -10_000, None),
        (-10_000, {"frequency_hz": 60.336, "stop": "cease"}, 0, "cease"),
        (-10_000, {"frequency_hz": 60.336, "curtail_discharge": 0.5}, -4_000, "overcurrent"),
        (10_000, {"frequency_hz": 61.0, "service_fraction": 0.1}, 2_000, "enter_service_ramp"),
        (-10_000, {"frequency_hz": 59.364, "blocks": Block.NEW_DISCHARGE}, 0, "frequency_window"),
    ],
)
def test_droop_adjusts_an_order_and_never_revives_or_turns_one(
    power_w: float, changes: dict[str, Any], expected_w: float, bound_by: str | None
) -> None:
    got_w, told, reactive_var = settled(supported(power_w, DROOP), power_w, **changes)
    assert got_w == pytest.approx(expected_w, abs=1)
    assert told == bound_by
    assert reactive_var is None, "an inverter's own volt-var is not overruled"


def test_a_running_discharge_may_follow_droop_while_no_new_one_begins() -> None:
    core = supported(-10_000, DROOP)
    one(core, T0)
    got_w, told, _ = settled(core, -10_000, frequency_hz=59.464, blocks=Block.NEW_DISCHARGE)
    assert got_w < -12_500
    assert told == "frequency_droop"


def test_volt_watt_caps_discharge_and_leaves_charge() -> None:
    assert settled(supported(-15_000, VOLT_WATT), -15_000, v_pu=1.08)[:2] == (pytest.approx(-12_000), "volt_watt")
    assert settled(supported(15_000, VOLT_WATT), 15_000, v_pu=1.08)[:2] == (15_000, None)


def test_reactive_power_is_commanded_in_our_sign_while_power_flows() -> None:
    assert settled(supported(-10_000, VOLT_VAR), -10_000, v_pu=1.08)[2] == pytest.approx(0.44 * RATED_W)
    assert settled(supported(10_000, VOLT_VAR), 10_000, v_pu=0.92)[2] == pytest.approx(-0.44 * RATED_W)


@pytest.mark.parametrize("changes", [{"permit": False}, {"stop": "cease"}, {"service_fraction": 0.0}])
def test_without_power_there_is_no_reactive_power(changes: dict[str, Any]) -> None:
    assert settled(supported(-10_000, VOLT_VAR), -10_000, v_pu=1.08, **changes)[2] == 0.0


def test_an_inverter_that_does_it_by_itself_gets_no_reactive_command() -> None:
    assert one(core_with()).applied.reactive_var is None
    core = supported(-10_000, VOLT_VAR)
    assert core.computes_support()
    core.support(E1, None)
    assert not core.computes_support()
    assert one(core).applied.reactive_var is None


@given(
    power_w=st.floats(-30_000, 30_000),
    samples=st.lists(
        st.tuples(st.floats(0.5, 1.3), st.none() | st.floats(55, 65), st.booleans(), st.floats(0, 1)), max_size=8
    ),
)
def test_support_never_exceeds_a_rating_turns_power_or_outlives_the_permit(
    power_w: float, samples: list[tuple[float, float | None, bool, float]]
) -> None:
    core = supported(power_w, SupportSettings(volt_watt=VoltWatt(), volt_var=VoltVar()))
    for step, (v_pu, hz, permit, share) in enumerate(samples):
        view = guard(v_pu=v_pu, frequency_hz=hz, permit=permit, service_fraction=share)
        got = core.decide(view, T0 + step * 0.1)[E1].applied
        assert math.isfinite(got.power_w)
        assert got.power_w * power_w >= 0
        assert -15_000 * share - 1e-6 <= got.power_w <= 20_000 * share + 1e-6
        assert permit or (got.power_w, got.reactive_var) == (0, 0)
        assert abs(got.reactive_var or 0.0) <= RATED_W
