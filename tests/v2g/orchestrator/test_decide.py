"""The decision of one cycle: what must be known before any energy flows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf

import msgspec
import pytest

from v2g.dispatch.constraints import Bound
from v2g.dispatch.orders import Mode, Order
from v2g.guard.link import Image
from v2g.guard.status import GuardStatus, Permit
from v2g.orchestrator.decide import decide
from v2g.orchestrator.image import BayImage, SiteImage, TransformerView

NOW = 500.0


def vehicle(evse_id: str, limit_w: float = 20_000.0) -> BayImage:
    return BayImage(evse_id=evse_id, bounds=(Bound(-limit_w, limit_w, "vehicle", inf),))


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
        transformer=TransformerView(
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
        (with_guard(as_of_s=NOW - 0.3), "guard stale"),
        (with_guard(as_of_s=NOW + 60.0), "guard stale"),
        (lambda image: replace(image, wires=None), "nothing was heard"),
        (with_wires(as_of_s=NOW - 0.6), "0.6 s old"),
        (lambda image: replace(image, wires_connected=False), "link to v2g-guard wires is down"),
        (with_wires(permit=False, permit_reason="tripped"), "sees no permit (tripped)"),
        (with_transformer(expires_at_s=NOW - 1.0), " expired"),
        (
            lambda image: replace(image, transformer=TransformerView()),
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
