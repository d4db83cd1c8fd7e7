"""What is told of powerline links, by ``kplc-driver`` to the orchestrator and by ``plc`` on the control socket."""

from __future__ import annotations

import enum

import msgspec

from v2g.control.messages import Params


class PlcState(enum.StrEnum):
    """Of the powerline link of one EVSE."""

    NO_MODEM = "no modem"
    """It does not answer, or there is no such interface."""
    KEYING = "setting key"
    FREE = "free"
    """Nobody is plugged in."""
    WAITING = "waiting for the vehicle"
    """Plugged in, and no CM_SLAC_PARM.REQ yet."""
    MATCHING = "matching"
    JOINING = "joining"
    """Matched; the modems find each other."""
    LINKED = "linked"
    ERROR = "error on the pilot"


class PlcAttenuation(msgspec.Struct, frozen=True, kw_only=True):
    """Of a vehicle's sounds, calibration taken off. ``groups_db`` from 1.8 to 28 MHz."""

    average_db: float
    groups_db: tuple[float, ...]
    sounds: int
    at_unix_s: float


class PlcModem(msgspec.Struct, frozen=True, kw_only=True):
    """The EVSE's own modem."""

    mac: str
    version: str


class PlcMatching(msgspec.Struct, frozen=True, kw_only=True):
    """One matching of the past. ``outcome``: ``linked``, ``failed``, ``lost`` (a link that was up)."""

    at_unix_s: float
    vehicle_mac: str
    outcome: str
    step: str = ""
    """Where it failed, as in the log: ``CM_MNBC_SOUND``."""
    reason: str = ""
    average_db: float | None = None
    took_s: float | None = None


class PlcLine(msgspec.Struct, frozen=True, kw_only=True):
    """One EVSE with a powerline link."""

    evse_id: str
    interface: str
    state: PlcState
    vehicle_mac: str | None = None
    """Of the vehicle that is linked: only it may open a V2G session here. None in every state but ``linked``."""
    since_unix_s: float | None = None
    """Of ``state``."""
    attenuation: PlcAttenuation | None = None
    """Of the vehicle that is matched; while none is, what was measured here last, of whatever vehicle."""
    modem: PlcModem | None = None
    nid: str = ""
    tx_mbps: float | None = None
    """PHY rate to the vehicle, and ..."""
    rx_mbps: float | None = None
    """... from it, as the modem tells; None: not told."""
    packet_loss: float | None = None
    """0..1 of what was sent to the vehicle in the last interval; None: the modem counts none."""
    signal_db: float | None = None
    """Of the vehicle's modem as ours hears it, down from full power: -10 .. -75; None: not told."""
    pilot_error: bool = False
    """State E or F is wanted on the pilot now."""
    problem: str = ""
    """For people; empty: none."""
    history: tuple[PlcMatching, ...] = ()
    """The newest last."""


class PlcParams(Params, frozen=True, kw_only=True):
    """``evse_id`` None: of every EVSE with a powerline link."""

    evse_id: str | None = None


class PlcResult(msgspec.Struct, frozen=True, kw_only=True):
    """``problem``: why nothing, or nothing new, is known: kplc-driver does not run, or is silent."""

    evses: tuple[PlcLine, ...]
    problem: str = ""
