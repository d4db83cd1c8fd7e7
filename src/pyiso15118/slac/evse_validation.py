"""CM_VALIDATE as an EVSE answers it (ISO 15118-3 A.9.4): does this vehicle toggle the pilot that is measured here?"""

from __future__ import annotations

from pyiso15118.slac.events import Step
from pyiso15118.slac.evse_config import EvseSlacConfig
from pyiso15118.slac.evse_run import Run
from pyiso15118.slac.messages import CM_VALIDATE_CNF, CM_VALIDATE_REQ, ValidateResult

_MOST_TOLD = 255


def validation_begun(
    run: Run, request: CM_VALIDATE_REQ, toggles: int, busy: bool, config: EvseSlacConfig, now: float
) -> CM_VALIDATE_CNF | None:
    """The answer to a request; None: it comes when the toggles are counted, at ``run.due``.

    A timer of 0 would be too short for any toggle: it is the first step, also when that is repeated. ``busy``: another
    vehicle toggles just now, or may. ``toggles``: of the pilot so far.
    """
    if not config.validate:
        return CM_VALIDATE_CNF(result=ValidateResult.NOT_REQUIRED)
    if request.signal_type != 0:
        return CM_VALIDATE_CNF(result=ValidateResult.FAILURE)
    if busy:
        return CM_VALIDATE_CNF(result=ValidateResult.NOT_READY)
    if request.timer == 0:
        # A late copy of the first request does not disturb the count.
        if run.step is Step.MATCH:
            run.due = now + config.timers.tt_evse_match_session_s
        # A vehicle begins to toggle with its second request, whatever becomes of that.
        if run.may_toggle_until <= now:
            run.may_toggle_until = now + config.timers.tt_evse_vald_toggle_s
        return CM_VALIDATE_CNF(result=ValidateResult.READY)
    if run.step is Step.MATCH:
        run.step = Step.VALIDATE
        run.toggles_before = toggles
        lasts_s = min((request.timer + 1) * 0.1, config.timers.tt_evse_vald_toggle_s)
        run.due = now + lasts_s + config.timers.vald_settle_s
    return None


def validation_told(run: Run, toggles: int) -> CM_VALIDATE_CNF:
    """What was counted within the time."""
    seen = toggles - run.toggles_before
    run.validated = seen > 0
    run.step, run.may_toggle_until = Step.MATCH, 0.0
    result = ValidateResult.SUCCESS if run.validated else ValidateResult.FAILURE
    return CM_VALIDATE_CNF(result=result, toggle_num=min(seen, _MOST_TOLD))
