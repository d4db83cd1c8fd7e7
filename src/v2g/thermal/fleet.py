"""Many transformers in one call, for planning studies: the exact step of :mod:`v2g.thermal.model` over arrays. Pure.

Needs numpy, which is imported by the call: a daemon that plans nothing does not load it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from v2g.thermal.model import MAX_K_PU
from v2g.thermal.parameters import ThermalParameters

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetParameters:
    """As :class:`~v2g.thermal.parameters.ThermalParameters`, in its units, with one value for each transformer."""

    dtheta_or_k: Values
    dtheta_hr_k: Values
    r: Values
    x: Values
    y: Values
    k11: Values
    k21: Values
    k22: Values
    tau_o_s: Values
    tau_w_s: Values
    rated_va: Values
    load_loss_factor: Values

    @classmethod
    def of(cls, transformers: Sequence[ThermalParameters]) -> FleetParameters:
        """Raises ValueError for a fleet of none."""
        import numpy as np

        if not transformers:
            raise ValueError("a fleet of no transformers: give one at least")
        return cls(**{f.name: np.array([getattr(t, f.name) for t in transformers], dtype=float) for f in fields(cls)})

    def __len__(self) -> int:
        return len(self.rated_va)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """:class:`~v2g.thermal.model.ThermalState` of each transformer: θo in °C, h1 and h2 in K."""

    theta_o_c: Values
    h1_k: Values
    h2_k: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCourse:
    """By row of time and by transformer; row 0 is the start."""

    top_oil_c: Values
    hot_spot_c: Values
    loss_of_life_kraft_s: Values
    """Of each transformer: Σ V·dt after IEC 60076-7, in seconds at rated ageing (V = 1), for kraft paper."""
    loss_of_life_upgraded_s: Values
    """The same for thermally upgraded paper."""
    final: FleetState
    """To go on with, where a study is cut into blocks."""


def simulate(
    fleet: FleetParameters,
    k_pu: ArrayLike,
    ambient_c: ArrayLike,
    dt_s: ArrayLike,
    initial: FleetState | None = None,
) -> FleetCourse:
    """The course of all transformers.

    ``k_pu``: |S|/S_rated by row of time, for all alike [n_steps] or each [n_steps, n]; its sign is ignored.
    ``ambient_c`` likewise, or one number. Row n holds over (t[n-1], t[n]]; ``dt_s`` is that interval, one number or
    [n_steps - 1]. Row 0 is ``initial``, or the steady state of its load and ambient.

    Memory: 16 bytes for each row and transformer; cut longer studies into blocks and go on from ``final``. A block
    starts with the last row of the one before, which is then not counted twice.

    Raises ValueError for shapes that do not fit, values that are not finite, |K| above
    :data:`~v2g.thermal.model.MAX_K_PU` and negative steps.
    """
    import numpy as np

    n = len(fleet)
    k_rows = _by_row(np.asarray(k_pu, dtype=float), n, "k_pu", None)
    steps = len(k_rows)
    ambient_rows = _by_row(np.asarray(ambient_c, dtype=float), n, "ambient_c", steps)
    dts = np.asarray(dt_s, dtype=float)
    if dts.ndim > 1 or (dts.ndim == 1 and len(dts) != steps - 1):
        raise ValueError(f"dt_s has the shape {dts.shape} for {steps} rows: one number, or one for each row but row 0")
    if not np.all(np.abs(k_rows) <= MAX_K_PU):
        raise ValueError(
            f"k_pu holds a value that is not a number or beyond {MAX_K_PU:g}: K is per unit of rated power"
        )
    if not np.all(np.isfinite(ambient_rows)):
        raise ValueError("ambient_c holds a value that is not a number")
    if not (np.all(np.isfinite(dts)) and np.all(dts >= 0.0)):
        raise ValueError("dt_s holds a value that is negative or not a number")

    r, x, half_y = fleet.r, fleet.x, 0.5 * fleet.y
    oil_rated_k = fleet.dtheta_or_k / (1.0 + r) ** x
    h1_rated_k, h2_rated_k = fleet.k21 * fleet.dtheta_hr_k, (fleet.k21 - 1.0) * fleet.dtheta_hr_k
    r = r * fleet.load_loss_factor
    h1_rated_k = h1_rated_k * fleet.load_loss_factor**half_y
    h2_rated_k = h2_rated_k * fleet.load_loss_factor**half_y
    per_s = (
        -1.0 / (fleet.k11 * fleet.tau_o_s),
        -1.0 / (fleet.k22 * fleet.tau_w_s),
        -fleet.k22 / fleet.tau_o_s,
    )
    one_dt = dts.ndim == 0
    oil_gain, h1_gain, h2_gain = (-np.expm1(rate * float(dts)) if one_dt else rate for rate in per_s)

    top_oil_c, hot_spot_c = np.empty((steps, n)), np.empty((steps, n))
    kraft_s, upgraded_s = np.zeros(n), np.zeros(n)
    theta_o_c, h1_k, h2_k = np.empty(n), np.empty(n), np.empty(n)
    # Reused by every row: fresh arrays of this size cost more than the sums in them.
    k2, oil_k, gradient_k, spare = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    with np.errstate(divide="ignore"):  # the logarithm of no load; its exponential is 0 again
        for row in range(steps):
            np.multiply(k_rows[row], k_rows[row], out=k2)
            np.multiply(k2, r, out=oil_k)
            np.log1p(oil_k, out=oil_k)
            oil_k *= x
            np.exp(oil_k, out=oil_k)
            oil_k *= oil_rated_k
            oil_k += ambient_rows[row]
            np.log(k2, out=gradient_k)
            gradient_k *= half_y
            np.exp(gradient_k, out=gradient_k)
            if row == 0:
                if initial is None:
                    theta_o_c[:] = oil_k
                    h1_k[:], h2_k[:] = h1_rated_k * gradient_k, h2_rated_k * gradient_k
                else:
                    theta_o_c[:], h1_k[:], h2_k[:] = initial.theta_o_c, initial.h1_k, initial.h2_k
            else:
                dt = float(dts) if one_dt else float(dts[row - 1])
                if not one_dt:
                    oil_gain, h1_gain, h2_gain = (-np.expm1(rate * dt) for rate in per_s)
                oil_k -= theta_o_c
                oil_k *= oil_gain
                theta_o_c += oil_k
                for state, rated_k, gain in ((h1_k, h1_rated_k, h1_gain), (h2_k, h2_rated_k, h2_gain)):
                    np.multiply(rated_k, gradient_k, out=spare)
                    spare -= state
                    spare *= gain
                    state += spare
            top_oil_c[row] = theta_o_c
            hot = hot_spot_c[row]
            np.add(theta_o_c, h1_k, out=hot)
            hot -= h2_k
            if row:
                np.subtract(hot, 98.0, out=spare)
                spare /= 6.0
                np.exp2(spare, out=spare)
                spare *= dt
                kraft_s += spare
                np.add(hot, 273.0, out=spare)
                np.divide(-15000.0, spare, out=spare)
                spare += 15000.0 / 383.0
                np.exp(spare, out=spare)
                spare *= dt
                upgraded_s += spare
    return FleetCourse(
        top_oil_c=top_oil_c,
        hot_spot_c=hot_spot_c,
        loss_of_life_kraft_s=kraft_s,
        loss_of_life_upgraded_s=upgraded_s,
        final=FleetState(theta_o_c=theta_o_c, h1_k=h1_k, h2_k=h2_k),
    )


def _by_row(values: Values, n: int, name: str, steps: int | None) -> Values:
    """As [n_steps, n] or [n_steps, 1]."""
    if values.ndim == 0 and steps is not None:
        values = values.repeat(steps)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or len(values) == 0 or values.shape[1] not in (1, n) or steps not in (None, len(values)):
        rows = "n_steps" if steps is None else str(steps)
        raise ValueError(f"{name} has the shape {values.shape}: give [{rows}] for all or [{rows}, {n}] for each")
    return values
