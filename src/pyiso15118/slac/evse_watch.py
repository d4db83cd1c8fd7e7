"""What an EVSE keeps of vehicles beyond one run: who never chooses, who begins anew again and again, who only asks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import Mac, mac_text
from pyiso15118.slac.attenuation import Attenuation
from pyiso15118.slac.events import Step
from pyiso15118.slac.evse_run import Key, Run

RESTARTS, RESTARTS_WITHIN_S = 3, 60.0
"""A matched vehicle that begins anew so often is two that take each other's link away, or it takes no key. Ours."""
BARRED_S = 600.0
"""Then it is not matched for so long, or until the plug was out. Ours."""
MOST_ASKED = 2048
"""As many as can ask within TT_match_sequence when 5,000 frames a second come in."""
LINES, LINES_WITHIN_S = 16, 60.0
"""Vehicles that ask and do nothing else are told of so often. Ours."""
_MOST_UNCHOSEN = 64


class Restarts:
    """New matchings of vehicles that were matched already, since one was plugged in."""

    def __init__(self) -> None:
        self._last: deque[tuple[Mac, float]] = deque(maxlen=RESTARTS)
        self._barred: Mac | None = None
        self._barred_until = 0.0

    def took_place(self, mac: Mac, now: float) -> None:
        self._last.append((mac, now))
        recent = [at for other, at in self._last if other == mac and now - at <= RESTARTS_WITHIN_S]
        if len(recent) >= RESTARTS:
            self._barred, self._barred_until = mac, now + BARRED_S

    def too_often(self, mac: Mac, now: float) -> bool:
        return self._barred == mac and now < self._barred_until

    def words(self, mac: Mac) -> str:
        return (
            f"two vehicles call themselves {mac_text(mac)}, or its modem takes no key: matched, it began anew "
            f"{RESTARTS} times within {RESTARTS_WITHIN_S:g} s; it is not matched until the plug was out, or for "
            f"{BARRED_S / 60:g} minutes"
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


class Asked:
    """Vehicles that were told how to sound while every place was taken by others that were told so, too.

    Whether they are vehicles at all shows when they begin to sound. Until then they cost a line in a table of
    ``MOST_ASKED``, the oldest of which goes first.
    """

    def __init__(self) -> None:
        self._by_key: dict[Key, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def note(self, key: Key, began: float, until: float, now: float) -> None:
        """``until``: a vehicle that has not begun to sound by then has to ask again."""
        earlier, valid_until = self._by_key.pop(key, (began, now))
        self._by_key[key] = (earlier if valid_until > now else began), until
        while len(self._by_key) > MOST_ASKED or next(iter(self._by_key.values()))[1] < now:
            del self._by_key[next(iter(self._by_key))]

    def take(self, key: Key, now: float) -> float | None:
        """Since when it asks, and it is none of them any more; None: it did not, or too long ago."""
        began, until = self._by_key.pop(key, (now, now))
        return began if until > now else None


class FewLines:
    """Whether one more is told of that only asked: a flood of requests fills no log."""

    def __init__(self) -> None:
        self._told: deque[float] = deque(maxlen=LINES)

    def left(self, now: float) -> bool:
        return len(self._told) < LINES or now - self._told[0] > LINES_WITHIN_S

    def used(self, now: float) -> None:
        self._told.append(now)


class Unsure:
    """Vehicles ask while the pilot does not tell who is plugged in, and nobody is answered. ``patience_s``: it is told
    when that has lasted so long, once."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: float | None = None
        self._told = False

    def known(self) -> None:
        self._since, self._told = None, False

    def asked(self, key: Key, now: float) -> ev.MatchingFailed | None:
        self._since = now if self._since is None else self._since
        lasted_s = now - self._since
        if self._told or lasted_s < self._patience_s:
            return None
        self._told = True
        return ev.MatchingFailed(
            step=Step.PARM,
            reason=(
                f"it asks, and the pilot has not told for {lasted_s:.0f} s whether a vehicle is plugged in here: "
                "nobody is answered"
            ),
            pev_mac=key[0],
            run_id=key[1],
        )
