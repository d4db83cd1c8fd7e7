"""What our node is told of a cycle, and what its verdict leaves to the vehicles here."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest
from msgspec.structs import replace as replace_struct

from support.allocation import AT_ONCE
from v2g.dispatch.constraints import Bound
from v2g.dispatch.dispatcher import Dispatcher
from v2g.dispatch.energy import Energy
from v2g.dispatch.orders import Mode, Order
from v2g.guard.link import Image
from v2g.guard.status import GuardStatus, Permit
from v2g.mesh.messages import Range
from v2g.mesh.node import Facts, Verdict
from v2g.orchestrator.decide import decide
from v2g.orchestrator.image import BayImage, SiteImage
from v2g.orchestrator.mesh_facts import facts_of, mesh_bounds
from v2g.thermal.view import ThermalView

NOW = 500.0
ENERGY = Energy(
    needed_wh=6e3, room_wh=20e3, surplus_wh=9e3, departs_at_s=NOW + 3600, departure_assumed=False, floor_pct=30.0,
    soc_pct=60.0,
    capacity_wh=60e3,
    capacity_assumed=False,
)  # fmt: skip
FREE = (Bound(-inf, inf, "mesh: more room is being asked for", NOW + 1.0),)


def image(mesh: tuple[Bound, ...] = FREE, **changes: object) -> SiteImage:
    """One vehicle of 20 kW and a place that is empty; base load 40 kW."""
    vehicle = BayImage(
        evse_id="E1", bounds=(Bound(-20e3, 20e3, "vehicle", inf),), islanding_watched=True, energy=ENERGY
    )
    whole = SiteImage(
        now_s=NOW,
        wires=Image(sequence=1, as_of_s=NOW - 0.1, permit=True, permit_reason=""),
        wires_connected=True,
        guard=GuardStatus(
            as_of_s=NOW - 0.01, permit=Permit.GRANTED, breaker_commanded_closed=True, breaker_closed=True,
            measured=True, service_fraction=1.0,
        ),
        transformer=ThermalView(
            lo_w=-50e3, hi_w=80e3, expires_at_s=NOW + 2.0, load_w=40e3, base_load_w=40e3, top_oil_c=52.0,
            hot_spot_c=70.0,
        ),
        bays=(vehicle, BayImage(evse_id="E2", bounds=None)),
        mesh=mesh,
        rated_charge_w=44e3,
        rated_discharge_w=44e3,
    )  # fmt: skip
    return replace(whole, **changes)  # type: ignore[arg-type]


def told(at: SiteImage, mode: Mode | None = None, power_w: float = 10e3) -> Facts:
    orders = []
    if mode is not None:
        orders = [Order(id=1, mode=mode, power_w=power_w, evse_id=None, created_at_s=NOW, expires_at_s=NOW + 9, by="a")]
    return facts_of(at, decide(at, orders, Dispatcher(AT_ONCE), NOW))


def held_to(lo_w: float, hi_w: float) -> tuple[Bound, ...]:
    return (Bound(lo_w, inf, "mesh: feeder-3", NOW + 1.0), Bound(-inf, hi_w, "mesh: feeder-3", NOW + 1.0))


def test_what_is_measured_and_estimated_is_told() -> None:
    facts = told(image())
    assert (facts.flow_w, facts.base_w, facts.top_oil_c, facts.hot_spot_c) == (40e3, 40e3, 52.0, 70.0)
    assert facts.ahead == Range(-50e3, 80e3)
    assert facts.capability == Range(-20e3, 20e3)
    assert (facts.flexible.vehicles, facts.flexible.needed_wh, facts.flexible.surplus_wh) == (1, 6e3, 9e3)
    assert facts.permit == ""


def test_without_orders_nothing_is_wanted() -> None:
    facts = told(image())
    assert (facts.want_lo_w, facts.want_hi_w) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("mode", "wanted"), [(Mode.CHARGE, (0.0, 10e3)), (Mode.DISCHARGE, (-10e3, 0.0))], ids=["charge", "discharge"]
)
def test_what_orders_were_given_is_wanted_on_its_side_alone(mode: Mode, wanted: tuple[float, float]) -> None:
    facts = told(image(), mode)
    assert (facts.want_lo_w, facts.want_hi_w) == wanted


@pytest.mark.parametrize(
    ("mode", "wanted"), [(Mode.CHARGE, (0.0, 20e3)), (Mode.DISCHARGE, (-20e3, 0.0))], ids=["charge", "discharge"]
)
def test_where_the_mesh_keeps_vehicles_from_more_all_that_they_could_take_is_wanted(
    mode: Mode, wanted: tuple[float, float]
) -> None:
    facts = told(image(held_to(-2e3, 2e3)), mode)
    assert (facts.want_lo_w, facts.want_hi_w) == wanted


def test_what_another_limit_keeps_from_us_is_not_asked_for() -> None:
    tight = image(transformer=replace(image().transformer, hi_w=5e3, hi_source="thermal top-oil"))
    facts = told(tight, Mode.CHARGE)
    assert facts.want_hi_w == 5e3
    assert facts.capability.hi_w == 5e3


def test_a_guard_that_permits_nothing_is_told_with_its_reason_and_leaves_no_capability() -> None:
    at = image(guard=replace_struct(image().guard, permit=Permit.TRIPPED))
    facts = told(at, Mode.CHARGE)
    assert facts.permit
    assert len(facts.permit) <= 160
    assert facts.capability == Range(0.0, 0.0)
    assert (facts.want_lo_w, facts.want_hi_w) == (0.0, 0.0)


@pytest.mark.parametrize("value", [None, nan, inf])
def test_what_is_no_number_is_not_known(value: float | None) -> None:
    at = image(transformer=replace(image().transformer, load_w=value, base_load_w=value, hot_spot_c=value))
    facts = told(at)
    assert (facts.flow_w, facts.base_w, facts.hot_spot_c) == (None, None, None)


def test_an_outlook_without_a_limit_is_told_as_a_number() -> None:
    at = image(transformer=replace(image().transformer, lo_w=-inf, hi_w=inf))
    assert told(at).ahead == Range(-1e9, 1e9)


# ---- the verdict ----


def verdict(import_w: float, export_w: float, by: str = "feeder-3") -> Verdict:
    return Verdict(import_w=import_w, export_w=export_w, import_by=by, export_by=by, expires_at_s=NOW + 1.0)


def limits(bounds: tuple[Bound, ...]) -> tuple[float, float]:
    return max(bound.lo_w for bound in bounds), min(bound.hi_w for bound in bounds)


@pytest.mark.parametrize(
    ("import_w", "export_w", "base_w", "expected"),
    [
        (60e3, 50e3, 40e3, (-90e3, 20e3)),
        (60e3, 50e3, -10e3, (-40e3, 70e3)),
        (30e3, 50e3, 40e3, (-90e3, 0.0)),
        (60e3, 50e3, -60e3, (0.0, 120e3)),
        (-20e3, 50e3, 10e3, (-60e3, 0.0)),
        (-inf, -inf, 40e3, (0.0, 0.0)),
        (inf, inf, 40e3, (-inf, inf)),
    ],
)
def test_the_room_beside_the_base_load_is_left_and_zero_is_always_within(
    import_w: float, export_w: float, base_w: float, expected: tuple[float, float]
) -> None:
    bounds = mesh_bounds(verdict(import_w, export_w), base_w)
    assert limits(bounds) == expected
    assert all(bound.lo_w <= 0.0 <= bound.hi_w for bound in bounds)
    assert all(bound.expires_at_s == NOW + 1.0 for bound in bounds)


@pytest.mark.parametrize("base_w", [None, nan, inf, -inf])
def test_a_base_load_that_is_not_known_leaves_nothing(base_w: float | None) -> None:
    (bound,) = mesh_bounds(verdict(60e3, 50e3), base_w)
    assert (bound.lo_w, bound.hi_w) == (0.0, 0.0)
    assert bound.source == "mesh: the transformer's load is not known"


@pytest.mark.parametrize(
    ("by", "source"),
    [
        ("feeder-3", "mesh: feeder-3"),
        ("ramp", "mesh: power rises by its ramp"),
        ("acknowledgement", "mesh: not all members know yet what we take"),
        ("room", "mesh: no room is left"),
        ("", "mesh: more room is being asked for"),
    ],
)
def test_operators_read_what_binds(by: str, source: str) -> None:
    assert {bound.source for bound in mesh_bounds(verdict(60e3, 50e3, by), 40e3)} == {source}
