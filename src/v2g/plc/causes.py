"""Why a PLC handshake fails where it fails, and what a person is to do: for the line 0xEF22. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyiso15118.slac.attenuation import Attenuation, group_mhz
from pyiso15118.slac.events import Step

_NOTCH_DB = 15.0
"""Ours: above the median of the groups around, which differ by a few dB in recordings."""
_NEIGHBOURS = 4
_MOST_NOTCHES = 3


@dataclass(frozen=True, slots=True)
class Explanation:
    """``likely`` and ``remedy`` are parts of one sentence each, without a full stop."""

    likely: str
    remedy: str


_MODEM = Explanation(
    "the modem is unplugged or without power, its firmware hangs, or the interface is another device's",
    "look at the modem's power and cable, compare its label with the interface in evses[], then "
    "systemctl restart kplc-driver, which resets it",
)
_KEY = Explanation(
    "the modem's firmware does not let its host set the key, or the modem is just restarting",
    "systemctl restart kplc-driver; where it stays so, take a firmware for charging stations (HomePlug Green PHY with "
    "SLAC)",
)
_PARM = Explanation(
    "the pilot does not offer 5 %, the vehicle has no digital communication or needs to be woken, or the coupling of "
    "the modem to the pilot is broken: the vehicle's request does not arrive",
    "measure the pilot with v2g-tool pilot check (5 % at 1 kHz, B); look at the modem's coupling capacitor and "
    "transformer; try another vehicle",
)
_START = Explanation(
    "the vehicle matches with another EVSE that it hears better, its modem was restarted, or frames get lost",
    "see whether it was matched at a neighbour; else v2g-tool plc --watch while it is plugged in again",
)
_SOUND = Explanation(
    "the sounds do not arrive: noise from the charger, a missing ferrite, or a coupling that only carries one way; or "
    "a neighbour's vehicle, heard too faintly to be measured",
    "look for the ferrite on the DC lines and the shield of the pilot wire; try with the power stage off",
)
_RSP = Explanation(
    "the vehicle does not hear this EVSE's modem: its transmission is too weak, or the vehicle has given up",
    "compare with another vehicle; measure the transmitting level of the modem, and its coupling",
)
_MATCH = Explanation(
    "the vehicle has chosen another EVSE, or has found none near enough",
    "see whether it was matched at a neighbour; else lower the attenuation, or raise evses[].plc.calibration_db if the "
    "EVSE's own coupling is not taken off yet",
)
_VALIDATE = Explanation(
    "the vehicle that sounds is not the one at this plug, or the pilot's toggles are not counted",
    "plug in one vehicle at a time; look whether the EVSE's device counts pilot_toggles, else plc.validate: false",
)
_LINK = Explanation(
    "the two modems do not find each other with the new key: the vehicle's is slow to join, the own one has kept an "
    "old key, or noise stops the beacons",
    "plug in again; raise plc.join_s if this vehicle is merely slow; else systemctl restart kplc-driver",
)
_BY_STEP = {
    Step.MODEM: _MODEM,
    Step.KEY: _KEY,
    Step.PARM: _PARM,
    Step.START: _START,
    Step.SOUND: _SOUND,
    Step.ATTEN_CHAR: _RSP,
    Step.VALIDATE: _VALIDATE,
    Step.MATCH: _MATCH,
    Step.LINK: _LINK,
}
_TWINS = Explanation(
    "two vehicles, or one vehicle and what replays it, bear the same MAC address",
    "plug in one after the other; if it comes back, look for a device on the line that should not be there",
)
_CROWD = Explanation(
    "more vehicles than this EVSE matches at once are heard here: crosstalk of a large site, or a flood",
    "raise plc.parallel_matchings; look at the shielding between the EVSEs' cables",
)
_WEAK = Explanation(
    "the signal is too weak: a long or damaged cable, a corroded contact of the pilot, noise from the charger, a "
    "missing ferrite, or a coupling capacitor that is not right; or the vehicle is a neighbour's, heard by crosstalk",
    "clean and check the plug's pilot contact, look for the ferrite, measure with another cable and vehicle; "
    "v2g-tool plc shows the attenuation by carrier group",
)


def explain(
    step: Step,
    attenuation: Attenuation | None,
    *,
    warn_db: float,
    reason: str = "",
    pilot_duty_pct: float | None = None,
) -> Explanation:
    """Of a failure at ``step``. ``pilot_duty_pct``: as the modem's board measures it; None: it is not known here."""
    if "call themselves" in reason:
        return _TWINS
    if step is Step.PARM and "match here already" in reason:
        return _CROWD
    found = _BY_STEP[step]
    if step is Step.PARM and pilot_duty_pct is not None and not 4.5 <= pilot_duty_pct <= 5.5:
        return Explanation(
            f"the pilot offers {pilot_duty_pct:g} % instead of the 5 % that call for digital communication",
            "set up the EVSE's pilot for ISO 15118: 5 % at 1 kHz as soon as a vehicle is plugged in",
        )
    if attenuation is None:
        return found
    if attenuation.average_db > warn_db:
        return Explanation(f"{_WEAK.likely}{_notched(attenuation)}", _WEAK.remedy)
    return Explanation(f"{found.likely}{_notched(attenuation)}", found.remedy)


def weak(attenuation: Attenuation) -> Explanation:
    """Of a link that is up and attenuated more than it should be."""
    return Explanation(f"{_WEAK.likely}{_notched(attenuation)}", _WEAK.remedy)


def _notched(attenuation: Attenuation) -> str:
    notches = notched_mhz(attenuation.groups_db)
    if not notches:
        return ""
    places = ", ".join(f"{low:.1f}-{high:.1f} MHz" for low, high in notches[:_MOST_NOTCHES])
    more = " and elsewhere" if len(notches) > _MOST_NOTCHES else ""
    return f" (something takes the signal at {places}{more})"


def notched_mhz(groups_db: Sequence[float]) -> list[tuple[float, float]]:
    """Carrier groups that are attenuated far more than those around them."""
    found = []
    for at, level in enumerate(groups_db):
        around = [*groups_db[max(0, at - _NEIGHBOURS) : at], *groups_db[at + 1 : at + 1 + _NEIGHBOURS]]
        if around and level - sorted(around)[len(around) // 2] > _NOTCH_DB:
            found.append(group_mhz(at, len(groups_db)))
    return found
