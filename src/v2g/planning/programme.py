"""A linear programme that is solved several times over, each time for another objective, by HiGHS.

The basis of one solution is the start of the next. HiGHS and numpy are loaded with the first programme.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Any, Final

DEADLINE: Final = "deadline"
INFEASIBLE: Final = "infeasible"
Terms = Iterable[tuple[int, float]]

_OPTIMAL: Final = "Optimal"
_TIME_LIMIT: Final = "Time limit reached"
_INFEASIBLE: Final = "Infeasible"
_ITERATION_LIMIT: Final = "Iteration limit reached"
_ENDS: Final = (_OPTIMAL, _TIME_LIMIT, _ITERATION_LIMIT, _INFEASIBLE)
_REASONS: Final = {_TIME_LIMIT: DEADLINE, _INFEASIBLE: INFEASIBLE}
_TOLERANCE: Final = 1e-6
_FEASIBLE: Final = 2
"""HiGHS's kSolutionStatusFeasible."""
_FEW: Final = 500
_MANY: Final = 2**31 - 1
_DUAL: Final = 1
_PRIMAL: Final = 4
"""HiGHS's simplex_strategy: another objective leaves the last solution feasible, so primal simplex goes on from it."""
_COLD: Final[tuple[Mapping[str, Any], ...]] = (
    {},
    {"simplex_strategy": _DUAL, "random_seed": 7},
    {"presolve": "off", "simplex_strategy": _DUAL},
    {"solver": "ipm"},
)
"""Options, one attempt after the other, where HiGHS gives up. A basis that it went on from may be singular for the rows
of a further round: its simplex then fails without a status."""
_USUAL: Final[Mapping[str, Any]] = {
    "simplex_strategy": _PRIMAL,
    "random_seed": 0,
    "presolve": "choose",
    "solver": "choose",
}


class Stopped(Exception):
    """No optimum; ``reason``: :data:`DEADLINE`, :data:`INFEASIBLE` or what HiGHS says."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"linear programme not solved: {reason}")


class Programme:
    """Columns and rows are added one by one, then :meth:`minimise` as often as wanted; rows may be added later, too."""

    def __init__(self) -> None:
        self._lower: list[float] = []
        self._upper: list[float] = []
        self._row_lower: list[float] = []
        self._row_upper: list[float] = []
        self._starts: list[int] = []
        self._index: list[int] = []
        self._value: list[float] = []
        self._highs: Any = None
        self._loaded_rows = 0
        self._warm = False
        """A basis is there to go on from."""
        self.restarts = 0
        """How often HiGHS had to begin anew, since it failed where it was."""
        self.solved_s = 0.0
        """Time within HiGHS."""
        self.iterations = 0
        self.values: Sequence[float] = ()
        self.reduced_costs: Sequence[float] = ()
        self.duals: Sequence[float] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return len(self._lower), len(self._row_lower)

    def column(self, lower: float, upper: float) -> int:
        self._lower.append(lower)
        self._upper.append(upper)
        return len(self._lower) - 1

    def row(self, lower: float, upper: float, terms: Terms) -> int:
        self._starts.append(len(self._index))
        for index, value in terms:
            self._index.append(index)
            self._value.append(value)
        self._row_lower.append(lower)
        self._row_upper.append(upper)
        return len(self._row_lower) - 1

    def bound_column(self, column: int, lower: float, upper: float) -> None:
        self._lower[column], self._upper[column] = lower, upper
        if self._highs is not None:
            self._highs.changeColBounds(column, lower, upper)

    def bounds(self, column: int) -> tuple[float, float]:
        return self._lower[column], self._upper[column]

    def bound_row(self, row: int, lower: float, upper: float) -> None:
        self._row_lower[row], self._row_upper[row] = lower, upper
        if row < self._loaded_rows:
            self._highs.changeRowBounds(row, lower, upper)

    def coefficient(self, row: int, column: int, value: float) -> None:
        """Change one of a row that was added before."""
        self._load()
        self._highs.changeCoeff(row, column, value)

    def forget(self) -> None:
        """The solution, which is of other rows than those that there are now. The basis stays."""
        self.values = self.reduced_costs = self.duals = ()

    def improve(self, costs: Mapping[int, float], within_s: float, share: float) -> float:
        """As :meth:`minimise`, but ends where it is after ``share`` of the iterations so far."""
        self._load()
        self._highs.setOptionValue("simplex_iteration_limit", max(_FEW, int(share * self.iterations)))
        try:
            return self.minimise(costs, within_s)
        finally:
            self._highs.setOptionValue("simplex_iteration_limit", _MANY)

    def minimise(self, costs: Mapping[int, float], within_s: float) -> float:
        """The least cost. Raises :class:`Stopped`; :attr:`values` are then the best that was reached, or stay as they
        were."""
        import numpy as np

        self._load()
        if within_s <= 0.0:
            raise Stopped(DEADLINE)
        highs = self._highs
        size = len(self._lower)
        cost = np.zeros(size)
        for column, value in costs.items():
            cost[column] = value
        highs.changeColsCost(size, np.arange(size, dtype=np.int32), cost)
        status = self._run(within_s, self._warm)
        self._warm = status == _OPTIMAL
        if status not in (_OPTIMAL, _ITERATION_LIMIT):
            raise Stopped(_REASONS.get(status, status))
        solution, info = highs.getSolution(), highs.getInfo()
        self.reduced_costs = list(solution.col_dual)
        self.duals = list(solution.row_dual)
        return float(info.objective_function_value)

    def _run(self, within_s: float, warm: bool) -> str:
        """HiGHS's status. What goes on from the last basis and finds nothing begins anew."""
        highs, until_s = self._highs, self.solved_s + within_s
        status = self._once(within_s)
        if status in _ENDS and not (status == _INFEASIBLE and warm):
            return status
        try:
            for options in _COLD:
                if self.solved_s >= until_s:
                    return _TIME_LIMIT
                highs.clearSolver()
                for name, value in {**_USUAL, **options}.items():
                    highs.setOptionValue(name, value)
                self.restarts += 1
                status = self._once(until_s - self.solved_s)
                if status in _ENDS:
                    break
        finally:
            for name, value in _USUAL.items():
                highs.setOptionValue(name, value)
        return status

    def _once(self, within_s: float) -> str:
        highs = self._highs
        began_s = highs.getRunTime()
        highs.setOptionValue("time_limit", began_s + within_s)
        highs.run()
        self.solved_s += highs.getRunTime() - began_s
        info = highs.getInfo()
        self.iterations += max(0, info.simplex_iteration_count)
        status = str(highs.modelStatusToString(highs.getModelStatus()))
        if status in (_OPTIMAL, _TIME_LIMIT, _ITERATION_LIMIT) and info.primal_solution_status == _FEASIBLE:
            self.values = list(highs.getSolution().col_value)
        return status

    def _load(self) -> None:
        import numpy as np

        new = len(self._row_lower) - self._loaded_rows
        if self._highs is None:
            self._highs = highs = _silent()
            highs.setOptionValue("threads", 1)
            for name, value in _USUAL.items():
                highs.setOptionValue(name, value)
            highs.setOptionValue("primal_feasibility_tolerance", _TOLERANCE)
            size = len(self._lower)
            nothing = np.zeros(0, dtype=np.int32)
            highs.addCols(
                size, np.zeros(size), np.array(self._lower), np.array(self._upper), 0, nothing, nothing, np.zeros(0)
            )
        if new:
            first = self._loaded_rows
            starts = np.array(self._starts[first:], dtype=np.int32) - self._starts[first]
            begin = self._starts[first]
            self._highs.addRows(
                new,
                np.array(self._row_lower[first:]),
                np.array(self._row_upper[first:]),
                len(self._index) - begin,
                starts.astype(np.int32),
                np.array(self._index[begin:], dtype=np.int32),
                np.array(self._value[begin:]),
            )
            self._loaded_rows = len(self._row_lower)


def _silent() -> Any:
    import highspy

    class Silent(highspy.Highs):
        def enableCallbacks(self) -> None:
            # Callbacks make HiGHS greet on stdout before any option could be set from outside; none are used.
            self.setOptionValue("output_flag", False)
            self.setOptionValue("log_to_console", False)

    return Silent()  # type: ignore[no-untyped-call]


def tangent(programme: Programme, height: int, along: int, at: float, value: float, slope: float) -> int:
    """``height >= value + slope * (along - at)``, a convex function from below."""
    return programme.row(value - slope * at, inf, ((height, 1.0), (along, -slope)))
