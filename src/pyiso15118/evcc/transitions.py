"""The EVCC's side of the protocol in one table: what is asked, and what is asked next.

Read ``TRANSITIONS[state][outcome]`` as "when the answer to the request of ``state`` has this ``outcome``, the next
request is that of …". Any FAILED response, and any response that is not the one belonging to the request, ends the
session.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class State(enum.Enum):
    """The request that is about to be sent, or whose answer is awaited. The value is its name without Req."""

    IDLE = ""
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
    POWER_DELIVERY_START = "PowerDelivery (Start)"
    CHARGE_LOOP = "DC_ChargeLoop"
    POWER_DELIVERY_STOP = "PowerDelivery (Stop)"
    WELDING_DETECTION = "DC_WeldingDetection"
    SESSION_STOP = "SessionStop"
    ENDED = "ended"

    @property
    def response(self) -> str:
        """Name of the response that belongs to the request."""
        return self.value.split(" ")[0] + "Res"


class Outcome(enum.Enum):
    """How a request was answered, as far as the sequence is concerned."""

    DONE = "done"
    AGAIN = "ask again"
    STOP = "the vehicle or the EVSE wants to stop"


_DONE, _AGAIN, _STOP = Outcome

TRANSITIONS: Mapping[State, Mapping[Outcome, State]] = {
    State.IDLE: {_DONE: State.APP_PROTOCOL},
    State.APP_PROTOCOL: {_DONE: State.SESSION_SETUP},
    State.SESSION_SETUP: {_DONE: State.AUTHORIZATION_SETUP, _STOP: State.SESSION_STOP},
    State.AUTHORIZATION_SETUP: {_DONE: State.AUTHORIZATION, _STOP: State.SESSION_STOP},
    State.AUTHORIZATION: {
        _AGAIN: State.AUTHORIZATION,
        _DONE: State.SERVICE_DISCOVERY,
        _STOP: State.SESSION_STOP,
    },
    State.SERVICE_DISCOVERY: {_DONE: State.SERVICE_DETAIL, _STOP: State.SESSION_STOP},
    State.SERVICE_DETAIL: {
        _AGAIN: State.SERVICE_DETAIL,
        _DONE: State.SERVICE_SELECTION,
        _STOP: State.SESSION_STOP,
    },
    State.SERVICE_SELECTION: {_DONE: State.CHARGE_PARAMETER_DISCOVERY, _STOP: State.SESSION_STOP},
    State.CHARGE_PARAMETER_DISCOVERY: {_DONE: State.SCHEDULE_EXCHANGE, _STOP: State.SESSION_STOP},
    State.SCHEDULE_EXCHANGE: {
        _AGAIN: State.SCHEDULE_EXCHANGE,
        _DONE: State.CABLE_CHECK,
        _STOP: State.SESSION_STOP,
    },
    State.CABLE_CHECK: {_AGAIN: State.CABLE_CHECK, _DONE: State.PRE_CHARGE, _STOP: State.SESSION_STOP},
    State.PRE_CHARGE: {_AGAIN: State.PRE_CHARGE, _DONE: State.POWER_DELIVERY_START, _STOP: State.SESSION_STOP},
    State.POWER_DELIVERY_START: {_DONE: State.CHARGE_LOOP, _STOP: State.POWER_DELIVERY_STOP},
    State.CHARGE_LOOP: {_AGAIN: State.CHARGE_LOOP, _STOP: State.POWER_DELIVERY_STOP},
    State.POWER_DELIVERY_STOP: {_DONE: State.WELDING_DETECTION},
    State.WELDING_DETECTION: {_AGAIN: State.WELDING_DETECTION, _DONE: State.SESSION_STOP},
    State.SESSION_STOP: {_DONE: State.ENDED},
    State.ENDED: {},
}
