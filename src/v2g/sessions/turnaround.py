"""The 500 ms rule: how long a vehicle takes to ask again, what the network takes of it, what a timeout means. Pure.

After a charge-loop response the next request has to be here within 0.5 s ([V2G20-1500], [V2G20-1502]); 0.25 s is what
the standard gives the vehicle for it. The time is measured from the response being written to the request being
received; the kernel's smoothed round trip (``TCP_INFO``) tells what of it is the way there and back.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from v2g.histogram import Histogram, geometric

if TYPE_CHECKING:
    from pyiso15118.aio.tcp_info import TcpState

SLOW_S: Final = 0.25
"""More than this between a charge-loop response and the next request is told."""
TELL_EVERY_S: Final = 60.0
RTT_EVERY_S: Final = 1.0
"""So often the kernel is asked for the round trip of a session that talks."""
BUSY_S: Final = 0.05
"""A request that lay in the kernel for longer before it was read was kept waiting by this controller."""
ROUND_TRIP_HIGH_S: Final = 0.1
"""A powerline link of a few metres takes some milliseconds."""
LOSS_HIGH: Final = 0.05
_RETRANSMITS_HIGH: Final = 3
_RETRANSMITTED_SHARE: Final = 0.01
"""Of the turns of a session: both together are more than a stray loss."""
_LOOP_RESPONSES: Final = frozenset({"AC_ChargeLoopRes", "DC_ChargeLoopRes"})
_LOOP_REQUESTS: Final = frozenset({"AC_ChargeLoopReq", "DC_ChargeLoopReq"})
_EDGES: Final = geometric(1e-3, 64.0, 8)
"""Of one session: quantiles are right to 9 %."""
TURNAROUND_EDGES: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
    *(0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
RTT_EDGES: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
HANDSHAKE_EDGES: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SETUP: Final = "setup"
"""In place of a service, until one is selected."""
LOOP: Final = "charge_loop"
OTHER: Final = "other"


class Cause(enum.StrEnum):
    """What a vehicle's silence is most likely due to."""

    VEHICLE = "vehicle"
    CABLE = "cable"
    CONNECTION = "connection"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CableState:
    """The powerline link of an EVSE. ``down``: in words, why it is; empty: it is up."""

    attenuation_db: float | None = None
    warn_db: float = 20.0
    """Above it a link is warned of."""
    packet_loss: float | None = None
    """0..1."""
    down: str = ""

    @property
    def is_bad(self) -> bool:
        high = self.attenuation_db is not None and self.attenuation_db > self.warn_db
        return high or bool(self.down) or (self.packet_loss is not None and self.packet_loss > LOSS_HIGH)


CableOf = Callable[[str], CableState | None]
"""By EVSE; None: it has no powerline link that we know of."""


@runtime_checkable
class TimedConnection(Protocol):
    """A connection that tells its times, as :class:`pyiso15118.aio.SeccConnection` does."""

    on_turnaround: Callable[[float, str, str], None] | None
    handshake_s: float | None

    def round_trip(self) -> TcpState | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``hint``: for people, with the remedy; ``fields``: what it was concluded from."""

    cause: Cause
    hint: str
    fields: Mapping[str, object]


class StationTiming:
    """Of all sessions together, for the metrics: by what is named in the configuration and the standard only."""

    def __init__(self) -> None:
        self.turnaround: dict[tuple[str, str], Histogram] = {}
        """By (service, stage), in seconds."""
        self.rtt = Histogram(RTT_EDGES)
        self.handshake = Histogram(HANDSHAKE_EDGES)
        self.slow: dict[str, int] = {}
        """By EVSE: charge-loop requests that came later than :data:`SLOW_S`."""
        self.ends: dict[str, int] = {}
        """Sessions by the reason of their end."""
        self.begun = 0

    def observe(self, service: str, stage: str, seconds: float) -> None:
        found = self.turnaround.get((service, stage))
        if found is None:
            found = self.turnaround[service, stage] = Histogram(TURNAROUND_EDGES)
        found.observe(seconds)

    def ended(self, reason: str) -> None:
        self.ends[reason] = self.ends.get(reason, 0) + 1


class SessionTiming:
    """Of one session. ``tell(code, text, fields)`` is called for what is to be warned of; ``connection`` None: nothing
    is measured."""

    def __init__(
        self,
        evse_id: str,
        connection: TimedConnection | None,
        station: StationTiming,
        now_s: Callable[[], float],
        tell: Callable[[str, str, Mapping[str, object]], None],
    ) -> None:
        self.loop = Histogram(_EDGES)
        """Between charge-loop responses and the next requests, in seconds."""
        self.service = SETUP
        self.slow = 0
        self.tcp: TcpState | None = None
        """As it was looked at last."""
        self._evse_id = evse_id
        self._connection = connection
        self._station = station
        self._now_s = now_s
        self._tell = tell
        self._turns = 0
        self._last = ""
        """The request that came last."""
        self._looked_at_s = -RTT_EVERY_S
        self._told_at_s: float | None = None
        self._since_told = _Since()
        if connection is not None:
            connection.on_turnaround = self.observe
            if connection.handshake_s is not None:
                station.handshake.observe(connection.handshake_s)

    def close(self) -> None:
        """The session is over; nothing refers in a circle."""
        if self._connection is not None:
            self._connection.on_turnaround = None
            self.tcp = self._connection.round_trip()
            self._connection = None

    def observe(self, seconds: float, ours: str, theirs: str) -> None:
        """A request came ``seconds`` after our response was written. Never raises."""
        self._turns += 1
        self._last = theirs
        in_loop = ours in _LOOP_RESPONSES
        self._station.observe(self.service, LOOP if in_loop else OTHER, seconds)
        now_s = self._now_s()
        if now_s - self._looked_at_s >= RTT_EVERY_S:
            self._looked_at_s = now_s
            self._look()
        if not in_loop:
            return
        self.loop.observe(seconds)
        since = self._since_told
        since.turns += 1
        if seconds > SLOW_S:
            self._slow(seconds, now_s)
        elif since.slow and self._told_at_s is not None and now_s - self._told_at_s >= TELL_EVERY_S:
            self._tell_slow(now_s)

    def timeout(self, cable: CableState | None) -> Verdict:
        """What the vehicle's silence means, by what the kernel knew at the end of the session."""
        return judge(self.round_trip(), cable, self._turns, in_loop=self._last in _LOOP_REQUESTS)

    def round_trip(self) -> TcpState | None:
        """Now, or as it was last while the connection lasted."""
        return (self._connection.round_trip() if self._connection is not None else None) or self.tcp

    def _look(self) -> None:
        if self._connection is not None and (tcp := self._connection.round_trip()) is not None:
            self.tcp = tcp
            self._station.rtt.observe(tcp.rtt_s)

    def _slow(self, seconds: float, now_s: float) -> None:
        tcp = self._connection.round_trip() if self._connection is not None else None
        # What came is read at once where nothing keeps us: its age then is the time that it lay in the kernel.
        waited_s = min(seconds, tcp.since_data_received_s) if tcp is not None else 0.0
        since = self._since_told
        self.slow += 1
        self._station.slow[self._evse_id] = self._station.slow.get(self._evse_id, 0) + 1
        since.slow += 1
        since.worst_s = max(since.worst_s, seconds)
        since.ours_s = max(since.ours_s, waited_s if waited_s >= BUSY_S else 0.0)
        self.tcp = tcp or self.tcp
        if self._told_at_s is None or now_s - self._told_at_s >= TELL_EVERY_S:
            self._tell_slow(now_s)

    def _tell_slow(self, now_s: float) -> None:
        since, tcp = self._since_told, self.tcp
        if self._told_at_s is None:
            text = f"the vehicle asked {since.worst_s:.3f} s after our response, more than {SLOW_S:g} s"
        else:
            text = (
                f"the vehicle asked later than {SLOW_S:g} s after our response {since.slow} of {since.turns} times in "
                f"the last {now_s - self._told_at_s:.0f} s, at most {since.worst_s:.3f} s"
            )
        if since.ours_s:
            text += f"; up to {since.ours_s:.3f} s of that the request waited for this controller, which was busy"
        fields: dict[str, object] = {"slowest_s": round(since.worst_s, 3), "slow": since.slow}
        if tcp is not None:
            text += f"; the network takes {tcp.rtt_s * 1e3:.1f} ms of it"
            fields |= {"rtt_ms": round(tcp.rtt_s * 1e3, 1), "retransmits": tcp.total_retransmits}
        self._told_at_s, self._since_told = now_s, _Since()
        self._tell("TURNAROUND_SLOW", text, fields)


@dataclass(slots=True)
class _Since:
    turns: int = 0
    slow: int = 0
    worst_s: float = 0.0
    ours_s: float = 0.0


def judge(tcp: TcpState | None, cable: CableState | None, turns: int, *, in_loop: bool = True) -> Verdict:
    """Vehicle, cable or connection. ``turns``: requests of the session so far; ``in_loop``: what was not heard is the
    next turn of the charge loop."""
    fields: dict[str, object] = {}
    if tcp is not None:
        fields |= {
            "rtt_ms": round(tcp.rtt_s * 1e3, 1),
            "rtt_var_ms": round(tcp.rtt_variation_s * 1e3, 1),
            "unacked": tcp.unacked,
            "retransmits": tcp.total_retransmits,
        }
    if cable is not None and cable.attenuation_db is not None:
        fields["attenuation_db"] = round(cable.attenuation_db, 1)
    if cable is not None and cable.packet_loss is not None:
        fields["packet_loss_pct"] = round(100.0 * cable.packet_loss, 1)
    cause, words = _cause(tcp, cable, turns)
    if cause is Cause.VEHICLE and in_loop:
        words += "; for a vehicle that needs longer raise secc.charge_loop_timeout_s"
    return Verdict(cause=cause, hint=f"{words}; {_cable_words(cable)}", fields={"cause": cause.value, **fields})


def _cause(tcp: TcpState | None, cable: CableState | None, turns: int) -> tuple[Cause, str]:
    if tcp is None:
        return Cause.UNKNOWN, "nothing is known of the connection: look at the vehicle, and at the charging cable"
    trip = f"round trip {tcp.rtt_s * 1e3:.1f} ms"
    if cable is not None and cable.down:
        return Cause.CONNECTION, f"the powerline link is down ({cable.down}): look whether the plug was pulled"
    if tcp.unacked:
        again = f", although it was sent {1 + tcp.retransmits} times" if tcp.retransmits else ""
        return Cause.CONNECTION, (
            f"the connection is dead: our last response was not acknowledged{again} ({trip} before): look whether the "
            "plug was pulled, the charging cable damaged, or the vehicle's modem without power"
        )
    lossy = tcp.total_retransmits >= max(_RETRANSMITS_HIGH, _RETRANSMITTED_SHARE * turns)
    if lossy or tcp.rtt_s > ROUND_TRIP_HIGH_S or (cable is not None and cable.is_bad):
        lost = f"{tcp.total_retransmits} segments sent again in {turns} turns"
        return Cause.CABLE, f"the way to the vehicle is bad ({trip}, {lost}): look at the charging cable and its plugs"
    return Cause.VEHICLE, (
        f"the vehicle's computer was too slow: its modem and network acknowledged our response ({trip}, nothing lost)"
    )


def _cable_words(cable: CableState | None) -> str:
    if cable is None:
        return "cable: attenuation not known, this EVSE has no powerline modem of ours (v2g-tool plc)"
    if cable.attenuation_db is None:
        return "cable: attenuation not measured; see v2g-tool plc"
    height = "above" if cable.attenuation_db > cable.warn_db else "within"
    loss = f", {cable.packet_loss:.1%} of the packets lost" if cable.packet_loss is not None else ""
    return f"cable: attenuation {cable.attenuation_db:.1f} dB, {height} {cable.warn_db:g} dB{loss}; see v2g-tool plc"
