"""The EVSE's side of SLAC (ISO 15118-3 Annex A) as a machine without input, output or clock.

=========  ==============================================  ====================================================
State      Meaning                                         Left by
=========  ==============================================  ====================================================
KEYING     the modem has no key of ours yet                ``key_set``
FREE       nobody is plugged in, or it is not known        ``plugged(True)``
WAITING    plugged in; CM_SLAC_PARM.REQ is awaited         the request; TT_EVSE_SLAC_init
MATCHING   up to ``parallel_matchings`` vehicles match     CM_SLAC_MATCH.REQ; each one's own timers
JOINING    CM_SLAC_MATCH.CNF is sent                       ``link(True)``; TT_match_join
LINKED     the modems are in one network                   ``link(False)``, ``plugged(False)``, a new matching
ERROR      E or F is shown on the pilot                    T_step_EF
=========  ==============================================  ====================================================
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import Mac, is_group, mac_text
from pyiso15118.slac.attenuation import Attenuation
from pyiso15118.slac.events import Step
from pyiso15118.slac.evse_config import EvseSlacConfig as EvseSlacConfig
from pyiso15118.slac.evse_config import EvseState as EvseState
from pyiso15118.slac.evse_run import (
    MOST_RUNS,
    Key,
    Run,
    attenuation_told,
    confirmation,
    lateness,
    parameters_told,
    silence,
)
from pyiso15118.slac.evse_validation import validation_begun, validation_told
from pyiso15118.slac.evse_watch import Restarts, Unchosen
from pyiso15118.slac.frame import decode_frame, is_homeplug
from pyiso15118.slac.keys import new_nmk, nid_of
from pyiso15118.slac.machine import Outbox
from pyiso15118.slac.messages import (
    CM_AMP_MAP_CNF,
    CM_AMP_MAP_REQ,
    CM_ATTEN_CHAR_RSP,
    CM_ATTEN_PROFILE_IND,
    CM_MNBC_SOUND_IND,
    CM_SLAC_MATCH_REQ,
    CM_SLAC_PARM_REQ,
    CM_START_ATTEN_CHAR_IND,
    CM_VALIDATE_REQ,
    Message,
)

_REMEMBERED_REFUSALS = 64


class EvseMachine(Outbox):
    """One EVSE. ``random`` gives as many bytes as asked for, from a cryptographic source.

    ``now`` is in monotonic seconds and never runs backwards. Nothing that a peer may send raises; what is not for this
    EVSE, or broken, is counted by reason in :attr:`ignored`.
    """

    def __init__(self, config: EvseSlacConfig, *, random: Callable[[int], bytes]) -> None:
        super().__init__(config.evse_mac)
        self.config = config
        self.modem_mac: Mac | None = None
        """Whose attenuation profiles count; None: anybody's."""
        self.ignored: Counter[str] = Counter()
        self.nid = b""
        self._random = random
        self._nmk = b""
        self._given = False
        self._keyed = self._started = False
        self._present: bool | None = None
        self._toggles = 0
        self._runs: dict[Key, Run] = {}
        self._matched: Run | None = None
        self._linked = False
        self._failures = 0
        self._last_step = Step.PARM
        self._init_due: float | None = None
        self._error_until: float | None = None
        self._key_due: float | None = None
        self._unchosen = Unchosen(config.timers.tt_evse_match_session_s)
        self._restarts = Restarts()
        self._refused: deque[Key] = deque(maxlen=_REMEMBERED_REFUSALS)

    # ---- what the owner sees ----

    @property
    def state(self) -> EvseState:
        if not self._keyed:
            return EvseState.KEYING
        if self._linked:
            return EvseState.LINKED
        if self._matched is not None:
            return EvseState.JOINING
        if self._error_until is not None:
            return EvseState.ERROR
        if self._runs:
            return EvseState.MATCHING
        return EvseState.WAITING if self._here else EvseState.FREE

    @property
    def vehicle(self) -> Mac | None:
        """Who has the key: matched, or linked."""
        return self._matched.pev_mac if self._matched is not None else None

    @property
    def attenuation(self) -> Attenuation | None:
        """Of the vehicle that is matched."""
        return self._matched.attenuation if self._matched is not None else None

    @property
    def matchings(self) -> tuple[tuple[Mac, bytes, Step], ...]:
        """Vehicles that match now, the oldest first."""
        return tuple((run.pev_mac, run.run_id, run.step) for run in self._runs.values())

    # ---- what the owner tells ----

    def start(self, now: float) -> None:
        """The modem is there: a fresh key for it, which ends what still ran with the old one."""
        self._end_all(Step.MODEM, "the modem begins anew")
        self._started = True
        self._renew_key()

    def key_set(self, now: float) -> None:
        """The modem has the key of the last :class:`~pyiso15118.slac.events.SetKey`."""
        if self._started and not self._keyed:
            self._keyed, self._key_due = True, None
            if self._init_due is None:
                self._await_vehicle(now)

    def key_failed(self, reason: str, now: float) -> None:
        """It has not. Another key follows after a pause."""
        if not self._started or self._keyed:
            return
        self._tell(ev.MatchingFailed(step=Step.KEY, reason=reason))
        self._key_due = now + self.config.timers.key_retry_s

    def modem_lost(self, reason: str, now: float) -> None:
        """Everything ends; :meth:`start` once it is back."""
        self._end_all(Step.MODEM, reason)
        self._unchosen.clear()
        self._started = self._keyed = False
        self._init_due = self._error_until = self._key_due = None

    def plugged(self, present: bool | None, now: float) -> None:
        """Whether the pilot shows a vehicle; None: not known, which ends what is not linked yet."""
        if present is self._present:
            return
        was_here, self._present = self._here, present
        if not self._here:
            self._leave(present is None)
        elif not was_here:
            self._failures, self._toggles = 0, 0
            self._refused.clear()
            self._restarts = Restarts()
            self._await_vehicle(now)
        elif present is None:
            self._init_due = self._error_until = None

    def _leave(self, unknown: bool) -> None:
        self._init_due = self._error_until = None
        self._unchosen.clear()
        if not (unknown and self._linked):
            reason = "the pilot does not tell any more who is plugged in" if unknown else "the vehicle was unplugged"
            self._end_all(None, reason, unplugged=not unknown)
            if self._started and self._given:
                self._renew_key()

    def toggles(self, count: int, now: float) -> None:
        """B-C-B changes of the pilot since the vehicle was plugged in; only grows."""
        self._toggles = max(self._toggles, count)

    def link(self, up: bool, now: float, reason: str = "") -> None:
        """Whether the matched vehicle's modem is in our network."""
        run = self._matched
        if run is None or up == self._linked:
            return
        if up:
            self._linked = True
            self._failures = 0
            self._tell(run.linked_event(self.config.evse_mac, now))
        else:
            self._lose_link(reason or "the vehicle's modem left the network")

    # ---- frames ----

    def receive_frame(self, data: bytes, now: float) -> None:
        """An Ethernet frame from the interface, of whatever kind. Never raises for what a peer may send."""
        if not is_homeplug(data):
            self.ignored["not HomePlug"] += 1
            return
        try:
            frame = decode_frame(data)
        except RemoteProtocolError:
            self.ignored["malformed"] += 1
            return
        if frame.source == self.config.evse_mac:
            self.ignored["our own"] += 1
        elif not self._addressed(frame) and frame.source != self.modem_mac:
            self.ignored["for another station"] += 1
        elif not self._take(frame.source, frame.message, now):
            self.ignored["not for us"] += 1

    def _take(self, source: Mac, message: Message, now: float) -> bool:
        """False: nothing of ours."""
        match message:
            case CM_SLAC_PARM_REQ():
                self._on_parm(source, message, now)
            case CM_START_ATTEN_CHAR_IND():
                self._on_start(self._run(source, message.run_id), now)
            case CM_MNBC_SOUND_IND():
                self._on_sound(self._run(source, message.run_id), message.cnt)
            case CM_ATTEN_PROFILE_IND():
                self._on_profile(source, message, now)
            case CM_ATTEN_CHAR_RSP():
                self._on_response(self._run(source, message.run_id), message, now)
            case CM_VALIDATE_REQ():
                self._on_validate(source, message, now)
            case CM_SLAC_MATCH_REQ():
                self._on_match(source, message, now)
            case CM_AMP_MAP_REQ():
                if self._matched is None or source != self._matched.pev_mac:
                    return False
                self._send(CM_AMP_MAP_CNF(), source)
            case _:
                return False
        return True

    def _run(self, source: Mac, run_id: bytes) -> Run | None:
        run = self._runs.get((source, run_id))
        if run is None:
            self.ignored["foreign run"] += 1
        return run

    def _on_parm(self, source: Mac, request: CM_SLAC_PARM_REQ, now: float) -> None:
        if request.application_type or request.security_type or is_group(source):
            self.ignored["not for us"] += 1
            return
        if self._matched is not None and source == self._matched.pev_mac and request.run_id != self._matched.run_id:
            self._restarts.took_place(source, now)
            # It knows nothing of its link any more; the old key is not given twice.
            if self._linked:
                self._lose_link("the vehicle began a new matching")
            else:
                self._fail(self._matched, Step.LINK, "the vehicle began a new matching instead of joining", now)
        if self._restarts.too_often(source):
            self._refuse(source, request.run_id, self._restarts.words(source))
            return
        if not self._answering:
            self.ignored["not answering"] += 1
            return
        run = self._runs.get((source, request.run_id)) or self._begin(source, request.run_id, now)
        if run is None:
            return
        if run.step is not Step.START:
            self.ignored["out of order"] += 1
            return
        timers = self.config.timers
        run.due = min(now + timers.tt_match_sequence_s, run.began + timers.tt_matching_repetition_s)
        self._send(parameters_told(run, timers.tt_evse_match_mnbc_s), source)

    def _begin(self, source: Mac, run_id: bytes, now: float) -> Run | None:
        twins = [run for run in self._runs.values() if run.pev_mac == source]
        for twin in twins:
            if twin.step is Step.SOUND:
                self._fail(twin, Step.SOUND, f"two vehicles call themselves {mac_text(source)} and sound at once", now)
                return None
            del self._runs[twin.key]
        busy = sum(run.step is not Step.MATCH for run in self._runs.values())
        if busy >= self.config.parallel_matchings or len(self._runs) >= MOST_RUNS:
            self._refuse(source, run_id, f"{busy} vehicles match here already")
            return None
        run = Run(pev_mac=source, run_id=run_id, began=now, due=now, num_sounds=self.config.num_sounds)
        self._runs[run.key] = run
        self._init_due = None
        self._tell(ev.MatchingStarted(pev_mac=source, run_id=run_id))
        return run

    def _refuse(self, source: Mac, run_id: bytes, reason: str) -> None:
        """Told once for each run, however often its vehicle asks."""
        self.ignored["refused"] += 1
        if (source, run_id) not in self._refused:
            self._refused.append((source, run_id))
            self._tell(ev.MatchingFailed(step=Step.PARM, reason=reason, pev_mac=source, run_id=run_id))

    def _on_start(self, run: Run | None, now: float) -> None:
        if run is not None and run.step is Step.START:
            run.step = Step.SOUND
            run.due = now + self.config.timers.tt_evse_match_mnbc_s

    def _on_sound(self, run: Run | None, cnt: int) -> None:
        if run is None:
            return
        if run.step is not Step.SOUND:
            self.ignored["out of order"] += 1
        elif not run.sound(cnt):
            self.ignored["replayed sound"] += 1

    def _on_profile(self, source: Mac, profile: CM_ATTEN_PROFILE_IND, now: float) -> None:
        sounding = [r for r in self._runs.values() if r.pev_mac == profile.pev_mac and r.step is Step.SOUND]
        if self.modem_mac not in (None, source) or not sounding:
            self.ignored["foreign profile"] += 1
            return
        run = sounding[0]
        if run.averaging or not run.profile(profile.aag):
            self.ignored["surplus profile"] += 1
        elif run.complete:
            run.averaging = True
            run.due = min(run.due, now + self.config.timers.tp_evse_avg_atten_calc_s)

    def _on_response(self, run: Run | None, response: CM_ATTEN_CHAR_RSP, now: float) -> None:
        if run is None:
            return
        if run.step is not Step.ATTEN_CHAR:
            self.ignored["out of order"] += 1
        elif response.result != 0:
            self._fail(run, Step.ATTEN_CHAR, f"the vehicle refused the result with {response.result}", now)
        else:
            run.step = Step.MATCH
            run.due = now + self.config.timers.tt_evse_match_session_s
            self._unchosen.told(run, now)

    def _on_validate(self, source: Mac, request: CM_VALIDATE_REQ, now: float) -> None:
        run = next(
            (r for r in self._runs.values() if r.pev_mac == source and r.step in (Step.MATCH, Step.VALIDATE)), None
        )
        if run is None:
            self.ignored["foreign run"] += 1
            return
        others = (other for other in self._runs.values() if other is not run)
        busy = any(other.step is Step.VALIDATE or other.may_toggle_until > now for other in others)
        answer = validation_begun(run, request, self._toggles, busy, self.config, now)
        if answer is not None:
            self._send(answer, source)

    def _count_toggles(self, run: Run, now: float) -> None:
        answer = validation_told(run, self._toggles)
        run.due = now + self.config.timers.tt_evse_match_session_s
        self._send(answer, run.pev_mac)
        self._tell(run.validated_event(self.config.evse_mac, answer.toggle_num))

    def _on_match(self, source: Mac, request: CM_SLAC_MATCH_REQ, now: float) -> None:
        matched = self._matched
        if matched is not None and matched.key == (source, request.run_id) and request.evse_mac == self.config.evse_mac:
            self._confirm(matched)
            return
        run = self._run(source, request.run_id)
        if run is None:
            return
        proven = any(other.validated for other in self._runs.values())
        if (
            run.step is not Step.MATCH
            or request.evse_mac != self.config.evse_mac
            or request.pev_mac != run.pev_mac
            or (proven and not run.validated)
        ):
            self.ignored["out of order"] += 1
            return
        del self._runs[run.key]
        for other in list(self._runs.values()):
            self._drop(other, other.step, f"{mac_text(run.pev_mac)} was matched")
        self._unchosen.forget(run)
        self._matched = run
        run.step = Step.LINK
        run.due = now + self.config.timers.tt_match_join_s
        self._given = True
        self._confirm(run)
        self._tell(run.matched_event(self.config.evse_mac, self.nid))

    def _confirm(self, run: Run) -> None:
        self._send(confirmation(run, self.config.evse_mac, self.nid, self._nmk), run.pev_mac)

    # ---- time ----

    def next_deadline(self) -> float | None:
        """When :meth:`handle_timer` is due, in ``now``'s seconds; None: nothing is awaited."""
        due = [run.due for run in self._runs.values()]
        if self._matched is not None and not self._linked:
            due.append(self._matched.due)
        awaited = (self._init_due, self._error_until, self._key_due, self._unchosen.due)
        due += [at for at in awaited if at is not None]
        return min(due, default=None)

    def handle_timer(self, now: float) -> None:
        """What is due by ``now``."""
        if self._key_due is not None and now >= self._key_due:
            self._key_due = None
            self._renew_key()
        for event in self._unchosen.over(now, self._runs.values()):
            self._tell(event)
        for run in [run for run in self._runs.values() if now >= run.due]:
            if run.key in self._runs:
                self._run_due(run, now)
        timers = self.config.timers
        if self._matched is not None and not self._linked and now >= self._matched.due:
            reason = f"matched, and the modems found no link within {timers.tt_match_join_s:g} s"
            self._fail(self._matched, Step.LINK, reason, now)
        if self._error_until is not None and now >= self._error_until:
            self._error_until = None
            self._await_vehicle(now)
        if self._init_due is not None and now >= self._init_due:
            self._init_due = None
            self._give_up_waiting(now)

    def _run_due(self, run: Run, now: float) -> None:
        match run.step:
            case Step.SOUND if run.profiles:
                self._tell(run.sounded_event(self.config.evse_mac, self.config.calibration_db))
                run.step = Step.ATTEN_CHAR
                self._send_attenuation(run, now)
            case Step.ATTEN_CHAR if run.sends <= self.config.timers.match_retries:
                self._send_attenuation(run, now)
            case Step.VALIDATE:
                self._count_toggles(run, now)
            case _:
                self._fail(run, run.step, lateness(run, self.config.timers), now)

    def _send_attenuation(self, run: Run, now: float) -> None:
        run.sends += 1
        run.due = now + self.config.timers.tt_match_response_s
        self._send(attenuation_told(run), run.pev_mac)

    # ---- ends ----

    @property
    def _here(self) -> bool:
        return self._present is True or (self._present is None and not self.config.needs_pilot)

    @property
    def _answering(self) -> bool:
        return self._keyed and self._here and self._matched is None and self._error_until is None

    def _renew_key(self) -> None:
        self._nmk = new_nmk(self._random)
        self.nid = nid_of(self._nmk)
        self._keyed = self._given = False
        self._tell(ev.SetKey(nid=self.nid, nmk=self._nmk))

    def _await_vehicle(self, now: float) -> None:
        """TT_EVSE_SLAC_init runs where somebody is there who can be answered, and has not failed too often."""
        waits = self._answering and not self._runs and self._failures <= self.config.timers.match_retries
        # Without a pilot nobody knows whether there is anyone to wait for.
        self._init_due = now + self.config.timers.tt_evse_slac_init_s if waits and self._present else None

    def _give_up_waiting(self, now: float) -> None:
        """The vehicle that is plugged in is silent: an error on the pilot makes it begin anew."""
        timers = self.config.timers
        self._failures += 1
        final = self._failures > timers.match_retries
        reason = silence(self._last_step, self._failures, timers)
        self._tell(ev.MatchingFailed(step=self._last_step, reason=reason, final=final))
        self._last_step = Step.PARM
        if not final:
            self._error_until = now + timers.t_step_ef_s
            self._tell(ev.PilotErrorWanted(for_s=timers.t_step_ef_s, reason=reason))

    def _fail(self, run: Run, step: Step, reason: str, now: float) -> None:
        """``run`` is over. Its vehicle may begin again; where it does not, the pilot shows an error."""
        self._drop(run, step, reason)
        self._last_step = step
        if self._given and self._started:
            self._renew_key()
        timers = self.config.timers
        if not self._runs and self._present and self._failures <= timers.match_retries:
            self._init_due = now + timers.tt_matching_repetition_s

    def _drop(self, run: Run, step: Step, reason: str, *, unplugged: bool = False) -> None:
        self._runs.pop(run.key, None)
        self._unchosen.forget(run)
        if self._matched is run:
            self._matched, self._linked = None, False
        self._tell(run.failed_event(step, reason, unplugged))

    def _end_all(self, step: Step | None, reason: str, *, unplugged: bool = False) -> None:
        for run in list(self._runs.values()):
            self._drop(run, step or run.step, reason, unplugged=unplugged)
        matched = self._matched
        if matched is not None and self._linked:
            self._matched, self._linked = None, False
            self._tell(ev.LinkDown(pev_mac=matched.pev_mac, evse_mac=self.config.evse_mac, reason=reason))
        elif matched is not None:
            self._drop(matched, step or Step.LINK, reason, unplugged=unplugged)

    def _lose_link(self, reason: str) -> None:
        self._end_all(None, reason)
        if self._started:
            self._renew_key()
