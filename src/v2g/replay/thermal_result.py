"""What ``replay thermal`` hands out: the table by row, and its summary."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from math import ceil, floor, inf
from pathlib import Path
from typing import Any, Final, TextIO

from v2g.replay.stimulus import ReplayError
from v2g.replay.thermal_run import Row
from v2g.thermal.limits import ThermalLimits

COLUMNS: Final = (
    "t_min", "top_oil_C", "hot_spot_C", "K", "V_nonupgraded", "V_upgraded", "L_min_nonupgraded", "L_min_upgraded",
    "P_lo_kW", "P_hi_kW",
)  # fmt: skip


def line_of(row: Row) -> str:
    """One line of CSV. Powers are rounded to whole W towards zero, so that what is printed is permitted."""
    lo = "" if row.p_lo_kw is None else f"{ceil(row.p_lo_kw * 1e3) / 1e3 + 0.0:.3f}"
    hi = "" if row.p_hi_kw is None else f"{floor(row.p_hi_kw * 1e3) / 1e3 + 0.0:.3f}"
    return (
        f"{row.t_min:.10g},{row.top_oil_c:.6f},{row.hot_spot_c:.6f},{row.k:.6f},{row.v_nonupgraded:.8g},"
        f"{row.v_upgraded:.8g},{row.l_min_nonupgraded:.10g},{row.l_min_upgraded:.10g},{lo},{hi}\n"
    )


@contextlib.contextmanager
def output(path: Path) -> Iterator[TextIO]:
    """Text that is at ``path`` once it is complete; nothing of it is left after an error.

    Raises :class:`~v2g.replay.stimulus.ReplayError` where it cannot be written.
    """
    part: Path | None = None
    try:
        if path.exists() and not path.is_file():
            # A device or a pipe is written to, not replaced.
            with path.open("w", encoding="utf-8", newline="") as file:
                yield file
            return
        part = path.with_name(f".{path.name}.part")
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise ReplayError(
            f"{path}: {error.strerror or error}; name a file in a directory that can be written"
        ) from None
    finally:
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink()


class Summary:
    """Counts the rows that pass through :meth:`watch`."""

    def __init__(self, limits: ThermalLimits, *, upgraded_paper: bool) -> None:
        self._limits = limits
        self._upgraded_paper = upgraded_paper
        self._rows = 0
        self._first_min = self._last_min = 0.0
        self._hot_spot = self._top_oil = self._k = (-inf, 0.0)
        self._over_min = 0.0
        self._lives_min = (0.0, 0.0)
        self._lo: tuple[float, float, str] | None = None
        self._hi: tuple[float, float, str] | None = None
        self._not_feasible = 0

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self._count(row)
            yield row

    def _count(self, row: Row) -> None:
        t_min = row.t_min
        if not self._rows:
            self._first_min = self._last_min = t_min
        span_min, self._last_min = t_min - self._last_min, t_min
        self._rows += 1
        if row.hot_spot_c > self._hot_spot[0]:
            self._hot_spot = row.hot_spot_c, t_min
        if row.top_oil_c > self._top_oil[0]:
            self._top_oil = row.top_oil_c, t_min
        if row.k > self._k[0]:
            self._k = row.k, t_min
        limits = self._limits
        if row.hot_spot_c > limits.hot_spot_c or row.top_oil_c > limits.top_oil_c or row.k > limits.k_pu:
            self._over_min += span_min
        self._lives_min = row.l_min_nonupgraded, row.l_min_upgraded
        if row.p_lo_kw is not None and (self._lo is None or row.p_lo_kw > self._lo[0]):
            self._lo = row.p_lo_kw, t_min, row.lo_source
        if row.p_hi_kw is not None and (self._hi is None or row.p_hi_kw < self._hi[0]):
            self._hi = row.p_hi_kw, t_min, row.hi_source
        self._not_feasible += not row.feasible

    def plain(self, remarks: Iterable[str], warnings: Iterable[str]) -> dict[str, Any]:
        """For machines."""
        span_min = self._last_min - self._first_min
        life_min = self._lives_min[self._upgraded_paper]
        return {
            "rows": self._rows,
            "from_min": self._first_min,
            "to_min": self._last_min,
            "hot_spot_C": {"max": self._hot_spot[0], "at_min": self._hot_spot[1], "limit": self._limits.hot_spot_c},
            "top_oil_C": {"max": self._top_oil[0], "at_min": self._top_oil[1], "limit": self._limits.top_oil_c},
            "K": {"max": self._k[0], "at_min": self._k[1], "limit": self._limits.k_pu},
            "over_a_limit_min": self._over_min,
            "L_min_nonupgraded": self._lives_min[0],
            "L_min_upgraded": self._lives_min[1],
            "paper": "upgraded" if self._upgraded_paper else "nonupgraded",
            "mean_ageing_rate": life_min / span_min if span_min else None,
            "least_discharge": _end(self._lo),
            "least_charge": _end(self._hi),
            "rows_without_permitted_power": self._not_feasible,
            "remarks": list(remarks),
            "warnings": list(warnings),
        }


def _end(found: tuple[float, float, str] | None) -> dict[str, Any] | None:
    return None if found is None else {"P_kW": found[0], "at_min": found[1], "binding": found[2]}


def text(summary: dict[str, Any], title: str) -> str:
    """The summary for people."""
    hot, oil, k = summary["hot_spot_C"], summary["top_oil_C"], summary["K"]
    lines = [
        f"{title}: {summary['rows']} rows, {summary['from_min']:g} to {summary['to_min']:g} min",
        f"hot-spot   up to {hot['max']:.2f} °C at {hot['at_min']:g} min (limit {hot['limit']:g} °C)",
        f"top oil    up to {oil['max']:.2f} °C at {oil['at_min']:g} min (limit {oil['limit']:g} °C)",
        f"K          up to {k['max']:.3f} at {k['at_min']:g} min (limit {k['limit']:g})",
        f"over       {summary['over_a_limit_min']:g} min with a limit exceeded",
        f"life used  {summary['L_min_nonupgraded']:.4g} min, upgraded paper {summary['L_min_upgraded']:.4g} min",
    ]
    rate = summary["mean_ageing_rate"]
    if rate is not None:
        lines.append(f"ageing     {rate:.4g} times rated on average, {summary['paper']} paper")
    for word, key in (("discharge", "least_discharge"), ("charge", "least_charge")):
        end = summary[key]
        if end is not None:
            lines.append(
                f"{word:10} permitted at every time: {abs(end['P_kW']):.3f} kW; least at {end['at_min']:g} min, "
                f"where {end['binding']} binds"
            )
    if summary["rows_without_permitted_power"]:
        lines.append(f"over limit {summary['rows_without_permitted_power']} rows at which no power kept the limits")
    lines += [f"  - {remark}" for remark in summary["remarks"]]
    lines += [f"  ! {warning}" for warning in summary["warnings"]]
    return "\n".join(lines)
