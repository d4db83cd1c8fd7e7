from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.grid import hann


@given(n=st.integers(48, 1000), theta=st.floats(-3.0, 3.0))
def test_the_kernel_is_the_transform_of_the_window_about_its_centre(n, theta):
    summed = (hann.window(n) * np.exp(-1j * theta * (np.arange(n) - n / 2))).sum()
    assert summed.imag == pytest.approx(0.0, abs=1e-9 * n)
    assert hann.kernel(theta, n) == pytest.approx(summed.real, abs=1e-7 * n)


@pytest.mark.parametrize(("bins", "gain"), [(0, 1 / 2), (1, 1 / 4), (-1, 1 / 4), (2, 0), (3, 0), (5, 0)])
def test_at_whole_bins_the_kernel_is_the_windows_three_coefficients(bins, gain):
    assert hann.kernel(hann.TAU * bins / 192, 192) == pytest.approx(192 * gain, abs=1e-5)


@given(
    n=st.integers(150, 1000),
    cycles=st.floats(2.0, 4.0),
    angle=st.floats(-3.1, 3.1),
    peak=st.floats(0.1, 1e3),
)
def test_the_amplitude_of_one_sine_comes_back_from_one_bin(n, cycles, angle, peak):
    omega = hann.TAU * cycles / n
    x = peak * np.cos(omega * (np.arange(n) - n / 2) + angle)
    real, imaginary = x @ hann.dft(n, range(3, 4))
    half = hann.amplitude(real, imaginary, hann.TAU * 3 / n, omega, n)
    assert abs(2 * half - peak * np.exp(1j * angle)) < 1e-6 * peak


@pytest.mark.parametrize("cycles", [2.6, 3.0, 3.4])
def test_three_magnitudes_tell_where_between_the_bins_a_sine_lies(cycles):
    n = 3000
    x = np.exp(1j * hann.TAU * cycles / n * np.arange(n)) * hann.window(n)
    left, middle, right = np.abs(np.fft.fft(x))[2:5]
    assert 3 + hann.offset_bins(left, middle, right) == pytest.approx(cycles, abs=1e-5)
    assert hann.offset_bins(0.0, 0.0, 0.0) == 0.0
