"""What the harmonics that ``v2g-guard quality`` measures mean for the orchestrator. Pure.

The loss factor that the thermal engine takes, and the thresholds by which ``v2g-guard wires`` moves harmonic filters.
"""

from __future__ import annotations

from v2g.config.schema import Config
from v2g.guard.quality_report import QualityReport
from v2g.thermal.losses import harmonic_loss_factor

LEAST_CURRENT_PU = 0.05
"""A phase that carries less than this of the rated current heats nothing, and its harmonics are noise."""


def load_f_hl(report: QualityReport | None, rated_a: float) -> float | None:
    """F_HL of the worst phase of the transformer's current; None where nothing is measured at present.

    ``rated_a``: rated current of a phase, A. 1.0 where no phase carries :data:`LEAST_CURRENT_PU` of it.
    """
    if report is None or report.not_measured or not report.transformer_harmonics_a:
        return None
    worst = 1.0
    for phase in range(3):
        currents_a = [order[phase] for order in report.transformer_harmonics_a]
        if not all(0.0 <= current_a < float("inf") for current_a in currents_a):
            return None
        if currents_a[0] >= LEAST_CURRENT_PU * rated_a:
            worst = max(worst, harmonic_loss_factor(currents_a))
    return worst


def filter_thresholds(config: Config) -> dict[str, float]:
    """EVSE id -> THD of the feeder's current above which its filter is moved; only those that are set."""
    thresholds = {}
    for evse in config.dc_evses:
        filter_ = evse.inverter.harmonic_filter
        if filter_ is not None:
            threshold = filter_.threshold if filter_.threshold is not None else config.harmonic_filter.threshold
            if threshold is not None:
                thresholds[evse.id] = threshold
    return thresholds
