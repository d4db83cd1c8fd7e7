"""The EVCC's side of the protocol in one table: what is asked, and what is asked next.

Read ``TRANSITIONS[state][outcome]`` as "when the answer to the request of ``state`` has this ``outcome``, the next
request is that of …". Any FAILED response, and any response that is not the one belonging to the request, ends the
session.

Beside the charge loop one side stream may run: MeteringConfirmationReq goes out on the payload type of its own while
the loop goes on ([V2G20-1084]), and its answer changes no state here ([V2G20-1085]).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class State(enum.Enum):
    """The request that is about to be sent, or whose answer is awaited.

    The value is its name without Req, and after a blank what it is for; ``*_`` stands for AC_ or DC_.
    """

    IDLE = ""
    APP_PROTOCOL = "supportedAppProtocol"
    SESSION_SETUP = "SessionSetup"
    AUTHORIZATION_SETUP = "AuthorizationSetup"
    CERTIFICATE_INSTALLATION = "CertificateInstallation"
    AUTHORIZATION = "Authorization"
    SERVICE_DISCOVERY = "ServiceDiscovery"
    SERVICE_DETAIL = "ServiceDetail"
    VALUE_ADDED_DETAIL = "ServiceDetail (value-added service)"
    SERVICE_SELECTION = "ServiceSelection"
    CHARGE_PARAMETER_DISCOVERY = "*_ChargeParameterDiscovery"
    SCHEDULE_EXCHANGE = "ScheduleExchange"
    CABLE_CHECK = "DC_CableCheck"
    PRE_CHARGE = "DC_PreCharge"
    POWER_DELIVERY_START = "PowerDelivery (Start)"
    CHARGE_LOOP = "*_ChargeLoop"
    POWER_DELIVERY_STANDBY = "PowerDelivery (Standby)"
    STANDBY = "*_ChargeLoop (standby)"
    POWER_DELIVERY_RENEGOTIATION = "PowerDelivery (ScheduleRenegotiation)"
    SCHEDULE_RENEGOTIATION = "ScheduleExchange (while charging)"
    POWER_DELIVERY_STOP = "PowerDelivery (Stop)"
    WELDING_DETECTION = "DC_WeldingDetection"
    SESSION_STOP = "SessionStop"
    ENDED = "ended"

    def named(self, *, is_ac: bool) -> str:
        """The value for one kind of service."""
        return self.value.replace("*", "AC" if is_ac else "DC", 1)

    def response(self, *, is_ac: bool) -> str:
        """Name of the response that belongs to the request."""
        return self.named(is_ac=is_ac).split(" ")[0] + "Res"


class Outcome(enum.Enum):
    """How a request was answered, as far as the sequence is concerned."""

    DONE = "done"
    AGAIN = "ask again"
    SKIP = "done, and the steps that only DC has are passed over"
    JOIN = "the paused session goes on"
    INSTALL = "a contract certificate is to be installed first"
    VALUE_ADDED = "a value-added service is to be looked at first"
    STANDBY = "the vehicle wants standby"
    RENEGOTIATE = "another schedule or service is to be agreed"
    STOP = "the vehicle or the EVSE wants to stop"


_DONE, _AGAIN, _SKIP, _JOIN, _INSTALL, _VALUE_ADDED, _STANDBY, _RENEGOTIATE, _STOP = Outcome

TRANSITIONS: Mapping[State, Mapping[Outcome, State]] = {
    State.IDLE: {_DONE: State.APP_PROTOCOL},
    State.APP_PROTOCOL: {_DONE: State.SESSION_SETUP},
    State.SESSION_SETUP: {
        _DONE: State.AUTHORIZATION_SETUP,
        _JOIN: State.CHARGE_PARAMETER_DISCOVERY,
        _STOP: State.SESSION_STOP,
    },
    State.AUTHORIZATION_SETUP: {
        _INSTALL: State.CERTIFICATE_INSTALLATION,
        _DONE: State.AUTHORIZATION,
        _STOP: State.SESSION_STOP,
    },
    State.CERTIFICATE_INSTALLATION: {
        _AGAIN: State.CERTIFICATE_INSTALLATION,
        _DONE: State.AUTHORIZATION,
        _STOP: State.SESSION_STOP,
    },
    State.AUTHORIZATION: {
        _AGAIN: State.AUTHORIZATION,
        _DONE: State.SERVICE_DISCOVERY,
        _STOP: State.SESSION_STOP,
    },
    State.SERVICE_DISCOVERY: {_DONE: State.SERVICE_DETAIL, _STOP: State.SESSION_STOP},
    State.SERVICE_DETAIL: {
        _AGAIN: State.SERVICE_DETAIL,
        _VALUE_ADDED: State.VALUE_ADDED_DETAIL,
        _DONE: State.SERVICE_SELECTION,
        _STOP: State.SESSION_STOP,
    },
    State.VALUE_ADDED_DETAIL: {
        _AGAIN: State.VALUE_ADDED_DETAIL,
        _DONE: State.SERVICE_SELECTION,
        _STOP: State.SESSION_STOP,
    },
    State.SERVICE_SELECTION: {_DONE: State.CHARGE_PARAMETER_DISCOVERY, _STOP: State.SESSION_STOP},
    State.CHARGE_PARAMETER_DISCOVERY: {_DONE: State.SCHEDULE_EXCHANGE, _STOP: State.SESSION_STOP},
    State.SCHEDULE_EXCHANGE: {
        _AGAIN: State.SCHEDULE_EXCHANGE,
        _DONE: State.CABLE_CHECK,
        _SKIP: State.POWER_DELIVERY_START,
        _STOP: State.SESSION_STOP,
    },
    State.CABLE_CHECK: {_AGAIN: State.CABLE_CHECK, _DONE: State.PRE_CHARGE, _STOP: State.SESSION_STOP},
    State.PRE_CHARGE: {_AGAIN: State.PRE_CHARGE, _DONE: State.POWER_DELIVERY_START, _STOP: State.SESSION_STOP},
    State.POWER_DELIVERY_START: {
        _AGAIN: State.POWER_DELIVERY_START,
        _DONE: State.CHARGE_LOOP,
        _STOP: State.POWER_DELIVERY_STOP,
    },
    State.CHARGE_LOOP: {
        _AGAIN: State.CHARGE_LOOP,
        _STANDBY: State.POWER_DELIVERY_STANDBY,
        _RENEGOTIATE: State.POWER_DELIVERY_RENEGOTIATION,
        _STOP: State.POWER_DELIVERY_STOP,
    },
    State.POWER_DELIVERY_STANDBY: {
        _DONE: State.STANDBY,
        _AGAIN: State.CHARGE_LOOP,
        _STOP: State.POWER_DELIVERY_STOP,
    },
    State.STANDBY: {_AGAIN: State.STANDBY, _DONE: State.POWER_DELIVERY_START, _STOP: State.POWER_DELIVERY_STOP},
    State.POWER_DELIVERY_RENEGOTIATION: {
        _DONE: State.SCHEDULE_RENEGOTIATION,
        _AGAIN: State.CHARGE_LOOP,
        _STOP: State.POWER_DELIVERY_STOP,
    },
    State.SCHEDULE_RENEGOTIATION: {
        _AGAIN: State.SCHEDULE_RENEGOTIATION,
        _DONE: State.POWER_DELIVERY_START,
        _STOP: State.POWER_DELIVERY_STOP,
    },
    State.POWER_DELIVERY_STOP: {_DONE: State.WELDING_DETECTION, _SKIP: State.SESSION_STOP},
    State.WELDING_DETECTION: {_AGAIN: State.WELDING_DETECTION, _DONE: State.SESSION_STOP},
    State.SESSION_STOP: {_RENEGOTIATE: State.SERVICE_DISCOVERY, _DONE: State.ENDED},
    State.ENDED: {},
}
