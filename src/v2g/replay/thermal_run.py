"""A recorded load through the thermal model: temperatures, ageing, and what V2G could have added at each row."""

from __future__ import annotations

import enum
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import hypot, inf, sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from v2g.replay.stimulus import ReplayError
from v2g.replay.thermal_table import F_HL, ThermalTable
from v2g.replay.thermal_transformer import ReplayedTransformer
from v2g.thermal.ageing import relative_ageing_rate
from v2g.thermal.headroom import longest_horizon_s, permitted_interval
from v2g.thermal.losses import SERVICE_AMBIENT_C, harmonic_load_factor, hot_ambient_factor
from v2g.thermal.model import steady_state, step
from v2g.thermal.parameters import ParameterError, ThermalParameters

HORIZON_MIN: Final = 15
_MOST_HOT_SPOT_C: Final = 1000.0
"""Beyond it the paper's ageing rate is no number any more, and the winding copper is not far from melting."""
_CHUNK: Final = 4096


class Ahead(enum.StrEnum):
    """What headroom is told of the next fifteen minutes: the file's next rows, or nothing but the present one."""

    FILE = "file"
    PERSISTENCE = "persistence"


class Row(NamedTuple):
    """One row of the result. ``p_lo_kw`` and ``p_hi_kw`` are None where they were not asked for or cannot be known."""

    t_min: float
    top_oil_c: float
    hot_spot_c: float
    k: float
    """|S|/S_rated, whatever the direction of flow."""
    v_nonupgraded: float
    v_upgraded: float
    l_min_nonupgraded: float
    l_min_upgraded: float
    p_lo_kw: float | None
    p_hi_kw: float | None
    feasible: bool
    lo_source: str
    hi_source: str


@dataclass(frozen=True, slots=True)
class Load:
    """What the table's load is, whichever columns it has."""

    k: array[float]
    p_kw: array[float]
    q_kvar: array[float]


def rows(table: ThermalTable, transformer: ReplayedTransformer, *, ahead: Ahead | None = Ahead.FILE) -> Iterator[Row]:
    """The table row by row; row n's inputs hold over (t[n-1], t[n]], row 0 only gives the initial state.

    P_lo and P_hi of row n are what :func:`v2g.thermal.headroom.permitted_interval` permits from its time on for
    fifteen minutes. ``ahead`` says what it is told of them: the time-weighted mean of the file's own rows in each
    minute, the last row held beyond the end of the file; or persistence. None: no headroom. Harmonics stay as in the
    row, hot ambient counts as at the hottest of the minutes ahead, cold oil as it is at the row's time.

    Raises :class:`~v2g.replay.stimulus.ReplayError` for a hot-spot beyond what can be, and for constants with which
    fifteen minutes cannot be looked ahead.
    """
    load = load_of(table, transformer)
    if transformer.rated_kva is None:
        ahead = None
    if ahead is not None:
        _require_horizon(transformer.params)
    factors = _LossFactors(table, transformer)
    base = factors.params(0, table.ambient_c[0])
    state = transformer.initial_state(steady_state(base, load.k[0], table.ambient_c[0]))
    lives = [0.0, 0.0]
    for first in range(0, len(table), _CHUNK):
        last = min(first + _CHUNK, len(table))
        minutes = _minutes(table, load, first, last) if ahead is Ahead.FILE else None
        for row in range(first, last):
            ambient_c = table.ambient_c[row]
            span_min = 0.0
            if row:
                span_min = table.t_min[row] - table.t_min[row - 1]
                state = step(state, factors.params(row, ambient_c), load.k[row], ambient_c, span_min * 60.0)
            hot_spot_c = state.hot_spot_c
            if hot_spot_c > _MOST_HOT_SPOT_C:
                raise table.wrong(
                    row,
                    "K" if table.k else "P_kW",
                    f"{(table.k or table.p_kw)[row]:g}",
                    f"the hot-spot would be {hot_spot_c:.0f} °C",
                    "see that load, dor_K, dhr_K and time (minutes) have their units",
                )
            rates = (
                relative_ageing_rate(hot_spot_c, upgraded_paper=False),
                relative_ageing_rate(hot_spot_c, upgraded_paper=True),
            )
            lives[0] += rates[0] * span_min
            lives[1] += rates[1] * span_min
            p_lo_kw: float | None = None
            p_hi_kw: float | None = None
            feasible, lo_source, hi_source = True, "", ""
            if ahead is not None:
                base_w: float | list[float] = load.p_kw[row] * 1e3
                base_var: float | list[float] = load.q_kvar[row] * 1e3
                ahead_c: float | list[float] = ambient_c
                hottest_c = ambient_c
                if minutes is not None:
                    base_w, base_var, ahead_c = (column[row - first] for column in minutes)
                    hottest_c = max(ahead_c)
                limits = transformer.cold_oil.narrowed(transformer.limits, state.theta_o_c)
                found = permitted_interval(
                    state,
                    factors.params(row, hottest_c),
                    limits,
                    base_w=base_w,
                    base_var=base_var,
                    ambient_c=ahead_c,
                    horizon_s=HORIZON_MIN * 60.0,
                )
                p_lo_kw, p_hi_kw = found.lo_w / 1e3 + 0.0, found.hi_w / 1e3 + 0.0
                feasible, lo_source, hi_source = found.feasible, found.lo_source, found.hi_source
            yield Row(
                table.t_min[row], state.theta_o_c, hot_spot_c, load.k[row], rates[0], rates[1], lives[0], lives[1],
                p_lo_kw, p_hi_kw, feasible, lo_source, hi_source,
            )  # fmt: skip


class _LossFactors:
    """Parameters with the load losses of a row: harmonics, hot ambient."""

    def __init__(self, table: ThermalTable, transformer: ReplayedTransformer) -> None:
        self._table = table
        self._transformer = transformer
        self._params = transformer.params
        hot = transformer.hot_ambient_losses and max(table.ambient_c) > SERVICE_AMBIENT_C
        self._plain = not hot and not table.f_hl

    def params(self, row: int, ambient_c: float) -> ThermalParameters:
        if self._plain:
            return self._params
        factor = 1.0
        f_hl = self._table.f_hl
        if f_hl:
            factor = harmonic_load_factor(f_hl[row], self._transformer.eddy_share)
        if self._transformer.hot_ambient_losses:
            factor *= hot_ambient_factor(ambient_c)
        if factor != self._params.load_loss_factor:
            try:
                self._params = replace(self._params, load_loss_factor=factor)
            except ParameterError as error:
                raise self._table.wrong(
                    row, F_HL, f"{f_hl[row]:g}", str(error), "see F_HL here and eddy_share in the transformer file"
                ) from None
        return self._params


def load_of(table: ThermalTable, transformer: ReplayedTransformer) -> Load:
    """Row by row. Without ``S_rated_kVA`` powers are 0 where only K is given."""
    if table.p_kw:
        rated_kva = transformer.rated_kva or inf
        if table.q_kvar:
            q_kvar = table.q_kvar
        else:
            power_factor = transformer.power_factor or 1.0
            per_p = sqrt(1.0 - power_factor * power_factor) / power_factor
            q_kvar = array("d", (abs(p) * per_p for p in table.p_kw))
        k = array("d", (hypot(p, q) / rated_kva for p, q in zip(table.p_kw, q_kvar, strict=True)))
        return Load(k, table.p_kw, q_kvar)
    rated_kva = transformer.rated_kva or 0.0
    return Load(
        array("d", (abs(k) for k in table.k)),
        array("d", (k * rated_kva for k in table.k)),
        array("d", bytes(8 * len(table))),
    )


def _minutes(
    table: ThermalTable, load: Load, first: int, last: int
) -> tuple[list[list[float]], list[list[float]], list[list[float]]]:
    """Of rows first..last-1: base load in W and var and ambient in °C by minute of the horizon, time-weighted."""
    times = np.frombuffer(table.t_min)
    end_min = float(times[last - 1]) + HORIZON_MIN
    stop = int(np.searchsorted(times, end_min)) + 1
    t_min = times[first:stop]
    if t_min[-1] < end_min:
        t_min = np.append(t_min, end_min)
    spans_min = np.diff(t_min)
    edges_min = times[first:last, None] + np.arange(HORIZON_MIN + 1)

    def means(column: array[float], scale: float) -> list[list[float]]:
        # Beyond the last row the table's last value holds.
        own: NDArray[np.float64] = np.frombuffer(column)[first:stop] * scale
        held = own if len(own) == len(t_min) else np.append(own, own[-1])
        sums = np.concatenate(([0.0], np.cumsum(held[1:] * spans_min)))
        by_minute: list[list[float]] = np.diff(np.interp(edges_min, t_min, sums), axis=1).tolist()
        return by_minute

    return means(load.p_kw, 1e3), means(load.q_kvar, 1e3), means(table.ambient_c, 1.0)


def _require_horizon(params: ThermalParameters) -> None:
    longest_min = longest_horizon_s(params) / 60.0
    if longest_min < HORIZON_MIN:
        raise ReplayError(
            f"with these constants the hot-spot falls again after {longest_min:.0f} min of constant load, so no power "
            f"can be permitted for {HORIZON_MIN} min; correct k21, k22, tau_o_min, tau_w_min, or use --no-headroom"
        )
