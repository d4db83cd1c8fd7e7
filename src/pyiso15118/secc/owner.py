"""What an owner may say when: each command is checked and becomes part of the session. Pure functions.

All raise :class:`LocalProtocolError`, and nothing has changed then.
"""

from __future__ import annotations

from msgspec.structs import replace

from pyiso15118 import exi
from pyiso15118.checks import (
    check_ac_power,
    check_finite,
    check_flags,
    check_integers,
    check_limits,
    check_meter,
    check_optional,
    check_text,
)
from pyiso15118.commands import (
    Authorize,
    CableCheckFinished,
    EvseState,
    InstallCertificate,
    OfferSchedules,
    SetGridCode,
    SetMobilityNeeds,
    UpdateDcEvse,
)
from pyiso15118.errors import ExiError, LocalProtocolError
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules import DynamicSchedule, ScheduleTuple, tuples_to_message
from pyiso15118.secc.config import SeccConfig
from pyiso15118.secc.session import Session
from pyiso15118.secc.transitions import State

UNAUTHORIZED = {State.APP_PROTOCOL, State.SESSION_SETUP, State.AUTHORIZATION_SETUP, State.AUTHORIZATION}
_RENEGOTIABLE = {State.CHARGE_LOOP, State.STANDBY, State.SCHEDULE_RENEGOTIATION, State.POWER_DELIVERY_AGAIN}


def check_evse(command: EvseState, config: SeccConfig, session: Session) -> None:
    """A state that an EVSE can have, of the kind that this EVSE is."""
    is_ac = not isinstance(command, UpdateDcEvse)
    what = type(command).__name__
    if all(offer.service.is_ac is not is_ac for offer in config.services) or (
        session.protocol is not None and session.is_ac is not is_ac
    ):
        raise LocalProtocolError(f"{what} does not fit: the session is one of {'DC' if is_ac else 'AC'}")
    if isinstance(command, UpdateDcEvse):
        check_limits(command.limits, "UpdateDcEvse.limits")
        check_finite(what, present_voltage_v=command.present_voltage_v, present_current_a=command.present_current_a)
        check_flags(
            what,
            contactors_closed=command.contactors_closed,
            power_limit_achieved=command.power_limit_achieved,
            current_limit_achieved=command.current_limit_achieved,
            voltage_limit_achieved=command.voltage_limit_achieved,
        )
    else:
        check_flags(what, contactor_closed=command.contactor_closed)
        check_ac_power(f"{what}.target_active_power", command.target_active_power)
        check_ac_power(f"{what}.target_reactive_power", command.target_reactive_power)
        check_ac_power(f"{what}.present_active_power", command.present_active_power)
        check_optional(what, target_frequency_hz=command.target_frequency_hz)
    if command.fault is not None:
        check_text(what, fault=command.fault)
    if command.notification is not None and not isinstance(command.notification, ct.evseNotificationType):
        raise LocalProtocolError(f"{what}: notification is {command.notification!r}, must be evseNotificationType")
    check_integers(what, 2**16 - 1, notification_max_delay_s=command.notification_max_delay_s)
    check_meter(command.meter, f"{what}.meter")


def with_grid_code(command: SetGridCode, config: SeccConfig, session: Session) -> Session:
    """With the code that holds from now on."""
    if not any(offer.service.is_der for offer in config.services):
        raise LocalProtocolError(f"SetGridCode: {config.evse_id} offers neither AC_DER_IEC nor AC_DER_SAE")
    config.check_code(command.code, "SetGridCode.code")
    return replace(session, grid_code=command.code)


def authorized(command: Authorize, session: Session, state: State) -> Session | None:
    """With the answer; None where it withdraws what was granted."""
    check_flags("Authorize", granted=command.granted)
    warning = command.warning
    if warning is not None and not (isinstance(warning, ct.responseCodeType) and warning.startswith("WARNING_")):
        raise LocalProtocolError(f"Authorize: warning is {warning!r}, must be a WARNING_* code")
    asked = session.contract.emaid if session.contract is not None else None
    if command.emaid is not None and command.emaid != asked:
        raise LocalProtocolError(f"Authorize for contract {command.emaid!r}, asked about is {asked!r}")
    if state in UNAUTHORIZED:
        return replace(session, authorization=command)
    if command.granted:
        raise LocalProtocolError(f"Authorize(granted=True) during {state.value}: authorisation is over")
    return None


def with_installation(command: InstallCertificate, session: Session, state: State) -> Session:
    """With what the provisioning service made, or the reason why nothing is installed."""
    if state is not State.AUTHORIZATION or session.installation_since is None:
        raise LocalProtocolError("InstallCertificate before CertificateInstallationRequested, or after its answer")
    if not (isinstance(command.warning, ct.responseCodeType) and command.warning.startswith("WARNING_")):
        raise LocalProtocolError(f"InstallCertificate: warning is {command.warning!r}, must be a WARNING_* code")
    response = command.response
    if response is not None:
        if not isinstance(response, cm.CertificateInstallationRes):
            raise LocalProtocolError(f"InstallCertificate: response is a {type(response).__name__}")
        if response.ResponseCode.startswith("FAILED") or response.EVSEProcessing is not ct.processingType.Finished:
            raise LocalProtocolError(
                f"InstallCertificate: response says {response.ResponseCode}, {response.EVSEProcessing}; where nothing "
                "can be installed, give none, and a warning"
            )
        if response.Header.Signature is None:
            raise LocalProtocolError("InstallCertificate: response is not signed by its provisioning service")
        try:
            exi.encode(response)
        except ExiError as error:
            raise LocalProtocolError(f"InstallCertificate: response cannot be encoded: {error}") from error
    return replace(session, installation=command)


def cable_checked(command: CableCheckFinished, session: Session, state: State) -> Session:
    """With the result; a failure told after the check counts, too."""
    check_flags("CableCheckFinished", passed=command.passed)
    check_text("CableCheckFinished", detail=command.detail)
    earlier = session.cable_check
    if session.cable_check_since is None:
        raise LocalProtocolError("CableCheckFinished before CableCheckRequested")
    if command.passed and earlier is not None and not earlier.passed:
        raise LocalProtocolError("CableCheckFinished(passed=True) after the cable check had failed")
    if command.passed and state is not State.CABLE_CHECK:
        raise LocalProtocolError(f"CableCheckFinished(passed=True) during {state.value}: it is over")
    return replace(session, cable_check=command)


def with_schedules(command: OfferSchedules, session: Session, state: State, unix_s: int) -> Session:
    """With schedules for the exchange under way, or for the next one while charging."""
    check_flags("OfferSchedules", go_to_pause=command.go_to_pause)
    if not session.is_scheduled:
        raise LocalProtocolError("OfferSchedules in a session that is not in scheduled mode")
    if session.schedule_since is None and state not in _RENEGOTIABLE:
        raise LocalProtocolError(f"OfferSchedules during {state.value}, before ScheduleRequested or after its answer")
    tuples = command.tuples
    if not isinstance(tuples, tuple) or not all(isinstance(offer, ScheduleTuple) for offer in tuples):
        raise LocalProtocolError(f"OfferSchedules: tuples is {tuples!r}, must be a tuple of ScheduleTuple")
    if tuples:
        tuples_to_message([offer.starting(unix_s) for offer in tuples], max_points=session.max_points)
    return replace(session, schedule_answer=command)


def with_mobility(command: SetMobilityNeeds, session: Session, now: float, unix_s: int) -> Session:
    """With what the SECC knows of departure and energy, for the exchange under way and for the loop."""
    check_flags("SetMobilityNeeds", go_to_pause=command.go_to_pause)
    if session.is_scheduled:
        raise LocalProtocolError("SetMobilityNeeds in scheduled mode, in which the vehicle has the needs")
    needs = DynamicSchedule(
        departure_time_s=command.departure_time_s,
        min_soc_pct=command.min_soc_pct,
        target_soc_pct=command.target_soc_pct,
        prices=command.prices,
    )
    needs.starting(unix_s).to_message("SetMobilityNeeds")
    return replace(session, mobility=command, mobility_at=now, schedule_answer=command)
