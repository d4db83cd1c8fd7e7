"""Is this table about this transformer? Units mixed up, sensors that jump, gaps: refused, or said."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice, pairwise
from statistics import median
from typing import Final

from v2g.replay.stimulus import ReplayError
from v2g.replay.thermal_run import load_of
from v2g.replay.thermal_table import AMBIENT, F_HL, K, P, Q, T, ThermalTable
from v2g.replay.thermal_transformer import ReplayedTransformer

MOST_K: Final = 10.0
"""Beyond it no transformer is loaded for as long as a row lasts."""
_MUCH_K: Final = 3.0
_AMBIENT_C: Final = (-80.0, 100.0)
_SERVICE_C: Final = (-40.0, 85.0)
_KELVIN_C: Final = (200.0, 360.0)
_WARM_C: Final = 50.0
_JUMP_K: Final = 20.0
_GAP_MIN: Final = 60.0
_TELLING_ROWS: Final = 10
_LEAST_K: Final = 0.002
_LITTLE_K: Final = 0.02
_SHOWN: Final = 3
_LOOKED_AT: Final = 10_001


def check(table: ThermalTable, transformer: ReplayedTransformer) -> tuple[str, ...]:
    """What to beware of, in words.

    Raises :class:`~v2g.replay.stimulus.ReplayError` for what no transformer can see, and for columns that do not fit
    the transformer file.
    """
    _columns(table, transformer)
    warnings = [*_times(table), *_ambient(table), *_load(table, transformer)]
    if table.f_hl:
        for row, f_hl in enumerate(table.f_hl):
            if not 1.0 <= f_hl <= 2500.0:
                raise table.wrong(
                    row, F_HL, f_hl, "a harmonic loss factor is 1..2500", "give Σ(I_h·h)²/ΣI_h² (IEEE C57.110), not THD"
                )
    return tuple(warnings)


def _columns(table: ThermalTable, transformer: ReplayedTransformer) -> None:
    if not table.p_kw:
        return
    if transformer.rated_kva is None:
        raise ReplayError(f"{table.path}, line 1: P_kW needs a rated power; state S_rated_kVA in the transformer file")
    if not table.q_kvar and transformer.power_factor is None:
        raise ReplayError(
            f"{table.path}, line 1: no column Q_kvar beside P_kW; add it, or state power_factor in the transformer "
            "file (1 where there is no reactive power)"
        )


def _times(table: ThermalTable) -> list[str]:
    said: list[str] = []
    if len(table) < 2:
        return said
    typical_min = median(later - earlier for earlier, later in pairwise(islice(table.t_min, _LOOKED_AT)))
    if len(table) >= _TELLING_ROWS:
        if typical_min >= 2.0 * _GAP_MIN:
            raise ReplayError(
                f"{table.path}, column {T}: rows are {typical_min:g} min apart; seconds? Divide them by 60. A load "
                "seen so seldom says nothing of a winding that warms in ten minutes"
            )
        if typical_min >= 30.0:
            said.append(
                f"rows are {typical_min:g} min apart: peaks between them are not seen (if {T} is in seconds, divide "
                "it by 60)"
            )
        elif typical_min < 0.1:
            said.append(f"rows are {typical_min * 60.0:.3g} s apart (if {T} is in hours, multiply it by 60)")
    gaps = [
        row
        for row, (earlier, later) in enumerate(pairwise(table.t_min), 1)
        if later - earlier > _GAP_MIN and later - earlier > 1.5 * typical_min
    ]
    dst = ", or daylight saving begins there" if table.naive_time else ""
    said += _told(
        table,
        gaps,
        lambda row: f"nothing for {(table.t_min[row] - table.t_min[row - 1]) / 60.0:.3g} h before it",
        f"the row after a gap is taken to hold since the row before it{dst}",
    )
    return said


def _ambient(table: ThermalTable) -> list[str]:
    low, high = _AMBIENT_C
    outside: list[int] = []
    for row, ambient_c in enumerate(table.ambient_c):
        if low <= ambient_c <= high:
            if not _SERVICE_C[0] <= ambient_c <= _SERVICE_C[1]:
                outside.append(row)
            continue
        kelvin = _KELVIN_C[0] <= ambient_c <= _KELVIN_C[1]
        raise table.wrong(
            row,
            AMBIENT,
            f"{ambient_c:g}",
            "kelvin in place of °C" if kelvin else f"no ambient is outside {low:g}..{high:g} °C",
            "subtract 273.15" if kelvin else "correct it (a sensor that is broken, or °F?) or take the row out",
        )
    said = _told(
        table,
        outside,
        lambda row: f"ambient {table.ambient_c[row]:g} °C",
        f"outside {_SERVICE_C[0]:g}..{_SERVICE_C[1]:g} °C nobody has validated the equations",
    )
    mean_c = math.fsum(table.ambient_c) / len(table)
    if mean_c > _WARM_C:
        said.append(f"ambient is {mean_c:.1f} °C on average: °F in place of °C?")
    jumps = [
        row
        for row, (earlier, later) in enumerate(pairwise(table.ambient_c), 1)
        if abs(later - earlier) >= _JUMP_K and table.t_min[row] - table.t_min[row - 1] <= _GAP_MIN
    ]
    said += _told(
        table,
        jumps,
        lambda row: f"ambient goes from {table.ambient_c[row - 1]:g} to {table.ambient_c[row]:g} °C",
        "air does not change so fast, a sensor does: the temperatures after it are in doubt",
    )
    return said


def _load(table: ThermalTable, transformer: ReplayedTransformer) -> list[str]:
    k_pu, rated_kva = load_of(table, transformer).k, transformer.rated_kva or math.inf
    most = max(k_pu)
    row = k_pu.index(most)
    if most > MOST_K:
        if not table.p_kw:
            raise table.wrong(
                row, K, f"{table.k[row]:g}", "no transformer carries that: K is per unit of S_rated, not %",
                "divide K by 100",
            )  # fmt: skip
        column = P if abs(table.p_kw[row]) * 2.0 >= most * rated_kva or not table.q_kvar else Q
        value = table.p_kw[row] if column == P else table.q_kvar[row]
        raise table.wrong(
            row, column, f"{value:g}", f"is K = {most:.4g} of S_rated_kVA {rated_kva:g}, which no transformer carries",
            "give P_kW and Q_kvar in kW and kvar (not W), S_rated_kVA in kVA (not MVA)",
        )  # fmt: skip
    said: list[str] = []
    if len(table) >= _TELLING_ROWS and 0.0 < most < _LEAST_K:
        where = f"S_rated_kVA {rated_kva:g} in VA, or P_kW in MW?" if table.p_kw else "K in a unit of its own?"
        raise ReplayError(
            f"{table.path}, column {P if table.p_kw else K}: the load never exceeds K = {most:.2g}; {where} Correct "
            "the unit; write 0 for a transformer without load"
        )
    if len(table) >= _TELLING_ROWS and 0.0 < most < _LITTLE_K:
        said.append(f"the load never exceeds K = {most:.2g}: is S_rated_kVA in kVA, the load in kW?")
    said += _told(
        table,
        [row for row, k in enumerate(k_pu) if k > _MUCH_K],
        lambda row: f"K = {k_pu[row]:.3g}",
        "more than any loading guide allows for: see that S_rated_kVA and the load's unit are right",
    )
    return said


def _told(table: ThermalTable, rows: list[int], what: Callable[[int], str], so: str) -> list[str]:
    """One warning for all rows of a kind: the first ones by line, the count of the others."""
    if not rows:
        return []
    first = "; ".join(f"line {table.line[row]}: {what(row)}" for row in rows[:_SHOWN])
    more = f"; and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return [f"{first}{more}: {so}"]
