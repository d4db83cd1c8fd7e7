"""The picture of a thermal replay: temperatures with their limits, load, and the permitted V2G power."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import nan
from pathlib import Path
from typing import Any, Final

from v2g.replay.picture import new_figure, save
from v2g.replay.thermal_run import Row
from v2g.thermal.limits import ThermalLimits

_POINTS: Final = 4000
_LONG_MIN: Final = 3 * 1440.0
_LEGEND: Final[dict[str, Any]] = {
    "loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.1, "fontsize": 8, "ncols": 2,
    "frameon": False,
}  # fmt: skip


class Points:
    """Rows thinned to some thousand points: of each group the hottest row, with the group's narrowest interval and
    highest load, so that no peak is lost."""

    def __init__(self, rows: int) -> None:
        self._group = max(1, -(-rows // _POINTS))
        self._open: list[Row] = []
        self.rows: list[Row] = []

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self._open.append(row)
            if len(self._open) == self._group:
                self._close()
            yield row
        if self._open:
            self._close()

    def _close(self) -> None:
        group, self._open = self._open, []
        hottest = max(group, key=lambda row: row.hot_spot_c)
        lows = [row.p_lo_kw for row in group if row.p_lo_kw is not None]
        highs = [row.p_hi_kw for row in group if row.p_hi_kw is not None]
        self.rows.append(
            hottest._replace(
                top_oil_c=max(row.top_oil_c for row in group),
                k=max(row.k for row in group),
                p_lo_kw=max(lows, default=None),
                p_hi_kw=min(highs, default=None),
            )
        )


def draw(path: Path, rows: list[Row], limits: ThermalLimits, title: str) -> None:
    """Write a PNG (or what the suffix says). Raises :class:`~v2g.replay.stimulus.ReplayError`."""
    figure = new_figure(path)
    temperatures, load, power = figure.subplots(3, 1, sharex=True, height_ratios=(4, 2, 3))
    figure.suptitle(title, fontsize=11)
    days = rows[-1].t_min - rows[0].t_min > _LONG_MIN
    times = [row.t_min / (1440.0 if days else 60.0) for row in rows]

    temperatures.plot(times, [row.hot_spot_c for row in rows], color="#c23b22", lw=1.2, label="hot-spot")
    temperatures.plot(times, [row.top_oil_c for row in rows], color="#2f6db5", lw=1.2, label="top oil")
    for limit_c, colour in ((limits.hot_spot_c, "#c23b22"), (limits.top_oil_c, "#2f6db5")):
        temperatures.axhline(limit_c, color=colour, lw=0.8, ls=":")
    temperatures.set(ylabel="°C (dotted: limits)")
    temperatures.legend(**_LEGEND)

    load.plot(times, [row.k for row in rows], color="#333333", lw=1.2)
    load.axhline(limits.k_pu, color="#333333", lw=0.8, ls=":")
    load.set(ylabel="K = |S|/S_rated", ylim=(0.0, None))

    if rows[0].p_lo_kw is not None:
        lows = [nan if row.p_lo_kw is None else row.p_lo_kw for row in rows]
        highs = [nan if row.p_hi_kw is None else row.p_hi_kw for row in rows]
        power.fill_between(times, lows, highs, color="#e6f2e6", lw=0)
        power.plot(times, highs, color="#3b8f4a", lw=1.0, label="P_hi (charge), for 15 min")
        power.plot(times, lows, color="#7a4fa3", lw=1.0, label="P_lo (discharge)")
        power.axhline(0.0, color="#888888", lw=0.6)
        power.legend(**_LEGEND)
    else:
        power.text(
            0.5, 0.5, "no headroom was asked for, or S_rated_kVA is not stated", ha="center", transform=power.transAxes
        )
    power.set(ylabel="V2G permitted, kW", xlabel="t, days" if days else "t, h")
    save(figure, path)
