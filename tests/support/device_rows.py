"""The rows of the show of device faults: what is done to which device, what must follow and within which times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from support.watched import LATENESS_S

E1 = "US*V2G*E1"
INVERTER, OUTPUT, AC = f"inverter {E1}", f"dc {E1}", f"ac {E1}"


@dataclass(frozen=True)
class Times:
    """A limit as the sum of the design's times; the lateness of this machine is added."""

    parts: Sequence[tuple[str, float]]

    @property
    def limit_s(self) -> float:
        return sum(seconds for _, seconds in self.parts) + LATENESS_S

    def __str__(self) -> str:
        words = " + ".join(f"{what} {seconds:g}" for what, seconds in self.parts)
        return f"{self.limit_s:.2f}: {words} + {LATENESS_S:g}"

    def __add__(self, other: Times) -> Times:
        return Times([*self.parts, *other.parts])


@dataclass(frozen=True, kw_only=True)
class Row:
    """``zero`` None: power goes on, and for how long that is watched is ``watch_s``.

    ``words``: what the EVSE's fault, a problem in the status or comms.log must say (a regular expression). ``breaker``
    and ``contactors``: closed at the end; None: whichever. ``repair``: what brings power back besides the end of the
    fault: ``reset``, ``unplug``, ``lockout off``, ``order``. ``idle``: an order of zero follows the fault.
    ``before``: what is wrong for ``before_s`` already, without any consequence.
    """

    what: str
    before: Sequence[dict[str, Any]] = ()
    before_s: float = 0.0
    faults: Sequence[dict[str, Any]] = ()
    zero: Times | None
    back: Times
    words: str = ""
    says: Sequence[str] = ()
    permit: str = "GRANTED"
    breaker: bool = True
    contactors: bool | None = None
    repair: str = ""
    lockout: bool = False
    idle: bool = False
    watch_s: float = 3.0
    note: str = ""
    bound_by: str = ""


# ---- times of the design ---------------------------------------------------------------------------------------------

RAMP = ("inverter's ramp", 0.23)
REQUEST = ("Modbus request", 0.5)
STALE = ("reading stale", 1.0)
INVERTER_POLL = ("polled every", 0.2)
OUTPUT_POLL = ("polled every", 0.15)
IMAGE = ("image to the orchestrator", 0.1)
CYCLE = ("its cycle", 0.25)
INVERTER_LOST = Times([STALE, INVERTER_POLL, ("DC output's request", 0.5), RAMP])
OUTPUT_LOST = Times([STALE, OUTPUT_POLL, ("inverter's request", 0.5), RAMP])
INVERTER_LIES = Times([INVERTER_POLL, IMAGE, CYCLE, REQUEST, RAMP])
OUTPUT_SAYS = Times([OUTPUT_POLL, REQUEST, RAMP])
OUTPUT_LIES = Times([OUTPUT_POLL, IMAGE, CYCLE, REQUEST, RAMP])
AT_ONCE = Times([("contactor opens", 0.05)])
AC_OPENS = Times([OUTPUT_POLL, REQUEST, ("contactor opens", 0.02)])
AC_LOOP = ("charge loop", 0.25)
AC_RAMP = ("vehicle's ramp", 1.0)
AC_LOST = Times([STALE, OUTPUT_POLL, IMAGE, CYCLE, AC_LOOP, AC_RAMP])
INTERLOCK = Times([("contact told", 0.01), ("two ticks", 0.02), ("opening", 0.05)])
UNTOLD = Times([("contact's age", 0.5), ("looked at every", 0.1), ("two ticks", 0.02), ("opening", 0.05)])
LOCKED = Times([("two ticks", 0.02), ("opening", 0.05)])
CLEARING = Times([("clearing time of OF2, opening included", 0.16 - LATENESS_S)])

RECONNECT = ("reconnect at most", 3.0)
BACK_OFF = ("vehicle tries again after at most", 4.0)
SESSION = Times([("handshake and session", 1.5)])
CABLE = Times([("lock", 0.2), ("insulation test", 1.2), ("discharge", 1.25), ("pre-charge", 1.0)])
ENTER = Times([("enter service", 1.0)])
DISPATCHED = Times([CYCLE, REQUEST, RAMP])
DC_BACK = Times([RECONNECT, BACK_OFF]) + SESSION + CABLE + ENTER + DISPATCHED
AC_BACK = Times([RECONNECT, BACK_OFF, ("pilot C and lock", 1.0), CYCLE, AC_LOOP, AC_RAMP]) + SESSION
SERVICE = ENTER + DISPATCHED


def _modbus(device: str, name: str, zero: Times, back: Times) -> list[Row]:
    """Every way in which a device answers wrongly or not at all."""
    lost = [
        ("stalls", {"fault": "stall"}, "no answer in"),
        ("answers 2 s late", {"fault": "late", "delay_s": 2.0}, "no answer in"),
        ("answers garbage", {"fault": "garbage"}, ""),
        ("disconnected", {"fault": "disconnect"}, ""),
        ("answers exception 4", {"fault": "refuse", "exception": 4}, "reports an internal failure"),
        ("answers as another unit", {"fault": "wrong_unit"}, ""),
        ("answers a register too few", {"fault": "wrong_length"}, ""),
    ]
    return [
        Row(
            what=f"{name} {how}",
            faults=[{**fault, "device": device}],
            zero=zero,
            back=back,
            words=rf"{name} US\*V2G\*E1.*{words}",
            says=["EVSE_FAULT", "SESSION_FAILED"],
        )
        for how, fault, words in lost
    ]


GOES_ON = Times([])
DC_ROWS = [
    *_modbus(INVERTER, "inverter", INVERTER_LOST, DC_BACK),
    *_modbus(OUTPUT, "DC output", OUTPUT_LOST, DC_BACK),
    Row(
        what="inverter's and DC output's values torn in every third read",
        faults=[{"fault": "tear", "device": device} for device in (INVERTER, OUTPUT)],
        zero=None,
        back=GOES_ON,
    ),
    Row(
        what="inverter shows 20 kW of charge",
        faults=[{"fault": "lie", "device": INVERTER, "values": {"701.W": -20_000.0}}],
        zero=Times([("contradiction", 5.0), *INVERTER_LIES.parts]),
        back=DC_BACK,
        words="contradiction: the inverter measures 20000 W|the inverter does not follow",
        says=["EVSE_FAULT"],
    ),
    Row(
        what="inverter's ratings (702) are zero",
        faults=[
            {
                "fault": "lie",
                "device": INVERTER,
                "values": {f"702.{name}": 0.0 for name in ("WMaxRtg", "WChaRteMaxRtg", "WDisChaRteMaxRtg")},
            }
        ],
        zero=Times([("ratings read every", 2.0), INVERTER_POLL, REQUEST, RAMP]),
        # A power that is still measured beyond the rating of zero may end the session.
        back=Times([("ratings read every", 2.0), INVERTER_POLL]) + DC_BACK,
        bound_by="rating",
    ),
    Row(
        what="inverter's reversion timer does not count",
        faults=[{"fault": "no_reversion", "evse_id": E1}],
        zero=None,
        back=Times([("settings written again, countdown seen", 3.0)]) + DISPATCHED,
        note="an armed timer is prolonged before it could be seen to stand; it is armed anew, at zero power, once its "
        "remaining time is 0",
    ),
    Row(
        what="inverter trips (OVER_TEMP)",
        faults=[{"fault": "inverter_trip", "evse_id": E1}],
        zero=Times([("plant's step", 0.02)]),
        back=DC_BACK,
        words="OVER_TEMP",
        says=["INVERTER_ALARM"],
    ),
    Row(
        what="inverter deaf to an order of zero",
        faults=[{"fault": "deaf", "evse_id": E1}],
        idle=True,
        zero=Times([("contradiction", 5.0), *INVERTER_LIES.parts, ("order's command", 1.0)]),
        back=DC_BACK,
        words="inverter does not follow",
        says=["EVSE_FAULT"],
        repair="order",
    ),
    Row(
        what="DC output shows 5000 V",
        faults=[{"fault": "lie", "device": OUTPUT, "values": {"present_voltage_v": 5_000.0}}],
        zero=OUTPUT_LIES,
        back=DC_BACK,
        words="voltage of 5000 is not plausible",
        says=["EVSE_FAULT"],
    ),
    Row(
        what="DC output trips (emergency stop at the post)",
        faults=[{"fault": "evse_trip", "evse_id": E1}],
        zero=AT_ONCE,
        back=DC_BACK,
        words="emergency stop pressed",
        says=["EVSE_FAULT"],
        contactors=False,
    ),
    Row(
        what="DC contactors open by themselves and do not close",
        faults=[{"fault": "contactor", "evse_id": E1, "state": "open"}],
        zero=AT_ONCE,
        back=DC_BACK,
        words="contactor",
        says=["EVSE_FAULT"],
        contactors=False,
    ),
    Row(
        what="DC output's pilot in state E",
        faults=[{"fault": "pilot", "evse_id": E1, "high_v": 0.0}],
        zero=OUTPUT_SAYS,
        back=DC_BACK,
        words="control pilot: state E",
        says=["EVSE_FAULT"],
        contactors=False,
        bound_by="pilot",
    ),
    Row(
        what="DC output's pilot lost",
        faults=[{"fault": "pilot", "evse_id": E1, "lost": True}],
        zero=OUTPUT_SAYS,
        back=DC_BACK,
        words="control pilot lost|protective earth lost",
        says=["EVSE_FAULT"],
        contactors=False,
        bound_by="pilot",
    ),
    Row(
        what="DC contactors welded, pilot in state E",
        faults=[
            {"fault": "contactor", "evse_id": E1, "state": "closed"},
            {"fault": "pilot", "evse_id": E1, "high_v": 0.0},
        ],
        zero=OUTPUT_SAYS,
        back=DC_BACK,
        words="weld|control pilot",
        says=["EVSE_FAULT"],
        contactors=True,
    ),
    Row(
        what="transducers stall: no top-oil temperature",
        faults=[{"fault": "stall", "device": "transducers"}],
        zero=None,
        back=GOES_ON,
        watch_s=8.0,
        words="transducers|top.oil",
        says=["DEVICE_LOST"],
    ),
    # From here on its heartbeat may stand in for the reversion until the inverter is connected anew.
    Row(
        what="inverter drops its reversion settings, after its heartbeat (715) stood still",
        before=[{"fault": "lie", "device": INVERTER, "values": {"715.DERHb": 7.0}}],
        before_s=5.0,
        faults=[{"fault": "lie", "device": INVERTER, "values": {"704.WSetRvrtTms": 0.0}}],
        zero=Times([INVERTER_POLL, REQUEST, RAMP]),
        back=Times([("heartbeats seen", 4.0)]) + DISPATCHED,
        words="may not discharge",
        says=["NO_REVERSION"],
        bound_by="no_reversion",
    ),
    Row(
        what="door contact not told",
        faults=[{"fault": "interlock", "name": "door", "told": False}],
        zero=UNTOLD,
        back=SERVICE + DC_BACK,
        permit="INTERLOCK",
        breaker=False,
        words="no word from the contact of the door",
    ),
    Row(
        what="lockout on",
        lockout=True,
        zero=LOCKED,
        back=SERVICE + DC_BACK,
        permit="LOCKOUT",
        breaker=False,
        contactors=False,
        words="locked out|lockout",
        repair="lockout off",
    ),
    Row(
        what="insulation lost",
        faults=[{"fault": "insulation", "evse_id": E1, "ohm": 10_000.0}],
        zero=Times([("insulation monitor", 0.5), *OUTPUT_SAYS.parts]),
        back=DC_BACK,
        words="insulation",
        says=["EVSE_FAULT"],
        contactors=False,
        repair="unplug",
    ),
    Row(
        what="emergency stop",
        faults=[{"fault": "interlock", "name": "emergency_stop"}],
        zero=INTERLOCK,
        back=SERVICE + DC_BACK,
        permit="TRIPPED",
        breaker=False,
        contactors=False,
        words="emergency stop pressed",
        repair="reset",
    ),
    Row(
        what="door open",
        faults=[{"fault": "interlock", "name": "door"}],
        zero=INTERLOCK,
        back=SERVICE + DC_BACK,
        permit="TRIPPED",
        breaker=False,
        words="door open",
        repair="reset",
    ),
]

AC_ROWS = [
    *_modbus(AC, "AC EVSE", AC_LOST, AC_BACK),
    Row(
        what="AC EVSE's values torn in every third read",
        faults=[{"fault": "tear", "device": AC}],
        zero=None,
        back=GOES_ON,
    ),
    Row(
        what="AC EVSE's meter shows 5000 V",
        faults=[{"fault": "lie", "device": AC, "values": {"voltage_l1_v": 5_000.0}}],
        zero=AC_LOST,
        back=AC_BACK,
        words="not plausible",
        says=["EVSE_FAULT"],
    ),
    *[
        Row(
            what=f"AC pilot {how}",
            faults=[{"fault": "pilot", "evse_id": E1, **fields}],
            zero=AC_OPENS,
            back=AC_BACK,
            words=words,
            says=["EVSE_FAULT", "PILOT_FAULT"],
            contactors=False,
            bound_by="pilot",
        )
        for how, fields, words in (
            ("in state E", {"high_v": 0.0}, "control pilot: state E"),
            ("in state F", {"high_v": -12.0}, "control pilot: state F"),
            ("lost", {"lost": True}, "control pilot"),
            ("shows a lost earth", {"earth_ohm": 5_000.0}, "protective earth lost"),
        )
    ],
    Row(
        what="AC contactor opens by itself and does not close",
        faults=[{"fault": "contactor", "evse_id": E1, "state": "open"}],
        zero=AT_ONCE,
        back=AC_BACK,
        words="contactor",
        says=["EVSE_FAULT"],
        contactors=False,
    ),
    Row(
        what="AC contactor welded, pilot in state E",
        faults=[
            {"fault": "contactor", "evse_id": E1, "state": "closed"},
            {"fault": "pilot", "evse_id": E1, "high_v": 0.0},
        ],
        zero=Times([OUTPUT_POLL, IMAGE, CYCLE, AC_LOOP, AC_RAMP]),
        back=AC_BACK,
        words="weld|control pilot",
        says=["EVSE_FAULT"],
        contactors=True,
    ),
    Row(
        what="AC EVSE trips (emergency stop at the post)",
        faults=[{"fault": "evse_trip", "evse_id": E1}],
        zero=AT_ONCE,
        back=AC_BACK,
        words="emergency stop pressed",
        says=["EVSE_FAULT"],
        contactors=False,
    ),
    Row(
        what="lockout on (AC)",
        lockout=True,
        zero=LOCKED,
        back=SERVICE + AC_BACK,
        permit="LOCKOUT",
        breaker=False,
        contactors=False,
        words="locked out|lockout",
        repair="lockout off",
    ),
    Row(
        what="AC vehicle charges 11 kW when told to discharge",
        faults=[{"fault": "overdraw", "evse_id": E1, "power_w": 11_000.0}],
        zero=Times([("vehicle may follow for", 2.0), ("its ramp until it is beyond", 1.05), *AC_OPENS.parts]),
        back=AC_BACK,
        words="it was told",
        says=["OVERDRAW"],
        contactors=False,
        repair="unplug",
    ),
    Row(
        what="step to 62.5 Hz (AC)",
        faults=[{"fault": "frequency", "hz": 62.5}],
        zero=CLEARING,
        back=SERVICE + AC_BACK,
        permit="TRIPPED",
        breaker=False,
        words="OF2",
        says=["TRIP"],
        repair="reset",
    ),
    Row(
        what="emergency stop (AC)",
        faults=[{"fault": "interlock", "name": "emergency_stop"}],
        zero=INTERLOCK,
        back=SERVICE + AC_BACK,
        permit="TRIPPED",
        breaker=False,
        contactors=False,
        words="emergency stop pressed",
        repair="reset",
    ),
    Row(
        what="door open (AC)",
        faults=[{"fault": "interlock", "name": "door"}],
        zero=INTERLOCK,
        back=SERVICE + AC_BACK,
        permit="TRIPPED",
        breaker=False,
        words="door open",
        repair="reset",
    ),
]
