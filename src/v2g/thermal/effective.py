"""The nameplate's parameters as they count at present: load losses from harmonics and hot ambient in them. Pure."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import Final

from v2g.thermal.losses import harmonic_load_factor, hot_ambient_factor
from v2g.thermal.parameters import ThermalParameters

F_HL_HELD_S: Final = 600.0
"""So long the last harmonic loss factor counts on, then 1."""
_STEPS: Final = 1_000.0
"""Factors are rounded to a thousandth (losses upwards), so that parameters are rarely built anew."""
_MOST: Final = 10.0
STEEPEST_GRADIENT_K: Final = 80.0
_FLATTEST_GRADIENT_K: Final = 2.0


class EffectiveParameters:
    """:meth:`at` gives the nameplate times the loss factor, :meth:`with_gradient` that with a gradient factor."""

    def __init__(self, params: ThermalParameters, eddy_share: float) -> None:
        self._nameplate = self._now = self._scaled = params
        self._eddy_share = eddy_share
        self._loss_factor = params.load_loss_factor
        self._gradient = 1.0
        self._f_hl: float | None = None
        self._f_hl_at_s = 0.0

    def at(self, f_hl: float | None, ambient_c: float, now_s: float, notes: list[str]) -> ThermalParameters:
        """``f_hl`` is None or nonsense where harmonics are not measured."""
        if f_hl is not None and 1.0 <= f_hl <= 2500.0:
            self._f_hl, self._f_hl_at_s = f_hl, now_s
        elif f_hl is not None:
            notes.append(
                f"harmonic loss factor of {f_hl:g} is outside 1..2500: not used; check the waveform's measurement"
            )
        counted = 1.0
        if self._f_hl is not None:
            if now_s - self._f_hl_at_s <= F_HL_HELD_S:
                counted = self._f_hl
            else:
                notes.append(
                    "harmonics of the load current are no longer measured: counted as a sine; check the "
                    "waveform's driver"
                )
        factor = self._nameplate.load_loss_factor * hot_ambient_factor(ambient_c)
        if counted > 1.0:
            factor *= harmonic_load_factor(counted, self._eddy_share)
        factor = min(ceil(factor * _STEPS - 1e-6) / _STEPS, _MOST)
        if factor != self._loss_factor:
            self._loss_factor = factor
            self._now = self._scaled = replace(self._nameplate, load_loss_factor=factor)
            self._gradient = 1.0
        return self._now

    def with_gradient(self, factor: float) -> ThermalParameters:
        """Within what a transformer's gradient can be."""
        factor = round(factor * _STEPS) / _STEPS
        if factor != self._gradient:
            gradient_k = min(max(self._now.dtheta_hr_k * factor, _FLATTEST_GRADIENT_K), STEEPEST_GRADIENT_K)
            self._gradient = factor
            self._scaled = replace(self._now, dtheta_hr_k=gradient_k)
        return self._scaled
