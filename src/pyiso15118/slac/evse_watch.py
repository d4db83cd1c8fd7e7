"""What an EVSE keeps of vehicles beyond one run: who never chooses, and who begins anew again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import Mac, mac_text
from pyiso15118.slac.attenuation import Attenuation
from pyiso15118.slac.events import Step
from pyiso15118.slac.evse_run import Run

RESTARTS, RESTARTS_WITHIN_S = 3, 60.0
"""A matched vehicle that begins anew so often is two that take each other's link away, or it takes no key. Ours."""
_MOST_UNCHOSEN = 64


class Restarts:
    """New matchings of vehicles that were matched already, since one was plugged in."""

    def __init__(self) -> None:
        self._last: deque[tuple[Mac, float]] = deque(maxlen=RESTARTS)
        self._barred: Mac | None = None

    def took_place(self, mac: Mac, now: float) -> None:
        self._last.append((mac, now))
        recent = [at for other, at in self._last if other == mac and now - at <= RESTARTS_WITHIN_S]
        if len(recent) >= RESTARTS:
            self._barred = mac

    def too_often(self, mac: Mac) -> bool:
        """It is not matched any more until the plug was out."""
        return self._barred == mac

    def words(self, mac: Mac) -> str:
        return (
            f"two vehicles call themselves {mac_text(mac)}, or its modem takes no key: matched, it began anew "
            f"{RESTARTS} times within {RESTARTS_WITHIN_S:g} s; it is not matched until the plug was out"
        )


class Unchosen:
    """Vehicles that were told an attenuation and begin anew instead of choosing: their runs come and go, and none of
    them is late. ``patience_s``: from the first attenuation on."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: dict[Mac, tuple[float, int, Attenuation]] = {}

    @property
    def due(self) -> float | None:
        return min((since + self._patience_s for since, _, _ in self._since.values()), default=None)

    def told(self, run: Run, now: float) -> None:
        since, times, _ = self._since.get(run.pev_mac, (now, 0, run.told))
        if times or len(self._since) < _MOST_UNCHOSEN:
            self._since[run.pev_mac] = since, times + 1, run.told

    def forget(self, run: Run) -> None:
        """It was chosen, or its matching has failed and was told."""
        self._since.pop(run.pev_mac, None)

    def clear(self) -> None:
        self._since.clear()

    def over(self, now: float, runs: Iterable[Run]) -> Iterator[ev.MatchingFailed]:
        """Of each vehicle whose time is over; a run of its own in which nothing else happened is told by itself."""
        for mac, (since, times, attenuation) in list(self._since.items()):
            if now < since + self._patience_s:
                continue
            del self._since[mac]
            own = [run for run in runs if run.pev_mac == mac]
            if times == 1 and own:
                continue
            yield ev.MatchingFailed(
                step=Step.MATCH,
                reason=(
                    f"no CM_SLAC_MATCH.REQ within {self._patience_s:g} s: the vehicle was told an attenuation "
                    f"{times} times and did not choose this EVSE"
                ),
                pev_mac=mac,
                run_id=own[0].run_id if own else None,
                attenuation=attenuation,
            )
