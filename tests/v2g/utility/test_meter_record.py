"""One meter: order and age of readings, energy registers, what is not believed, and what is said of it."""

from __future__ import annotations

import pytest

from v2g.utility.meter_reading import MeterSpec, Reading, ReadingRefused, Register
from v2g.utility.meter_record import MeterRecord
from v2g.utility.meter_view import MeterLine, Phases

NOW_S, UNIX_S = 1000.0, 1_700_000_000.0


class Told:
    """A record and the moment it is."""

    def __init__(self, *, max_age_s: float = 1200.0, rated_w: float = 15_000.0, fed: bool = True) -> None:
        where = "/run/v2g/meters.sock" if fed else "192.0.2.7:502 unit 1"
        self.record = MeterRecord(MeterSpec(id="c1", max_age_s=max_age_s, rated_w=rated_w, fed=fed, where=where))
        self.now_s, self.unix_s = NOW_S, UNIX_S

    def later(self, seconds: float) -> None:
        self.now_s += seconds
        self.unix_s += seconds

    def power(self, power_w: Phases | float, ago_s: float = 0.0, phases: str = "abc") -> str:
        power = power_w if isinstance(power_w, tuple) else (power_w, 0.0, 0.0)
        reading = Reading(at_unix_s=self.unix_s - ago_s, power_w=power, phases=phases)
        return self.record.take(reading, self.now_s, self.unix_s)

    def energy(self, energy_wh: Phases | float, ago_s: float = 0.0, phases: str = "abc") -> str:
        energy = energy_wh if isinstance(energy_wh, tuple) else (energy_wh, 0.0, 0.0)
        register = Register(at_unix_s=self.unix_s - ago_s, energy_wh=energy, phases=phases)
        return self.record.take_register(register, self.now_s, self.unix_s)

    def line(self) -> MeterLine:
        return self.record.line(self.now_s, self.unix_s)


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_meter_that_was_never_heard_says_where_its_readings_go(told: Told) -> None:
    line = told.line()
    assert (line.power_w, line.age_s) == (None, None)
    assert line.problem == "nothing heard of it yet; write its readings to /run/v2g/meters.sock"


def test_a_reading_counts_until_it_is_too_old(told: Told) -> None:
    assert told.power((1.0, 2.0, -3.0), ago_s=200.0) == ""
    assert told.line() == MeterLine(id="c1", power_w=(1.0, 2.0, -3.0), age_s=200.0)
    told.later(1000.0)
    assert told.line().power_w is not None
    told.later(0.1)
    line = told.line()
    assert line.power_w is None
    assert line.problem == (
        "no reading for 20 min, at most 1200 s are allowed; is the process that writes them running?"
    )


def test_a_late_reading_is_ignored_and_counted(told: Told) -> None:
    told.power(100.0)
    assert told.power(900.0, ago_s=60.0) == "ignored: 1 min older than what is known"
    assert told.line().power_w == (100.0, 0.0, 0.0)
    assert (told.record.counts.late, told.record.counts.used) == (1, 1)


def test_what_is_older_than_a_day_is_ignored(told: Told) -> None:
    assert told.power(900.0, ago_s=86_401.0) == "ignored: it is older than a day"
    assert told.record.counts.late == 1


def test_a_repeated_reading_is_counted_once_and_another_value_for_its_time_refused(told: Told) -> None:
    told.power(100.0)
    assert told.power(100.0) == "ignored: this reading is known"
    with pytest.raises(ReadingRefused, match="another value was told for the same time before, which stays"):
        told.power(101.0)
    assert (told.record.counts.used, told.record.counts.repeated) == (1, 2)
    assert told.line().power_w == (100.0, 0.0, 0.0)


def test_a_reading_in_the_future_is_refused_with_the_difference(told: Told) -> None:
    assert told.power(100.0, ago_s=-5.0) == ""
    with pytest.raises(ReadingRefused, match='meter c1: "at" is 1 h in the future of this controller\'s clock: put'):
        told.power(100.0, ago_s=-3600.0)
    assert told.record.counts.refused == 1
    assert told.line().age_s == 0.0


def test_milliseconds_are_named_as_such(told: Told) -> None:
    with pytest.raises(ReadingRefused, match="looks like milliseconds: give seconds since 1970"):
        told.power(100.0, ago_s=UNIX_S - 1000.0 * UNIX_S)


def test_a_wall_clock_that_was_ahead_blocks_nothing_once_it_is_right(told: Told) -> None:
    told.unix_s += 7200.0
    told.power(100.0)
    told.unix_s -= 7200.0
    told.later(10.0)
    assert told.power(200.0) == ""
    assert told.line().power_w == (200.0, 0.0, 0.0)
    assert [mean for _, mean in told.record.history.means()] == [(200.0, 0.0, 0.0)]


def test_a_step_of_the_wall_clock_makes_nothing_fresh(told: Told) -> None:
    told.power(100.0)
    told.now_s += 1201.0
    assert told.line().power_w is None


def test_a_host_that_was_suspended_knows_nothing_fresh(told: Told) -> None:
    told.power(100.0)
    told.unix_s += 1201.0
    assert told.line().power_w is None


def test_gaps_are_counted(told: Told) -> None:
    for seconds in (0.0, 900.0, 1201.0, 900.0):
        told.later(seconds)
        told.power(100.0)
    assert told.record.counts.gaps == 1


def test_a_phase_that_is_left_out_later_is_a_gap_and_no_zero(told: Told) -> None:
    told.power((1.0, 2.0, 0.0), phases="ab")
    told.later(900.0)
    with pytest.raises(ReadingRefused, match="phase b is missing, which it told before; write 0"):
        told.power((1.0, 0.0, 0.0), phases="a")
    assert told.line().power_w == (1.0, 2.0, 0.0)


# ---- registers --------------------------------------------------------------------------------------------------


def test_power_from_two_readings_of_the_register_by_phase(told: Told) -> None:
    assert told.energy((1000.0, 50.0, 0.0)) == "a first reading of the register: power follows from the next"
    assert told.line().power_w is None
    told.later(900.0)
    assert told.energy((1250.0, 40.0, 0.0)) == ""
    assert told.line().power_w == pytest.approx((1000.0, -40.0, 0.0))


def test_a_gap_in_the_register_gives_no_power(told: Told) -> None:
    told.energy(0.0)
    told.later(1300.0)
    assert told.energy(500.0) == (
        "1300 s since the reading before, more than max_age_s (1200 s): power follows from the next"
    )
    assert told.line().power_w is None
    told.later(900.0)
    told.energy(750.0)
    assert told.line().power_w == pytest.approx((1000.0, 0.0, 0.0))
    assert told.record.counts.gaps == 1


def test_a_register_after_a_few_seconds_is_too_soon_for_a_power(told: Told) -> None:
    told.energy(0.0)
    told.later(9.0)
    assert "too short for a power" in told.energy(1.0)
    told.later(1.0)
    assert told.energy(2.0) == ""
    assert told.line().power_w == pytest.approx((720.0, 0.0, 0.0))


def test_a_register_that_was_exchanged_is_not_believed_and_counts_from_there(told: Told) -> None:
    told.energy(51_000_000.0)
    told.later(900.0)
    with pytest.raises(ReadingRefused, match="more than the connection can carry"):
        told.energy(0.0)
    assert told.line().power_w is None
    told.later(900.0)
    told.energy(250.0)
    assert told.line().power_w == pytest.approx((1000.0, 0.0, 0.0))


def test_a_phase_that_joins_a_register_makes_no_power_of_its_count(told: Told) -> None:
    told.energy(100.0, phases="a")
    told.later(900.0)
    assert "first reading" in told.energy((100.0, 9000.0, 0.0), phases="ab")
    assert told.line().power_w is None


def test_a_late_register_is_ignored(told: Told) -> None:
    told.energy(100.0)
    assert "older than what is known" in told.energy(90.0, ago_s=300.0)
    told.later(900.0)
    told.energy(350.0)
    assert told.line().power_w == pytest.approx((1000.0, 0.0, 0.0))


# ---- what is not believed ---------------------------------------------------------------------------------------


def with_history(told: Told, power_w: float = 2_000.0) -> Told:
    for _ in range(10):
        told.power(power_w)
        told.later(900.0)
    return told


def test_kilowatts_told_as_watts_are_found_named_and_not_used(told: Told) -> None:
    with_history(told)
    with pytest.raises(ReadingRefused) as refused:
        told.power(2.1)
    assert str(refused.value) == (
        'meter c1: looks like kW told as W: set "unit": "kW" where its readings are written (2 W told, 2.00 kW usual, '
        "15.00 kW rated); the value is not used"
    )
    line = told.line()
    assert line.power_w is None
    assert line.problem.startswith('looks like kW told as W: set "unit": "kW"')


def test_once_corrected_it_is_used_at_once(told: Told) -> None:
    with_history(told)
    with pytest.raises(ReadingRefused):
        told.power(2.1)
    told.later(900.0)
    assert told.power(2_100.0) == ""
    assert told.line() == MeterLine(id="c1", power_w=(2100.0, 0.0, 0.0), age_s=0.0)


def test_a_slip_does_not_become_history(told: Told) -> None:
    with_history(told)
    for n in range(90):
        with pytest.raises(ReadingRefused, match="kW told as W"):
            told.power(2.0 + n / 1000.0)
        told.later(900.0)


def test_watts_told_as_kilowatts_are_found_by_the_rating_alone(told: Told) -> None:
    with pytest.raises(ReadingRefused, match='looks like W told as kW: set "unit": "W" where'):
        told.power(2_000_000.0)
    assert told.line().power_w is None


def test_a_register_in_kwh_told_as_wh_is_found_with_its_own_remedy(told: Told) -> None:
    count_wh = 10e6
    for _ in range(11):
        told.energy(count_wh)
        count_wh += 500.0
        told.later(900.0)
    with pytest.raises(ReadingRefused, match="more than the connection can carry"):
        told.energy(count_wh / 1000.0)
    told.later(900.0)
    with pytest.raises(ReadingRefused, match='looks like kW told as W: set "unit": "kWh"'):
        told.energy(count_wh / 1000.0 + 0.5)


def test_a_polled_meters_remedy_is_in_the_meter() -> None:
    told = with_history(Told(fed=False, max_age_s=1000.0))
    with pytest.raises(ReadingRefused, match="check the scale factor W_SF and the current transformer ratio"):
        told.power(2.0)


def test_more_than_the_connection_carries_is_not_used(told: Told) -> None:
    with pytest.raises(ReadingRefused, match=r"40.00 kW told is more than the connection can carry \(15.00 kW\)"):
        told.power(40_000.0)
    assert told.line().power_w is None


def test_a_lost_device_keeps_its_reading_until_it_is_old_and_then_says_why() -> None:
    told = Told(fed=False, max_age_s=30.0)
    told.power(500.0)
    told.record.lose("meter c1 at 192.0.2.7:502 unit 1: no answer in 2 s")
    line = told.line()
    assert (line.power_w, line.problem) == ((500.0, 0.0, 0.0), "meter c1 at 192.0.2.7:502 unit 1: no answer in 2 s")
    told.later(31.0)
    line = told.line()
    assert line.power_w is None
    assert line.problem.startswith("no reading for 31 s, at most 30 s are allowed; meter c1 at 192.0.2.7")
