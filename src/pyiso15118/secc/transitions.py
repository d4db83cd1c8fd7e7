"""The SECC's side of the protocol in one table: in which state which request is allowed, and where it leads.

Read ``TRANSITIONS[state][request][outcome]`` as "in ``state``, ``request`` with this ``outcome`` leads to …". A request
that is not listed in a state is answered with FAILED_SequenceError. Any FAILED response leads to ``ENDED``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class State(enum.Enum):
    """What the SECC waits for."""

    APP_PROTOCOL = "supportedAppProtocol"
    SESSION_SETUP = "SessionSetup"
    AUTHORIZATION_SETUP = "AuthorizationSetup"
    AUTHORIZATION = "Authorization"
    SERVICE_DISCOVERY = "ServiceDiscovery"
    SERVICE_DETAIL = "ServiceDetail"
    SERVICE_SELECTION = "ServiceSelection"
    CHARGE_PARAMETER_DISCOVERY = "DC_ChargeParameterDiscovery"
    SCHEDULE_EXCHANGE = "ScheduleExchange"
    CABLE_CHECK = "DC_CableCheck"
    PRE_CHARGE = "DC_PreCharge"
    POWER_DELIVERY = "PowerDelivery"
    CHARGE_LOOP = "DC_ChargeLoop"
    WELDING_DETECTION = "DC_WeldingDetection"
    ENDED = "ended"


class Outcome(enum.Enum):
    """How a request ended, as far as the sequence is concerned."""

    DONE = "done"
    AGAIN = "not done yet, or refused with a warning: the vehicle may ask again"
    START = "energy may flow"
    STOP = "energy stops"
    END = "the session is over"


_DONE, _AGAIN, _START, _STOP, _END = Outcome

_STOPPABLE: Mapping[str, Mapping[Outcome, State]] = {"SessionStopReq": {_END: State.ENDED}}

TRANSITIONS: Mapping[State, Mapping[str, Mapping[Outcome, State]]] = {
    State.APP_PROTOCOL: {"supportedAppProtocolReq": {_DONE: State.SESSION_SETUP}},
    State.SESSION_SETUP: {"SessionSetupReq": {_DONE: State.AUTHORIZATION_SETUP}},
    State.AUTHORIZATION_SETUP: {"AuthorizationSetupReq": {_DONE: State.AUTHORIZATION}, **_STOPPABLE},
    State.AUTHORIZATION: {
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
        "DC_ChargeParameterDiscoveryReq": {_DONE: State.SCHEDULE_EXCHANGE},
        **_STOPPABLE,
    },
    State.SCHEDULE_EXCHANGE: {"ScheduleExchangeReq": {_DONE: State.CABLE_CHECK}, **_STOPPABLE},
    State.CABLE_CHECK: {
        "DC_CableCheckReq": {_AGAIN: State.CABLE_CHECK, _DONE: State.PRE_CHARGE},
        **_STOPPABLE,
    },
    State.PRE_CHARGE: {"DC_PreChargeReq": {_DONE: State.POWER_DELIVERY}, **_STOPPABLE},
    State.POWER_DELIVERY: {
        "DC_PreChargeReq": {_DONE: State.POWER_DELIVERY},
        "PowerDeliveryReq": {
            _AGAIN: State.POWER_DELIVERY,
            _START: State.CHARGE_LOOP,
            _STOP: State.WELDING_DETECTION,
        },
        **_STOPPABLE,
    },
    State.CHARGE_LOOP: {
        "DC_ChargeLoopReq": {_DONE: State.CHARGE_LOOP},
        "PowerDeliveryReq": {_AGAIN: State.CHARGE_LOOP, _STOP: State.WELDING_DETECTION},
        **_STOPPABLE,
    },
    State.WELDING_DETECTION: {"DC_WeldingDetectionReq": {_DONE: State.WELDING_DETECTION}, **_STOPPABLE},
    State.ENDED: {},
}
