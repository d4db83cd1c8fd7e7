"""The vehicle's side of SLAC (ISO 15118-3 Annex A) as a machine without input, output or clock.

==========  =================================================  ===========================================
State       Meaning                                            Left by
==========  =================================================  ===========================================
IDLE        nothing is wanted                                  ``start``
ASKING      CM_SLAC_PARM.REQ is out                            TT_match_response, then sounds or a retry
SOUNDING    CM_START_ATTEN_CHAR.IND and sounds go out          the last sound
RESULTS     CM_ATTEN_CHAR.IND is awaited                       all EVSEs told; TT_EV_atten_results
VALIDATING  the pilot is toggled for one EVSE                  CM_VALIDATE.CNF
MATCHING    CM_SLAC_MATCH.REQ is out                           CM_SLAC_MATCH.CNF; retries
KEYING      the own modem gets the key                         ``key_set``, ``key_failed``; TT_match_join
JOINING     the modems find each other                         ``link(True)``; TT_match_join
LINKED      they have                                          ``link(False)``, ``unplugged``
PAUSED      a matching failed; another follows                 TT_matching_rate
FAILED      none follows any more                              ``start``
==========  =================================================  ===========================================
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import Mac, is_group, mac_text
from pyiso15118.slac.attenuation import Attenuation
from pyiso15118.slac.events import Step
from pyiso15118.slac.machine import Outbox
from pyiso15118.slac.messages import (
    CM_ATTEN_CHAR_IND,
    CM_ATTEN_CHAR_RSP,
    CM_MNBC_SOUND_IND,
    CM_SLAC_MATCH_CNF,
    CM_SLAC_MATCH_REQ,
    CM_SLAC_PARM_CNF,
    CM_SLAC_PARM_REQ,
    CM_START_ATTEN_CHAR_IND,
    CM_VALIDATE_CNF,
    CM_VALIDATE_REQ,
    RUN_ID_BYTES,
    Message,
    ValidateResult,
)
from pyiso15118.slac.timers import EvSlacTimers

_MOST_EVSES = 32
_MOST_SOUNDS = 50
"""More would last longer than any EVSE listens."""
_TOGGLES = 3
_RND_BYTES = 16


class EvState(enum.StrEnum):
    IDLE = "idle"
    ASKING = "asking"
    SOUNDING = "sounding"
    RESULTS = "results"
    VALIDATING = "validating"
    MATCHING = "matching"
    KEYING = "keying"
    JOINING = "joining"
    LINKED = "linked"
    PAUSED = "paused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvSlacConfig:
    """Up to ``direct_db`` of average attenuation an EVSE is taken for that at the own cable; up to ``indirect_db`` it
    may be; above it is not. ``ambiguity_db``: another EVSE that is so near to the best makes it doubtful."""

    ev_mac: Mac
    direct_db: float = 10.0
    indirect_db: float = 20.0
    ambiguity_db: float = 3.0
    use_validation: bool = False
    """A doubtful or indirect EVSE is asked to confirm toggles of the pilot (CM_VALIDATE)."""
    timers: EvSlacTimers = field(default_factory=EvSlacTimers)


class EvMachine(Outbox):
    """One vehicle. ``random`` gives as many bytes as asked for. ``now`` is in monotonic seconds.

    Nothing that a peer may send raises; what is not for us, or broken, is counted by reason in :attr:`ignored`.
    """

    def __init__(self, config: EvSlacConfig, *, random: Callable[[int], bytes]) -> None:
        super().__init__(config.ev_mac)
        self.config = config
        self.state = EvState.IDLE
        self.chosen: Mac | None = None
        """The EVSE that is validated, matched or linked; None before the choice, after a failure and a lost link."""
        self._random = random
        self._run_id = b""
        self._first = self._began = 0.0
        self._due: float | None = None
        self._results_due = 0.0
        self._tries = 0
        self._sounds_left = self._starts_left = self._num_sounds = 0
        self._time_out_100ms = 0
        self._evses: dict[Mac, Attenuation | None] = {}
        self._candidates: list[Mac] = []
        self._toggling = self._busy = False
        self._made: int | None = None

    # ---- what the owner tells ----

    def start(self, now: float) -> None:
        """Begin: the plug is in and the pilot shows 5 %. Of no effect while a matching runs or a link is up."""
        if self.state in (EvState.IDLE, EvState.FAILED):
            self._first = now
            self._begin(now)

    def unplugged(self, now: float) -> None:
        """The plug is out: everything ends."""
        if self.state is EvState.LINKED:
            self._lose("unplugged")
        elif self.state not in (EvState.IDLE, EvState.FAILED):
            self._tell(
                ev.MatchingFailed(
                    step=_STEPS.get(self.state, Step.PARM),
                    reason="unplugged",
                    pev_mac=self.config.ev_mac,
                    run_id=self._run_id,
                    final=True,
                    unplugged=True,
                )
            )
        self.chosen = None
        self._enter(EvState.IDLE, None)

    def key_set(self, now: float) -> None:
        """The own modem has the key."""
        if self.state is EvState.KEYING:
            self._enter(EvState.JOINING, self._due)

    def key_failed(self, reason: str, now: float) -> None:
        """The modem did not take the network's key."""
        if self.state is EvState.KEYING:
            self._fail(Step.KEY, reason, now)

    def toggled(self, count: int, now: float) -> None:
        """So many B-C-B toggles were made after :class:`~pyiso15118.slac.events.ToggleWanted`."""
        self._made = count

    def link(self, up: bool, now: float, reason: str = "") -> None:
        """Whether the own modem is in the EVSE's network."""
        chosen = self.chosen
        if up and self.state is EvState.JOINING and chosen is not None:
            self._enter(EvState.LINKED, None)
            self._tell(
                ev.LinkUp(
                    pev_mac=self.config.ev_mac,
                    evse_mac=chosen,
                    attenuation=self._attenuation(chosen),
                    took_s=now - self._began,
                )
            )
        elif not up and self.state is EvState.LINKED:
            self._lose(reason or "the EVSE's modem is gone")
            self._enter(EvState.IDLE, None)

    # ---- frames ----

    def _take(self, source: Mac, message: Message, now: float) -> bool:
        match message:
            case CM_SLAC_PARM_CNF(run_id=self._run_id):
                return self._on_parm(source, message)
            case CM_ATTEN_CHAR_IND(run_id=self._run_id, source_address=self.config.ev_mac):
                return self._on_attenuation(source, message, now)
            case CM_VALIDATE_CNF():
                return self._on_validate(source, message, now)
            case CM_SLAC_MATCH_CNF(run_id=self._run_id, pev_mac=self.config.ev_mac):
                return self._on_match(source, message, now)
        return False

    def _on_parm(self, source: Mac, answer: CM_SLAC_PARM_CNF) -> bool:
        usable = 1 <= answer.num_sounds <= _MOST_SOUNDS and not answer.application_type and not answer.security_type
        if self.state is not EvState.ASKING or not usable or is_group(source) or len(self._evses) >= _MOST_EVSES:
            return False
        self._evses.setdefault(source, None)
        self._num_sounds = max(self._num_sounds, answer.num_sounds)
        self._time_out_100ms = max(self._time_out_100ms, answer.time_out_100ms)
        return True

    def _on_attenuation(self, source: Mac, told: CM_ATTEN_CHAR_IND, now: float) -> bool:
        if source not in self._evses or self.state in _SILENT:
            return False
        # Answered again when it comes again: the response may be lost, and the EVSE waits for it.
        self._send(CM_ATTEN_CHAR_RSP(source_address=self.config.ev_mac, run_id=self._run_id), source)
        if self._evses[source] is not None or self.state not in (EvState.SOUNDING, EvState.RESULTS):
            return True
        if told.num_sounds == 0:
            self.ignored["heard nothing"] += 1
            return True
        attenuation = Attenuation(groups_db=tuple(map(float, told.aag)), sounds=told.num_sounds)
        self._evses[source] = attenuation
        self._tell(
            ev.Sounded(pev_mac=self.config.ev_mac, run_id=self._run_id, evse_mac=source, attenuation=attenuation)
        )
        if self.state is EvState.RESULTS and self._all_told:
            self._choose(now)
        return True

    def _on_validate(self, source: Mac, answer: CM_VALIDATE_CNF, now: float) -> bool:
        if self.state is not EvState.VALIDATING or source != self.chosen:
            return False
        timers = self.config.timers
        if answer.result == ValidateResult.NOT_REQUIRED:
            self._ask_to_match(now)
        elif not self._toggling and answer.result == ValidateResult.READY:
            self._toggling, self._made = True, None
            lasts_s = _TOGGLES * 2 * timers.vald_toggle_s
            self._tell(ev.ToggleWanted(count=_TOGGLES, each_s=timers.vald_toggle_s))
            self._send(CM_VALIDATE_REQ(timer=math.ceil(lasts_s * 10 - 1e-6)), source)
            self._due = now + min(lasts_s, timers.tt_ev_vald_toggle_s) + 2.0 * timers.tt_match_response_s + 0.3
        elif self._toggling and answer.result in (ValidateResult.SUCCESS, ValidateResult.FAILURE):
            expected = _TOGGLES if self._made is None else self._made
            passed = answer.result == ValidateResult.SUCCESS and answer.toggle_num == expected
            self._tell(
                ev.Validated(pev_mac=self.config.ev_mac, evse_mac=source, toggles=answer.toggle_num, passed=passed)
            )
            if passed:
                self._ask_to_match(now)
            else:
                self._next_candidate(f"it counted {answer.toggle_num} of {expected} toggles of the pilot", now)
        elif not self._toggling and answer.result == ValidateResult.NOT_READY:
            self._busy = True
        elif answer.result == ValidateResult.FAILURE:
            self._next_candidate("it does not confirm the pilot", now)
        return True

    def _on_match(self, source: Mac, answer: CM_SLAC_MATCH_CNF, now: float) -> bool:
        if self.state is not EvState.MATCHING or source != self.chosen or answer.evse_mac != source:
            return False
        self._enter(EvState.KEYING, now + self.config.timers.tt_match_join_s)
        self._tell(
            ev.Matched(
                pev_mac=self.config.ev_mac,
                evse_mac=source,
                run_id=self._run_id,
                nid=answer.nid,
                attenuation=self._attenuation(source),
            )
        )
        self._tell(ev.SetKey(nid=answer.nid, nmk=answer.nmk))
        return True

    # ---- time ----

    def next_deadline(self) -> float | None:
        """When :meth:`handle_timer` is due; None: nothing is awaited."""
        return self._due

    def handle_timer(self, now: float) -> None:
        """What is due by ``now``."""
        if self._due is None or now < self._due:
            return
        timers = self.config.timers
        match self.state:
            case EvState.ASKING if self._evses:
                self._starts_left, self._sounds_left = timers.start_atten_char_inds, self._num_sounds
                self._results_due = now + timers.tt_ev_atten_results_s
                self._enter(EvState.SOUNDING, now)
                self._sound(now)
            case EvState.ASKING:
                self._repeat(now, lambda: self._ask(now), Step.PARM, "no EVSE answered CM_SLAC_PARM.REQ")
            case EvState.SOUNDING:
                self._sound(now)
            case EvState.RESULTS:
                self._choose(now)
            case EvState.VALIDATING if self._toggling:
                self._next_candidate("it did not tell what it counted", now)
            case EvState.VALIDATING:
                self._tries += 1
                if self._tries > timers.match_retries:
                    busy = "it is not ready to count toggles of the pilot"
                    self._next_candidate(busy if self._busy else "no answer to CM_VALIDATE.REQ", now)
                else:
                    self._ask_to_validate(now)
            case EvState.MATCHING:
                reason = f"no CM_SLAC_MATCH.CNF of {mac_text(self.chosen or b'')}"
                self._repeat(now, lambda: self._send_match(now), Step.MATCH, reason)
            case EvState.KEYING:
                self._fail(Step.KEY, f"the own modem did not take the key within {timers.tt_match_join_s:g} s", now)
            case EvState.JOINING:
                self._fail(Step.LINK, f"no link within {timers.tt_match_join_s:g} s of CM_SLAC_MATCH.CNF", now)
            case EvState.PAUSED:
                self._begin(now)
            case _:
                self._due = None

    def _begin(self, now: float) -> None:
        self._run_id = self._random(RUN_ID_BYTES)
        self._began = now
        self._evses.clear()
        self._tries = self._num_sounds = self._time_out_100ms = 0
        self._enter(EvState.ASKING, None)
        self._tell(ev.MatchingStarted(pev_mac=self.config.ev_mac, run_id=self._run_id))
        self._ask(now)

    def _ask(self, now: float) -> None:
        self._due = now + self.config.timers.tt_match_response_s
        self._send(CM_SLAC_PARM_REQ(run_id=self._run_id))

    def _sound(self, now: float) -> None:
        if self._starts_left:
            self._starts_left -= 1
            self._send(
                CM_START_ATTEN_CHAR_IND(
                    num_sounds=self._num_sounds,
                    time_out_100ms=self._time_out_100ms,
                    forwarding_sta=self.config.ev_mac,
                    run_id=self._run_id,
                )
            )
        else:
            self._sounds_left -= 1
            self._send(CM_MNBC_SOUND_IND(cnt=self._sounds_left, run_id=self._run_id, rnd=self._random(_RND_BYTES)))
        self._due = now + self.config.timers.tp_ev_batch_msg_interval_s
        if not self._sounds_left:
            self._enter(EvState.RESULTS, now if self._all_told else max(self._results_due, now))

    @property
    def _all_told(self) -> bool:
        return all(known is not None for known in self._evses.values())

    def _choose(self, now: float) -> None:
        known = {mac: told for mac, told in self._evses.items() if told is not None}
        if not known:
            self._fail(Step.ATTEN_CHAR, f"none of {len(self._evses)} EVSEs told what it heard", now)
            return
        ranked = sorted(known, key=lambda mac: known[mac].average_db)
        self._candidates = [mac for mac in ranked if known[mac].average_db <= self.config.indirect_db]
        if not self._candidates:
            nearest = ranked[0]
            reason = (
                f"the nearest of {len(known)} EVSEs, {mac_text(nearest)}, is {known[nearest].average_db:.1f} dB away; "
                f"at most {self.config.indirect_db:g} dB are taken for the own cable"
            )
            self._fail(Step.ATTEN_CHAR, reason, now, known[nearest])
            return
        self._try_candidate(now)

    def _try_candidate(self, now: float) -> None:
        mac = self.chosen = self._candidates.pop(0)
        level = self._attenuation(mac).average_db
        rivals = [
            other
            for other in self._candidates
            if self._attenuation(other).average_db - level < self.config.ambiguity_db
        ]
        if self.config.use_validation and (level > self.config.direct_db or rivals):
            self._tries, self._toggling, self._busy = 0, False, False
            self._enter(EvState.VALIDATING, now)
            self._ask_to_validate(now)
        else:
            self._ask_to_match(now)

    def _next_candidate(self, reason: str, now: float) -> None:
        if self._candidates:
            self._try_candidate(now)
        else:
            self._fail(Step.VALIDATE, f"{mac_text(self.chosen or b'')}: {reason}", now)

    def _ask_to_validate(self, now: float) -> None:
        self._due = now + self.config.timers.tt_match_response_s
        self._send(CM_VALIDATE_REQ(), self.chosen or b"")

    def _ask_to_match(self, now: float) -> None:
        self._tries = 0
        self._enter(EvState.MATCHING, None)
        self._send_match(now)

    def _send_match(self, now: float) -> None:
        chosen = self.chosen or b""
        self._due = now + self.config.timers.tt_match_response_s
        self._send(CM_SLAC_MATCH_REQ(pev_mac=self.config.ev_mac, evse_mac=chosen, run_id=self._run_id), chosen)

    def _repeat(self, now: float, again: Callable[[], None], step: Step, reason: str) -> None:
        self._tries += 1
        if self._tries <= self.config.timers.match_retries:
            again()
        else:
            self._fail(step, f"{reason} within {self.config.timers.tt_match_response_s:g} s, {self._tries} times", now)

    # ---- ends ----

    def _fail(self, step: Step, reason: str, now: float, attenuation: Attenuation | None = None) -> None:
        timers = self.config.timers
        again_at = now + timers.tt_matching_rate_s
        final = again_at > self._first + timers.tt_matching_repetition_s
        if self.chosen is not None:
            attenuation, self.chosen = self._evses.get(self.chosen), None
        self._enter(EvState.FAILED if final else EvState.PAUSED, None if final else again_at)
        self._tell(
            ev.MatchingFailed(
                step=step,
                reason=reason,
                pev_mac=self.config.ev_mac,
                run_id=self._run_id,
                attenuation=attenuation,
                final=final,
            )
        )

    def _lose(self, reason: str) -> None:
        if self.chosen is not None:
            self._tell(ev.LinkDown(pev_mac=self.config.ev_mac, evse_mac=self.chosen, reason=reason))
            self.chosen = None

    def _enter(self, state: EvState, due: float | None) -> None:
        self.state, self._due = state, due

    def _attenuation(self, mac: Mac) -> Attenuation:
        found = self._evses[mac]
        if found is None:
            raise AssertionError(f"{mac_text(mac)} was chosen before it told its attenuation")
        return found


_SILENT = (EvState.IDLE, EvState.ASKING, EvState.PAUSED, EvState.FAILED)
"""No matching runs, or none in which sounds were made."""
_STEPS = {
    EvState.SOUNDING: Step.SOUND,
    EvState.RESULTS: Step.ATTEN_CHAR,
    EvState.VALIDATING: Step.VALIDATE,
    EvState.MATCHING: Step.MATCH,
    EvState.KEYING: Step.KEY,
    EvState.JOINING: Step.LINK,
}
