"""The transformer as the cycle follows it: start, steps, re-anchoring, and what happens without measurements."""

from __future__ import annotations

import pytest

from v2g.config.schema import Transformer
from v2g.guard.status import GuardStatus, Permit
from v2g.hardware.ports import Quantity, TransducerReading
from v2g.orchestrator.image import TransformerView
from v2g.orchestrator.transformer import TransformerModel
from v2g.thermal.model import steady_state, step
from v2g.thermal.parameters import from_nameplate

CONFIG = Transformer(id="T1", rated_kva=250.0)
PARAMS = from_nameplate(
    cooling="DIST_ONAN", rated_kva=250.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
)


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
    def __init__(self) -> None:
        self.model = TransformerModel(CONFIG, 900.0)
        self.now = 100.0
        self.view = TransformerView()

    def run(
        self, seconds: float, top_oil_c: float | None = None, ambient_c: float | None = 25.0, **load: float
    ) -> TransformerView:
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.view = self.model.update(
                guard(self.now, **load), temperatures(self.now, top_oil_c, ambient_c), self.now
            )  # type: ignore[arg-type]
        return self.view


def test_starts_at_the_steady_state_of_load_and_ambient() -> None:
    view = Follow().run(3.3)
    steady = steady_state(PARAMS, 80_000 / 250_000, 25.0)
    assert view.top_oil_c == pytest.approx(steady.theta_o_c)
    assert view.hot_spot_c == pytest.approx(steady.hot_spot_c)
    assert view.k_pu == pytest.approx(0.32)
    assert (view.lo_w, view.hi_w) == (0.0, 0.0)
    assert view.notes == (
        "top-oil was never measured: no V2G power; check the top-oil transducer and top_oil_c in sensor_map",
    )


def test_starts_at_the_measured_top_oil_where_there_is_one() -> None:
    view = Follow().run(0.1, top_oil_c=60.0)
    assert view.top_oil_c == pytest.approx(60.0)
    assert view.notes == ()


def test_base_load_is_transformer_minus_feeder() -> None:
    view = Follow().run(4.0, top_oil_c=45.0, load_w=70_000.0, feeder_w=-10_000.0)
    assert view.load_w == pytest.approx(70_000.0)
    assert view.base_load_w == pytest.approx(80_000.0)


def test_interval_is_renewed_every_second_and_holds_three() -> None:
    follow = Follow()
    view = follow.run(5.0, top_oil_c=45.0)
    assert view.lo_w < -100_000.0 < 100_000.0 < view.hi_w
    assert 2.0 <= view.expires_at_s - follow.now <= 3.0


def test_modelled_top_oil_follows_the_measurement_within_minutes() -> None:
    follow = Follow()
    start = follow.run(0.1, top_oil_c=50.0).top_oil_c
    assert start == pytest.approx(50.0)
    after = follow.run(300.0, top_oil_c=60.0).top_oil_c
    assert after is not None
    # One time constant: 63 % of the way, less what the model pulls towards its own steady state.
    assert 54.5 < after < 56.5


def test_measurement_far_below_the_model_is_not_believed() -> None:
    follow = Follow()
    before = follow.run(0.1, top_oil_c=60.0).top_oil_c
    view = follow.run(60.0, top_oil_c=10.0)
    assert before is not None
    assert view.top_oil_c is not None
    assert before - 1.0 < view.top_oil_c
    assert "not used" in view.notes[0]


def test_measurement_far_above_the_model_is_taken_at_once() -> None:
    follow = Follow()
    follow.run(0.1, top_oil_c=50.0)
    view = follow.run(1.0, top_oil_c=100.0)
    assert view.top_oil_c == pytest.approx(100.0)
    assert "check cooling" in view.notes[0]


def test_lost_ambient_means_the_fallback_and_says_so() -> None:
    view = Follow().run(3.3, ambient_c=None, top_oil_c=40.0)
    assert view.ambient_c == 40.0
    assert "40 °C assumed" in view.notes[0]


@pytest.mark.parametrize("harm", ["unmeasured", "load unmeasured", "stale", "silent"])
def test_unmeasured_load_closes_the_interval_and_warms_the_model(harm: str) -> None:
    follow = Follow()
    follow.run(4.0, top_oil_c=45.0)
    before = follow.view.hot_spot_c
    for _ in range(600):
        follow.now += 0.1
        status = guard(follow.now, measured=harm != "unmeasured", load_measured=harm != "load unmeasured")
        if harm == "stale":
            status = guard(follow.now - 5.0)
        if harm == "silent":
            status = GuardStatus(
                as_of_s=0.0, permit=Permit.GUARD_STALE, breaker_commanded_closed=False, breaker_closed=None
            )
        view = follow.model.update(status, temperatures(follow.now), follow.now)
    assert (view.lo_w, view.hi_w) == (0.0, 0.0)
    assert view.lo_source == "thermal: transformer load unknown"
    assert any("dead or stuck" in note for note in view.notes) == (harm == "load unmeasured")
    assert view.k_pu is None
    assert before is not None
    assert view.hot_spot_c is not None
    assert view.hot_spot_c > before + 1.0
    assert follow.run(1.1).lo_w < -100_000.0


def test_before_any_load_is_known_nothing_is_permitted() -> None:
    model = TransformerModel(CONFIG, 900.0)
    view = model.update(guard(10.0, measured=False), temperatures(10.0), 10.0)
    assert (view.lo_w, view.hi_w, view.lo_source) == (0.0, 0.0, "thermal: transformer load not yet known")


def test_start_waits_for_the_transducers_but_not_for_ever() -> None:
    follow = Follow()
    assert follow.run(2.9, ambient_c=None, top_oil_c=45.0).lo_w == 0.0
    assert follow.run(0.3, ambient_c=None, top_oil_c=45.0).lo_w < 0.0


def test_until_top_oil_was_measured_once_no_power_is_permitted_and_later_its_loss_is_bridged() -> None:
    follow = Follow()
    view = follow.run(600.0)
    assert (view.lo_w, view.hi_w, view.lo_source) == (0.0, 0.0, "thermal: top-oil was never measured")
    view = follow.run(1.1, top_oil_c=62.0)
    assert view.top_oil_c == pytest.approx(62.0, abs=0.1)
    assert view.lo_w < 0.0 < view.hi_w
    view = follow.run(60.0)
    assert view.lo_w < 0.0 < view.hi_w
    assert view.notes == ("no top-oil temperature: the thermal model runs on load and ambient alone",)


def hours(
    follow: Follow, h: float, k: float, top_oil_c: float | None, ambient_c: float | None = 25.0, **guarded: bool
) -> TransformerView:
    for _ in range(round(h * 360)):
        follow.now += 10.0
        status = guard(follow.now, load_w=k * 250_000.0, **guarded)
        follow.view = follow.model.update(status, temperatures(follow.now, top_oil_c, ambient_c), follow.now)
    return follow.view


def test_a_frozen_top_oil_sensor_does_not_drag_the_model_down() -> None:
    follow = Follow()
    truth = steady_state(PARAMS, 0.45, 25.0)
    hours(follow, 0.1, 0.45, truth.theta_o_c)
    view = hours(follow, 12.0, 1.3, 45.0)
    truth = step(truth, PARAMS, 1.3, 25.0, 12 * 3600.0)
    assert view.top_oil_c == pytest.approx(truth.theta_o_c, abs=1.0)
    assert view.hot_spot_c == pytest.approx(truth.hot_spot_c, abs=1.0)
    assert view.hi_w == 0.0
    (note,) = (note for note in view.notes if "top-oil transducer" in note)
    assert "reads 45.0 °C" in note
    assert f"explain {view.top_oil_c:.1f} °C" in note
    assert "check the top-oil transducer" in note


def test_a_sensor_a_little_below_the_model_is_believed_and_the_change_back_has_a_dead_band() -> None:
    follow = Follow()
    expected = steady_state(PARAMS, 0.8, 25.0).theta_o_c
    hours(follow, 0.1, 0.8, expected)
    view = hours(follow, 8.0, 0.8, expected - 8.0)
    assert view.top_oil_c == pytest.approx(expected - 8.0, abs=1.0)
    assert view.notes == ()
    assert hours(follow, 1.0, 0.8, expected - 12.0).top_oil_c == pytest.approx(expected, abs=0.5)
    assert hours(follow, 1.0, 0.8, expected - 8.0).top_oil_c == pytest.approx(expected, abs=0.5)
    assert hours(follow, 1.0, 0.8, expected - 6.0).notes == ()


def test_oil_hotter_than_the_load_explains_is_followed() -> None:
    follow = Follow()
    expected = steady_state(PARAMS, 0.8, 25.0).theta_o_c
    hours(follow, 0.1, 0.8, expected)
    view = hours(follow, 4.0, 0.8, expected + 20.0)
    assert view.top_oil_c == pytest.approx(expected + 20.0, abs=1.0)
    assert view.notes == ()


def test_hours_without_load_or_ambient_do_not_make_a_sound_sensor_look_wrong() -> None:
    follow = Follow()
    cold = steady_state(PARAMS, 0.3, 0.0).theta_o_c
    hours(follow, 0.1, 0.3, cold, ambient_c=0.0)
    hours(follow, 6.0, 0.3, cold, ambient_c=0.0, load_measured=False)
    assert hours(follow, 0.1, 0.3, cold, ambient_c=0.0).notes == ()
    hours(follow, 6.0, 0.3, cold, ambient_c=None)
    assert hours(follow, 0.1, 0.3, cold, ambient_c=0.0).notes == ()


def test_a_load_that_is_contradicted_counts_as_unknown_and_its_reason_is_told() -> None:
    follow = Follow()
    assert follow.run(4.0, top_oil_c=45.0).lo_w < 0.0
    for _ in range(11):
        follow.now += 0.1
        view = follow.model.update(guard(follow.now), temperatures(follow.now, 45.0), follow.now, "meters disagree")
    assert (view.lo_w, view.hi_w, view.k_pu) == (0.0, 0.0, None)
    assert view.notes == ("meters disagree",)
