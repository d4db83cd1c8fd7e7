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

A vehicle that asks takes a place until it fails or has only to choose. Where all places are taken by vehicles that
have not begun to sound, more are answered all the same, and who sounds first gets a place: requests alone, however
many, keep nobody out. After the last attempt nobody is waited for any more, but who asks late is still answered.
"""

from __future__ import annotations

from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import Mac, mac_text
from pyiso15118.slac.attenuation import Attenuation
from pyiso15118.slac.events import Step
from pyiso15118.slac.evse_config import EvseSlacConfig as EvseSlacConfig
from pyiso15118.slac.evse_config import EvseState as EvseState
from pyiso15118.slac.evse_requests import EvseRequests
from pyiso15118.slac.evse_run import Run, attenuation_told, confirmation, lateness
from pyiso15118.slac.evse_validation import validation_begun, validation_told
from pyiso15118.slac.frame import Frame
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


class EvseMachine(EvseRequests):
    """One EVSE. ``random`` gives as many bytes as asked for, from a cryptographic source.

    ``now`` is in monotonic seconds and never runs backwards. Nothing that a peer may send raises; what is not for this
    EVSE, or broken, is counted by reason in :attr:`ignored`.
    """

    # ---- what the owner sees ----

    @property
    def state(self) -> EvseState:
        """Where the EVSE is with its vehicle."""
        if not self._key.set:
            return EvseState.KEYING
        if self._linked:
            return EvseState.LINKED
        if self._matched is not None:
            return EvseState.JOINING
        if self._patience.error_until is not None:
            return EvseState.ERROR
        if self._runs:
            return EvseState.MATCHING
        return EvseState.WAITING if self._here else EvseState.FREE

    @property
    def nid(self) -> bytes:
        """Of the network that vehicles are let into; empty before :meth:`start`."""
        return self._key.nid

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
        return tuple((run.pev_mac, run.run_id, run.step) for run in self._runs)

    # ---- what the owner tells ----

    def start(self, now: float) -> None:
        """The modem is there: a fresh key for it, which ends what still ran with the old one."""
        self._end_all(Step.MODEM, "the modem begins anew", now)
        self._key.wanted = True
        self._renew_key()

    def key_set(self, now: float) -> None:
        """The modem has the key of the last :class:`~pyiso15118.slac.events.SetKey`."""
        if self._key.taken() and self._patience.due is None:
            self._await_vehicle(now)

    def key_failed(self, reason: str, now: float) -> None:
        """It has not. Another key follows after a pause."""
        if self._key.refused(now):
            self._tell(ev.MatchingFailed(step=Step.KEY, reason=reason))

    def modem_lost(self, reason: str, now: float) -> None:
        """Everything ends; :meth:`start` once it is back."""
        self._end_all(Step.MODEM, reason, now)
        self._unchosen.clear()
        self._key.no_modem()
        self._patience.rest()

    def plugged(self, present: bool | None, now: float) -> None:
        """Whether the pilot shows a vehicle; None: not known, which ends what is not linked yet."""
        if present is self._present:
            return
        self._present = present
        self._unsure.known()
        if present is False:
            self._toggles = 0
            self._forget_requests()
        if not self._here:
            self._leave(present is None, now)
        elif present is None:
            self._patience.rest()
        else:
            self._patience.fresh()
            self._await_vehicle(now)

    def _leave(self, unknown: bool, now: float) -> None:
        self._patience.rest()
        self._unchosen.clear()
        if not (unknown and self._linked):
            reason = "the pilot does not tell any more who is plugged in" if unknown else "the vehicle was unplugged"
            self._end_all(None, reason, now, unplugged=not unknown)
            if self._key.wanted and self._key.given:
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
            self._patience.fresh()
            self._tell(run.linked_event(self.config.evse_mac, now))
        else:
            self._lose_link(reason or "the vehicle's modem left the network", now)

    # ---- frames ----

    def _addressed(self, frame: Frame) -> bool:
        """What the own modem sends is for us, wherever it is addressed."""
        return super()._addressed(frame) or frame.source == self.modem_mac

    def _take(self, source: Mac, message: Message, now: float) -> bool:
        match message:
            case CM_SLAC_PARM_REQ():
                self._on_parm(source, message, now)
            case CM_START_ATTEN_CHAR_IND():
                self._on_start((source, message.run_id), now)
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

    def _on_sound(self, run: Run | None, cnt: int) -> None:
        if run is None:
            return
        if run.step is not Step.SOUND:
            self.ignored["out of order"] += 1
        elif not run.sound(cnt):
            self.ignored["replayed sound"] += 1

    def _on_profile(self, source: Mac, profile: CM_ATTEN_PROFILE_IND, now: float) -> None:
        run = self._runs.of(profile.pev_mac, Step.SOUND)
        if self.modem_mac not in (None, source) or run is None:
            self.ignored["foreign profile"] += 1
        elif not run.profile(profile.aag, now + self.config.timers.tp_evse_avg_atten_calc_s):
            self.ignored["surplus profile"] += 1

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
        run = self._runs.of(source, Step.MATCH, Step.VALIDATE)
        if run is None:
            self.ignored["foreign run"] += 1
            return
        others = (other for other in self._runs if other is not run)
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
        proven = any(other.validated for other in self._runs)
        if (
            run.step is not Step.MATCH
            or request.evse_mac != self.config.evse_mac
            or request.pev_mac != run.pev_mac
            or (proven and not run.validated)
        ):
            self.ignored["out of order"] += 1
            return
        self._runs.remove(run)
        for other in self._runs:
            self._drop(other, other.step, f"{mac_text(run.pev_mac)} was matched", now)
        self._unchosen.forget(run)
        self._matched = run
        run.due = now + self.config.timers.tt_match_join_s
        self._key.given = True
        self._confirm(run)
        self._tell(run.matched_event(self.config.evse_mac, self.nid))

    def _confirm(self, run: Run) -> None:
        self._send(confirmation(run, self.config.evse_mac, self._key.nid, self._key.nmk), run.pev_mac)

    # ---- time ----

    def next_deadline(self) -> float | None:
        """When :meth:`handle_timer` is due, in ``now``'s seconds; None: nothing is awaited."""
        awaited = (self._runs.due, self._patience.due, self._patience.error_until, self._key.due, self._unchosen.due)
        due = [at for at in awaited if at is not None]
        if self._matched is not None and not self._linked:
            due.append(self._matched.due)
        return min(due, default=None)

    def handle_timer(self, now: float) -> None:
        """What is due by ``now``."""
        if self._key.due is not None and now >= self._key.due:
            self._renew_key()
        for event in self._unchosen.over(now, self._runs):
            self._tell(event)
        for run in [run for run in self._runs if now >= run.due]:
            if self._runs.get(run.key) is run:
                self._run_due(run, now)
        timers = self.config.timers
        if self._matched is not None and not self._linked and now >= self._matched.due:
            reason = f"matched, and the modems found no link within {timers.tt_match_join_s:g} s"
            self._fail(self._matched, Step.LINK, reason, now)
        patience = self._patience
        if patience.error_until is not None and now >= patience.error_until:
            patience.error_until = None
            self._await_vehicle(now)
        if patience.due is not None and now >= patience.due:
            self._lose_patience(now)

    def _lose_patience(self, now: float) -> None:
        if not self._key.set:
            # It could not have been answered; the wait begins with the key.
            self._patience.hold()
            return
        failed, error = self._patience.give_up(now)
        self._tell(failed)
        if error is not None:
            self._tell(error)

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
