"""What the machine of the own modem tells, and what it is set to."""

from __future__ import annotations

from dataclasses import dataclass

from pyiso15118.slac.addresses import Mac


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemConfig:
    """``host_mac``: of the interface that the modem is at. Seconds, each > 0.

    Loss, at ``poll_s`` 0.3: a vehicle that two lists in a row do not name is gone, 0.6 s after it left at the latest; a
    modem that lets two polls in a row pass is lost when the third is due, after 0.9 s.
    """

    host_mac: Mac
    poll_s: float = 0.3
    """Between two looks at the network while a vehicle is watched."""
    idle_poll_s: float = 1.0
    """The same while none is."""
    reset: bool = True
    """Reset the modem at the first start."""
    cco_capability: int = 1
    """Told in CM_SET_KEY.REQ. Recorded EVSEs say 1; a vehicle says 0, since the EVSE's modem coordinates."""
    probe_s: float = 0.3
    """For an answer to a question that finds the modem, and to a reset."""
    probe_tries: int = 5
    reset_pause_s: float = 1.0
    """The modem still answers for a moment after it has confirmed its reset."""
    reset_within_s: float = 20.0
    """Until it has to be back."""
    key_response_s: float = 0.5
    """For CM_SET_KEY.CNF. Recorded modems need 1 ms."""
    key_tries: int = 4
    settle_s: float = 15.0
    """With a new key a modem forms its network anew, and may not answer meanwhile: 5 to 10 s in recordings."""
    retry_first_s: float = 1.0
    """After a loss, then doubled each time, ..."""
    retry_most_s: float = 30.0
    """... up to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationLink:
    """Another modem in our network. Rates are its average PHY rates; None: this modem does not tell."""

    mac: Mac
    """The watched vehicle's, where this is taken for its modem; else the modem's own."""
    modem: Mac
    tx_mbps: float | None = None
    rx_mbps: float | None = None
    packet_loss: float | None = None
    """0..1 of the last ten intervals; told of the watched vehicle's modem, by modems that keep counters."""
    signal_db: float | None = None
    """At most, down from full power: -10, -15 .. -75."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemFound:
    mac: Mac
    version: str
    """``unknown`` of a modem that does not answer VS_SW_VER."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemLost:
    """Told once; it is looked for until it is found again. ``reason`` is for people."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInstalled:
    nid: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRefused:
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StationsSeen:
    """While a vehicle is watched: after each look at the network that means something."""

    stations: tuple[StationLink, ...]
    nid: bytes
    """Of the network that the modem is in; empty: of none, or it does not tell."""
    vehicle: StationLink | None
    """The watched vehicle's modem; None: it is not in our network."""
    problem: str = ""
    """Why none is, for people, where more than its absence is known."""


ModemEvent = ModemFound | ModemLost | KeyInstalled | KeyRefused | StationsSeen
