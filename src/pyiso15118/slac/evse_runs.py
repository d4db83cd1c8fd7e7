"""All matchings of one EVSE, and the places that there are for them."""

from __future__ import annotations

from collections.abc import Iterator

from pyiso15118.slac.addresses import Mac
from pyiso15118.slac.events import Step
from pyiso15118.slac.evse_run import MOST_RUNS, Key, Run


class Runs:
    """``places``: of vehicles at once that have not yet to choose; who only waits for a choice keeps nobody out."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._by_key: dict[Key, Run] = {}

    def __iter__(self) -> Iterator[Run]:
        """The oldest first; runs may be added and removed meanwhile."""
        return iter(list(self._by_key.values()))

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: Key) -> Run | None:
        return self._by_key.get(key)

    def add(self, run: Run) -> None:
        self._by_key[run.key] = run

    def remove(self, run: Run) -> None:
        """Who is matched was removed before."""
        self._by_key.pop(run.key, None)

    def of(self, mac: Mac, *steps: Step) -> Run | None:
        """The vehicle's run, where it is in one of ``steps``; without steps, in any."""
        return next((run for run in self if run.pev_mac == mac and (not steps or run.step in steps)), None)

    @property
    def busy(self) -> int:
        return sum(run.step is not Step.MATCH for run in self._by_key.values())

    @property
    def full(self) -> bool:
        return self.busy >= self._places or len(self) >= MOST_RUNS

    @property
    def idle(self) -> Run | None:
        """The oldest that has not begun to sound."""
        return next((run for run in self if run.step is Step.START), None)

    @property
    def due(self) -> float | None:
        return min((run.due for run in self._by_key.values()), default=None)
