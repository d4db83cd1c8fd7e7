"""How long an EVSE waits for the vehicle that is plugged in, and the errors on the pilot that make it begin anew."""

from __future__ import annotations

from pyiso15118.slac import events as ev
from pyiso15118.slac.events import Step
from pyiso15118.slac.timers import EvseSlacTimers


class Patience:
    """``due``: when the vehicle has been silent for too long. ``error_until``: end of the error on the pilot."""

    def __init__(self, timers: EvseSlacTimers) -> None:
        self.due: float | None = None
        self.error_until: float | None = None
        self._timers = timers
        self._failures = 0
        self._init_until = 0.0
        self._why = self._silent

    @property
    def spent(self) -> bool:
        """The last attempt has failed: it is not waited for any more until it is plugged in anew."""
        return self._failures > self._timers.match_retries

    def fresh(self) -> None:
        """Another vehicle, or one that was linked: all attempts again."""
        self._failures = 0

    def begin(self, now: float) -> None:
        """TT_EVSE_SLAC_init runs from now."""
        self._init_until = now + self._timers.tt_evse_slac_init_s
        self._why = self._silent
        self.due = None if self.spent else self._init_until

    def hold(self) -> None:
        """Somebody matches, or nobody is there to be waited for."""
        self.due = None

    def rest(self) -> None:
        self.due = self.error_until = None

    def failed(self, step: Step, now: float) -> None:
        """A matching is over. Who chose another EVSE may have been a neighbour's vehicle: then the one that is plugged
        in has still all its time to begin."""
        within_s = self._timers.tt_matching_repetition_s
        again_until = now + within_s
        if step is Step.MATCH and self._init_until > again_until:
            again_until = self._init_until
            self._why = (
                step,
                (
                    f"nobody was matched within {self._timers.tt_evse_slac_init_s:g} s of a vehicle on the pilot: "
                    "who asked last did not choose this EVSE"
                ),
            )
        else:
            self._why = step, f"the vehicle did not begin again within {within_s:g} s of a failed matching"
        self.due = None if self.spent else again_until

    def give_up(self, now: float) -> tuple[ev.MatchingFailed, ev.PilotErrorWanted | None]:
        """What is told when it is ``due``."""
        self.due = None
        self._failures += 1
        step, why = self._why
        reason = f"{why}; attempt {self._failures} of {self._timers.match_retries + 1}"
        failed = ev.MatchingFailed(step=step, reason=reason, final=self.spent)
        if self.spent:
            return failed, None
        for_s = self._timers.t_step_ef_s
        self.error_until = now + for_s
        return failed, ev.PilotErrorWanted(for_s=for_s, reason=reason)

    @property
    def _silent(self) -> tuple[Step, str]:
        within_s = self._timers.tt_evse_slac_init_s
        return Step.PARM, f"no CM_SLAC_PARM.REQ within {within_s:g} s of a vehicle on the pilot"
