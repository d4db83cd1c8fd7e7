from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from v2g.units import (
    QuantityError,
    format_duration,
    format_power,
    parse_duration_s,
    parse_in,
    parse_power_w,
    parse_quantity,
)


@pytest.mark.parametrize(
    ("text", "power_w"),
    [
        ("10kW", 10_000.0),
        ("10 kW", 10_000.0),
        ("0W", 0.0),
        ("1.5MW", 1.5e6),
        (".5kW", 500.0),
        ("+3W", 3.0),
        ("7,4 kW", 7400.0),
        ("11KW", 11_000.0),
        ("3kw", 3000.0),
        ("800w", 800.0),
    ],
)
def test_power_is_read_in_its_unit(text: str, power_w: float) -> None:
    assert parse_power_w(text) == pytest.approx(power_w)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10", "10kW or 10W?"),
        ("10mw", "unknown unit 'mw'"),
        ("1,000 W", "is 1000 meant, or 1.000?"),
        ("10 kVA", "unknown unit 'kVA'"),
        ("-10kW", "the mode says the direction"),
        ("ten kW", "is not a quantity"),
        ("", "is not a quantity"),
        ("nan kW", "is not a quantity"),
        ("1e9 kW", "unknown unit"),
    ],
)
def test_a_power_that_cannot_be_meant_is_refused(text: str, message: str) -> None:
    with pytest.raises(QuantityError) as error:
        parse_power_w(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15min", 900.0),
        ("90 s", 90.0),
        ("2h", 7200.0),
        ("1.5 h", 5400.0),
        ("30sec", 30.0),
        ("14d", 1_209_600.0),
        ("1h 30min", 5400.0),
        ("1h30m", 5400.0),
        (" 1 d 2 h 3 min 4 s ", 93_784.0),
        ("1,5h", 5400.0),
    ],
)
def test_duration_is_read_in_its_unit(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("15", "15min or 15s?"),
        ("0s", "above zero"),
        ("-1min", "above zero"),
        ("3days", "use s, min, h or d"),
        ("30min 1h", "write it like 1h 30min"),
        ("1h 2h", "write it like"),
        ("1h 3x", "write it like"),
        ("1h 30", "use s, min, h or d"),
    ],
)
def test_a_duration_that_cannot_be_meant_is_refused(text: str, message: str) -> None:
    with pytest.raises(QuantityError) as error:
        parse_duration_s(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("power_w", "text"),
    [(-10_000.0, "-10.00 kW"), (999.0, "999 W"), (1000.0, "1.00 kW"), (-2.5e6, "-2.500 MW"), (0.0, "0 W")],
)
def test_power_is_written_for_people(power_w: float, text: str) -> None:
    assert format_power(power_w) == text


@pytest.mark.parametrize(("seconds", "text"), [(900.0, "15 min"), (7200.0, "2 h"), (90.0, "90 s"), (0.5, "0.5 s")])
def test_duration_is_written_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@settings(deadline=None)
@given(power_w=st.integers(0, 10**9))
def test_written_power_reads_back_within_its_digits(power_w: int) -> None:
    assert parse_power_w(format_power(power_w)) == pytest.approx(power_w, rel=0.006)


@settings(deadline=None)
@given(seconds=st.integers(1, 10**6 - 1))
def test_written_duration_reads_back(seconds: int) -> None:
    assert parse_duration_s(format_duration(float(seconds))) == pytest.approx(seconds, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("231.4V", (231.4, "V")),
        ("12.5 A", (12.5, "A")),
        ("65.2°C", (65.2, "°C")),
        ("65.2 C", (65.2, "°C")),
        ("-7 degC", (-7.0, "°C")),
        ("3 furlongs", (3.0, "furlongs")),
    ],
)
def test_a_reference_is_read_as_an_instrument_shows_it(text: str, quantity: tuple[float, str]) -> None:
    assert parse_quantity(text) == quantity


@pytest.mark.parametrize("text", ["231.4", "V", "", "nan V"])
def test_a_reference_without_number_or_unit_is_refused(text: str) -> None:
    with pytest.raises(QuantityError, match=r"231\.4V, 12\.5A or 65\.2°C"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("5", "s", 5.0), ("5s", "s", 5.0), ("50 ms", "s", 0.05), ("2min", "s", 120.0), ("60", "d", 60.0),
        ("60d", "d", 60.0),
        ("277", "V", 277.0), ("0.4kV", "V", 400.0), ("230 v", "V", 230.0), ("25", "°C", 25.0), ("-5 C", "°C", -5.0),
        ("0.03", "", 0.03), ("3%", "", 0.03), ("3 %", "", 0.03), ("0,03", "", 0.03), ("60hz", "Hz", 60.0),
    ],
)  # fmt: skip
def test_a_number_alone_counts_in_the_unit_of_its_option(text: str, unit: str, value: float) -> None:
    assert parse_in(text, unit) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "unit", "words"),
    [
        ("5km", "s", "use ms, s, sec, min, m, h, d, or a number alone"),
        ("soon", "s", "write it like 10s"),
        ("3kW", "", "unknown unit 'kW'; use %"),
        ("x", "", "write it like 0.03 or 3%"),
    ],
)
def test_another_unit_is_answered_with_those_that_there_are(text: str, unit: str, words: str) -> None:
    with pytest.raises(QuantityError) as error:
        parse_in(text, unit)
    assert words in str(error.value)
