"""What a new run goes on with, of what the one before kept, in words for the daemon log. Pure."""

from __future__ import annotations

from v2g.orchestrator.transformer import Moment
from v2g.thermal.authorisation import Authorisation
from v2g.thermal.engine import EngineMemory
from v2g.thermal.kept import KEPT_VALID_S, sound
from v2g.thermal.limits import Regime

RECALLED = "THERMAL_RECALLED"
"""Code for the daemon log, at every start."""


def recall_words(memory: EngineMemory, authorisation: Authorisation, moment: Moment) -> str:
    """``authorisation`` as it stands after ``memory`` was recalled at ``moment``."""
    parts = [_temperatures(memory, moment.unix_s)]
    if memory.ageing is not None:
        parts.append(f"loss of life goes on from {memory.ageing.total_h:.1f} h")
    else:
        parts.append("loss of life counts from 0 h")
    if memory.forecast is None:
        parts.append("base load and ambient are learned anew")
    left_s = authorisation.left_s(moment.thermal_s)
    if left_s is not None:
        by = authorisation.by(moment.thermal_s)
        parts.append(
            f"{regime_name(authorisation.regime(moment.thermal_s))}, authorised by {by}, goes on for {_span(left_s)}"
        )
    return "; ".join(parts)


def regime_name(regime: Regime) -> str:
    """``long_time_emergency`` -> ``long-time emergency loading``."""
    return regime.value.replace("_time_", "-time ").replace("_", " ") + " loading"


def _temperatures(memory: EngineMemory, now_unix_s: float) -> str:
    kept = memory.estimator
    unmeasured = "no V2G power before top-oil is measured"
    if kept is None:
        return f"no temperatures are kept of an earlier run: {unmeasured}"
    if not sound(kept):
        return f"the kept temperatures are none that a transformer has: {unmeasured}"
    age_s = now_unix_s - kept.unix_s
    if age_s < 0.0:
        return f"the kept temperatures are dated {_span(-age_s)} ahead, the clock went back: {unmeasured}"
    was = f"top-oil {kept.theta_o_c:.1f} °C, hot-spot {kept.theta_o_c + kept.h1_k - kept.h2_k:.1f} °C"
    if age_s > KEPT_VALID_S:
        return f"the kept temperatures ({was}) are {_span(age_s)} old: {unmeasured}"
    return (
        f"temperatures go on from those of {_span(age_s)} ago ({was}), or from the steady state of the first measured "
        "load where that is hotter"
    )


def _span(seconds: float) -> str:
    minutes = round(seconds / 60.0)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
