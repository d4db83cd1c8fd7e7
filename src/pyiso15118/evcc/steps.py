"""Steps that several responses lead to."""

from __future__ import annotations

from dataclasses import replace

from pyiso15118.errors import RemoteProtocolError
from pyiso15118.evcc.session import Ending, Session, Situation, Step
from pyiso15118.evcc.steering import ending
from pyiso15118.evcc.transitions import Outcome
from pyiso15118.events import AcPower, StopRequested
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules.wire import MAX_MAGNITUDE

Notification = ct.evseNotificationType


def give_up(session: Session, why: str) -> Step:
    """End the session properly, for a reason of ours."""
    return Step(outcome=Outcome.STOP, session=replace(ending(session, Ending.TERMINATE), gave_up=why))


def again(situation: Situation) -> Step:
    return Step(outcome=Outcome.AGAIN, session=situation.session, pause_s=situation.config.timers.ongoing_period_s)


def notified(step: Step, status: ct.EVSEStatusType | None) -> Step:
    """What the EVSE asks for becomes the vehicle's wish, once: an EVSE repeats it until it is done.

    Terminate [V2G20-1960], Pause [V2G20-1850], ExitStandby [V2G20-1854]. MeteringConfirmation is the charge loop's.
    """
    notification = status.EVSENotification if status is not None else None
    session = step.session
    if notification is session.transfer.notification:
        return step
    session = replace(session, transfer=replace(session.transfer, notification=notification))
    if status is None:
        return replace(step, session=session)
    wishes = session.wishes
    match notification:
        case Notification.Terminate:
            session = ending(session, Ending.TERMINATE)
        case Notification.Pause:
            session = ending(session, Ending.PAUSE)
        case Notification.ServiceRenegotiation:
            session = ending(session, Ending.RENEGOTIATE)
        case Notification.ScheduleRenegotiation:
            session = replace(session, wishes=replace(wishes, schedule=True))
        case Notification.ExitStandby:
            session = replace(session, wishes=replace(wishes, standby=False, leave_standby=True))
        case _:
            pass
    event = StopRequested(notification=str(notification), max_delay_s=status.NotificationMaxDelay)
    return replace(step, session=session, events=(*step.events, event))


def measured(name: str, value: ct.RationalNumberType) -> float:
    """Raises :class:`RemoteProtocolError` for what nothing can have measured."""
    if abs(float(value)) > MAX_MAGNITUDE:
        raise RemoteProtocolError(f"{name} is {float(value):g}, which nothing can have measured")
    return float(value)


def phases(message: object, name: str) -> AcPower | None:
    """The power in ``name`` and the elements with its suffixes; None where the message has none."""
    first, second, third = (getattr(message, name + suffix) for suffix in ("", "_L2", "_L3"))
    if first is None:
        return None
    return AcPower(
        float(first),
        None if second is None else float(second),
        None if third is None else float(third),
    )
