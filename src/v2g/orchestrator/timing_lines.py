"""How quickly vehicles and the backhaul answer, for the status; and what is known of an EVSE's cable. Pure."""

from __future__ import annotations

from v2g.control.messages_plc import PlcLine, PlcState
from v2g.control.messages_timing import BackhaulLine, TimingLine
from v2g.orchestrator.backhaul import BackhaulView
from v2g.sessions.turnaround import CableState, SessionTiming


def timing_line(timing: SessionTiming) -> TimingLine:
    """Of one session, as it stands."""
    loop, tcp = timing.loop, timing.round_trip()
    return TimingLine(
        turns=loop.count,
        turnaround_median_s=loop.quantile(0.5),
        turnaround_p99_s=loop.quantile(0.99),
        turnaround_worst_s=loop.worst if loop.count else None,
        slow=timing.slow,
        rtt_s=tcp.rtt_s if tcp is not None else None,
        retransmits=tcp.total_retransmits if tcp is not None else None,
    )


def backhaul_line(view: BackhaulView | None) -> BackhaulLine | None:
    if view is None:
        return None
    return BackhaulLine(
        target=view.target,
        loss=view.loss,
        round_trip_s=view.round_trip_s,
        probes=view.probes,
        lost=view.lost,
        problem=view.problem,
    )


def cable_state(line: PlcLine | None, warn_db: float, silent: str) -> CableState | None:
    """``line`` None: the EVSE has no powerline link that we know of. ``silent``: why nothing new is known."""
    if line is None:
        return None
    down = ""
    if not silent and line.state is not PlcState.LINKED:
        down = line.problem or line.state.value
    return CableState(
        attenuation_db=line.attenuation.average_db if line.attenuation is not None else None,
        warn_db=warn_db,
        packet_loss=line.packet_loss if not silent else None,
        down=down,
    )
