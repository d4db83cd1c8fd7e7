"""The transformer as the cycle follows it: what of guard and transducers reaches the engine, and how often."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from v2g.clock import ManualClock
from v2g.config.schema import Config, Transformer
from v2g.guard.status import GuardStatus, Permit
from v2g.hardware.ports import Quantity, TransducerReading
from v2g.orchestrator.local_time import SiteZone
from v2g.orchestrator.thermal_clock import ThermalClock
from v2g.orchestrator.transformer import INTERVAL_VALID_S, TransformerModel
from v2g.thermal.view import ThermalView


def guard(
    now_s: float, load_w: float = 80_000.0, feeder_w: float = 0.0, measured: bool = True, load_measured: bool = True
) -> GuardStatus:
    return GuardStatus(
        as_of_s=now_s,
        permit=Permit.GRANTED,
        breaker_commanded_closed=True,
        breaker_closed=True,
        transformer_w=load_w,
        transformer_va=abs(load_w),
        feeder_w=feeder_w,
        measured=measured,
        load_measured=load_measured,
    )


def temperatures(
    now_s: float, top_oil_c: float | None = None, ambient_c: float | None = 25.0
) -> list[TransducerReading]:
    values = {Quantity.TOP_OIL_C: top_oil_c, Quantity.AMBIENT_C: ambient_c}
    return [TransducerReading(quantity=q, as_of_s=now_s, value=v) for q, v in values.items() if v is not None]


class Follow:
    def __init__(self, config: Config, speed: float = 1.0) -> None:
        self.clock = ManualClock(monotonic_s=100.0)
        self.times = ThermalClock(self.clock, SiteZone("UTC"), speed=speed)
        self.model = TransformerModel(config, None, self.times.begin)
        self.view = ThermalView()

    @property
    def now(self) -> float:
        return self.clock.monotonic_s()

    def cycle(
        self,
        status: GuardStatus,
        readings: list[TransducerReading],
        load_problem: str | None = None,
    ) -> ThermalView:
        self.view = self.model.update(status, readings, self.now, self.times.moment(self.now), load_problem)
        return self.view

    def run(
        self, seconds: float, top_oil_c: float | None = 45.0, ambient_c: float | None = 25.0, **load: float
    ) -> ThermalView:
        for _ in range(round(seconds * 10)):
            self.clock.advance(0.1)
            self.cycle(guard(self.now, **load), temperatures(self.now, top_oil_c, ambient_c))  # type: ignore[arg-type]
        return self.view


@pytest.fixture
def site_config(config_of: Callable[..., Config]) -> Config:
    return config_of()


@pytest.fixture
def follow(site_config: Config) -> Follow:
    return Follow(site_config)


def test_base_load_is_transformer_minus_feeder(follow: Follow) -> None:
    view = follow.run(6.0, load_w=70_000.0, feeder_w=-10_000.0)
    assert view.load_w == pytest.approx(70_000.0)
    assert view.base_load_w == pytest.approx(80_000.0)


def test_load_factor_is_the_root_mean_square_of_the_step(follow: Follow) -> None:
    follow.run(6.0)
    for cycle in range(30):
        follow.clock.advance(0.1)
        follow.cycle(guard(follow.now, load_w=250_000.0 if cycle % 2 else 0.0), temperatures(follow.now, 45.0))
    assert follow.view.k_pu == pytest.approx(0.5**0.5, abs=0.05)


def test_interval_is_renewed_every_second_and_holds_three(follow: Follow) -> None:
    view = follow.run(6.0)
    assert view.lo_w < -100_000.0 < 100_000.0 < view.hi_w
    assert INTERVAL_VALID_S - 1.0 <= view.expires_at_s - follow.now <= INTERVAL_VALID_S
    views = {id(follow.run(0.1)): follow.view for _ in range(30)}
    assert len(views) == 3


@pytest.mark.parametrize("harm", ["unmeasured", "load unmeasured", "stale", "silent", "not a number"])
def test_a_load_that_is_not_known_closes_the_interval(follow: Follow, harm: str) -> None:
    follow.run(6.0)
    for _ in range(20):
        follow.clock.advance(0.1)
        status = guard(follow.now, measured=harm != "unmeasured", load_measured=harm != "load unmeasured")
        if harm == "stale":
            status = guard(follow.now - 5.0)
        if harm == "silent":
            status = GuardStatus(
                as_of_s=0.0, permit=Permit.GUARD_STALE, breaker_commanded_closed=False, breaker_closed=None
            )
        if harm == "not a number":
            status = guard(follow.now, load_w=float("nan"))
        follow.cycle(status, temperatures(follow.now, 45.0))
    view = follow.view
    assert (view.lo_w, view.hi_w, view.k_pu) == (0.0, 0.0, None)
    assert view.lo_source == "thermal: transformer load unknown"
    assert any("dead or stuck" in note for note in view.notes) == (harm == "load unmeasured")
    assert follow.run(1.1).lo_w < -100_000.0


def test_a_load_that_is_contradicted_counts_as_unknown_and_its_reason_is_told(follow: Follow) -> None:
    assert follow.run(6.0).lo_w < 0.0
    for _ in range(11):
        follow.clock.advance(0.1)
        follow.cycle(guard(follow.now), temperatures(follow.now, 45.0), "meters disagree")
    assert (follow.view.lo_w, follow.view.hi_w, follow.view.k_pu) == (0.0, 0.0, None)
    assert "meters disagree" in follow.view.notes


def test_before_any_load_is_known_nothing_is_permitted(follow: Follow) -> None:
    view = follow.cycle(guard(follow.now, measured=False), temperatures(follow.now))
    assert (view.lo_w, view.hi_w, view.lo_source) == (0.0, 0.0, "thermal: transformer load not yet known")


def test_an_old_reading_is_none(follow: Follow) -> None:
    for _ in range(60):
        follow.clock.advance(0.1)
        follow.cycle(guard(follow.now), temperatures(follow.now - 11.0, 45.0))
    assert follow.view.lo_source == "thermal: top-oil was never measured"


def test_harmonics_raise_the_load_losses(follow: Follow) -> None:
    follow.model.set_harmonics(8.0)
    view = follow.run(6.0)
    assert view.f_hl == 8.0
    assert view.load_loss_factor == pytest.approx((1.0 + 8.0 * 0.1) / 1.1, abs=1e-3)


def test_in_compressed_time_an_hour_of_the_oil_takes_a_minute(site_config: Config) -> None:
    fast, slow = Follow(site_config, speed=60.0), Follow(site_config)
    fast.run(6.0, top_oil_c=60.0)
    slow.run(6.0, top_oil_c=60.0)
    fast.run(9.0, top_oil_c=None, load_w=300_000.0)
    slow.run(9.0, top_oil_c=None, load_w=300_000.0)
    assert fast.view.top_oil_c is not None
    assert slow.view.top_oil_c is not None
    assert fast.view.top_oil_c > slow.view.top_oil_c + 1.0
    assert fast.view.expires_at_s - fast.now <= INTERVAL_VALID_S


def test_own_constants_tap_and_limits_of_the_configuration_are_used(site_config: Config) -> None:
    from msgspec.structs import replace

    hot = Transformer(id="T", rated_kva=250.0, top_oil_limit_c=60.0, hot_spot_limit_c=70.0)
    limited = Follow(replace(site_config, transformer=hot)).run(6.0, top_oil_c=58.0)
    free = Follow(site_config).run(6.0, top_oil_c=58.0)
    assert limited.hi_w < free.hi_w
    assert limited.limits is not None
    assert (limited.limits.top_oil_c, limited.limits.hot_spot_c) == (60.0, 70.0)


def test_a_load_that_no_transformer_carries_is_told_and_not_believed(follow: Follow) -> None:
    follow.run(6.0)
    before_c = follow.view.hot_spot_c
    view = follow.run(3.0, load_w=250e6)
    assert (view.lo_w, view.hi_w) == (0.0, 0.0)
    assert any("check rated_kva" in note for note in view.notes), view.notes
    assert before_c is not None
    assert view.hot_spot_c is not None
    assert view.hot_spot_c < before_c + 5.0
