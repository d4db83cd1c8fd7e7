"""What several handlers say: failures, and why an EVSE must not deliver."""

from __future__ import annotations

from pyiso15118.commands import EvseState, UpdateAcEvse, UpdateDcEvse
from pyiso15118.events import Event
from pyiso15118.messages import ac, dc
from pyiso15118.messages import common_types as ct
from pyiso15118.secc.refusals import refusal
from pyiso15118.secc.session import Failure, Reply, Session, Situation

Code = ct.responseCodeType
Processing = ct.processingType

_LOOP_MODES: dict[type[ct.CLReqControlMode], tuple[bool, bool]] = {
    ac.Dynamic_AC_CLReqControlMode: (False, False),
    ac.BPT_Dynamic_AC_CLReqControlMode: (False, True),
    ac.Scheduled_AC_CLReqControlMode: (True, False),
    ac.BPT_Scheduled_AC_CLReqControlMode: (True, True),
    dc.Dynamic_DC_CLReqControlMode: (False, False),
    dc.BPT_Dynamic_DC_CLReqControlMode: (False, True),
    dc.Scheduled_DC_CLReqControlMode: (True, False),
    dc.BPT_Scheduled_DC_CLReqControlMode: (True, True),
}


def failed(request: object, code: Code, detail: str, situation: Situation, events: tuple[Event, ...] = ()) -> Reply:
    """The session ends with ``code`` in the response that belongs to ``request``."""
    response = refusal(request, code, situation.header, situation.config.evse_id)
    if response is None:
        raise TypeError(f"{type(request).__name__} is no request")
    return Reply(response=response, session=situation.session, outcome=None, events=events, detail=detail)


def dc_evse(situation: Situation) -> UpdateDcEvse | None:
    """The DC EVSE as it is now, None where nobody knows."""
    return situation.evse if isinstance(situation.evse, UpdateDcEvse) else None


def ac_evse(situation: Situation) -> UpdateAcEvse | None:
    """The AC EVSE as it is now, None where nobody knows."""
    return situation.evse if isinstance(situation.evse, UpdateAcEvse) else None


def stale(situation: Situation, where: str) -> str:
    """In words: nobody knows the EVSE."""
    return f"no state of the EVSE younger than {situation.config.evse_state_max_age_s:g} s at {where}"


def loop_kind(mode: ct.CLReqControlMode, session: Session) -> tuple[bool, bool] | str:
    """Of the control mode of a charge-loop request: whether it is scheduled, and whether it may feed back.

    In words where it is not one of the service and control mode selected.
    """
    scheduled, bpt = _LOOP_MODES[type(mode)]
    if scheduled is not session.is_scheduled or (bpt and not session.is_bpt):
        return f"{type(mode).__name__} does not belong to the selected service and control mode"
    return scheduled, bpt


def evse_failure(evse: EvseState, *, standby: bool = False) -> Failure | None:
    """Why energy must not flow in the charge loop. In standby the contactors may be open."""
    if evse.fault is not None:
        return Failure(code=Code.FAILED, detail=f"EVSE fault: {evse.fault}")
    closed = evse.contactors_closed if isinstance(evse, UpdateDcEvse) else evse.contactor_closed
    if closed or standby:
        return None
    contactors = "contactors" if isinstance(evse, UpdateDcEvse) else "contactor"
    detail = f"the EVSE's {contactors} opened during the charge loop"
    return Failure(code=Code.FAILED_ContactorError, detail=detail)


def fault_at(situation: Situation, where: str) -> str | None:
    """In words: the EVSE has a fault. No charging starts on one, so no step on the way to it is taken."""
    if situation.evse is None or situation.evse.fault is None:
        return None
    return f"EVSE fault at {where}: {situation.evse.fault}"


def evse_status(evse: EvseState | None) -> ct.EVSEStatusType | None:
    """What the EVSE asks of the vehicle; absent where nothing is asked, for some vehicles take any as a stop."""
    if evse is None or evse.notification is None:
        return None
    return ct.EVSEStatusType(NotificationMaxDelay=evse.notification_max_delay_s, EVSENotification=evse.notification)
