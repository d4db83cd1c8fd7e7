"""What ``wires`` obeys of the guard besides the permit: every bound, and which of two is told."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.wires import E1, LIMITS, LOADED, T0, applied, core_with, guard, inverter, one, output, setpoints
from v2g.grid.protection import Block
from v2g.grid.settings import Operation
from v2g.guard.status import GuardStatus, Permit
from v2g.guard.view import urgent, view
from v2g.guard.wires_core import OPEN_AFTER_S, WiresCore
from v2g.hardware.ports import DcEvseCommand

RATED_DISCHARGE_W, RATED_CHARGE_W = 15_000, 20_000
RELAYS = [Block.RELAY_SETTING, Block.RELAY_FEEDBACK, Block.RELAY_FAILED]


@pytest.mark.parametrize(
    ("power_w", "changes", "expected"),
    [
        (-10_000, {"stop": "momentary_cessation"}, (0, "momentary_cessation")),
        (10_000, {"stop": "cease"}, (0, "cease")),
        (-10_000, {"stop": "cease", "permit": False}, (0, "no_permit")),
        (-10_000, {"open_contactors": True, "permit": False}, (0, "breaker_failed")),
        (-10_000, {"open_contactors": True, "permit": False, "emergency": "emergency_stop"}, (0, "emergency_stop")),
        (10_000, {"open_contactors": True, "permit": False, "emergency": "lockout"}, (0, "lockout")),
        *[(-10_000, {"blocks": relay}, (0, "relay")) for relay in RELAYS],
        *[(10_000, {"blocks": relay}, (10_000, None)) for relay in RELAYS],
        (-10_000, {"blocks": Block.RELAY_FAILED, "stop": "cease"}, (0, "cease")),
        (-10_000, {"curtail_discharge": 0.4}, (-4_000, "overcurrent")),
        (-10_000, {"curtail_charge": 0.4}, (-10_000, None)),
        (10_000, {"curtail_charge": 0.0}, (0, "overcurrent")),
        (-10_000, {"service_fraction": 0.1}, (-0.1 * RATED_DISCHARGE_W, "enter_service_ramp")),
        (10_000, {"service_fraction": 0.25}, (0.25 * RATED_CHARGE_W, "enter_service_ramp")),
        (-1_000, {"service_fraction": 0.1}, (-1_000, None)),
        (10_000, {"service_fraction": 0.0}, (0, "enter_service_ramp")),
        (10_000, {"service_fraction": math.nan}, (0, "enter_service_ramp")),
        (10_000, {"curtail_charge": math.nan}, (0, "overcurrent")),
        (-10_000, {"service_fraction": 0.1, "curtail_discharge": 0.5}, (-0.05 * RATED_DISCHARGE_W, "overcurrent")),
        (-99_000, {"service_fraction": 0.5}, (-0.5 * RATED_DISCHARGE_W, "enter_service_ramp")),
        (-99_000, {"service_fraction": 3.0}, (-RATED_DISCHARGE_W, "rating")),
        (-10_000, {"blocks": Block.NEW_DISCHARGE}, (0, "frequency_window")),
        (10_000, {"blocks": Block.NEW_DISCHARGE}, (10_000, None)),
        (-10_000, {"blocks": Block.NEW_DISCHARGE | Block.RELAY_SETTING}, (0, "relay")),
    ],
)
def test_the_guard_bounds_power(power_w: float, changes: dict[str, Any], expected: tuple[float, str | None]) -> None:
    got_w, bound_by = applied(core_with(power_w), **changes)
    assert (pytest.approx(got_w), bound_by) == expected


@pytest.mark.parametrize("stop", ["momentary_cessation", "cease"])
def test_ceasing_takes_the_current_too_leaves_the_contactors_and_ends_at_once(stop: str) -> None:
    core = core_with()
    command = one(core, stop=stop).command
    assert command is not None
    assert (command.current_limit_a, command.close_contactors) == (0, True)
    target = one(core)
    assert (target.applied.power_w, target.command) == (-10_000, LOADED)


def test_the_other_direction_needs_neither_reversion_nor_anti_islanding() -> None:
    for power_w, expected in ((-10_000, (0, "no_anti_islanding")), (10_000, (10_000, None))):
        core = core_with(power_w)
        core.observe_inverter(inverter(anti_islanding=False))
        assert applied(core) == expected


def test_a_mains_input_stands_for_the_inverters_own_islanding_detection() -> None:
    core = WiresCore([LIMITS], T0 - 100, mains_input=True)
    core.observe_inverter(inverter(anti_islanding=False))
    core.observe_output(output())
    core.accept(setpoints(), T0)
    assert applied(core) == (-10_000, None)


class TestFrequencyWindow:
    def after(self, core: WiresCore, power_w: float, sequence: int, **changes: Any) -> tuple[float, str | None]:
        core.accept(setpoints(power_w, sequence=sequence), T0)
        return applied(core, blocks=Block.NEW_DISCHARGE, **changes)

    def test_a_discharge_that_runs_goes_on_and_does_not_grow(self) -> None:
        core = core_with()
        assert applied(core) == (-10_000, None)
        assert self.after(core, -10_000, 2) == (-10_000, None)
        assert self.after(core, -12_000, 3) == (-10_000, "frequency_window")
        assert self.after(core, -6_000, 4) == (-6_000, None)
        assert self.after(core, -10_000, 5) == (-6_000, "frequency_window")

    def test_one_that_ended_is_not_begun_again(self) -> None:
        core = core_with()
        one(core)
        assert self.after(core, 0, 2) == (0, None)
        assert self.after(core, -1_000, 3) == (0, "frequency_window")

    def test_one_that_was_refused_for_another_reason_has_ended(self) -> None:
        core = core_with()
        one(core)
        one(core, permit=False, blocks=Block.NEW_DISCHARGE)
        assert applied(core, blocks=Block.NEW_DISCHARGE) == (0, "frequency_window")

    def test_a_charge_does_not_become_a_discharge(self) -> None:
        core = core_with(5_000)
        one(core)
        assert self.after(core, -1_000, 2) == (0, "frequency_window")

    def test_curtailment_is_no_end_and_momentary_cessation_is_none(self) -> None:
        core = core_with()
        one(core)
        assert self.after(core, -10_000, 2, curtail_discharge=0.1) == (pytest.approx(-1_000), "overcurrent")
        assert self.after(core, -10_000, 3, stop="momentary_cessation") == (0, "momentary_cessation")
        assert self.after(core, -10_000, 4) == (-10_000, None)

    def test_it_may_begin_again_when_the_frequency_has_settled(self) -> None:
        core = core_with()
        assert applied(core, blocks=Block.NEW_DISCHARGE) == (0, "frequency_window")
        assert applied(core) == (-10_000, None)


class TestBreakerFailed:
    """Contactors do the work of the breaker that did not open, whatever anybody else wants."""

    def test_they_open_when_the_current_is_gone(self) -> None:
        core = core_with()
        core.observe_output(output(present_current_a=-25))
        command = one(core, open_contactors=True, permit=False).command
        assert command is not None
        assert (command.current_limit_a, command.close_contactors) == (0, True)
        core.observe_output(output(present_current_a=0.5))
        command = one(core, open_contactors=True, permit=False).command
        assert command is not None
        assert (command.close_contactors, command.lock_connector) == (False, True)

    def test_they_open_under_a_current_that_does_not_fall(self) -> None:
        core = core_with()
        closed = []
        for step in range(12):
            now_s = T0 + step * 0.1
            core.observe_output(output(as_of_s=now_s, present_current_a=-25))
            core.accept(setpoints(sequence=step + 2, now_s=now_s), now_s)
            command = one(core, now_s, open_contactors=True, permit=False).command
            assert command is not None
            closed.append(command.close_contactors)
        assert closed == [now < OPEN_AFTER_S for now in (step * 0.1 for step in range(12))]

    def test_without_an_order_and_after_a_restart_too(self) -> None:
        core = WiresCore([LIMITS], T0)
        core.observe_output(output(present_current_a=0))
        target = one(core, open_contactors=True, permit=False)
        assert target.applied.bound_by == "breaker_failed"
        assert target.command == DcEvseCommand(lock_connector=True)

    def test_not_even_an_insulation_test_closes_them(self) -> None:
        test = DcEvseCommand(close_contactors=True, test_insulation=True)
        core = core_with(0.0, test)
        core.observe_output(output(contactors_closed=False, contactors_commanded=False))
        command = one(core, open_contactors=True, permit=False).command
        assert command is not None
        assert not command.close_contactors


@pytest.mark.parametrize(
    ("permit", "operation", "stop"),
    [
        (Permit.GRANTED, Operation.CONTINUOUS, ""),
        (Permit.GRANTED, Operation.PERMISSIVE, ""),
        (Permit.GRANTED, Operation.MOMENTARY_CESSATION, "momentary_cessation"),
        (Permit.GRANTED, Operation.CEASE, "cease"),
        (Permit.GRANTED, 99, "cease"),
        (Permit.TRIPPED, Operation.CEASE, ""),
    ],
)
def test_the_status_as_wires_sees_it(permit: Permit, operation: int, stop: str) -> None:
    status = GuardStatus(
        as_of_s=T0, permit=permit, breaker_commanded_closed=True, breaker_closed=True, operation=int(operation),
        v_pu=(0.9, 1.0, 1.1),
    )  # fmt: skip
    seen = view(status)
    assert (seen.permit, seen.stop, seen.v_pu) == (permit is Permit.GRANTED, stop, pytest.approx(1.0))


@pytest.mark.parametrize(
    ("changes", "at_once"),
    [
        ({}, False),
        ({"v_pu": 0.9, "frequency_hz": None}, False),
        ({"permit": False}, True),
        ({"stop": "cease"}, True),
        ({"open_contactors": True}, True),
        ({"blocks": Block.RELAY_FAILED}, True),
        ({"curtail_discharge": 0.9}, True),
        ({"curtail_charge": 0.995}, False),
        ({"service_fraction": math.nan}, True),
    ],
)
def test_what_cannot_wait(changes: dict[str, Any], at_once: bool) -> None:
    assert urgent(guard(), guard(**changes)) is at_once


def test_what_is_given_back_is_at_once_too_but_not_a_share_that_grows() -> None:
    assert urgent(guard(stop="momentary_cessation"), guard())
    assert not urgent(guard(service_fraction=0.2), guard(service_fraction=0.9))


@given(
    power_w=st.floats(-1e6, 1e6),
    view_=st.builds(
        guard,
        permit=st.booleans(),
        stop=st.sampled_from(["", "momentary_cessation", "cease"]),
        open_contactors=st.booleans(),
        blocks=st.integers(0, 15).map(Block),
        curtail_charge=st.floats(),
        curtail_discharge=st.floats(),
        service_fraction=st.floats(),
        v_pu=st.floats(),
        frequency_hz=st.none() | st.floats(),
    ),
    anti_islanding=st.booleans(),
)
def test_no_word_of_the_guard_yields_more_than_it_allows(power_w: float, view_: Any, anti_islanding: bool) -> None:
    core = core_with(power_w)
    core.observe_inverter(inverter(anti_islanding=anti_islanding))
    one_ = core.decide(view_, T0)[E1].applied
    assert math.isfinite(one_.power_w)
    assert one_.power_w * power_w >= 0
    if one_.power_w == 0:
        assert one_.bound_by is not None or power_w == 0
        return
    assert view_.permit
    assert not view_.stop
    assert not view_.open_contactors
    share = min(view_.service_fraction, 1.0)
    if power_w > 0:
        assert one_.power_w <= RATED_CHARGE_W * share * min(view_.curtail_charge, 1.0) + 1e-6
    else:
        assert -one_.power_w <= RATED_DISCHARGE_W * share * min(view_.curtail_discharge, 1.0) + 1e-6
        assert view_.blocks == Block.NONE
        assert anti_islanding
