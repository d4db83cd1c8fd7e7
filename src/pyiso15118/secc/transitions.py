"""The SECC's side of the protocol in one table: in which state which request is allowed, and where it leads.

Read ``TRANSITIONS[state][request][outcome]`` as "in ``state``, ``request`` with this ``outcome`` leads to …". A request
that is not listed in a state, or that belongs to a service of the other kind (AC, DC) than was selected, is answered
with FAILED_SequenceError. Any FAILED response leads to ``ENDED``.

Beside the charge loop two side streams may run, each with one request of its own under way:
``SIDE_STREAM_REQUESTS[payload type]`` says what they carry. They change no state of the main stream.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from pyiso15118.v2gtp import PayloadType


class State(enum.Enum):
    """What the SECC waits for."""

    APP_PROTOCOL = "supportedAppProtocol"
    SESSION_SETUP = "SessionSetup"
    AUTHORIZATION_SETUP = "AuthorizationSetup"
    AUTHORIZATION = "Authorization"
    SERVICE_DISCOVERY = "ServiceDiscovery"
    SERVICE_DETAIL = "ServiceDetail"
    SERVICE_SELECTION = "ServiceSelection"
    CHARGE_PARAMETER_DISCOVERY = "ChargeParameterDiscovery"
    SCHEDULE_EXCHANGE = "ScheduleExchange"
    CABLE_CHECK = "DC_CableCheck"
    PRE_CHARGE = "DC_PreCharge"
    POWER_DELIVERY = "PowerDelivery"
    CHARGE_LOOP = "ChargeLoop"
    STANDBY = "ChargeLoop in standby"
    SCHEDULE_RENEGOTIATION = "ScheduleExchange while charging"
    POWER_DELIVERY_AGAIN = "PowerDelivery after a renegotiation"
    WELDING_DETECTION = "DC_WeldingDetection"
    SESSION_STOP = "SessionStop"
    ENDED = "ended"


class Outcome(enum.Enum):
    """How a request ended, as far as the sequence is concerned."""

    DONE = "done"
    SKIP = "done, and the steps that only DC has are passed over"
    AGAIN = "not done yet, or refused with a warning: the vehicle may ask again"
    JOIN = "a paused session goes on"
    START = "energy may flow"
    STANDBY = "no energy for a while, at the vehicle's wish"
    RENEGOTIATE = "another schedule or service is to be agreed"
    STOP = "energy stops"
    END = "the session is over"


_DONE, _SKIP, _AGAIN, _JOIN, _START, _STANDBY, _RENEGOTIATE, _STOP, _END = Outcome

_Requests = Mapping[str, Mapping[Outcome, State]]

_STOPPABLE: _Requests = {"SessionStopReq": {_END: State.ENDED}}
_RENEGOTIABLE: _Requests = {"SessionStopReq": {_END: State.ENDED, _RENEGOTIATE: State.SERVICE_DISCOVERY}}
_STOP_POWER: Mapping[Outcome, State] = {_STOP: State.WELDING_DETECTION, _SKIP: State.SESSION_STOP}

TRANSITIONS: Mapping[State, _Requests] = {
    State.APP_PROTOCOL: {"supportedAppProtocolReq": {_DONE: State.SESSION_SETUP}},
    State.SESSION_SETUP: {
        "SessionSetupReq": {_DONE: State.AUTHORIZATION_SETUP, _JOIN: State.CHARGE_PARAMETER_DISCOVERY}
    },
    State.AUTHORIZATION_SETUP: {"AuthorizationSetupReq": {_DONE: State.AUTHORIZATION}, **_STOPPABLE},
    State.AUTHORIZATION: {
        "CertificateInstallationReq": {_AGAIN: State.AUTHORIZATION, _DONE: State.AUTHORIZATION},
        "AuthorizationReq": {_AGAIN: State.AUTHORIZATION, _DONE: State.SERVICE_DISCOVERY},
        **_STOPPABLE,
    },
    State.SERVICE_DISCOVERY: {"ServiceDiscoveryReq": {_DONE: State.SERVICE_DETAIL}, **_STOPPABLE},
    State.SERVICE_DETAIL: {"ServiceDetailReq": {_DONE: State.SERVICE_SELECTION}, **_STOPPABLE},
    State.SERVICE_SELECTION: {
        "ServiceDetailReq": {_DONE: State.SERVICE_SELECTION},
        "ServiceSelectionReq": {_DONE: State.CHARGE_PARAMETER_DISCOVERY},
        **_STOPPABLE,
    },
    State.CHARGE_PARAMETER_DISCOVERY: {
        # Under DER a vehicle may need time to take the grid code over.
        "AC_ChargeParameterDiscoveryReq": {_DONE: State.SCHEDULE_EXCHANGE, _AGAIN: State.CHARGE_PARAMETER_DISCOVERY},
        "DC_ChargeParameterDiscoveryReq": {_DONE: State.SCHEDULE_EXCHANGE},
        **_RENEGOTIABLE,
    },
    State.SCHEDULE_EXCHANGE: {
        "ScheduleExchangeReq": {
            _AGAIN: State.SCHEDULE_EXCHANGE,
            _DONE: State.CABLE_CHECK,
            _SKIP: State.POWER_DELIVERY,
        },
        **_RENEGOTIABLE,
    },
    State.CABLE_CHECK: {
        "DC_CableCheckReq": {_AGAIN: State.CABLE_CHECK, _DONE: State.PRE_CHARGE},
        # A vehicle that is not to charge now, or told to pause, goes on without cable check ([V2G20-2122]).
        "PowerDeliveryReq": {_AGAIN: State.CABLE_CHECK, **_STOP_POWER},
        **_RENEGOTIABLE,
    },
    State.PRE_CHARGE: {"DC_PreChargeReq": {_DONE: State.POWER_DELIVERY}, **_RENEGOTIABLE},
    State.POWER_DELIVERY: {
        "DC_PreChargeReq": {_DONE: State.POWER_DELIVERY},
        "PowerDeliveryReq": {_AGAIN: State.POWER_DELIVERY, _START: State.CHARGE_LOOP, **_STOP_POWER},
        **_RENEGOTIABLE,
    },
    State.CHARGE_LOOP: {
        "AC_ChargeLoopReq": {_DONE: State.CHARGE_LOOP},
        "DC_ChargeLoopReq": {_DONE: State.CHARGE_LOOP},
        "MeteringConfirmationReq": {_DONE: State.CHARGE_LOOP},
        "PowerDeliveryReq": {
            _AGAIN: State.CHARGE_LOOP,
            _STANDBY: State.STANDBY,
            _RENEGOTIATE: State.SCHEDULE_RENEGOTIATION,
            **_STOP_POWER,
        },
        **_RENEGOTIABLE,
    },
    State.STANDBY: {
        "AC_ChargeLoopReq": {_DONE: State.STANDBY},
        "DC_ChargeLoopReq": {_DONE: State.STANDBY},
        "PowerDeliveryReq": {_AGAIN: State.STANDBY, _START: State.CHARGE_LOOP, **_STOP_POWER},
        **_RENEGOTIABLE,
    },
    State.SCHEDULE_RENEGOTIATION: {
        "ScheduleExchangeReq": {_AGAIN: State.SCHEDULE_RENEGOTIATION, _DONE: State.POWER_DELIVERY_AGAIN},
        "PowerDeliveryReq": _STOP_POWER,
        **_RENEGOTIABLE,
    },
    State.POWER_DELIVERY_AGAIN: {
        "PowerDeliveryReq": {_AGAIN: State.POWER_DELIVERY_AGAIN, _START: State.CHARGE_LOOP, **_STOP_POWER},
        **_RENEGOTIABLE,
    },
    State.WELDING_DETECTION: {"DC_WeldingDetectionReq": {_DONE: State.WELDING_DETECTION}, **_RENEGOTIABLE},
    State.SESSION_STOP: {**_RENEGOTIABLE},
    State.ENDED: {},
}

SIDE_STREAM_REQUESTS: Mapping[int, str] = {
    PayloadType.SCHEDULE_RENEGOTIATION: "ScheduleExchangeReq",
    PayloadType.METERING_CONFIRMATION: "MeteringConfirmationReq",
}
"""Allowed while the main stream is in ``CHARGE_LOOP`` or ``STANDBY``, answered with the same payload type."""
