"""AC_ChargeLoopRes and DC_ChargeLoopRes, in standby too, and the confirmation of meter readings beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from pyiso15118.checks import sane_loop_limits
from pyiso15118.errors import LocalProtocolError, RemoteProtocolError
from pyiso15118.evcc.session import Session, Situation, Step
from pyiso15118.evcc.steps import measured, notified, phases
from pyiso15118.evcc.transitions import Outcome
from pyiso15118.events import (
    ZERO_POWER,
    AcChargeLoopAnswered,
    AcPower,
    DcChargeLoopAnswered,
    DcLimits,
    EnergyNeeds,
    Event,
    MeteringConfirmationSent,
    MeterReading,
    MobilityNeedsMode,
)
from pyiso15118.messages import ac, dc
from pyiso15118.messages import common_messages as cm
from pyiso15118.messages import common_types as ct
from pyiso15118.schedules.wire import MAX_MAGNITUDE
from pyiso15118.security.signature import sign_parts

Notification = ct.evseNotificationType

_DC_MODES: dict[bool, type[Any]] = {True: dc.Scheduled_DC_CLResControlMode, False: dc.Dynamic_DC_CLResControlMode}
_AC_MODES: dict[bool, type[Any]] = {True: ac.Scheduled_AC_CLResControlMode, False: ac.Dynamic_AC_CLResControlMode}
"""By whether the session is in scheduled mode."""


def handle_charge_loop(response: dc.DC_ChargeLoopRes | ac.AC_ChargeLoopRes, situation: Situation) -> Step:
    session = situation.session
    event: DcChargeLoopAnswered | AcChargeLoopAnswered
    told: tuple[Event, ...] = ()
    if isinstance(response, ac.AC_ChargeLoopRes):
        event = _ac_answered(response, session)
        if session.is_der:
            from pyiso15118.evcc.der import take_loop

            session, told = take_loop(response, situation)
    else:
        event = _dc_answered(response, session)
        if event.limits != session.transfer.loop_limits:
            session = replace(session, transfer=replace(session.transfer, loop_limits=event.limits))
    step = Step(
        outcome=Outcome.AGAIN,
        session=session,
        events=(event, *told),
        pause_s=situation.config.timers.charge_loop_period_s,
    )
    return notified(step, response.EVSEStatus)


def asks_for_confirmation(response: Any, before: Session) -> bool:
    """Whether a charge-loop response asks for its meter reading to be signed, and did not do so already.

    Only a session authorised by a contract can sign: its key is the one that counts.
    """
    status = response.EVSEStatus
    return (
        status is not None
        and status.EVSENotification is Notification.MeteringConfirmation
        and before.transfer.notification is not Notification.MeteringConfirmation
        and response.MeterInfo is not None
        and before.emaid is not None
        and before.contract is not None
        and before.contract.emaid == before.emaid
        and before.confirming is None
    )


def build_metering_confirmation(response: Any, situation: Situation) -> cm.MeteringConfirmationReq:
    """Signed with the contract's key. Raises :class:`SignatureError` for one that cannot sign."""
    if situation.session.contract is None:
        raise LocalProtocolError("there is no contract to sign a meter reading with")
    data = _metering_data(response, situation.session)
    signature = sign_parts([data], situation.session.contract.signer, form=situation.config.signed_info_form)
    return cm.MeteringConfirmationReq(
        Header=msgspec.structs.replace(situation.header, Signature=signature), SignedMeteringData=data
    )


def handle_metering_confirmation(session: Session) -> tuple[Session, tuple[Event, ...]]:
    """The EVSE has the receipt."""
    if session.confirming is None:
        return session, ()
    return replace(session, confirming=None), (MeteringConfirmationSent(meter=session.confirming),)


def _metering_data(response: Any, session: Session) -> cm.SignedMeteringData:
    """What is to be signed: the reading and receipt as the EVSE sent them, and by which schedule energy flows."""
    scheduled = dynamic = None
    profile = session.transfer.profile
    if session.is_scheduled and profile is not None and profile.selected_tuple_id is not None:
        scheduled = cm.Scheduled_SMDTControlModeType(SelectedScheduleTupleID=profile.selected_tuple_id)
    else:
        dynamic = cm.Dynamic_SMDTControlModeType()
    return cm.SignedMeteringData(
        Id="id1",
        SessionID=session.session_id,
        MeterInfo=response.MeterInfo,
        Receipt=response.Receipt,
        Dynamic_SMDTControlMode=dynamic,
        Scheduled_SMDTControlMode=scheduled,
    )


def meter_reading(info: ct.MeterInfoType) -> MeterReading:
    return MeterReading(
        meter_id=info.MeterID,
        charged_energy_wh=info.ChargedEnergyReadingWh,
        discharged_energy_wh=info.BPT_DischargedEnergyReadingWh,
        status=info.MeterStatus,
        signature=info.MeterSignature,
        at_unix_s=info.MeterTimestamp,
    )


# ---- DC -----------------------------------------------------------------------------------------------------------


def _dc_answered(response: dc.DC_ChargeLoopRes, session: Session) -> DcChargeLoopAnswered:
    mode = response.CLResControlMode
    _check_mode(mode, _DC_MODES, session)
    discovered = session.transfer.evse_limits
    known = discovered if isinstance(discovered, DcLimits) else None
    return DcChargeLoopAnswered(
        evse_present_voltage_v=measured("EVSEPresentVoltage", response.EVSEPresentVoltage),
        evse_present_current_a=measured("EVSEPresentCurrent", response.EVSEPresentCurrent),
        limits=sane_loop_limits(_dc_limits(mode, known, bpt=session.service.is_bpt), known),
        meter=None if response.MeterInfo is None else meter_reading(response.MeterInfo),
        needs=_needs(mode, session),
    )


def _dc_limits(mode: Any, discovered: DcLimits | None, *, bpt: bool) -> DcLimits:
    """What scheduled mode may leave out holds as discovered. Discharge limits are magnitudes, whatever their sign."""
    both_ways = bpt and isinstance(mode, dc.BPT_Dynamic_DC_CLResControlMode | dc.BPT_Scheduled_DC_CLResControlMode)

    def value(element: str, known: str) -> float:
        number = getattr(mode, element, None)
        if number is not None:
            return float(number)
        return getattr(discovered, known) if discovered is not None else 0.0

    def magnitude(element: str, known: str) -> float:
        return abs(value(element, known)) if both_ways else 0.0

    most_w = value("EVSEMaximumChargePower", "max_charge_power_w")
    least_w = value("EVSEMinimumChargePower", "min_charge_power_w")
    return DcLimits(
        max_charge_power_w=most_w,
        min_charge_power_w=least_w if mode.EVSEMinimumChargePower is not None else min(least_w, most_w),
        max_charge_current_a=value("EVSEMaximumChargeCurrent", "max_charge_current_a"),
        max_voltage_v=value("EVSEMaximumVoltage", "max_voltage_v"),
        min_voltage_v=value("EVSEMinimumVoltage", "min_voltage_v"),
        max_discharge_power_w=magnitude("EVSEMaximumDischargePower", "max_discharge_power_w"),
        min_discharge_power_w=magnitude("EVSEMinimumDischargePower", "min_discharge_power_w"),
        max_discharge_current_a=magnitude("EVSEMaximumDischargeCurrent", "max_discharge_current_a"),
    )


# ---- AC -----------------------------------------------------------------------------------------------------------


def _ac_answered(response: ac.AC_ChargeLoopRes, session: Session) -> AcChargeLoopAnswered:
    mode = response.CLResControlMode
    _check_mode(mode, _AC_MODES, session)
    frequency = response.EVSETargetFrequency
    target = phases(mode, "EVSETargetActivePower")
    if target is not None and not session.service.is_bpt and min(target.phases) < 0:
        target = ZERO_POWER
    present = phases(mode, "EVSEPresentActivePower")
    if present is not None and _is_impossible(present):
        raise RemoteProtocolError(f"EVSEPresentActivePower is {present.total:g}, which nothing can have measured")
    return AcChargeLoopAnswered(
        target_active_power=_sane(target),
        target_reactive_power=_sane(phases(mode, "EVSETargetReactivePower")),
        evse_present_active_power=present,
        target_frequency_hz=None if frequency is None else measured("EVSETargetFrequency", frequency),
        meter=None if response.MeterInfo is None else meter_reading(response.MeterInfo),
        needs=_needs(mode, session),
    )


def _is_impossible(power: AcPower) -> bool:
    return any(abs(value) > MAX_MAGNITUDE for value in power.phases)


def _sane(target: AcPower | None) -> AcPower | None:
    return ZERO_POWER if target is not None and _is_impossible(target) else target


# ---- both ---------------------------------------------------------------------------------------------------------


def _check_mode(mode: object, modes: dict[bool, type[Any]], session: Session) -> None:
    if not isinstance(mode, modes[session.is_scheduled]):
        kind = "scheduled" if session.is_scheduled else "dynamic"
        raise RemoteProtocolError(f"{type(mode).__name__} in the charge loop of {kind} mode")


def _needs(mode: Any, session: Session) -> EnergyNeeds | None:
    """What the SECC wants for the vehicle, where it provides the mobility needs and says so."""
    if session.is_scheduled or session.parameters.mobility_needs_mode is not MobilityNeedsMode.BY_SECC:
        return None
    needs = EnergyNeeds(departure_time_s=mode.DepartureTime, min_soc_pct=mode.MinimumSOC, target_soc_pct=mode.TargetSOC)
    return None if needs == EnergyNeeds() else needs
