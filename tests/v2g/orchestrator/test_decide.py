"""The decision of one cycle: what must be known before any energy flows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf

import msgspec
import pytest

from support.allocation import AT_ONCE
from v2g.dispatch.constraints import Bound
from v2g.dispatch.dispatcher import Dispatcher
from v2g.dispatch.inputs import Group
from v2g.dispatch.orders import Mode, Order
from v2g.grid.protection import Block
from v2g.grid.settings import Operation
from v2g.guard.link import Image
from v2g.guard.status import GuardStatus, Permit
from v2g.orchestrator.decide import Decision
from v2g.orchestrator.decide import decide as decide_with
from v2g.orchestrator.image import BayImage, SiteImage
from v2g.thermal.view import ThermalView

NOW = 500.0
SHARES = {"US*V2G*E1": 1.0, "US*V2G*E3": 1.0}


def decide(image: SiteImage, orders: Sequence[Order], now_s: float) -> Decision:
    return decide_with(image, orders, Dispatcher(AT_ONCE), now_s)


def vehicle(evse_id: str, limit_w: float = 20_000.0) -> BayImage:
    bounds = (Bound(-limit_w, limit_w, "vehicle", inf),)
    return BayImage(evse_id=evse_id, bounds=bounds, islanding_watched=True)


def healthy() -> SiteImage:
    return SiteImage(
        now_s=NOW,
        wires=Image(sequence=1, as_of_s=NOW - 0.1, permit=True, permit_reason=""),
        wires_connected=True,
        guard=GuardStatus(
            as_of_s=NOW - 0.01,
            permit=Permit.GRANTED,
            breaker_commanded_closed=True,
            breaker_closed=True,
            measured=True,
            service_fraction=1.0,
        ),
        transformer=ThermalView(
            lo_w=-50_000.0,
            hi_w=80_000.0,
            lo_source="thermal hot-spot",
            hi_source="thermal top-oil",
            expires_at_s=NOW + 2.0,
        ),
        bays=(vehicle("US*V2G*E1"), vehicle("US*V2G*E2"), BayImage(evse_id="US*V2G*E3", bounds=None)),
        rated_charge_w=66_000.0,
        rated_discharge_w=66_000.0,
    )


def order(mode: Mode = Mode.DISCHARGE, power_w: float = 10_000.0, evse_id: str | None = None) -> Order:
    return Order(
        id=3, mode=mode, power_w=power_w, evse_id=evse_id, created_at_s=NOW - 1, expires_at_s=NOW + 900, by="alice"
    )


def test_an_order_is_shared_among_the_vehicles_in_their_loops() -> None:
    decision = decide(healthy(), [order()], NOW)
    assert {grant.evse_id: grant.power_w for grant in decision.allocation.grants} == {
        "US*V2G*E1": -5_000.0,
        "US*V2G*E2": -5_000.0,
    }
    assert decision.permitted
    assert (decision.site_lo_w, decision.site_hi_w) == (-50_000.0, 80_000.0)


def test_without_orders_everybody_gets_zero() -> None:
    decision = decide(healthy(), [], NOW)
    assert [grant.power_w for grant in decision.allocation.grants] == [0.0, 0.0]


def with_guard(**changes: object) -> Callable[[SiteImage], SiteImage]:
    return lambda image: replace(image, guard=msgspec.structs.replace(image.guard, **changes))


def with_wires(**changes: object) -> Callable[[SiteImage], SiteImage]:
    return lambda image: replace(image, wires=msgspec.structs.replace(image.wires, **changes))


def with_own_zero(image: SiteImage) -> SiteImage:
    """Each EVSE has a reason of its own for zero power as well."""
    zero = Bound(0.0, 0.0, "inverter not connected", NOW + 1.0)
    return replace(image, bays=tuple(replace(bay, bounds=(zero, *(bay.bounds or ()))) for bay in image.bays))


def with_transformer(**changes: object) -> Callable[[SiteImage], SiteImage]:
    return lambda image: replace(image, transformer=replace(image.transformer, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        *(
            (with_guard(permit=permit), permit.name.lower().replace("_", " "))
            for permit in Permit
            if permit is not Permit.GRANTED
        ),
        (with_guard(permit=Permit.WAVEFORM_STALE, blocks=int(Block.NEW_DISCHARGE)), "no permit: waveform stale"),
        (lambda image: with_own_zero(with_guard(permit=Permit.TRIPPED)(image)), "no permit: tripped"),
        (with_guard(as_of_s=NOW - 0.3), "guard stale"),
        (with_guard(as_of_s=NOW + 60.0), "guard stale"),
        (lambda image: replace(image, wires=None), "nothing was heard"),
        (with_wires(as_of_s=NOW - 0.6), "0.6 s old"),
        (lambda image: replace(image, wires_connected=False), "link to v2g-guard wires is down"),
        (with_wires(permit=False, permit_reason="tripped"), "sees no permit (tripped)"),
        (with_transformer(expires_at_s=NOW - 1.0), " expired"),
        (
            lambda image: replace(image, transformer=ThermalView()),
            "load not yet known",
        ),
        (with_transformer(lo_w=0.0, hi_w=0.0), "thermal"),
    ],
)
@pytest.mark.parametrize("mode", [Mode.DISCHARGE, Mode.CHARGE])
def test_what_is_unknown_stale_or_forbidden_means_zero_and_says_so(
    harm: Callable[[SiteImage], SiteImage], words: str, mode: Mode
) -> None:
    decision = decide(harm(healthy()), [order(mode)], NOW)
    assert all(grant.power_w == 0.0 for grant in decision.allocation.grants)
    assert (decision.site_lo_w, decision.site_hi_w) == (0.0, 0.0)
    missing = decision.allocation.shortfalls
    assert sum(shortfall.missing_w for shortfall in missing) == pytest.approx(10_000.0)
    assert all(words in shortfall.source for shortfall in missing)


def test_thermal_limit_on_discharge_is_reverse_flow_denied() -> None:
    image = with_transformer(lo_w=-4_000.0)(healthy())
    decision = decide(image, [order()], NOW)
    assert decision.allocation.site_w == pytest.approx(-4_000.0)
    assert [(s.code, round(s.missing_w)) for s in decision.allocation.shortfalls] == [("REVERSE_FLOW_DENIED", 6000)]


def test_a_thermal_interval_that_excludes_zero_never_forces_power() -> None:
    image = with_transformer(lo_w=5_000.0, hi_w=10_000.0)(healthy())
    decision = decide(image, [], NOW)
    assert decision.site_lo_w == 0.0
    assert decision.allocation.site_w == 0.0


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (Block.RELAY_SETTING, "guard: the hardware relay is set above 1.10 per unit, or its setting is not stated"),
        (Block.RELAY_FEEDBACK, "guard: hardware relay feedback is missing"),
        (Block.RELAY_FAILED, "guard: the voltage exceeded the hardware relay's setting"),
    ],
)
def test_a_block_of_the_guard_refuses_discharge_by_name_and_leaves_charge(block: Block, words: str) -> None:
    image = with_guard(blocks=int(block))(healthy())
    decision = decide(image, [order()], NOW)
    assert decision.allocation.site_w == 0.0
    assert decision.permitted
    assert all(s.code == "GUARD_BLOCK" and s.source.startswith(words) for s in decision.allocation.shortfalls)
    assert sum(s.missing_w for s in decision.allocation.shortfalls) == pytest.approx(10_000.0)
    assert decide(image, [order(Mode.CHARGE)], NOW).allocation.site_w == pytest.approx(10_000.0)


def test_outside_the_alarm_window_no_discharge_begins_and_one_that_runs_goes_on() -> None:
    image = with_guard(blocks=int(Block.NEW_DISCHARGE))(healthy())
    first, *others = image.bays
    image = replace(image, bays=(replace(first, discharging=True), *others))
    decision = decide(image, [order(power_w=20_000.0)], NOW)
    assert {grant.evse_id: grant.power_w for grant in decision.allocation.grants} == {
        "US*V2G*E1": -20_000.0,
        "US*V2G*E2": 0.0,
    }
    own = decide(image, [order(evse_id="US*V2G*E2")], NOW)
    assert [(s.code, s.evse_id) for s in own.allocation.shortfalls] == [("GUARD_BLOCK", "US*V2G*E2")]
    assert "frequency is outside the alarm window" in own.allocation.shortfalls[0].source


@pytest.mark.parametrize("mode", [Mode.CHARGE, Mode.DISCHARGE])
@pytest.mark.parametrize("operation", [Operation.MOMENTARY_CESSATION, Operation.CEASE])
def test_while_the_der_ceases_the_permit_stands_and_no_power_is_granted(mode: Mode, operation: Operation) -> None:
    decision = decide(with_guard(operation=int(operation))(healthy()), [order(mode)], NOW)
    assert decision.permitted
    assert decision.allocation.site_w == 0.0
    assert {s.code for s in decision.allocation.shortfalls} == {"GUARD_BLOCK"}


def test_riding_through_goes_on_with_power() -> None:
    decision = decide(with_guard(operation=int(Operation.MANDATORY))(healthy()), [order()], NOW)
    assert decision.allocation.site_w == -10_000.0


@pytest.mark.parametrize(
    ("changes", "mode", "granted_w"),
    [
        ({"service_fraction": 0.1}, Mode.DISCHARGE, -6_600.0),
        ({"service_fraction": 0.1}, Mode.CHARGE, 6_600.0),
        ({"service_fraction": 0.0}, Mode.DISCHARGE, 0.0),
        ({"service_fraction": float("nan")}, Mode.DISCHARGE, 0.0),
    ],
)
def test_the_ramp_leaves_a_part_of_the_rated_power(changes, mode: Mode, granted_w: float) -> None:
    decision = decide(with_guard(**changes)(healthy()), [order(mode)], NOW)
    assert decision.allocation.site_w == pytest.approx(granted_w)
    assert all(s.source == "guard: power rises after entering service" for s in decision.allocation.shortfalls)


def test_curtailment_is_left_to_wires_which_takes_it_from_every_set_point() -> None:
    curtailed = with_guard(curtail_charge=0.05, curtail_discharge=0.05)(healthy())
    assert decide(curtailed, [order(Mode.DISCHARGE)], NOW).allocation.site_w == -10_000.0
    assert decide(curtailed, [order(Mode.CHARGE)], NOW).allocation.site_w == 10_000.0


def test_an_inverter_that_nothing_would_tell_of_an_island_charges_only() -> None:
    first, *others = healthy().bays
    image = replace(healthy(), bays=(replace(first, islanding_watched=False), *others))
    decision = decide(image, [order(evse_id="US*V2G*E1")], NOW)
    assert decision.allocation.site_w == 0.0
    assert "guard: no loss-of-mains input" in decision.allocation.shortfalls[0].source
    assert decide(image, [order(Mode.CHARGE, evse_id="US*V2G*E1")], NOW).allocation.site_w == 10_000.0


def test_power_that_flows_on_where_a_session_has_ended_takes_room_from_the_others() -> None:
    # 80 kW for charge, of which 30 kW still flow at E3: 50 kW are left, and a phase that E3 loads too has 10 kW.
    image = healthy()
    stray = BayImage(evse_id="US*V2G*E3", bounds=None, measured_w=30_000.0)
    image = replace(image, bays=(vehicle("US*V2G*E1", 60_000.0), stray))
    assert decide(image, [order(Mode.CHARGE, 60_000.0)], NOW).allocation.site_w == 50_000.0
    group = Group(name="phase a", bounds=(Bound(-40e3, 40e3, "feeder current of phase a", inf),), shares=SHARES)
    assert decide(replace(image, groups=(group,)), [order(Mode.CHARGE, 60_000.0)], NOW).allocation.site_w == 10_000.0
