"""Least squares of a simulated top-oil temperature: exact steps, outliers left out, honest intervals. Pure.

Unknown are Δθor, τo and x, and the initial top-oil of every segment, which is linear and therefore eliminated (variable
projection). A row's inputs are constant over the time since the row before. numpy is imported within functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from v2g.thermal.parameters import ThermalParameters

if TYPE_CHECKING:
    from v2g.thermal.calibration_data import Flags, Floats, Prepared

RISE, TAU, EXPONENT = 0, 1, 2
BOUNDS: Final = ((5.0, 120.0), (math.log(600.0), math.log(86_400.0)), (0.5, 1.2))
"""Of Δθor in K, ln(τo in s) and x: what :class:`~v2g.thermal.parameters.ThermalParameters` takes."""
_MOST_ITERATIONS: Final = 60
_HUBER: Final = 1.345
_MAD_TO_SIGMA: Final = 1.4826
_REJECT_SIGMA: Final = 6.0
_REJECT_LEAST_K: Final = 2.0
_SHORT_RECORD: Final = 6.0
_LONGEST_SPAN: Final = 30.0


@dataclass(frozen=True, slots=True)
class Fit:
    """``vector`` as :data:`BOUNDS`; ``jacobian`` and ``residual_k`` of the rows that ``used`` marks, segments' initial
    temperatures projected out, columns in the order of ``vector`` whether free or not."""

    vector: tuple[float, float, float]
    free: tuple[int, ...]
    jacobian: Floats
    residual_k: Floats
    used: Flags


def vector_of(params: ThermalParameters) -> tuple[float, float, float]:
    return params.dtheta_or_k, math.log(params.tau_o_s), params.x


def with_vector(params: ThermalParameters, vector: tuple[float, float, float]) -> ThermalParameters:
    return replace(params, dtheta_or_k=vector[RISE], tau_o_s=math.exp(vector[TAU]), x=vector[EXPONENT])


def first_order(progress: Floats, increments: Floats, starts: tuple[int, ...]) -> Floats:
    """y[n] = y[n-1]·exp(-(progress[n]-progress[n-1])) + increments[n] in every segment, from zero before its first row.

    ``progress``: time over time constant. Sums of rising exponentials in spans short enough for double precision.
    """
    import numpy as np

    y = np.empty_like(increments)
    for first, end in pairwise(starts):
        carried = np.zeros(increments.shape[1])
        low = first
        while low < end:
            high = low + int(np.searchsorted(progress[low:end], progress[low] + _LONGEST_SPAN, side="right"))
            growth = np.exp(progress[low:high] - progress[low])[:, None]
            y[low:high] = (carried + np.cumsum(growth * increments[low:high], axis=0)) / growth
            if high < end:
                carried = y[high - 1] * np.exp(progress[high - 1] - progress[high])
            low = high
    return y


def steps_of(data: Prepared) -> Floats:
    """Length of each row's time in s; 0 at the first row of a segment, whose value is the initial one."""
    import numpy as np

    dt_s = np.diff(data.t_s, prepend=data.t_s[0])
    dt_s[list(data.starts[:-1])] = 0.0
    return dt_s


def simulate(params: ThermalParameters, data: Prepared, initial_c: Floats) -> Floats:
    """Top-oil in °C at every row, open loop; ``initial_c`` at the first row of each segment."""
    import numpy as np

    dt_s = steps_of(data)
    time_constant_s = params.k11 * params.tau_o_s
    load = (1.0 + params.r * params.load_loss_factor * data.k_squared) / (1.0 + params.r)
    ultimate_c = data.ambient_c + params.dtheta_or_k * load**params.x
    increments = -np.expm1(-dt_s / time_constant_s) * ultimate_c
    increments[list(data.starts[:-1])] = initial_c
    return first_order(np.cumsum(dt_s) / time_constant_s, increments[:, None], data.starts)[:, 0]


class Problem:
    """One part of the data and the constants that are not fitted."""

    def __init__(self, params: ThermalParameters, data: Prepared) -> None:
        import numpy as np

        self.params = params
        self.data = data
        self.dt_s = steps_of(data)
        self.elapsed_s = np.cumsum(self.dt_s)
        self.segment = np.repeat(np.arange(len(data.starts) - 1), np.diff(data.starts))
        load = (1.0 + params.r * params.load_loss_factor * data.k_squared) / (1.0 + params.r)
        self.log_load = np.log(load)

    def evaluate(self, vector: tuple[float, float, float], weight: Floats) -> tuple[Floats, Floats]:
        """Measured minus simulated in K, and the derivatives of simulated by ``vector``, all rows; segments' initial
        temperatures are those that fit best under ``weight``."""
        import numpy as np

        rise_k, log_tau, exponent = vector
        time_constant_s = self.params.k11 * math.exp(log_tau)
        firsts = list(self.data.starts[:-1])
        progress = self.elapsed_s / time_constant_s
        approach = -np.expm1(-self.dt_s / time_constant_s)
        shape = np.exp(exponent * self.log_load)
        driven = np.column_stack((self.data.ambient_c, shape, rise_k * shape * self.log_load)) * approach[:, None]
        fade = np.zeros((len(progress), 1))
        fade[firsts] = 1.0
        columns = first_order(progress, np.hstack((driven, fade)), self.data.starts)
        decay = columns[:, 3]

        weighted = weight * decay
        norm = np.bincount(self.segment, weighted * decay)
        norm[norm <= 0.0] = 1.0

        def initial(column: Floats) -> Floats:
            return (np.bincount(self.segment, weighted * column) / norm)[self.segment]

        forced = columns[:, 0] + rise_k * columns[:, 1]
        misfit = np.where(self.data.use, self.data.top_oil_c - forced, 0.0)
        start_c = initial(misfit)
        simulated = forced + start_c * decay
        ultimate_c = self.data.ambient_c + rise_k * shape
        # d(1-a)/d(ln τ) = -a·dt/T: a longer time constant holds back what drives the state.
        before = np.concatenate(([0.0], simulated[:-1]))
        held = (1.0 - approach) * self.dt_s / time_constant_s * (before - ultimate_c)
        by_tau = first_order(progress, held[:, None], self.data.starts)[:, 0]
        jacobian = np.column_stack((columns[:, 1], by_tau, columns[:, 2]))
        for index in range(3):
            jacobian[:, index] -= initial(jacobian[:, index]) * decay
        return misfit - start_c * decay, jacobian


def fit(problem: Problem, start: tuple[float, float, float], free: tuple[int, ...]) -> Fit:
    """Huber's weights first, then plain least squares without what lies far outside; parameters not ``free`` stay."""
    import numpy as np

    measured = problem.data.use
    weight = measured.astype(np.float64)
    vector = _levenberg_marquardt(problem, start, free, weight)
    for _ in range(6):
        residual_k, _ = problem.evaluate(vector, weight)
        sigma_k = _sigma(residual_k[measured])
        weight = np.where(measured, np.minimum(1.0, _HUBER * sigma_k / np.maximum(np.abs(residual_k), 1e-9)), 0.0)
        vector = _levenberg_marquardt(problem, vector, free, weight)
    used = measured
    for _ in range(6):
        residual_k, _ = problem.evaluate(vector, weight)
        kept = measured & (np.abs(residual_k) <= outlier_limit_k(residual_k[used]))
        if np.array_equal(kept, used) and np.array_equal(weight, kept):
            break
        used, weight = kept, kept.astype(np.float64)
        vector = _levenberg_marquardt(problem, vector, free, weight)
    residual_k, jacobian = problem.evaluate(vector, weight)
    return Fit(vector, free, jacobian[used], residual_k[used], used)


def covariance(jacobian: Floats, residual_k: Floats, segments: int) -> tuple[Floats, int]:
    """Of the parameters, and its degrees of freedom: sandwich over blocks longer than the residuals' own correlation.

    Neighbouring minutes err together, so counting them as independent would make intervals many times too narrow.
    The larger of two estimates: sums of scores over blocks, and least squares widened by the correlation time.
    """
    import numpy as np

    rows, unknowns = jacobian.shape
    correlation = correlation_rows(residual_k)
    block = int(min(max(4.0 * correlation, 15.0), rows / 12))
    blocks = rows // block
    scores = jacobian[: blocks * block] * residual_k[: blocks * block, None]
    sums = scores.reshape(blocks, block, unknowns).sum(axis=1)
    inverse = np.linalg.inv(jacobian.T @ jacobian)
    sandwich = inverse @ (sums.T @ sums) @ inverse * (rows / (blocks * block)) * blocks / (blocks - 1)
    effective = rows / correlation
    left = max(effective - unknowns - segments, 1.0)
    widened = inverse * float(residual_k @ residual_k) / rows * correlation * max(effective / left, 1.0)
    larger = np.sqrt(np.maximum(1.0, np.diag(widened) / np.diag(sandwich)))
    return sandwich * np.outer(larger, larger), int(min(blocks - unknowns, left))


def correlation_rows(residual_k: Floats) -> float:
    """Integrated autocorrelation time in rows: 1 for white noise."""
    import numpy as np

    centred = residual_k - residual_k.mean()
    size = 1 << (2 * len(centred) - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, size)) ** 2
    correlation = np.fft.irfft(spectrum, size)[: max(2, len(centred) // 4)]
    if correlation[0] <= 0.0:
        return 1.0
    correlation = correlation / correlation[0]
    below = np.flatnonzero(correlation < 0.05)
    end = int(below[0]) if len(below) else len(correlation)
    found = float(max(1.0, 2.0 * correlation[:end].sum() - 1.0))
    # Taken from the mean of a short record, slow disturbances look shorter than they are.
    return found / max(0.25, 1.0 - _SHORT_RECORD * found / len(centred))


def student_95(degrees: int) -> float:
    """Two-sided 95 % quantile of Student's t (Cornish-Fisher expansion, within 1 % from 4 degrees on)."""
    z, n = 1.959964, float(max(degrees, 3))
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )


def outlier_limit_k(residual_k: Floats) -> float:
    """A reading farther from the model than this is not of this transformer's oil."""
    return max(_REJECT_SIGMA * _sigma(residual_k), _REJECT_LEAST_K)


def _sigma(residual_k: Floats) -> float:
    import numpy as np

    return max(_MAD_TO_SIGMA * float(np.median(np.abs(residual_k))), 1e-6)


def _held(index: int, value: float, pull: float) -> bool:
    low, high = BOUNDS[index]
    return (value <= low and pull < 0.0) or (value >= high and pull > 0.0)


def _levenberg_marquardt(
    problem: Problem, start: tuple[float, float, float], free: tuple[int, ...], weight: Floats
) -> tuple[float, float, float]:
    import numpy as np

    vector = start
    damping = 1e-3
    residual_k, jacobian = problem.evaluate(vector, weight)
    cost = float(weight @ residual_k**2)
    for _ in range(_MOST_ITERATIONS):
        # A parameter whose bound holds it back takes no part, or it would spoil the step of the others.
        pull = jacobian.T @ (weight * residual_k)
        columns = [index for index in free if not _held(index, vector[index], float(pull[index]))]
        if not columns:
            return vector
        chosen = jacobian[:, columns]
        normal = chosen.T @ (weight[:, None] * chosen)
        gradient = pull[columns]
        scale = np.maximum(np.diag(normal), 1e-12)
        while damping < 1e12:
            step = np.linalg.solve(normal + damping * np.diag(scale), gradient)
            moved = list(vector)
            for index, change in zip(columns, step.tolist(), strict=True):
                low, high = BOUNDS[index]
                moved[index] = min(max(moved[index] + change, low), high)
            trial = (moved[0], moved[1], moved[2])
            trial_residual_k, trial_jacobian = problem.evaluate(trial, weight)
            trial_cost = float(weight @ trial_residual_k**2)
            if trial_cost <= cost:
                break
            damping *= 8.0
        else:
            return vector
        change = max(abs(new - old) / max(1.0, abs(old)) for new, old in zip(trial, vector, strict=True))
        gained = cost - trial_cost
        vector, cost, residual_k, jacobian = trial, trial_cost, trial_residual_k, trial_jacobian
        damping = max(damping / 5.0, 1e-12)
        if change < 1e-7 or gained <= 1e-10 * cost:
            break
    return vector
