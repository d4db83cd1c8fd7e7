from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyiso15118.messages.common_types import RationalNumberType


@pytest.mark.parametrize(
    ("value", "exponent", "mantissa"),
    [
        (0, 0, 0),
        (-10000, 0, -10000),
        (32767, 0, 32767),
        (-32768, 0, -32768),
        (40000, 1, 4000),
        (300000, 1, 30000),
        (400.5, -1, 4005),
        (0.1 + 0.2, -1, 3),
        (-0.0004, -4, -4),
        (32767.4, 0, 32767),
        (123456, 1, 12346),
    ],
)
def test_the_nearest_number_is_taken(value: float, exponent: int, mantissa: int) -> None:
    assert RationalNumberType.of(value) == RationalNumberType(Exponent=exponent, Value=mantissa)


@given(st.integers(-32768, 32767))
def test_integers_of_sixteen_bits_are_exact(value: int) -> None:
    number = RationalNumberType.of(value)
    assert (number.Exponent, number.Value, float(number)) == (0, value, value)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-3e131, max_value=3e131))
@example(5e-324)
@example(3.2767e131)
def test_four_digits_survive_and_the_result_is_in_range(value: float) -> None:
    number = RationalNumberType.of(value)
    assert -128 <= number.Exponent <= 127
    assert -32768 <= number.Value <= 32767
    assert math.isclose(number.to_float(), value, rel_tol=1 / 3276, abs_tol=1e-128)


@given(st.integers(-128, 127), st.integers(-32768, 32767))
def test_what_a_number_says_it_can_say_again(exponent: int, mantissa: int) -> None:
    number = float(RationalNumberType(Exponent=exponent, Value=mantissa))
    assert math.isclose(float(RationalNumberType.of(number)), number, rel_tol=1e-15)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="no finite number"):
        RationalNumberType.of(value)


@pytest.mark.parametrize("value", [3.3e131, 10**400, -(10**400)], ids=["float", "integer", "negative integer"])
def test_what_is_too_large_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="beyond the largest"):
        RationalNumberType.of(value)
