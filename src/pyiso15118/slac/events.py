"""What the machines of SLAC tell their owner. MAC addresses are six bytes, times come with the call they belong to."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from pyiso15118.slac.addresses import Mac
from pyiso15118.slac.attenuation import Attenuation


class Step(enum.StrEnum):
    """Where in a matching one is, and where one failed. The values are what people read in the log."""

    MODEM = "modem"
    """The own modem does not answer, or refuses."""
    KEY = "CM_SET_KEY"
    PARM = "CM_SLAC_PARM"
    START = "CM_START_ATTEN_CHAR"
    SOUND = "CM_MNBC_SOUND"
    ATTEN_CHAR = "CM_ATTEN_CHAR"
    VALIDATE = "CM_VALIDATE"
    MATCH = "CM_SLAC_MATCH"
    LINK = "link"
    """Matched, and the modems do not find each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetKey:
    """Put this key into the own modem, then call ``key_set`` or ``key_failed`` of the machine."""

    nid: bytes
    """7 bytes."""
    nmk: bytes = field(repr=False)
    """16 bytes, secret: never logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingStarted:
    """A vehicle asked for the parameters (EVSE); the first request was sent (EV, ``pev_mac`` its own)."""

    pev_mac: Mac
    run_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sounded:
    """EVSE: the vehicle's sounds are averaged. EV: an EVSE told what it heard."""

    pev_mac: Mac
    run_id: bytes
    evse_mac: Mac
    attenuation: Attenuation


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """The toggles of the pilot were counted (EVSE) or confirmed (EV)."""

    pev_mac: Mac
    evse_mac: Mac
    toggles: int
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToggleWanted:
    """EV only: make ``count`` B-C-B toggles on the pilot now, each half ``each_s`` long."""

    count: int
    each_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Vehicle and EVSE have agreed on a key. The modems have still to find each other."""

    pev_mac: Mac
    evse_mac: Mac
    run_id: bytes
    nid: bytes
    attenuation: Attenuation


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkUp:
    """The modems are in one network."""

    pev_mac: Mac
    evse_mac: Mac
    attenuation: Attenuation
    took_s: float
    """Since the vehicle's first request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDown:
    """A link that was up is lost. ``reason`` is for people."""

    pev_mac: Mac
    evse_mac: Mac
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingFailed:
    """One vehicle's matching is over without a link; None where no vehicle was heard (``Step.PARM``).

    EVSE: ``final`` once its retries are used up; it then shows an error on the pilot and begins anew.
    """

    step: Step
    reason: str
    pev_mac: Mac | None = None
    run_id: bytes | None = None
    attenuation: Attenuation | None = None
    final: bool = False
    unplugged: bool = False
    """The plug was pulled: nothing is wrong with the link."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PilotErrorWanted:
    """EVSE only: show state E or F on the pilot for ``for_s`` (T_step_EF), then 5 % again: the vehicle begins anew."""

    for_s: float
    reason: str


Event = (
    SetKey
    | MatchingStarted
    | Sounded
    | Validated
    | ToggleWanted
    | Matched
    | LinkUp
    | LinkDown
    | MatchingFailed
    | PilotErrorWanted
)
