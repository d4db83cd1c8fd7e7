"""Every timeout of ISO 15118-20 that the machines use, in seconds, with its source beside it.

A real vehicle may be slower than the standard: each value is a field of :class:`SeccTimers` or
:class:`EvccTimers` and may be raised by configuration.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SeccTimers:
    """Timeouts of the SECC. Seconds, each > 0.

    After a response the SECC waits for the next request this long; expiry ends the session (SECC_TIMEOUT).
    """

    sequence_charge_loop_s: float = 0.5
    """After a charge-loop response: [V2G20-1500] for AC, [V2G20-1502] for DC."""
    sequence_s: float = 60.0
    """After any other response (V2G_SECC_Sequence_Timeout).

    Also after PowerDelivery(Start), until the first charge-loop request, which real vehicles may send seconds later.
    From then on the loop's timeout holds after every response for as long as energy may flow."""
    sequence_renegotiation_s: float = 5.0
    """While a schedule is renegotiated on the main stream: after PowerDelivery(ScheduleRenegotiation) and until the
    PowerDelivery(Start) that selects the new schedule was answered.

    The standard has the 60 s of any other response here. But energy flows and no loop tells how much, so ours is
    shorter; a vehicle that thinks longer can say so by EVProcessing Ongoing."""
    setup_s: float = 20.0
    """From the accepted connection to the first complete request (V2G_SECC_CommunicationSetup_Timeout)."""
    ongoing_s: float = 55.0
    """Longest time answered with EVSEProcessing Ongoing, below the EVCC's 60 s Ongoing timeout."""
    cable_check_s: float = 38.0
    """Longest cable check, below the EVCC's 40 s cable-check timeout."""
    service_detail_series_s: float = 60.0
    """From the first ServiceDetailReq to the last. This and the limits below are ours, the standard has none: a vehicle
    that asks again and again without going on would hold its EVSE for ever. The request after it is answered FAILED."""
    authorization_series_s: float = 900.0
    """From the first AuthorizationReq to the last, warnings and new attempts included."""
    pre_charge_series_s: float = 60.0
    """From the first DC_PreChargeReq to the last; the EVCC gives up after 10 s."""
    power_delivery_series_s: float = 60.0
    """Of PowerDeliveryReq without a start or, while charging, without a charge-loop request in between. Stop is always
    served."""
    welding_detection_series_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvccTimers:
    """Timeouts of the EVCC. Seconds, each > 0."""

    setup_s: float = 20.0
    """Plug-in (where not told: machine start) to SessionSetupRes (V2G_EVCC_CommunicationSetup_Timeout)."""
    charge_loop_s: float = 0.5
    """Message timeout of AC_ChargeLoopReq and DC_ChargeLoopReq."""
    service_detail_s: float = 5.0
    """Message timeout of ServiceDetailReq and CertificateInstallationReq."""
    message_s: float = 2.0
    """Message timeout of every other request."""
    ongoing_s: float = 60.0
    """Longest series of EVSEProcessing Ongoing answers."""
    cable_check_s: float = 40.0
    pre_charge_s: float = 10.0
    charge_loop_period_s: float = 0.2
    """From a charge-loop response to the next request. The performance time allows 0.25 s, the way there included."""
    ongoing_period_s: float = 0.1
    """Pause before a request is repeated after EVSEProcessing Ongoing or during pre-charge; our choice."""
