from __future__ import annotations

import math

import numpy as np
import pytest

from v2g.grid.estimate import EstimationError
from v2g.guard.quality import Quality, QualitySettings
from v2g.guard.quality_watch import QualityEvent

RATE_HZ = 3840
NOMINAL_V = 277.0
TURNS = -np.array([0, 2, -2]) * np.pi / 3
SETTINGS = QualitySettings(nominal_voltage_v=NOMINAL_V, nominal_frequency_hz=60.0, rated_feeder_a=100.0)


class Bench:
    """Feeds a quality with what the grid does, 100 ms at a time, the phase running on."""

    def __init__(self, settings: QualitySettings = SETTINGS, rate_hz: int = RATE_HZ) -> None:
        self.quality = Quality(settings, rate_hz, 0.0)
        self.rate_hz = rate_hz
        self.index = 0
        self.events: list[QualityEvent] = []

    @property
    def now_s(self) -> float:
        return self.index / self.rate_hz

    def run(self, seconds, volts=1.0, harmonics_v=None, amperes=0.0, harmonics_a=None, direct_a=0.0, flicker=0.0):
        step = self.rate_hz // 10
        for _ in range(round(seconds * 10)):
            time_s = (self.index + np.arange(step)) / self.rate_hz
            phi = 2 * np.pi * 60.0 * time_s
            scale = NOMINAL_V * np.asarray(volts) * (1 + flicker / 2 * np.sin(2 * np.pi * 8.8 * time_s))[:, None]
            rows = np.zeros((step, 9))
            rows[:, 0:3] = scale * _wave(phi, harmonics_v or {})
            rows[:, 6:9] = amperes * _wave(phi, harmonics_a or {}) + direct_a
            self.index += step
            self.events += self.quality.feed(self.index, self.now_s, rows)

    @property
    def codes(self) -> list[str]:
        return [event.code for event in self.events]

    def take(self) -> list[QualityEvent]:
        found, self.events = self.events, []
        return found


def _wave(phi, levels):
    waves = [(1, 1.0), *levels.items()]
    return math.sqrt(2) * sum(level * np.cos(order * (phi[:, None] + TURNS)) for order, level in waves)


def test_a_clean_grid_gives_no_line():
    bench = Bench()
    bench.run(20, amperes=80, harmonics_a={5: 0.02})
    assert bench.codes == []


def test_voltage_distortion_is_told_with_phase_value_limit_and_at_its_end_duration():
    bench = Bench()
    bench.run(3)
    bench.run(5, harmonics_v={5: 0.08, 7: 0.06})
    (begin,) = bench.take()
    assert (begin.code, begin.fields["limit_pct"]) == ("THD_HIGH", 8.0)
    assert begin.fields["value_pct"] == pytest.approx(10.0, abs=0.01)
    assert bench.quality.report().active == ("THD_HIGH",)
    bench.run(6)
    (end,) = bench.take()
    assert end.code == "THD_BACK"
    assert end.fields["duration_s"] == pytest.approx(5.0, abs=0.3)
    assert bench.quality.report().active == ()


def test_a_harmonic_current_is_told_with_its_order_and_its_own_limit():
    bench = Bench()
    bench.run(3, amperes=90, harmonics_a={5: 0.05, 13: 0.015, 6: 0.02})
    bench.run(1, amperes=90, harmonics_a={5: 0.05, 13: 0.015, 6: 0.02})
    harmonic = [event for event in bench.events if event.code == "HARMONIC_HIGH"]
    assert [(event.fields["order"], event.fields["limit_pct"]) for event in harmonic] == [(5, 4.0)]
    assert harmonic[0].fields["value_pct"] == pytest.approx(4.5, abs=0.05)
    bench.run(3, amperes=90, harmonics_a={13: 0.03})
    assert [e.fields["order"] for e in bench.events if e.code == "HARMONIC_HIGH"] == [5, 13]


@pytest.mark.parametrize(
    ("stress", "code", "value_pct"),
    [
        ({"amperes": 50, "harmonics_a": {3: 0.10, 5: 0.07}}, "TRD_HIGH", 50 * math.hypot(0.10, 0.07)),
        ({"direct_a": -0.8}, "DC_INJECTION", 0.8),
        ({"volts": (1.0, 0.91, 1.0)}, "UNBALANCE_HIGH", 100 * 0.03 / 0.97),
    ],
)
def test_each_limit_has_its_code(stress, code, value_pct):
    bench = Bench()
    bench.run(4, **stress)
    event = next(event for event in bench.events if event.code == code)
    assert event.fields["value_pct"] == pytest.approx(value_pct, rel=0.02)
    bench.run(6)
    assert any(end.level == "info" and end.fields.get("worst_pct") for end in bench.events)


def test_a_rapid_voltage_change_is_one_line_with_phase_and_size():
    bench = Bench()
    bench.run(3)
    bench.run(4, volts=(1.0, 1.0, 0.93))
    (event,) = [event for event in bench.take() if event.code == "RAPID_VOLTAGE_CHANGE"]
    assert event.fields["phase"] == "C"
    assert event.fields["change_pct"] == pytest.approx(-7.0, abs=0.1)


def test_the_summary_has_ranges_counts_and_the_highest_harmonic_and_begins_anew():
    bench = Bench()
    bench.run(3)
    bench.run(5, volts=1.03, harmonics_v={5: 0.09})
    fields = bench.quality.summary(bench.now_s).fields
    low, mean, high = (float(part) for part in str(fields["v_b_pu"]).split("/"))
    assert low == pytest.approx(1.0, abs=1e-3)
    assert high == pytest.approx(1.03 * math.hypot(1, 0.09), abs=1e-3)
    assert low < mean < high
    assert [float(part) for part in str(fields["frequency_hz"]).split("/")] == pytest.approx([60.0] * 3, abs=2e-3)
    assert fields["events"] == "THD_HIGH:1"
    assert 94.0 <= fields["measured_pct"] <= 100.0
    assert (fields["pst"], fields["interval_s"]) == ("none", 8.0)
    again = bench.quality.summary(bench.now_s + 10)
    assert (again.fields["events"], again.fields["measured_pct"], again.fields["v_a_pu"]) == ("none", 0.0, "none")
    assert again.message.endswith("harmonics to the 28th: 3840 Hz")


def test_samples_that_are_missing_are_not_counted_as_measured():
    bench = Bench()
    bench.run(4)
    bench.index += 4 * RATE_HZ
    bench.quality.interrupted(RATE_HZ)
    bench.run(2)
    assert bench.quality.summary(bench.now_s).fields["measured_pct"] == pytest.approx(58, abs=5)


@pytest.mark.soak
def test_flicker_is_told_after_each_interval_and_a_dip_takes_one_out(monkeypatch):
    monkeypatch.setattr("v2g.guard.quality_flicker.PST_S", 6.0)
    bench = Bench()
    bench.run(65, flicker=0.00321)
    assert bench.take() == []
    bench.run(2, flicker=0.00321)
    high = [event for event in bench.take() if event.code == "FLICKER_HIGH"]
    assert [event.fields["severity"] for event in high] == ["Pst", "Plt"]
    assert high[0].fields["value"] == pytest.approx(0.71, abs=0.02)
    assert high[0].fields["limit"] == 0.35
    bench.run(3)
    bench.run(0.5, volts=0.7)
    bench.run(3.5)
    assert "FLICKER_BACK" not in bench.codes
    assert bench.quality.summary(bench.now_s).fields["pst_disturbed"] is True
    bench.run(100)
    assert [event.fields["severity"] for event in bench.events if event.code == "FLICKER_BACK"] == ["Pst", "Plt"]


@pytest.mark.soak
def test_flicker_of_ten_minutes():
    bench = Bench()
    bench.run(659, flicker=0.00321)
    assert bench.quality.report().pst is None
    bench.run(3, flicker=0.00321)
    assert bench.quality.report().pst == pytest.approx((0.71,) * 3, abs=0.02)


@pytest.mark.soak
def test_after_a_dead_phase_the_flicker_filters_settle_anew():
    bench = Bench()
    bench.run(61)
    bench.run(2, volts=(1.0, 1.0, 0.0))
    bench.run(2)
    assert bench.quality.report().pst is None
    assert bench.quality._flicker._meters[0].settled is False


def test_not_a_number_makes_no_line_and_no_record():
    bench = Bench()
    bench.run(2)
    before = bench.quality.report().as_of_s
    rows = np.full((384, 9), np.nan)
    bench.index += 384
    assert bench.quality.feed(bench.index, bench.now_s, rows) == ()
    bench.run(1)
    assert bench.codes == []
    assert bench.quality.report().as_of_s > before


def test_another_rate_is_taken_up_and_an_impossible_one_refused():
    bench = Bench()
    bench.run(1)
    bench.quality.interrupted(6400)
    assert bench.quality.highest_harmonic == 47
    with pytest.raises(EstimationError):
        bench.quality.interrupted(100)
    with pytest.raises(EstimationError):
        Quality(SETTINGS, 100, 0.0)


def test_the_report_carries_the_newest_record_whole():
    bench = Bench()
    bench.run(2, amperes=40, harmonics_a={5: 0.1})
    report = bench.quality.report("why")
    assert report.not_measured == "why"
    assert report.as_of_s == pytest.approx(bench.now_s, abs=0.4)
    assert report.frequency_hz == pytest.approx(60.0, abs=1e-3)
    assert report.harmonics_i_pct[3] == pytest.approx((4.0,) * 3, abs=0.02)
    assert len(report.transformer_harmonics_a) == report.highest_harmonic == 28
