"""Recorded minutes made ready for a fit: checked, cut at gaps, sensor jumps taken out. Pure; numpy within functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Flags: TypeAlias = NDArray[np.bool_]
    Column: TypeAlias = Sequence[float] | Floats

SHORTEST_S: Final = 86_400.0
LEAST_MOVEMENT_K: Final = 5.0
"""Between the 5th and the 95th percentile of top-oil."""
LONGEST_SPACING_S: Final = 1800.0
_SHORTEST_SEGMENT_S: Final = 1800.0
_SHORTEST_GAP_S: Final = 300.0
_FEWEST_READINGS: Final = 8
_COLDEST_C: Final = -60.0
_HOTTEST_AIR_C: Final = 85.0
_HOTTEST_OIL_C: Final = 180.0
_KELVIN_ABOVE_C: Final = 190.0
_K_USUAL_PU: Final = 3.0
_K_MOST_PU: Final = 5.0
# Rated losses of a small transformer heat its oil by less than 1 K a minute; 5 K is for noise and coarse steps.
_OIL_JUMP: Final = (5.0, 1.0 / 60.0, 20.0)
_WINDING_JUMP: Final = (15.0, 10.0 / 60.0, 60.0)
_FORGET_S: Final = 1800.0
_MOST_JUMPS: Final = 0.2


class CalibrationError(ValueError):
    """The data do not permit a calibration. The message says why, and what would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationData:
    """Columns of equal length; a row's inputs hold over the time since the row before. NaN: not measured.

    ``t_s`` in s, rising (unix time or any other origin); ``k_pu`` = |S|/S_rated, its sign ignored; temperatures in °C.
    ``winding_c``: a fibre-optic sensor at the hot-spot, or an indicator that shows it.
    """

    t_s: Column
    k_pu: Column
    ambient_c: Column
    top_oil_c: Column
    winding_c: Column | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Rows of whole segments, one after another; ``use`` and ``use_winding`` mark the readings to compare with."""

    t_s: Floats
    k_squared: Floats
    ambient_c: Floats
    top_oil_c: Floats
    winding_c: Floats
    use: Flags
    use_winding: Flags
    starts: tuple[int, ...]
    """First row of each segment, and the number of rows at the end."""
    jumps: int
    """Readings of top-oil and winding left out, for they jumped or are no temperature."""
    rows_left_out: int
    """Rows without load or ambient, and those of segments too short to tell anything."""

    def part(self, first: int, end: int) -> Prepared:
        """The rows from ``first`` up to ``end``, with the segments cut there."""
        cut = slice(first, end)
        inside = [start - first for start in self.starts if first < start < end]
        return Prepared(
            t_s=self.t_s[cut],
            k_squared=self.k_squared[cut],
            ambient_c=self.ambient_c[cut],
            top_oil_c=self.top_oil_c[cut],
            winding_c=self.winding_c[cut],
            use=self.use[cut],
            use_winding=self.use_winding[cut],
            starts=(0, *inside, end - first),
            jumps=self.jumps,
            rows_left_out=self.rows_left_out,
        )


def prepare(data: CalibrationData) -> Prepared:
    """Raises :class:`CalibrationError` for units mixed up, times that do not rise, too little data or movement."""
    import numpy as np

    t_s = _column("t_s", data.t_s, len(data.t_s))
    k_pu = np.abs(_column("k_pu", data.k_pu, len(t_s)))
    ambient_c = _column("ambient_c", data.ambient_c, len(t_s))
    top_oil_c = _column("top_oil_c", data.top_oil_c, len(t_s))
    winding_c = np.full(len(t_s), np.nan) if data.winding_c is None else _column("winding", data.winding_c, len(t_s))
    _require_units(k_pu, ambient_c, top_oil_c, winding_c)
    _require_rising(t_s)

    given = np.isfinite(t_s) & (k_pu <= _K_MOST_PU) & (ambient_c >= _COLDEST_C) & (ambient_c <= _HOTTEST_AIR_C)
    t_s, k_pu, ambient_c = t_s[given], k_pu[given], ambient_c[given]
    top_oil_c, winding_c = top_oil_c[given], winding_c[given]
    pieces, spacing_s = _pieces(t_s)
    use = np.zeros(len(t_s), dtype=bool)
    use_winding = np.zeros(len(t_s), dtype=bool)
    kept = np.zeros(len(t_s), dtype=bool)
    starts = [0]
    jumps = 0
    for first, end in pieces:
        piece = slice(first, end)
        good, bad = _steady(t_s[piece], top_oil_c[piece], _OIL_JUMP)
        if t_s[end - 1] - t_s[first] < _SHORTEST_SEGMENT_S or good.sum() < _FEWEST_READINGS:
            continue
        kept[piece] = True
        starts.append(starts[-1] + end - first)
        use[piece] = good
        good_winding, bad_winding = _steady(t_s[piece], winding_c[piece], _WINDING_JUMP)
        use_winding[piece] = good_winding & good
        jumps += bad + bad_winding
    _require_enough(use, top_oil_c, spacing_s)
    if jumps > _MOST_JUMPS * use.sum():
        raise CalibrationError(
            f"{jumps} readings of top-oil or winding jump as no oil can, beside {int(use.sum())} that are steady: look "
            "at the sensor and its wiring, and choose dates on which it worked"
        )
    return Prepared(
        t_s=t_s[kept],
        k_squared=k_pu[kept] ** 2,
        ambient_c=ambient_c[kept],
        top_oil_c=top_oil_c[kept],
        winding_c=winding_c[kept],
        use=use[kept],
        use_winding=use_winding[kept],
        starts=tuple(starts),
        jumps=jumps,
        rows_left_out=len(given) - int(kept.sum()),
    )


def _column(name: str, values: Column, length: int) -> Floats:
    import numpy as np

    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or len(column) != length:
        raise CalibrationError(f"column {name} has shape {column.shape}, the times have {length} rows: give one each")
    return column


def _require_units(k_pu: Floats, ambient_c: Floats, top_oil_c: Floats, winding_c: Floats) -> None:
    import numpy as np

    for name, column in (("ambient", ambient_c), ("top-oil", top_oil_c), ("winding", winding_c)):
        known = column[np.isfinite(column)]
        if not len(known):
            if name == "winding":
                continue
            raise CalibrationError(
                f"there is no {name} temperature in these data: its transducer was lost, or not read"
            )
        if np.median(known) > _KELVIN_ABOVE_C:
            raise CalibrationError(
                f"{name} temperatures are around {np.median(known):.0f}: that is kelvin; give °C (subtract 273.15)"
            )
    load = k_pu[np.isfinite(k_pu)]
    if not len(load):
        raise CalibrationError("there is no load factor K in these data: give K = |S| / S_rated by the minute")
    if np.percentile(load, 95.0) > _K_USUAL_PU:
        raise CalibrationError(
            f"load factors K reach {np.percentile(load, 95.0):.3g}: that is per cent, or kVA; give K = |S| / S_rated, "
            "1.0 at rated load"
        )
    both = np.isfinite(ambient_c) & np.isfinite(top_oil_c)
    if both.any() and np.median(top_oil_c[both] - ambient_c[both]) < 0.0:
        raise CalibrationError(
            "the oil is colder than the air most of the time: the columns of ambient and top-oil are exchanged, or the "
            "ambient transducer hangs in the sun"
        )


def _require_rising(t_s: Floats) -> None:
    import numpy as np

    known = np.flatnonzero(np.isfinite(t_s))
    steps = np.diff(t_s[known])
    wrong = np.flatnonzero(steps <= 0.0)
    if not len(wrong):
        return
    at = int(wrong[0])
    back_s = -float(steps[at])
    hour = "; back by about an hour is local time at the end of daylight saving time" if 3000 < back_s <= 3600 else ""
    raise CalibrationError(
        f"time does not rise at row {int(known[at + 1]) + 1}: {t_s[known[at + 1]]:.0f} s comes after "
        f"{t_s[known[at]]:.0f} s, in {len(wrong)} places in all{hour}; give UTC (unix_s), sorted, each time once"
    )


def _pieces(t_s: Floats) -> tuple[list[tuple[int, int]], float]:
    """Runs of rows without a gap, as (first, end), and the usual spacing in s. A missing row or two is no gap: the
    inputs of the row behind it are taken to have held."""
    import numpy as np

    if len(t_s) < 2:
        return [], 0.0
    steps_s = np.diff(t_s)
    spacing_s = float(np.median(steps_s))
    breaks = (np.flatnonzero(steps_s > max(3.0 * spacing_s, _SHORTEST_GAP_S)) + 1).tolist()
    return list(zip([0, *breaks], [*breaks, len(t_s)], strict=True)), spacing_s


def _steady(t_s: Floats, reading_c: Floats, jump: tuple[float, float, float]) -> tuple[Flags, int]:
    """Readings that follow one another as temperatures can, and how many do not. ``jump``: K, K a second, most K."""
    import numpy as np

    good = np.zeros(len(t_s), dtype=bool)
    measured = np.flatnonzero(np.isfinite(reading_c))
    if not len(measured):
        return good, 0
    times, values = t_s[measured].tolist(), reading_c[measured].tolist()
    follows = _followers(times, values, jump)
    if not all(follows):
        # It may have begun in the middle of a jump: then the way back in time tells.
        backwards = _followers([-time_s for time_s in reversed(times)], values[::-1], jump)[::-1]
        follows = max(follows, backwards, key=sum)
    good[measured[np.array(follows)]] = True
    return good, len(measured) - int(good.sum())


def _followers(times_s: list[float], values_c: list[float], jump: tuple[float, float, float]) -> list[bool]:
    jump_k, jump_k_s, most_k = jump
    follows = []
    seen_s = good_s = -1e300
    good_c = 0.0
    for at, (now_s, value_c) in enumerate(zip(times_s, values_c, strict=True)):
        if now_s - seen_s > _FORGET_S:
            good_c, good_s = sorted(values_c[at : at + 9])[len(values_c[at : at + 9]) // 2], now_s
        seen_s = now_s
        allowed_k = min(jump_k + jump_k_s * (now_s - good_s), most_k)
        follows.append(_COLDEST_C <= value_c <= _HOTTEST_OIL_C and abs(value_c - good_c) <= allowed_k)
        if follows[-1]:
            good_c, good_s = value_c, now_s
    return follows


def _require_enough(use: Flags, top_oil_c: Floats, spacing_s: float) -> None:
    import numpy as np

    if spacing_s > LONGEST_SPACING_S:
        raise CalibrationError(
            f"the rows are {spacing_s / 60:.0f} minutes apart; a winding and its oil need means over "
            f"{LONGEST_SPACING_S / 60:.0f} minutes or shorter"
        )
    usable_s = int(use.sum()) * spacing_s
    if usable_s < SHORTEST_S:
        raise CalibrationError(
            f"{usable_s / 3600:.1f} hours of load, ambient and top-oil together are too little: "
            f"{SHORTEST_S / 3600:.0f} hours at the least, a week with changing load is good; record longer or widen "
            "the range of dates"
        )
    low, high = np.percentile(top_oil_c[use], [5.0, 95.0])
    if high - low < LEAST_MOVEMENT_K:
        raise CalibrationError(
            f"top-oil moves by only {high - low:.1f} K in these data; {LEAST_MOVEMENT_K:g} K are needed to tell "
            "parameters: choose days with changing load, and see that the sensor is not stuck"
        )
