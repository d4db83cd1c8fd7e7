"""Vehicles that ask an EVSE to be matched: who is answered, who gets a place, who is refused."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import Mac, is_group, mac_text
from pyiso15118.slac.events import Step
from pyiso15118.slac.evse_config import EvseSlacConfig
from pyiso15118.slac.evse_core import EvseCore
from pyiso15118.slac.evse_run import Key, Run, parameters_told
from pyiso15118.slac.evse_watch import Asked, Restarts, Unsure
from pyiso15118.slac.messages import CM_SLAC_PARM_REQ

_REMEMBERED_REFUSALS = 64


class EvseRequests(EvseCore):
    """Second base of :class:`~pyiso15118.slac.evse.EvseMachine`: CM_SLAC_PARM.REQ and CM_START_ATTEN_CHAR.IND."""

    def __init__(self, config: EvseSlacConfig, *, random: Callable[[int], bytes]) -> None:
        super().__init__(config, random=random)
        self._asked = Asked()
        self._unsure = Unsure(config.timers.tt_matching_repetition_s)
        self._restarts = Restarts()
        self._refused: deque[Key] = deque(maxlen=_REMEMBERED_REFUSALS)

    def _forget_requests(self) -> None:
        """The plug is out: the next vehicle is another one."""
        self._refused.clear()
        self._restarts = Restarts()

    def _on_parm(self, source: Mac, request: CM_SLAC_PARM_REQ, now: float) -> None:
        if request.application_type or request.security_type or is_group(source):
            self.ignored["not for us"] += 1
            return
        if self._matched is not None and source == self._matched.pev_mac and request.run_id != self._matched.run_id:
            self._restarts.took_place(source, now)
            # It knows nothing of its link any more; the old key is not given twice.
            if self._linked:
                self._lose_link("the vehicle began a new matching", now)
            else:
                self._fail(self._matched, Step.LINK, "the vehicle began a new matching instead of joining", now)
        key = source, request.run_id
        if self._restarts.too_often(source, now):
            self._refuse(key, self._restarts.words(source), now)
        elif not self._answering:
            self._leave_unanswered(key, now)
        elif (run := self._runs.get(key) or self._begin(key, now)) is not None:
            self._answer(run, now)

    def _answer(self, run: Run, now: float) -> None:
        if run.step is not Step.START:
            self.ignored["out of order"] += 1
            return
        timers = self.config.timers
        run.due = min(now + timers.tt_match_sequence_s, run.began + timers.tt_matching_repetition_s)
        self._send_parameters(run.key)

    def _leave_unanswered(self, key: Key, now: float) -> None:
        self.ignored["not answering"] += 1
        if self._key.set and self._matched is None and self._present is None:
            event = self._unsure.asked(key, now)
            if event is not None:
                self._tell(event)

    def _begin(self, key: Key, now: float) -> Run | None:
        """None: it is refused, or answered without a place."""
        if not self._make_room(key, now):
            return None
        if not self._runs.full:
            return self._take_place(key, now)
        if self._runs.idle is None:
            self._refuse(key, f"{len(self._runs)} vehicles match here already", now)
        else:
            self._asked.note(key, now, now + self.config.timers.tt_match_sequence_s, now)
            self._send_parameters(key)
        return None

    def _make_room(self, key: Key, now: float) -> bool:
        """An older run of the same vehicle gives way. False: it sounds, and so there are two of that name."""
        twin = self._runs.of(key[0])
        if twin is None:
            return True
        if twin.step is Step.SOUND:
            self._fail(twin, Step.SOUND, f"two vehicles call themselves {mac_text(key[0])} and sound at once", now)
            return False
        self._runs.remove(twin)
        return True

    def _take_place(self, key: Key, began: float) -> Run:
        mac, run_id = key
        run = Run(
            pev_mac=mac,
            run_id=run_id,
            began=began,
            due=began,
            num_sounds=self.config.num_sounds,
            announced=self._few.left(began),
        )
        self._runs.add(run)
        self._patience.hold()
        if run.announced:
            self._tell(ev.MatchingStarted(pev_mac=mac, run_id=run_id))
        return run

    def _displace(self, key: Key, now: float) -> Run | None:
        """One that was answered without a place begins to sound: it gets that of one which does not."""
        began = self._asked.take(key, now)
        if began is None or not self._answering or not self._make_room(key, now):
            return None
        if self._runs.full:
            idle = self._runs.idle
            if idle is None:
                self._refuse(key, f"{len(self._runs)} vehicles match here already", now)
                return None
            self._asked.note(idle.key, idle.began, idle.due, now)
            self._drop(idle, Step.START, f"{mac_text(key[0])} began to sound first, and has its place", now)
        return self._take_place(key, began)

    def _refuse(self, key: Key, reason: str, now: float) -> None:
        """Told once for each run, however often its vehicle asks."""
        self.ignored["refused"] += 1
        if key not in self._refused:
            self._refused.append(key)
            if self._few.left(now):
                self._few.used(now)
                self._tell(ev.MatchingFailed(step=Step.PARM, reason=reason, pev_mac=key[0], run_id=key[1]))

    def _send_parameters(self, key: Key) -> None:
        self._send(parameters_told(key, self.config.num_sounds, self.config.timers.tt_evse_match_mnbc_s), key[0])

    def _on_start(self, key: Key, now: float) -> None:
        run = self._runs.get(key) or self._displace(key, now)
        if run is None:
            self.ignored["foreign run"] += 1
        elif run.step is Step.START:
            run.step = Step.SOUND
            run.due = now + self.config.timers.tt_evse_match_mnbc_s
            if not run.announced:
                run.announced = True
                self._tell(ev.MatchingStarted(pev_mac=run.pev_mac, run_id=run.run_id))
