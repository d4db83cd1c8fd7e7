"""What an EVSE's side of SLAC keeps, and how matchings, links and waiting end."""

from __future__ import annotations

from collections.abc import Callable

from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import Mac
from pyiso15118.slac.events import Step
from pyiso15118.slac.evse_config import EvseSlacConfig
from pyiso15118.slac.evse_key import NetworkKey
from pyiso15118.slac.evse_run import Run
from pyiso15118.slac.evse_runs import Runs
from pyiso15118.slac.evse_wait import Patience
from pyiso15118.slac.evse_watch import FewLines, Unchosen
from pyiso15118.slac.machine import Outbox


class EvseCore(Outbox):
    """First base of :class:`~pyiso15118.slac.evse.EvseMachine`. ``_matched`` has the key, and is no run any more."""

    def __init__(self, config: EvseSlacConfig, *, random: Callable[[int], bytes]) -> None:
        super().__init__(config.evse_mac)
        self.config = config
        self.modem_mac: Mac | None = None
        """Whose attenuation profiles count; None: anybody's."""
        self._key = NetworkKey(random, config.timers.key_retry_s)
        self._patience = Patience(config.timers)
        self._present: bool | None = None
        self._toggles = 0
        self._runs = Runs(config.parallel_matchings)
        self._matched: Run | None = None
        self._linked = False
        self._few = FewLines()
        self._unchosen = Unchosen(config.timers.tt_evse_match_session_s)

    @property
    def _here(self) -> bool:
        return self._present is True or (self._present is None and not self.config.needs_pilot)

    @property
    def _answering(self) -> bool:
        return self._key.set and self._here and self._matched is None and self._patience.error_until is None

    def _renew_key(self) -> None:
        self._tell(self._key.renew())

    def _await_vehicle(self, now: float) -> None:
        """TT_EVSE_SLAC_init runs where somebody is there who can be answered."""
        # Without a pilot nobody knows whether there is anyone to wait for.
        if self._answering and not self._runs and self._present:
            self._patience.begin(now)

    def _fail(self, run: Run, step: Step, reason: str, now: float) -> None:
        """``run`` is over. Its vehicle may begin again; where it does not, the pilot shows an error."""
        self._drop(run, step, reason, now)
        if self._key.given:
            self._renew_key()
        if not self._runs and self._present:
            self._patience.failed(step, now)

    def _drop(self, run: Run, step: Step, reason: str, now: float, *, unplugged: bool = False) -> None:
        self._runs.remove(run)
        self._unchosen.forget(run)
        if self._matched is run:
            self._matched, self._linked = None, False
        if not run.announced:
            self.ignored["only asked"] += 1
            return
        if run.step is Step.START:
            self._few.used(now)
        self._tell(run.failed_event(step, reason, unplugged))

    def _end_all(self, step: Step | None, reason: str, now: float, *, unplugged: bool = False) -> None:
        for run in self._runs:
            self._drop(run, step or run.step, reason, now, unplugged=unplugged)
        matched = self._matched
        if matched is not None and self._linked:
            self._matched, self._linked = None, False
            self._tell(ev.LinkDown(pev_mac=matched.pev_mac, evse_mac=self.config.evse_mac, reason=reason))
        elif matched is not None:
            self._drop(matched, step or Step.LINK, reason, now, unplugged=unplugged)

    def _lose_link(self, reason: str, now: float) -> None:
        self._end_all(None, reason, now)
        if self._key.wanted:
            self._renew_key()
