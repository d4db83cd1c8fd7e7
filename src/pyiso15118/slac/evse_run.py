"""One vehicle's matching as an EVSE sees it: which step, what was heard, until when. Pure data and small rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyiso15118.slac import events as ev
from pyiso15118.slac.addresses import Mac, mac_text
from pyiso15118.slac.attenuation import Attenuation, averaged
from pyiso15118.slac.events import Step
from pyiso15118.slac.messages import CM_ATTEN_CHAR_IND, CM_SLAC_MATCH_CNF, CM_SLAC_PARM_CNF
from pyiso15118.slac.timers import EvseSlacTimers

Key = tuple[Mac, bytes]
"""MAC address and run ID."""
MOST_RUNS = 32
"""Those that only wait for a choice included."""
_MOST_DB = 255


@dataclass(slots=True, kw_only=True)
class Run:
    """``due``: when what is awaited in ``step`` has to be there."""

    pev_mac: Mac
    run_id: bytes
    began: float
    due: float
    num_sounds: int
    announced: bool
    """Its beginning was told, and its end will be; False: it was one of too many that only asked."""
    step: Step = Step.START
    """What is awaited: ``SOUND`` from the first CM_START_ATTEN_CHAR.IND on, ``MATCH`` from the response on."""
    averaging: bool = False
    """All sounds are in; CM_ATTEN_CHAR.IND goes out when ``due``."""
    attenuation: Attenuation | None = None
    sends: int = 0
    """Of CM_ATTEN_CHAR.IND."""
    validated: bool = False
    toggles_before: int = 0
    may_toggle_until: float = 0.0
    """It was told that it may: no other's toggles can be told from its own until then."""
    sounds: set[int] = field(default_factory=set)
    profiles: list[tuple[int, ...]] = field(default_factory=list)
    _replayed: int = 0

    @property
    def key(self) -> Key:
        return self.pev_mac, self.run_id

    def sound(self, cnt: int) -> bool:
        """A sound was heard. False: one with this count was heard before, and its profile will not count."""
        if cnt in self.sounds or cnt >= self.num_sounds:
            self._replayed += 1
            return False
        self.sounds.add(cnt)
        return True

    def profile(self, groups: tuple[int, ...], average_at: float) -> bool:
        """The modem measured a sound. False: it is not counted. ``average_at``: when the result of all is due, had
        this been the last."""
        if self._replayed:
            self._replayed -= 1
            return False
        if self.averaging or (self.profiles and len(groups) != len(self.profiles[0])):
            return False
        self.profiles.append(groups)
        if len(self.profiles) >= self.num_sounds:
            self.averaging = True
            self.due = min(self.due, average_at)
        return True

    def unheard(self, within_s: float) -> str:
        """Why there is nothing to average, for people."""
        if self.sounds:
            return f"the modem measured none of the {len(self.sounds)} sounds that were heard within {within_s:g} s"
        return f"none of {self.num_sounds} sounds was heard within {within_s:g} s"

    @property
    def told(self) -> Attenuation:
        """What was averaged; only behind ``SOUND``."""
        if self.attenuation is None:
            raise AssertionError(f"{mac_text(self.pev_mac)}: no attenuation in step {self.step}")
        return self.attenuation

    # ---- events of it ----

    def sounded_event(self, evse_mac: Mac, calibration_db: float) -> ev.Sounded:
        """Averages the profiles, of which there has to be one."""
        self.attenuation = averaged(self.profiles, calibration_db)
        return ev.Sounded(pev_mac=self.pev_mac, run_id=self.run_id, evse_mac=evse_mac, attenuation=self.attenuation)

    def validated_event(self, evse_mac: Mac, toggles: int) -> ev.Validated:
        return ev.Validated(pev_mac=self.pev_mac, evse_mac=evse_mac, toggles=toggles, passed=self.validated)

    def failed_event(self, step: Step, reason: str, unplugged: bool) -> ev.MatchingFailed:
        return ev.MatchingFailed(
            step=step,
            reason=reason,
            pev_mac=self.pev_mac,
            run_id=self.run_id,
            attenuation=self.attenuation,
            unplugged=unplugged,
        )

    def matched_event(self, evse_mac: Mac, nid: bytes) -> ev.Matched:
        return ev.Matched(pev_mac=self.pev_mac, evse_mac=evse_mac, run_id=self.run_id, nid=nid, attenuation=self.told)

    def linked_event(self, evse_mac: Mac, now: float) -> ev.LinkUp:
        return ev.LinkUp(pev_mac=self.pev_mac, evse_mac=evse_mac, attenuation=self.told, took_s=now - self.began)


def parameters_told(key: Key, num_sounds: int, listens_s: float) -> CM_SLAC_PARM_CNF:
    """How the vehicle is to sound. ``listens_s``: TT_EVSE_match_MNBC."""
    return CM_SLAC_PARM_CNF(
        num_sounds=num_sounds,
        time_out_100ms=round(listens_s * 10),
        forwarding_sta=key[0],
        run_id=key[1],
    )


def attenuation_told(run: Run) -> CM_ATTEN_CHAR_IND:
    """What was heard of it."""
    return CM_ATTEN_CHAR_IND(
        source_address=run.pev_mac,
        run_id=run.run_id,
        num_sounds=run.told.sounds,
        aag=tuple(min(_MOST_DB, round(level)) for level in run.told.groups_db),
    )


def confirmation(run: Run, evse_mac: Mac, nid: bytes, nmk: bytes) -> CM_SLAC_MATCH_CNF:
    """The key, for the vehicle of ``run``."""
    return CM_SLAC_MATCH_CNF(pev_mac=run.pev_mac, evse_mac=evse_mac, run_id=run.run_id, nid=nid, nmk=nmk)


def lateness(run: Run, timers: EvseSlacTimers) -> str:
    """What was awaited in the step of ``run``, and for how long, for people."""
    match run.step:
        case Step.START:
            return f"no CM_START_ATTEN_CHAR.IND within {timers.tt_match_sequence_s:g} s"
        case Step.SOUND:
            return run.unheard(timers.tt_evse_match_mnbc_s)
        case Step.ATTEN_CHAR:
            within = timers.tt_match_response_s
            return f"no CM_ATTEN_CHAR.RSP to {run.sends} CM_ATTEN_CHAR.IND, each within {within:g} s"
        case _:
            within = timers.tt_evse_match_session_s
            return f"no CM_SLAC_MATCH.REQ within {within:g} s: the vehicle did not choose this EVSE"
